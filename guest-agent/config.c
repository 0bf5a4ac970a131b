/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "guest-agent/config.h"
#include "guest-agent/hints.h"
#include "guest-agent/log.h"
#include "toolstack/size.h"

#define SECOND   1000000000ull
#define SPACE    " \t\r"
#define FILE_MAX (1u << 20)

static int wrong(char error[CONFIG_ERROR], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(char error[CONFIG_ERROR], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, CONFIG_ERROR, format, arguments);
	va_end(arguments);
	return -1;
}

void config_default(struct config *c)
{
	memset(c, 0, sizeof(*c));
	c->refresh_ns = 10 * SECOND;
	c->scan_pages = SIZE_GIB / RANGES_PAGE;
	c->requests = 1024;
	c->applications_pin_pages = 64 * SIZE_MIB / RANGES_PAGE;
	c->user_pin_pages = 16 * SIZE_MIB / RANGES_PAGE;
	c->log = LOG_INFO;
}

static int take_seconds(uint64_t *ns, const char *name, const char *value, char *error)
{
	uint64_t seconds;

	if (!size_number(value, 1, 3600, &seconds))
		return wrong(error, "%s: seconds, 1 to 3600, not '%.60s'", name, value);
	*ns = seconds * SECOND;
	return 0;
}

static int take_size(
	uint64_t *pages, uint64_t least, const char *name, const char *value, char *error)
{
	uint64_t bytes;

	if (!size_parse(value, &bytes) || bytes < least)
		return wrong(error, "%s: a size%s, as in 256M, not '%.60s'", name,
			least > RANGES_PAGE ? " of at least 16M" : "", value);
	*pages = bytes / RANGES_PAGE;
	return 0;
}

static int take_log(int *level, const char *value, char *error)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"info", LOG_INFO},
		{"debug", LOG_DEBUG}};

	for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(value, levels[i].name) == 0) {
			*level = levels[i].level;
			return 0;
		}
	}
	return wrong(error, "log: error, warning, info or debug, not '%.60s'", value);
}

static int take_setting(struct config *c, const char *key, const char *value, char *error)
{
	if (strcmp(key, "refresh") == 0)
		return take_seconds(&c->refresh_ns, key, value, error);
	if (strcmp(key, "scan") == 0)
		return take_size(&c->scan_pages, 16 * SIZE_MIB, key, value, error);
	if (strcmp(key, "applications-pin") == 0)
		return take_size(&c->applications_pin_pages, 0, key, value, error);
	if (strcmp(key, "user-pin") == 0)
		return take_size(&c->user_pin_pages, 0, key, value, error);
	if (strcmp(key, "log") == 0)
		return take_log(&c->log, value, error);
	if (strcmp(key, "requests") == 0) {
		if (size_number(value, 1, DOORBELL_RATE, &c->requests))
			return 0;
		return wrong(
			error, "requests: 1 to %u a second, not '%.60s'", DOORBELL_RATE, value);
	}
	return wrong(error,
		"unknown setting '%.60s': refresh, scan, requests, applications-pin, user-pin or "
		"log",
		key);
}

static int rule_kind(const char *word)
{
	for (unsigned kind = 0; kind < HINT_KINDS; kind++)
		if (kind != HINT_UNPIN && strcmp(word, hints_kind_text(kind)) == 0)
			return (int)kind;
	return -1;
}

/* max=, on=, every=. 0: taken; 1: none of them; -1: wrong. */
static int rule_option(struct config_rule *rule, const char *word, char *error)
{
	if (strncmp(word, "max=", 4) == 0)
		return take_size(&rule->max_pages, RANGES_PAGE, "max", word + 4, error);
	if (strncmp(word, "on=", 3) == 0) {
		if (rule->kind != HINT_PREFETCH || strcmp(word, "on=wake") != 0)
			return wrong(error, "%.60s: only prefetch has on=, and only on=wake", word);
		rule->on_wake = true;
		return 0;
	}
	if (strncmp(word, "every=", 6) == 0) {
		if (rule->kind != HINT_COLD)
			return wrong(error, "every= is for cold only");
		return take_seconds(&rule->every_ns, "every", word + 6, error);
	}
	return 1;
}

static int rule_finish(struct config_rule *rule, char *error)
{
	char why[SELECTOR_ERROR];

	if (selector_finish(&rule->selector, why) != 0)
		return wrong(error, "%s", why);
	if (rule->kind == HINT_PREFETCH && (rule->selector.keys & SELECTOR_FILE))
		return wrong(error, "a file does not wake: prefetch file= is no policy");
	if (rule->kind == HINT_PREFETCH)
		rule->on_wake = true;
	if (rule->kind == HINT_COLD && !rule->every_ns)
		rule->every_ns = 10 * SECOND;
	return 0;
}

int config_rule(struct config_rule *rule, const char *line, char error[CONFIG_ERROR])
{
	char copy[CONFIG_LINE], why[SELECTOR_ERROR], *rest = copy, *word;
	size_t used = 0;
	int kind;

	memset(rule, 0, sizeof(*rule));
	selector_init(&rule->selector);
	rule->max_pages = UINT64_MAX;
	if (strlen(line) >= sizeof(copy))
		return wrong(error, "the line is longer than %u bytes", CONFIG_LINE - 1);
	snprintf(copy, sizeof(copy), "%s", line);
	word = strtok_r(rest, SPACE, &rest);
	kind = word ? rule_kind(word) : -1;
	if (kind < 0)
		return wrong(
			error, "'%.60s' is no policy: pin, prefetch or cold", word ? word : "");
	rule->kind = (unsigned)kind;
	used = (size_t)snprintf(rule->text, sizeof(rule->text), "%s", word);
	while ((word = strtok_r(rest, SPACE, &rest))) {
		int taken = rule_option(rule, word, error);

		if (taken < 0)
			return -1;
		if (taken > 0) {
			taken = selector_word(&rule->selector, word, why);
			if (taken < 0)
				return wrong(error, "%s", why);
		}
		if (taken > 0)
			return wrong(error,
				"'%.60s' is no selector (unit=, cgroup=, comm=, exe=, "
				"user=, pid=, file=) and no option (max=, every=, on=)",
				word);
		/* Never cut: words and single spaces are no longer than the line. */
		used += (size_t)snprintf(rule->text + used, sizeof(rule->text) - used, " %s", word);
	}
	return rule_finish(rule, error);
}

/* One line, its end and its comment taken off. */
static int take_line(struct config *c, char *line, char *error)
{
	char *equals = strchr(line, '='), *key, *value, *rest = line, *space;

	line += strspn(line, SPACE);
	if (!*line)
		return 0;
	space = line + strcspn(line, SPACE "=");
	key = space + strspn(space, SPACE);
	/* A setting is a word and an equals sign, a policy a word and another one. */
	if (!equals || key != equals) {
		if (c->rule_count == CONFIG_RULES)
			return wrong(error, "more than %u policies", CONFIG_RULES);
		if (config_rule(&c->rule[c->rule_count], line, error) != 0)
			return -1;
		c->rule_count++;
		return 0;
	}
	*space = '\0';
	key = line;
	value = strtok_r(equals + 1, SPACE, &rest);
	if (!value || strtok_r(rest, SPACE, &rest))
		return wrong(error, "%.60s: one value is needed", key);
	return take_setting(c, key, value, error);
}

int config_parse(struct config *c, const char *name, const char *text, char error[CONFIG_ERROR])
{
	char why[CONFIG_ERROR];
	unsigned number = 1;

	config_default(c);
	for (const char *at = text; *at; number++) {
		size_t length = strcspn(at, "\n"), used = strcspn(at, "#\n");
		char line[CONFIG_LINE];

		if (used >= sizeof(line))
			return wrong(error, "%.80s:%u: the line is longer than %u bytes", name,
				number, CONFIG_LINE - 1);
		memcpy(line, at, used);
		line[used] = '\0';
		if (take_line(c, line, why) != 0)
			return wrong(error, "%.80s:%u: %.160s", name, number, why);
		at += length + (at[length] == '\n');
	}
	return 0;
}

int config_read(struct config *c, const char *path, char error[CONFIG_ERROR])
{
	FILE *f = fopen(path, "re");
	char *text;
	size_t length;
	int result;

	if (!f)
		return wrong(error, "%.80s: %s", path, strerror(errno));
	text = malloc(FILE_MAX + 1);
	if (!text)
		log_no_memory();
	length = fread(text, 1, FILE_MAX + 1, f);
	if (ferror(f))
		result = wrong(error, "%.80s: %s", path, strerror(errno));
	else if (length > FILE_MAX)
		result = wrong(error, "%.80s: larger than %u bytes", path, FILE_MAX);
	else if (memchr(text, '\0', length))
		result = wrong(error, "%.80s: no text", path);
	else {
		text[length] = '\0';
		result = config_parse(c, path, text, error);
	}
	fclose(f);
	free(text);
	return result;
}
