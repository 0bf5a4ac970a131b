#!/bin/bash
# SPDX-License-Identifier: MIT
# The slow tests behind those of check.sh, in the same manner. `tests/check-all.sh slow` leaves out
# those of check.sh. The last line of all is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.."
. tests/stage.sh

stage build 600 make --no-print-directory -j2 all || { total; exit 1; }
[ "${1-}" = slow ] || stage check 2400 tests/check.sh
stage smp 5400 tests/lab/run.sh smp_all one_cpu_all
stage iso 2400 tests/lab/iso.sh
stage vmx_itest 2400 tests/lab/itest.sh bochs_two bochs_two_x2
stage vmx_smp 3600 env ANNEX_BOCHS_CPUS=2 ANNEX_BOCHS_LIMIT=3000 tests/lab/bochs_lab.sh numa pattern:24 nmis:24
stage guests 5400 tests/lab/run.sh grub_machines upgrade kernels
stage agent 4000 tests/lab/run.sh agent_hints agent_long
stage vmx_all 3000 env ANNEX_BOCHS_LIMIT=2400 \
	tests/lab/bochs_lab.sh numa hello word_count fork_storm:10 pattern:40 disk_io:20
total
