/* SPDX-License-Identifier: MIT */
/*
 * What the guest boots and on what: <os>, <vcpu>, <cpu>, <features> and the first serial port of a
 * domain, and how they become the VMM's.
 */
#ifndef ANNEX_GUESTOS_H
#define ANNEX_GUESTOS_H

#include <libxml/tree.h>
#include "toolstack/wish.h"

/*
 * Refuses what the VMM cannot run: other types and machines, firmware, NUMA, hot-plug slots. `kvm`
 * says why type='kvm' cannot be, or is NULL. Sets CPU model and features.
 */
int guestos_check(xmlNode *domain, const char *kvm);

/*
 * Reads vcpus, kernel, initrd and cmdline into the wish, and looks at the files. Without a kernel the
 * guest boots from its own disk, which must be there.
 */
int guestos_wish(const xmlNode *domain, struct wish *wish);

/* The guest's command line (NULL: empty) with what far memory needs added; malloc()ed. */
int guestos_cmdline(const char *given, char **out);

/* The first serial port stays the user's (made if there is none); the second becomes ours. */
int guestos_serial(xmlNode *devices);

/* One CPU more, the VMM as kernel, and the guest's files as fw_cfg entries. */
void guestos_replace(
	xmlNode *domain, const char *vmm, const char *directory, const struct wish *wish);

/* Takes our entries out of <sysinfo type='fwcfg'>. */
void guestos_strip_files(xmlNode *sysinfo);

#endif
