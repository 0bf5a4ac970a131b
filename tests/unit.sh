#!/bin/bash
# SPDX-License-Identifier: MIT
# unit.sh PROGRAM...: runs cmocka programs, prints the output of those that fail, and one total.
set -u
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
logs=${BUILD:-build}/logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0

count() { # count LOG MARK: cmocka's own "[  MARK  ] N test(s)."
	sed -n "s/^\[  $2  *\] \([0-9]*\) test(s).*/\1/p" "$1" | paste -sd+ | bc_sum
}
bc_sum() { local s; read -r s || s=0; echo $((${s:-0})); }

for program in "$@"; do
	log=$logs/unit-$(basename "$program").log
	timeout "${UNIT_TIMEOUT:-120}" "$program" >"$log" 2>&1
	rc=$?
	p=$(count "$log" PASSED) f=$(count "$log" FAILED) s=$(count "$log" SKIPPED)
	if [ $rc -ne 0 ] && [ "$f" -eq 0 ]; then
		f=1 # crashed, timed out or caught by a sanitizer
	fi
	if [ $rc -eq 0 ] && [ "$p" -eq 0 ]; then
		echo "unit: $program ran no test" >&2
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	if [ "$f" -ne 0 ]; then
		echo "--- $program failed (exit $rc):"
		cat "$log"
	fi
done
echo "unit: $passed passed, $failed failed, $skipped skipped ($# programs)"
[ "$failed" -eq 0 ]
