/* SPDX-License-Identifier: MIT */
/* A card whose frames a test reads and writes one by one. */
#ifndef ANNEX_FABRIC_TAP_H
#define ANNEX_FABRIC_TAP_H

#include <assert.h>
#include <string.h>
#include "nic/nic.h"

#define TAP_FRAMES 512u

struct tap_frame {
	size_t length;
	uint8_t data[NIC_FRAME_MAX];
};

struct tap {
	struct nic nic;
	unsigned sent; /* frames in out[]; set to 0 to forget them */
	unsigned full; /* that many sends are refused first */
	const uint8_t *in; /* the one frame that waits */
	size_t in_length;
	struct tap_frame out[TAP_FRAMES];
};

static bool tap_send(
	struct nic *nic, const void *head, size_t head_length, const void *body, size_t body_length)
{
	struct tap *t = nic->driver;
	struct tap_frame *f;

	if (t->full > 0) {
		t->full--;
		return false;
	}
	assert(t->sent < TAP_FRAMES && head_length + body_length <= NIC_FRAME_MAX);
	f = &t->out[t->sent++];
	f->length = head_length + body_length;
	memcpy(f->data, head, head_length);
	if (body_length != 0)
		memcpy(f->data + head_length, body, body_length);
	return true;
}

static bool tap_receive(struct nic *nic, struct nic_frame *frame)
{
	struct tap *t = nic->driver;

	if (t->in == NULL)
		return false;
	*frame = (struct nic_frame){.data = t->in, .length = t->in_length};
	return true;
}

static void tap_release(struct nic *nic, const struct nic_frame *frame)
{
	struct tap *t = nic->driver;

	t->in = NULL;
}

static bool tap_notify(struct nic *nic, bool on)
{
	return false;
}

static const struct nic_ops tap_ops = {
	.name = "tap",
	.send = tap_send,
	.receive = tap_receive,
	.release = tap_release,
	.notify = tap_notify,
};

static inline void tap_init(struct tap *t, const uint8_t mac[6], uint16_t mtu)
{
	memset(&t->nic, 0, sizeof(t->nic));
	t->sent = t->full = 0;
	t->in = NULL;
	t->nic.ops = &tap_ops;
	t->nic.driver = t;
	t->nic.mtu = mtu;
	t->nic.receive_slots = 256;
	memcpy(t->nic.mac, mac, 6);
}

/* The frame waits in the card; it must stay there until it was received. */
static inline void tap_give(struct tap *t, const void *frame, size_t length)
{
	t->in = frame;
	t->in_length = length;
}

#endif
