# SPDX-License-Identifier: MIT
# The guest's agent: a daemon that needs nothing but libc. Its parts are built into the tests too.

AGENT_SOURCES := $(filter-out guest-agent/annex_hint%.c,$(sort $(wildcard guest-agent/*.c))) \
	toolstack/size.c
AGENT_OBJECTS := $(AGENT_SOURCES:%.c=$(BUILD)/agent/%.o)

$(BUILD)/agent/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) -MMD -c -o $@ $<

$(BUILD)/annex-agent: $(AGENT_OBJECTS)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(AGENT_OBJECTS)

PROGRAMS += $(BUILD)/annex-agent

-include $(AGENT_OBJECTS:.o=.d)
