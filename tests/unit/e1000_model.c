/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include "machine/clock.h"
#include "machine/memory.h"
#include "machine/mmio.h"
#include "machine/paging.h"
#include "tests/unit/e1000_model.h"

#define BLOCKS 256u

struct card_model card;
const uint8_t model_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

struct block {
	uint8_t *memory;
	size_t bytes;
};

static struct block block[BLOCKS];
static unsigned blocks;

void *memory_take(size_t bytes, size_t align, const char *what)
{
	struct block *b = &block[blocks++];

	assert_true(blocks <= BLOCKS);
	b->bytes = (bytes + align - 1) & ~(align - 1);
	b->memory = aligned_alloc(align, b->bytes);
	memset(b->memory, 0, b->bytes);
	return b->memory;
}

void *model_dma(uint64_t address, size_t bytes)
{
	for (unsigned i = 0; i < blocks; i++) {
		uint64_t base = (uintptr_t)block[i].memory;

		if (address >= base && bytes <= block[i].bytes &&
			address - base <= block[i].bytes - bytes)
			return (void *)(uintptr_t)address;
	}
	fail_msg("the card was given %zu bytes at %lx", bytes, (unsigned long)address);
	return NULL;
}

void paging_map(uint64_t start, uint64_t bytes, bool uncached)
{
	assert_true(uncached);
	card.mapped = start;
}

void clock_wait(uint64_t ns)
{
	card.now += ns;
}

uint32_t pci_read32(pci_address a, unsigned offset)
{
	assert_int_equal(a, HERE);
	return offset == 0 ? E1000_82540EM << 16 | E1000_VENDOR : 0;
}

uint16_t pci_read16(pci_address a, unsigned offset)
{
	if (offset == 4)
		return (uint16_t)card.command;
	return (uint16_t)(pci_read32(a, offset & ~3u) >> (offset & 2) * 8);
}

void pci_write16(pci_address a, unsigned offset, uint16_t value)
{
	assert_int_equal(a, HERE);
	assert_int_equal(offset, 4);
	card.command = value;
}

bool pci_bar(pci_address a, unsigned index, struct pci_bar *bar)
{
	assert_int_equal(index, 0);
	*bar = (struct pci_bar){.base = (uint64_t)card.bar_high << 32 | (card.bar & ~15u),
		.bytes = E1000_BAR_BYTES,
		.io = card.bar & 1};
	return true;
}

/* The table names it; its own tests are elsewhere. */
int virtio_net_bind(struct nic *nic, pci_address address, const char **reason);
int virtio_net_bind(struct nic *nic, pci_address address, const char **reason)
{
	return -1;
}

static void model_reset(void)
{
	if (!card.keeps) {
		memset(card.reg, 0, sizeof(card.reg));
		REG(E1000_RAL) = card.eeprom[0] | (uint32_t)card.eeprom[1] << 16;
		REG(E1000_RAH) = card.eeprom[2] | E1000_RAH_AV;
	}
	if (card.stuck)
		REG(E1000_CTRL) |= E1000_CTRL_RST;
	if (card.link)
		REG(E1000_STATUS) |= E1000_STATUS_LU;
}

void model_sends(void)
{
	while (!card.lazy && REG(E1000_TCTL) & E1000_TCTL_EN && REG(E1000_TDH) != REG(E1000_TDT)) {
		uint64_t ring = (uint64_t)REG(E1000_TDBAH) << 32 | REG(E1000_TDBAL);
		struct e1000_send *d = model_dma(ring + REG(E1000_TDH) * sizeof(*d), sizeof(*d));
		uint8_t *to = card.sent[card.sent_count % SENT];

		assert_true(d->length > 0 && d->length <= NIC_FRAME_MAX);
		assert_int_equal(d->command, E1000_SEND_END | E1000_SEND_FCS | E1000_SEND_REPORT);
		memcpy(to, model_dma(d->address, d->length), d->length);
		card.sent_length[card.sent_count++ % SENT] = d->length;
		d->status |= E1000_DONE;
		REG(E1000_TDH) = (REG(E1000_TDH) + 1) % (REG(E1000_TDLEN) / sizeof(*d));
	}
}

uint32_t mmio_read32(uintptr_t address)
{
	uint32_t offset = (uint32_t)(address - ((uint64_t)card.bar_high << 32 | card.bar)), value;

	assert_true(offset < E1000_BAR_BYTES && offset % 4 == 0);
	value = REG(offset);
	if (offset == E1000_ICR)
		REG(E1000_ICR) = 0;
	if (offset == E1000_EERD && value & E1000_EERD_START && !card.no_eeprom)
		value = (uint32_t)card.eeprom[value >> 8 & 63] << 16 | E1000_EERD_DONE;
	return value;
}

void mmio_write32(uintptr_t address, uint32_t value)
{
	uint32_t offset = (uint32_t)(address - ((uint64_t)card.bar_high << 32 | card.bar));

	assert_true(offset < E1000_BAR_BYTES && offset % 4 == 0);
	REG(offset) = value;
	if (offset == E1000_CTRL && value & E1000_CTRL_RST) {
		REG(E1000_CTRL) = value & ~E1000_CTRL_RST;
		model_reset();
	}
	if (offset == E1000_TDT) {
		card.tells++;
		assert_true(value < REG(E1000_TDLEN) / 16);
		model_sends();
	}
	if (offset == E1000_RDT) {
		card.gives++;
		assert_true(value < REG(E1000_RDLEN) / 16);
	}
}

struct e1000_receive *model_ring(uint32_t at)
{
	uint64_t base = (uint64_t)REG(E1000_RDBAH) << 32 | REG(E1000_RDBAL);

	return model_dma(base + at * sizeof(struct e1000_receive), sizeof(struct e1000_receive));
}

uint32_t model_ring_size(void)
{
	return REG(E1000_RDLEN) / sizeof(struct e1000_receive);
}

bool model_receives(uint32_t length, uint8_t seed)
{
	struct e1000_receive *d = model_ring(REG(E1000_RDH));
	uint8_t *to;

	if (!(REG(E1000_RCTL) & E1000_RCTL_EN) || REG(E1000_RDH) == REG(E1000_RDT))
		return false;
	assert_int_equal(d->status, 0);
	to = model_dma(d->address, BUFFER);
	for (uint32_t i = 0; i < length; i++)
		to[i] = (uint8_t)(seed + i);
	d->length = (uint16_t)length;
	d->errors = 0;
	d->status = E1000_DONE | E1000_RECEIVE_END;
	REG(E1000_RDH) = (REG(E1000_RDH) + 1) % model_ring_size();
	return true;
}

bool model_is_frame(const struct nic_frame *f, uint32_t length, uint8_t seed)
{
	if (f->length != length)
		return false;
	for (uint32_t i = 0; i < length; i++)
		if (f->data[i] != (uint8_t)(seed + i))
			return false;
	return true;
}

void model_clear(void)
{
	memset(&card, 0, sizeof(card));
	card.bar = 0xfeb80000u;
	card.link = true;
	for (unsigned i = 0; i < 3; i++)
		card.eeprom[i] = (uint16_t)(model_mac[2 * i] | model_mac[2 * i + 1] << 8);
}

void model_free(void)
{
	while (blocks)
		free(block[--blocks].memory);
}
