#!/bin/bash
# SPDX-License-Identifier: MIT
# The lab's guest, started from GRUB instead of by libvirt: the same domain, but its firmware boots
# an ISO image with the VMM, the guest's kernel and the configuration.
#
#   iso.sh [PART...]    parts: bios uefi   (default: all)
set -u
. "$(dirname "$(realpath "$0")")/lab.sh"

# define FIRMWARE RUN SET: the guest as annex defines it, then rewritten to start from its image.
define() {
	local firmware=$1 state
	lab_disk guest
	lab_xml guest "$2" "$3"
	# UEFI keeps some local memory for itself.
	[ "$firmware" = bios ] || sed -i "s|<memory unit='MiB'>[0-9]*|<memory unit='MiB'>400|" "$work/guest.xml"
	annex guest define "$work/guest.xml" >"$logs/guest.define" 2>&1 || {
		cat "$logs/guest.define"
		return 1
	}
	state=$(echo "$ANNEX_STATE"/guests/*) # this one only
	"$top/vmm/boot/iso.sh" -o "$work/guest.iso" -v "$build/annex-vmm.elf" \
		-k "$guest_dir/vmlinuz" -i "$guest_dir/initrd.img" -c "$state/config" \
		-a "$(cat "$state/cmdline")" || return 1
	virsh dumpxml guest --inactive >"$work/defined.xml" || return 1
	python3 - "$firmware" "$work" <<-'END' >"$work/iso.xml" || return 1
		import sys
		import xml.etree.ElementTree as tree

		firmware, work = sys.argv[1:]
		domain = tree.parse(work + "/defined.xml").getroot()
		system = domain.find("os")
		system.remove(system.find("kernel"))
		if firmware == "uefi":
		    loader = tree.SubElement(system, "loader", readonly="yes", type="pflash")
		    loader.text = "/usr/share/OVMF/OVMF_CODE_4M.fd"
		    variables = tree.SubElement(system, "nvram", template="/usr/share/OVMF/OVMF_VARS_4M.fd")
		    variables.text = work + "/guest.nvram"
		tree.SubElement(system, "boot", dev="cdrom")
		for info in domain.findall("sysinfo"):
		    domain.remove(info)
		devices = domain.find("devices")
		disk = tree.SubElement(devices, "disk", type="file", device="cdrom")
		tree.SubElement(disk, "driver", name="qemu", type="raw")
		tree.SubElement(disk, "source", file=work + "/guest.iso")
		tree.SubElement(disk, "target", dev="sda", bus="sata")
		tree.SubElement(disk, "readonly")
		if firmware == "uefi":
		    video = tree.SubElement(devices, "video")
		    tree.SubElement(video, "model", type="vga")
		print(tree.tostring(domain, encoding="unicode"))
	END
	rm -f "$work/guest.nvram"
	virsh define "$work/iso.xml" >/dev/null
}

workloads=hello,numa,dict,word_count,fork_storm,pattern,disk_io

run_all() { # run_all FIRMWARE TEXT
	define "$1" $workloads x:1 || { check "$2: defined" false; return; }
	virsh start guest || { check "$2: virsh start" false; return; }
	lab_wait guest 600 LAB-END
	check "$2: the loader gave the modules" says guest 'info module: initrd'
	expect_workloads guest 7 "$2"
	check "$2: the guest's kernel complains of nothing" \
		not_says guest 'Dazed and confused|BUG:|Oops|WARNING:|soft lockup|detected stalls'
	check "$2: the guest powers off" lab_off guest 60
	virsh destroy guest 2>/dev/null
}

part_bios() { run_all bios "GRUB, BIOS"; }

part_uefi() {
	run_all uefi "GRUB, UEFI"
	check "GRUB, UEFI: the guest was told of the screen" says guest 'info screen: [0-9]+x[0-9]+'
}

parts=${*:-bios uefi}
lab_images || { echo "iso: images failed" >&2; exit 1; }
lab_begin iso
lab_server memory1 10.77.0.1 640M || fail "annex server provision"
for part in $parts; do
	say "-- $part"
	"part_$part"
done
echo "iso: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
