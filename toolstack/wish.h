/* SPDX-License-Identifier: MIT */
/*
 * What a user asks for: the <annex:far> element of a domain's metadata (namespace
 * urn:annex:domain:1), and in its <annex:wish> child what define had to replace elsewhere in the
 * XML, so that define can always start from the user's wishes again.
 */
#ifndef ANNEX_WISH_H
#define ANNEX_WISH_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include "annex/config.h"

#define WISH_BRIDGE_MAX 16 /* IFNAMSIZ */

struct wish {
	uint64_t far; /* bytes */
	uint64_t pinned; /* bytes; the default is filled in */
	bool pinned_given;
	uint64_t pcache; /* bytes, 0: all other local memory */
	uint64_t pin; /* bytes of far memory that the guest's agent may pin; 0: none */
	char server[CONFIG_SERVERS][CONFIG_NAME_MAX];
	unsigned servers;
	uint32_t address; /* host order */
	unsigned prefix;
	uint32_t gateway; /* 0: none */
	char bridge[WISH_BRIDGE_MAX];
	unsigned mtu;
	char model[8]; /* of the fabric's NIC: "virtio" or "e1000" */
	bool wakeup_mailbox; /* ACPI's, instead of INIT and SIPI */
	int prefetch; /* pages; -1: the VMM's own */
	char log[8]; /* "": default */
	bool service_core; /* the VMM gets a CPU of its own */

	bool recorded; /* the rest comes from <annex:wish>, not from the domain's own elements */
	unsigned vcpus;
	char *kernel; /* NULL: the guest boots from its own disk */
	char *initrd; /* NULL: none */
	char *cmdline; /* NULL: none */
};

/* The one <annex:far> of the domain, or NULL with the error recorded (none, several, other version). */
xmlNode *wish_find(const xmlNode *domain);

/* Parses it. Returns 0, or an error_code that names the element and what is wrong. */
int wish_parse(const xmlNode *far, struct wish *wish);
void wish_free(struct wish *wish);

/* Writes vcpus, kernel, initrd and cmdline into the <annex:wish> child. */
void wish_record(xmlNode *far, const struct wish *wish);

/* far x 3/128 + 64 MiB of swiotlb + 128 MiB, at least 256 MiB: what the guest's kernel needs. */
uint64_t wish_pinned_least(uint64_t far);

#endif
