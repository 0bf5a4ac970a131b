/* SPDX-License-Identifier: MIT */
/*
 * The VMM's log: a ring of numbered lines; until hand-off each line also goes to the console.
 * Any CPU may write (the ring is the one place with a lock, never taken by the engine's fast path:
 * nothing logs per page). On the host build tests/ provides the same functions.
 */
#ifndef ANNEX_LOG_H
#define ANNEX_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_ERROR, /* something the operator must act on */
	LOG_WARNING, /* goes on, but not as configured */
	LOG_INFO, /* once per boot or per change of state */
	LOG_DEBUG,
};

#define LOG_LINES 256u /* kept */
#define LOG_WIDTH 160u /* bytes of a line, its NUL included; longer ones are cut */

/* Lines above this level are dropped. LOG_INFO until set. */
void log_level(enum log_level level);

/* Number of the next line to be written; the oldest kept is at most LOG_LINES before it. */
uint64_t log_next(void);

/*
 * Copies line `number` ("SECONDS LEVEL text", printable) to buffer; returns its length, or 0 if it is
 * not kept any more or not yet written.
 */
size_t log_line(uint64_t number, char *buffer, size_t size);

/* After every other CPU has been stopped, perhaps in the middle of a line: nobody holds the lock. */
void log_take_over(void);

/* One line, without the newline. Formats are those of text_format(). */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)

#endif
