# SPDX-License-Identifier: MIT
# Unit tests of the neutral part of vmm/service.

UNIT_TESTS += $(BUILD)/unit/manage_test

$(BUILD)/unit/manage_test: tests/unit/manage_test.c tests/unit/manage_sources.c \
		vmm/service/manage.c vmm/service/emit.c vmm/service/view.c \
		vmm/service/doorbell.c $(BUILD)/host/log.o $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -o $@ $(filter %.c %.o,$^) $(BUILD)/host/lib.a \
		-ljansson -lcmocka

# The doorbell's device before the real engine; the fuzzer's time: see there.
DOORBELL_TESTS := $(BUILD)/unit/doorbell_test $(BUILD)/unit/doorbell_fuzz
UNIT_TESTS += $(DOORBELL_TESTS)

$(DOORBELL_TESTS): $(BUILD)/unit/%: tests/unit/%.c tests/unit/far_fixture.c \
		vmm/service/doorbell.c $(wildcard vmm/far/*.c) vmm/slat/shootdown.c \
		vmm/virt/fake/fake.c $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -o $@ $(filter %.c,$^) $(HOST_LIB) -lcmocka
