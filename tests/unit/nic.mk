# SPDX-License-Identifier: MIT
# Unit tests of the neutral part of vmm/nic.

UNIT_TESTS += $(BUILD)/unit/virtio_ring_test

$(BUILD)/unit/virtio_ring_test: tests/unit/virtio_ring_test.c vmm/nic/virtio_ring.c \
		$(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -o $@ $(filter %.c,$^) $(BUILD)/host/lib.a -lcmocka
