# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the agent's tests say in the guest, for run.sh. The key-value stores are programs of their own
# name, so that a policy can tell them apart.
run=/run/annex-lab
bin=/var/tmp # /run is mounted noexec

# kv_start NAME MIB [AS]: comm NAME; as_nobody.
kv_start() {
	cp /mnt/kv "$bin/$1"
	rm -f "$run/$1.in"
	mkfifo -m 666 "$run/$1.in"
	${3-} setsid "$bin/$1" "$2" "$run/$1.in" >"$run/$1.out" 2>&1 &
	for _ in $(seq 50); do
		pgrep -nx "$1" >"$run/$1.pid" && break
		sleep 0.1
	done
	for _ in $(seq 600); do
		grep -q '^ready' "$run/$1.out" && return 0
		kill -0 "$(cat "$run/$1.pid")" || break
		sleep 0.1
	done
	cat "$run/$1.out"
	return 1
}

pid_of() { cat "$run/$1.pid"; }

# kv NAME COMMAND: its answer's line.
kv_ask() {
	before=$(wc -l <"$run/$1.out")
	echo "$2" >"$run/$1.in"
	until [ "$(wc -l <"$run/$1.out")" -gt "$before" ]; do
		kill -0 "$(pid_of "$1")" || break
		sleep 0.2
	done
	tail -n 1 "$run/$1.out"
	[ "$(wc -l <"$run/$1.out")" -gt "$before" ]
}

# Ends a program that was started here, and waits for its end.
end() {
	pid=$(pid_of "$1")
	kill "${2:--TERM}" "$pid" 2>/dev/null
	while [ -d "/proc/$pid" ] && ! grep -qs "^State:.Z" "/proc/$pid/status"; do
		sleep 0.1
	done
	tail -n 1 "$run/$1.out"
}

# churn_start MIB sequential|random: returns when its memory is filled.
churn_start() {
	setsid churn "$1" "$2" >"$run/churn.out" 2>&1 &
	echo $! >"$run/churn.pid"
	until grep -q filled "$run/churn.out"; do
		kill -0 "$(pid_of churn)" || return 1
		sleep 0.2
	done
}

# Memory beside, for a time: what was not touched lately goes.
churn_for() { # MIB KIND SECONDS
	churn "$1" "$2" "$3"
}

# beside COMMAND...: while it runs, memory is written and verified again and again.
beside() {
	"$@" >"$run/beside.out" 2>&1 &
	job=$!
	rounds=0
	while kill -0 $job 2>/dev/null; do
		pattern 80 >"$run/pattern.out" 2>&1 || { cat "$run/pattern.out"; kill $job; return 1; }
		rounds=$((rounds + 1))
	done
	wait $job
	rc=$?
	cat "$run/beside.out"
	echo "$(tail -n 1 "$run/pattern.out"), $rounds times"
	return $rc
}

# All files but those that change by themselves, and what each user and group is.
inventory() {
	find / -xdev ! -type d ! -path '/var/log/*' ! -path '/var/cache/*' ! -path '/var/lib/apt/*' \
		! -path '/var/lib/dpkg/*-old' ! -path '/tmp/*' ! -path '/var/tmp/*' ! -path '/root/*' \
		! -path '/var/lib/systemd/*' ! -path '/dev/*' ! -path '/etc/ld.so.cache' | sort
	find /etc /usr/share/doc /var/lib -xdev -type d | grep -i annex
	cat /etc/passwd /etc/group
	dpkg-query -W -f '${Package} ${Status}\n' | grep annex
}

# hint_for NAME KIND [AS]: annex-hint about all of its table.
hint_for() {
	kv_ask "$1" address >"$run/address"
	read -r _ address length <"$run/address"
	${3-} annex-hint -p "$(pid_of "$1")" "$2" "$address" "$length"
}

as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all "$@"; }
