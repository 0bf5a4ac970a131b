/* SPDX-License-Identifier: MIT */
/*
 * The GRUB menu entry that starts this machine's Linux under the VMM: which kernel, which command
 * line, and the script below /etc/grub.d that writes it.
 */
#ifndef ANNEX_BOOT_ENTRY_H
#define ANNEX_BOOT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#define BOOT_ENTRY_SCRIPT "/etc/grub.d/42_annex"
#define BOOT_ENTRY_VMM    "/boot/annex/annex-vmm.elf"
#define BOOT_ENTRY_CONFIG "/boot/annex/config"

struct boot_entry {
	char *kernel; /* /boot/..., as the machine sees it */
	char *initrd; /* NULL: none */
	char *line; /* of the kernel, completed */
	bool pinned; /* the kernel was named; else the entry follows the newest */
};

/*
 * Fills the entry for the machine whose files lie under root ("": this one). kernel NULL: the newest
 * in /boot; line NULL: the running kernel's, without what GRUB puts there.
 */
int boot_entry_find(
	struct boot_entry *entry, const char *root, const char *kernel, const char *line);
void boot_entry_free(struct boot_entry *entry);

/* The script; malloc()ed. */
char *boot_entry_script(const struct boot_entry *entry);

/* Whether the text is a configuration that the VMM takes; the error says it in the VMM's words. */
int boot_entry_check_config(const char *path, const char *text, size_t length);

#endif
