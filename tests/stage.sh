# SPDX-License-Identifier: MIT
# Stages of tests, each with its own time limit and its log, for check.sh and check-all.sh, which
# source this from the top of the tree. A stage's count is the last line "N passed, N failed[, N
# skipped]" that it prints; a stage without one counts as one test.
logs=${BUILD:-build}/logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0
broken=()

# stage NAME SECONDS COMMAND...
stage() {
	local name=$1 limit=$2 log=$logs/check-$1.log began=$SECONDS rc line p=0 f=0 s=0
	shift 2
	printf 'check: %-10s ' "$name"
	timeout -k 30 "$limit" "$@" >"$log" 2>&1 </dev/null
	rc=$?
	line=$(grep -aoE '[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?' "$log" | tail -n 1)
	if [ -n "$line" ]; then
		p=$(sed -E 's/ passed.*//' <<<"$line")
		f=$(sed -E 's/.*passed, ([0-9]+) failed.*/\1/' <<<"$line")
		s=$(sed -nE 's/.*failed, ([0-9]+) skipped/\1/p' <<<"$line")
		s=${s:-0}
	elif grep -q 'planted faults noticed' "$log"; then
		# The simulation: each seed and each planted fault is one test.
		p=$(awk '/^sim \(.*seeds,/ { n += $3 } /planted faults noticed/ { n += $2 } END { print n }' \
			"$log")
		f=$(awk '/planted faults noticed/ { print $4 - $2 }' "$log")
	elif [ $rc -eq 0 ]; then
		p=1
	fi
	[ $rc -eq 124 ] && echo "time limit of $limit s" | tee -a "$log"
	[ $rc -ne 0 ] && [ "$f" -eq 0 ] && f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	printf '%5d passed, %d failed, %d skipped  (%d s)\n' "$p" "$f" "$s" $((SECONDS - began))
	[ "$s" -gt 0 ] && grep -aiE '^ *(skip|skipped)[: ]' "$log" | sed 's/^/    /'
	if [ "$f" -ne 0 ]; then
		broken+=("$name: $log")
		tail -n 60 "$log" | sed 's/^/    /'
	fi
	[ "$f" -eq 0 ]
}

# What says in a log that an assertion failed: the scripts' own marks, cmocka, the simulation,
# sanitizers, the compiler, time limits.
failure_marks='^ *([0-9]+:[0-9]+ +)?(not ok|NOT OK|FAILED:)|^ +[a-z_-]+: (not ok|NOT OK)'
failure_marks+='|^\[  FAILED  \] [A-Za-z_]|^\[   LINE   \]|ran no test$|failed \(exit [0-9]+\):'
failure_marks+='|^sim \([a-z]+\): seed [0-9]+ event|: NOT noticed in|the simulation itself failed'
failure_marks+='|runtime error:|ERROR: [A-Za-z]+Sanitizer|^[^ ]+:[0-9]+:[0-9]+: (fatal )?error:'
failure_marks+='|error: code should be clang-formatted|^ *time limit of '

# failures LOG: one line for each failed assertion; without any, the last lines of the log.
failures() {
	local said
	said=$(tr -d '\r' <"$1" | grep -aE "$failure_marks" | awk '!seen[$0]++')
	[ -n "$said" ] || said=$(tr -d '\r' <"$1" | grep -a . | tail -n 3)
	sed 's/^ */        /' <<<"$said"
}

# The last lines of all: every failed assertion by stage, and the sum.
total() {
	local row
	if [ ${#broken[@]} -gt 0 ]; then
		echo "check: failed stages, their logs and what failed:"
		for row in "${broken[@]}"; do
			echo "    $row"
			failures "${row#*: }"
		done
	fi
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
}
