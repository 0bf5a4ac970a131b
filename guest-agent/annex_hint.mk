# SPDX-License-Identifier: MIT
# The applications' side of the agent: libannex-hint, shared and static, and the tool annex-hint.

HINT_SONAME := libannex-hint.so.1
HINT_FLAGS := -Wl,-soname,$(HINT_SONAME) -Wl,-z,defs -Wl,-z,relro -Wl,-z,now

$(BUILD)/agent/pic/%.o: guest-agent/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) -fPIC -MMD -c -o $@ $<

$(BUILD)/$(HINT_SONAME): $(BUILD)/agent/pic/annex_hint.o
	$(Q)$(CC) -shared $(HINT_FLAGS) -o $@ $^

$(BUILD)/libannex-hint.a: $(BUILD)/agent/pic/annex_hint.o
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/annex-hint: $(BUILD)/agent/guest-agent/annex_hint_tool.o $(BUILD)/libannex-hint.a
	$(Q)$(CC) -o $@ $^

PROGRAMS += $(BUILD)/$(HINT_SONAME) $(BUILD)/libannex-hint.a $(BUILD)/annex-hint

-include $(BUILD)/agent/pic/annex_hint.d $(BUILD)/agent/guest-agent/annex_hint_tool.d
