# SPDX-License-Identifier: MIT
# The simulation, twice: build/sim-direct (sessions without packets, fast) and build/sim (the real
# fabric and the memory server's real policy). tests/sim/plant comes first, so that lib/plant.h is
# the simulation's; tests/sim/between lets other CPUs act between two changes of an entry.

SIM_CFLAGS := $(CFLAGS_COMMON) -D_GNU_SOURCE -O2 -g $(SANITIZE) -Itests/sim/plant -Itests/sim/between -Ivmm -Iinclude \
	-I. -Itests
SIM_COMMON := $(wildcard vmm/far/*.c) vmm/slat/shootdown.c vmm/virt/fake/fake.c tests/sim/guest.c \
	tests/sim/world.c tests/sim/hints.c tests/sim/main.c vmm/lib/text.c vmm/lib/event.c vmm/lib/histogram.c \
	vmm/lib/crc.c vmm/lib/crc_sse.c tests/host/host.c
SIM_DIRECT := $(SIM_COMMON) tests/sim/backend_direct.c tests/sim/session_direct.c
SIM_FULL := $(SIM_COMMON) $(wildcard vmm/fabric/*.c) $(MEMSERVER_POLICY) tests/sim/backend_full.c \
	tests/sim/network.c $(wildcard tests/sim/responder*.c)

sim_objects = $(patsubst %.c,$(BUILD)/simulation/%.o,$(1))

$(BUILD)/simulation/%.o: %.c tests/sim/sim.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(SIM_CFLAGS) -MMD -c -o $@ $<

$(BUILD)/sim-direct: $(call sim_objects,$(SIM_DIRECT))
	$(Q)$(CC) $(SIM_CFLAGS) -o $@ $^

$(BUILD)/sim: $(call sim_objects,$(SIM_FULL))
	$(Q)$(CC) $(SIM_CFLAGS) -o $@ $^

# One seed again: make sim SEED=n [EVENTS=n] [WORLD=direct].
SEEDS ?= 1-60
EVENTS ?= 100000
WORLD ?= full
SIM_full := $(BUILD)/sim
SIM_direct := $(BUILD)/sim-direct

sim: $(BUILD)/sim $(BUILD)/sim-direct
ifdef SEED
	$(Q)$(SIM_$(WORLD)) --seed $(SEED) --events $(EVENTS) --verbose
else
	$(Q)$(BUILD)/sim --seeds $(SEEDS) --events $(EVENTS)
	$(Q)$(BUILD)/sim-direct --seeds $(SEEDS) --events $(EVENTS)
	$(Q)tests/sim/plants.sh $(BUILD)
endif

-include $(patsubst %.o,%.d,$(call sim_objects,$(SIM_DIRECT) $(SIM_FULL)))
