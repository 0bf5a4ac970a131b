#!/bin/bash
# SPDX-License-Identifier: MIT
# The instruction test (tests/itest) under the VMM on QEMU, its far memory on server_live over a
# socket: two guest CPUs, one, and a machine with one CPU.
# itest.sh [MACHINE...]: two, one, alone, pc; default: all.
set -u
here=$(dirname "$(realpath "$0")")
top=$(dirname "$(dirname "$here")")
build=$(realpath "${BUILD:-$top/build}")
work=$build/lab/itest
logs=$build/logs/itest
port=${ANNEX_ITEST_PORT:-47910}
limit=${ANNEX_ITEST_LIMIT:-240} # s, each machine
far=256M extents=20
pcache=4M push=2048 # pages that push out everything else
passed=0 failed=0 skipped=0
pids=()

mkdir -p "$work" "$logs"
exec 7>"$work/lock"
flock -n 7 || { echo "itest: another run goes on here"; exit 1; }
for f in annex-vmm.elf server_live itest/payload.bz; do
	[ -f "$build/$f" ] || { echo "itest: $build/$f is not built"; exit 1; }
done
end() {
	local pid
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
}
trap end EXIT
trap 'exit 130' INT TERM

config="far = $far
pinned = 64M
pcache = $pcache
nic = 00:10.0
address = 10.77.0.2/24
server = one 10.77.0.1
tenant = 0123456789abcdef
domain = 01234567-89ab-cdef-0123-456789abcdef"

# machine NAME OPTIONS QEMU-ARGUMENT...: one run of the payload.
machine() {
	local name=$1 options=$2 log=$logs/$1.console server qemu line p f s
	shift 2
	echo "$config" >"$work/config"
	printf 'movable_node swiotlb=force numa_balancing=disable itest.push=%s %s' "$push" \
		"$options" >"$work/cmdline"
	rm -f "$log"
	"$build/server_live" --local "$port" --remote $((port + 1)) --address 10.77.0.1 \
		--extents "$extents" >"$logs/$name.server" 2>&1 7>&- &
	server=$!
	pids+=("$server")
	timeout -k 5 "$limit" qemu-system-x86_64 -accel tcg,thread=multi -m 256 -display none \
		-no-reboot -nodefaults -serial "file:$log" -serial null -kernel "$build/annex-vmm.elf" \
		-fw_cfg name=opt/org.annex/kernel,file="$build/itest/payload.bz" \
		-fw_cfg name=opt/org.annex/config,file="$work/config" \
		-fw_cfg name=opt/org.annex/cmdline,file="$work/cmdline" \
		-netdev socket,id=f,udp=127.0.0.1:"$port",localaddr=127.0.0.1:$((port + 1)) \
		"$@" </dev/null >"$logs/$name.qemu" 2>&1 7>&- &
	qemu=$!
	pids+=("$qemu")
	while kill -0 $qemu 2>/dev/null && ! grep -aqE 'boot stopped|Annex VMM: stopped' "$log" 2>/dev/null; do
		sleep 0.3
	done
	sleep 0.3
	kill $qemu 2>/dev/null
	wait $qemu 2>/dev/null
	kill $server 2>/dev/null
	wait $server 2>/dev/null
	tr -d '\r' <"$log" | grep -aE '^(ok |NOT OK|skip:|       got|  cs |CPU )' | sed "s/^/$name: /"
	line=$(tr -d '\r' <"$log" | grep -aE '^itest: [0-9]+ passed' | tail -n 1)
	if [ -z "$line" ]; then
		echo "NOT OK $name: the payload did not get to its end; its console:"
		tail -n 25 "$log"
		tail -n 5 "$logs/$name.qemu" "$logs/$name.server"
		failed=$((failed + 1))
		p=$(grep -ac '^ok ' "$log") f=$(grep -ac '^NOT OK' "$log") s=$(grep -ac '^skip:' "$log")
	else
		read -r _ p _ f _ s _ <<<"$line"
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	grep -a 'pushed out' "$log"
	cat "$logs/$name.server"
}

nic() { echo "-device virtio-net-pci,disable-legacy=on,bus=$1,addr=0x10,netdev=f,romfile="; }
run() { # run NAME
	case $1 in
	# shellcheck disable=SC2046
	two) machine two "" -M q35 -cpu max,la57=off -smp 3 $(nic pcie.0) ;;
	# shellcheck disable=SC2046
	one) machine one "itest.unwatched=1" -M q35 -cpu max,la57=off -smp 2 $(nic pcie.0) ;;
	# shellcheck disable=SC2046
	alone) machine alone "itest.unwatched=1" -M pc -cpu max,la57=off -smp 1 $(nic pci.0) ;;
	*) echo "itest: no machine $1"; exit 1 ;;
	esac
}

[ $# -gt 0 ] || set -- two one alone
for name; do
	run "$name"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
