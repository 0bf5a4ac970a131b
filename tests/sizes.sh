#!/bin/bash
# SPDX-License-Identifier: MIT
# What has to stay small: the VMM's ELF below 1 MiB; the part that is written once per CPU vendor and
# has to be trusted most, vmm/virt and vmm/slat, below 5,000 lines of code (comments, blank lines not
# counted).
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0

# below TEXT VALUE LIMIT
below() {
	if [ "$2" -gt 0 ] && [ "$2" -lt "$3" ]; then
		passed=$((passed + 1))
		echo "ok      $1: $2, limit $3"
	else
		failed=$((failed + 1))
		echo "NOT OK  $1: $2, limit $3"
	fi
}

code_lines() {
	find "$@" -name '*.[chS]' -print0 | xargs -0 -n 1 gcc -x c -fpreprocessed -dD -E -P 2>/dev/null |
		grep -c .
}

below "bytes of the VMM's ELF" "$(stat -c %s "${BUILD:-build}/annex-vmm.elf" 2>/dev/null || echo 0)" \
	1048576
below "lines of code in vmm/virt and vmm/slat" "$(code_lines vmm/virt vmm/slat)" 5000
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
