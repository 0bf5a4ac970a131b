# SPDX-License-Identifier: MIT
UNIT_TESTS += $(BUILD)/unit/shootdown_test

$(BUILD)/unit/shootdown_test: tests/unit/shootdown_test.c vmm/slat/shootdown.c vmm/slat/shootdown.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -o $@ $(filter %.c,$^) -lcmocka -lpthread
