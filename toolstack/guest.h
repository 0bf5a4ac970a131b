/* SPDX-License-Identifier: MIT */
/* A guest as its libvirt domain describes it. */
#ifndef ANNEX_GUEST_H
#define ANNEX_GUEST_H

#include <jansson.h>
#include "toolstack/annex.h"
#include "toolstack/domain.h"

struct guest {
	char name[DOMAIN_NAME_MAX];
	char uuid[DOMAIN_UUID_MAX];
	const char *state; /* static text */
	uint64_t memory;
	struct wish wish;
};

/* Reads it from the domain's XML. Returns 0 or an error_code. */
int guest_read(virDomainPtr domain, struct guest *guest);
void guest_free(struct guest *guest);

/*
 * Calls visit for every domain with an <annex:far> element, ordered by name. An unreadable one is
 * skipped. Stops when visit returns non-zero, and returns that.
 */
int guest_each(
	struct annex *annex, int (*visit)(const struct guest *guest, void *context), void *context);

/*
 * 0 when no domain of the tenant runs on this machine. ERROR_REFUSED, with the domain named, when
 * one does or libvirt does not say; a domain whose XML cannot be read counts as well.
 */
int guest_tenant_stopped(struct annex *annex, uint64_t tenant);

/*
 * Whether the domain's XML (flags: 0 for the live one, or VIR_DOMAIN_XML_INACTIVE) names the
 * server. Returns 0, *names false for a domain that is no guest; or an error_code when that cannot
 * be told.
 */
int guest_names_server(virDomainPtr domain, unsigned flags, const char *server, bool *names);

/* The fields of `annex guest show --json`. */
json_t *guest_json(const struct guest *guest);

#endif
