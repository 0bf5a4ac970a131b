/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "toolstack/annex.h"
#include "toolstack/files.h"
#include "toolstack/registry.h"
#include "toolstack/size.h"

#define REGISTRY_LIMIT (1u << 20)

static int lock_fd = -1;

bool registry_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= CONFIG_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
			return false;
	return true;
}

bool registry_ssh_ok(const char *ssh)
{
	size_t n = strlen(ssh);

	if (n == 0 || n >= REGISTRY_SSH_MAX || ssh[0] == '-')
		return false;
	for (; *ssh; ssh++)
		if (!isalnum((unsigned char)*ssh) && !strchr("-_.@", *ssh))
			return false;
	return true;
}

static bool parse_server(json_t *value, struct registry_server *server)
{
	const char *name, *address, *ssh = "";
	json_int_t port, http = ANNEX_HTTP_PORT, pool = 0;
	int provisioned = 0;

	memset(server, 0, sizeof(*server));
	if (json_unpack(value, "{s:s,s:s,s:I,s?I,s?I,s?b,s?s}", "name", &name, "address", &address,
		    "port", &port, "http", &http, "pool", &pool, "provisioned", &provisioned, "ssh",
		    &ssh))
		return false;
	if (!registry_name_ok(name) || !size_ipv4(address, &server->address))
		return false;
	if (port < 1 || port > 65535 || http < 0 || http > 65535 || pool < 0)
		return false;
	if (*ssh && !registry_ssh_ok(ssh))
		return false;
	snprintf(server->name, sizeof(server->name), "%s", name);
	snprintf(server->ssh, sizeof(server->ssh), "%s", ssh);
	server->port = (uint16_t)port;
	server->http = (uint16_t)http;
	server->pool = (uint64_t)pool;
	server->provisioned = provisioned;
	return true;
}

static int parse(struct registry *registry, const char *path, const char *data, size_t length)
{
	json_error_t problem;
	json_t *root = json_loadb(data, length, JSON_REJECT_DUPLICATES, &problem), *value;
	size_t i;
	int code = 0;

	if (!root)
		return error_set(ERROR_FAILED,
			"%s line %d: %s. Mend it, or remove it and add the "
			"servers again",
			path, problem.line, problem.text);
	if (json_integer_value(json_object_get(root, "annex")) != 1)
		code = error_set(ERROR_FAILED,
			"%s is of another version of annex (or is no list of servers)", path);
	json_array_foreach(json_object_get(root, "servers"), i, value)
	{
		struct registry_server server;

		if (code)
			break;
		if (!parse_server(value, &server))
			code = error_set(ERROR_FAILED,
				"%s: server %zu is malformed. Mend it, or remove it and add the "
				"servers again",
				path, i + 1);
		else
			registry_put(registry, &server);
	}
	json_decref(root);
	return code;
}

int registry_load(struct registry *registry, const char *state)
{
	char *path = files_path("%s/servers.json", state), *data;
	size_t length;
	int code;

	*registry = (struct registry){0};
	code = files_read(path, REGISTRY_LIMIT, &data, &length);
	if (code == ERROR_NOT_FOUND) {
		error_clear();
		code = 0;
	} else if (!code) {
		code = parse(registry, path, data, length);
		free(data);
	}
	if (code)
		registry_free(registry);
	free(path);
	return code;
}

void registry_free(struct registry *registry)
{
	free(registry->server);
	*registry = (struct registry){0};
}

int registry_lock(struct registry *registry, const char *state)
{
	char *path = files_path("%s/servers.lock", state);
	int code = files_directory(state);

	if (!code) {
		lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (lock_fd < 0 || flock(lock_fd, LOCK_EX))
			code = error_set(ERROR_FAILED, "cannot lock %s: %m", path);
	}
	free(path);
	if (!code)
		code = registry_load(registry, state);
	if (code)
		registry_unlock();
	return code;
}

void registry_unlock(void)
{
	if (lock_fd >= 0)
		close(lock_fd);
	lock_fd = -1;
}

int registry_save(struct registry *registry, const char *state)
{
	char *path = files_path("%s/servers.json", state), *text;
	char address[SIZE_TEXT_MAX];
	json_t *servers = json_array(), *root;
	int code;

	for (size_t i = 0; i < registry->count; i++) {
		const struct registry_server *s = &registry->server[i];

		json_array_append_new(servers,
			json_pack("{s:s,s:s,s:i,s:i,s:I,s:b,s:s*}", "name", s->name, "address",
				size_ipv4_text(s->address, address), "port", (int)s->port, "http",
				(int)s->http, "pool", (json_int_t)s->pool, "provisioned",
				(int)s->provisioned, "ssh", s->ssh[0] ? s->ssh : NULL));
	}
	root = json_pack("{s:i,s:o}", "annex", 1, "servers", servers);
	text = error_memory(json_dumps(root, JSON_INDENT(2)));
	code = files_write(path, text, strlen(text), 0644);
	free(text);
	json_decref(root);
	free(path);
	registry_unlock();
	return code;
}

struct registry_server *registry_find(const struct registry *registry, const char *name)
{
	for (size_t i = 0; i < registry->count; i++)
		if (!strcmp(registry->server[i].name, name))
			return &registry->server[i];
	return NULL;
}

struct registry_server *registry_at(const struct registry *registry, uint32_t address)
{
	for (size_t i = 0; i < registry->count; i++)
		if (registry->server[i].address == address)
			return &registry->server[i];
	return NULL;
}

struct registry_server *registry_get(const struct registry *registry, const char *name)
{
	struct registry_server *server = registry_find(registry, name);
	char names[256] = "";
	size_t used = 0;

	if (server)
		return server;
	for (size_t i = 0; i < registry->count && used < sizeof(names) - 64; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
			registry->server[i].name);
	if (registry->count)
		error_set(ERROR_NOT_FOUND,
			"no memory server '%s'. Known: %s. Others are added by annex server add or "
			"made by annex server provision",
			name, names);
	else
		error_set(ERROR_NOT_FOUND,
			"no memory server '%s', and none is known. Add one by annex server add "
			"NAME "
			"ADDRESS or make one by annex server provision NAME",
			name);
	return NULL;
}

void registry_put(struct registry *registry, const struct registry_server *server)
{
	struct registry_server *old = registry_find(registry, server->name);

	if (!old) {
		registry->server = error_memory(realloc(
			registry->server, (registry->count + 1) * sizeof(*registry->server)));
		old = &registry->server[registry->count++];
	}
	*old = *server;
}

void registry_drop(struct registry *registry, const char *name)
{
	struct registry_server *server = registry_find(registry, name);
	struct registry_server *end = registry->server + registry->count;

	if (!server)
		return;
	memmove(server, server + 1, (size_t)(end - server - 1) * sizeof(*server));
	registry->count--;
}
