/* SPDX-License-Identifier: MIT */
/* /etc/annex/agent.conf (agent.conf(5)): settings `key = value` and policies, one a line. */
#ifndef ANNEX_AGENT_CONFIG_H
#define ANNEX_AGENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "guest-agent/selector.h"

#define CONFIG_RULES 64u
#define CONFIG_LINE  512u /* bytes of a line, with its end */
#define CONFIG_ERROR 256u /* room for an error's text */

/* A policy as it is written. */
struct config_rule {
	unsigned kind; /* enum hint_kind: pin, prefetch or cold */
	struct selector selector;
	uint64_t max_pages; /* UINT64_MAX: no limit */
	uint64_t every_ns; /* cold only */
	bool on_wake; /* prefetch only; always, for now */
	char text[CONFIG_LINE]; /* the line, one space between words */
};

struct config {
	uint64_t refresh_ns; /* refresh: how often a pin is translated again */
	uint64_t scan_pages; /* scan: pages looked at per second */
	uint64_t requests; /* requests: hint requests per second */
	uint64_t
		applications_pin_pages; /* applications-pin: most that applications pin together; 0:
					    they may not pin */
	uint64_t user_pin_pages; /* user-pin: most of it that is one user's (not root's) */
	int log; /* log: as in syslog.h */
	unsigned rule_count;
	struct config_rule rule[CONFIG_RULES];
};

void config_default(struct config *c);

/* Reads a file into c. -1: error says what is wrong, with the line; c is undefined then. */
int config_read(struct config *c, const char *path, char error[CONFIG_ERROR]);

/* Text with lines, the same. name: what errors call it. */
int config_parse(struct config *c, const char *name, const char *text, char error[CONFIG_ERROR]);

/* One policy's line: KIND SELECTOR... [max=SIZE] [on=wake] [every=SECONDS]. -1: error says why not. */
int config_rule(struct config_rule *rule, const char *line, char error[CONFIG_ERROR]);

#endif
