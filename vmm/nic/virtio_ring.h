/* SPDX-License-Identifier: MIT */
/*
 * One split virtqueue (virtio 1.1, 2.6) of single-descriptor buffers: buffer i is descriptor i, for
 * ever. Neutral: knows memory, not the card. What the device writes is checked: an id that is not
 * with the device, or a length beyond the buffer, is never handed on.
 */
#ifndef ANNEX_VIRTIO_RING_H
#define ANNEX_VIRTIO_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nic/virtio.h"

#define VIRTIO_RING_MAX 256u

struct virtio_ring {
	struct virtio_descriptor *descriptors;
	struct virtio_avail *avail;
	struct virtio_used *used;
	uint8_t *buffers;
	uint32_t buffer_size;
	uint16_t size; /* buffers: a power of two, at most VIRTIO_RING_MAX */
	uint16_t avail_next; /* index of the next entry we fill */
	uint16_t used_next; /* index of the next entry we look at */
	uint16_t kicked; /* avail_next when the device was last told */
	bool broken; /* the device claims more than it was given: not believed any more */
	uint64_t bogus; /* used entries that could not be */
	bool with_device[VIRTIO_RING_MAX];
};

enum virtio_ring_next {
	VIRTIO_RING_EMPTY,
	VIRTIO_RING_TAKEN,
	VIRTIO_RING_BOGUS, /* the entry was skipped; *id is a buffer that came back, or the ring's size */
};

/* Bytes of one piece of memory for all three parts, aligned to 4096. */
size_t virtio_ring_memory(uint16_t size);

/* buffers: size * buffer_size bytes; the device writes into them if `receive`. */
void virtio_ring_init(struct virtio_ring *r, uint16_t size, void *memory, void *buffers,
	uint32_t buffer_size, bool receive);

static inline uint8_t *virtio_ring_buffer(const struct virtio_ring *r, uint16_t id)
{
	return r->buffers + (size_t)id * r->buffer_size;
}

/* Gives buffer `id`, of which `length` bytes count, to the device. */
void virtio_ring_give(struct virtio_ring *r, uint16_t id, uint32_t length);

/* Takes the next buffer that the device is done with; *length is 0 for sent ones. */
enum virtio_ring_next virtio_ring_take(struct virtio_ring *r, uint16_t *id, uint32_t *length);

/* True when buffers were given since the last call and the device wants to be told. */
bool virtio_ring_kick(struct virtio_ring *r);

/* Interrupts asked for or not. After true look once more with virtio_ring_ready(). */
void virtio_ring_interrupts(struct virtio_ring *r, bool on);

/* virtio_ring_take() would find something. */
bool virtio_ring_ready(const struct virtio_ring *r);

#endif
