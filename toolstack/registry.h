/* SPDX-License-Identifier: MIT */
/* The memory servers that annex knows: servers.json in the state directory. */
#ifndef ANNEX_REGISTRY_H
#define ANNEX_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/config.h"

#define REGISTRY_SSH_MAX 128

struct registry_server {
	char name[CONFIG_NAME_MAX];
	uint32_t address; /* host order */
	uint16_t port; /* of the connection manager */
	uint16_t http; /* of the status page */
	bool provisioned; /* made by annex: a libvirt domain */
	uint64_t pool; /* bytes, 0: not known */
	char ssh[REGISTRY_SSH_MAX]; /* [user@]host that ssh knows, "": none */
};

struct registry {
	struct registry_server *server;
	size_t count;
};

/* Reads it; no file is an empty registry. Returns 0 or an error_code. */
int registry_load(struct registry *registry, const char *state);
void registry_free(struct registry *registry);

/* Under the state directory's lock: reads the registry, and keeps the lock until registry_save(). */
int registry_lock(struct registry *registry, const char *state);
/* Writes it and gives the lock up. */
int registry_save(struct registry *registry, const char *state);
/* Gives the lock up without writing. */
void registry_unlock(void);

struct registry_server *registry_find(const struct registry *registry, const char *name);
/* The server that has the address, or NULL. */
struct registry_server *registry_at(const struct registry *registry, uint32_t address);

/* As registry_find(), recording ERROR_NOT_FOUND with the names that there are. */
struct registry_server *registry_get(const struct registry *registry, const char *name);

void registry_put(struct registry *registry, const struct registry_server *server);
void registry_drop(struct registry *registry, const char *name);

/* A destination for ssh: [user@]host, nothing that ssh would take for an option. */
bool registry_ssh_ok(const char *ssh);

/* 1..31 of letters, digits, '-', '_' and '.', the first a letter or digit. */
bool registry_name_ok(const char *name);

#endif
