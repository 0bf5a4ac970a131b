/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include "lib/panic.h"
#include "machine/hidden.h"

#define ROWS 64u

static struct hidden rows[ROWS];
static unsigned count;

void hidden_add(enum hidden_kind kind, uint64_t first, uint64_t last, const char *what)
{
	if (count == ROWS)
		panic_boot("more than %u things to hide from the guest (last: %s)", ROWS, what);
	check(first <= last);
	rows[count++] = (struct hidden){kind, first, last, what};
}

const struct hidden *hidden_find(enum hidden_kind kind, uint64_t first, uint64_t last)
{
	for (unsigned i = 0; i < count; i++) {
		if (rows[i].kind == kind && rows[i].first <= last && rows[i].last >= first)
			return &rows[i];
	}
	return NULL;
}

unsigned hidden_count(void)
{
	return count;
}

const struct hidden *hidden_row(unsigned index)
{
	check(index < count);
	return &rows[index];
}
