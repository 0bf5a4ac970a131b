/* SPDX-License-Identifier: MIT */
#include "guest-agent/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "guest-agent/check_parts.h"
#include "guest-agent/nodes.h"
#include "guest-agent/tree.h"

void check_add(struct check_context *c, enum check_result result, const char *name,
	const char *format, ...)
{
	struct check *check = c->check;
	va_list arguments;

	if (check->count == CHECK_LINES_MAX)
		return;
	struct check_line *line = &check->line[check->count++];

	line->result = result;
	line->name = name;
	va_start(arguments, format);
	vsnprintf(line->text, sizeof(line->text), format, arguments);
	va_end(arguments);
	for (char *p = line->text; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

/* What was looked at means nothing on another machine, and may not be taken for an answer. */
static void skip_all(struct check_context *c)
{
	static const char *const names[] = {"lockdown", "command-line", "numa-balancing",
		"huge-pages", "ksm", "psi", "nodes", "cpus", "movable", "pinned", "swiotlb",
		"crash-kernel", "iommu", "pci", "virtio"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		check_add(c, CHECK_SKIP, names[i], "no Annex below");
}

void check_run(struct check *check, const char *root, const struct check_annex *annex)
{
	struct check_context c = {.check = check, .root = root, .annex = annex, .far = -1};

	memset(check, 0, sizeof(*check));
	check->annex = annex->found;
	if (!annex->found) {
		check_add(&c, CHECK_SKIP, "annex",
			"no Annex below: this machine has no far memory, or another hypervisor "
			"hides it");
		skip_all(&c);
		return;
	}
	check_add(&c, CHECK_OK, "annex", "below");
	tree_read(root, "/proc/cmdline", c.command_line, sizeof(c.command_line));
	c.far = nodes_far(root, annex->far_base, annex->far_pages);
	check_flags_add(&c);
	check_memory_add(&c);
	check_devices_add(&c);
}

int check_exit_code(const struct check *check)
{
	if (!check->annex)
		return 3;
	for (unsigned i = 0; i < check->count; i++)
		if (check->line[i].result == CHECK_FAIL)
			return 1;
	return 0;
}
