# SPDX-License-Identifier: MIT
# annex server forget over ssh, for run.sh: a real ssh to a real sshd in the test's own namespaces,
# where root has a home, a key and a shell of the test's; annex-memserver's own client and socket
# behind it.
ssh_control=/run/annex/memserver.sock

ssh_up() {
	local home=$work/home
	mkdir -p -m 700 "$home/.ssh"
	ssh-keygen -q -t ed25519 -N '' -f "$home/.ssh/id_ed25519" &&
		cp "$home/.ssh/id_ed25519.pub" "$home/.ssh/authorized_keys" &&
		dropbearkey -t ed25519 -f "$work/host_key" >/dev/null 2>&1 || return 1
	printf 'Host server\n\tHostName 127.0.0.1\n\tPort 2222\n\tUser root\n\tStrictHostKeyChecking no\n' \
		>"$home/.ssh/config"
	# The session's path has the program under test.
	# It greets first, as shells do.
	cat >"$work/shell" <<-END
		#!/bin/sh
		head -c 2000 /dev/zero | tr '\\0' x
		echo
		echo welcome >&2
		PATH=$build:\$PATH exec /bin/sh "\$@"
	END
	chmod 755 "$work/shell" "$work"
	chown -R 0:0 "$home"
	echo "$work/shell" >"$work/shells"
	# The files are bound over the system's in the namespaces: the same inodes must stay.
	sed "s|^root:.*|root:*:0:0:root:$home:$work/shell|" "$lv/passwd" >"$work/passwd"
	cat "$work/passwd" >"$lv/passwd"
	inside mount --bind "$work/shells" /etc/shells || return 1
	inside dropbear -R -E -F -s -p 127.0.0.1:2222 -r "$work/host_key" -P /run/dropbear.pid \
		>"$work/sshd.log" 2>&1 &
	ssh_pids=$!
}

# The tenant that the server has promised memory to.
ssh_server() {
	inside "$work/control" "$ssh_control" "$1" >"$work/control.log" 2>&1 &
	ssh_pids+=" $!"
	for _ in $(seq 50); do
		grep -q 'promised 4' "$work/control.log" && return 0
		sleep 0.1
	done
	return 1
}

by_ssh() {
	local tenant=00000000000000ab
	gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -I"$top/include" -I"$top" \
		-I"$top/tests" -o "$work/control" "$top/tests/cli/control.c" \
		"$top/tests/unit/policy_fixture.c" "$top"/memserver/{policy*,admin,log}.c -lcmocka \
		>"$work/gcc.log" 2>&1 || { fail "the control socket's program" "$(cat "$work/gcc.log")"; return; }
	ssh_up || { fail "an ssh server of the test's own"; return; }
	json "a server with ssh" '.name == "far"' server add far 10.77.0.7 --http 0 --ssh server
	expect "over ssh: no server runs there" 1 "Run by hand: ssh server annex-memserver forget" \
		server forget far $tenant
	grep -q "no server answers at $ssh_control" "$work/err" && pass "over ssh: who says why" ||
		fail "over ssh: who says why" "$err"
	ssh_server $tenant || fail "the control socket" "$(cat "$work/control.log")"
	json "over ssh: the tenant is forgotten" ".known and .tenant == \"$tenant\"" server forget far \
		$tenant
	sleep 0.2
	[ "$(tail -n 1 "$work/control.log")" = "promised 0" ] &&
		pass "over ssh: its promise is free" ||
		fail "over ssh: its promise is free" "$(cat "$work/control.log" "$work/sshd.log")"
	json "over ssh: and not known again" '.known == false' server forget far $tenant
	expect "remove it" 0 "removed" server remove far
	# shellcheck disable=SC2086
	kill $ssh_pids 2>/dev/null
}
