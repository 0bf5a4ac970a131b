/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <fts.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "toolstack/error.h"
#include "toolstack/files.h"
#include "toolstack/modules.h"

#define MODULE_LIMIT (64u << 20)
#define DEPTH_MAX    32

static void normalise(char *name)
{
	for (; *name; name++)
		if (*name == '-')
			*name = '_';
}

/* "kernel/net/8021q-x.ko.xz" is module 8021q_x. */
static bool file_is(const char *file, const char *name)
{
	char stem[256];
	const char *base = strrchr(file, '/'), *end;

	base = base ? base + 1 : file;
	end = strstr(base, ".ko");
	if (!end || (size_t)(end - base) >= sizeof(stem) || (end[3] && end[3] != '.'))
		return false;
	memcpy(stem, base, (size_t)(end - base));
	stem[end - base] = '\0';
	normalise(stem);
	return !strcmp(stem, name);
}

/* malloc()ed path of the module's file, or NULL. */
static char *find_file(const char *tree, const char *name)
{
	char *roots[] = {(char *)tree, NULL}, *found = NULL;
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	while (walk && !found && (entry = fts_read(walk))) {
		if (entry->fts_info == FTS_F && file_is(entry->fts_name, name))
			found = error_memory(strdup(entry->fts_path));
	}
	if (walk)
		fts_close(walk);
	return found;
}

static bool built_in(const char *tree, const char *name)
{
	char *path = files_path("%s/modules.builtin", tree), *data, *next;
	bool found = false;
	size_t length;

	if (files_read(path, MODULE_LIMIT, &data, &length)) {
		error_clear();
		free(path);
		return false;
	}
	for (char *line = data; line && !found; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		found = file_is(line, name);
	}
	free(data);
	free(path);
	return found;
}

bool modules_has(const char *tree, const char *name)
{
	char *path = find_file(tree, name);
	bool found = path || built_in(tree, name);

	free(path);
	return found;
}

static bool unpack_xz(const char *in, size_t length, char **out, size_t *size)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	size_t room = 1u << 20;
	char *data = NULL;
	lzma_ret ret;

	if (lzma_stream_decoder(&stream, 256u << 20, LZMA_CONCATENATED) != LZMA_OK)
		return false;
	stream.next_in = (const uint8_t *)in;
	stream.avail_in = length;
	do {
		room *= 2;
		data = error_memory(realloc(data, room));
		stream.next_out = (uint8_t *)data + stream.total_out;
		stream.avail_out = room - stream.total_out;
		ret = lzma_code(&stream, LZMA_FINISH);
	} while (ret == LZMA_OK && room < MODULE_LIMIT);
	*size = stream.total_out;
	lzma_end(&stream);
	if (ret != LZMA_STREAM_END) {
		free(data);
		return false;
	}
	*out = data;
	return true;
}

static bool unpack_gz(const char *path, char **out, size_t *size)
{
	gzFile in = gzopen(path, "rb");
	char *data = in ? error_memory(malloc(MODULE_LIMIT)) : NULL;
	int n = in ? gzread(in, data, MODULE_LIMIT) : -1;

	/* Closing tells whether the file ended inside the stream. */
	if ((in && gzclose(in) != Z_OK) || n <= 0) {
		free(data);
		return false;
	}
	*out = error_memory(realloc(data, (size_t)n));
	*size = (size_t)n;
	return true;
}

static int load(const char *path, char **data, size_t *length)
{
	const char *suffix = strrchr(path, '.');
	char *packed;
	size_t size;
	bool good;
	int code;

	if (!strcmp(suffix, ".zst"))
		return error_set(ERROR_REFUSED,
			"%s is packed with zstd, which annex does not unpack. Unpack the modules, "
			"or "
			"name another tree with --modules",
			path);
	code = files_read(path, MODULE_LIMIT, &packed, &size);
	if (code)
		return code;
	if (!strcmp(suffix, ".ko")) {
		*data = packed;
		*length = size;
		return 0;
	}
	good = !strcmp(suffix, ".xz") ? unpack_xz(packed, size, data, length)
				      : unpack_gz(path, data, length);
	free(packed);
	return good ? 0 : error_set(ERROR_FAILED, "%s cannot be unpacked", path);
}

static const char *search(const char *section, size_t size, const char *key)
{
	size_t n = strlen(key);

	while (size) {
		size_t used = strnlen(section, size);

		if (used == size)
			return NULL; /* the last string must end inside */
		if (used > n && !strncmp(section, key, n) && section[n] == '=')
			return section + n + 1;
		if (used == n + 1 && !strncmp(section, key, n) && section[n] == '=')
			return section + n + 1;
		section += used + 1;
		size -= used + 1;
	}
	return NULL;
}

const char *modules_info(const char *data, size_t length, const char *key)
{
	Elf64_Ehdr header;
	Elf64_Shdr names, section;

	if (!data || length < sizeof(header))
		return NULL;
	memcpy(&header, data, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
		header.e_shentsize != sizeof(section) || header.e_shoff > length ||
		header.e_shnum > (length - header.e_shoff) / sizeof(section) ||
		header.e_shstrndx >= header.e_shnum)
		return NULL;
	memcpy(&names, data + header.e_shoff + header.e_shstrndx * sizeof(names), sizeof(names));
	if (names.sh_offset > length || names.sh_size > length - names.sh_offset)
		return NULL;
	for (unsigned i = 0; i < header.e_shnum; i++) {
		static const char wanted[] = ".modinfo";

		memcpy(&section, data + header.e_shoff + i * sizeof(section), sizeof(section));
		if (section.sh_name > names.sh_size ||
			names.sh_size - section.sh_name < sizeof(wanted) ||
			memcmp(data + names.sh_offset + section.sh_name, wanted, sizeof(wanted)))
			continue;
		if (section.sh_offset > length || section.sh_size > length - section.sh_offset)
			return NULL;
		return search(data + section.sh_offset, section.sh_size, key);
	}
	return NULL;
}

static bool listed(const struct module_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->module[i].name, name))
			return true;
	return false;
}

static int add(struct module_list *list, const char *tree, const char *name, bool optional,
	unsigned depth);

static int add_dependencies(struct module_list *list, const char *tree, const char *names,
	bool optional, unsigned depth)
{
	int code = 0;

	while (names && *names && !code) {
		size_t n = strcspn(names, ",");
		char *one = error_memory(strndup(names, n));

		code = add(list, tree, one, optional, depth + 1);
		free(one);
		names += n + (names[n] == ',');
	}
	return code;
}

static int add(struct module_list *list, const char *tree, const char *given, bool optional,
	unsigned depth)
{
	char *name = error_memory(strdup(given)), *path = NULL, *data = NULL;
	size_t length = 0;
	int code = 0;

	normalise(name);
	if (depth > DEPTH_MAX)
		code = error_set(
			ERROR_FAILED, "the modules in %s depend on each other in a circle", tree);
	else if (listed(list, name) || built_in(tree, name))
		goto out;
	else
		path = find_file(tree, name);
	if (!code && !path && !optional)
		code = error_set(ERROR_NOT_FOUND,
			"no module %s in %s. Take a kernel that has it, such as Debian's "
			"linux-image-amd64",
			name, tree);
	if (code || !path)
		goto out;
	code = load(path, &data, &length);
	if (!code)
		code = add_dependencies(
			list, tree, modules_info(data, length, "depends"), optional, depth);
	if (!code && !listed(list, name)) {
		list->module = error_memory(
			realloc(list->module, (list->count + 1) * sizeof(*list->module)));
		list->module[list->count++] = (struct module){name, data, length, optional};
		name = data = NULL;
	}
out:
	free(data);
	free(path);
	free(name);
	return code;
}

int modules_add(struct module_list *list, const char *tree, const char *name, bool optional)
{
	return add(list, tree, name, optional, 0);
}

void modules_free(struct module_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->module[i].name);
		free(list->module[i].data);
	}
	free(list->module);
	*list = (struct module_list){0};
}
