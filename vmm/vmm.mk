# SPDX-License-Identifier: MIT
# The VMM: one freestanding ELF from the rooms below, plus the host library of the neutral rooms.

VMM_ROOMS := boot machine virt virt/svm virt/vmx slat far fabric nic service lib
VMM_SOURCES := $(foreach r,$(VMM_ROOMS),$(wildcard vmm/$(r)/*.c vmm/$(r)/*.S))
VMM_OBJECTS := $(patsubst vmm/%,$(BUILD)/vmm/%.o,$(basename $(VMM_SOURCES)))

VMM_CFLAGS := $(CFLAGS_COMMON) -D_POSIX_C_SOURCE=200809L -Ivmm -Iinclude -ffreestanding -fno-stack-protector -fno-pic \
	-fno-pie -mno-red-zone -mgeneral-regs-only -mcmodel=small -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -O2 -g

# A service core carries no guest state in its registers: checksums may use SSE there.
$(BUILD)/vmm/lib/crc_sse.o: VMM_CFLAGS := $(filter-out -mgeneral-regs-only,$(VMM_CFLAGS))

$(BUILD)/vmm/%.o: vmm/%.c vmm/vmm.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(VMM_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/vmm/%.o: vmm/%.S vmm/vmm.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(VMM_CFLAGS) -MMD -MP -c -o $@ $<

# What is loaded carries no debugging information; the .debug file beside it does.
$(BUILD)/annex-vmm.debug: $(VMM_OBJECTS) vmm/boot/vmm.ld
	@mkdir -p $(@D)
	$(Q)$(LD) -n -static -z noexecstack -T vmm/boot/vmm.ld -o $@ $(VMM_OBJECTS)

$(BUILD)/annex-vmm.elf: $(BUILD)/annex-vmm.debug
	$(Q)objcopy --strip-debug --add-gnu-debuglink=$< $< $@

PROGRAMS += $(BUILD)/annex-vmm.elf

# An image that starts VMM and guest from GRUB. Without KERNEL: the lab's Debian.
KERNEL ?=
INITRD ?=
CMDLINE ?= root=/dev/vda console=ttyS0
CONFIG ?= docs/examples/annex.conf
ISO ?= $(BUILD)/annex.iso

.PHONY: iso
#? iso            $(BUILD)/annex.iso to boot from GRUB: KERNEL= INITRD= CMDLINE= CONFIG= ISO=
iso: $(BUILD)/annex-vmm.elf
	$(Q)kernel='$(KERNEL)' initrd='$(INITRD)'; \
	if [ -z "$$kernel" ]; then \
		image=$$(tests/lab/image.sh guest) || exit 1; \
		kernel=$$image/vmlinuz initrd=$$image/initrd.img; \
	fi; \
	vmm/boot/iso.sh -o '$(ISO)' -v $< -k "$$kernel" $${initrd:+-i "$$initrd"} -c '$(CONFIG)' \
		-a '$(CMDLINE)'

-include $(VMM_OBJECTS:.o=.d)
