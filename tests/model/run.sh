#!/bin/bash
# SPDX-License-Identifier: MIT
# The shootdown's model (docs/model.md): every state of the machines below must be good, and each
# planted fault must be found.
set -u
here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
work=$(realpath -m "${BUILD:-$top/build}")/model
passed=0 failed=0

# explore NAME OPTIMISE SECONDS DEFINITION...: builds and runs the checker; its output is in $out.
explore() {
	local name=$1 optimise=$2 seconds=$3
	shift 3
	out=$work/$name/out
	rm -rf "${work:?}/$name"
	mkdir -p "$work/$name"
	(
		cd "$work/$name" || exit 1
		spin "$@" -a "$here/shootdown.pml" &&
			gcc -w "$optimise" -DSAFETY -DHC4 -DNOFAIR -DNOBOUNDCHECK -DMEMLIM=1500 \
				-o pan pan.c && timeout "$seconds" ./pan -E -m200000 -w25
	) >"$out" 2>&1
}

states() { grep -aoE '[0-9]+ states, stored' "$out" | cut -d' ' -f1; }

good() { # good NAME SECONDS DEFINITION...
	local name=$1
	explore "$name" -O2 "${@:2}"
	if grep -aq 'errors: 0' "$out" && ! grep -aqE 'not completed|too small' "$out"; then
		passed=$((passed + 1))
		echo "ok      $name: all $(states) states (${*:3})"
	else
		failed=$((failed + 1))
		echo "NOT OK  $name (${*:3})"
		tail -n 30 "$out"
	fi
}

bad() { # bad FAULT DEFINITION...: an assertion must fail
	local name=$1
	explore "fault-$name" -O1 120 "${@:2}"
	if grep -aq 'assertion violated' "$out" && grep -aq 'errors: 1' "$out"; then
		passed=$((passed + 1))
		echo "ok      found: $name, after $(states) states"
	else
		failed=$((failed + 1))
		echo "NOT OK  not found: $name"
		tail -n 30 "$out"
	fi
}

good svm-3 600 -DCPUS=3 -DROUNDS=1 -DOVERFLOWS=0 -DEXITS=0
good svm-2-counters 300 -DCPUS=2 -DROUNDS=1
good vmx-2 300 -DVMX -DCPUS=2 -DOVERFLOWS=0
good vmx-3 600 -DVMX -DCPUS=3 -DROUNDS=1 -DOVERFLOWS=0 -DEXITS=0 -DSENT=0
good svm-2-rounds 600 -DCPUS=2 -DROUNDS=3 -DOVERFLOWS=0

bad flag-after-kick -DCPUS=2 -DPLANT=1
bad no-recheck -DCPUS=2 -DPLANT=2
bad flushed-raised-late -DCPUS=2 -DPLANT=3
bad wake-between-look-and-halt -DCPUS=2 -DPLANT=4
bad marked-after-sending -DCPUS=2 -DPLANT=5
bad every-nmi-the-guests -DCPUS=2 -DPLANT=6
bad counters-nmi-is-the-kick -DCPUS=2 -DPLANT=7
bad reuse-before-settled -DCPUS=2 -DPLANT=9
bad old-batch-releases -DCPUS=2 -DPLANT=10
bad vmx-flag-after-kick -DVMX -DCPUS=2 -DPLANT=1
bad vmx-no-recheck -DVMX -DCPUS=2 -DPLANT=2
bad vmx-flushed-raised-late -DVMX -DCPUS=2 -DPLANT=3
bad vmx-nmi-before-entry -DVMX -DCPUS=2 -DPLANT=8

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
