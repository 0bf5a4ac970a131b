/* SPDX-License-Identifier: MIT */
/* What every command of `annex` gets, and how a command describes itself. */
#ifndef ANNEX_ANNEX_H
#define ANNEX_ANNEX_H

#include <stdbool.h>
#include <stdint.h>
#include <libvirt/libvirt.h>
#include "annex/version.h"
#include "toolstack/error.h"

#define ANNEX_NAMESPACE "urn:annex:domain:1"
#define ANNEX_STATE     "/var/lib/annex"
#define ANNEX_BRIDGE    "annexbr0"
#define ANNEX_MTU       1500u
#define ANNEX_HTTP_PORT 7480u

struct annex {
	const char *uri; /* NULL: LIBVIRT_DEFAULT_URI or qemu:///system */
	const char *state; /* directory of what annex keeps */
	bool json;
	bool quiet;
	virConnectPtr connection; /* connect_open() */
};

enum option_kind {
	OPTION_FLAG, /* target: bool * */
	OPTION_TEXT, /* target: const char ** */
	OPTION_SIZE, /* target: uint64_t *, bytes */
	OPTION_NUMBER, /* target: uint64_t * */
	OPTION_MAYBE, /* target: const char **; --name or --name=VALUE; "" without a value */
};

struct option_spec {
	const char *name;
	const char *argument; /* "SIZE"; NULL for a flag */
	const char *help;
	enum option_kind kind;
	void *target;
};

struct command {
	const char *name; /* "server add" */
	const char *arguments; /* "NAME ADDRESS[:PORT]" */
	const char *summary; /* one line */
	const char *details; /* the rest of --help, lines ended by \n; or NULL */
	const struct option_spec *options; /* ended by a NULL name; or NULL */
	int minimum; /* positional arguments */
	int maximum;
	int (*run)(struct annex *annex, int count, char **arguments); /* returns an error_code */
};

/*
 * Splits argv (behind the command's words) into the command's options, the global ones and
 * positional arguments, which are moved to the front of argv; *count says how many.
 */
int options_parse(const struct command *command, struct annex *annex, int argc, char **argv,
	int *count, bool *help);

/* --help of one command, and of all. */
void options_help(const struct command *command);
void options_overview(const struct command *const *commands);

extern const struct command cmd_server_provision, cmd_server_add, cmd_server_list, cmd_server_show,
	cmd_server_remove, cmd_server_forget, cmd_server_restart, cmd_guest_define, cmd_guest_list,
	cmd_guest_show, cmd_guest_start, cmd_guest_stop, cmd_guest_undefine, cmd_stat, cmd_log,
	cmd_doctor, cmd_version, cmd_host_install_boot, cmd_guest_hint, cmd_exporter,
	cmd_guest_check;

#endif
