/* SPDX-License-Identifier: MIT */
/*
 * The one error of a run. A function that fails calls error_set() and returns its code, which
 * becomes the exit code of the program; main prints the text. The text says what is wrong and then
 * what to do about it.
 */
#ifndef ANNEX_ERROR_H
#define ANNEX_ERROR_H

/* Exit codes; documented in annex(1). */
enum error_code {
	ERROR_NONE = 0,
	ERROR_FAILED = 1, /* something did not work */
	ERROR_USAGE = 2, /* the command line */
	ERROR_NOT_FOUND = 3, /* no such guest, server, file */
	ERROR_LIBVIRT = 4, /* libvirt cannot be reached */
	ERROR_SILENT = 5, /* the VMM does not answer */
	ERROR_REFUSED = 6, /* the input is understood, but Annex cannot do it */
};

/* Records the error (a later one replaces it) and returns code. */
int error_set(enum error_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The recorded error; "" and ERROR_NONE when there is none. */
const char *error_text(void);
enum error_code error_code(void);
void error_clear(void);

/* "failed", "usage", ...: the code's name in JSON. */
const char *error_name(enum error_code code);

/* Ends the program: memory is used up. Never returns NULL otherwise. */
void *error_memory(void *pointer);

#endif
