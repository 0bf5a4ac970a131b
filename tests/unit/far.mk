# SPDX-License-Identifier: MIT
FAR_TESTS := $(BUILD)/unit/far_test $(BUILD)/unit/far_server_test $(BUILD)/unit/prefetch_test \
	$(BUILD)/unit/hint_test $(BUILD)/unit/hint_cold_test
UNIT_TESTS += $(FAR_TESTS)

$(FAR_TESTS): $(BUILD)/unit/%: tests/unit/%.c tests/unit/far_fixture.c $(wildcard vmm/far/*.c) \
		vmm/slat/shootdown.c vmm/virt/fake/fake.c $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -o $@ $(filter %.c,$^) $(HOST_LIB) -lcmocka

$(BUILD)/unit/hint_test $(BUILD)/unit/hint_cold_test: tests/unit/hints_fixture.c
