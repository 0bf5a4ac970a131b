#!/bin/bash
# SPDX-License-Identifier: MIT
# make bench: the numbers beside their goals. Everything is compared within one run on one machine;
# ratios mean something, times under emulation do not.
# Arguments: names of the parts below; default: all.
set -u
. "$(dirname "$0")/../lab/lab.sh"
. "$here/agent.sh"

rows=()
# What was measured is shown although a later part fails.
fail() {
	say "FAILED: $*"
	table
	exit 1
}
table() {
	local line a b c d
	echo
	printf '%-54s %8s  %-12s %s\n' number value goal how
	for line in "${rows[@]}"; do
		IFS='|' read -r a b c d <<<"$line"
		printf '%-54s %8s  %-12s %s\n' "$a" "$b" "$c" "$d"
	done
}
row() { rows+=("$1|$2|$3|$4"); } # row WHAT VALUE GOAL HOW
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf a < b / 10 ? "%.4f" : "%.2f", a / b; else print "-" }'; }
meets() { awk -v a="$1" -v op="$2" -v b="$3" 'BEGIN {
	print (a == "-" ? "?" : (op == "<" ? a <= b : a >= b) ? "yes" : "no") }'; }

memory_mib=448 pcache_mib=64

# bench_xml NAME RUN SET far|plain|file: guests that differ only in the VMM and in far memory;
# file: plain, not defined.
# One name for all guests of a kind: the server's promise and the address are the domain's.
bench_xml() {
	lab_disk "$1"
	rm -f "$(console "$1")"
	lab_shown[$1]=0
	lab_xml "$1" "$2" "$3"
	sed -i -e "s|<memory unit='MiB'>[0-9]*|<memory unit='MiB'>$memory_mib|" \
		-e "s|<annex:pcache unit='MiB'>[0-9]*|<annex:pcache unit='MiB'>$pcache_mib|" \
		"$work/$1.xml"
	if [ "$4" = far ]; then
		annex guest define "$work/$1.xml" >"$logs/$1.define" 2>&1
		return
	fi
	sed -i '/<metadata>/,/<\/metadata>/d' "$work/$1.xml"
	[ "$4" = file ] && return 0
	virsh undefine "$1" 2>/dev/null
	virsh define "$work/$1.xml"
}

detail() { lab_results "$1" | awk -F'\t' -v n="$2" '$1 == n && $2 == "ok" { d = $4 } END { print d }'; }

server() {
	[ -n "${server_up:-}" ] && return 0
	lab_server memory1 10.77.0.1 640M || fail "annex server provision"
	server_up=1
}

# boot_once NAME KIND: sets boot_ms (virsh start to the first line of the workloads) and cpu_ms.
boot_once() {
	local began
	bench_xml "$1" cpu x:1 "$2" || fail "define $1"
	began=$(date +%s%N)
	virsh start "$1" || fail "start $1"
	lab_wait "$1" 200 LAB-BEGIN || fail "$1 does not boot"
	boot_ms=$((($(date +%s%N) - began) / 1000000))
	lab_wait "$1" 200 LAB-END || fail "$1 does not end"
	cpu_ms=$(detail "$1" cpu | awk '{ print $1 }')
	lab_off "$1" 60
	[ -n "$cpu_ms" ] || fail "$1 has no CPU time"
	say "$1: boot $boot_ms ms, cpu $cpu_ms ms"
}

least() { printf '%s\n' "$@" | sort -n | head -n 1; }

# Alternately, so that what else the machine does meets both; the memory server is up for both.
part_guest() {
	local far_boot=() far_cpu=() plain_boot=() plain_cpu=()
	server
	for _ in 1 2 3; do
		boot_once plain plain
		plain_boot+=("$boot_ms") plain_cpu+=("$cpu_ms")
		boot_once far far
		far_boot+=("$boot_ms") far_cpu+=("$cpu_ms")
	done
	local cpu boot
	cpu=$(awk -v a="$(least "${far_cpu[@]}")" -v b="$(least "${plain_cpu[@]}")" \
		'BEGIN { printf "%.3f", a / b }')
	boot=$(ratio "$(least "${far_boot[@]}")" "$(least "${plain_boot[@]}")")
	row "CPU-bound program, VMM / plain" "$cpu" "<= 1.01 $(meets "$cpu" '<' 1.01)" \
		"best of 3 x 60 short rounds, same kernel and QEMU, alternately"
	row "boot to first program, VMM / plain" "$boot" "<= 1.3 $(meets "$boot" '<' 1.3)" \
		"best of 3, $(least "${far_boot[@]}") and $(least "${plain_boot[@]}") ms"
}

part_scan() {
	local far swap single set=scan:$((pcache_mib * 2)),seconds:15,local:$pcache_mib
	server
	bench_xml far "scan annex.stay" "$set" far && virsh start far || fail "start far"
	lab_wait far 300 LAB-END || fail "scan on far memory"
	far=$(detail far scan)
	annex stat far --json >"$logs/scan.stat" 2>&1
	virsh destroy far
	swap_scan
	swap=$(detail plain scan)
	single=$(detail plain scan_single)
	stage_row
	scan_row "sequential scan" "$far" "$swap" 4 ">= 3"
	scan_row "random scan" "$far" "$swap" 6 ">= 3"
	scan_row "fill" "$far" "$swap" 2 -
	scan_row "sequential, swap one page at a time" "$far" "$single" 4 -
	scan_row "random, swap one page at a time" "$far" "$single" 6 -
}

# The same program on the same guest without VMM; its swap lies on a peer of the same kind, with as
# much memory. The memory server's machine is off meanwhile, as the peer is while far memory is used.
swap_scan() {
	annex server remove memory1 --force >"$logs/memory1.remove" 2>&1 ||
		fail "annex server remove"
	server_up=
	bench_xml peer "serve_swap annex.stay" address:10.78.0.3 file &&
		sed -i "s|<memory unit='MiB'>[0-9]*|<memory unit='MiB'>960|" "$work/peer.xml" &&
		virsh create "$work/peer.xml" || fail "the peer for swap"
	lab_wait peer 200 LAB-END || fail "the peer for swap"
	bench_xml plain scan,scan_single "$set,swap:10.78.0.3" plain && virsh start plain ||
		fail "start plain"
	lab_wait plain 500 LAB-END || fail "scan on swap"
	virsh destroy peer
	virsh destroy plain
}

# Of a remote fill's median, how much passes outside the VMM: network and server, READ to data.
stage_row() {
	local wire all
	read -r wire all < <(jq -r '.histogram.remote | "\(.wire.p50) \(.total.p50)"' "$logs/scan.stat")
	[ -n "${all:-}" ] || fail "annex stat has no histogram"
	row "remote fill, wire and server / all of it" "$(ratio "$wire" "$all")" - \
		"medians of the scan: $((wire / 1000)) of $((all / 1000)) us, from mailbox to mailbox"
}

scan_row() { # scan_row WHAT FAR SWAP FIELD GOAL
	local a b r goal=$5
	a=$(awk -v f="$4" '{ print $f }' <<<"$2")
	b=$(awk -v f="$4" '{ print $f }' <<<"$3")
	[ -n "$a" ] && [ -n "$b" ] || fail "no numbers of $1"
	r=$(ratio "$a" "$b")
	[ "$goal" = - ] || goal="$goal $(meets "$r" '>' 3)"
	row "$1, far / swap to NBD" "$r" "$goal" "$a and $b pages/s, half of the data local"
}

part_engine() {
	local line
	while IFS='|' read -r line; do
		IFS='|' read -r a b c d <<<"$line"
		row "$a" "$b" "$c" "$d"
	done < <(BUILD=$build "$here/../bench/engine.sh")
}

# A key-value store of 8 MiB with 40 MiB of pcache: what hints do for it.
part_agent() {
	local kind
	server
	agent_packages && agent_disk "${packages[@]}" && agent_define guest && agent_start guest ||
		fail "the agent's guest"
	agent_install guest
	for kind in sequential random; do
		without='' with=''
		agent_pin guest 10 $kind || fail "the store beside a scan"
		row "p99 of a get beside a $kind scan, pinned / not" "$(ratio "$with" "$without")" - \
			"$with and $without us; $with_fills and $without_fills fills for its 2048 pages"
		annex guest hint guest unpin comm=kv && guest_do guest 60 'end kv' || fail "unpin"
		agent_until guest 15 '.agent.pinned == 0' || fail "unpin"
	done
	seconds_not='' seconds_prefetched=''
	agent_prefetch guest || fail "prefetch"
	row "first sweep of a store, prefetched / not" \
		"$(ratio "$seconds_prefetched" "$seconds_not")" - \
		"$seconds_prefetched and $seconds_not s; $fills_prefetched and $fills_not fills by faults for 2048 pages"
	cold=0 warm=0
	agent_cold guest
	row "evicted under pressure, cold store / all of both" "$(ratio "$cold" $((cold + warm)))" - \
		"$cold fills for the 2048 pages of the cold one, $warm for those of the other"
	virsh destroy guest
}

lab_images || { echo "bench: images failed" >&2; exit 1; }
lab_begin bench
lab_peer
for part in ${*:-engine guest agent scan}; do
	say "-- $part"
	"part_$part"
done
table
