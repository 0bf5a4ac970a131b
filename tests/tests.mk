# SPDX-License-Identifier: MIT
# The tests. A room registers a cmocka program in tests/unit/NAME.mk:
#     UNIT_TESTS += $(BUILD)/unit/NAME
#     $(BUILD)/unit/NAME: tests/unit/NAME.c vmm/room/file.c
# The rule below builds it from the .c files among its prerequisites; a fragment may have its own
# rule, or add to UNIT_CFLAGS and UNIT_LIBS for its program.

UNIT_TESTS :=
UNIT_CFLAGS :=
UNIT_LIBS :=

include $(wildcard tests/unit/*.mk tests/sim/*.mk tests/cli/*.mk tests/bench/*.mk tests/itest/*.mk)

UNIT_HEADERS := $(shell find include vmm memserver toolstack guest-agent tests -name '*.h' 2>/dev/null)

$(UNIT_TESTS): $(UNIT_HEADERS)

$(BUILD)/unit/%:
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm $(UNIT_CFLAGS) -o $@ $(filter %.c,$^) \
		$(UNIT_LIBS) -lcmocka

unit: $(UNIT_TESTS)
	$(Q)tests/unit.sh $(UNIT_TESTS)

model:
	$(Q)tests/model/run.sh

lab: all
	$(Q)tests/lab/run.sh

bench: all
	$(Q)tests/bench/run.sh

# Packages first: the second make sees what pkg-config finds only then.
check: deps
	$(Q)tests/check.sh

check-all: deps
	$(Q)tests/check-all.sh

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/lab/demo.sh
