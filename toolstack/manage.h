/* SPDX-License-Identifier: MIT */
/* Questions to a running guest's VMM, over the domain's second serial port (annex/manage.h). */
#ifndef ANNEX_TOOLSTACK_MANAGE_H
#define ANNEX_TOOLSTACK_MANAGE_H

#include <jansson.h>
#include <libvirt/libvirt.h>

/* Who answers at a domain's port, and how it is spoken of. */
struct manage_peer {
	const char *alias; /* of the serial port */
	const char *port; /* "management port of guest" */
	const char *who; /* "VMM of guest" */
	const char *missing; /* advice when the domain has no such port */
	const char *silent; /* advice when no answer comes */
	int patience; /* s */
};

extern const struct manage_peer manage_vmm;

/* As manage_ask(), of another peer than a guest's VMM. */
int manage_ask_peer(
	virDomainPtr domain, const struct manage_peer *peer, const char *command, json_t **result);

/*
 * Opens the port, asks, closes it. A busy port is tried again for 2 s, an answer waited for as long.
 * Returns 0 with the answer's "result" in *result (one reference for the caller), ERROR_SILENT when
 * no answer comes (the text says whether the domain is paused), ERROR_FAILED with the VMM's own words
 * when it answers with an error.
 */
int manage_ask(virDomainPtr domain, const char *command, json_t **result);

/*
 * From here to manage_release() the port stays open between the questions to that domain's VMM: QEMU
 * takes up to a second to see that a port was opened. Others find it busy meanwhile, so only for
 * questions that follow each other at once.
 */
void manage_hold(virDomainPtr domain);
void manage_release(void);

/*
 * One received line: 1 and *answer when it is the answer to `id`, 0 when it is something else.
 * Public for the tests.
 */
int manage_line(const char *line, const char *id, json_t **answer);

#endif
