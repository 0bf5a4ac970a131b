/* SPDX-License-Identifier: MIT */
/*
 * A simulated 82540EM and the machine around it: registers, EEPROM and rings as the manual has them.
 * It stands in for PCI, MMIO, memory and clock of whoever links it.
 */
#ifndef ANNEX_TESTS_E1000_MODEL_H
#define ANNEX_TESTS_E1000_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "nic/card.h"
#include "nic/e1000.h"
#include "nic/e1000_regs.h"

#define HERE   0x80u /* 00:10.0 */
#define BUFFER 16384u
#define SENT   64u

/* The card, and the machine around it. */
struct card_model {
	uint32_t reg[E1000_BAR_BYTES / 4];
	uint16_t eeprom[64];
	uint32_t bar; /* as the configuration space has it */
	uint32_t bar_high;
	uint32_t command;
	bool stuck; /* never ends its reset */
	bool keeps; /* a reset changes no register, as in QEMU and Bochs */
	bool no_eeprom;
	bool link;
	bool lazy; /* sends nothing */
	unsigned tells; /* writes of TDT */
	unsigned gives; /* writes of RDT */
	uint8_t sent[SENT][NIC_FRAME_MAX + 1];
	uint32_t sent_length[SENT];
	uint64_t sent_count;
	uint64_t mapped;
	uint64_t now;
};

extern struct card_model card;
extern const uint8_t model_mac[6]; /* in the EEPROM */

#define REG(offset) card.reg[(offset) / 4]

/* A card with link and EEPROM, as after power-on. */
void model_clear(void);
/* Frees what drivers took of memory. */
void model_free(void);

/* What a card may reach by DMA: only what the driver took for it; else the test fails. */
void *model_dma(uint64_t address, size_t bytes);

/* The receive ring's descriptor, and how many it has. */
struct e1000_receive *model_ring(uint32_t at);
uint32_t model_ring_size(void);

/* Sends what stands in the ring. */
void model_sends(void);
/* A frame of this length whose bytes follow from `seed`. False: the card has no descriptor. */
bool model_receives(uint32_t length, uint8_t seed);
bool model_is_frame(const struct nic_frame *f, uint32_t length, uint8_t seed);

#endif
