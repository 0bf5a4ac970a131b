# SPDX-License-Identifier: MIT
# The memory server: the policy (also built into the tests) and the program around it.

MEMSERVER_POLICY := $(sort $(wildcard memserver/policy*.c))
MEMSERVER_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard memserver/*.c)))
MEMSERVER_PACKAGES := librdmacm libibverbs libmicrohttpd jansson

$(BUILD)/memserver/%.o: memserver/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(shell $(PKG_CONFIG) --cflags $(MEMSERVER_PACKAGES)) -MMD -c -o $@ $<

$(BUILD)/annex-memserver: $(MEMSERVER_OBJECTS)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(MEMSERVER_OBJECTS) $(shell $(PKG_CONFIG) --libs $(MEMSERVER_PACKAGES))

PROGRAMS += $(BUILD)/annex-memserver

-include $(MEMSERVER_OBJECTS:.o=.d)
