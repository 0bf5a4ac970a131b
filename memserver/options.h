/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef ANNEX_MEMSERVER_OPTIONS_H
#define ANNEX_MEMSERVER_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_STORE   "/var/lib/annex/memserver"
#define OPTIONS_CONTROL "/run/annex/memserver.sock"
#define OPTIONS_HTTP    "127.0.0.1:7480"

enum options_hugepages {
	HUGEPAGES_AUTO, /* if there are enough, else 4 KiB pages and a warning */
	HUGEPAGES_YES,
	HUGEPAGES_NO,
};

struct options {
	struct sockaddr_in listen;
	uint64_t pool; /* bytes, a multiple of the extent's size */
	uint64_t quota; /* bytes per tenant, 0 = none */
	const char *pool_directory; /* NULL: chosen by hugepages */
	const char *store;
	const char *control;
	const char
		*forget; /* tenant to be forgotten by the server that runs, or NULL: be a server */
	struct sockaddr_in http;
	bool no_http;
	bool overcommit;
	enum options_hugepages hugepages;
};

/*
 * Reads the command line. Does not return for --help and --version (exit 0) and for an error (says
 * what is wrong, exit 2).
 */
void options_parse(struct options *options, int argc, char **argv);

/* NUMBER[K|M|G|T] in powers of 1024, at least 1; false for anything else. */
bool options_size(const char *text, uint64_t *bytes);

/* A.B.C.D[:PORT]; port 0 only when `port` is 0 and none was given. */
bool options_address(const char *text, uint16_t port, struct sockaddr_in *address);

#endif
