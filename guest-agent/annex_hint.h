/* SPDX-License-Identifier: MIT */
/*
 * Hints of an application about its own memory, to annex-agent: which of it should stay in local memory,
 * be brought there, or may leave first. A hint costs or saves time and never changes content. Needs no
 * root. See annex_hint(3); link with -lannex-hint.
 *
 * The functions return 0, or -1 with errno:
 *   ENOENT, ECONNREFUSED  no annex-agent here: go on without
 *   EPERM                 refused by policy, or not the caller's memory: annex_hint_reason() says why
 *   ENOSPC                over the limit of pins
 *   EINVAL                the range is empty, too long or not in the address space
 *   ESRCH                 the process has ended
 *   EAGAIN, ETIMEDOUT,    too many hints or connections, or the agent is busy: later, or never mind
 *   ECONNRESET
 *   EPROTO                the agent speaks another version
 * They may be called by any thread, also after fork(); each opens a connection of its own and waits at
 * most ANNEX_HINT_WAIT_MS for each ANNEX_HINT_MAX bytes.
 */
#ifndef ANNEX_HINT_H
#define ANNEX_HINT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ANNEX_HINT_SOCKET   "/run/annex/hint.sock"
#define ANNEX_HINT_MAX      (1ull << 30) /* bytes of one request; the library splits longer ranges */
#define ANNEX_HINT_WAIT_MS  2000
#define ANNEX_HINT_TEXT_MAX 4096 /* bytes of an answer's text, with its end */

/* Pages that the range touches; address and length need no alignment. */
int annex_hint_pin(const void *address, size_t length); /* filled, and kept until unpin or exit */
int annex_hint_unpin(const void *address, size_t length);
int annex_hint_prefetch(const void *address, size_t length); /* filled in the background */
int annex_hint_cold(
	const void *address, size_t length); /* leaves before others, unless used again */

/*
 * The same for another process with the caller's user and group, which the caller could trace. pid 0 is
 * the caller; kind: see below.
 */
int annex_hint_process(int kind, pid_t pid, uint64_t address, uint64_t length);

/* Why the last call of this thread failed: one line; "" if it did not. Valid until the next call. */
const char *annex_hint_reason(void);

/*
 * The protocol: SOCK_SEQPACKET on ANNEX_HINT_SOCKET. Each packet is one request, its answer one packet;
 * native byte order, no padding. A packet of another length, magic or version ends the connection, after
 * an answer that tells the agent's version. So does a request with a file descriptor.
 */
#define ANNEX_HINT_MAGIC   0x544e4941u /* "AINT" */
#define ANNEX_HINT_VERSION 1u

enum annex_hint_kind {
	ANNEX_HINT_PIN = 1,
	ANNEX_HINT_UNPIN,
	ANNEX_HINT_PREFETCH,
	ANNEX_HINT_COLD,
	ANNEX_HINT_STATUS, /* root only: the answer's text is the daemon's state as JSON */
	ANNEX_HINT_KINDS,
};

enum annex_hint_result {
	ANNEX_HINT_OK,
	ANNEX_HINT_BAD_VERSION,
	ANNEX_HINT_BAD_REQUEST, /* kind, range, a field that must be 0 */
	ANNEX_HINT_NOT_YOURS, /* another user's process, or one that may not be traced */
	ANNEX_HINT_REFUSED, /* by policy */
	ANNEX_HINT_OVER_LIMIT, /* used and limit say how much */
	ANNEX_HINT_BUSY,
	ANNEX_HINT_GONE, /* no such process */
	ANNEX_HINT_RESULTS,
};

struct annex_hint_request {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	uint32_t pid; /* 0: the process that has connected */
	uint32_t zero;
	uint64_t address;
	uint64_t length; /* 1..ANNEX_HINT_MAX; 0 with STATUS */
};

struct annex_hint_answer {
	uint32_t magic;
	uint16_t version; /* the agent's */
	uint16_t result;
	uint32_t text_length; /* of the text that follows, without an end */
	uint32_t pages; /* far pages that the hint was passed on for */
	uint64_t used; /* PIN: bytes pinned for applications, and how many may be */
	uint64_t limit;
};

#ifdef __cplusplus
}
#endif

#endif
