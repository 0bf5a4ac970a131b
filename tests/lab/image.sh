#!/bin/bash
# SPDX-License-Identifier: MIT
# Images for the lab, made with the machine's own apt configuration and kept in
# ${ANNEX_CACHE:-~/.cache/annex}, named by a hash of what they are made of.
#
#   image.sh guest    a stock Debian with our workloads; prints a directory with
#                     vmlinuz, initrd.img, disk.img
#   image.sh server   the stock generic kernel for memory-server appliances; prints a directory
#                     with vmlinuz and modules/
#   image.sh disk     the guest again, with its own GRUB and kernel on a partitioned disk, and in /root
#                     the packages of a newer kernel; prints a directory with disk.img, and
#                     options.offset, where 200 characters of the kernel command line lie
#   image.sh kernel RELEASE FLAVOUR
#                     another stock kernel for the guest: of bookworm or trixie, amd64 or
#                     cloud-amd64; prints a directory with vmlinuz and initrd.img
set -euo pipefail
# The caller's open files would push mmdebstrap's beyond 9, and dash, which has to write to one of
# them, knows numbers of one digit.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 9>&-
here=$(dirname "$(realpath "$0")")
cache=${ANNEX_CACHE:-${HOME:-/root}/.cache/annex}
text_mib=${ANNEX_TEXT_MIB:-96}
mkdir -p "$cache"

note() { echo "image: $*" >&2; }
fail() {
	note "$*"
	exit 1
}
hash_of() { sha256sum | cut -c1-12; }

# Debian's own entries of the machine's apt sources, for the release that runs here.
sources() {
	local codename
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	apt-get indextargets --format '$(ORIGIN)|$(SITE)|$(RELEASE)|$(COMPONENT)' \
		'Created-By: Packages' | awk -F'|' -v c="$codename" '
		$1 == "Debian" && ($3 == c || $3 == c "-updates" || $3 == c "-security") &&
			$4 == "main" { print "deb " $2 " " $3 " " $4 }' | sort -u
}

newer=trixie # the release that the newer kernels are from

# apt_of RELEASE COMMAND...: apt on that release's packages at the machine's own mirror.
apt_of() {
	local release=$1 dir=$cache/apt-$1 command=$2
	shift 2
	if [ ! -f "$dir/sources.list" ]; then
		rm -rf "$dir"
		mkdir -p "$dir/lists/partial" "$dir/archives/partial"
		sources | awk -v r="$release" '$3 !~ /-/ { $3 = r; print }' >"$dir/sources.part"
		[ -s "$dir/sources.part" ] || fail "apt has no Debian source for this release"
		apt-get -qq -o "Dir::Etc::sourcelist=$dir/sources.part" "${apt_options[@]}" \
			-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir" update >&2 ||
			fail "the machine's mirror has no $release"
		mv "$dir/sources.part" "$dir/sources.list"
	fi
	"$command" -o "Dir::Etc::sourcelist=$dir/sources.list" "${apt_options[@]}" \
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir" "$@"
}
apt_options=(-o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root -o Acquire::Retries=3)

# fetch_of RELEASE DIRECTORY PACKAGE...: the packages' files.
fetch_of() {
	local release=$1 to=$2
	shift 2
	mkdir -p "$to"
	(cd "$to" && apt_of "$release" apt-get -qq download "$@" >&2) && return
	rm -f "$cache/apt-$release/sources.list" # newer versions are there by now
	(cd "$to" && apt_of "$release" apt-get -qq download "$@" >&2) || fail "no $* in $release"
}

# The package that a kernel metapackage stands for.
kernel_package_of() {
	apt_of "$1" apt-cache depends "$2" | awk '/Depends: linux-image/ { print $2; exit }'
}
kernel_package() {
	local name
	name=$(apt-cache depends "$1" | awk '/Depends: linux-image/ { print $2; exit }')
	[ -n "$name" ] || fail "apt knows no $1; run apt-get update"
	echo "$name"
}

guest_packages=systemd-sysv,udev,python3-minimal,libpython3-stdlib,numactl,procps,iproute2,kmod
guest_packages+=,linux-image-cloud-amd64,initramfs-tools,zstd,dbus,nbd-client,nbd-server

# Units that only cost time in a machine which lives for minutes.
masked="apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer
	systemd-tmpfiles-clean.timer e2scrub_all.timer systemd-pstore.service systemd-binfmt.service
	systemd-repart.service systemd-firstboot.service systemd-journal-flush.service
	systemd-random-seed.service systemd-update-utmp.service systemd-user-sessions.service
	systemd-update-utmp-runlevel.service systemd-machine-id-commit.service
	getty@tty1.service serial-getty@ttyS0.service systemd-pcrphase.service
	systemd-pcrphase-sysinit.service e2scrub_reap.service dev-mqueue.mount
	systemd-remount-fs.service nbd-server.service nbd-client.service"

# again COMMAND...: mirrors fail for a moment, and a download of hundreds of files should not end by it.
again() {
	"$@" || { sleep 5 && "$@"; } || { sleep 30 && "$@"; }
}

# A Debian as mmdebstrap makes it, and a small initrd by its own initramfs-tools.
make_base() {
	local tar=$1 packages=$2 list
	list=$(mktemp)
	sources >"$list"
	[ -s "$list" ] || fail "apt has no Debian source for this release"
	note "installing a Debian into an image (about a minute)"
	again mmdebstrap --quiet --mode=root --variant=apt --include="$packages" \
		--aptopt='Acquire::Retries "3"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--setup-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"
			printf "MODULES=list\nCOMPRESS=zstd\nBUSYBOX=n\nFSTYPE=ext4\n" \
				>"$1/etc/initramfs-tools/conf.d/annex"
			mkdir -p "$1/usr/share/initramfs-tools/modules.d"
			printf "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n" \
				>"$1/usr/share/initramfs-tools/modules.d/annex"' \
		"$(. /etc/os-release && echo "$VERSION_CODENAME")" "$tar.part.tar" "$list" >&2 8>&- ||
		fail "mmdebstrap failed"
	rm -f "$list"
	mv "$tar.part.tar" "$tar"
}

build_workloads() {
	local to=$1 source
	mkdir -p "$to"
	for source in "$here"/workloads/*.c; do
		gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -pthread -static \
			-o "$to/$(basename "$source" .c)" "$source"
	done
	cp "$here"/workloads/*.py "$here/guest/annex-lab" "$to/"
}

configure() {
	local root=$1 unit
	echo annex-lab >"$root/etc/hostname"
	echo '127.0.0.1 localhost annex-lab' >"$root/etc/hosts"
	echo '/dev/vda / ext4 rw,noatime 0 0' >"$root/etc/fstab"
	rm -f "$root/etc/resolv.conf" "$root"/etc/apt/sources.list.d/*
	sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
	cp "$here/guest/annex-lab.service" "$root/etc/systemd/system/"
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
	ln -sf ../annex-lab.service "$root/etc/systemd/system/multi-user.target.wants/"
	for unit in $masked; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf"
	printf '[Manager]\nDefaultTimeoutStopSec=10s\nShowStatus=no\n' \
		>>"$root/etc/systemd/system.conf"
	echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
}

make_guest() {
	local to=$1 base=$2 root=$1/root
	mkdir -p "$root"
	note "unpacking Debian, adding the workloads"
	tar -xpf "$base" -C "$root" --exclude='./dev/*'
	build_workloads "$root/usr/lib/annex-lab"
	configure "$root"
	note "making $text_mib MiB of text and counting its words"
	python3 "$here/make_text.py" "$text_mib" "$root/usr/lib/annex-lab/text" \
		"$root/usr/lib/annex-lab/words"
	cp "$root"/boot/vmlinuz-* "$to/vmlinuz"
	cp "$root"/boot/initrd.img-* "$to/initrd.img"
	rm -rf "$root"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
	note "making the file system"
	mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=0 -N 120000 -L root \
		-d "$root" "$to/disk.img" 1600M >/dev/null
	rm -rf "$root"
}

download() { apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$1"; }

make_server() {
	local to=$1 package=$2 release=${2#linux-image-} work=$1/work
	mkdir -p "$work"
	note "fetching the kernel package $package for memory servers"
	(cd "$work" && { download "$package" ||
		{ apt-get -qq update && download "$package"; } }) >&2 ||
		fail "apt-get download $package failed"
	dpkg -x "$work"/*.deb "$work/root"
	cp "$work/root/boot/vmlinuz-$release" "$to/vmlinuz"
	# What a server needs lies in these; the rest of the 300 MB would only be hashed and copied.
	mkdir -p "$to/modules/lib/modules/$release/kernel/drivers"
	(cd "$work/root/lib/modules/$release" &&
		cp -a modules.builtin modules.builtin.modinfo modules.order \
			"$to/modules/lib/modules/$release/" &&
		cp -a --parents kernel/net kernel/crypto kernel/lib kernel/arch kernel/fs/configfs \
			kernel/fs/nfs_common kernel/drivers/net/virtio_net.ko \
			kernel/drivers/net/net_failover.ko kernel/drivers/infiniband \
			kernel/drivers/virtio kernel/drivers/block kernel/drivers/char \
			"$to/modules/lib/modules/$release/")
	depmod -b "$to/modules" "$release"
	rm -rf "$work"
}

# le32 NUMBER: four bytes, the lowest first.
le32() { printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) \
	$(($1 >> 16 & 255)) $(($1 >> 24 & 255)))"; }

# write_at FILE OFFSET: standard input into the file.
write_at() { dd of="$1" bs=64K seek="$2" oflag=seek_bytes conv=notrunc,sparse status=none; }

# One partition at 1 MiB, and GRUB as its own installer puts it in front: boot sector, core image.
make_partitions() {
	local disk=$1 root=$2 mib=$3 part=$1.part
	mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=0 -N 120000 -L root \
		-d "$root" "$part" "${mib}M" >/dev/null
	truncate -s $((mib + 1))M "$disk"
	write_at "$disk" $((1 << 20)) <"$part"
	rm "$part"
	head -c 440 "$root/usr/lib/grub/i386-pc/boot.img" | write_at "$disk" 0
	{
		printf '\x80\xfe\xff\xff\x83\xfe\xff\xff' # active, Linux, by LBA
		le32 2048
		le32 $((mib * 2048))
	} | write_at "$disk" 446
	printf '\x55\xaa' | write_at "$disk" 510
	write_at "$disk" 512 <"$root/boot/grub/i386-pc/core.img"
}

# All that its owner has configured for far memory is in /etc/default/grub.
configure_grub() {
	local root=$1 version
	version=$(cd "$root/boot" && ls vmlinuz-* | sed s/vmlinuz-//)
	cat >"$root/etc/default/grub" <<-END
		GRUB_DEFAULT=0
		GRUB_TIMEOUT=0
		GRUB_DISTRIBUTOR=Debian
		GRUB_TERMINAL=serial
		GRUB_CMDLINE_LINUX="swiotlb=force movable_node"
		GRUB_CMDLINE_LINUX_DEFAULT="$disk_options annex.run=hello,numa,dict"
	END
	mkdir -p "$root/boot/grub/i386-pc"
	cp "$root"/usr/lib/grub/i386-pc/*.{mod,lst} "$root/boot/grub/i386-pc/"
	chroot "$root" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' \
		-o /boot/grub/i386-pc/core.img biosdisk part_msdos ext2
	# Until update-grub runs in the guest; the line is for what the lab wants of it.
	cat >"$root/boot/grub/grub.cfg" <<-END
		serial
		terminal_output serial
		echo "GRUB starts $version"
		linux /boot/vmlinuz-$version root=/dev/vda1 ro swiotlb=force movable_node \
			$disk_options $(printf '%200s' | tr ' ' _)
		initrd /boot/initrd.img-$version
		boot
	END
}
disk_options="console=ttyS0 quiet fsck.mode=skip net.ifnames=0 mitigations=off panic=-1"

make_disk() {
	local to=$1 base=$2 root=$1/root kernel
	mkdir -p "$root"
	note "unpacking Debian with GRUB, adding the workloads"
	tar -xpf "$base" -C "$root" --exclude='./dev/*'
	build_workloads "$root/usr/lib/annex-lab"
	configure "$root"
	echo '/dev/vda1 / ext4 rw,noatime 0 0' >"$root/etc/fstab"
	rm "$root/etc/systemd/system/systemd-remount-fs.service" # GRUB's kernels start with it read-only
	configure_grub "$root"
	kernel=$(kernel_package_of $newer linux-image-cloud-amd64)
	fetch_of $newer "$root/root/newer" "$kernel" linux-base
	rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
	note "making the disk"
	make_partitions "$to/disk.img" "$root" 1800
	grep -obUam 1 _____________________ "$to/disk.img" | sed 's/:.*//;q' >"$to/options.offset"
	rm -rf "$root"
}

# A kernel's own package, and an initrd for it by the guest's own initramfs-tools.
make_kernel() {
	local to=$1 base=$2 release=$3 package=$4 root=$1/root version
	mkdir -p "$root"
	tar -xpf "$base" -C "$root" --exclude='./dev/*'
	rm -rf "$root"/boot/* "$root"/lib/modules/*
	fetch_of "$release" "$to/package" "$package"
	dpkg-deb --fsys-tarfile "$to"/package/*.deb | tar -xf - -C "$root" --keep-directory-symlink
	version=$(cd "$root/boot" && ls vmlinuz-* | sed s/vmlinuz-//)
	note "making an initrd for $version"
	chroot "$root" depmod "$version"
	chroot "$root" mkinitramfs -o /boot/initrd.img "$version" >&2
	cp "$root/boot/vmlinuz-$version" "$to/vmlinuz"
	cp "$root/boot/initrd.img" "$to/initrd.img"
	rm -rf "$root" "$to/package"
}

# finish DIRECTORY COMMAND...: makes it once, whole or not at all.
once() {
	local final=$1 part=$1.part
	shift
	if [ ! -d "$final" ]; then
		rm -rf "$part"
		mkdir -p "$part"
		"$1" "$part" "${@:2}"
		mv "$part" "$final"
	fi
	echo "$final"
}

# base PACKAGES: sets base, the archive of a Debian with them.
base() {
	local kernel
	kernel=$(kernel_package linux-image-cloud-amd64)
	base=$cache/debian-$({ echo "$1 $kernel"; sed -n '/^make_base/,/^}/p' "$0"; } | hash_of).tar
	[ -f "$base" ] || make_base "$base" "$1"
}

# older_go KIND KEY: older images go, but for one: a machine may still run from it.
older_go() {
	ls -dt "$cache/$1"-* | awk -v keep="$cache/$1-$2" '$0 != keep && n++ > 0' | xargs -r rm -rf
}

exec 8>"$cache/lock"
flock 8
case ${1:-} in
guest)
	base "$guest_packages"
	key=$({ echo "$base $text_mib"; cat "$0" "$here"/make_text.py "$here"/workloads/*.[ch] \
		"$here"/workloads/*.py "$here"/guest/*; } | hash_of)
	once "$cache/guest-$key" make_guest "$base"
	older_go guest "$key"
	;;
server)
	kernel=$(kernel_package linux-image-amd64)
	once "$cache/server-$kernel-$(sed -n '/^make_server/,/^}/p' "$0" | hash_of)" \
		make_server "$kernel"
	;;
disk)
	base "$guest_packages,grub-pc"
	key=$({ echo "$base"; cat "$0" "$here"/workloads/*.[ch] "$here"/workloads/*.py \
		"$here"/guest/*; } | hash_of)
	once "$cache/disk-$key" make_disk "$base"
	older_go disk "$key"
	;;
kernel)
	[ $# -eq 3 ] || fail "kernel RELEASE FLAVOUR"
	base "$guest_packages"
	package=$(kernel_package_of "$2" "linux-image-$3")
	[ -n "$package" ] || fail "$2 has no linux-image-$3"
	once "$cache/kernel-$package-$({ echo "$base"; sed -n '/^make_kernel/,/^}/p' "$0"; } | hash_of)" \
		make_kernel "$base" "$2" "$package"
	;;
*)
	sed -n 's/^#   image.sh/usage: image.sh/p' "$0" >&2
	exit 2
	;;
esac
