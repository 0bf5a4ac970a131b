# SPDX-License-Identifier: MIT
# The hosted engine of make bench: the VMM's files as the VMM itself is built, without sanitizers.

ENGINE_SOURCES := tests/bench/engine.c $(wildcard vmm/far/*.c vmm/fabric/*.c) \
	vmm/slat/shootdown.c vmm/virt/fake/fake.c vmm/nic/virtio_ring.c \
	$(addprefix vmm/lib/,text.c event.c histogram.c crc.c crc_sse.c) tests/host/host.c tests/sim/network.c \
	$(wildcard tests/sim/responder*.c memserver/policy*.c)
ENGINE_CFLAGS := $(CFLAGS_COMMON) -D_GNU_SOURCE -O2 -g -fno-strict-aliasing -Ivmm -Iinclude -I. \
	-Itests
ENGINE_OBJECTS := $(patsubst %.c,$(BUILD)/engine/%.o,$(ENGINE_SOURCES))

$(BUILD)/engine/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ENGINE_CFLAGS) -MMD -c -o $@ $<

$(BUILD)/bench-engine: $(ENGINE_OBJECTS)
	$(Q)$(CC) $(ENGINE_CFLAGS) -o $@ $^

bench: $(BUILD)/bench-engine

-include $(ENGINE_OBJECTS:.o=.d)
