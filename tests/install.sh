#!/bin/bash
# SPDX-License-Identifier: MIT
# install.sh BUILD DESTDIR PREFIX: what `make install` does.
set -eu
build=$1 root=$2$3
install -D -m 755 "$build/annex" "$root/bin/annex"
install -D -m 755 "$build/annex-memserver" "$root/sbin/annex-memserver"
install -D -m 644 "$build/annex-vmm.elf" "$root/lib/annex/annex-vmm.elf"
install -D -m 755 "$build/annex-appliance-init" "$root/lib/annex/annex-appliance-init"
for page in $(git ls-files '*.[178]' 2>/dev/null); do
	install -D -m 644 "$page" "$root/share/man/man${page##*.}/$(basename "$page")"
done
for unit in $(git ls-files 'memserver/*.service' 'toolstack/*.service' 2>/dev/null); do
	install -D -m 644 "$unit" "$root/lib/systemd/system/$(basename "$unit")"
done
install -D -m 644 docs/examples/guest.xml "$root/share/doc/annex/examples/guest.xml"
