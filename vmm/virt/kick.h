/* SPDX-License-Identifier: MIT */
/*
 * The book of kicks: NMIs that the VMM sends to a vCPU to get it out of the guest. An NMI has no
 * sender, so at most one kick is on its way to a vCPU: an NMI that finds none is the guest's.
 */
#ifndef ANNEX_KICK_H
#define ANNEX_KICK_H

#include <stdbool.h>
#include <stdint.h>

/* One that got no answer for so long is taken for lost. */
#define KICK_REPEAT_NS 100000000ll

/* One that was answered before it came does so within this time, or came together with another. */
#define KICK_LATE_NS 1000000000ll

struct kick {
	_Atomic uint64_t at; /* ns, when the one on its way was sent; 0: none */
	_Atomic uint64_t late; /* ns, since when one more may come than is on its way; 0: not so */
};

/*
 * True: the caller sends the NMI. False: one is on its way and will be answered after this. Any CPU;
 * now: ns, not 0, maybe a little behind another CPU's.
 */
bool kick_claim(struct kick *kick, uint64_t now);

/*
 * The vCPU got an NMI (or several as one): whether it may be a kick. guests: another reason for it is
 * known, so that a kick which is on its way may be in it or be still to come. What the kickers wrote
 * before kick_claim() is visible after this. Its own CPU; now as above.
 */
bool kick_answer(struct kick *kick, uint64_t now, bool guests);

#endif
