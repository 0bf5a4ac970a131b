# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The guest's agent from outside: guest hint, guest check, stat, guest show, the exporter. The "VMM" is
# a machine that only carries bytes between its two serial ports; behind the first one is build/cli/vmm,
# the VMM's own service code with a scripted agent. Sourced by run.sh.

# like MODE: the agent is like that from now on.
like() {
	echo "$1" >"$work/mode.new" && mv "$work/mode.new" "$work/mode"
	sleep 0.4
}

agent_up() {
	make_kernel "$work/carrier"
	python3 "$here/carrier.py" "$work/carrier"
	echo none >"$work/mode"
	inside "$build/cli/vmm" "$work/vmm.sock" "$work/mode" >"$work/vmm.log" 2>&1 &
	agent_pid=$!
	for _ in $(seq 50); do
		[ -S "$work/vmm.sock" ] && break
		sleep 0.1
	done
	sed -e "s|<serial type='pty'>|<serial type='unix'><source mode='connect' path='$work/vmm.sock'/>|" \
		-e '/<log file/d' -e '/<console/,/<\/console>/d' -e 's/<name>debian</<name>talk</' \
		"$work/guest.xml" >"$work/talk.xml"
	json "agent: a memory server" '.name == "memory1"' server add memory1 10.77.0.1 --http 0
	json "agent: a guest with a budget of pins" '.name == "talk"' guest define "$work/talk.xml" \
		--vmm "$work/carrier"
	grep -rqx 'pin = 8M' "$ANNEX_STATE/guests" && pass "agent: the VMM is told the budget" ||
		fail "agent: the VMM is told the budget"
	expect "agent: the guest is off" 5 "does not run" guest check talk
	expect "agent: start" 0 "started" guest start talk
	sleep 1
}

agent_states() {
	json "agent: none" '.agent.state == "none" and .agent.report == null' guest show talk
	expect "agent: none, in words" 0 "apt install annex-agent" guest show talk
	expect "check: no agent" 5 "no agent that would answer (none)" guest check talk
	expect "hint: no agent" 5 "no agent has come" guest hint talk pin pid=1
	like alive
	json "agent: alive" '.agent.state == "alive" and .agent.report.far.total == 536870912 and
		.agent.pinned == 100 and .agent.budget == 2048 and .agent.report.memory.some10 == 1.25 and
		.agent.report.io.some_us == null and .agent.report.top[0].pid == 4711' guest show talk
	expect "agent: alive, in words" 0 "agent:       alive 0.1.0: heard" guest show talk
	expect "stat: the agent too" 0 "pressure:    memory 1.25 % some, 0.25 % full" stat talk
	grep -q redis "$work/out" && fail "stat: no processes without --top" || pass "stat: no processes without --top"
	expect "stat --top" 0 "12.50" stat talk --top
	json "stat: the agent in JSON" '.agent.report.major_faults == 34 and .rates' stat talk
	expect "stat: --top and --watch" 2 "does not fit" stat talk --top --watch
	like silent
	json "agent: silent" '.agent.state == "silent" and .agent.age_ns >= 4000000000' guest show talk
	expect "check: silent agent" 5 "(silent): silent for 4" guest check talk
	like ended
	json "agent: ended" '.agent.state == "ended"' guest show talk
	expect "hint: ended agent" 5 "systemctl start annex-agent" guest hint talk cold comm=rsync
	like old
	json "agent: old" '.agent.state == "old" and .agent.report == null' guest show talk
	expect "check: old agent" 6 "is old: its report is of version 0" guest check talk
	expect "hint: old agent" 0 "did 'pin pid=1'" guest hint talk pin pid=1
	grep -q "warning: the guest's agent is old" "$work/err" && pass "hint: warned of it" ||
		fail "hint: warned of it" "$err"
	like new
	expect "check: new agent" 6 "Upgrade annex-tools here" guest check talk
	for field in pinned far.total local.total uptime_ns; do
		like "lying $field"
		json "agent: lying about $field" ".agent.state == \"lying\" and .agent.report == null and
			(.agent.problem | startswith(\"$field is \"))" guest show talk
	done
	expect "check: lying agent" 6 "contradicts the VMM: uptime_ns" guest check talk
	like stopped
	json "agent: none of a VMM that has stopped" '.agent == null and .vmm.state == "stopped"' \
		guest show talk
	expect "hint: a VMM that has stopped" 5 "has stopped, and the agent with it" guest hint talk --list
	like hostile
	run stat talk --top
	if [ $rc -eq 0 ] && grep -q '?\[2J' <<<"$out" && ! grep -q $'\x1b' <<<"$out"; then
		pass "agent: control characters are not passed on"
	else
		fail "agent: control characters are not passed on" "$rc" "$out"
	fi
}

agent_messages() {
	expect "hint: no action" 2 "give one of" guest hint talk
	expect "hint: two actions" 2 "give one of" guest hint talk pin pid=1 --list
	expect "hint: unknown" 2 "pin, unpin, prefetch and cold" guest hint talk hold pid=1
	expect "hint: no selector" 2 "'pin' needs a SELECTOR" guest hint talk pin
	expect "hint: bad selector" 2 "'redis' is no selector" guest hint talk pin redis
	expect "hint: bad unit" 2 "a systemd unit, such as" guest hint talk pin unit=a/b
	expect "hint: bad pid" 2 "1 to 4194304" guest hint talk pin pid=0
	expect "hint: bad path" 2 "absolute path" guest hint talk pin exe=redis
	expect "hint: bad size" 2 "multiple of 4K" guest hint talk pin pid=1 --max 5K
	expect "hint: --max alone" 2 "write max=SIZE" guest hint talk --list --max 4K
	expect "hint: unpin a part" 2 "Leave --max out" guest hint talk unpin pid=1 --max 4K
	expect "hint: two lines" 2 "one line of printable" guest hint talk --policy $'pin pid=1\nx'
	expect "hint: empty policy" 2 "is empty" guest hint talk --policy ""
	expect "hint: a long policy" 2 "up to 192" guest hint talk --policy "$(printf 'x%.0s' {1..300})"
	expect "hint: bad number" 2 "is no number of a policy" guest hint talk --remove first
	expect "hint: bad time" 2 "1 to 3600" guest hint talk --list --timeout 0
	expect "check: bad time" 2 "1 to 3600" guest check talk --timeout 9999
	expect "hint: unknown guest" 3 "no guest 'nobody'" guest hint nobody --list
	like alive
	expect "hint: pin" 0 "did 'pin unit=redis.service max=256M'" guest hint talk pin \
		unit=redis.service --max 256M
	json "hint in JSON" '.message == "cold pid=12 address=0x7f00 length=2M" and
		(.reply | startswith("ok did"))' guest hint talk cold pid=12 address=0x7f00 length=2M
	expect "hint: policy" 0 "did 'policy add pin unit=redis.service max=1G'" guest hint talk \
		--policy "pin unit=redis.service max=1G"
	expect "hint: list" 0 "1 pin unit=redis.service" guest hint talk --list
	[ "$(head -n 1 <<<"$out")" = "1 pin unit=redis.service max=256M" ] && pass "hint: the list alone" ||
		fail "hint: the list alone" "$out"
	expect "hint: remove" 0 "did 'policy remove 1'" guest hint talk --remove 1
	expect "hint: the agent refuses" 1 "refuses: no unit nosuch.service here" guest hint talk \
		unpin unit=nosuch.service
	json "check" '.failed == 0 and [.checks[].state] == ["ok", "skip"] and
		.checks[0].name == "swiotlb"' guest check talk
	like failing
	run guest check talk
	[ $rc -eq 1 ] && grep -q "^fail  numa     CPU 0 is not" <<<"$out" &&
		grep -q "1 of the checks failed" <<<"$err" && pass "check: one failed" ||
		fail "check: one failed" "$rc" "$out" "$err"
	run guest check talk --json
	[ $rc -eq 1 ] && jq -e '.failed == 1 and .checks[1].state == "warn"' <<<"$out" >/dev/null &&
		pass "check: one failed, in JSON" || fail "check: one failed, in JSON" "$rc" "$out" "$err"
	like deaf
	expect "hint: no reply" 5 "did not reply in 1 s" guest hint talk --list --timeout 1
	expect "check: no reply" 5 "did not reply in 1 s" guest check talk --timeout 1
	like hostile
	run guest hint talk --list
	[ $rc -eq 0 ] && [ "$out" = 'ok ?]0;owned??[2J?' ] && pass "hint: a hostile reply is made harmless" ||
		fail "hint: a hostile reply is made harmless" "$rc" "$(od -c <<<"$out")" "$err"
	expect "check: a hostile reply" 1 "does not understand" guest check talk
	like wordy
	json "hint: the longest reply" '.reply | length == 1920' guest hint talk --list
	expect "check: a reply that is none" 1 "does not understand: 'ok xxx" guest check talk
}

# scrape: what the exporter says, checked for form by a parser; sets out, and its time in $took.
scrape() {
	local began=${EPOCHREALTIME/./}
	inside curl -s -m 20 -D "$work/head" http://127.0.0.1:9750/metrics >"$work/metrics"
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	out=$(cat "$work/metrics")
	grep -qi '^content-type: text/plain; version=0.0.4' "$work/head" &&
		python3 "$here/metrics.py" "$work/metrics" >"$work/metrics.err" 2>&1
}

# scrape_for LINE: until it has the line, as run does with tries
scrape_for() {
	local try
	for ((try = 0; try < tries; try++)); do
		scrape && grep -qxF -- "$1" "$work/metrics" && return
	done
	return 1
}

# code PATH [OPTION...]: the status that the exporter answers
code() { inside curl -s -m 20 -o /dev/null -w '%{http_code}' "http://127.0.0.1:9750/$1" "${@:2}"; }

# sample NAME TEXT...: lines that the last scrape has
sample() {
	local name=$1 line
	shift
	for line in "$@"; do
		grep -qxF -- "$line" "$work/metrics" || {
			fail "$name" "no $line in:" "$(grep -F "${line%%\{*}" "$work/metrics")"
			return
		}
	done
	pass "$name"
}

agent_exporter() {
	expect "exporter: bad address" 2 "is no IPv4 address with a port" exporter --listen here:1
	expect "exporter: no port" 2 "is no IPv4 address with a port" exporter --listen 127.0.0.1
	expect "exporter: bad time" 2 "1 to 60 seconds" exporter --timeout 0
	expect "exporter: another's address" 1 "cannot listen on 10.99.99.99:9750" exporter \
		--listen 10.99.99.99:9750
	inside "$build/annex" exporter >"$work/exporter.log" 2>&1 &
	local exporter=$! child
	for _ in $(seq 50); do
		grep -q 'metrics at' "$work/exporter.log" && break
		sleep 0.1
	done
	expect "exporter: port in use" 1 "Give another --listen" exporter
	inside curl -s http://127.0.0.1:9750/ | grep -q '<a href="/metrics">' &&
		pass "exporter: index page" || fail "exporter: index page"
	[ "$(code none) $(code metrics -X POST) $(code none -X PUT -d 1) $(code '' -I)" = "404 405 405 200" ] &&
		pass "exporter: 404 and 405" || fail "exporter: 404 and 405"
	like alive
	scrape_for 'annex_agent_state{guest="talk",state="alive"} 1' && pass "exporter: the text format" ||
		fail "exporter: the text format" "$(cat "$work/head" "$work/metrics.err")" "$out"
	sample "exporter: a guest that runs" 'annex_up{guest="talk"} 1' \
		'annex_vmm_state{guest="talk",state="running"} 1' \
		'annex_far_remote_fills_total{guest="talk"} 4711' \
		'annex_server_ready{guest="talk",server="memory1",address="10.77.0.1:7471"} 1' \
		'annex_far_pages{guest="talk",state="resident"} 72' \
		'annex_fill_duration_seconds_count{guest="talk",fill="remote",stage="wire"} 0' \
		'annex_agent_state{guest="talk",state="alive"} 1' \
		'annex_agent_state{guest="talk",state="lying"} 0' \
		'annex_agent_pinned_bytes{guest="talk"} 409600' \
		'annex_guest_pressure_ratio{guest="talk",resource="memory",kind="some"} 0.0125' \
		'annex_guest_memory_bytes{guest="talk",node="far",kind="free"} 104857600' \
		'annex_guest_process_fills_per_second{guest="talk",process="redis \"main\"\\"} 12.5' \
		'annex_guest_process_fills_per_second{guest="talk",process="worker"} 1.5' \
		'annex_exporter_libvirt_up 1'
	like "lying pinned"
	scrape_for 'annex_agent_state{guest="talk",state="lying"} 1'
	grep -q annex_guest_major "$work/metrics" && fail "exporter: nothing of a liar's report" ||
		sample "exporter: nothing of a liar's report" \
			'annex_agent_state{guest="talk",state="lying"} 1' 'annex_up{guest="talk"} 1'
	like hostile
	scrape_for 'annex_guest_process_fills_per_second{guest="talk",process="?[2J?\"?"} 12.5' &&
		pass "exporter: hostile names" || fail "exporter: hostile names" "$(cat "$work/metrics.err")"
	like stopped
	scrape_for 'annex_vmm_state{guest="talk",state="stopped"} 1'
	sample "exporter: a VMM that has stopped" 'annex_vmm_state{guest="talk",state="stopped"} 1'
	like dumb
	scrape && [ "$took" -lt 5800 ] && sample "exporter: a VMM that is silent" \
		'annex_up{guest="talk"} 0' 'annex_guest_running{guest="talk"} 1' ||
		fail "exporter: a VMM that is silent" "$took ms" "$(cat "$work/metrics.err")"
	# Two at once are one collection.
	like alive
	scrape
	child=$(sed -n 's/^annex_exporter_collections_total //p' "$work/metrics")
	inside curl -s -m 20 http://127.0.0.1:9750/metrics >"$work/one" &
	inside curl -s -m 20 http://127.0.0.1:9750/metrics >"$work/two"
	wait $!
	cmp -s "$work/one" "$work/two" &&
		grep -qx "annex_exporter_collections_total $((child + 1))" "$work/one" &&
		pass "exporter: two scrapes at once" || fail "exporter: two scrapes at once" \
			"$child" "$(grep collections "$work/one" "$work/two")"
	exporter_away "$exporter"
	inside pkill -TERM -x annex
	wait "$exporter"
	[ $? -eq 0 ] && pass "exporter: SIGTERM ends it" || fail "exporter: SIGTERM ends it"
}

# libvirt that does not answer costs the scrape's time limit, no more; and is told.
exporter_away() {
	local daemon
	daemon=$(cat "$lv/run/libvirtd.pid")
	inside kill -STOP "$daemon"
	scrape && [ "$took" -lt 5800 ] && sample "exporter: libvirt stands still" \
		'annex_exporter_libvirt_up 0' ||
		fail "exporter: libvirt stands still" "$took ms" "$(cat "$work/metrics.err")"
	inside kill -CONT "$daemon"
	scrape_for 'annex_up{guest="talk"} 1' && sample "exporter: and goes on" 'annex_exporter_libvirt_up 1' ||
		fail "exporter: and goes on"
}

agent() {
	local tries=6
	agent_up
	agent_states
	agent_messages
	agent_exporter
	expect "agent: the end" 0 "stopped" guest stop --force talk
	expect "agent: undefine" 0 "undefined" guest undefine talk --keep-far
	expect "agent: server" 0 "removed" server remove memory1
	wait $agent_pid
	[ -s "$work/vmm.log" ] && fail "the scripted VMM is clean" "$(cat "$work/vmm.log")"
}
