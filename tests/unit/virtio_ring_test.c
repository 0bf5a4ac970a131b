/* SPDX-License-Identifier: MIT */
/* The driver's half of a virtqueue against a device that is played here, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "nic/virtio_ring.h"
#include "tests/host/host.h"

#define SIZE   8u
#define BUFFER 100u

struct fixture {
	struct virtio_ring ring;
	void *memory;
	uint8_t *buffers;
	uint16_t device_next;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t bytes = (virtio_ring_memory(SIZE) + 4095) & ~4095ul;

	f->memory = aligned_alloc(4096, bytes);
	f->buffers = calloc(SIZE, BUFFER);
	virtio_ring_init(&f->ring, SIZE, f->memory, f->buffers, BUFFER, true);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->memory);
	free(f->buffers);
	free(f);
	return 0;
}

static void device_uses(struct fixture *f, uint32_t id, uint32_t length)
{
	struct virtio_used *used = f->ring.used;

	used->ring[used->index % SIZE] = (struct virtio_used_element){id, length};
	used->index++;
}

/* The next buffer that the driver offered, as the device sees it. */
static uint16_t device_takes(struct fixture *f)
{
	assert_int_not_equal(f->ring.avail->index, f->device_next);
	return f->ring.avail->ring[f->device_next++ % SIZE];
}

static void parts_are_aligned_and_apart(void **state)
{
	struct fixture *f = *state;
	uintptr_t descriptors = (uintptr_t)f->ring.descriptors;
	uintptr_t avail = (uintptr_t)f->ring.avail, used = (uintptr_t)f->ring.used;

	assert_int_equal(descriptors % 16, 0);
	assert_int_equal(avail % 2, 0);
	assert_int_equal(used % 4, 0);
	assert_true(descriptors + 16 * SIZE <= avail);
	assert_true(avail + 6 + 2 * SIZE <= used);
	assert_true(used + 6 + 8 * SIZE <= (uintptr_t)f->memory + virtio_ring_memory(SIZE));
}

static void buffers_go_and_come_back(void **state)
{
	struct fixture *f = *state;
	uint32_t length;
	uint16_t id;

	/* Often enough that all indices wrap at 65536. */
	for (unsigned round = 0; round < 20000; round++) {
		for (uint16_t i = 0; i < 5; i++)
			virtio_ring_give(&f->ring, i, BUFFER);
		for (unsigned i = 0; i < 5; i++) {
			uint16_t taken = device_takes(f);
			const struct virtio_descriptor *d = &f->ring.descriptors[taken];

			assert_int_equal(d->address, (uintptr_t)(f->buffers + taken * BUFFER));
			assert_int_equal(d->flags, VIRTIO_DESC_WRITE);
			assert_int_equal(d->length, BUFFER);
			device_uses(f, taken, 10 + taken);
		}
		for (unsigned i = 0; i < 5; i++) {
			assert_true(virtio_ring_ready(&f->ring));
			assert_int_equal(
				virtio_ring_take(&f->ring, &id, &length), VIRTIO_RING_TAKEN);
			assert_int_equal(length, 10 + id);
		}
		assert_false(virtio_ring_ready(&f->ring));
		assert_int_equal(virtio_ring_take(&f->ring, &id, &length), VIRTIO_RING_EMPTY);
	}
	assert_int_equal(f->ring.bogus, 0);
}

static void hostile_entries_are_not_handed_on(void **state)
{
	struct fixture *f = *state;
	uint32_t length;
	uint16_t id;

	virtio_ring_give(&f->ring, 3, BUFFER);
	device_uses(f, SIZE, 10); /* no such buffer */
	device_uses(f, 0xffffffff, 10); /* nor this */
	device_uses(f, 2, 10); /* never given */
	device_uses(f, 3, BUFFER + 1); /* longer than it is: the buffer itself comes back */
	device_uses(f, 3, 10); /* twice */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(virtio_ring_take(&f->ring, &id, &length), VIRTIO_RING_BOGUS);
		assert_int_equal(id, SIZE);
	}
	assert_int_equal(virtio_ring_take(&f->ring, &id, &length), VIRTIO_RING_BOGUS);
	assert_int_equal(id, 3);
	assert_int_equal(virtio_ring_take(&f->ring, &id, &length), VIRTIO_RING_BOGUS);
	assert_int_equal(id, SIZE);
	assert_int_equal(f->ring.bogus, 5);
	virtio_ring_give(&f->ring, 3, BUFFER);
	device_uses(f, 3, 10);
	assert_int_equal(virtio_ring_take(&f->ring, &id, &length), VIRTIO_RING_TAKEN);
	assert_int_equal(id, 3);
}

static void an_index_that_leaps_ends_the_ring(void **state)
{
	struct fixture *f = *state;
	uint32_t length;
	uint16_t id;

	f->ring.used->index = SIZE + 1;
	assert_int_equal(virtio_ring_take(&f->ring, &id, &length), VIRTIO_RING_EMPTY);
	assert_true(f->ring.broken);
	assert_false(virtio_ring_ready(&f->ring));
}

static void the_device_is_told_once_per_batch_if_it_wants(void **state)
{
	struct fixture *f = *state;

	assert_false(virtio_ring_kick(&f->ring));
	virtio_ring_give(&f->ring, 0, BUFFER);
	virtio_ring_give(&f->ring, 1, BUFFER);
	assert_true(virtio_ring_kick(&f->ring));
	assert_false(virtio_ring_kick(&f->ring));
	f->ring.used->flags = VIRTIO_USED_NO_NOTIFY;
	virtio_ring_give(&f->ring, 2, BUFFER);
	assert_false(virtio_ring_kick(&f->ring));
}

static void interrupts_are_off_until_wanted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->ring.avail->flags, VIRTIO_AVAIL_NO_INTERRUPT);
	virtio_ring_interrupts(&f->ring, true);
	assert_int_equal(f->ring.avail->flags, 0);
	virtio_ring_interrupts(&f->ring, false);
	assert_int_equal(f->ring.avail->flags, VIRTIO_AVAIL_NO_INTERRUPT);
}

static void our_own_mistakes_panic(void **state)
{
	struct fixture *f = *state;

	virtio_ring_give(&f->ring, 1, BUFFER);
	assert_true(host_expect_panic(virtio_ring_give(&f->ring, 1, BUFFER)));
	assert_true(host_expect_panic(virtio_ring_give(&f->ring, SIZE, BUFFER)));
	assert_true(host_expect_panic(virtio_ring_give(&f->ring, 2, BUFFER + 1)));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(parts_are_aligned_and_apart),
		TEST(buffers_go_and_come_back),
		TEST(hostile_entries_are_not_handed_on),
		TEST(an_index_that_leaps_ends_the_ring),
		TEST(the_device_is_told_once_per_batch_if_it_wants),
		TEST(interrupts_are_off_until_wanted),
		TEST(our_own_mistakes_panic),
	};

	return cmocka_run_group_tests_name("virtio_ring", tests, NULL, NULL);
}
