# SPDX-License-Identifier: MIT
UNIT_TESTS += $(BUILD)/unit/ports_test $(BUILD)/unit/insn_test

# Its own include directory goes first: the machine's port instructions are the test's.
$(BUILD)/unit/ports_test: tests/unit/ports_test.c vmm/virt/ports.c vmm/virt/bell.c vmm/machine/hidden.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Itests/unit/fake_ports -Ivmm -o $@ \
		$(filter %.c,$^) -lcmocka

$(BUILD)/unit/insn_test: tests/unit/insn_test.c vmm/virt/insn.c vmm/virt/guest.c

UNIT_TESTS += $(BUILD)/unit/kick_test
$(BUILD)/unit/kick_test: tests/unit/kick_test.c vmm/virt/kick.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -o $@ $(filter %.c,$^) -pthread -lcmocka

UNIT_TESTS += $(BUILD)/unit/apic_trap_test $(BUILD)/unit/apic_test
$(BUILD)/unit/apic_trap_test: tests/unit/apic_trap_test.c vmm/virt/apic_trap.c
$(BUILD)/unit/apic_test: tests/unit/apic_test.c vmm/machine/apic.c

$(BUILD)/unit/apic_trap_test $(BUILD)/unit/apic_test:
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Itests/unit/fake_apic -Ivmm -o $@ $(filter %.c,$^) -lcmocka

UNIT_TESTS += $(BUILD)/unit/svm_exits_test
$(BUILD)/unit/svm_exits_test: tests/unit/svm_exits_test.c vmm/virt/svm/exits.c

UNIT_TESTS += $(BUILD)/unit/wakeup_test
$(BUILD)/unit/wakeup_test: tests/unit/wakeup_test.c vmm/virt/wakeup.c

UNIT_TESTS += $(BUILD)/unit/step_test
$(BUILD)/unit/step_test: tests/unit/step_test.c vmm/virt/step.c

# CPUID is the test's.
UNIT_TESTS += $(BUILD)/unit/leaves_test
$(BUILD)/unit/leaves_test: tests/unit/leaves_test.c vmm/virt/leaves.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Itests/unit/fake_vmx -Ivmm -o $@ $(filter %.c,$^) -lcmocka

UNIT_TESTS += $(BUILD)/unit/virt_start_test
$(BUILD)/unit/virt_start_test: tests/unit/virt_start_test.c vmm/virt/virt.c vmm/virt/kick.c \
		vmm/slat/shootdown.c vmm/lib/text.c
