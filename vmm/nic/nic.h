/* SPDX-License-Identifier: MIT */
/*
 * A network card as the fabric sees it: five functions. CPU of the service loop only; polled. Frames
 * are whole Ethernet frames without FCS, at most NIC_FRAME_MAX bytes.
 */
#ifndef ANNEX_NIC_H
#define ANNEX_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NIC_FRAME_MAX 9234u /* 14 + MTU 9216 + room for a tag we refuse */

struct nic;

struct nic_frame {
	const uint8_t *data;
	uint32_t length;
	uint32_t token; /* the driver's */
};

/* Counters only grow. */
#define NIC_COUNTERS(X)                                                                            \
	X(sent_frames)                                                                             \
	X(sent_bytes)                                                                              \
	X(send_full)                                                                               \
	X(received_frames)                                                                         \
	X(received_bytes)                                                                          \
	X(receive_errors)                                                                          \
	X(interrupts_wanted)

struct nic_counters {
#define X(name) uint64_t name;
	NIC_COUNTERS(X)
#undef X
};

struct nic_ops {
	const char *name;
	/* Resets the card, fills mac, mtu, mtu_max, silent, receive_slots. Once. 0, or -1 with *reason. */
	int (*start)(struct nic *nic, const char **reason);
	/*
	 * Sends head followed by body as one frame (body may be NULL). Both are copied before it
	 * returns. False: the ring is full, nothing was sent; try again after the next turn. The
	 * card is told lazily: at the next receive() that begins or ends a batch, at notify(true),
	 * or after 16 frames.
	 */
	bool (*send)(struct nic *nic, const void *head, size_t head_length, const void *body,
		size_t body_length);
	/* The oldest received frame, or false. It stays the caller's until it is released. */
	bool (*receive)(struct nic *nic, struct nic_frame *frame);
	void (*release)(struct nic *nic, const struct nic_frame *frame);
	/*
	 * on: ask for an interrupt at the next frame and return true if frames came in meanwhile
	 * (then do not halt). off: no interrupts. A silent card only says whether frames came in.
	 */
	bool (*notify)(struct nic *nic, bool on);
};

struct nic {
	const struct nic_ops *ops;
	bool polled; /* set before start(): it never interrupts, and notify() is not called */
	uint8_t mac[6];
	bool silent; /* set by start(): it cannot interrupt; who halts must come back by a timer */
	uint16_t mtu; /* link MTU the card reports, 1500 if it reports none */
	uint16_t mtu_max; /* the largest link MTU it may be told to use */
	uint32_t receive_slots; /* frames that can arrive without being lost between two turns */
	struct nic_counters counters;
	void *driver;
};

#endif
