/* SPDX-License-Identifier: MIT */
#include "guest-agent/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest-agent/socket_guard.h"
#include "guest-agent/socket_rate.h"
#include "guest-agent/socket_request.h"

#define BACKLOG 64
#define ACCEPTS 16u /* in one turn */
#define PASSRIGHTS                                                                                 \
	83 /* SO_PASSRIGHTS, Linux 6.16: whether file descriptors can be sent to a socket */

struct client {
	int fd; /* -1: empty */
	uid_t uid; /* that has connected */
	uint64_t last_ns; /* of its last request */
	bool waits; /* for its rate */
};

struct socket_state {
	struct socket_config config;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int epoll, listener;
	uint64_t paused_ns; /* nobody is let in before; 0: the listener is being polled */
	unsigned clients;
	struct socket_rate rate;
	struct socket_counters counters;
	struct client client[SOCKET_CLIENTS];
};

static bool poll_for(struct socket_state *s, int operation, int fd, uint32_t events, unsigned slot)
{
	struct epoll_event event = {.events = events, .data.u32 = slot};

	return epoll_ctl(s->epoll, operation, fd, &event) == 0;
}

/* Lets nobody in for a while: what holds us up shall not do so more than a fiftieth of the time. */
static void pause_listener(struct socket_state *s, uint64_t now_ns)
{
	s->paused_ns = now_ns + SOCKET_PAUSE_NS;
	poll_for(s, EPOLL_CTL_MOD, s->listener, 0, SOCKET_CLIENTS);
}

/* With what was sent to it and not read. */
static void close_guarded(struct socket_state *s, int fd, uint64_t now_ns)
{
	socket_guard_begin();
	close(fd);
	if (socket_guard_end()) {
		s->counters.held++;
		pause_listener(s, now_ns);
	}
}

static void drop(struct socket_state *s, struct client *c, uint64_t now_ns)
{
	/* Closing does not end the polling while a child of this process has the file too. */
	poll_for(s, EPOLL_CTL_DEL, c->fd, 0, 0);
	close_guarded(s, c->fd, now_ns);
	c->fd = -1;
	s->clients--;
}

/* Whether another process listens there. What is left of one that has ended answers ECONNREFUSED. */
static bool alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers =
		fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
				   errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return answers;
}

static int listen_at(const char *path, char *error, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, yes = 1, no = 0;

	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(error, size, "%s: longer than the path of a socket may be", path);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (alive(&address)) {
		snprintf(error, size, "%s: another agent listens there", path);
		return -1;
	}
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Each packet then has its sender's credentials, whoever holds the other end. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) != 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
		chmod(path, 0666) != 0 || listen(fd, BACKLOG) != 0) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* Older kernels do not have it; they throw descriptors away when we read. */
	(void)setsockopt(fd, SOL_SOCKET, PASSRIGHTS, &no, sizeof(no));
	return fd;
}

struct socket_state *socket_new(const struct socket_config *config, char *error, size_t size)
{
	struct socket_state *s = calloc(1, sizeof(*s));

	if (!s) {
		snprintf(error, size, "out of memory");
		return NULL;
	}
	s->config = *config;
	for (unsigned i = 0; i < SOCKET_CLIENTS; i++)
		s->client[i].fd = -1;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->listener = s->epoll < 0 ? -1 : listen_at(config->path, error, size);
	if (s->epoll < 0)
		snprintf(error, size, "epoll: %s", strerror(errno));
	if (s->listener >= 0) {
		memcpy(s->path, config->path, strlen(config->path) + 1);
		socket_guard_init();
		if (poll_for(s, EPOLL_CTL_ADD, s->listener, EPOLLIN, SOCKET_CLIENTS))
			return s;
		snprintf(error, size, "epoll: %s", strerror(errno));
	}
	socket_free(s);
	return NULL;
}

void socket_free(struct socket_state *state)
{
	if (!state)
		return;
	for (unsigned i = 0; i < SOCKET_CLIENTS; i++)
		if (state->client[i].fd >= 0)
			drop(state, &state->client[i], 0);
	if (state->listener >= 0) {
		unlink(state->path);
		close(state->listener);
	}
	if (state->epoll >= 0)
		close(state->epoll);
	free(state);
}

int socket_fd(const struct socket_state *state)
{
	return state->epoll;
}

void socket_counters(const struct socket_state *state, struct socket_counters *counters)
{
	*counters = state->counters;
}

void socket_pin_max(struct socket_state *state, uint64_t pin_max)
{
	state->config.pin_max = pin_max;
}

bool socket_waiting(const struct socket_state *state)
{
	for (unsigned i = 0; i < SOCKET_CLIENTS; i++)
		if (state->client[i].fd >= 0 && state->client[i].waits)
			return true;
	return state->paused_ns;
}

static bool enough(const struct socket_state *s, uid_t uid)
{
	unsigned own = 0;

	for (unsigned i = 0; i < SOCKET_CLIENTS; i++)
		own += s->client[i].fd >= 0 && s->client[i].uid == uid;
	return s->clients == SOCKET_CLIENTS || own >= SOCKET_CLIENTS_UID;
}

static bool admit(struct socket_state *s, int fd, uint64_t now_ns)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int no = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || enough(s, peer.uid) ||
		socket_rate_barred(&s->rate, peer.uid, now_ns))
		return false;
	(void)setsockopt(fd, SOL_SOCKET, PASSRIGHTS, &no, sizeof(no));
	for (unsigned i = 0; i < SOCKET_CLIENTS; i++) {
		struct client *c = &s->client[i];

		if (c->fd >= 0)
			continue;
		if (!poll_for(s, EPOLL_CTL_ADD, fd, EPOLLIN, i))
			return false;
		*c = (struct client){.fd = fd, .uid = peer.uid, .last_ns = now_ns};
		s->clients++;
		return true;
	}
	return false;
}

static void let_in(struct socket_state *s, uint64_t now_ns)
{
	for (unsigned i = 0; i < ACCEPTS && !s->paused_ns; i++) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			/* Without descriptors left, the listener would be readable for ever. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
				errno == ENOMEM)
				pause_listener(s, now_ns);
			return;
		}
		if (admit(s, fd, now_ns)) {
			s->counters.accepted++;
		} else {
			s->counters.refused++;
			close_guarded(s, fd, now_ns);
		}
	}
}

static void serve(struct socket_state *s, struct client *c, uint64_t now_ns)
{
	uint64_t pages;

	if (!socket_rate_allows(&s->rate, c->uid, now_ns)) {
		/* It is left waiting in its own send or receive. */
		c->waits = true;
		s->counters.waits++;
		poll_for(s, EPOLL_CTL_MOD, c->fd, 0, (unsigned)(c - s->client));
		return;
	}
	enum socket_request_end end = socket_request_serve(c->fd, &s->config, &s->counters, &pages);

	if (end != SOCKET_REQUEST_NONE) {
		c->last_ns = now_ns;
		socket_rate_charge(&s->rate, c->uid, pages, now_ns);
	}
	if (end == SOCKET_REQUEST_HOSTILE)
		socket_rate_bar(&s->rate, c->uid, now_ns);
	if (end == SOCKET_REQUEST_HOSTILE || end == SOCKET_REQUEST_CLOSE)
		drop(s, c, now_ns);
}

/* Who has waited long enough, and who has been silent for too long. */
static void look_after(struct socket_state *s, uint64_t now_ns)
{
	for (unsigned i = 0; i < SOCKET_CLIENTS; i++) {
		struct client *c = &s->client[i];

		if (c->fd < 0)
			continue;
		if (c->waits && socket_rate_allows(&s->rate, c->uid, now_ns)) {
			c->waits = false;
			poll_for(s, EPOLL_CTL_MOD, c->fd, EPOLLIN, i);
		} else if (!c->waits && now_ns - c->last_ns > SOCKET_IDLE_NS) {
			drop(s, c, now_ns);
		}
	}
	if (s->paused_ns && now_ns >= s->paused_ns) {
		s->paused_ns = 0;
		poll_for(s, EPOLL_CTL_MOD, s->listener, EPOLLIN, SOCKET_CLIENTS);
	}
}

void socket_turn(struct socket_state *state, uint64_t now_ns)
{
	struct epoll_event event[SOCKET_CLIENTS + 1];

	if (!state->rate.requests.filled_ns)
		socket_rate_init(&state->rate, now_ns);
	look_after(state, now_ns);
	int n = epoll_wait(state->epoll, event, SOCKET_CLIENTS + 1, 0);

	for (int i = 0; i < n; i++) {
		unsigned slot = event[i].data.u32;

		if (slot == SOCKET_CLIENTS)
			let_in(state, now_ns);
		else if (state->client[slot].waits) /* only its end can have been told */
			drop(state, &state->client[slot], now_ns);
		else
			serve(state, &state->client[slot], now_ns);
	}
}
