/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "toolstack/control.h"
#include "toolstack/forget.h"
#include "toolstack/size.h"

#define TENANT "%016llx"

static int forget_appliance(
	struct annex *annex, const struct registry_server *server, uint64_t tenant, bool *known)
{
	char command[64];
	json_t *result = NULL;
	bool runs;
	int code;

	snprintf(command, sizeof(command), "forget " TENANT, (unsigned long long)tenant);
	code = control_ask(annex, server, command, &result, &runs);
	/* Its pool is RAM of the domain: one that does not run holds nothing. */
	*known = json_is_true(json_object_get(result, "known"));
	json_decref(result);
	return code;
}

/* All that is said, of which the end is kept: greetings may come before the answer. */
static void read_end(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t got;

	for (;;) {
		if (used + 1 == size) {
			used = size / 2;
			memmove(text, text + size - 1 - used, used);
		}
		got = read(fd, text + used, size - 1 - used);
		if (got == 0 || (got < 0 && errno != EINTR))
			break;
		used += got > 0 ? (size_t)got : 0;
	}
	text[used] = '\0';
}

/*
 * Runs ssh without a question to the user, who sees what it has to say on stderr; the end of its
 * output in text. False: no ssh.
 */
static bool run_ssh(
	const char *destination, const char *tenant, char *text, size_t size, int *status)
{
	int pipes[2];
	pid_t pid, ended;

	if (pipe(pipes))
		return false;
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		execlp("ssh", "ssh", "-n", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
			destination, "annex-memserver", "forget", tenant, (char *)NULL);
		dprintf(STDERR_FILENO, "cannot run ssh: %s\n", strerror(errno));
		_exit(255);
	}
	close(pipes[1]);
	if (pid > 0)
		read_end(pipes[0], text, size);
	close(pipes[0]);
	if (pid < 0)
		return false;
	do
		ended = waitpid(pid, status, 0);
	while (ended < 0 && errno == EINTR);
	return ended == pid;
}

/* The last line that is not empty, ended by a NUL, in text. */
static const char *last_line(char *text)
{
	size_t length = strlen(text);

	while (length && strchr("\r\n", text[length - 1]))
		text[--length] = '\0';
	while (length && !strchr("\r\n", text[length - 1]))
		length--;
	return text + length;
}

static int forget_ssh(const struct registry_server *server, uint64_t tenant, bool *known)
{
	char text[512] = "", digits[17];
	const char *answer;
	int status = -1;

	snprintf(digits, sizeof(digits), TENANT, (unsigned long long)tenant);
	*known = false;
	if (!run_ssh(server->ssh, digits, text, sizeof(text), &status))
		return error_set(ERROR_FAILED, "cannot start ssh: %m");
	answer = last_line(text);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !strcmp(answer, "ok")) {
		*known = true;
		return 0;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1 &&
		!strcmp(answer, "error no such tenant"))
		return 0;
	return error_set(ERROR_FAILED,
		"server '%s' was not told to forget tenant %s: %s. Run by hand: ssh %s "
		"annex-memserver forget %s",
		server->name, digits, *answer ? answer : "no answer came over ssh", server->ssh,
		digits);
}

int forget_tenant(
	struct annex *annex, const struct registry_server *server, uint64_t tenant, bool *known)
{
	char address[SIZE_TEXT_MAX];

	if (server->provisioned)
		return forget_appliance(annex, server, tenant, known);
	if (server->ssh[0])
		return forget_ssh(server, tenant, known);
	*known = false;
	return error_set(ERROR_REFUSED,
		"annex has no way to tell server '%s' at %s to forget tenant " TENANT
		". Run there as root: annex-memserver forget " TENANT "; or name the way: annex "
		"server add %s ADDRESS --ssh USER@HOST",
		server->name, size_ipv4_text(server->address, address), (unsigned long long)tenant,
		(unsigned long long)tenant, server->name);
}
