/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "annex/endian.h"
#include "lib/panic.h"
#include "machine/fw_cfg.h"
#include "machine/x86.h"

#define PORT_SELECT   0x510
#define PORT_DATA     0x511
#define PORT_DMA_HIGH 0x514
#define PORT_DMA_LOW  0x518

#define KEY_SIGNATURE 0x0000
#define KEY_FEATURES  0x0001
#define KEY_DIRECTORY 0x0019
#define FEATURE_DMA   0x2

#define DMA_ERROR  0x01u
#define DMA_READ   0x02u
#define DMA_SKIP   0x04u
#define DMA_SELECT 0x08u

#define FILES_MAX 4096u

struct dma {
	be32 control;
	be32 length;
	be64 address;
} __attribute__((aligned(16)));

struct entry {
	be32 size;
	be16 select;
	be16 reserved;
	char name[56];
};

static bool there;
static bool has_dma;

static void data(void *to, uint32_t bytes)
{
	uint8_t *p = to;

	while (bytes--)
		*p++ = in8(PORT_DATA);
}

static void dma(uint32_t control, void *to, uint32_t bytes)
{
	volatile struct dma d = {be32_make(control), be32_make(bytes), be64_make((uint64_t)to)};
	uint64_t address = (uint64_t)&d;

	out32(PORT_DMA_HIGH, __builtin_bswap32((uint32_t)(address >> 32)));
	__asm__ volatile("" ::: "memory");
	out32(PORT_DMA_LOW, __builtin_bswap32((uint32_t)address));
	while (be32_get(*(be32 *)&d.control) & ~DMA_ERROR)
		cpu_relax();
	if (be32_get(*(be32 *)&d.control) & DMA_ERROR)
		panic_boot("fw_cfg refused a transfer of %u bytes to %p", bytes, to);
	__asm__ volatile("" ::: "memory");
}

bool fw_cfg_init(void)
{
	char signature[4];
	uint32_t features;

	out16(PORT_SELECT, KEY_SIGNATURE);
	data(signature, 4);
	if (memcmp(signature, "QEMU", 4))
		return false;
	out16(PORT_SELECT, KEY_FEATURES);
	data(&features, 4);
	has_dma = features & FEATURE_DMA;
	there = true;
	return true;
}

bool fw_cfg_there(void)
{
	return there;
}

bool fw_cfg_find(const char *name, struct fw_cfg_file *file)
{
	struct entry e;
	be32 count;

	out16(PORT_SELECT, KEY_DIRECTORY);
	data(&count, 4);
	for (uint32_t i = 0; i < be32_get(count) && i < FILES_MAX; i++) {
		data(&e, sizeof(e));
		e.name[sizeof(e.name) - 1] = 0;
		if (strcmp(e.name, name))
			continue;
		file->bytes = be32_get(e.size);
		file->selector = be16_get(e.select);
		return true;
	}
	return false;
}

void fw_cfg_read(const struct fw_cfg_file *file, uint32_t offset, void *to, uint32_t bytes)
{
	uint8_t skipped;

	check(offset <= file->bytes && bytes <= file->bytes - offset);
	if (has_dma) {
		dma((uint32_t)file->selector << 16 | DMA_SELECT | DMA_SKIP, NULL, offset);
		dma(DMA_READ, to, bytes);
		return;
	}
	out16(PORT_SELECT, file->selector);
	while (offset--)
		data(&skipped, 1);
	data(to, bytes);
}
