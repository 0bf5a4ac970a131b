/* SPDX-License-Identifier: MIT */
/* Unmapped pages whose frames still hold their content. Service core only. */
#ifndef ANNEX_FAR_VICTIM_H
#define ANNEX_FAR_VICTIM_H

#include "far/engine.h"

/* Learns which epochs are settled; UNSETTLED becomes VICTIM, CLEANING goes to be written. */
void victim_settle(struct far *far);

/* A fault takes the page back, without the network: RESIDENT. */
void victim_take_back(struct far *far, uint32_t frame, bool write);

/* A clean victim's page gives up its frame: its entry becomes REMOTE or ZERO. */
void victim_drop(struct far *far, uint32_t frame);

/*
 * A settled frame with dirty content and no write outstanding: an all-zero page is done with (R1: only
 * now may it be judged), any other waits for its WRITE.
 */
void victim_judge(struct far *far, uint32_t frame);

/* Clean content became the only copy (its extent was lost). */
void victim_dirty(struct far *far, uint32_t frame);

/* The content is acknowledged, or is all zero: the victim is clean. */
void victim_clean(struct far *far, uint32_t frame);

#endif
