# SPDX-License-Identifier: MIT
UNIT_TESTS += $(BUILD)/unit/ept_test $(BUILD)/unit/mtrr_test $(BUILD)/unit/vmx_test

$(BUILD)/unit/ept_test: tests/unit/ept_test.c vmm/slat/ept.c vmm/slat/slat.c vmm/slat/build.c

# Their own include directory goes first: MSRs and VMCS are the tests'.
$(BUILD)/unit/mtrr_test: tests/unit/mtrr_test.c vmm/machine/mtrr.c
$(BUILD)/unit/vmx_test: tests/unit/vmx_test.c vmm/virt/vmx/event.c vmm/virt/vmx/msr.c vmm/virt/msr.c

$(BUILD)/unit/mtrr_test $(BUILD)/unit/vmx_test:
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Itests/unit/fake_vmx -Ivmm -o $@ \
		$(filter %.c,$^) -lcmocka
