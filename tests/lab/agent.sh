# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The guest's agent in the lab: sourced by run.sh and the bench. The guest's second disk has the
# packages and what is needed to test them; commands go in by its serial console, one at a time.

agent_programs="kv churn bell_ring bell_fuzz"

# agent_disk [FILE...]: makes the second disk, with these files too.
agent_disk() {
	local program files=$work/agent-files
	rm -rf "$files"
	mkdir -p "$files"
	cp "$here"/agent/*.sh "$@" "$files/" || return 1
	for program in $agent_programs; do
		gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -static -I"$top/include" -I"$top" \
			-o "$files/$program" "$here/agent/$program.c" || return 1
	done
	mke2fs -q -t ext4 -O ^has_journal -d "$files" "$work/agent.img" 200M >/dev/null
}

# agent_define NAME [SED...]: the guest with the second disk and a budget of pins; not started.
agent_define() {
	local name=$1
	shift
	lab_disk "$name"
	lab_xml "$name" agent limit:7200
	sed -i -e "s|<annex:pcache unit='MiB'>[0-9]*|<annex:pcache unit='MiB'>64|" \
		-e "s|<annex:mtu>|<annex:pin max='24M'/>&|" \
		-e "s|<memory unit='MiB'>[0-9]*|<memory unit='MiB'>384|" \
		-e 's/annex.run=[^ ]*/& annex.stay/' \
		-e "0,/<\/disk>/s||</disk><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$work/agent.img'/><target dev='vdb' bus='virtio'/><readonly/></disk>|" \
		"$@" "$work/$name.xml"
	annex guest define "$work/$name.xml" >"$logs/$name.define" 2>&1 || {
		cat "$logs/$name.define"
		return 1
	}
}

# agent_start NAME: until it takes commands.
agent_start() {
	virsh start "$1" || return 1
	lab_wait "$1" 240 LAB-READY || return 1
	agent_connect "$1"
}

# The guest's serial port: what a terminal would read is thrown away, or its output would stand still.
agent_connect() {
	local pty
	pty=$(virsh ttyconsole "$1") || return 1
	rm -f "$work/$1.in"
	mkfifo "$work/$1.in"
	in_lab sh -c "cat <'$pty' >/dev/null & exec cat <>'$work/$1.in' >'$pty'" </dev/null &
	followers+=($!)
	asked=${asked:-0}
}

# guest_do NAME SECONDS COMMAND: runs it in the guest. Returns its exit code (124: none in time); said
# is what it printed.
guest_do() {
	local name=$1 end=$((SECONDS + $2)) from last
	asked=$((asked + 1))
	from=$(stat -c %s "$(console "$name")")
	say "  $name: $3"
	printf '%s %s\n' "$asked" "$3" >"$work/$name.in"
	while :; do
		last=$(tail -c +$((from + 1)) "$(console "$name")" | tr -d '\r' |
			grep -aE "^LAB-DONE $asked [0-9]+$")
		[ -n "$last" ] && break
		if [ $SECONDS -ge $end ] || [ "$(virsh domstate "$name")" != running ]; then
			say "$name did not answer in $2 s, or is gone"
			lab_tails
			said=
			return 124
		fi
		sleep 0.3
	done
	said=$(tail -c +$((from + 1)) "$(console "$name")" | tr -d '\r' | sed -n 's/^| //p')
	[ -z "$said" ] || sed 's/^/             | /' <<<"$said"
	return "${last##* }"
}

# agent_stat NAME FILTER: of annex stat --json; empty when it does not answer.
agent_stat() { annex stat "$1" --json 2>>"$logs/stat.log" | tee "$logs/$1.stat" | jq -r "$2"; }

# agent_until NAME SECONDS FILTER: until it is true; says how long that took.
agent_until() {
	local began=$SECONDS end=$((SECONDS + $2))
	until [ "$(agent_stat "$1" "$3")" = true ]; do
		[ $SECONDS -lt $end ] || { jq -c .agent "$logs/$1.stat"; return 1; }
		sleep 0.5
	done
	say "  after $((SECONDS - began)) s"
}

# The doorbell rung at random while memory is verified. fuzz NAME SECONDS [SEED]
agent_fuzz() {
	local poller most
	: >"$logs/fuzz.pins"
	while sleep 1; do
		agent_stat "$1" '"\(.agent.pinned) \(.agent.budget) \(.status.state)"' >>"$logs/fuzz.pins"
	done &
	poller=$!
	check "fuzz: the doorbell at random beside verified memory, $2 s" \
		guest_do "$1" $(($2 * 3 + 120)) "beside bell_fuzz $2 ${3-}"
	kill $poller
	most=$(sort -n "$logs/fuzz.pins" | tail -n 1)
	check "fuzz: from outside, never more pinned than the budget (most: $most)" \
		awk '$1 > $2 { bad = 1 } END { exit bad || NR < 3 }' "$logs/fuzz.pins"
	check "fuzz: the VMM answered and ran all the time" \
		awk '$3 != "running" { bad = 1 } END { exit bad || NR < 3 }' "$logs/fuzz.pins"
	check "fuzz: the guest's kernel complains of nothing" not_says "$1" "$complaints"
	check "fuzz: no fill had a wrong checksum" \
		[ "$(agent_stat "$1" .counters.far.fill_corrupt)" = 0 ]
}

# The doorbell alone: it needs no agent.
part_doorbell() {
	agent_disk && agent_define guest && agent_start guest || { not_ok "the guest starts"; return; }
	guest_do guest 60 'bell_ring'
	check "doorbell: root without the port is refused by the CPU" [ $? -eq 10 ]
	check "doorbell: root with the port is answered" guest_do guest 60 'bell_ring ask'
	guest_do guest 60 'as_nobody /mnt/bell_ring ask'
	check "doorbell: another user gets no port and is refused by the CPU" [ $? -eq 10 ]
	agent_fuzz guest "${FUZZ:-20}" "${SEED-}"
	virsh destroy guest 2>/dev/null
}
