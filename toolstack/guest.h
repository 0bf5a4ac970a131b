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

/* The fields of `annex guest show --json`. */
json_t *guest_json(const struct guest *guest);

#endif
