/* SPDX-License-Identifier: MIT */
/* annex log: the VMM's own log ring. */
#include <stdio.h>
#include "toolstack/connect.h"
#include "toolstack/manage.h"
#include "toolstack/output.h"

#define ROUNDS 4096 /* the ring is small; more rounds than lines would be a loop */

static int run(struct annex *annex, int count, char **arguments)
{
	virDomainPtr domain = connect_guest(annex, arguments[0]);
	json_t *all = json_array();
	json_int_t next = -1;
	int code = domain ? 0 : (int)error_code();

	for (int round = 0; !code && round < ROUNDS; round++) {
		json_t *part = NULL, *lines;
		json_int_t after;
		char command[40] = "log";

		if (next >= 0)
			snprintf(command, sizeof(command), "log %lld", (long long)next);
		code = manage_ask(domain, command, &part);
		lines = json_object_get(part, "lines");
		after = json_integer_value(json_object_get(part, "next"));
		if (!code)
			json_array_extend(all, lines);
		count = (int)json_array_size(lines);
		json_decref(part);
		if (count == 0 || after <= next)
			break;
		next = after;
	}
	if (!code && !annex->json)
		for (size_t i = 0; i < json_array_size(all); i++)
			puts(json_string_value(json_array_get(all, i)));
	if (!code)
		output_answer(annex, json_pack("{s:O}", "lines", all));
	json_decref(all);
	if (domain)
		virDomainFree(domain);
	return code;
}

const struct command cmd_log = {
	.name = "log",
	.arguments = "NAME",
	.summary = "Print the log of a running guest's VMM",
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
