#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots that the VMM must refuse, each with a line on its console that says what to do; and boots
# that must get as far as asking for the memory server, on both machine types, by PVH and from GRUB
# with a BIOS and with UEFI.
# boot.sh [TEXT]: only those whose description has TEXT.
set -u
here=$(dirname "$(realpath "$0")")
top=$(dirname "$(dirname "$here")")
build=$(realpath "${BUILD:-$top/build}")
work=$build/lab/boot
vmm=$build/annex-vmm.elf
limit=60 # s, each: a loaded machine is slow
only=${1:-} # run only the boots whose text has this
passed=0 failed=0

[ -f "$vmm" ] || { echo "boot: $vmm is not built"; exit 1; }
kernel=$("$here/image.sh" server)/vmlinuz || exit 1
rm -rf "$work"
mkdir -p "$work"

good='far = 64M
pinned = 256M
nic = 00:10.0
address = 10.77.0.2/24
server = one 10.77.0.1
tenant = 0123456789abcdef
domain = 01234567-89ab-cdef-0123-456789abcdef'
line='console=ttyS0 movable_node swiotlb=force numa_balancing=disable'

# What a case changes; reset before each. tells: what the management port must answer to `status` in the
# end; plant: a function of the VMM that is made to fault once the pattern is there. With grub=NAME the modules of that name's entry are loaded
# by GRUB (grub_entry), with uefi=1 under UEFI.
defaults() {
	grub='' uefi='' tells='' plant=''
	machine=q35 bus=pcie.0 smp=2 memory=512 cpu=max,la57=off
	nic=virtio-net-pci,disable-legacy=on,romfile= net=restrict=on files=(kernel config cmdline)
	cp "$kernel" "$work/kernel"
	echo "$good" >"$work/config"
	printf '%s' "$line" >"$work/cmdline"
}

# boot TEXT PATTERN: the console must show the pattern.
boot() {
	local text=$1 pattern=$2 log=$work/console pid end=$((SECONDS + limit)) f arguments=() port=null
	for f in "${files[@]}"; do
		arguments+=(-fw_cfg "name=opt/org.annex/$f,file=$work/$f")
	done
	if [ -n "$only" ] && [[ $text != *$only* ]]; then
		defaults
		return
	fi
	rm -f "$log"
	[ -n "$tells" ] && port=unix:$work/port,server=on,wait=off
	if [ -n "$grub" ]; then
		arguments=(-cdrom "$work/grub.iso" -smbios "type=1,serial=$grub")
	else
		arguments=(-kernel "$vmm" "${arguments[@]}")
	fi
	if [ -n "$uefi" ]; then
		cp /usr/share/OVMF/OVMF_VARS_4M.fd "$work/variables"
		arguments+=(-drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd
			-drive "if=pflash,format=raw,file=$work/variables" -device VGA)
	fi
	qemu-system-x86_64 -accel tcg,thread=multi -M $machine -cpu $cpu -smp $smp -m $memory \
		-display none -no-reboot -nodefaults -serial "file:$log" \
		-serial "$port" \
		"${arguments[@]}" -gdb "unix:$work/gdb,server=on,wait=off" \
		-device $nic,bus=$bus,addr=0x10,netdev=f -netdev user,id=f,$net \
		</dev/null >"$work/qemu" 2>&1 &
	pid=$!
	until grep -aqE "$pattern" "$log" 2>/dev/null; do
		if [ $SECONDS -ge $end ] || ! kill -0 $pid 2>/dev/null ||
			grep -aqE 'boot stopped|panic' "$log" 2>/dev/null; then
			sleep 0.2
			break
		fi
		sleep 0.1
	done
	rm -f "$work/answer"
	[ -n "$plant" ] && plant_fault "$plant"
	[ -n "$tells" ] && python3 "$here/vmm_port.py" ask "$work/port" status >"$work/answer" 2>&1
	kill $pid 2>/dev/null
	wait $pid 2>/dev/null
	if [ -n "$tells" ] && ! grep -qE "$tells" "$work/answer"; then
		failed=$((failed + 1))
		echo "NOT OK  $text: the management port should tell \"$tells\""
		tail -n 5 "$log" "$work/answer" 2>/dev/null
	elif grep -aqE "$pattern" "$log" 2>/dev/null; then
		passed=$((passed + 1))
		echo "ok      $text"
	else
		failed=$((failed + 1))
		echo "NOT OK  $text: wanted \"$pattern\""
		tail -n 5 "$log" "$work/qemu" 2>/dev/null
	fi
	defaults
}

plant_fault() { # plant_fault FUNCTION: ud2 at its start
	local address
	address=$(nm "$build/annex-vmm.debug" | awk -v f="$1" '$3 == f { print $1 }')
	python3 "$here/vmm_port.py" plant "$work/gdb" "$address" 0f0b 2>>"$work/qemu"
	for _ in $(seq 50); do
		grep -aq 'Annex VMM: stopped' "$work/console" && break
		sleep 0.1
	done
}

# One image for all boots from GRUB: the machine's serial number names the entry.
grub_image() {
	local files=$work/grub
	mkdir -p "$files"
	cat >"$files/grub.cfg" <<-'END'
		set timeout=0
		if serial --unit=0 --speed=115200; then terminal_output serial; fi
		insmod all_video
		smbios --type 1 --get-string 7 --set entry
		multiboot2 /boot/annex/annex-vmm.elf
		if [ "$grub_platform" = pc ]; then set gfxpayload=text; fi
		source "/boot/annex/$entry.cfg"
		boot
	END
	mkdir -p "$files/more"
	head -c 5000000 "$kernel" >"$files/more/short"
	echo 'far = 10M' >"$files/more/wrong"
	grub_entry good "kernel kernel $line" 'initrd initrd' 'config config'
	grub_entry no_kernel 'initrd initrd' 'config config'
	grub_entry no_config "kernel kernel $line"
	grub_entry unknown "kernel kernel $line" 'config configuration'
	grub_entry nameless "kernel"
	grub_entry two "kernel kernel $line" 'config config' 'short kernel'
	grub_entry short "short kernel $line" 'config config'
	grub_entry wrong "kernel kernel $line" 'wrong config'
	grub_entry bare 'kernel kernel console=ttyS0' 'config config'
	{
		echo "$good"
		echo 'boot = disk'
	} >"$files/more/own_disk"
	grub_entry own_disk 'own_disk config'
	grub_entry tiny "kernel kernel $line" 'config initrd' 'config config'
	"$top/vmm/boot/iso.sh" -o "$work/grub.iso" -v "$vmm" -k "$kernel" -i "$kernel" \
		-c "$work/config" -g "$files/grub.cfg" -f "$files/more"
}
grub_entry() { # grub_entry NAME 'FILE WORD...'...
	local name=$1 module
	shift
	for module in "$@"; do
		echo "module2 /boot/annex/${module%% *} ${module#"${module%% *}"}"
	done >"$work/grub/more/$name.cfg"
}

refused() { boot "refused: $1" "boot stopped: .*$2"; }
change() { sed -i "s|^$1 = .*|$1 = $2|" "$work/config"; }

defaults
boot "q35 gets as far as its server" 'waiting for server one .*resolving'
machine=pc bus=pci.0
boot "i440fx gets as far as its server" 'waiting for server one .*resolving'
cpu=qemu64,+svm,+npt
boot "a CPU without 1 GiB pages" 'waiting for server one .*resolving'
smp=17
boot "16 guest CPUs" 'waiting for server one .*resolving'
smp=1
boot "one CPU" 'cpu: one CPU, the guest.s'

tells='"state":"stopped","reason":"exception 6, error 0, rip [0-9a-f]+"' plant=fabric_turn
boot "a fault of the VMM is told" 'waiting for server one .*resolving'
tells='"state":"booting","reason":"waiting for server one'
boot "what the boot waits for is told" 'waiting for server one .*resolving'

echo 'boot = disk' >>"$work/config"
files=(config)
boot "the guest's own disk" 'waiting for server one .*resolving'
echo 'boot = tape' >>"$work/config"
refused "an unknown way to boot" 'config line 8: boot = tape: must be kernel or disk'

# The network answers for the server's address: the card sends, receives and filters.
answers=restrict=on,net=10.77.0.0/24,host=10.77.0.1
net=$answers
boot "a server's host that answers" 'waiting for server one .*connecting'
nic=e1000,romfile= net=$answers
boot "e1000 (82540EM), q35" 'waiting for server one .*connecting'
nic=e1000 net=$answers machine=pc bus=pci.0
boot "e1000 with its ROM, i440fx" 'waiting for server one .*connecting'
nic=e1000-82545em,romfile= net=$answers smp=1
boot "e1000 (82545EM), one CPU" 'waiting for server one .*connecting'

files=(config cmdline)
refused "no kernel" 'fw_cfg has no file opt/org.annex/kernel'
files=(kernel cmdline)
refused "no configuration" 'fw_cfg has no file opt/org.annex/config'
files=(kernel config)
refused "no command line" 'fw_cfg has no file opt/org.annex/cmdline'
head -c 100000 /dev/zero >"$work/kernel"
refused "a kernel that is none" 'no bzImage'
head -c 300 "$kernel" >"$work/kernel"
refused "a kernel of 300 bytes" 'no bzImage: only 300 bytes'
head -c 9000 "$kernel" >"$work/kernel"
refused "a kernel cut short" 'cut short'
printf '\x00\x02' | dd of="$work/kernel" bs=1 seek=$((0x206)) conv=notrunc status=none
refused "a kernel of an older protocol" 'boot protocol 2.00; 2.12'
printf '\x00\x00' | dd of="$work/kernel" bs=1 seek=$((0x236)) conv=notrunc status=none
refused "a 32-bit kernel" 'XLF_KERNEL_64'
printf 'console=ttyS0 swiotlb=force' >"$work/cmdline"
refused "no movable_node" 'lacks .movable_node'
printf 'console=ttyS0 movable_node swiotlb=32768,noforce' >"$work/cmdline"
refused "no swiotlb=force" 'lacks .swiotlb=force'
head -c 3000 /dev/zero | tr '\0' x >"$work/cmdline"
refused "a command line of 3000 bytes" 'command line has 3000 bytes'
files=(kernel config cmdline initrd)
head -c 400M /dev/zero >"$work/initrd"
refused "an initrd that is too large" 'no room for the initrd of 401 MiB'
rm -f "$work/initrd"

# QEMU's own network has a gateway, which answers the probe.
change address 10.0.2.2/24
change server 'one 10.0.2.9'
tells='"state":"refused","reason":"address = 10.0.2.2: '
refused "an address that somebody has" 'address = 10.0.2.2: 52:55:0a:00:02:02 has it already'
change far 10M
tells='"state":"refused","reason":"config line 1: far = 10M: must be'
refused "a wrong value" 'config line 1: far = 10M: must be a multiple of 16M'
echo 'colour = red' >>"$work/config"
refused "an unknown key" 'config line 8: colour = red: unknown key'
sed -i '/^server/d' "$work/config"
refused "no server" 'key server is missing'
change pinned 500M
refused "too little local memory" 'local memory is too small'
change far 64G
memory=1024 cpu=max,la57=off,phys-bits=36
refused "no address space for the window" 'no room for a far window of 65536 MiB.*set a smaller .far'
change pinned 32M
refused "too little pinned memory" 'at least 64 MiB'

change nic 00:11.0
refused "no NIC there" '00:11.0: there is no device'
change nic 00:00.0
refused "another device there" '00:00.0: found 8086:29c0, not a modern-only'
change nic 01:00.0
refused "a NIC behind a bridge" 'must lie on the root bus'
nic=virtio-net-pci,disable-legacy=off,romfile=
refused "a transitional NIC" 'found 1af4:1000, not a modern-only'
nic=rtl8139,romfile=
refused "another card" 'found 10ec:8139, not .*82540EM'

smp=18
refused "17 guest CPUs" 'more than 17 CPUs.*<vcpu>17'
cpu=max,la57=off,svm=off
refused "a CPU without SVM" 'lacks .*SVM'
cpu=max,la57=off,npt=off
refused "a CPU without nested paging" 'lacks .*nested'

grub_image || failed=$((failed + 1))
grub=good
boot "GRUB, q35" 'waiting for server one .*resolving'
grub=good machine=pc bus=pci.0 smp=1
boot "GRUB, i440fx, one CPU" 'waiting for server one .*resolving'
grub=good uefi=1 smp=4
boot "GRUB, UEFI, three guest CPUs" 'waiting for server one .*resolving'
grub=good uefi=1
boot "GRUB, UEFI: the guest hears of the screen" 'info screen: [0-9]+x[0-9]+, (24|32) bits'
grub=no_kernel
refused "GRUB, no kernel" 'the loader gave no module .kernel'
grub=no_config
refused "GRUB, no configuration" 'the loader gave no module .config'
grub=unknown
refused "GRUB, an unknown module" 'a module is called "configuration"'
grub=nameless
refused "GRUB, a module without a word" 'a module is called ""'
grub=two
refused "GRUB, two kernels" 'two modules are called .kernel'
grub=short
refused "GRUB, a kernel cut short" 'cut short'
grub=wrong
refused "GRUB, a wrong value" 'config line 1: far = 10M'
grub=bare
refused "GRUB, no movable_node" 'lacks .movable_node'
grub=own_disk uefi=1
refused "GRUB, UEFI, the guest's own disk" 'not started by a BIOS'
grub=tiny uefi=1 memory=256
refused "GRUB, UEFI, too little local memory" 'local memory is too small'

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
