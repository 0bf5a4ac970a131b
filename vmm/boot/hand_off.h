/* SPDX-License-Identifier: MIT */
/*
 * The piece of RAM where the guest's kernel finds what it starts from (layout.h): it sees it, its
 * e820 calls it reserved. Boot only.
 */
#ifndef ANNEX_HAND_OFF_H
#define ANNEX_HAND_OFF_H

#include <stddef.h>

/* Zeroed; stops the boot if it is full. */
void *hand_off_take(size_t bytes, size_t align);

#endif
