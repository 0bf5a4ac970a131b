/* SPDX-License-Identifier: MIT */
/*
 * A simulated Ethernet segment in simulated time: the VMM's NIC on one side (struct nic_ops), up to
 * NETWORK_HOSTS server hosts on the other, and faults between them, drawn from a seed. A frame is
 * only ever delivered by network_advance().
 */
#ifndef ANNEX_SIM_NETWORK_H
#define ANNEX_SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nic/nic.h"

#define NETWORK_HOSTS 4u

/* Chances are per million frames; times in ns. All zero: a perfect network. */
struct network_faults {
	uint32_t loss_out; /* frames of the VMM */
	uint32_t loss_in; /* frames to the VMM */
	uint32_t duplicate; /* a second copy, delayed on its own */
	uint32_t reorder; /* an extra delay of up to 10 x delay_max */
	uint32_t late; /* an extra delay of up to late_max: beyond a queue pair's life */
	uint32_t corrupt; /* one to four bits flipped */
	uint64_t delay_min;
	uint64_t delay_max;
	uint64_t late_max;
	uint32_t large; /* frames longer than this are lost; 0: none are */
	bool cut_out, cut_in; /* nothing passes in that direction */
};

struct network_counters {
	uint64_t sent, delivered, lost, duplicated, late, corrupted, overrun;
};

struct network;

typedef void network_receive(void *context, const uint8_t *frame, size_t length, uint64_t now);

/* `slots` frames wait in the VMM's NIC before more are lost; `mtu` is what the NIC reports. */
struct network *network_new(uint64_t seed, uint16_t mtu, uint32_t slots);
void network_free(struct network *n);

/* The VMM's card; already started. */
struct nic *network_nic(struct network *n);

/* Plugs a host in; returns its port. Frames for its MAC and broadcasts reach receive(). */
unsigned network_plug(
	struct network *n, const uint8_t mac[6], network_receive *receive, void *context);

/* Pulls (false) or puts back the host's cable; frames under way are lost while it is out. */
void network_cable(struct network *n, unsigned port, bool in);

/* A host sends. */
void network_send(struct network *n, unsigned port, const void *frame, size_t length);

/* The faults from now on (all hosts); copied. */
void network_set_faults(struct network *n, const struct network_faults *faults);

/* Delivers in order of time all that is due up to `now`. */
void network_advance(struct network *n, uint64_t now);

/* When the next frame is due, or UINT64_MAX. A frame in the NIC counts as due now. */
uint64_t network_next(const struct network *n);

/* Drops everything under way. */
void network_flush(struct network *n);

/* The segment's own random numbers (for whoever must stay deterministic with it). */
uint64_t network_random(struct network *n);

const struct network_counters *network_counters(const struct network *n);

#endif
