/* SPDX-License-Identifier: MIT */
#include "boot/screen.h"
#include "lib/log.h"

#define TEXT_MODE   3u /* VGA's 80x25 */
#define TEXT_POINTS 16u
#define SIZE_UNIT   65536u /* of lfb_size with VIDEO_TYPE_VLFB */

static void fill_text(struct screen_info *info, const struct display *s)
{
	info->orig_video_isVGA = VIDEO_TYPE_VGAC;
	info->orig_video_mode = TEXT_MODE;
	info->orig_video_cols = (uint8_t)s->width;
	info->orig_video_lines = (uint8_t)s->height;
	info->orig_video_points = TEXT_POINTS;
}

static unsigned end_of(struct display_color c)
{
	return c.position + c.bits;
}

/* The bits above the colours are the padding that drivers look for. */
static void fill_colors(struct screen_info *info, const struct display *s)
{
	unsigned end = end_of(s->red);

	if (end < end_of(s->green))
		end = end_of(s->green);
	if (end < end_of(s->blue))
		end = end_of(s->blue);
	info->red_pos = s->red.position;
	info->red_size = s->red.bits;
	info->green_pos = s->green.position;
	info->green_size = s->green.bits;
	info->blue_pos = s->blue.position;
	info->blue_size = s->blue.bits;
	if (end < s->depth) {
		info->rsvd_pos = (uint8_t)end;
		info->rsvd_size = (uint8_t)(s->depth - end);
	}
}

static void fill_pixels(struct screen_info *info, const struct display *s)
{
	uint64_t bytes = (uint64_t)s->pitch * s->height;

	info->orig_video_isVGA = VIDEO_TYPE_VLFB;
	info->lfb_width = (uint16_t)s->width;
	info->lfb_height = (uint16_t)s->height;
	info->lfb_depth = s->depth;
	info->lfb_linelength = (uint16_t)s->pitch;
	info->lfb_base = (uint32_t)s->base;
	info->ext_lfb_base = (uint32_t)(s->base >> 32);
	info->lfb_size = (uint32_t)((bytes + SIZE_UNIT - 1) / SIZE_UNIT);
	info->capabilities = VIDEO_CAPABILITY_SKIP_QUIRKS;
	if (info->ext_lfb_base)
		info->capabilities |= VIDEO_CAPABILITY_64BIT_BASE;
	fill_colors(info, s);
}

void screen_fill(struct screen_info *info, const struct display *screen)
{
	switch (screen->kind) {
	case DISPLAY_TEXT:
		fill_text(info, screen);
		break;
	case DISPLAY_PIXELS:
		fill_pixels(info, screen);
		break;
	case DISPLAY_NONE:
		return;
	}
	log_info("screen: %ux%u, %u bits, %u bytes a line, at %lx", screen->width, screen->height,
		screen->depth, screen->pitch, (unsigned long)screen->base);
}
