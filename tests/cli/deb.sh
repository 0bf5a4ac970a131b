# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# make deb and make install: what the packages hold; and, in a view of this system whose changes go into a
# directory of the test's, that they install, and that a purge leaves nothing. Sourced by run.sh.

debs=$work/deb

# listed PACKAGE: what the lists say, as paths of installed files
listed() {
	local root=$work/listed
	rm -rf "$root"
	(cd "$top" && tests/install.sh "$build" "$root" /usr "$1") || return
	find "$root" ! -type d -printf '/%P\n' |
		sed -e 's|^/usr/lib/systemd|/lib/systemd|' -e 's|\(/share/man/.*\)|\1.gz|' | sort
}

packaged() { # packaged PACKAGE: the files in it that are not debhelper's own
	dpkg-deb --fsys-tarfile "$debs/$1"_*.deb | tar t | grep -v '/$' | sed 's|^\.||' |
		grep -v -e '/doc/[^/]*/copyright$' -e '/doc/[^/]*/changelog.gz$' -e '/lintian/' | sort
}

deb_contents() {
	local package units control wrong= pages
	for package in "${packages[@]}"; do
		listed "$package" >"$work/wanted"
		packaged "$package" >"$work/found"
		[ -s "$work/wanted" ] && same "deb: the files of $package" "$work/wanted" "$work/found"
		dpkg-deb --fsys-tarfile "$debs/${package}"_*.deb | tar tv --numeric-owner |
			grep -v ' 0/0 ' && wrong+="$package "
		control=$(dpkg-deb -f "$debs/${package}"_*.deb)
		grep -q '^Maintainer: The Annex authors' <<<"$control" || wrong+="$package: maintainer "
	done
	[ -z "$wrong" ] && pass "deb: all is root's" || fail "deb: all is root's" "$wrong"
	pages=$(cd "$top" && find vmm guest-agent memserver toolstack docs -name '*.[1-8]' | sed 's|.*/||' | sort)
	for package in "${packages[@]}"; do packaged "$package"; done |
		sed -n 's|.*/share/man/.*/\(.*\)\.gz$|\1|p' | sort >"$work/found"
	same "deb: every man page is in one" <(echo "$pages") "$work/found"
	[[ $(dpkg-deb -f "$debs"/annex-tools_*.deb Depends) == *libvirt0*annex-vmm* ]] &&
		[[ $(dpkg-deb -f "$debs"/annex-memserver_*.deb Depends) == *librdmacm1* ]] &&
		[[ $(dpkg-deb -f "$debs"/annex-agent_*.deb Depends) == libc6* ]] &&
		[[ $(dpkg-deb -f "$debs"/libannex-hint-dev_*.deb Depends) == *"libannex-hint1 (= "* ]] &&
		pass "deb: what they depend on" || fail "deb: what they depend on"
	[ "$(dpkg-deb -I "$debs"/annex-agent_*.deb conffiles)" = /etc/annex/agent.conf ] &&
		[ "$(dpkg-deb -I "$debs"/annex-memserver_*.deb conffiles)" = /etc/annex/memserver.conf ] &&
		pass "deb: configurations are conffiles" || fail "deb: configurations are conffiles"
}

# deb_inside COMMAND...: in a chroot whose lower layer is this system; changes go into $work/upper.
deb_inside() {
	mkdir -p "$work"/{upper,overlay,root}
	unshare -m -n -p -f --kill-child bash -ec '
		work=$1
		shift
		mount --make-rprivate /
		mount -t overlay overlay "$work/root" \
			-o "lowerdir=/,upperdir=$work/upper,workdir=$work/overlay"
		mount -t proc proc "$work/root/proc"
		mount --bind /dev "$work/root/dev"
		mount -t tmpfs tmpfs "$work/root/run"
		mount --bind "$work/deb" "$work/root/mnt"
		cd /
		exec chroot "$work/root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C.UTF-8 "$@"
	' bash "$work" "$@" >"$work/out" 2>&1
}

# What is not as in the lower layer, but for the package manager's own books.
deb_changes() {
	local path
	(cd "$work/upper" && find . -mindepth 1 -printf '%P\n') | sort | while read -r path; do
		case $path in
		var/lib/dpkg/* | var/log/* | var/cache/* | etc/ld.so.cache | etc/ld.so.cache~) ;;
		*) [ -d "$work/upper/$path" ] && [ -d "/$path" ] || echo "$path" ;;
		esac
	done
}

deb_install() {
	local wants=$work/upper/etc/systemd/system/multi-user.target.wants program
	deb_inside true || { skip "deb: install and purge: no overlay here: $(cat "$work/out")"; return; }
	deb_inside sh -c 'exec dpkg --no-triggers -i /mnt/*.deb' && pass "deb: they install" ||
		{ fail "deb: they install" "$(cat "$work/out")"; return; }
	[ -L "$wants/annex-agent.service" ] && [ ! -e "$wants/annex-memserver.service" ] &&
		[ ! -e "$wants/annex-exporter.service" ] &&
		pass "deb: the agent is enabled, memory server and exporter are not" ||
		fail "deb: the agent is enabled, memory server and exporter are not" "$(ls "$wants")"
	for program in "annex version" "annex-memserver --help" "annex-agent --help" "annex-hint --help"; do
		# shellcheck disable=SC2086
		deb_inside $program || fail "deb: $program" "$(cat "$work/out")"
	done
	cat >"$debs/hint.c" <<-'END'
		#include <annex_hint.h>
		#include <errno.h>
		int main(void)
		{
			return annex_hint_prefetch(&errno, 4) == -1 && errno == ENOENT ? 0 : 1;
		}
	END
	deb_inside sh -c 'ldconfig && gcc -o /tmp/hint /mnt/hint.c $(pkg-config --cflags --libs annex-hint) &&
		/tmp/hint && readelf -d /tmp/hint | grep -q libannex-hint.so.1 && rm /tmp/hint' &&
		pass "deb: a program with libannex-hint" ||
		fail "deb: a program with libannex-hint" "$(cat "$work/out")"
	# What their use leaves.
	deb_inside sh -c 'mkdir -p /var/lib/annex/guests/u /var/lib/annex/servers /var/lib/annex/memserver &&
		touch /var/lib/annex/servers.json /var/lib/annex/memserver/store /etc/annex/exporter.conf &&
		echo "#" >>/etc/annex/agent.conf'
	deb_inside dpkg --no-triggers --remove annex-agent annex-tools annex-memserver
	[ -e "$work/upper/etc/annex/agent.conf" ] && [ -e "$work/upper/var/lib/annex/memserver/store" ] &&
		pass "deb: remove keeps configuration and state" ||
		fail "deb: remove keeps configuration and state" "$(cat "$work/out")"
	deb_inside dpkg --no-triggers --purge "${packages[@]}" || fail "deb: purge" "$(cat "$work/out")"
	deb_inside ldconfig
	deb_changes >"$work/left"
	[ ! -s "$work/left" ] && pass "deb: a purge leaves nothing" ||
		fail "deb: a purge leaves nothing" "$(cat "$work/left")"
}

# deb_nobody COMMAND...: without privileges, in the tree, whoever may pass the directories above it.
deb_nobody() {
	unshare -m sh -ec '
		mount --bind "$1" "$3/tree"
		mount --bind "$2" "$3/built"
		cd "$3/tree"
		shift 3
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	' sh "$top" "$build" "$work" "$@"
}

deb() {
	local packages file
	command -v dh_installsystemd >/dev/null || { skip "deb: no debhelper"; return; }
	mapfile -t packages < <(cd "$top" && sed -n 's/^Package: //p' {vmm,memserver,toolstack,guest-agent}/deb/control)
	"$top/tests/deb.sh" "$build" "$debs" >"$work/out" 2>"$work/err" && pass "deb: they are built" ||
		{ fail "deb: they are built" "$(cat "$work/out" "$work/err")"; return; }
	[ "$(find "$debs" -name '*.deb' | wc -l)" -eq ${#packages[@]} ] && pass "deb: each of them" ||
		fail "deb: each of them" "$(ls "$debs")"
	chmod 755 "$work"
	install -d -o 65534 "$work/nobody"
	mkdir -p "$work/tree" "$work/built"
	if deb_nobody test ! -r tests/deb.sh; then
		skip "deb: without root: the tree is readable for root alone"
	elif deb_nobody tests/deb.sh "$work/built" "$work/nobody/deb" >"$work/out" 2>&1; then
		for file in "$debs"/*.deb; do
			cmp "$file" "$work/nobody/deb/${file##*/}" || break
		done >"$work/err" 2>&1 && pass "deb: the same without root, and again" ||
			fail "deb: the same without root, and again" "$(cat "$work/err")"
	else
		fail "deb: without root" "$(cat "$work/out")"
	fi
	deb_contents
	deb_install
	command -v lintian >/dev/null || { skip "deb: no lintian"; return; }
	lintian --allow-root --fail-on error "$debs"/*.deb >"$work/out" 2>&1 && pass "deb: lintian" ||
		fail "deb: lintian" "$(cat "$work/out")"
}
