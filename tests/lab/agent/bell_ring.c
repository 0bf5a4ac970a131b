/* SPDX-License-Identifier: MIT */
/*
 * bell_ring [ask]: rings the doorbell once, with a version that it refuses, so that nobody's session
 * ends; ask: asks the kernel for the port first. Exit 0: the VMM answered; 10: the CPU refused.
 */
#include <errno.h>
#include <signal.h>
#include "bell.h"
#include "tests/lab/workloads/lab.h"

static void on_fault(int number)
{
	static const char text[] = "the CPU refuses the port\n";

	(void)number;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(10);
}

int main(int argc, char **argv)
{
	uint64_t word[DOORBELL_WORDS] = {DOORBELL_VERSION + 77};
	uint32_t port, answer;
	const char *error = bell_find(&port);

	if (error)
		lab_fail("%s", error);
	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGSEGV, on_fault);
	if (argc > 1) {
		if (ioperm(DOORBELL_PORT, 4, 1) != 0)
			printf("ioperm: %s; ", strerror(errno));
		if (geteuid() != 0 && iopl(3) == 0)
			lab_fail("iopl is given to user %u", geteuid());
	}
	(void)argv;
	answer = bell_call(DOORBELL_HELLO, 0, word);
	printf("the doorbell answers %u, its version is %lu\n", answer, (unsigned long)word[0]);
	return answer == DOORBELL_BAD_VERSION && word[0] == DOORBELL_VERSION ? 0 : 1;
}
