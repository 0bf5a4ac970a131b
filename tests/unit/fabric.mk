# SPDX-License-Identifier: MIT
# Unit tests of vmm/fabric, on the simulated network and server where a peer is needed.

FABRIC_LIB := $(BUILD)/host/fabric.a
FABRIC_LIB_SOURCES := $(wildcard vmm/fabric/*.c) tests/sim/network.c \
	$(wildcard tests/sim/responder*.c) $(wildcard memserver/policy*.c)
FABRIC_LIB_OBJECTS := $(patsubst %.c,$(BUILD)/host/fabric/%.o,$(FABRIC_LIB_SOURCES))

$(BUILD)/host/fabric/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Itests -MMD -c -o $@ $<

$(FABRIC_LIB): $(FABRIC_LIB_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

FABRIC_TESTS := wire_test arp_test cm_test qp_test qp_pace_test qp_receive_test session_test \
	fabric_fuzz
UNIT_TESTS += $(addprefix $(BUILD)/unit/,$(FABRIC_TESTS))

$(addprefix $(BUILD)/unit/,$(FABRIC_TESTS)): \
$(BUILD)/unit/%: tests/unit/%.c $(FABRIC_LIB) $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Itests -MMD -o $@ $(filter %.c,$^) $(FABRIC_LIB) $(BUILD)/host/lib.a \
		-lcmocka

$(patsubst %,$(BUILD)/unit/%_test,qp qp_pace qp_receive): tests/unit/qp_fixture.c

-include $(FABRIC_LIB_OBJECTS:.o=.d)

# The same code as a program, for a real memory server; see tests/lab/fabric_live.c.
$(BUILD)/fabric_live: tests/lab/fabric_live.c tests/lab/live_wire.h $(FABRIC_LIB) $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Itests -MMD -o $@ $< $(FABRIC_LIB) $(BUILD)/host/lib.a

PROGRAMS += $(BUILD)/fabric_live

# The simulation's server in real time, for machines under test; see tests/lab/server_live.c.
$(BUILD)/server_live: tests/lab/server_live.c tests/lab/live_wire.h $(FABRIC_LIB) $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -Itests -MMD -o $@ $< $(FABRIC_LIB) $(BUILD)/host/lib.a

PROGRAMS += $(BUILD)/server_live
