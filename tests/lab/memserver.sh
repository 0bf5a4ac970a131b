#!/bin/bash
# SPDX-License-Identifier: MIT
# annex-memserver on a real RDMA stack: boots one small machine with Debian's generic kernel and
# Soft-RoCE, runs the server and rdma_client in it (memserver/init), and counts the checks.
set -u
here=$(dirname "$(realpath "$0")")
top=$(dirname "$(dirname "$here")")
build=$(realpath "${BUILD:-$top/build}")
work=$build/lab/memserver
server=$build/annex-memserver
limit=${ANNEX_MEMSERVER_LIMIT:-240} # s
checks_expected=131

fail() {
	echo "not ok memserver: $*"
	exit 1
}

[ -x "$server" ] || fail "$server is not built"
image=$("$here/image.sh" server) || fail "no kernel"
release=$(ls "$image/modules/lib/modules")
rm -rf "$work"
root=$work/root
mkdir -p "$root"/{bin,usr/bin,lib64,etc/libibverbs.d,modules,proc,sys,dev,run,tmp,var/lib}

gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -I"$top/include" -I"$top" \
	-o "$work/rdma_client" "$here/rdma_client.c" "$here/rdma_peer.c" -lrdmacm -libverbs ||
	fail "rdma_client does not build"

# A program with the libraries it needs.
pack() { # pack PROGRAM TARGET
	cp "$1" "$root$2"
	ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -n "$(realpath "$library")" "$root$library"
	done
}
pack "$server" /usr/bin/annex-memserver
pack "$work/rdma_client" /usr/bin/rdma_client
pack "$(command -v rdma)" /usr/bin/rdma
provider=$(find /usr/lib -name 'librxe-rdmav*.so' | head -1)
[ -n "$provider" ] || fail "no Soft-RoCE provider; package ibverbs-providers"
mkdir -p "$root$(dirname "$provider")"
pack "$provider" "$provider"
echo "driver rxe" >"$root/etc/libibverbs.d/rxe.driver"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done

# Modules in the order in which they load; rxe asks for crc32 by name, which no dependency shows.
for module in virtio_pci virtio_net crc32_pclmul crc32c_generic rdma_rxe rdma_ucm ib_uverbs; do
	modprobe -d "$image/modules" -S "$release" --show-depends "$module" 2>/dev/null |
		awk '$1 == "insmod" { print $2 }'
done | awk '!seen[$0]++' | while read -r file; do
	cp "$file" "$root/modules/"
	basename "$file"
done >"$root/modules/order"
cp "$here/memserver/init" "$root/init"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$work/initrd.gz" ||
	fail "no initrd"

console=$work/console
timeout "$limit" qemu-system-x86_64 -accel tcg -cpu max -m 288 -nographic -no-reboot \
	-nodefaults -serial "file:$console" -kernel "$image/vmlinuz" -initrd "$work/initrd.gz" \
	-append "console=ttyS0 quiet panic=-1 hugepages=32" -netdev user,id=net,restrict=on \
	-device virtio-net-pci,netdev=net,romfile= </dev/null >"$work/qemu.log" 2>&1
status=$?
tr -d '\r' <"$console" | grep -E '^(ok|not ok|#) '
passed=$(grep -c '^ok ' "$console")
failed=$(grep -c '^not ok ' "$console")
if ! grep -q '^checks done' "$console"; then
	echo "not ok memserver: the machine did not get to its end (status $status); its console:"
	tail -n 40 "$console"
	failed=$((failed + 1))
fi
if [ "$failed" -eq 0 ] && [ "$passed" -ne "$checks_expected" ]; then
	echo "not ok memserver: $passed checks ran, $checks_expected were expected"
	failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
