#!/bin/bash
# SPDX-License-Identifier: MIT
# The Intel machine: Debian's own Bochs with VMX and one CPU, started from GRUB, its far memory on a
# real memory server in a virtual machine. Its e1000 is the VMM's, on a tap in the lab's bridge.
#
#   bochs_lab.sh [WORKLOAD[:ARGUMENT]...]    default: numa hello pattern:24
#
# ANNEX_BOCHS_CPUS: guest CPUs; more than one on the Bochs that bochs_build.sh makes.
# Workloads are those of bochs/init. Bochs reads one frame from the tap in a millisecond of its
# virtual time, whose length in instructions is ips=: with few of them frames come early.
set -u
. "$(dirname "$(realpath "$0")")/lab.sh"

run=${*:-numa hello pattern:24}
limit=${ANNEX_BOCHS_LIMIT:-900} # s, from power-on to the last workload
ips=${ANNEX_BOCHS_IPS:-10000000}
text=3 # MiB, for word_count
disk_cylinders=64 # of 504 KiB, for disk_io
guest_cpus=${ANNEX_BOCHS_CPUS:-1}
port=7472 # the management port, on the namespace's own loopback

# pack PROGRAM TARGET: with the libraries it needs.
pack() {
	mkdir -p "$(dirname "$root$2")"
	cp "$1" "$root$2"
	ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -n "$(realpath "$library")" "$root$library"
	done
}

# What Python needs to run a script here, by asking it which modules that loads.
pack_python() {
	local file
	pack "$(realpath /usr/bin/python3)" /bin/python3
	cp "$here/workloads/hello.py" "$root/lab/"
	/usr/bin/python3 -I -S -c '
import runpy, sys
runpy.run_path(sys.argv[1])
for module in list(sys.modules.values()):
    for file in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
        if file:
            print("MODULE", file)
' "$here/workloads/hello.py" | sed -n 's/^MODULE //p' | grep '^/usr/lib/' | while read -r file; do
		[ -f "$file" ] && pack "$file" "$file"
	done
}

# The modules that a disk needs, in the order in which they go in, from the guest's file system.
pack_disk() {
	local image=$guest_dir/disk.img modules list file
	modules=/usr/lib/modules/$(debugfs -R 'ls -p /usr/lib/modules' "$image" 2>/dev/null |
		cut -d/ -f6 | grep '^[0-9]')
	list=$(debugfs -R "cat $modules/modules.dep" "$image" 2>/dev/null | awk -F'[: ]+' '
		$1 ~ /\/(sd_mod|ata_piix)\.ko$/ { for (i = NF; i > 0; i--) if ($i != "" && !seen[$i]++) print $i }')
	mkdir -p "$root/modules"
	for file in $list; do
		debugfs -R "dump $modules/$file $root/modules/${file##*/}" "$image" 2>/dev/null
		echo "/modules/${file##*/}" >>"$root/modules/order"
	done
	[ -s "$root/modules/ata_piix.ko" ]
}

# No distribution, no systemd: a busybox, the workloads and their data. Not compressed: GRUB reads it
# faster than the machine would unpack it.
make_initrd() {
	local source applet
	root=$work/root
	mkdir -p "$root"/{bin,lab,dev,proc,sys}
	cp "$(command -v busybox)" "$root/bin/busybox"
	for applet in $("$root/bin/busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	for source in pattern word_count fork_storm disk_io; do
		gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -s -static \
			-o "$root/lab/$source" "$here/workloads/$source.c" || return 1
	done
	case $run in *word_count*)
		python3 "$here/make_text.py" $text "$root/lab/text" "$root/lab/words" || return 1
		;;
	esac
	case $run in *hello*) pack_python ;; esac
	case $run in *disk_io*) pack_disk || return 1 ;; esac
	install -m 755 "$here/bochs/init" "$root/init"
	(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/initrd"
}

make_iso() {
	cat >"$work/config" <<-END
		far = 64M
		pinned = 224M
		pcache = 12M
		nic = 00:02.0
		address = 10.77.0.9/24
		server = memory1 10.77.0.1
		tenant = 00000000b0c45001
		domain = b0c45000-0000-4000-8000-000000000001
	END
	"$top/vmm/boot/iso.sh" -o "$work/bochs.iso" -v "$build/annex-vmm.elf" -k "$guest_dir/vmlinuz" \
		-i "$work/initrd" -c "$work/config" -p i386-pc \
		-a "console=ttyS0 quiet panic=-1 $bochs_options annex.run=$(tr ' ' , <<<"$run")"
}
# None of these is needed; they save time under emulation.
bochs_options="mitigations=off audit=0 selinux=0 apparmor=0 lsm= tsc=reliable no_timer_check"
bochs_options+=" nowatchdog random.trust_cpu=on nokaslr"

# A tap in the fabric's bridge, for Ethernet's own 1500 bytes: Bochs knows no longer frames.
make_tap() {
	in_lab sh -e <<-END
		ip tuntap add mode tap name bochs0
		ip link set bochs0 mtu 1500 master annexbr0 up
	END
}

# The other end of the management port; it has to be there before the machine, which calls once.
follow_port() {
	in_lab /usr/bin/python3 "$here/vmm_port.py" listen $port "$work/ask" "$work/answers" \
		>"$logs/port.log" 2>&1 &
	followers+=($!)
	for _ in $(seq 100); do
		[ -e "$work/answers" ] && return 0
		sleep 0.1
	done
	return 1
}

start_bochs() {
	local cpus=1 environment=() disk=()
	case $run in
	*disk_io*)
		truncate -s $((disk_cylinders * 16 * 63 * 512)) "$work/disk"
		disk=("ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15"
			"ata1-master: type=disk, path=$work/disk, mode=flat, cylinders=$disk_cylinders, heads=16, spt=63")
		;;
	esac
	if [ "$guest_cpus" -gt 1 ]; then
		cpus=$((guest_cpus + 1)) # the last one is the service core
		environment=("BOCHS=$smp_bochs" BOCHS_NO_RC=1 BOCHS_DISPLAY=nogui)
	fi
	in_lab env "${environment[@]}" "$here/bochs.sh" "$work/machine" "$work/bochs.iso" "$limit" '^LAB-OFF' \
		"megs: 512" \
		"cpu: model=corei7_skylake_x, count=$cpus, ips=$ips, reset_on_triple_fault=0" \
		"error: action=ignore" \
		"pci: enabled=1, chipset=i440fx, slot1=e1000" \
		"${disk[@]}" "e1000: enabled=1, card=0, mac=52:54:00:b0:c4:05, ethmod=tuntap, ethdev=/dev/net/tun:bochs0, script=" \
		"com2: enabled=1, mode=socket-client, dev=localhost:$port" \
		>"$logs/bochs.out" 2>&1 &
	bochs=$!
	followers+=($bochs)
	while [ ! -e "$work/machine/serial" ] && kill -0 $bochs 2>/dev/null; do
		sleep 0.2
	done
	lab_shown[bochs]=0
	ln -s "$work/machine/serial" "$(console bochs)"
}

# Until the console shows PATTERN; the machine's watchdog is bochs.sh's.
wait_bochs() { # wait_bochs PATTERN
	while :; do
		lab_progress bochs
		grep -aqE "$1" "$(console bochs)" 2>/dev/null && return 0
		kill -0 $bochs 2>/dev/null || break
		sleep 0.5
	done
	say "the machine's console never showed: $1"
	cat "$logs/bochs.out"
	lab_tails
	return 1
}

ask() { # ask COMMAND: prints the VMM's answer
	local end=$((SECONDS + 60))
	echo "$1" >"$work/ask.part" && mv "$work/ask.part" "$work/ask"
	while [ $SECONDS -lt $end ]; do
		grep -a '"id":"test".*}$' "$work/answers" && return 0
		sleep 0.5
	done
	return 1
}

counter() { # counter FILTER: a number of the VMM's, -1 when it is not there
	jq -r "$1 // -1" <<<"$counters" 2>/dev/null | grep . || echo -1
}

lab_images || { echo "bochs_lab: images failed" >&2; exit 1; }
[ "$guest_cpus" -eq 1 ] || smp_bochs=$("$here/bochs_build.sh") || exit 1
lab_begin bochs
make_initrd || fail "no initrd"
make_iso || fail "no ISO image"
lab_server memory1 10.77.0.1 128M || fail "annex server provision"
make_tap || fail "no tap"
follow_port || fail "nobody listens to the management port"
start_bochs
check "VMX: the VMM finds its server by the e1000" wait_bochs 'info all servers ready'
check "VMX: the guest's init runs" wait_bochs LAB-BEGIN
check "VMX: all workloads end" wait_bochs LAB-END
count=0
while IFS=$'\t' read -r name state seconds detail; do
	count=$((count + 1))
	check "VMX: $name: $detail ($seconds s of its own)" [ "$state" = ok ]
done < <(lab_results bochs)
check "VMX: every workload ran" [ $count -eq "$(wc -w <<<"$run")" ]
counters=$(ask counters)
echo "$counters" >"$logs/counters.json"
check "VMX: pages went to the server" [ "$(counter .result.far.writebacks)" -gt 100 ]
check "VMX: and came back" [ "$(counter .result.far.remote_fills)" -gt 100 ]
check "VMX: no fill had a wrong checksum" [ "$(counter .result.far.fill_corrupt)" -eq 0 ]
check "VMX: no frame was bad" [ "$(counter .result.nic.receive_errors)" -eq 0 ]
say "       $(counter .result.far.remote_fills) fills, $(counter .result.far.writebacks) write-backs"
kill $bochs 2>/dev/null
echo "bochs: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
