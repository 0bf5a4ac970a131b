/* SPDX-License-Identifier: MIT */
#include "guest-agent/check_parts.h"

#include <stdio.h>
#include <string.h>

#include "guest-agent/tree.h"

#define MEND "put it into GRUB_CMDLINE_LINUX of /etc/default/grub, run update-grub, reboot"

bool check_flags_has(const char *command_line, const char *word, char *value, size_t size)
{
	size_t length = strlen(word);
	bool named = length && word[length - 1] == '=', found = false;

	for (const char *p = command_line + strspn(command_line, " \t\n"); *p;) {
		size_t n = strcspn(p, " \t\n");

		/* What is behind "--" is init's. */
		if (n == 2 && strncmp(p, "--", 2) == 0)
			break;
		if (n >= length && strncmp(p, word, length) == 0 && (named || n == length)) {
			found = true;
			if (named && value)
				snprintf(value, size, "%.*s", (int)(n - length), p + length);
		}
		p += n;
		p += strspn(p, " \t\n");
	}
	return found;
}

/* "force", "65536,force", "65536,4,force" */
static bool ends_with_force(const char *value)
{
	const char *comma = strrchr(value, ',');

	return strcmp(comma ? comma + 1 : value, "force") == 0;
}

static void command_line(struct check_context *c)
{
	static const char *const forbidden[] = {
		"numa=off", "nosmp", "noapic", "nolapic", "acpi=off"};
	char value[64] = "";
	unsigned before = c->check->count;

	if (!c->command_line[0]) {
		check_add(c, CHECK_SKIP, "command-line", "/proc/cmdline cannot be read");
		return;
	}
	if (!check_flags_has(c->command_line, "swiotlb=", value, sizeof(value)) ||
		!ends_with_force(value))
		check_add(c, CHECK_FAIL, "command-line",
			"swiotlb=force is missing: devices would DMA into far memory; " MEND);
	if (!check_flags_has(c->command_line, "movable_node", NULL, 0))
		check_add(c, CHECK_FAIL, "command-line",
			"movable_node is missing: the kernel would lie in far memory; " MEND);
	for (unsigned i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++)
		if (check_flags_has(c->command_line, forbidden[i], NULL, 0))
			check_add(c, CHECK_FAIL, "command-line",
				"%s hides far memory from the kernel; take it away", forbidden[i]);
	if (c->check->count == before)
		check_add(c, CHECK_OK, "command-line", "swiotlb=%s movable_node", value);
}

static void lockdown(struct check_context *c)
{
	char text[128];

	if (tree_read(c->root, "/sys/kernel/security/lockdown", text, sizeof(text)) <= 0 ||
		strstr(text, "[none]"))
		check_add(c, CHECK_OK, "lockdown", "none");
	else
		check_add(c, CHECK_FAIL, "lockdown",
			"the kernel is locked down and lets nobody ring the doorbell: no hints, no "
			"reports; no Secure Boot, no lockdown= on the command line");
}

static void numa_balancing(struct check_context *c)
{
	uint64_t on;

	if (!tree_number(c->root, "/proc/sys/kernel/numa_balancing", &on) || on == 0)
		check_add(c, CHECK_OK, "numa-balancing", "off");
	else
		check_add(c, CHECK_WARN, "numa-balancing",
			"on: it makes the guest fault on its own memory to no use; sysctl "
			"kernel.numa_balancing=0, or numa_balancing=disable");
}

static void huge_pages(struct check_context *c)
{
	char text[128];

	if (tree_read(c->root, "/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text)) <=
		0)
		check_add(c, CHECK_OK, "huge-pages", "none");
	else if (strstr(text, "[always]"))
		check_add(c, CHECK_WARN, "huge-pages",
			"always: one touch takes 2 MiB of local memory, and khugepaged copies cold "
			"memory; transparent_hugepage=madvise");
	else
		check_add(c, CHECK_OK, "huge-pages", "%s",
			strstr(text, "[madvise]") ? "madvise" : "never");
}

static void ksm(struct check_context *c)
{
	uint64_t run;

	if (tree_number(c->root, "/sys/kernel/mm/ksm/run", &run) && run == 1)
		check_add(c, CHECK_WARN, "ksm",
			"on: it reads far memory again and again; echo 0 >/sys/kernel/mm/ksm/run");
	else
		check_add(c, CHECK_OK, "ksm", "off");
}

static void psi(struct check_context *c)
{
	char text[64];

	if (tree_read(c->root, "/proc/pressure/memory", text, sizeof(text)) > 0)
		check_add(c, CHECK_OK, "psi", "told");
	else
		check_add(c, CHECK_WARN, "psi",
			"the kernel tells no pressure: add psi=1 to its command line, if it has "
			"CONFIG_PSI");
}

void check_flags_add(struct check_context *c)
{
	lockdown(c);
	command_line(c);
	numa_balancing(c);
	huge_pages(c);
	ksm(c);
	psi(c);
}
