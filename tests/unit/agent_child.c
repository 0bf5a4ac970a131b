/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/agent_child.h"

static char directory[64], path[128];

void agent_child_program(const char *name)
{
	char command[300];

	strcpy(directory, "/tmp/annex-agent-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	snprintf(command, sizeof(command), "cp \"$(command -v sleep)\" %s", path);
	assert_int_equal(system(command), 0);
}

void agent_child_program_remove(void)
{
	unlink(path);
	rmdir(directory);
}

const char *agent_child_path(void)
{
	return path;
}

void agent_child_state(pid_t pid, char state)
{
	char name[64], text[512], *bracket;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	for (unsigned i = 0; i < 5000; i++) {
		FILE *f = fopen(name, "re");
		size_t length;

		assert_non_null(f);
		length = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
		text[length] = '\0';
		bracket = strrchr(text, ')');
		if (bracket && bracket[2] == state)
			return;
		usleep(1000);
	}
	fail_msg("process %d does not come to state %c", (int)pid, state);
}

/* Whether it has come through execve: until then its file is ours. */
static int runs(pid_t pid)
{
	char name[64], target[256];
	ssize_t length;

	snprintf(name, sizeof(name), "/proc/%d/exe", (int)pid);
	length = readlink(name, target, sizeof(target) - 1);
	if (length < 0)
		return 0;
	target[length] = '\0';
	return strcmp(target, path) == 0;
}

pid_t agent_child_start(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, path, "1000", (char *)NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < 5000 && !runs(pid); i++)
		usleep(1000);
	agent_child_state(pid, 'S');
	return pid;
}

void agent_child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}
