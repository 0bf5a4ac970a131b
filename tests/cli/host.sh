# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# annex host install-boot, on a system below a directory and, in a mount namespace, on this one with
# /boot and /etc/grub.d exchanged. Sourced by run.sh.

# host_system DIRECTORY: two kernels, the newer one with an initrd; GRUB; a running kernel.
host_system() {
	rm -rf "$1"
	mkdir -p "$1/etc/grub.d" "$1/etc/annex" "$1/boot" "$1/proc"
	cp "$kernel" "$1/boot/vmlinuz-6.1.0-9-amd64"
	cp "$kernel" "$1/boot/vmlinuz-6.1.0-10-amd64"
	for file in 6.1.0-10-amd64.old 7.dpkg-new 7.rpmsave 7.rpmnew 7~ 7.bak "7 x"; do
		cp "$kernel" "$1/boot/vmlinuz-$file"
	done
	mkdir "$1/boot/vmlinuz-7"
	echo initrd >"$1/boot/initrd.img-6.1.0-10-amd64"
	cp "$top/docs/examples/annex.conf" "$1/etc/annex/boot.conf"
	echo "BOOT_IMAGE=/vmlinuz-6.1.0-9-amd64 root=UUID=0-1 ro quiet" >"$1/proc/cmdline"
}

host_errors() {
	local root=$work/host word
	host_system "$root"
	expect "install-boot: too many words" 2 "usage: annex host install-boot" host install-boot a b
	expect "host alone" 2 "needs a second word" host
	expect "host, unknown" 2 "unknown command host frob" host frob
	expect "install-boot: nothing to remove" 3 "nothing to remove" host install-boot remove \
		--root "$root"
	expect "install-boot: no such configuration" 3 "cannot read the configuration /none" \
		host install-boot /none --root "$root"
	sed 's/^far = .*/far = 10M/' "$root/etc/annex/boot.conf" >"$work/bad.conf"
	expect "install-boot: what the VMM would refuse" 6 \
		"the VMM would refuse it: config line 2: far = 10M: must be a multiple of 16M" \
		host install-boot "$work/bad.conf" --root "$root"
	sed '/^tenant/d' "$root/etc/annex/boot.conf" >"$work/bad.conf"
	expect "install-boot: a key is missing" 6 "key tenant is missing" \
		host install-boot "$work/bad.conf" --root "$root"
	expect "install-boot: no such VMM" 3 "cannot read the VMM /none" host install-boot \
		--vmm /none --root "$root"
	expect "install-boot: no VMM" 6 "not an ELF file" host install-boot --vmm "$kernel" \
		--root "$root"
	expect "install-boot: no such kernel" 3 "cannot read the kernel $root/boot/vmlinuz-8" \
		host install-boot --kernel /boot/vmlinuz-8 --root "$root"
	expect "install-boot: no kernel of Linux" 6 "no Linux bzImage" host install-boot \
		--kernel /boot/initrd.img-6.1.0-10-amd64 --root "$root"
	expect "install-boot: a kernel elsewhere" 6 "does not lie below /boot" host install-boot \
		--kernel /vmlinuz --root "$root"
	expect "install-boot: what GRUB would change" 6 "has a ;" host install-boot \
		--cmdline 'root=/dev/sda1 a;b' --root "$root"
	for word in 'a#b' '*' 'a?' 'a[0]'; do
		expect "install-boot: GRUB would change $word" 6 "which GRUB would take for its own" \
			host install-boot --root "$root" --cmdline "root=/dev/sda1 $word"
	done
	expect "install-boot: a forbidden word" 6 "the kernel's command line has mem=" \
		host install-boot --cmdline 'root=/dev/sda1 mem=1G' --root "$root"
	rm "$root/proc/cmdline"
	expect "install-boot: no running kernel" 3 "with --cmdline" host install-boot --root "$root"
	rm "$root"/boot/vmlinuz-[0-689]*
	expect "install-boot: no kernel at all" 3 "there is no kernel /boot/vmlinuz-*" \
		host install-boot --cmdline root=/dev/sda1 --root "$root"
	rmdir "$root/etc/grub.d"
	expect "install-boot: no GRUB" 3 "GRUB is not installed here" host install-boot --root "$root"
	host_system "$root"
	chmod 755 "$work"
	if setpriv --reuid 65534 --clear-groups "$build/annex" host install-boot --root "$root" \
		>"$work/out" 2>"$work/err" || ! grep -q "only root can" "$work/err"; then
		fail "install-boot: not root" "$(cat "$work/out" "$work/err")"
	else
		pass "install-boot: not root"
	fi
}

host_install() {
	local root=$work/host script=$work/host/etc/grub.d/42_annex
	host_system "$root"
	find "$root" | sort >"$work/before"
	json "install-boot: a dry run" '.state == "dry-run" and .follows_newest and .ran == null and
		.kernel == "/boot/vmlinuz-6.1.0-10-amd64" and .initrd == "/boot/initrd.img-6.1.0-10-amd64"
		and .cmdline == "root=UUID=0-1 ro quiet movable_node swiotlb=force numa_balancing=disable"
		and (.files | length) == 3 and (.script | contains("multiboot2"))' \
		host install-boot --root "$root" --dry-run
	find "$root" | sort >"$work/after"
	same "a dry run does nothing" "$work/before" "$work/after"
	expect "a dry run shows the script" 0 "prepare_grub_to_access_device" host install-boot \
		--root "$root" --dry-run
	expect "install-boot" 0 "wrote $script" host install-boot --root "$root"
	cmp -s "$build/annex-vmm.elf" "$root/boot/annex/annex-vmm.elf" &&
		cmp -s "$root/etc/annex/boot.conf" "$root/boot/annex/config" && [ -x "$script" ] &&
		[ "$(stat -c %a "$root/boot/annex/config")" = 600 ] &&
		pass "install-boot: the files are there" ||
		fail "install-boot: the files are there" "$(find "$root" -ls)"
	expect "install-boot remove, dry" 0 "would remove $script" host install-boot remove \
		--root "$root" --dry-run
	[ -x "$script" ] && pass "a dry remove does nothing" || fail "a dry remove does nothing"
	json "install-boot again, a kernel named" '.follows_newest == false and .initrd == null' \
		host install-boot --root "$root" --kernel /boot/vmlinuz-6.1.0-9-amd64
	json "install-boot remove" '.state == "removed" and (.files | length) == 3' \
		host install-boot remove --root "$root"
	find "$root" | sort >"$work/after"
	same "install-boot remove leaves nothing" "$work/before" "$work/after"
}

# The newest kernel is the same one for the command and for the script that it writes.
host_newest() {
	local root=$work/newest names name script chosen wrong=
	host_system "$root"
	while read -ra names; do
		rm -rf "$root"/boot/vmlinuz-*
		for name in "${names[@]}"; do cp "$kernel" "$root/boot/vmlinuz-$name"; done
		run host install-boot --root "$root" --dry-run --json
		chosen=$(jq -r .kernel <<<"$out")
		script=$(jq -r .script <<<"$out" | sed -n '/^if .*kernel/,/^fi$/p')
		[ "$chosen" = "/boot/vmlinuz-${names[0]}" ] && [ "$chosen" = "$(unshare -m sh -c \
			"mount --bind $root/boot /boot && kernel= && $script; echo \$kernel")" ] ||
			wrong+="of ${names[*]}: $chosen; $out $err"
	done <<-'END'
		6.1.0-10-amd64 6.1.0-9-amd64 6.1.0-10-amd64.old
		6.1.0-9-amd64.old 6.1.0-8-amd64 6.0.0-10-amd64
		6.10 6.9 6.10~rc1 6.10.old 6.11~ 6.12.bak 6.12.dpkg-dist
		6.1-rc1 6.1 6.1~rc2
		6.1-a 6.1+a 6.1 6.1a
		6.1_b 6.1.b 6.1b 6.1B
		6.1 6.01 6.001 5.99999999999999999999
		old 6 6.old
		6.1.0-10-cloud-amd64 6.1.0-10-amd64 6.1.0-10-686
	END
	[ -z "$wrong" ] && pass "install-boot: script and command choose the same kernel" ||
		fail "install-boot: script and command choose the same kernel" "$wrong"
}

# As it is without --root: update-grub is run, and what the script prints is GRUB's language.
host_here() {
	local root=$work/host tools=$work/host-tools
	host_system "$root"
	mkdir -p "$tools"
	cat >"$tools/update-grub" <<-'END'
		#!/bin/sh
		# What grub-mkconfig does with our script; the devices are this test's.
		echo generating
		export grub_mkrelpath=/bin/echo grub_probe="${0%/*}/probe"
		[ ! -x /etc/grub.d/42_annex ] || /etc/grub.d/42_annex >"${0%/*}/menu"
	END
	cat >"$tools/probe" <<-'END'
		#!/bin/sh
		case "$*" in *=device*) echo /dev/sda1 ;; *=partmap) echo gpt ;; *=fs) echo ext2 ;;
		*=fs_uuid) echo 0123-4567 ;; *) ;; esac
	END
	chmod +x "$tools"/*
	cat >"$tools/in" <<-END
		set -e
		mount --make-rprivate /
		mount --bind $root/boot /boot
		mount --bind $root/etc/grub.d /etc/grub.d
		PATH=$tools:\$PATH $build/annex host install-boot $root/etc/annex/boot.conf \\
			--cmdline "root=UUID=0-1 ro" --json
		rm -f $root/boot/vmlinuz-6.1.0-9-amd64
		cp $tools/menu $tools/menu.first
		# A newer kernel comes: the entry follows.
		mv $root/boot/vmlinuz-6.1.0-10-amd64 $root/boot/vmlinuz-6.1.0-11-amd64
		$tools/update-grub >&2
		PATH=$tools:\$PATH $build/annex host install-boot remove --json
	END
	unshare -m sh "$tools/in" >"$work/out" 2>"$work/err" || {
		fail "install-boot on this machine" "$(cat "$work/out" "$work/err")"
		return
	}
	[ "$(jq -rs 'map(.state + " " + .ran) | join(",")' "$work/out")" = \
		"installed $tools/update-grub,removed $tools/update-grub" ] &&
		grep -q generating "$work/err" && pass "install-boot runs update-grub" ||
		fail "install-boot runs update-grub" "$(cat "$work/out" "$work/err")"
	grub-script-check "$tools/menu.first" && grub-script-check "$tools/menu" && pass "the entry is GRUB's language" ||
		fail "the entry is GRUB's language" "$(cat "$tools/menu.first")"
	sed -i 's/^\t*//' "$tools/menu.first"
	cat >"$work/wanted" <<-'END'
		menuentry 'Linux 6.1.0-10-amd64 on Annex' --class annex --id annex {
			insmod part_gpt
			insmod ext2
			search --no-floppy --fs-uuid --set=root 0123-4567
			if [ "$grub_platform" = efi ]; then insmod all_video; fi
			multiboot2 /boot/annex/annex-vmm.elf
			if [ "$grub_platform" = pc ]; then set gfxpayload=text; fi
			module2 /boot/vmlinuz-6.1.0-10-amd64 kernel root=UUID=0-1 ro movable_node swiotlb=force numa_balancing=disable
			module2 /boot/initrd.img-6.1.0-10-amd64 initrd
			module2 /boot/annex/config config
		}
	END
	same "the entry is what it should be" "$work/wanted" "$tools/menu.first"
	grep -q 'module2 /boot/vmlinuz-6.1.0-11-amd64 kernel' "$tools/menu" &&
		! grep -q initrd "$tools/menu" && pass "the entry follows a newer kernel" ||
		fail "the entry follows a newer kernel" "$(cat "$tools/menu")"
}
