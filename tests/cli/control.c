/* SPDX-License-Identifier: MIT */
/*
 * control SOCKET TENANT: the administrator's socket of a memory server (memserver/admin.c) over its
 * policy, with the tenant's promise of 4 extents and no queue pairs. Prints `promised N` whenever
 * that changes.
 */
#include <stdio.h>
#include <stdlib.h>
#include "memserver/admin.h"
#include "tests/unit/policy_fixture.h"

static struct fixture fixture;

static unsigned promised(void)
{
	struct policy_totals totals;

	policy_totals(fixture.policy, &totals);
	return totals.promised;
}

int main(int argc, char **argv)
{
	struct pollfd fds[ADMIN_DESCRIPTORS];
	unsigned told = ~0u;
	struct policy_link *link;
	struct admin *admin;

	if (argc != 3)
		return 2;
	fixture_start(&fixture);
	link = fixture_connect(&fixture, "a", strtoull(argv[2], NULL, 16), 1);
	if (fixture_attach(&fixture, link, RPC_ATTACH_FRESH, 4, 1) != RPC_ERROR_NONE)
		return 1;
	admin = admin_open(argv[1], fixture.policy);
	if (!admin)
		return 1;
	for (;;) {
		if (promised() != told) {
			told = promised();
			printf("promised %u\n", told);
			fflush(stdout);
		}
		admin_descriptors(admin, fds);
		if (poll(fds, ADMIN_DESCRIPTORS, 1000) < 0)
			return 1;
		admin_event(admin, fds);
		policy_turn(fixture.policy);
	}
}
