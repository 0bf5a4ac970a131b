# SPDX-License-Identifier: MIT
.PHONY: cli

cli: all
	$(Q)tests/cli/run.sh
