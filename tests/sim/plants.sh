#!/bin/bash
# SPDX-License-Identifier: MIT
# plants.sh BUILD: plants each fault in turn; the simulation must notice within PLANT_SEEDS seeds, in
# the full world (the abandoned READ and the missing fence are planted in its network and server).
set -u
build=${1:-build}
seeds=${PLANT_SEEDS:-400}
events=${PLANT_EVENTS:-100000}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
found=0 missed=0

for fault in $("$build/sim" --faults); do
	if timeout 300 "$build/sim" --fault "$fault" --seeds "1-$seeds" --events "$events" >"$log" 2>&1; then
		echo "sim: planted $fault: NOT noticed in $seeds seeds"
		missed=$((missed + 1))
		continue
	fi
	if ! grep -q "fault planted: $fault" "$log"; then
		echo "sim: planted $fault: the simulation itself failed:"
		tail -5 "$log"
		missed=$((missed + 1))
		continue
	fi
	echo "sim: planted $fault: $(sed -n '1s/^sim ([a-z]*): //p' "$log")"
	found=$((found + 1))
done
echo "sim: $found of $((found + missed)) planted faults noticed"
[ "$missed" -eq 0 ]
