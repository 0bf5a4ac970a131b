#!/bin/bash
# SPDX-License-Identifier: MIT
# A private libvirtd with its own mount, network and process namespaces.
#
#   libvirt.sh up DIR             start it; its state lies in DIR
#   libvirt.sh in DIR CMD [ARG..] run a command beside it (its /run, network and processes)
#   libvirt.sh down DIR           end it and everything started by it: daemons, QEMUs, bridges, taps
#
# Inside: bridge annexbr0 (MTU 9000, 10.77.0.254/24) is the fabric, bridge annexbr1
# (10.78.0.1/24) the guests' own network. Nothing is connected to the outside. A daemon of the
# system is neither used nor touched. From other namespaces the daemon is reached by
#   virsh -c 'qemu+unix:///system?socket=DIR/run/libvirt/libvirt-sock'
set -u

usage() {
	sed -n 's/^#   libvirt.sh/usage: libvirt.sh/p' "$0" >&2
	exit 2
}
fail() {
	echo "libvirt.sh: $*" >&2
	exit 1
}

[ $# -ge 2 ] || usage
verb=$1
mkdir -p "$2" 2>/dev/null || [ "$verb" != up ] || fail "cannot make $2"
dir=$(realpath -m "$2")
shift 2

# A process is named by its id and its start time: ids are used again.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

init_pid() { # prints the id of the namespaces' first process, if it is alive and ours
	local pid started
	read -r pid started 2>/dev/null <"$dir/init.pid" || return 1
	[ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

down() {
	local pid
	pid=$(init_pid) && kill -9 "$pid" 2>/dev/null
	for _ in $(seq 100); do
		init_pid >/dev/null || break
		sleep 0.1
	done
	rm -f "$dir/init.pid" "$dir/run/libvirt/libvirt-sock"
}

write_configuration() {
	mkdir -p "$dir"/{run/lock,lib,log/qemu,cache,etc}
	rm -f "$dir/log/libvirtd.log"
	[ -d /etc/libvirt ] && cp -a /etc/libvirt/. "$dir/etc/"
	rm -rf "$dir"/etc/qemu/networks/autostart/* "$dir"/etc/qemu/autostart/*
	# The daemon insists that its default user exists, though it is told to use root.
	cp /etc/passwd "$dir/passwd"
	cp /etc/group "$dir/group"
	grep -q '^libvirt-qemu:' "$dir/passwd" ||
		echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >>"$dir/passwd"
	grep -q '^libvirt-qemu:' "$dir/group" || echo 'libvirt-qemu:x:64055:' >>"$dir/group"
	grep -q '^kvm:' "$dir/group" || echo 'kvm:x:64054:' >>"$dir/group"
	cat >"$dir/etc/qemu.conf" <<-END
		user = "root"
		group = "root"
		dynamic_ownership = 0
		remember_owner = 0
		security_driver = "none"
		namespaces = []
		cgroup_controllers = []
		stdio_handler = "file"
		max_core = 0
	END
	cat >"$dir/etc/libvirtd.conf" <<-END
		unix_sock_group = "root"
		auth_unix_rw = "none"
		log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
		host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
	END
	cat >"$dir/init.sh" <<-'END'
		set -e
		dir=$1
		mount --make-rprivate /
		mkdir -p /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt
		mount --bind "$dir/run" /run
		mount --bind "$dir/lib" /var/lib/libvirt
		mount --bind "$dir/log" /var/log/libvirt
		mount --bind "$dir/cache" /var/cache/libvirt
		mount --bind "$dir/etc" /etc/libvirt
		mount --bind "$dir/passwd" /etc/passwd
		mount --bind "$dir/group" /etc/group
		mount -t sysfs sysfs /sys # libvirt looks for interfaces there
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null || true
		ip link set lo up
		for n in 0 1; do
			ip link add annexbr$n type bridge mcast_snooping 0
		done
		ip link set annexbr0 mtu 9000
		ip addr add 10.77.0.254/24 dev annexbr0
		ip addr add 10.78.0.1/24 dev annexbr1
		ip link set annexbr0 up
		ip link set annexbr1 up
		# The first process stays when the daemon dies, so that its logs can be asked for.
		libvirtd -p /run/libvirtd.pid || echo "libvirtd ended with $?"
		exec sleep infinity
	END
}

up() {
	[ "$(id -u)" -eq 0 ] || fail "needs root (mount, network and process namespaces)"
	command -v libvirtd >/dev/null || fail "no libvirtd here; run make deps"
	down
	write_configuration
	setsid unshare -m -n -p -f --kill-child --mount-proc \
		bash "$dir/init.sh" "$dir" </dev/null >"$dir/init.log" 2>&1 9>&- &
	local unshare=$! pid=
	for _ in $(seq 300); do
		kill -0 $unshare 2>/dev/null || break
		grep -q '^libvirtd ended' "$dir/init.log" && break
		if [ -z "$pid" ]; then
			# setsid forks when it leads its process group already
			pid=$(pgrep -P "$unshare" -x bash | head -n 1)
			[ -n "$pid" ] && echo "$pid $(start_time "$pid")" >"$dir/init.pid"
		fi
		if [ -n "$pid" ] && [ -S "$dir/run/libvirt/libvirt-sock" ] &&
			LIBVIRT_DEFAULT_URI=qemu:///system inside virsh -q version >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.1
	done
	tail -n 20 "$dir/init.log" "$dir/log/libvirtd.log" >&2
	down
	fail "libvirtd did not come up; logs in $dir"
}

inside() {
	local pid
	pid=$(init_pid) || fail "no libvirtd runs in $dir"
	nsenter -t "$pid" -m -n -p -- env LIBVIRT_DEFAULT_URI=qemu:///system \
		sh -c 'cd "$0" 2>/dev/null || cd /; exec "$@"' "$PWD" "$@"
}

case $verb in
up) up ;;
in) [ $# -ge 1 ] || usage; inside "$@" ;;
down) down ;;
*) usage ;;
esac
