/* SPDX-License-Identifier: MIT */
/*
 * `annex guest define`: the domain XML that a user writes becomes a plain domain whose kernel is the
 * VMM. Pure: a document in, a document and the texts of two files out. The result is the same when
 * its own output is put in again.
 */
#ifndef ANNEX_DOMAIN_H
#define ANNEX_DOMAIN_H

#include <libxml/tree.h>
#include <stdint.h>
#include "toolstack/registry.h"
#include "toolstack/wish.h"

#define DOMAIN_NAME_MAX 128
#define DOMAIN_UUID_MAX 37
#define DOMAIN_WARNINGS 4

/* What the transformation knows of the world. */
struct domain_setup {
	const char *vmm; /* absolute path of the VMM's ELF */
	const char *state; /* annex's directory, absolute */
	const char *uuid; /* for a document that has none */
	const char *kvm; /* why type='kvm' cannot be, or NULL */
	const struct registry *registry;
};

struct domain_plan {
	char name[DOMAIN_NAME_MAX];
	char uuid[DOMAIN_UUID_MAX];
	uint64_t tenant;
	uint64_t memory; /* local, bytes */
	struct wish wish;
	char *directory; /* STATE/guests/UUID */
	char *config; /* content of DIRECTORY/config */
	char *cmdline; /* content of DIRECTORY/cmdline; NULL: none */
	char *warning[DOMAIN_WARNINGS];
	unsigned warnings;
};

/* The domain's name and UUID ("" when there is none). Returns 0 or an error_code. */
int domain_identity(xmlDoc *doc, char name[DOMAIN_NAME_MAX], char uuid[DOMAIN_UUID_MAX]);

/* Changes the document in place. Returns 0 or an error_code; then the document is of no use. */
int domain_transform(xmlDoc *doc, const struct domain_setup *setup, struct domain_plan *plan);
void domain_free(struct domain_plan *plan);

/* Derived from the UUID, the same for ever: the tenant's id, never 0, and a MAC for NIC number n. */
uint64_t domain_tenant(const char *uuid);
void domain_mac(const char *uuid, unsigned n, char out[18]);

/* Local memory of a domain in bytes, from <memory>; 0 when it cannot be read. */
uint64_t domain_memory(const xmlNode *domain);

/* RAM that the VMM keeps for itself: 16 MiB, 8 bytes per far page, 32 per frame. */
uint64_t domain_overhead(uint64_t far, uint64_t memory);

#endif
