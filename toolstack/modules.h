/* SPDX-License-Identifier: MIT */
/* Kernel modules: finds them in a tree, and puts what a set needs in the order of loading. */
#ifndef ANNEX_MODULES_H
#define ANNEX_MODULES_H

#include <stdbool.h>
#include <stddef.h>

struct module {
	char *name; /* with '_' */
	char *data; /* the unpacked .ko */
	size_t length;
	bool optional; /* may fail to load */
};

struct module_list {
	struct module *module;
	size_t count;
};

/*
 * Appends `name` and everything it depends on, dependencies first, skipping what is built into the
 * kernel or already in the list. `tree` is a lib/modules/VERSION. A missing optional one is no error.
 */
int modules_add(struct module_list *list, const char *tree, const char *name, bool optional);
void modules_free(struct module_list *list);

/* True when the tree has the module, as a file or built in. */
bool modules_has(const char *tree, const char *name);

/*
 * The value of "key=" in a module's .modinfo section, NUL-terminated inside data, or NULL. Hostile
 * files are fine. Public for the tests.
 */
const char *modules_info(const char *data, size_t length, const char *key);

#endif
