/* SPDX-License-Identifier: MIT */
/* Who may ask how often: token buckets for each user and for all together, in requests and in pages. */
#ifndef ANNEX_AGENT_SOCKET_RATE_H
#define ANNEX_AGENT_SOCKET_RATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SOCKET_RATE_USERS 64u

/* Filled at `rate` tokens per second up to `rate`; may be overdrawn by one request. */
struct socket_bucket {
	int64_t left;
	uint64_t filled_ns;
};

struct socket_user {
	uid_t uid;
	uint64_t used_ns; /* 0: empty */
	uint64_t barred_ns; /* no connections before */
	struct socket_bucket requests, pages;
};

struct socket_rate {
	struct socket_bucket requests, pages; /* of all */
	struct socket_user user[SOCKET_RATE_USERS];
};

void socket_rate_init(struct socket_rate *rate, uint64_t now_ns);

/* Whether this user may send a request now. */
bool socket_rate_allows(struct socket_rate *rate, uid_t uid, uint64_t now_ns);

/* Charges a request for so many pages. */
void socket_rate_charge(struct socket_rate *rate, uid_t uid, uint64_t pages, uint64_t now_ns);

void socket_rate_bar(struct socket_rate *rate, uid_t uid, uint64_t now_ns);
bool socket_rate_barred(struct socket_rate *rate, uid_t uid, uint64_t now_ns);

#endif
