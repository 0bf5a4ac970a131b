/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "lib/panic.h"
#include "nic/virtio_ring.h"

#define PART_ALIGN 64u

static size_t round_up(size_t bytes)
{
	return (bytes + PART_ALIGN - 1) & ~(size_t)(PART_ALIGN - 1);
}

static size_t descriptors_size(uint16_t size)
{
	return round_up(size * sizeof(struct virtio_descriptor));
}

/* Two bytes more than we use: an event index stands there when that feature is negotiated. */
static size_t avail_size(uint16_t size)
{
	return round_up(sizeof(struct virtio_avail) + size * sizeof(uint16_t) + 2);
}

static size_t used_size(uint16_t size)
{
	return round_up(sizeof(struct virtio_used) + size * sizeof(struct virtio_used_element) + 2);
}

size_t virtio_ring_memory(uint16_t size)
{
	return descriptors_size(size) + avail_size(size) + used_size(size);
}

void virtio_ring_init(struct virtio_ring *r, uint16_t size, void *memory, void *buffers,
	uint32_t buffer_size, bool receive)
{
	uint8_t *part = memory;

	check(size && size <= VIRTIO_RING_MAX && !(size & (size - 1)));
	memset(r, 0, sizeof(*r));
	memset(memory, 0, virtio_ring_memory(size));
	r->descriptors = (struct virtio_descriptor *)part;
	r->avail = (struct virtio_avail *)(part + descriptors_size(size));
	r->used = (struct virtio_used *)(part + descriptors_size(size) + avail_size(size));
	r->buffers = buffers;
	r->buffer_size = buffer_size;
	r->size = size;
	for (uint16_t i = 0; i < size; i++) {
		r->descriptors[i].address = (uintptr_t)virtio_ring_buffer(r, i);
		r->descriptors[i].length = buffer_size;
		r->descriptors[i].flags = receive ? VIRTIO_DESC_WRITE : 0;
	}
	virtio_ring_interrupts(r, false);
}

void virtio_ring_give(struct virtio_ring *r, uint16_t id, uint32_t length)
{
	check(id < r->size && !r->with_device[id] && length <= r->buffer_size);
	r->with_device[id] = true;
	r->descriptors[id].length = length;
	r->avail->ring[r->avail_next % r->size] = id;
	r->avail_next++;
	/* The entry before the index that makes it visible [2.6.13.2]. */
	__atomic_store_n(&r->avail->index, r->avail_next, __ATOMIC_RELEASE);
}

bool virtio_ring_ready(const struct virtio_ring *r)
{
	return !r->broken && __atomic_load_n(&r->used->index, __ATOMIC_ACQUIRE) != r->used_next;
}

enum virtio_ring_next virtio_ring_take(struct virtio_ring *r, uint16_t *id, uint32_t *length)
{
	const volatile struct virtio_used_element *element;
	uint16_t waiting;
	uint32_t claimed;

	if (!virtio_ring_ready(r))
		return VIRTIO_RING_EMPTY;
	waiting = (uint16_t)(__atomic_load_n(&r->used->index, __ATOMIC_RELAXED) - r->used_next);
	if (waiting > r->size) {
		r->bogus++;
		r->broken = true;
		return VIRTIO_RING_EMPTY;
	}
	/* Read once: the device can still write here. */
	element = &r->used->ring[r->used_next++ % r->size];
	claimed = element->id;
	*length = element->length;
	*id = r->size;
	if (claimed >= r->size || !r->with_device[claimed]) {
		r->bogus++;
		return VIRTIO_RING_BOGUS;
	}
	*id = (uint16_t)claimed;
	r->with_device[claimed] = false;
	if (*length > r->buffer_size) {
		r->bogus++;
		return VIRTIO_RING_BOGUS;
	}
	return VIRTIO_RING_TAKEN;
}

bool virtio_ring_kick(struct virtio_ring *r)
{
	if (r->kicked == r->avail_next)
		return false;
	r->kicked = r->avail_next;
	/* The index must be visible before the device's wish is read [2.6.13.4.1]. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !(__atomic_load_n(&r->used->flags, __ATOMIC_RELAXED) & VIRTIO_USED_NO_NOTIFY);
}

void virtio_ring_interrupts(struct virtio_ring *r, bool on)
{
	__atomic_store_n(&r->avail->flags, on ? 0 : VIRTIO_AVAIL_NO_INTERRUPT, __ATOMIC_RELAXED);
	/* The wish must be visible before the caller looks for the last time [2.6.7.2]. */
	if (on)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
