# SPDX-License-Identifier: MIT
# Unit tests of vmm/nic: the neutral ring, and the e1000 driver on a simulated machine.

UNIT_TESTS += $(BUILD)/unit/virtio_ring_test $(BUILD)/unit/e1000_test

$(BUILD)/unit/virtio_ring_test: tests/unit/virtio_ring_test.c vmm/nic/virtio_ring.c
$(BUILD)/unit/e1000_test: tests/unit/e1000_test.c tests/unit/e1000_model.c \
		vmm/nic/e1000.c vmm/nic/card.c

$(BUILD)/unit/virtio_ring_test $(BUILD)/unit/e1000_test: $(BUILD)/host/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Ivmm -o $@ $(filter %.c,$^) $(BUILD)/host/lib.a -lcmocka
