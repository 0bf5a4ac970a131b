/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "memserver/admin.h"
#include "memserver/log.h"

#define LINE 128u

struct client {
	int fd; /* -1: none */
	size_t length;
	char line[LINE];
};

struct admin {
	struct policy *policy;
	int fd;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct client client[ADMIN_CLIENTS];
};

static bool parent_directory(const char *path)
{
	char directory[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (!slash || slash == directory)
		return true;
	*slash = '\0';
	return mkdir(directory, 0755) == 0 || errno == EEXIST;
}

struct admin *admin_open(const char *path, struct policy *policy)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct admin *a = calloc(1, sizeof(*a));
	mode_t mask;
	bool good;

	if (!a)
		return NULL;
	a->policy = policy;
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
		a->client[i].fd = -1;
	if (strlen(path) >= sizeof(address.sun_path)) {
		log_line(LOG_ERR, "--control %s: too long a path", path);
		free(a);
		return NULL;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	snprintf(a->path, sizeof(a->path), "%s", path);
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* What lies there is a dead server's: the store's lock says that none is alive. */
	mask = umask(0177);
	good = a->fd >= 0 && parent_directory(path) && (unlink(path) == 0 || errno == ENOENT) &&
	       bind(a->fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	       listen(a->fd, 4) == 0;
	umask(mask);
	if (good)
		return a;
	log_line(LOG_ERR, "--control %s: %s", path, strerror(errno));
	if (a->fd >= 0)
		close(a->fd);
	free(a);
	return NULL;
}

static bool parse_tenant(const char *text, uint64_t *tenant)
{
	size_t length = strlen(text);

	if (length == 0 || length > 16 || strspn(text, "0123456789abcdefABCDEF") != length)
		return false;
	*tenant = strtoull(text, NULL, 16);
	return true;
}

/* Writes the answer to a line into it. */
static void answer(struct admin *a, char *line)
{
	uint64_t tenant;
	int error;

	if (strncmp(line, "forget ", 7) != 0) {
		snprintf(line, LINE, "error unknown command; there is: forget TENANT");
		return;
	}
	if (!parse_tenant(line + 7, &tenant)) {
		snprintf(line, LINE, "error TENANT is 1 to 16 hexadecimal digits");
		return;
	}
	error = policy_forget(a->policy, tenant);
	if (!error)
		snprintf(line, LINE, "ok");
	else if (error == ENOENT)
		snprintf(line, LINE, "error no such tenant");
	else
		snprintf(line, LINE, "error store: %s; try again", strerror(error));
}

static void drop(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	c->length = 0;
}

static void serve(struct admin *a, struct client *c)
{
	ssize_t got = recv(c->fd, c->line + c->length, LINE - 1 - c->length, 0);
	char *end, reply[LINE + 1];

	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			drop(c);
		return;
	}
	c->length += (size_t)got;
	c->line[c->length] = '\0';
	while ((end = strchr(c->line, '\n'))) {
		size_t used = (size_t)(end - c->line) + 1;
		char line[LINE];

		memcpy(line, c->line, used);
		line[used - 1] = '\0';
		answer(a, line);
		snprintf(reply, sizeof(reply), "%s\n", line);
		/* A client that does not read its short answers is not waited for. */
		if (send(c->fd, reply, strlen(reply), MSG_NOSIGNAL) < 0) {
			drop(c);
			return;
		}
		c->length -= used;
		memmove(c->line, end + 1, c->length + 1);
	}
	/* No newline, and no room for one. */
	if (c->length >= LINE - 1)
		drop(c);
}

void admin_descriptors(const struct admin *a, struct pollfd *fds)
{
	fds[0] = (struct pollfd){.fd = -1, .events = POLLIN};
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
		fds[1 + i] = (struct pollfd){.fd = a->client[i].fd, .events = POLLIN};
		if (a->client[i].fd < 0)
			fds[0].fd = a->fd;
	}
}

void admin_event(struct admin *a, const struct pollfd *fds)
{
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
		if (fds[1 + i].fd >= 0 && fds[1 + i].revents)
			serve(a, &a->client[i]);
	}
	if (!fds[0].revents)
		return;
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
		if (a->client[i].fd >= 0)
			continue;
		a->client[i].fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		return;
	}
}

void admin_close(struct admin *a)
{
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
		if (a->client[i].fd >= 0)
			drop(&a->client[i]);
	}
	close(a->fd);
	unlink(a->path);
	free(a);
}

int admin_ask(const char *path, const char *line)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char reply[LINE + 1];
	ssize_t got = -1;
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "annex-memserver: --control %s: too long a path\n", path);
		return 1;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		dprintf(fd, "%s\n", line) > 0)
		got = recv(fd, reply, sizeof(reply) - 1, 0);
	if (got <= 0) {
		fprintf(stderr, "annex-memserver: no server answers at %s: %s\n", path,
			got < 0 ? strerror(errno) : "it closed the connection");
		return 1;
	}
	close(fd);
	reply[got] = '\0';
	fputs(reply, stdout);
	return strcmp(reply, "ok\n") == 0 ? 0 : 1;
}
