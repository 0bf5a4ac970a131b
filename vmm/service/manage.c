/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "lib/text.h"
#include "service/emit.h"
#include "service/manage.h"

#define PREFIX "annex/"
#define WORD   24u /* bytes of an argument, tell's apart */

void manage_init(struct manage *m, manage_answer *answer, void *context,
	size_t (*write)(const char *text, size_t length))
{
	memset(m, 0, sizeof(*m));
	m->answer = answer;
	m->context = context;
	m->write = write;
}

/* The next word of *at into word[size]; false when there is none or it is too long. */
static bool take_word(const char **at, char *word, size_t size)
{
	size_t n = 0;

	while (**at == ' ')
		(*at)++;
	for (; **at && **at != ' '; (*at)++, n++) {
		if (n + 1 >= size)
			return false;
		word[n] = **at;
	}
	word[n] = 0;
	return n > 0;
}

static bool id_valid(const char *id)
{
	for (; *id; id++)
		if (!((*id >= '0' && *id <= '9') || (*id >= 'a' && *id <= 'z') ||
			    (*id >= 'A' && *id <= 'Z')))
			return false;
	return true;
}

/* NULL, or what is wrong. */
static const char *take_argument(const char *at, struct manage_request *request)
{
	while (*at == ' ')
		at++;
	if (strcmp(request->command, "tell") == 0) {
		if (strlen(at) >= sizeof(request->argument))
			return "text too long: 192 bytes at most";
		memcpy(request->argument, at, strlen(at));
		return NULL;
	}
	if (*at && !take_word(&at, request->argument, WORD))
		return "argument too long";
	while (*at == ' ')
		at++;
	return *at ? "too many arguments" : NULL;
}

/*
 * False: the line cannot be answered, because it is not a request (noise, our own echo) or has no
 * good id. *error: it is answered by that.
 */
static bool parse(const char *line, struct manage_request *request, const char **error)
{
	const char *at = line + sizeof(PREFIX) - 1;
	char version[8];
	uint64_t number;

	memset(request, 0, sizeof(*request));
	*error = NULL;
	if (strncmp(line, PREFIX, sizeof(PREFIX) - 1) != 0 || *at == ' ')
		return false;
	if (!take_word(&at, version, sizeof(version)) || !text_number(version, 10, &number))
		return false;
	if (!take_word(&at, request->id, sizeof(request->id)) || !id_valid(request->id))
		return false;
	if (number != MANAGE_VERSION) {
		*error = "this VMM speaks annex/1";
		return true;
	}
	if (!take_word(&at, request->command, sizeof(request->command))) {
		*error = MANAGE_NO_COMMAND;
		return true;
	}
	*error = take_argument(at, request);
	return true;
}

static void take_line(struct manage *m)
{
	struct manage_request request;
	const char *error;

	m->line[m->length] = 0;
	if (m->length && m->line[m->length - 1] == '\r')
		m->line[--m->length] = 0;
	if (m->overlong || strlen(m->line) != m->length || !parse(m->line, &request, &error)) {
		m->dropped += m->overlong || m->length;
	} else {
		m->dropped += m->waiting;
		m->next = request;
		m->next_error = error;
		m->waiting = true;
		m->requests++;
	}
	m->length = 0;
	m->overlong = false;
}

void manage_byte(struct manage *m, char c)
{
	if (c == '\n')
		take_line(m);
	else if (m->length < MANAGE_REQUEST_MAX)
		m->line[m->length++] = c;
	else
		m->overlong = true;
}

static void begin_answer(struct manage *m, struct emit *e, bool ok)
{
	emit_init(e, m->text, sizeof(m->text) - 1); /* the newline's place */
	emit_open(e, NULL, '{');
	emit_number(e, "annex", MANAGE_VERSION);
	emit_string(e, "id", m->next.id);
	emit_bool(e, "ok", ok);
}

static void build(struct manage *m)
{
	const char *error = m->next_error;
	struct emit e;

	if (!error) {
		begin_answer(m, &e, true);
		emit_open(&e, "result", '{');
		error = m->answer(m->context, &e, &m->next);
		emit_close(&e, '}');
		emit_close(&e, '}');
		if (!error && e.full)
			error = "the answer is too long";
	}
	if (error) {
		begin_answer(m, &e, false);
		emit_string(&e, "error", error);
		emit_close(&e, '}');
	}
	m->text[e.length] = '\n';
	m->text_length = e.length + 1;
	m->sent = 0;
}

bool manage_busy(const struct manage *m)
{
	return m->waiting || m->sent < m->text_length;
}

bool manage_turn(struct manage *m)
{
	if (m->sent < m->text_length) {
		m->sent += m->write(m->text + m->sent, m->text_length - m->sent);
	} else if (m->waiting) {
		m->waiting = false;
		build(m);
	}
	return manage_busy(m);
}
