# SPDX-License-Identifier: MIT
# Unit tests of vmm/lib. HOST_LIB is what neutral code links on the host instead of a machine.

HOST_CFLAGS := $(CFLAGS_HOST) $(SANITIZE) -Ivmm
HOST_LIB := $(BUILD)/host/lib.a
HOST_LIB_OBJECTS := $(addprefix $(BUILD)/host/,text.o event.o histogram.o crc.o crc_sse.o host.o)

$(BUILD)/host/%.o: vmm/lib/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -MMD -c -o $@ $<

$(BUILD)/host/host.o: tests/host/host.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -MMD -c -o $@ $<

$(HOST_LIB): $(HOST_LIB_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

LIB_TESTS := text crc histogram event log
UNIT_TESTS += $(patsubst %,$(BUILD)/unit/%_test,$(LIB_TESTS))

$(patsubst %,$(BUILD)/unit/%_test,$(LIB_TESTS)): $(BUILD)/unit/%_test: tests/unit/%_test.c $(HOST_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -MMD -o $@ $(filter %.c %.o,$^) $(HOST_LIB) -lcmocka

# The ring itself, not the host's stand-in for it.
$(BUILD)/unit/log_test: $(BUILD)/host/log.o

-include $(wildcard $(BUILD)/host/*.d $(BUILD)/unit/*.d)
