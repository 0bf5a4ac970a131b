/* SPDX-License-Identifier: MIT */
/* libvirt: the connection, domains by name, and its errors in our words. */
#ifndef ANNEX_CONNECT_H
#define ANNEX_CONNECT_H

#include "toolstack/annex.h"

/* Opens annex->connection if it is not open yet. Returns 0 or ERROR_LIBVIRT. */
int connect_open(struct annex *annex);
void connect_close(struct annex *annex);

/* Refuses a libvirt on another machine: the files of a guest are local. */
int connect_local(struct annex *annex);

/* The domain of that name, or NULL with ERROR_NOT_FOUND recorded. Free with virDomainFree(). */
virDomainPtr connect_domain(struct annex *annex, const char *name);

/* As connect_domain(), for a domain with an <annex:far> element only. */
virDomainPtr connect_guest(struct annex *annex, const char *name);

/*
 * Calls visit for every domain there is, guest or not, running or not, ordered by name. Stops when
 * visit returns non-zero, and returns that.
 */
int connect_each(
	struct annex *annex, int (*visit)(virDomainPtr domain, void *context), void *context);

/* True when the domain's XML has an <annex:far> element. */
bool connect_is_guest(virDomainPtr domain);

/* Records libvirt's last error behind "what: " and returns its code. */
int connect_failed(const char *what, const char *advice);

/* "running", "paused", "shut off", ...; "unknown" on error. */
const char *connect_state(virDomainPtr domain);

#endif
