# SPDX-License-Identifier: MIT
# Unit tests of the toolstack: its parts without main, and the VMM's reader of the configuration.

TOOL_UNITS := $(BUILD)/unit/tools_domain_test $(BUILD)/unit/tools_refuse_test \
	$(BUILD)/unit/tools_parts_test $(BUILD)/unit/tools_files_test \
	$(BUILD)/unit/tools_agent_test
UNIT_TESTS += $(TOOL_UNITS)

# Their objects, sanitized, once for all of them.
TOOL_UNIT_OBJECTS := $(TOOL_PARTS:%.c=$(BUILD)/sanitized/%.o)

$(BUILD)/sanitized/toolstack/%.o: toolstack/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(TOOL_CFLAGS) $(SANITIZE) -MMD -c -o $@ $<

$(TOOL_UNITS): $(BUILD)/unit/%: tests/unit/%.c vmm/boot/config.c vmm/machine/pci_parse.c \
		$(TOOL_UNIT_OBJECTS) $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(TOOL_CFLAGS) $(SANITIZE) -Ivmm -o $@ $(filter %.c,$^) $(TOOL_UNIT_OBJECTS) \
		$(BUILD)/host/lib.a $(TOOL_LIBS) -lcmocka

$(BUILD)/unit/tools_domain_test $(BUILD)/unit/tools_refuse_test: tests/unit/domain_fixture.c

-include $(TOOL_UNIT_OBJECTS:.o=.d)
