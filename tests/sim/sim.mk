# SPDX-License-Identifier: MIT
# The simulation, twice: build/sim-direct (sessions without packets, fast) and build/sim (the real
# fabric and the memory server's real policy). tests/sim/plant comes first, so that lib/plant.h is
# the simulation's.

SIM_CFLAGS := $(CFLAGS_COMMON) -D_GNU_SOURCE -O2 -g $(SANITIZE) -Itests/sim/plant -Ivmm -Iinclude \
	-I. -Itests
SIM_COMMON := $(wildcard vmm/far/*.c) vmm/slat/shootdown.c vmm/virt/fake/fake.c tests/sim/guest.c \
	tests/sim/world.c tests/sim/main.c vmm/lib/text.c vmm/lib/event.c vmm/lib/histogram.c \
	vmm/lib/crc.c tests/host/host.c
SIM_DIRECT := $(SIM_COMMON) tests/sim/backend_direct.c tests/sim/session_direct.c
SIM_FULL := $(SIM_COMMON) $(wildcard vmm/fabric/*.c) $(MEMSERVER_POLICY) tests/sim/backend_full.c \
	tests/sim/network.c $(wildcard tests/sim/responder*.c)

sim_objects = $(patsubst %.c,$(BUILD)/simulation/%.o,$(1))

$(BUILD)/simulation/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(SIM_CFLAGS) -MMD -c -o $@ $<

$(BUILD)/sim-direct: $(call sim_objects,$(SIM_DIRECT))
	$(Q)$(CC) $(SIM_CFLAGS) -o $@ $^

$(BUILD)/sim: $(call sim_objects,$(SIM_FULL))
	$(Q)$(CC) $(SIM_CFLAGS) -o $@ $^

-include $(patsubst %.o,%.d,$(call sim_objects,$(SIM_DIRECT) $(SIM_FULL)))
