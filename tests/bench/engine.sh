#!/bin/bash
# SPDX-License-Identifier: MIT
# The rows of make bench that need no machine: instructions per fault in the hosted engine, counted
# by callgrind, and its fills per second. Prints `what|value|goal|how` lines.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
engine=$build/bench-engine
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

# count KIND FAULTS: sets total, checksums and copies, instructions per fault.
count() {
	local found
	valgrind --tool=callgrind --collect-atstart=no --callgrind-out-file="$out/$1" \
		"$engine" "$1" "$2" >"$out/$1.log" 2>&1 || { cat "$out/$1.log" >&2; exit 1; }
	found=$(callgrind_annotate --threshold=100 --auto=no "$out/$1" | awk -v n="$2" '
		/PROGRAM TOTALS/ { gsub(",", "", $1); total = $1 }
		/[0-9] \([ 0-9.]+%\) .*:/ {
			ir = $1
			gsub(",", "", ir)
			if (/engine.c:(turn|enter|leave)/)
				own += ir
			else if (/:(ethernet|castagnoli|crc|run_fold|run_tables|shift_state|fold|take)/)
				checksums += ir
			else if (/:_*(mem(cpy|move|set)|pcache_all_zero)/)
				copies += ir
		}
		END { printf "%d %d %d", (total - own) / n, checksums / n, copies / n }')
	read -r total checksums copies <<<"$found"
}

row() { # row WHAT GOAL PAGE-IN-LINE: the VMM's instructions without checksums and page copies
	local value=$((total - checksums - copies - $3)) met=no
	[ "$value" -le "$2" ] && met=yes
	printf 'instructions per %s|%d|<= %d %s|callgrind, hosted; beside it %d of checksums, %d of copies\n' \
		"$1" "$value" "$2" "$met" "$checksums" $((copies + $3))
}

count zero 2000
row "zero fill" 1200 512 # the compiler's own REP STOSQ: an instruction a word, as callgrind counts
count victim 4000
row "victim hit" 800 0
count remote 4000
row "remote fill" 2500 0
count loop 4000
printf 'instructions per remote fill, whole loop|%d|-|the same at 50 %% local: reclaim, idle turns and checksums too\n' \
	"$total"

# scan_row WHAT KIND: simulated, so the same on every machine.
scan_row() {
	local n with without ns_with ns_without
	read -r n with ns_with <<<"$("$engine" "$2" 100000 32)"
	read -r _ without ns_without <<<"$("$engine" "$2" 100000 0)"
	printf 'faults per 1,000 pages, %s|%d|-|simulated, 50 %% local, READ of 3 us; without prefetch %d\n' \
		"$1" $((with * 1000 / n)) $((without * 1000 / n))
	printf 'simulated ns per page, %s|%d|-|the same; without prefetch %d; 4,000 are the work of the guest\n' \
		"$1" $((ns_with / n)) $((ns_without / n))
}
scan_row "sequential scan" scan
scan_row "random scan" random

best=0 engine_best=0
for _ in 1 2 3; do
	read -r _ n _ all _ part <<<"$("$engine" loop 100000)"
	best=$(awk -v a="$best" -v n="$n" -v s="$all" 'BEGIN { r = int(n / s); print (r > a ? r : a) }')
	engine_best=$(awk -v a="$engine_best" -v n="$n" -v s="$part" \
		'BEGIN { r = int(n / s); print (r > a ? r : a) }')
done
printf "hosted engine, fills/s on one core|%d|-|best of 3, the VMM's part; %d with simulated card and server\n" \
	"$engine_best" "$best"
