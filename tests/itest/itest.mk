# SPDX-License-Identifier: MIT
# The instruction test's payload: a bzImage of our own, run by tests/lab/itest.sh.

ITEST_SOURCES := $(wildcard tests/itest/*.c) vmm/lib/text.c vmm/lib/string.c
ITEST_OBJECTS := $(BUILD)/itest/head.o $(patsubst %.c,$(BUILD)/itest/%.o,$(notdir $(ITEST_SOURCES)))
ITEST_CFLAGS := $(CFLAGS_COMMON) -D_POSIX_C_SOURCE=200809L -Itests/itest -Ivmm -Iinclude -ffreestanding \
	-fno-stack-protector -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -mcmodel=small \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing -O2 -g

$(BUILD)/itest/%.o: tests/itest/%.c tests/itest/itest.h vmm/machine/x86.h \
		vmm/machine/registers.h tests/itest/itest.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(ITEST_CFLAGS) -c -o $@ $<

$(BUILD)/itest/%.o: vmm/lib/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ITEST_CFLAGS) -c -o $@ $<

$(BUILD)/itest/head.o: tests/itest/head.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(ITEST_CFLAGS) -c -o $@ $<

$(BUILD)/itest/payload.elf: $(ITEST_OBJECTS) tests/itest/itest.ld
	$(Q)$(LD) -n -static -z noexecstack --no-warn-rwx-segments -T tests/itest/itest.ld -o $@ $(ITEST_OBJECTS)

$(BUILD)/itest/payload.bz: $(BUILD)/itest/payload.elf
	$(Q)objcopy -O binary $< $@

PROGRAMS += $(BUILD)/itest/payload.bz
