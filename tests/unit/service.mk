# SPDX-License-Identifier: MIT
# Unit tests of the neutral part of vmm/service.

UNIT_TESTS += $(BUILD)/unit/manage_test

$(BUILD)/unit/manage_test: tests/unit/manage_test.c vmm/service/manage.c vmm/service/emit.c \
		vmm/service/report.c vmm/service/doorbell.c $(BUILD)/host/log.o $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -o $@ $(filter %.c %.o,$^) $(BUILD)/host/lib.a \
		-ljansson -lcmocka
