# SPDX-License-Identifier: MIT
# Unit tests of the neutral parts of vmm/boot and vmm/machine.

UNIT_TESTS += $(BUILD)/unit/config_test $(BUILD)/unit/layout_test $(BUILD)/unit/tables_test \
	$(BUILD)/unit/multiboot_test $(BUILD)/unit/e820_test $(BUILD)/unit/display_test \
	$(BUILD)/unit/linux_test

$(BUILD)/unit/config_test: tests/unit/config_test.c vmm/boot/config.c vmm/machine/pci_parse.c \
		$(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -MMD -o $@ $(filter %.c,$^) $(BUILD)/host/lib.a -lcmocka

$(BUILD)/unit/layout_test: tests/unit/layout_test.c vmm/machine/layout.c $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -MMD -o $@ $(filter %.c,$^) $(BUILD)/host/lib.a -lcmocka

$(BUILD)/unit/tables_test: tests/unit/tables_test.c vmm/machine/acpi.c vmm/boot/tables.c \
		vmm/boot/hand_off.c $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -MMD -o $@ $(filter %.c,$^) $(BUILD)/host/lib.a -lcmocka

$(BUILD)/unit/multiboot_test: tests/unit/multiboot_test.c vmm/boot/multiboot.c vmm/boot/payload.c \
		vmm/boot/screen.c vmm/machine/memmap.c $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -MMD -o $@ $(filter %.c,$^) $(BUILD)/host/lib.a -lcmocka

$(BUILD)/unit/e820_test: tests/unit/e820_test.c vmm/boot/e820.c vmm/machine/hidden.c \
		vmm/machine/layout.c $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -MMD -o $@ $(filter %.c,$^) $(BUILD)/host/lib.a -lcmocka

$(BUILD)/unit/display_test: tests/unit/display_test.c vmm/machine/display.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -MMD -o $@ $(filter %.c,$^) -lcmocka

$(BUILD)/unit/linux_test: tests/unit/linux_test.c vmm/boot/linux.c $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -MMD -o $@ $(filter %.c,$^) $(BUILD)/host/lib.a -lcmocka
