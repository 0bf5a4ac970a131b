# SPDX-License-Identifier: MIT
# The toolstack: the annex command, and the init of the memory-server appliance.

TOOL_PACKAGES := libvirt libxml-2.0 jansson libcurl libmicrohttpd zlib liblzma
TOOL_CFLAGS = $(CFLAGS_HOST) $(shell $(PKG_CONFIG) --cflags $(TOOL_PACKAGES))
TOOL_LIBS = $(shell $(PKG_CONFIG) --libs $(TOOL_PACKAGES))

# appliance_init.c and what it needs run inside the appliance, as its first process.
APPLIANCE_SOURCES := $(wildcard toolstack/appliance_init*.c)
TOOL_SOURCES := $(filter-out $(APPLIANCE_SOURCES),$(wildcard toolstack/*.c))
TOOL_OBJECTS := $(TOOL_SOURCES:%.c=$(BUILD)/%.o)
# All but main, for the unit tests.
TOOL_PARTS := $(filter-out toolstack/main.c,$(TOOL_SOURCES))

PROGRAMS += $(BUILD)/annex $(BUILD)/annex-appliance-init

$(BUILD)/toolstack/%.o: toolstack/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(TOOL_CFLAGS) -MMD -c -o $@ $<

# The VMM's own reader of its configuration, so that both refuse the same.
TOOL_VMM := $(patsubst %,$(BUILD)/toolstack/%.o,vmm/boot/config vmm/machine/pci_parse vmm/lib/text)

$(TOOL_VMM): $(BUILD)/toolstack/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) -Ivmm -MMD -c -o $@ $<

$(BUILD)/annex: $(TOOL_OBJECTS) $(TOOL_VMM)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(TOOL_OBJECTS) $(TOOL_VMM) $(TOOL_LIBS)

$(BUILD)/annex-appliance-init: $(APPLIANCE_SOURCES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) -static -MMD -o $@ $(APPLIANCE_SOURCES)

-include $(TOOL_OBJECTS:.o=.d) $(TOOL_VMM:.o=.d) $(BUILD)/annex-appliance-init.d
