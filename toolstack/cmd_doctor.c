/* SPDX-License-Identifier: MIT */
/* annex doctor: what this machine lacks for running guests and memory servers. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "toolstack/appliance.h"
#include "toolstack/connect.h"
#include "toolstack/files.h"
#include "toolstack/kvm.h"
#include "toolstack/output.h"
#include "toolstack/server.h"

static const char *bridge = ANNEX_BRIDGE;

static const struct option_spec options[] = {
	{"bridge", "BRIDGE", "the fabric to look at (default: " ANNEX_BRIDGE ")", OPTION_TEXT,
		&bridge},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

struct report {
	struct output_table *table;
	json_t *json;
	unsigned failed;
};

enum verdict { GOOD, NOTE, BAD };

static void tell(struct report *r, const char *what, enum verdict verdict, const char *text)
{
	static const char *const words[] = {"ok", "note", "FAIL"};
	static const char *const names[] = {"ok", "note", "fail"};

	output_table_cell(r->table, "%s", words[verdict]);
	output_table_cell(r->table, "%s", what);
	output_table_cell(r->table, "%s", text);
	json_array_append_new(r->json,
		json_pack("{s:s,s:s,s:s}", "check", what, "result", names[verdict], "text", text));
	r->failed += verdict == BAD;
}

static void look_at_libvirt(struct annex *annex, struct report *r)
{
	char text[160];
	unsigned long version = 0;

	if (connect_open(annex)) {
		tell(r, "libvirt", BAD, error_text());
		error_clear();
		return;
	}
	virConnectGetLibVersion(annex->connection, &version);
	snprintf(text, sizeof(text), "%lu.%lu.%lu answers", version / 1000000,
		version / 1000 % 1000, version % 1000);
	tell(r, "libvirt", GOOD, text);
}

static void look_at_kvm(struct report *r)
{
	const char *missing = kvm_missing_nested();
	char text[200];

	snprintf(text, sizeof(text), "%s%s", missing ? missing : "nests; use <domain type='kvm'>",
		missing ? ": guests run with type='qemu', which is slow" : "");
	tell(r, "kvm", missing ? NOTE : GOOD, text);
}

static void look_at_bridge(struct report *r)
{
	char *path = files_path("/sys/class/net/%.15s/mtu", bridge), *data, text[200];
	size_t length;

	if (files_read(path, 64, &data, &length)) {
		error_clear();
		snprintf(text, sizeof(text),
			"there is no %.15s: ip link add %.15s type bridge; ip link set %.15s mtu "
			"9000 up",
			bridge, bridge, bridge);
		tell(r, "bridge", BAD, text);
	} else {
		unsigned long mtu = strtoul(data, NULL, 10);

		snprintf(text, sizeof(text), "%.15s has MTU %lu%s", bridge, mtu,
			mtu < 4200 ? "; with 4200 or more a page travels in one packet" : "");
		tell(r, "bridge", mtu < 4200 ? NOTE : GOOD, text);
		free(data);
	}
	free(path);
}

static void look_at_appliance(struct report *r)
{
	struct appliance_parts parts;

	if (appliance_find(&parts, NULL, NULL, NULL)) {
		tell(r, "appliance", NOTE, error_text());
		error_clear();
		return;
	}
	tell(r, "appliance", GOOD, parts.kernel);
	appliance_free(&parts);
}

static void look_at_state(struct annex *annex, struct report *r)
{
	if (access(annex->state, W_OK) == 0 || files_directory(annex->state) == 0) {
		tell(r, "state", GOOD, annex->state);
	} else {
		tell(r, "state", BAD, error_text());
		error_clear();
	}
}

static void look_at_servers(struct annex *annex, struct report *r)
{
	struct registry registry;

	if (registry_load(&registry, annex->state)) {
		tell(r, "servers", BAD, error_text());
		error_clear();
		return;
	}
	if (!registry.count)
		tell(r, "servers", NOTE,
			"none is known: annex server provision or annex server add");
	for (size_t i = 0; i < registry.count; i++) {
		char text[96];
		json_t *status;
		const char *state = server_state(annex, &registry.server[i], &status);

		snprintf(text, sizeof(text), "%s: %s", registry.server[i].name, state);
		tell(r, "server", status ? GOOD : NOTE, text);
		json_decref(status);
	}
	registry_free(&registry);
}

static int run(struct annex *annex, int count, char **arguments)
{
	struct report r = {output_table_new(3), json_array(), 0};

	look_at_libvirt(annex, &r);
	look_at_kvm(&r);
	look_at_bridge(&r);
	look_at_appliance(&r);
	look_at_state(annex, &r);
	look_at_servers(annex, &r);
	if (!output_answer(
		    annex, json_pack("{s:o,s:i}", "checks", r.json, "failed", (int)r.failed)))
		output_table_end(r.table);
	if (!r.failed)
		return 0;
	/* The table is the answer; with --json nothing may follow it. */
	if (annex->json)
		exit(ERROR_FAILED);
	return error_set(
		ERROR_FAILED, "%u of the checks failed; each line says what to do", r.failed);
}

const struct command cmd_doctor = {
	.name = "doctor",
	.arguments = "",
	.summary = "Look at what this machine lacks for guests and memory servers",
	.options = options,
	.run = run,
};
