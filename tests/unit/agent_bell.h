/* SPDX-License-Identifier: MIT */
/*
 * A VMM's end of the doorbell for tests of the agent on a machine without Annex: it keeps to
 * annex/doorbell.h, and fails the test when a request does not.
 */
#ifndef ANNEX_TESTS_AGENT_BELL_H
#define ANNEX_TESTS_AGENT_BELL_H

#include "guest-agent/doorbell.h"
#include "guest-agent/ranges.h"

struct agent_bell {
	struct doorbell bell; /* first */
	uint64_t base, pages; /* the far window: bytes, pages */
	uint64_t budget;
	uint64_t session; /* 0: none */
	uint64_t sessions; /* so far */
	struct ranges pinned; /* a set */
	bool slow; /* an UNPIN is accepted now, and takes place with the next BEAT */
	struct ranges unpins; /* those */
	struct ranges prefetched, cold; /* in order of arrival */
	unsigned calls[DOORBELL_REQUESTS];
	unsigned busy; /* so many hints are answered DOORBELL_BUSY from now on */
	unsigned busy_commits; /* so many COMMITs, too */
	uint32_t version;
	uint64_t fills;
	uint64_t message, message_length;
	char message_text[DOORBELL_MESSAGE_MAX];
	uint64_t replied;
	uint64_t put[DOORBELL_BUFFERS]; /* bytes put since the last COMMIT */
	char buffer[DOORBELL_BUFFERS][2048];
	uint64_t committed[DOORBELL_BUFFERS]; /* length */
};

/* A window over all of this machine's memory but its first page. */
void agent_bell_init(struct agent_bell *b, uint64_t budget);
void agent_bell_free(struct agent_bell *b);

/* A message from the operator. */
void agent_bell_tell(struct agent_bell *b, const char *text);

/* The session ends, as it does when the VMM has not heard of the agent for DOORBELL_LEASE_NS. */
void agent_bell_lose(struct agent_bell *b);

/* Whether the kernel shows us page frame numbers. */
int agent_bell_frames_shown(void);

/* The page frame that backs an address of ours now; 0: none. */
uint64_t agent_bell_frame(const void *address);

#endif
