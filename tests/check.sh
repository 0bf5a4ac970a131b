#!/bin/bash
# SPDX-License-Identifier: MIT
# Every test but the slow ones (check-all.sh), stage by stage. The last line of all is
# "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.."
. tests/stage.sh

stage build 600 make --no-print-directory -j2 all || { total; exit 1; }
stage unit 600 make --no-print-directory -j2 unit
stage sizes 60 tests/sizes.sh
stage format 120 make --no-print-directory format-check
stage model 1200 tests/model/run.sh
stage sim 1200 make --no-print-directory sim
stage cli 1200 make --no-print-directory cli
stage boot 900 tests/lab/boot.sh
stage itest 600 tests/lab/itest.sh
stage memserver 400 tests/lab/memserver.sh
stage lab 2600 tests/lab/run.sh
stage bochs 1000 tests/lab/bochs_lab.sh
total
