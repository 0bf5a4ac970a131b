#!/bin/bash
# SPDX-License-Identifier: MIT
# deb.sh BUILD [DIRECTORY]: the Debian packages of what is built, in DIRECTORY (default: BUILD/deb), by
# debhelper and without root. Each part says in PART/deb what they are: control, files (install.sh), systemd
# (dh_installsystemd's options), PACKAGE.postrm, PACKAGE.lintian-overrides. The same commit and build give
# the same packages.
set -eu
cd "$(dirname "$0")/.."
build=$(realpath "$1")
out=$(realpath -m "${2:-$build/deb}")
tree=$out/tree
version=$(sed -n 's/^#define ANNEX_VERSION "\(.*\)"/\1/p' include/annex/version.h)
maintainer='The Annex authors <annex@annex.invalid>'
export LC_ALL=C.UTF-8 TZ=UTC DEB_RULES_REQUIRES_ROOT=no DH_INTERNAL_OPTIONS=
umask 022

# The commit's date, and its name behind the version unless the tree is an export.
if commit=$(git -c safe.directory="$PWD" log -1 --format='%ct %h' 2>/dev/null); then
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-${commit% *}}
	version+=+git$(date -d "@${commit% *}" +%Y%m%d%H%M%S).${commit#* }
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(stat -c %Y include/annex/version.h)}

rm -rf "$out"
mkdir -p "$tree/debian"
{
	printf '%s\n' 'Source: annex' 'Section: admin' 'Priority: optional' "Maintainer: $maintainer" \
		'Build-Depends: debhelper-compat (= 13)' 'Rules-Requires-Root: no' \
		'Standards-Version: 4.6.2'
	for part in {vmm,memserver,toolstack,guest-agent}/deb; do
		echo
		cat "$part/control"
	done
} >"$tree/debian/control"
cat >"$tree/debian/changelog" <<END
annex ($version) bookworm; urgency=medium

  * Built from the source of that version.

 -- $maintainer  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
{
	printf '%s\n' 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/' \
		'Upstream-Name: Annex' '' 'Files: *' 'Copyright: 2026 The Annex authors' 'License: Expat' \
		'' 'License: Expat'
	sed -n '/^Permission/,$s/^/ /p' LICENSE | sed 's/^ $/ ./'
} >"$tree/debian/copyright"

mapfile -t packages < <(sed -n 's/^Package: //p' "$tree/debian/control")
for package in "${packages[@]}"; do
	tests/install.sh "$build" "$tree/debian/$package" /usr "$package"
	# Debian 12 has its units there.
	if [ -d "$tree/debian/$package/usr/lib/systemd" ]; then
		mkdir -p "$tree/debian/$package/lib"
		mv "$tree/debian/$package/usr/lib/systemd" "$tree/debian/$package/lib/"
	fi
done
cp {memserver,toolstack,guest-agent}/deb/*.postrm {vmm,toolstack}/deb/*.lintian-overrides "$tree/debian/"
units=()
for part in {vmm,memserver,toolstack,guest-agent}/deb; do
	[ ! -e "$part/systemd" ] ||
		units+=("$(sed -n '/^Package:/{s/^Package: //p;q}' "$part/control") $(grep -v '^#' "$part/systemd" || true)")
done

cd "$tree"
quiet() { "$@" >>"$out/log" 2>&1 || { cat "$out/log" >&2; echo "deb: $1 failed" >&2; exit 1; }; }
quiet dh_installdocs
quiet dh_installchangelogs
quiet dh_lintian
for unit in "${units[@]}"; do
	# shellcheck disable=SC2086
	quiet dh_installsystemd -p${unit%% *} ${unit#* }
done
# The VMM's symbols are for those who read its reports; paths of the build are not.
strip --strip-debug debian/annex-vmm/usr/lib/annex/annex-vmm.elf
quiet dh_strip --no-automatic-dbgsym -Xannex-vmm.elf
quiet dh_compress
quiet dh_fixperms
quiet dh_makeshlibs
quiet dh_shlibdeps -Xannex-vmm.elf
quiet dh_installdeb
quiet dh_gencontrol
quiet dh_md5sums
quiet dh_builddeb --destdir="$out" -- --threads-max=1
cd "$out"
ls -- *.deb
rm -rf "$tree"
