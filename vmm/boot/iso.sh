#!/bin/bash
# SPDX-License-Identifier: MIT
# An ISO image that starts the VMM and a guest from GRUB, with a BIOS and with UEFI.
#
#   iso.sh -o ISO -v VMM -k KERNEL -c CONFIG [-i INITRD] [-a COMMAND-LINE] [-p PLATFORM]
#
# KERNEL is a bzImage, CONFIG the VMM's configuration (docs/configuration.md). COMMAND-LINE is the
# guest's kernel's; `movable_node swiotlb=force numa_balancing=disable` are added where they lack.
# PLATFORM is i386-pc (BIOS) or x86_64-efi; both, if it is not given.
#   -g FILE       a grub.cfg instead of the one written here
#   -x COMMAND    one of GRUB's, before the VMM is loaded (wrmsr 0x1b 0xfee00d00)
#   -f DIRECTORY  more files, copied to /boot/annex of the image
set -eu

usage() {
	sed -n 's/^#   iso.sh/usage: iso.sh/p' "$0" >&2
	exit 2
}
fail() {
	echo "iso.sh: $*" >&2
	exit 1
}

out='' vmm='' kernel='' initrd='' config='' line='' platform='' grub='' more='' command=''
while getopts o:v:k:i:c:a:p:g:f:x: option; do
	case $option in
	o) out=$OPTARG ;;
	v) vmm=$OPTARG ;;
	k) kernel=$OPTARG ;;
	i) initrd=$OPTARG ;;
	c) config=$OPTARG ;;
	a) line=$OPTARG ;;
	p) platform=$OPTARG ;;
	g) grub=$OPTARG ;;
	f) more=$OPTARG ;;
	x) command=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] && [ -n "$out" ] && [ -n "$vmm" ] || usage
[ -n "$grub" ] || { [ -n "$kernel" ] && [ -n "$config" ]; } || usage
for file in "$vmm" ${kernel:+"$kernel"} ${initrd:+"$initrd"} ${config:+"$config"} ${grub:+"$grub"}; do
	[ -r "$file" ] || fail "$file cannot be read"
done
for tool in grub-mkrescue grub-file xorriso mformat; do
	command -v $tool >/dev/null || fail "no $tool here: run make deps"
done
grub-file --is-x86-multiboot2 "$vmm" || fail "$vmm has no multiboot2 header"
case $line in *\'*) fail "the command line has a '" ;; esac
for word in movable_node swiotlb=force numa_balancing=disable; do
	case " $line " in *" $word "*) ;; *) line="${line:+$line }$word" ;; esac
done

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir -p "$directory/tree/boot/grub" "$directory/tree/boot/annex"
files=$directory/tree/boot/annex
[ -z "$more" ] || cp -r "$more"/. "$files/"
cp "$vmm" "$files/annex-vmm.elf"
[ -z "$kernel" ] || cp "$kernel" "$files/kernel"
[ -z "$initrd" ] || cp "$initrd" "$files/initrd"
[ -z "$config" ] || cp "$config" "$files/config"
if [ -n "$grub" ]; then
	cp "$grub" "$directory/tree/boot/grub/grub.cfg"
else
	{
		echo 'set timeout=0'
		echo 'if serial --unit=0 --speed=115200; then terminal_output console serial; fi'
		echo 'insmod all_video'
		echo 'menuentry "Annex" {'
		[ -z "$command" ] || echo "	$command"
		echo '	multiboot2 /boot/annex/annex-vmm.elf'
		# It asked for pixels; a BIOS machine has VGA text, which every guest goes on with.
		echo '	if [ "$grub_platform" = pc ]; then set gfxpayload=text; fi'
		echo "	module2 /boot/annex/kernel kernel '$line'" | sed "s/'//g"
		[ -z "$initrd" ] || echo '	module2 /boot/annex/initrd initrd'
		echo '	module2 /boot/annex/config config'
		echo '}'
	} >"$directory/tree/boot/grub/grub.cfg"
fi
modules='multiboot2 serial terminal iso9660 all_video normal echo test smbios configfile'
modules+=" ${command%% *}"
# grub-mkrescue's own start asks for these.
modules+=' part_acorn part_amiga part_apple part_bsd part_dfly part_dvh part_gpt part_msdos'
modules+=' part_plan part_sun part_sunpc'
case $platform in
'' | x86_64-efi) ;;
i386-pc) modules+=' biosdisk' ;;
*) fail "no platform $platform: i386-pc or x86_64-efi" ;;
esac
grub-mkrescue -o "$out.part" --locales= --fonts= --themes= \
	${platform:+-d "/usr/lib/grub/$platform"} --install-modules="$modules" \
	"$directory/tree" >"$directory/log" 2>&1 || {
	cat "$directory/log" >&2
	fail "grub-mkrescue failed"
}
mv "$out.part" "$out"
