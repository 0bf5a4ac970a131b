/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "guest-agent/ranges.h"
#include "guest-agent/selector.h"
#include "toolstack/size.h"

static const struct {
	const char *name;
	enum selector_key key;
} keys[] = {
	{"unit", SELECTOR_UNIT},
	{"cgroup", SELECTOR_CGROUP},
	{"comm", SELECTOR_COMM},
	{"exe", SELECTOR_EXE},
	{"user", SELECTOR_USER},
	{"pid", SELECTOR_PID},
	{"address", SELECTOR_ADDRESS},
	{"length", SELECTOR_LENGTH},
	{"file", SELECTOR_FILE},
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static int wrong(char error[SELECTOR_ERROR], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(char error[SELECTOR_ERROR], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, SELECTOR_ERROR, format, arguments);
	va_end(arguments);
	return -1;
}

void selector_init(struct selector *s)
{
	memset(s, 0, sizeof(*s));
	s->length = UINT64_MAX;
}

static int take_text(
	char *out, size_t size, const char *name, const char *value, bool path, char *error)
{
	size_t length = strlen(value);

	if (length >= size)
		return wrong(error, "%s: at most %zu characters", name, size - 1);
	if (path && value[0] != '/')
		return wrong(error, "%s=%.80s: an absolute path is needed", name, value);
	memcpy(out, value, length + 1);
	return 0;
}

static int take_user(struct selector *s, const char *value, char *error)
{
	uint64_t number;
	const struct passwd *entry;

	if (size_number(value, 0, UINT32_MAX - 1, &number)) {
		s->user = (uid_t)number;
		return 0;
	}
	entry = getpwnam(value);
	if (!entry)
		return wrong(error, "user=%.80s: there is no such user", value);
	s->user = entry->pw_uid;
	return 0;
}

static int take_number(
	uint64_t *out, uint64_t most, const char *name, const char *value, char *error)
{
	char *end;

	errno = 0;
	*out = strtoull(value, &end, 0);
	if (value[0] < '0' || value[0] > '9' || *end || errno || !*out || *out > most)
		return wrong(error, "%s=%.80s: a number is needed", name, value);
	return 0;
}

static int take_cgroup(struct selector *s, const char *value, char *error)
{
	size_t length;

	if (take_text(s->cgroup, sizeof(s->cgroup), "cgroup", value, true, error) != 0)
		return -1;
	for (length = strlen(s->cgroup); length > 1 && s->cgroup[length - 1] == '/'; length--)
		s->cgroup[length - 1] = '\0';
	return 0;
}

static int take_unit(struct selector *s, const char *value, char *error)
{
	if (strchr(value, '/') || !strchr(value, '.'))
		return wrong(error, "unit=%.80s: a unit's full name is needed, as in redis.service",
			value);
	return take_text(s->unit, sizeof(s->unit), "unit", value, false, error);
}

static int take(struct selector *s, unsigned i, const char *value, char *error)
{
	const char *name = keys[i].name;
	uint64_t number;

	switch (keys[i].key) {
	case SELECTOR_UNIT:
		return take_unit(s, value, error);
	case SELECTOR_CGROUP:
		return take_cgroup(s, value, error);
	case SELECTOR_COMM:
		return take_text(s->comm, sizeof(s->comm), name, value, false, error);
	case SELECTOR_EXE:
	case SELECTOR_FILE:
		return take_text(s->path, sizeof(s->path), name, value, true, error);
	case SELECTOR_USER:
		return take_user(s, value, error);
	case SELECTOR_PID:
		if (take_number(&number, 1u << 22, name, value, error) != 0)
			return -1;
		s->pid = (pid_t)number;
		return 0;
	case SELECTOR_ADDRESS:
		return take_number(&s->address, 1ull << 56, name, value, error);
	case SELECTOR_LENGTH:
		if (!size_parse(value, &s->length) || !s->length || s->length > 1ull << 56)
			return wrong(error, "length=%.80s: a size is needed, as in 2M", value);
		return 0;
	}
	return 1;
}

int selector_word(struct selector *s, const char *word, char error[SELECTOR_ERROR])
{
	const char *value = strchr(word, '=');
	int result;

	if (!value)
		return 1;
	for (unsigned i = 0; i < KEYS; i++) {
		if (strlen(keys[i].name) != (size_t)(value - word) ||
			strncmp(keys[i].name, word, (size_t)(value - word)) != 0)
			continue;
		if (s->keys & keys[i].key)
			return wrong(error, "%s= is there twice", keys[i].name);
		if (!value[1])
			return wrong(error, "%s= needs a value", keys[i].name);
		result = take(s, i, value + 1, error);
		s->keys |= keys[i].key;
		return result;
	}
	return 1;
}

int selector_finish(struct selector *s, char error[SELECTOR_ERROR])
{
	const unsigned part = SELECTOR_ADDRESS | SELECTOR_LENGTH;

	if (!s->keys)
		return wrong(
			error, "whose memory? unit=, cgroup=, comm=, exe=, user=, pid= or file=");
	if ((s->keys & SELECTOR_FILE) && s->keys != SELECTOR_FILE)
		return wrong(error, "file= stands alone");
	if ((s->keys & part) && (s->keys & part) != part)
		return wrong(error, "address= and length= go together");
	if ((s->keys & part) && !(s->keys & SELECTOR_PID))
		return wrong(error, "address= and length= need pid=");
	return 0;
}

/* Whether path is that cgroup or below it. */
static bool below(const char *path, const char *cgroup)
{
	size_t length = strlen(cgroup);

	if (strcmp(cgroup, "/") == 0)
		return path[0] == '/';
	return strncmp(path, cgroup, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Whether one of the path's parts is the unit's name. */
static bool has_part(const char *path, const char *unit)
{
	size_t length = strlen(unit);

	for (const char *at = path; (at = strchr(at, '/'));) {
		at++;
		if (strncmp(at, unit, length) == 0 && (at[length] == '/' || at[length] == '\0'))
			return true;
	}
	return false;
}

bool selector_fits(const struct selector *s, const struct process *p)
{
	if (s->keys & SELECTOR_FILE)
		return false;
	if ((s->keys & SELECTOR_UNIT) && !has_part(p->cgroup, s->unit))
		return false;
	if ((s->keys & SELECTOR_CGROUP) && !below(p->cgroup, s->cgroup))
		return false;
	if ((s->keys & SELECTOR_COMM) && strcmp(p->comm, s->comm) != 0)
		return false;
	if ((s->keys & SELECTOR_EXE) && strcmp(p->exe, s->path) != 0)
		return false;
	if ((s->keys & SELECTOR_USER) && p->user != s->user)
		return false;
	if ((s->keys & SELECTOR_PID) && (p->pid != s->pid || (s->start && p->start != s->start)))
		return false;
	return p->state != 'Z' && p->state != 'X';
}

bool selector_equal(const struct selector *a, const struct selector *b)
{
	return a->keys == b->keys && strcmp(a->unit, b->unit) == 0 &&
	       strcmp(a->cgroup, b->cgroup) == 0 && strcmp(a->comm, b->comm) == 0 &&
	       strcmp(a->path, b->path) == 0 && a->user == b->user && a->pid == b->pid &&
	       a->address == b->address && a->length == b->length;
}

static void add(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add(char *out, size_t size, const char *format, ...)
{
	size_t used = strlen(out);
	va_list arguments;

	if (used && used + 2 < size) {
		out[used++] = ' ';
		out[used] = '\0';
	}
	va_start(arguments, format);
	vsnprintf(out + used, size - used, format, arguments);
	va_end(arguments);
}

void selector_text(const struct selector *s, char *out, size_t size)
{
	out[0] = '\0';
	if (s->keys & SELECTOR_UNIT)
		add(out, size, "unit=%s", s->unit);
	if (s->keys & SELECTOR_CGROUP)
		add(out, size, "cgroup=%s", s->cgroup);
	if (s->keys & SELECTOR_COMM)
		add(out, size, "comm=%s", s->comm);
	if (s->keys & SELECTOR_EXE)
		add(out, size, "exe=%s", s->path);
	if (s->keys & SELECTOR_USER)
		add(out, size, "user=%u", (unsigned)s->user);
	if (s->keys & SELECTOR_PID)
		add(out, size, "pid=%d", (int)s->pid);
	if (s->keys & SELECTOR_ADDRESS)
		add(out, size, "address=0x%" PRIx64 " length=%" PRIu64, s->address, s->length);
	if (s->keys & SELECTOR_FILE)
		add(out, size, "file=%s", s->path);
}
