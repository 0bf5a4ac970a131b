# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The guest's agent in the lab: sourced by run.sh and the bench. The guest's second disk has the
# packages and what is needed to test them; commands go in by its serial console, one at a time.

asked=0
agent_programs="kv churn bell_ring bell_fuzz"

# agent_disk [FILE...]: makes the second disk, with these files too.
agent_disk() {
	local program files=$work/agent-files
	rm -rf "$files"
	mkdir -p "$files"
	cp -r "$here"/agent/*.sh "$@" "$files/" || return 1
	for program in $agent_programs; do
		gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -static -I"$top/include" -I"$top" \
			-o "$files/$program" "$here/agent/$program.c" || return 1
	done
	mke2fs -q -t ext4 -O ^has_journal -d "$files" "$work/agent.img" 300M >/dev/null
}

# agent_define NAME [SED...]: the guest with the second disk and a budget of pins; not started.
agent_define() {
	local name=$1
	shift
	lab_disk "$name"
	lab_xml "$name" agent limit:7200
	sed -i -e "s|<annex:pcache unit='MiB'>[0-9]*|<annex:pcache unit='MiB'>40|" \
		-e "s|<annex:pin max='[^']*'/>|<annex:pin max='16M'/>|" \
		-e "s|<memory unit='MiB'>[0-9]*|<memory unit='MiB'>352|" \
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
}

# guest_do NAME SECONDS COMMAND: runs it in the guest. Returns its exit code (124: none in time); said
# is what it printed.
guest_do() {
	local name=$1 end=$((SECONDS + $2)) from last
	asked=$((asked + 1))
	from=$(stat -c %s "$(console "$name")")
	say "  $name: $3"
	tr '\n\t' '  ' <<<"$asked $3" | sed 's/ *$/\n/' >"$work/$name.in"
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
agent_stat() {
	if annex stat "$1" --json >"$logs/$1.stat" 2>&1; then
		jq -r "$2" "$logs/$1.stat"
	else
		cat "$logs/$1.stat" >>"$logs/stat.log"
	fi
}

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
	touch "$work/fuzz.goes"
	while [ -e "$work/fuzz.goes" ]; do
		agent_stat "$1" '"\(.agent.pinned) \(.agent.budget) \(.status.state)"' >>"$logs/fuzz.pins"
		sleep 1
	done &
	poller=$!
	check "fuzz: the doorbell at random beside verified memory, $2 s" \
		guest_do "$1" $(($2 * 3 + 120)) "beside bell_fuzz $2 ${3-}"
	rm "$work/fuzz.goes"
	wait $poller
	most=$(sort -n "$logs/fuzz.pins" | tail -n 1)
	check "fuzz: from outside, never more pinned than the budget (most: $most)" \
		awk '$1 > $2 { bad = 1 } END { exit bad || NR < 2 }' "$logs/fuzz.pins"
	# On a busy machine a server may answer late, which is a stall and no fault.
	check "fuzz: the VMM answered all the time, and runs" \
		awk '$3 != "running" && $3 != "stalled" { bad = 1 }
			END { exit bad || NR < 2 || $3 != "running" }' "$logs/fuzz.pins"
	check "fuzz: the guest's kernel complains of nothing" not_says "$1" "$complaints"
	check "fuzz: no fill had a wrong checksum" \
		[ "$(agent_stat "$1" .counters.far.fill_corrupt)" = 0 ]
}

# Who reaches the doorbell; it needs no agent.
agent_doorbell() {
	guest_do "$1" 60 'bell_ring'
	check "doorbell: root without the port is refused by the CPU" [ $? -eq 10 ]
	check "doorbell: root with the port is answered" guest_do "$1" 60 'bell_ring ask'
	guest_do "$1" 60 'as_nobody /mnt/bell_ring ask'
	check "doorbell: another user gets no port and is refused by the CPU" [ $? -eq 10 ]
	agent_fuzz "$1" "${FUZZ:-20}" "${SEED-}"
}

# agent_packages: what `make deb` makes.
agent_packages() {
	make -s -C "$top" BUILD="$build" deb >"$logs/deb.log" 2>&1 || {
		tail -n 20 "$logs/deb.log"
		return 1
	}
	packages=("$build"/deb/*.deb)
}

# agent_install NAME: from the package, by apt, without a network.
agent_install() {
	check "agent: apt installs its package" guest_do "$1" 120 \
		'inventory >$bin/before; apt-get install -y --no-install-recommends /mnt/annex-agent_*.deb'
	check "agent: its unit runs" guest_do "$1" 30 'systemctl is-active annex-agent'
	check "agent: alive, seen from outside" agent_until "$1" 10 '.agent.state == "alive"'
}

agent_purge() {
	check "agent: apt purges its package" guest_do "$1" 120 \
		'apt-get purge -y annex-agent || exit; inventory >$bin/after; true'
	check "agent: and nothing is left of it" \
		guest_do "$1" 30 '[ -s $bin/before ] && diff $bin/before $bin/after && ! ls -d /run/annex* | grep -v annex-lab'
	check "agent: nor does it run" guest_do "$1" 30 '! pgrep -x annex-agent'
}

# How many remote fills a command in the guest causes. agent_fills NAME COMMAND: sets fills.
agent_fills() {
	local before
	before=$(agent_stat "$1" .counters.far.remote_fills)
	guest_do "$1" 120 "$2" || return 1
	fills=$(($(agent_stat "$1" .counters.far.remote_fills) - before))
	say "  $fills remote fills"
}

p99() { sed -n 's/.* p99 \([0-9.]*\) .*/\1/p' <<<"$said"; }

# A store beside a job that scans more than the pcache: sets without, with and fills of each.
agent_pin() { # NAME SECONDS KIND
	local name=$1 rate=100
	guest_do "$name" 120 "kv_start kv 8 && churn_start 56 $3 && sleep 6" ||
		{ not_ok "pin: the programs start"; return 1; }
	guest_do "$name" $(($2 * 3 + 60)) "kv_ask kv 'gets $rate $2'" && without=$(p99)
	guest_do "$name" 30 'kill -STOP $(pid_of churn)'
	agent_fills "$name" "kv_ask kv sweep" && without_fills=$fills
	check "pin: annex guest hint pins the store" \
		annex guest hint "$name" pin comm=kv --max 10M
	check "pin: its pages are pinned, seen from outside" \
		agent_until "$name" 20 '.agent.pinned >= 2048 and .agent.pinned <= .agent.budget'
	guest_do "$name" 30 'kill -CONT $(pid_of churn); sleep 8'
	guest_do "$name" $(($2 * 3 + 60)) "kv_ask kv 'gets $rate $2'" && with=$(p99)
	guest_do "$name" 30 'kill -STOP $(pid_of churn)'
	agent_fills "$name" "kv_ask kv sweep" && with_fills=$fills
	guest_do "$name" 30 'kill -CONT $(pid_of churn); end churn'
}

agent_pin_checks() {
	local without='' with='' without_fills=0 with_fills=999999
	agent_pin "$1" 8 random
	check "pin: without, the job pushed the store out ($without_fills of 2048 pages)" \
		[ "$without_fills" -gt 800 ]
	check "pin: with it, the store stayed ($with_fills pages came from the server)" \
		[ "$with_fills" -lt 100 ]
	check "pin: p99 of a get: $without us without, $with us with" \
		awk -v a="$with" -v b="$without" 'BEGIN { exit !(a != "" && a + 0 < b + 0) }'
	check "pin: more than the budget is refused with the numbers" \
		agent_refused "$1" 'budget' pin comm=churn2 --max 64M
	check "pin: unpin" annex guest hint "$1" unpin comm=kv
	agent_gone "$1" "unpin"
	check "pin: the job's words were right" guest_do "$1" 30 'end kv; grep "every word right" $run/churn.out'
}

# agent_refused NAME PATTERN HINT...: beside churn2, a program that is larger than the budget.
agent_refused() {
	local name=$1 pattern=$2
	shift 2
	guest_do "$name" 120 'cp /mnt/churn $bin/churn2; setsid $bin/churn2 24 sequential >$run/churn2.out 2>&1 &
		until grep -q filled $run/churn2.out; do sleep 0.3; done' || return 1
	! annex guest hint "$name" "$@" >"$logs/refused" 2>&1 || return 1
	sed 's/^/             | /' "$logs/refused"
	guest_do "$name" 30 'pkill -x churn2'
	grep -qi "$pattern" "$logs/refused" && grep -qE '[0-9]' "$logs/refused"
}

# Two stores of one size, one of them cold: what comes back of each. Sets cold and warm.
agent_cold() {
	guest_do "$1" 120 'kv_start kva 8 && kv_start kvb 8 && kv_ask kva sweep && kv_ask kvb sweep' ||
		{ not_ok "cold: the programs start"; return; }
	check "cold: annex guest hint marks one store" annex guest hint "$1" cold comm=kva
	guest_do "$1" 120 'churn_for 20 sequential 1'
	agent_fills "$1" "kv_ask kvb sweep" && warm=$fills
	agent_fills "$1" "kv_ask kva sweep" && cold=$fills
	check "cold: of 2048 pages each, ${cold:-?} of the cold store had gone, ${warm:-?} of the other" \
		[ "${cold:-0}" -gt $((3 * ${warm:-9999} + 200)) ]
	guest_do "$1" 60 'end kva; end kvb'
}

# A store that was pushed out and is needed again: how long its first sweep takes, as it is and after a
# prefetch. The job that pushed it out is told cold before it ends. Sets seconds_not, seconds_prefetched.
agent_prefetch() {
	local with
	guest_do "$1" 60 'kv_start kv 8' || return 1
	for with in not prefetched; do
		guest_do "$1" 120 'kv_ask kv sweep; churn_start 56 random && sleep 8' || return 1
		annex guest hint "$1" cold comm=churn
		guest_do "$1" 60 'sleep 1; end churn'
		[ $with = not ] || annex guest hint "$1" prefetch comm=kv
		sleep 10
		agent_fills "$1" "kv_ask kv sweep"
		eval "seconds_$with=\$(sed -n 's/.* in \([0-9.]*\) s,.*/\1/p' <<<\"\$said\") fills_$with=$fills"
	done
	guest_do "$1" 60 'end kv'
}

# What an application may ask for, and of whom.
agent_applications() {
	guest_do "$1" 60 'kv_start kvr 2 && kv_start kvn 8 as_nobody' ||
		{ not_ok "applications: two stores start"; return; }
	check "applications: nobody pins its own memory" \
		guest_do "$1" 30 'hint_for kvn pin as_nobody'
	check "applications: which is seen from outside" \
		agent_until "$1" 15 '.agent.pinned >= 2048'
	check "applications: nobody is refused a hint of root's memory" \
		guest_do "$1" 30 'hint_for kvr cold as_nobody; [ $? -eq 1 ]'
	check "applications: with the reason" [ "$(grep -c "not yours\|user\|memory" <<<"$said")" -ge 1 ]
	guest_do "$1" 30 'end kvr; end kvn'
	agent_gone "$1" "the application ended"
}

# agent_gone NAME TEXT: no pin is left within 15 s.
agent_gone() { check "$2: its pins are gone within 15 s" agent_until "$1" 15 '.agent.pinned == 0'; }

agent_pinned() {
	annex guest hint "$1" pin comm=kv >/dev/null 2>&1
	check "$2: something is pinned" agent_until "$1" 15 '.agent.pinned > 1000'
}

# The agent, or whom it pinned for, dies in every way.
agent_deaths() {
	guest_do "$1" 60 'kv_start kv 8' || { not_ok "deaths: a store starts"; return; }
	agent_pinned "$1" "stopped by SIGSTOP"
	guest_do "$1" 20 'systemctl show -p MainPID --value annex-agent | tee $run/agent.pid; kill -STOP $(pid_of agent)'
	check "a silent agent is told from outside" agent_until "$1" 8 '.agent.state == "silent"'
	agent_gone "$1" "silent"
	check "its session is told to have ended" agent_until "$1" 5 '.agent.state == "ended"'
	check "nobody replies for it" agent_unanswered "$1"
	guest_do "$1" 20 'kill -CONT $(pid_of agent)'
	check "continued: it has a session again" agent_until "$1" 10 '.agent.state == "alive"'
	agent_pinned "$1" "killed"
	guest_do "$1" 20 'pkill -9 -x annex-agent'
	agent_gone "$1" "killed"
	check "killed: its unit starts it again" agent_until "$1" 15 '.agent.state == "alive"'
	agent_pinned "$1" "the store is killed"
	guest_do "$1" 20 'end kv -KILL'
	agent_gone "$1" "the store is killed"
	guest_do "$1" 60 'kv_start kv 8'
	agent_pinned "$1" "stopped"
	check "stopped by systemctl" guest_do "$1" 30 'systemctl stop annex-agent'
	check "stopped: its pins are gone at once" agent_until "$1" 3 '.agent.pinned == 0'
	check "stopped: told as ended" agent_until "$1" 3 '.agent.state == "ended"'
	guest_do "$1" 30 'end kv'
}

agent_unanswered() {
	annex guest hint "$1" --list --timeout 3 >"$logs/unanswered" 2>&1
	[ $? -eq 5 ] && sed 's/^/             | /' "$logs/unanswered"
}

# What the tools outside show.
agent_outside() {
	local pid
	check "outside: annex guest check" agent_checked "$1"
	check "outside: a policy is added" annex guest hint "$1" --policy 'cold comm=nobody'
	check "outside: and listed" agent_says "$1" 'cold comm=nobody' guest hint "$1" --list
	check "outside: annex guest show tells of it" agent_says "$1" '^agent: *alive' guest show "$1"
	check "outside: a hint of nobody is refused" \
		agent_refused_text "$1" 'no such process' guest hint "$1" cold comm=nosuch
	check "outside: a hint that is none is refused by annex" \
		agent_refused_text "$1" 'SELECTOR|selector' guest hint "$1" cold nonsense
	in_lab "$annex_program" exporter --listen 127.0.0.1:9750 </dev/null >"$logs/exporter.log" 2>&1 &
	pid=$!
	sleep 2
	in_lab curl -s --max-time 20 http://127.0.0.1:9750/metrics >"$logs/metrics"
	check "outside: the exporter has the guest, its agent and its pins" agent_exported "$1"
	in_lab pkill -x annex
	wait $pid 2>/dev/null
}
agent_checked() {
	annex guest check "$1" >"$logs/guest.check" 2>&1
	local rc=$?
	sed 's/^/             | /' "$logs/guest.check"
	[ $rc -le 1 ] && [ "$(grep -cE '^(ok|warn|fail|skip)' "$logs/guest.check")" -ge 5 ]
}
agent_says() { # NAME PATTERN ANNEX-COMMAND...
	local pattern=$2
	shift 2
	annex "$@" >"$logs/says" 2>&1 && grep -qE "$pattern" "$logs/says"
}
agent_refused_text() {
	local pattern=$2
	shift 2
	! annex "$@" >"$logs/says" 2>&1 && grep -qE "$pattern" "$logs/says"
}
agent_exported() {
	grep -qE "^annex_[a-z_]*pinned[a-z_]*\{.*\"$1\"" "$logs/metrics" &&
		grep -qE "^annex_.*agent" "$logs/metrics"
}

# The process that causes the fills is the first of those reported, with its memory and no more.
agent_top() {
	guest_do "$1" 120 'churn_start 56 random' || { not_ok "top: the program starts"; return; }
	check "top: it is first in annex stat" \
		agent_until "$1" 30 '.agent.report.top[0] | .comm == "churn" and .fills_per_s > 10'
	check "top: with the far memory that it has" agent_until "$1" 10 \
		'.agent.report.top[0].far | . > 50 * 1048576 and . < 64 * 1048576'
	check "top: annex stat --top shows it" agent_says "$1" '[0-9]+ +churn +[0-9]' stat "$1" --top
	guest_do "$1" 30 'end churn'
}

# agent_begin: the guest with the packages, running; no agent yet.
agent_begin() {
	agent_packages && agent_disk "${packages[@]}" && agent_define guest && agent_start guest && return 0
	not_ok "the guest starts"
	return 1
}

# What is short enough for every run.
part_agent() {
	agent_begin || return
	FUZZ=${FUZZ:-10} agent_doorbell guest
	agent_install guest
	guest_do guest 30 'annex-agent check'
	check "agent: annex-agent check ends with 0 or 1 and has lines" \
		[ $? -le 1 -a "$(grep -cE '^(ok|warn|fail|skip) ' <<<"$said")" -ge 5 ]
	agent_outside guest
	guest_do guest 60 'kv_start kv 8' || not_ok "a store starts"
	agent_pinned guest "a store"
	guest_do guest 20 'end kv -KILL'
	agent_gone guest "the store is killed"
	agent_top guest
	agent_purge guest
	check "agent: the guest's kernel complains of nothing" not_says guest "$complaints"
	virsh destroy guest 2>/dev/null
}

# What hints do, for whom, and what is left of them when somebody dies.
part_agent_hints() {
	agent_begin || return
	agent_install guest
	agent_pin_checks guest
	agent_cold guest
	agent_applications guest
	agent_deaths guest
	agent_purge guest
	check "hints: the guest's kernel complains of nothing" not_says guest "$complaints"
	virsh destroy guest 2>/dev/null
}

# What takes longer: five minutes at the doorbell, first against a running agent; upgrade; all packages;
# memory that the kernel moves; a reboot.
part_agent_long() {
	local seconds=${FUZZ:-300}
	agent_packages && agent_dependencies && agent_disk "${packages[@]}" "$work/depends" &&
		agent_define guest && agent_start guest || { not_ok "the guest starts"; return; }
	agent_install guest
	agent_moves guest
	agent_upgrade guest
	check "the agent's sessions ended by others come back" \
		guest_do guest $((seconds + 120)) "bell_fuzz $((seconds / 5)) ${SEED-}"
	check "then it is alive again" agent_until guest 15 '.agent.state == "alive"'
	guest_do guest 30 'systemctl stop annex-agent'
	agent_fuzz guest "$seconds" "${SEED-}"
	check "after all that the agent starts" guest_do guest 30 'systemctl start annex-agent'
	agent_others guest
	agent_reboot guest
	virsh destroy guest 2>/dev/null
}

# The kernel moves pinned memory: what is pinned follows.
agent_moves() {
	guest_do "$1" 60 'kv_start kv 8' || { not_ok "moves: a store starts"; return; }
	agent_pinned "$1" "moves"
	guest_do "$1" 120 'kv_ask kv sweep; churn_for 80 random 3 && for i in 1 2 3; do
		echo 1 >/proc/sys/vm/compact_memory; done; grep -E "compact_migrate_scanned|pgmigrate_s" /proc/vmstat'
	sleep 12
	guest_do "$1" 120 'churn_for 56 random 8'
	agent_fills "$1" "kv_ask kv sweep"
	check "moves: after compaction the store is pinned as before ($fills pages of 2048 were not)" \
		[ "${fills:-9999}" -lt 200 ]
	guest_do "$1" 60 'end kv'
	agent_gone "$1" "moved, then ended"
}

agent_upgrade() {
	guest_do "$1" 30 'systemctl start annex-agent'
	guest_do "$1" 60 'kv_start kv 8; echo "pin comm=kv max=8M" >>/etc/annex/agent.conf; systemctl reload annex-agent'
	check "a policy of the configuration pins" agent_until "$1" 15 '.agent.pinned > 1000'
	check "upgrade: the package again" guest_do "$1" 120 \
		'dpkg -i --force-confold /mnt/annex-agent_*.deb && systemctl is-active annex-agent && tail -n 1 /etc/annex/agent.conf | grep kv'
	check "upgrade: another session, and its policy pins again" \
		agent_until "$1" 20 '.agent.state == "alive" and .agent.pinned > 1000 and .agent.session > 1'
	guest_do "$1" 60 'end kv'
	agent_gone "$1" "upgraded, then the store ended"
}

# The next boot knows nothing of the pins of the last; the agent starts with it.
agent_reboot() {
	guest_do "$1" 60 'kv_start kv 8'
	agent_pinned "$1" "reboot"
	printf '99999 systemctl reboot\n' >"$work/$1.in"
	lab_wait "$1" 240 LAB-READY 2 || { not_ok "reboot: the guest comes up"; return; }
	check "reboot: no pin is left" [ "$(agent_stat "$1" .agent.pinned)" = 0 ]
	check "reboot: the agent starts with the guest" agent_until "$1" 30 '.agent.state == "alive"'
}

# agent_dependencies: the packages that all of ours need and the guest has not, from the mirror.
agent_dependencies() {
	local status=$work/dpkg.status
	rm -rf "$work/depends" && mkdir -p "$work/depends" "$work/apt/archives/partial"
	debugfs -R 'cat /var/lib/dpkg/status' "$guest_dir/disk.img" >"$status" 2>/dev/null &&
		[ -s "$status" ] || return 1
	(cd "$work/depends" && apt-get -qq -o Dir::State::status="$status" -o APT::Sandbox::User=root \
		-o Dir::Cache="$work/apt" -o APT::Install-Recommends=false --print-uris install "${packages[@]}" |
		awk -F"'" '/^.http/ { print $2 }' | xargs -r -n 1 curl -sSfO)
}

# All packages, with what they need.
agent_others() {
	check "packages: apt installs all of them" guest_do "$1" 600 \
		'apt-get install -y /mnt/depends/*.deb && inventory >$bin/others.before; apt-get install -y --no-install-recommends /mnt/*.deb'
	check "packages: annex runs" guest_do "$1" 60 'annex --version'
	check "packages: the memory server is there" guest_do "$1" 60 \
		'annex-memserver --version && ls -l /usr/lib/annex && systemctl cat annex-memserver'
	check "packages: apt purges them" guest_do "$1" 300 \
		'apt-get purge -y annex-vmm annex-memserver annex-tools libannex-hint-dev libannex-hint1'
	check "packages: nothing of them is left" guest_do "$1" 60 \
		'inventory >$bin/others; diff $bin/others.before $bin/others'
}
