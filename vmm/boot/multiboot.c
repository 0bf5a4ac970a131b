/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>
#include "annex/config.h"
#include "boot/multiboot.h"
#include "boot/payload.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/acpi.h"

#define TAG_END         0u
#define TAG_MODULE      3u
#define TAG_MMAP        6u
#define TAG_FRAMEBUFFER 8u
#define TAG_ACPI_OLD    14u
#define TAG_ACPI_NEW    15u
#define TAG_ALIGN       8u

#define INFORMATION_MAX (1u << 20)
#define NAME_SHOWN      32

#define FRAMEBUFFER_RGB  1u
#define FRAMEBUFFER_TEXT 2u
#define RGB_BYTES        (offsetof(struct tag_framebuffer, blue) + sizeof(struct display_color))

struct header {
	uint32_t bytes;
	uint32_t reserved;
};

struct tag {
	uint32_t type;
	uint32_t bytes; /* header included, padding not */
};

struct tag_module {
	struct tag tag;
	uint32_t start;
	uint32_t end;
	char string[];
};

struct tag_mmap {
	struct tag tag;
	uint32_t entry_bytes;
	uint32_t entry_version;
};

struct mmap_entry {
	uint64_t start;
	uint64_t bytes;
	uint32_t type;
	uint32_t zero;
};

struct tag_framebuffer {
	struct tag tag;
	uint64_t base;
	uint32_t pitch;
	uint32_t width;
	uint32_t height;
	uint8_t depth;
	uint8_t type;
	uint16_t reserved;
	struct display_color red, green, blue; /* type FRAMEBUFFER_RGB only */
};

/* The loader's copy; its tables are where it says. */
static struct acpi_rsdp rsdp;

static bool first_word(const char *string, const char *word)
{
	size_t n = strlen(word);

	return !memcmp(string, word, n) && (string[n] == ' ' || !string[n]);
}

static void read_module(const struct tag_module *t)
{
	static const struct {
		const char *name;
		enum payload file;
	} names[] = {
		{CONFIG_MODULE_KERNEL, PAYLOAD_KERNEL},
		{CONFIG_MODULE_INITRD, PAYLOAD_INITRD},
		{CONFIG_MODULE_CONFIG, PAYLOAD_CONFIG},
	};
	const char *string = t->string;
	size_t room = t->tag.bytes - sizeof(*t);

	if (!room || !memchr(string, 0, room) || t->end < t->start)
		panic_boot("the loader's information on a module is damaged (%x-%x)", t->start,
			t->end);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *rest = string + strlen(names[i].name);

		/* Nothing of the string behind its end is compared: the word has no NUL. */
		if (strlen(string) < strlen(names[i].name) || !first_word(string, names[i].name))
			continue;
		if (!payload_add(
			    names[i].file, (const void *)(uintptr_t)t->start, t->end - t->start))
			panic_boot("two modules are called `%s`", names[i].name);
		while (*rest == ' ')
			rest++;
		if (names[i].file == PAYLOAD_KERNEL)
			payload_add(PAYLOAD_CMDLINE, rest, (uint32_t)strlen(rest));
		log_info("module: %s, %u KiB at %x", names[i].name, (t->end - t->start) >> 10,
			t->start);
		return;
	}
	panic_boot("a module is called \"%.*s\": the first word behind its file must be "
		   "`" CONFIG_MODULE_KERNEL "`, `" CONFIG_MODULE_INITRD
		   "` or `" CONFIG_MODULE_CONFIG "`",
		NAME_SHOWN, string);
}

static void read_mmap(const struct tag_mmap *t, struct memmap *map)
{
	const uint8_t *at = (const uint8_t *)(t + 1), *end = (const uint8_t *)t + t->tag.bytes;
	struct mmap_entry e;

	if (t->entry_bytes < sizeof(e) || t->entry_bytes % 8)
		panic_boot("the loader's memory map has entries of %u bytes", t->entry_bytes);
	for (; (size_t)(end - at) >= t->entry_bytes; at += t->entry_bytes) {
		memcpy(&e, at, sizeof(e));
		if (e.type < MEMMAP_RAM || e.type > MEMMAP_UNUSABLE)
			e.type = MEMMAP_RESERVED;
		memmap_add(map, e.start, e.bytes, e.type);
	}
}

static void read_framebuffer(const struct tag_framebuffer *t, struct display *screen)
{
	struct display s = {
		.base = t->base,
		.pitch = t->pitch,
		.width = t->width,
		.height = t->height,
		.depth = t->depth,
	};

	if (!s.width || !s.height || s.width > 0xffff || s.height > 0xffff || s.pitch > 0xffff)
		return;
	if (t->type == FRAMEBUFFER_TEXT && s.width <= 0xff && s.height <= 0xff &&
		s.pitch >= 2 * s.width) {
		s.kind = DISPLAY_TEXT;
		*screen = s;
	} else if (t->type == FRAMEBUFFER_RGB && t->tag.bytes >= RGB_BYTES && s.depth >= 15 &&
		   s.depth <= 32 && s.pitch >= s.width * ((s.depth + 7u) / 8)) {
		s.kind = DISPLAY_PIXELS;
		s.red = t->red;
		s.green = t->green;
		s.blue = t->blue;
		*screen = s;
	}
}

static void read_rsdp(const struct tag *t, struct start *start)
{
	size_t bytes = t->bytes - sizeof(*t);

	/* Of ACPI 1.0, without the rest; the newer one wins. */
	if (t->type == TAG_ACPI_OLD && (start->rsdp || bytes < offsetof(struct acpi_rsdp, length)))
		return;
	if (t->type == TAG_ACPI_NEW && bytes < sizeof(rsdp))
		return;
	memset(&rsdp, 0, sizeof(rsdp));
	memcpy(&rsdp, t + 1, bytes < sizeof(rsdp) ? bytes : sizeof(rsdp));
	start->rsdp = (uintptr_t)&rsdp;
}

/* What a tag must have at least; 0: not one that we read. */
static size_t least(uint32_t type)
{
	switch (type) {
	case TAG_MODULE:
		return sizeof(struct tag_module);
	case TAG_MMAP:
		return sizeof(struct tag_mmap);
	case TAG_FRAMEBUFFER:
		return offsetof(struct tag_framebuffer, red);
	case TAG_ACPI_OLD:
	case TAG_ACPI_NEW:
		return sizeof(struct tag);
	default:
		return 0;
	}
}

static void read_tag(const struct tag *t, struct start *start)
{
	if (t->bytes < least(t->type))
		panic_boot("the loader's information is damaged: tag %u has %u bytes", t->type,
			t->bytes);
	switch (t->type) {
	case TAG_MODULE:
		read_module((const void *)t);
		break;
	case TAG_MMAP:
		read_mmap((const void *)t, &start->map);
		break;
	case TAG_FRAMEBUFFER:
		read_framebuffer((const void *)t, &start->screen);
		break;
	case TAG_ACPI_OLD:
	case TAG_ACPI_NEW:
		read_rsdp(t, start);
		break;
	default:
		break;
	}
}

static void find_display(const struct tag *t, struct start *start)
{
	if (t->type == TAG_FRAMEBUFFER && t->bytes >= least(t->type))
		read_framebuffer((const void *)t, &start->screen);
}

/* Calls `read` with each tag that lies whole in the information. Stops the boot if one does not. */
static void each_tag(const void *information, struct start *start,
	void (*read)(const struct tag *t, struct start *start))
{
	const struct header *h = information;
	uint32_t at = sizeof(*h);

	if (h->bytes < sizeof(*h) || h->bytes > INFORMATION_MAX)
		panic_boot("the loader's information has %u bytes", h->bytes);
	for (;;) {
		const struct tag *t = (const void *)((const uint8_t *)information + at);

		if (h->bytes - at < sizeof(*t) || t->bytes < sizeof(*t) || t->bytes > h->bytes - at)
			panic_boot("the loader's information is damaged at byte %u", at);
		if (t->type == TAG_END)
			break;
		read(t, start);
		at += (t->bytes + TAG_ALIGN - 1) & ~(TAG_ALIGN - 1);
		if (at > h->bytes)
			at = h->bytes;
	}
}

void multiboot_find_display(const void *information, struct display *display)
{
	struct start found = {.screen = {.kind = DISPLAY_NONE}};

	each_tag(information, &found, find_display);
	*display = found.screen;
}

void multiboot_read(const void *information, struct start *start)
{
	each_tag(information, start, read_tag);
	if (!start->map.rows)
		panic_boot("the loader gave no memory map");
}
