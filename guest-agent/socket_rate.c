/* SPDX-License-Identifier: MIT */
#include "guest-agent/socket_rate.h"

#include <stddef.h>

#include "guest-agent/socket.h"

#define SECOND_NS 1000000000ull

static void fill(struct socket_bucket *b, uint64_t rate, uint64_t now_ns)
{
	uint64_t passed = now_ns - b->filled_ns;

	if (passed > 4 * SECOND_NS) /* enough for the largest overdraft, and no overflow */
		passed = 4 * SECOND_NS;
	uint64_t grown = passed * rate / SECOND_NS;

	if (grown == 0)
		return;
	b->filled_ns = now_ns;
	b->left += (int64_t)grown;
	if (b->left > (int64_t)rate)
		b->left = (int64_t)rate;
}

void socket_rate_init(struct socket_rate *rate, uint64_t now_ns)
{
	*rate = (struct socket_rate){
		.requests = {SOCKET_REQUESTS_ALL, now_ns},
		.pages = {SOCKET_PAGES_ALL, now_ns},
	};
}

/*
 * The user's entry; a new one takes the place of the one that has asked for longest nothing. Who has very
 * many users (user namespaces) gets no more by that than all together may have.
 */
static struct socket_user *user(struct socket_rate *rate, uid_t uid, uint64_t now_ns)
{
	struct socket_user *u = NULL;

	for (unsigned i = 0; i < SOCKET_RATE_USERS; i++) {
		struct socket_user *other = &rate->user[i];

		if (other->used_ns && other->uid == uid) {
			other->used_ns = now_ns;
			return other;
		}
		if (!u || other->used_ns < u->used_ns)
			u = other;
	}
	*u = (struct socket_user){
		.uid = uid,
		.used_ns = now_ns,
		.requests = {SOCKET_REQUESTS, now_ns},
		.pages = {SOCKET_PAGES, now_ns},
	};
	return u;
}

bool socket_rate_allows(struct socket_rate *rate, uid_t uid, uint64_t now_ns)
{
	struct socket_user *u = user(rate, uid, now_ns);

	fill(&rate->requests, SOCKET_REQUESTS_ALL, now_ns);
	fill(&rate->pages, SOCKET_PAGES_ALL, now_ns);
	fill(&u->requests, SOCKET_REQUESTS, now_ns);
	fill(&u->pages, SOCKET_PAGES, now_ns);
	return rate->requests.left > 0 && rate->pages.left > 0 && u->requests.left > 0 &&
	       u->pages.left > 0;
}

void socket_rate_charge(struct socket_rate *rate, uid_t uid, uint64_t pages, uint64_t now_ns)
{
	struct socket_user *u = user(rate, uid, now_ns);

	rate->requests.left--;
	rate->pages.left -= (int64_t)pages;
	u->requests.left--;
	u->pages.left -= (int64_t)pages;
}

void socket_rate_bar(struct socket_rate *rate, uid_t uid, uint64_t now_ns)
{
	user(rate, uid, now_ns)->barred_ns = now_ns + SOCKET_BARRED_NS;
}

bool socket_rate_barred(struct socket_rate *rate, uid_t uid, uint64_t now_ns)
{
	return user(rate, uid, now_ns)->barred_ns > now_ns;
}
