# SPDX-License-Identifier: MIT
# Unit tests of the guest's agent, against a doorbell of the tests and this machine's own /proc.

AGENT_UNITS := $(patsubst %,$(BUILD)/unit/agent_%_test,ranges session config translate hints policies daemon)
UNIT_TESTS += $(AGENT_UNITS)

# All of the daemon but main, sanitized, once for all of them.
AGENT_UNIT_OBJECTS := $(patsubst %.c,$(BUILD)/sanitized-agent/%.o, \
	$(filter-out guest-agent/main.c,$(AGENT_SOURCES)) tests/unit/agent_bell.c \
	tests/unit/agent_child.c)

$(BUILD)/sanitized-agent/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -MMD -c -o $@ $<

$(BUILD)/sanitized-agent/lib.a: $(AGENT_UNIT_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(AGENT_UNITS): $(BUILD)/unit/%: tests/unit/%.c $(BUILD)/sanitized-agent/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -o $@ $< $(BUILD)/sanitized-agent/lib.a -ljansson -lcmocka

-include $(AGENT_UNIT_OBJECTS:.o=.d)
