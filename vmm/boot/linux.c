/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <asm/bootparam.h>
#include "boot/e820.h"
#include "boot/hand_off.h"
#include "boot/linux.h"
#include "boot/payload.h"
#include "boot/screen.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/layout.h"

static_assert(E820_ROWS <= E820_MAX_ENTRIES_ZEROPAGE, "the zero page holds the map");

#define HEADER_MAGIC   0x53726448u /* "HdrS" */
#define PROTOCOL_MIN   0x020cu /* 3.8: xloadflags */
#define SECTOR         512u
#define PARAGRAPH      16u
#define SETUP_DEFAULT  4u
#define HEADER_START   0x1f1u
#define ENTRY_64       0x200u
#define LOADER_UNKNOWN 0xff
#define CMDLINE_MAX    2047u
#define BELOW          (4ull << 30) /* what the first page tables map */

#define PAGE      4096ull
#define TABLE     512u
#define PTE_TABLE 0x3ull
#define PTE_2MIB  0x83ull

/* What linux_load() knows and linux_start() needs. */
static struct {
	struct setup_header header;
	uint64_t at;
	uint64_t bytes; /* init_size: what the kernel uses before it reads the memory map */
	char cmdline[CMDLINE_MAX + 1];
} image;

/* First sectors of the bzImage: the setup header is taken over whole. */
static void read_header(uint32_t file_bytes)
{
	static uint8_t first[2 * SECTOR];
	struct setup_header *h = &image.header;
	size_t length;

	if (file_bytes < sizeof(first))
		panic_boot("the kernel is no bzImage: only %u bytes long", file_bytes);
	payload_read(PAYLOAD_KERNEL, 0, first, sizeof(first));
	/* The header ends where the jump at its start lands (boot.rst, 1.3). */
	length = 0x202 + first[0x201] - HEADER_START;
	memcpy(h, first + HEADER_START, length < sizeof(*h) ? length : sizeof(*h));
	if (h->header != HEADER_MAGIC || h->boot_flag != 0xaa55)
		panic_boot("the kernel is no bzImage (no HdrS magic)");
	if (h->version < PROTOCOL_MIN)
		panic_boot(
			"the kernel speaks boot protocol %x.%02x; 2.12 (Linux 3.8) is the oldest",
			h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64))
		panic_boot("the kernel has no 64-bit entry (XLF_KERNEL_64): not an x86-64 kernel");
	if (!h->setup_sects)
		h->setup_sects = SETUP_DEFAULT;
	if (file_bytes <= (h->setup_sects + 1u) * SECTOR ||
		(uint64_t)h->syssize * PARAGRAPH >=
			(uint64_t)file_bytes - (h->setup_sects + 1u) * SECTOR + PARAGRAPH)
		panic_boot("the kernel's file is cut short (%u bytes)", file_bytes);
}

/* The VMM's and the hand-off's memory lie below 16 MiB, so nothing there is in question. */
static bool pinned_holds(uint64_t start, uint64_t bytes)
{
	for (unsigned i = 0; i < layout.pinned_count; i++) {
		const struct layout_range *r = &layout.pinned[i];

		if (start >= r->start && start >= LAYOUT_LOW_END && start < BELOW &&
			bytes <= BELOW - start && start + bytes <= r->start + r->bytes)
			return true;
	}
	return false;
}

static void place_kernel(uint32_t file_bytes)
{
	struct setup_header *h = &image.header;
	uint64_t align = h->kernel_alignment ? h->kernel_alignment : 0x200000;

	if (align < PAGE || align & (align - 1))
		panic_boot("the kernel's header asks for an alignment of 0x%lx: it is damaged",
			(unsigned long)align);
	image.bytes = file_bytes - (h->setup_sects + 1u) * SECTOR;
	if (h->init_size > image.bytes)
		image.bytes = h->init_size;
	image.at = h->pref_address;
	if (!pinned_holds(image.at, image.bytes) && h->relocatable_kernel) {
		image.at = (LAYOUT_LOW_END + align - 1) & ~(align - 1);
		while (image.at < BELOW && !pinned_holds(image.at, image.bytes))
			image.at += align;
	}
	if (!pinned_holds(image.at, image.bytes))
		panic_boot("pinned memory has no %lu MiB in one piece for the kernel; set a larger "
			   "`pinned`",
			(unsigned long)(image.bytes >> 20) + 1);
}

static void load_kernel(uint32_t file_bytes)
{
	struct setup_header *h = &image.header;
	uint32_t skip = (h->setup_sects + 1u) * SECTOR;

	payload_read(PAYLOAD_KERNEL, skip, (void *)image.at, file_bytes - skip);
	h->code32_start = (uint32_t)image.at;
	log_info("linux: kernel of %u KiB at %lx, protocol %x.%02x", file_bytes >> 10,
		(unsigned long)image.at, h->version >> 8, h->version & 0xff);
}

static bool touches(uint64_t start, uint64_t bytes, struct layout_range other)
{
	return start < other.start + other.bytes && other.start < start + bytes;
}

/*
 * As high as the kernel takes it: low memory is dear. Clear of where the kernel goes, and of where a
 * loader put it: the initrd is copied first. Its own module it may overlap.
 */
static uint64_t place_initrd(uint32_t bytes, uint64_t limit)
{
	struct layout_range busy[] = {
		{image.at, image.bytes}, payload_place(PAYLOAD_KERNEL), {limit, BELOW}};
	uint64_t best = 0;

	for (unsigned i = 0; i < layout.pinned_count; i++) {
		/* The highest place ends where the piece does, or where something begins. */
		for (unsigned k = 0; k <= sizeof(busy) / sizeof(busy[0]); k++) {
			uint64_t end = layout.pinned[i].start + layout.pinned[i].bytes, start;
			bool clear = true;

			if (k < sizeof(busy) / sizeof(busy[0]))
				end = busy[k].start < end ? busy[k].start : end;
			if (end < bytes)
				continue;
			start = (end - bytes) & ~(PAGE - 1);
			for (unsigned j = 0; j < sizeof(busy) / sizeof(busy[0]); j++)
				clear = clear && !touches(start, bytes, busy[j]);
			if (clear && start > best && pinned_holds(start, bytes))
				best = start;
		}
	}
	return best;
}

static void load_initrd(void)
{
	struct setup_header *h = &image.header;
	uint64_t limit = (uint64_t)h->initrd_addr_max + 1, at;
	uint32_t bytes;

	if (!payload_find(PAYLOAD_INITRD, &bytes) || !bytes)
		return;
	at = place_initrd(bytes, limit);
	if (!at)
		panic_boot("pinned memory below %lx has no room for the initrd of %u MiB; set a "
			   "larger `pinned`",
			(unsigned long)limit, (bytes >> 20) + 1);
	payload_read(PAYLOAD_INITRD, 0, (void *)at, bytes);
	h->ramdisk_image = (uint32_t)at;
	h->ramdisk_size = bytes;
	log_info("linux: initrd of %u KiB at %lx", bytes >> 10, (unsigned long)at);
}

/* Whether one of the words is `word`, or `name=` with `value` among its comma-separated parts. */
static bool has_option(const char *cmdline, const char *name, const char *value)
{
	size_t length = strlen(name), n = value ? strlen(value) : 0;
	const char *p = cmdline;

	while (*p) {
		const char *end = strchr(p, ' ');

		if (!end)
			end = p + strlen(p);
		if (!value && (size_t)(end - p) == length && !memcmp(p, name, length))
			return true;
		if (value && (size_t)(end - p) > length && !memcmp(p, name, length) &&
			p[length] == '=') {
			for (const char *q = p + length; q < end; q++) {
				if ((*q == '=' || *q == ',') && (size_t)(end - q - 1) >= n &&
					!memcmp(q + 1, value, n) &&
					(q + 1 + n == end || q[1 + n] == ','))
					return true;
			}
		}
		p = *end ? end + 1 : end;
	}
	return false;
}

void linux_check_cmdline(const char *cmdline)
{
	log_info("linux: command line: %s", cmdline);
	if (!has_option(cmdline, "movable_node", NULL))
		panic_boot(
			"the guest's command line lacks `movable_node`: its kernel would put page "
			"tables and slabs into far memory; add it");
	if (!has_option(cmdline, "swiotlb", "force"))
		panic_boot("the guest's command line lacks `swiotlb=force`: its devices would DMA "
			   "into far memory, where no RAM is; add it");
	if (!has_option(cmdline, "numa_balancing", "disable"))
		log_warning(
			"linux: without numa_balancing=disable the guest takes needless faults");
}

static void load_cmdline(void)
{
	const struct setup_header *h = &image.header;
	uint32_t bytes = payload_need(PAYLOAD_CMDLINE), most = CMDLINE_MAX;
	char *cmdline = image.cmdline;

	if (h->cmdline_size && h->cmdline_size < most)
		most = h->cmdline_size;
	if (bytes > most)
		panic_boot("the kernel's command line has %u bytes; it takes %u", bytes, most);
	payload_read(PAYLOAD_CMDLINE, 0, cmdline, bytes);
	for (uint32_t i = 0; i < bytes; i++) {
		if (cmdline[i] == '\n' || cmdline[i] == '\t')
			cmdline[i] = ' ';
	}
	linux_check_cmdline(cmdline);
}

static void fill_e820(struct boot_params *params, const struct memmap *map)
{
	static struct e820 e820;

	e820_build(&e820, map, LAYOUT_LOW_START);
	for (unsigned i = 0; i < e820.rows; i++)
		params->e820_table[i] = (struct boot_e820_entry){
			e820.row[i].start, e820.row[i].bytes, e820.row[i].type};
	params->e820_entries = (uint8_t)e820.rows;
}

/* The entry wants the image, the zero page and the command line mapped one to one. */
static uint64_t identity_tables(void)
{
	uint64_t *pml4 = hand_off_take(PAGE, PAGE), *pdpt = hand_off_take(PAGE, PAGE);

	pml4[0] = (uint64_t)pdpt | PTE_TABLE;
	for (uint64_t gib = 0; gib < BELOW >> 30; gib++) {
		uint64_t *pd = hand_off_take(PAGE, PAGE);

		pdpt[gib] = (uint64_t)pd | PTE_TABLE;
		for (uint64_t i = 0; i < TABLE; i++)
			pd[i] = gib << 30 | i << 21 | PTE_2MIB;
	}
	return (uint64_t)pml4;
}

void linux_load(void)
{
	uint32_t bytes = payload_need(PAYLOAD_KERNEL);

	read_header(bytes);
	load_cmdline();
	place_kernel(bytes);
	/* The kernel may come to lie over modules: it goes last. */
	load_initrd();
	load_kernel(bytes);
}

void linux_start(const struct start *start, uint64_t rsdp, struct virt_entry *entry)
{
	struct boot_params *params = hand_off_take(PAGE, PAGE);
	char *cmdline = hand_off_take(sizeof(image.cmdline), 16);
	uint64_t *gdt = hand_off_take(32, 16);

	memcpy(cmdline, image.cmdline, sizeof(image.cmdline));
	params->hdr = image.header;
	params->hdr.cmd_line_ptr = (uint32_t)(uint64_t)cmdline;
	params->hdr.type_of_loader = LOADER_UNKNOWN;
	params->hdr.vid_mode = 0xffff;
	params->acpi_rsdp_addr = rsdp;
	screen_fill(&params->screen_info, &start->screen);
	fill_e820(params, &start->map);
	gdt[2] = 0x00af9b000000ffffull;
	gdt[3] = 0x00cf93000000ffffull;
	*entry = (struct virt_entry){
		.rip = image.at + ENTRY_64,
		.rsi = (uint64_t)params,
		.cr3 = identity_tables(),
		.gdt = (uint64_t)gdt,
		.gdt_limit = 31,
	};
}
