# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What demo, lab and bench share: sourced. A run has a private libvirt, one memory server, guests
# from docs/examples/guest.xml, and logs that stay. Everything started here ends with the script.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/../..")
build=$(realpath -m "${BUILD:-$top/build}")
annex_program=$build/annex
lab_begun=$SECONDS

say() { printf '%3d:%02d  %s\n' $(((SECONDS - lab_begun) / 60)) $(((SECONDS - lab_begun) % 60)) "$*"; }
fail() {
	say "FAILED: $*"
	exit 1
}

# lab_begin NAME: directories, libvirt, the promise to take everything down again.
lab_begin() {
	[ "$(id -u)" -eq 0 ] || { echo "$0: needs root (network namespaces, libvirt)" >&2; exit 1; }
	mkdir -p "$build/lab"
	exec 7>"$build/lab/$1.lock"
	flock -n 7 || { echo "$0: another run of '$1' goes on here" >&2; exit 1; }
	run_name=$1
	work=$build/lab/$run_name
	logs=$build/logs/$run_name
	lv=$work/libvirt
	followers=()
	"$here/libvirt.sh" down "$lv" 2>/dev/null
	rm -rf "$work" "$logs"
	mkdir -p "$work" "$logs"
	export ANNEX_STATE=$work/state
	trap 'lab_end $?' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	"$here/libvirt.sh" up "$lv" 7>&- || exit 1
	consoles=$lv/log/qemu
	mkdir -p "$consoles"
}

lab_end() {
	local pid
	trap - EXIT INT TERM
	for pid in "${followers[@]}"; do
		kill "$pid" 2>/dev/null
	done
	"$here/libvirt.sh" down "$lv" 2>/dev/null
	cp "$consoles"/*.console "$lv"/log/libvirtd.log "$logs"/ 2>/dev/null
	rm -f "$work"/*.qcow2
	if [ "$1" -ne 0 ]; then
		lab_tails
		say "logs: $logs"
	fi
	exit "$1"
}

# The last lines of every console.
lab_tails() {
	local file
	for file in "$consoles"/*.console; do
		[ -s "$file" ] || continue
		echo "--- last lines of $(basename "$file")"
		tail -n 25 "$file" | tr -d '\r'
	done
}

in_lab() { "$here/libvirt.sh" in "$lv" "$@" 7>&-; }
virsh() { in_lab timeout 60 virsh -q "$@"; }
annex() { in_lab timeout 120 "$annex_program" "$@"; }

# The program outside the guest that net_io talks to.
lab_peer() {
	gcc -std=c11 -D_GNU_SOURCE -O2 -o "$work/net_io" "$here/workloads/net_io.c" || return 1
	in_lab "$work/net_io" serve 7878 </dev/null >"$logs/peer.log" 2>&1 &
	followers+=($!)
}

# lab_images: makes what is missing; sets guest_dir and server_dir.
lab_images() {
	guest_dir=$("$here/image.sh" guest) && server_dir=$("$here/image.sh" server)
}

# lab_server NAME ADDRESS POOL: a memory server appliance, waited for until it answers.
lab_server() {
	local name=$1 address=$2 pool=$3
	annex server provision "$name" --pool "$pool" --address "$address" --mtu 9000 \
		--virt-type qemu --kernel "$server_dir/vmlinuz" \
		--modules "$(echo "$server_dir"/modules/lib/modules/*)" >"$logs/$name.provision" 2>&1 || {
		cat "$logs/$name.provision"
		return 1
	}
	sed 's/^/       /' "$logs/$name.provision"
}

# lab_disk NAME: a disk of its own over the cached image, and an empty console.
lab_disk() {
	qemu-img create -q -f qcow2 -b "$guest_dir/disk.img" -F raw "$work/$1.qcow2"
	: >"$(console "$1")"
	lab_shown[$1]=0
}

# lab_xml NAME RUN SET: docs/examples/guest.xml with its paths filled; SET as for annex.set.
lab_xml() {
	local name=$1 run=$2 set=$3 uuid
	# The same tenant each time, also after undefine: its next boot frees what its last one held.
	uuid=$(printf 'annex lab %s' "$name" | md5sum | sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/')
	sed -e "s|<name>debian</name>|<name>$name</name><uuid>$uuid</uuid>|" \
		-e "s|/srv/debian/vmlinuz|$guest_dir/vmlinuz|" \
		-e "s|/srv/debian/initrd.img|$guest_dir/initrd.img|" \
		-e "s|/srv/debian/disk.qcow2|$work/$name.qcow2|" \
		-e "s|debian.console|$name.console|" \
		-e "s|console=ttyS0 quiet|& $guest_options annex.run=$run annex.set=$set|" \
		"$top/docs/examples/guest.xml" >"$work/$name.xml"
}
# None of these is needed; they save time under emulation.
guest_options="fsck.mode=skip net.ifnames=0 mitigations=off panic=-1"

# lab_grub NAME RUN SET: the same for a guest that boots by its own GRUB.
lab_grub() {
	local name=$1 run=$2 set=$3
	qemu-img create -q -f qcow2 -b "$disk_dir/disk.img" -F raw "$work/$name.qcow2"
	printf '%-200s' "annex.run=$run annex.set=$set" >"$work/$name.options"
	qemu-io -c "write -q -s $work/$name.options $(cat "$disk_dir/options.offset") 200" \
		"$work/$name.qcow2" || return 1
	: >"$(console "$name")"
	lab_shown[$name]=0
	lab_xml "$name" "$run" "$set"
	sed -i '/<kernel>/d; /<initrd>/d; /<cmdline>/d' "$work/$name.xml"
}

# lab_baseline_xml NAME RUN SET MIB: the same domain without far memory and VMM.
lab_baseline_xml() {
	lab_xml "$1" "$2" "$3"
	sed -i -e '/<metadata>/,/<\/metadata>/d' -e "s|<memory unit='MiB'>[0-9]*|<memory unit='MiB'>$4|" \
		"$work/$1.xml"
}

console() { echo "$consoles/$1.console"; }

# lab_wait_quietly NAME SECONDS PATTERN: as lab_wait, false without a word when the time is over.
lab_wait_quietly() {
	local end=$((SECONDS + $2))
	while [ $SECONDS -lt $end ]; do
		lab_progress "$1"
		grep -aqE "$3" "$(console "$1")" 2>/dev/null && return 0
		[ "$(virsh domstate "$1" 2>/dev/null)" = running ] || return 1
		sleep 0.5
	done
	return 1
}

# How often the console shows PATTERN is at least COUNT: lab_shows NAME PATTERN COUNT
lab_shows() { [ "$(grep -acE "$2" "$(console "$1")" 2>/dev/null)" -ge "$3" ]; }

# lab_wait NAME SECONDS PATTERN [COUNT]: until COUNT lines (1) of the console have PATTERN. The
# watchdog of every machine: ends with the consoles' tails when the time is over, the domain is gone
# or its kernel gave up.
lab_wait() {
	local name=$1 end=$((SECONDS + $2)) pattern=$3 count=${4:-1} state
	while :; do
		lab_progress "$name"
		lab_shows "$name" "$pattern" "$count" && return 0
		grep -aE 'Kernel panic|^Annex VMM: ' "$(console "$name")" 2>/dev/null && break
		state=$(virsh domstate "$name" 2>/dev/null)
		case $state in
		running | paused) ;;
		*)
			sleep 1 # what the console still says
			lab_progress "$name"
			lab_shows "$name" "$pattern" "$count" && return 0
			say "$name is ${state:-gone}, its console never showed: $pattern"
			break
			;;
		esac
		if [ $SECONDS -ge $end ]; then
			say "$name: watchdog after $2 s, its console did not show: $pattern"
			break
		fi
		sleep 0.5
	done
	lab_tails
	return 1
}

# lab_progress NAME: prints the result lines that are new on the console.
declare -A lab_shown
lab_progress() {
	local line all
	all=$(tr -d '\r' <"$(console "$1")" 2>/dev/null | grep -aE '^(LAB|\|)' |
		tail -n +$((${lab_shown[$1]:-0} + 1)))
	[ -n "$all" ] || return 0
	while IFS= read -r line; do
		lab_shown[$1]=$((${lab_shown[$1]:-0} + 1))
		case $line in "LAB-START"*) ;; *) say "  $1: $line" ;; esac
	done <<<"$all"
}

# lab_results NAME: one line per workload: name, ok or FAIL, seconds, detail (tab separated).
lab_results() {
	tr -d '\r' <"$(console "$1")" | awk '$1 == "LAB" {
		name = $2; state = $3; seconds = $NF
		sub(/^LAB [^ ]+ [^ ]+ /, ""); sub(/ [^ ]+$/, "")
		print name "\t" state "\t" seconds "\t" $0
	}'
}

# lab_table NAME: the results for people.
lab_table() {
	printf '       %-12s %-5s %8s  %s\n' workload "" seconds ""
	lab_results "$1" | awk -F'\t' '{ printf "       %-12s %-5s %8s  %s\n", $1, $2, $3, $4 }'
}

# lab_stat_line NAME: one line of what the VMM counts.
lab_stat_line() {
	local json
	json=$(annex stat "$1" --json 2>/dev/null) || return 0
	say "  annex stat: $(jq -r "$stat_line" <<<"$json" 2>/dev/null)"
}
stat_line='"\(.status.state), \(.rates.fills_per_s | floor) fills/s, " +
	"\(.rates.zero_fills_per_s | floor) zero/s, \(.rates.evictions_per_s | floor) evictions/s, " +
	"\(.rates.writebacks_per_s | floor) write-backs/s, \(.status.far.remote) pages remote, " +
	"fill p50 \(.histogram.remote.total.p50 / 1000 | floor) us"'

lab_off() { # lab_off NAME SECONDS: until the domain is shut off
	local end=$((SECONDS + $2))
	while [ "$(virsh domstate "$1" 2>/dev/null)" != "shut off" ]; do
		[ $SECONDS -lt $end ] || { say "$1 did not power off in $2 s"; return 1; }
		sleep 0.5
	done
}

# What a script of assertions counts; its last line names both.
passed=0 failed=0
ok() {
	passed=$((passed + 1))
	say "ok      $*"
}
not_ok() {
	failed=$((failed + 1))
	say "NOT OK  $*"
}
# check TEXT COMMAND...: one assertion.
check() {
	local text=$1
	shift
	if "$@"; then ok "$text"; else not_ok "$text"; fi
}

# expect_workloads NAME COUNT PREFIX: each workload of the guest is one assertion.
expect_workloads() {
	local name state seconds detail count=0
	while IFS=$'\t' read -r name state seconds detail; do
		count=$((count + 1))
		check "$3: $name: $detail ($seconds s)" [ "$state" = ok ]
	done < <(lab_results "$1")
	check "$3: $2 workloads ran" [ "$count" -eq "$2" ]
}

# A console says it, whatever the case of the letters: NAME PATTERN.
says() { grep -aqiE "$2" "$(console "$1")"; }
not_says() { ! says "$@"; }
