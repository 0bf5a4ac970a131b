#!/bin/bash
# SPDX-License-Identifier: MIT
# The instruction test (tests/itest) under the VMM on QEMU, its far memory on server_live over a
# socket: two guest CPUs, one, and a machine with one CPU.
# And with VMX on Bochs, from a GRUB image, with an e1000 on Bochs' own UDP socket.
# itest.sh [MACHINE...]: two, one, alone, bochs (Debian's, one CPU), bochs_x2 (its APIC left in x2APIC
# mode by GRUB); default: all. Besides: bochs_two, bochs_two_x2 (bochs_build.sh's, two guest CPUs).
set -u
here=$(dirname "$(realpath "$0")")
top=$(dirname "$(dirname "$here")")
build=$(realpath "${BUILD:-$top/build}")
work=$build/lab/itest
logs=$build/logs/itest
port=${ANNEX_ITEST_PORT:-47910}
limit=${ANNEX_ITEST_LIMIT:-240} # s, each machine
far=256M extents=20
pcache=2M push=1100 # pages that push out everything else
pin=256K
passed=0 failed=0 skipped=0 server=
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

config() { # config NIC
	cat <<-END
		far = $far
		pinned = 64M
		pcache = $pcache
		pin = $pin
		nic = $1
		address = 10.77.0.2/24
		server = one 10.77.0.1
		tenant = 0123456789abcdef
		domain = 01234567-89ab-cdef-0123-456789abcdef
	END
}

# prepare NAME NIC OPTIONS: configuration, command line, the server.
prepare() {
	config "$2" >"$work/config"
	printf 'movable_node swiotlb=force numa_balancing=disable itest.push=%s itest.pin=%d %s' \
		"$push" $((${pin%K} / 4)) "$3" >"$work/cmdline"
	"$build/server_live" --local $((port + 1)) --remote "$port" --address 10.77.0.1 \
		--extents "$extents" >"$logs/$1.server" 2>&1 7>&- &
	server=$!
	pids+=("$server")
}

# result NAME: counts what the payload has said, and shows it.
result() {
	local name=$1 log=$logs/$1.console line p f s
	kill $server 2>/dev/null
	wait $server 2>/dev/null
	tr -d '\r' <"$log" | grep -aE '^(ok |NOT OK|skip:|       |  cs |CPU )' | sed "s/^/$name: /"
	line=$(tr -d '\r' <"$log" | grep -aE '^itest: [0-9]+ passed' | tail -n 1)
	if [ -z "$line" ]; then
		echo "NOT OK $name: the payload did not get to its end; its console:"
		tail -n 25 "$log"
		tail -n 5 "$logs/$name.emulator" "$logs/$name.server"
		p=$(grep -ac '^ok ' "$log") f=$(grep -ac '^NOT OK' "$log") s=$(grep -ac '^skip:' "$log")
		f=$((f + 1))
	else
		read -r _ p _ f _ s _ <<<"$line"
	fi
	# A fill that never left the machine would prove nothing.
	if [ "$(grep -oE '[0-9]+ reads' "$logs/$name.server" | cut -d' ' -f1)" -ge 500 ]; then
		p=$((p + 1))
	else
		f=$((f + 1))
		echo "NOT OK $name: the far pages came from the server"
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	echo "$name: $(grep -a 'pushed out' "$log" | tr -d '\r'); $(tail -n 1 "$logs/$name.server")"
}

# qemu NAME OPTIONS QEMU-ARGUMENT...
qemu() {
	local name=$1 log=$logs/$1.console pid
	prepare "$1" 00:10.0 "$2"
	shift 2
	rm -f "$log"
	timeout -k 5 "$limit" qemu-system-x86_64 -accel tcg,thread=multi -m 256 -display none \
		-no-reboot -nodefaults -serial "file:$log" -serial null -kernel "$build/annex-vmm.elf" \
		-fw_cfg name=opt/org.annex/kernel,file="$build/itest/payload.bz" \
		-fw_cfg name=opt/org.annex/config,file="$work/config" \
		-fw_cfg name=opt/org.annex/cmdline,file="$work/cmdline" \
		-netdev socket,id=f,udp=127.0.0.1:$((port + 1)),localaddr=127.0.0.1:"$port" \
		"$@" </dev/null >"$logs/$name.emulator" 2>&1 7>&- &
	pid=$!
	pids+=("$pid")
	while kill -0 $pid 2>/dev/null &&
		! grep -aqE 'boot stopped|Annex VMM: stopped' "$log" 2>/dev/null; do
		sleep 0.3
	done
	sleep 0.3
	kill $pid 2>/dev/null
	wait $pid 2>/dev/null
	result "$name"
}

# bochs NAME OPTIONS [BOCHSRC-LINE...]: Bochs receives on the port that it is told and sends to the
# next one. NAME_x2: as a firmware does that leaves its APIC in x2APIC mode.
bochs() {
	local name=$1 mode=()
	case $name in *_x2) mode=(-x "wrmsr 0x1b 0xfee00d00") ;; esac
	prepare "$1" 00:02.0 "$2"
	shift 2
	"$top/vmm/boot/iso.sh" -o "$work/itest.iso" -v "$build/annex-vmm.elf" -p i386-pc \
		-k "$build/itest/payload.bz" -c "$work/config" -a "$(cat "$work/cmdline")" "${mode[@]}" \
		>"$logs/$name.iso" 2>&1 || { cat "$logs/$name.iso"; failed=$((failed + 1)); return; }
	"$here/bochs.sh" "$work/bochs" "$work/itest.iso" "${ANNEX_ITEST_LIMIT:-900}" \
		'^itest: [0-9]+ passed' "megs: 256" "pci: enabled=1, chipset=i440fx, slot1=e1000" \
		"e1000: enabled=1, card=0, mac=52:54:00:0a:00:02, ethmod=socket, ethdev=$port, script=" \
		"error: action=ignore" "$@" >"$logs/$name.emulator" 2>&1 7>&-
	cp "$work/bochs/serial" "$logs/$name.console"
	result "$name"
}

# Debian 13's Bochs with our change; the last CPU is the service core.
bochs_smp() { # bochs_smp NAME OPTIONS CPUS
	local built
	built=$("$here/bochs_build.sh" 7>&-) || { failed=$((failed + 1)); return; }
	BOCHS=$built BOCHS_NO_RC=1 BOCHS_DISPLAY=nogui bochs "$1" "$2" \
		"cpu: model=corei7_skylake_x, count=$3, ips=25000000, reset_on_triple_fault=0"
}

nic() { echo "-device virtio-net-pci,disable-legacy=on,bus=$1,addr=0x10,netdev=f,romfile="; }
run() { # run NAME
	case $1 in
	# shellcheck disable=SC2046
	two) qemu two "" -M q35 -cpu max,la57=off -smp 3 $(nic pcie.0) ;;
	# shellcheck disable=SC2046
	four) pin=0 # its pcache is the least that four vCPUs must have
		qemu four "" -M q35 -cpu max,la57=off -smp 5 $(nic pcie.0) ;;
	# shellcheck disable=SC2046
	one) qemu one "" -M q35 -cpu max,la57=off -smp 2 $(nic pcie.0) ;;
	# shellcheck disable=SC2046
	alone) qemu alone "" -M pc -cpu max,la57=off -smp 1 $(nic pci.0) ;;
	# one guest CPU that turns the service loop too
	bochs | bochs_x2) bochs "$1" "itest.nic=16" ;;
	bochs_two | bochs_two_x2) bochs_smp "$1" "itest.nic=16" 3 ;;
	*) echo "itest: no machine $1"; exit 1 ;;
	esac
}

[ $# -gt 0 ] || set -- two one alone bochs bochs_x2
for name; do
	run "$name"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
