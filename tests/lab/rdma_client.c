/* SPDX-License-Identifier: MIT */
/*
 * rdma_client ADDRESS PORT TEST...: checks a running annex-memserver from outside, over the wire.
 * Prints `ok NAME` or `not ok NAME: why` for every check; exits 1 if one failed. TEST is a name of
 * the table below. The server has a pool of 4 extents and a quota of 3.
 *
 * rdma_client control PATH LINE: sends a line to a server's control socket, prints its answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/lab/rdma_peer.h"

#define PAGE       4096u
#define QUOTA      3u
#define POOL       4u
#define TENANT(n)  (0xa000u + (n))
#define SESSION(n) (0xb000u + (n))

static const char *address, *port;
static unsigned failures;

static void check(bool good, const char *name, const char *detail)
{
	if (good)
		printf("ok %s\n", name);
	else
		printf("not ok %s: %s\n", name, detail);
	fflush(stdout);
	failures += !good;
}

static void check_code(int code, int wanted, const char *name)
{
	char detail[64];

	snprintf(detail, sizeof(detail), "error code %d, wanted %d", code, wanted);
	check(code == wanted, name, detail);
}

static struct rpc_hello hello(uint64_t tenant, uint64_t session)
{
	return (struct rpc_hello){be32_make(RPC_MAGIC), be16_make(RPC_VERSION_LOW),
		be16_make(RPC_VERSION), be64_make(tenant), be64_make(session), {0}};
}

static int open_session(struct peer *p, uint64_t tenant, uint64_t session)
{
	struct rpc_hello h = hello(tenant, session);
	char text[160];

	return peer_connect(p, address, port, &h, sizeof(h), text);
}

static int attach(struct peer *p, enum rpc_attach_mode mode, uint32_t extents, uint8_t domain,
	struct rpc_attached *attached)
{
	struct rpc_attach body = {be32_make(mode), be32_make(RPC_EXTENT_SHIFT), be32_make(extents),
		be32_make(0), {domain}};
	int code = peer_ask(p, RPC_ATTACH, &body, sizeof(body));

	if (code == 0 && attached)
		memcpy(attached, peer_body(p), sizeof(*attached));
	return code;
}

/* Connects and attaches; -1 or an error code. */
static int enter(struct peer *p, unsigned n, enum rpc_attach_mode mode, uint32_t extents)
{
	int code = open_session(p, TENANT(n), SESSION(n));

	return code ? code : attach(p, mode, extents, (uint8_t)n, NULL);
}

static int lease(struct peer *p, uint32_t index, struct rpc_extent *extent)
{
	struct rpc_index body = {be32_make(index), be32_make(0)};
	int code = peer_ask(p, RPC_LEASE, &body, sizeof(body));

	if (code == 0)
		memcpy(extent, peer_body(p), sizeof(*extent));
	return code;
}

static int release(struct peer *p, uint32_t index)
{
	struct rpc_index body = {be32_make(index), be32_make(0)};

	return peer_ask(p, RPC_RELEASE, &body, sizeof(body));
}

/* The number of extents, the last of them in *extent; -1: an error. */
static int list(struct peer *p, struct rpc_extent *extent)
{
	struct rpc_list body = {be32_make(0), be32_make(0)};
	struct rpc_listed listed;
	int total = 0;

	do {
		const uint8_t *answer = peer_body(p);

		if (peer_ask(p, RPC_LIST, &body, sizeof(body)) != 0)
			return -1;
		memcpy(&listed, answer, sizeof(listed));
		for (uint32_t i = 0; i < be32_get(listed.count); i++)
			memcpy(extent, answer + sizeof(listed) + i * sizeof(*extent),
				sizeof(*extent));
		total += (int)be32_get(listed.count);
		body.first = listed.next;
	} while (be32_get(listed.next) != RPC_LIST_END);
	return total;
}

static void fill(struct peer *p, uint8_t seed)
{
	for (uint32_t i = 0; i < PEER_DATA; i++)
		p->data[i] = (uint8_t)(seed + i * 7 + i / 251);
}

static bool filled(const struct peer *p, uint8_t seed, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++) {
		if (p->data[i] != (uint8_t)(seed + i * 7 + i / 251))
			return false;
	}
	return true;
}

static bool zeros(const struct peer *p, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++) {
		if (p->data[i])
			return false;
	}
	return true;
}

static bool write_page(struct peer *p, const struct rpc_extent *e, uint64_t offset, uint8_t seed)
{
	fill(p, seed);
	return peer_write(p, be64_get(e->address) + offset, be32_get(e->rkey), PAGE) ==
	       IBV_WC_SUCCESS;
}

static bool read_page(struct peer *p, const struct rpc_extent *e, uint64_t offset)
{
	memset(p->data, 0xee, PAGE);
	return peer_read(p, be64_get(e->address) + offset, be32_get(e->rkey), PAGE) ==
	       IBV_WC_SUCCESS;
}

static void test_basic(void)
{
	const uint64_t last = RPC_EXTENT_SIZE - PAGE;
	struct rpc_attached attached = {0};
	struct rpc_extent one = {0}, two = {0}, extent = {0};
	struct peer p;

	check_code(open_session(&p, TENANT(1), SESSION(1)), 0, "connect");
	check(be16_get(p.welcome.reads) >= 8, "welcome grants READs", "fewer than 8");
	check_code(lease(&p, 0, &one), RPC_ERROR_ATTACH, "nothing before ATTACH");
	check_code(attach(&p, RPC_ATTACH_FRESH, 2, 1, &attached), 0, "attach");
	check(be32_get(attached.extents_promised) == 2, "promise", "not 2 extents");
	fill(&p, 3);
	check(peer_write(&p, be64_get(attached.scratch_address), be32_get(attached.scratch_rkey),
		      PAGE) == IBV_WC_SUCCESS &&
			(memset(p.data, 0, PAGE),
				peer_read(&p, be64_get(attached.scratch_address),
					be32_get(attached.scratch_rkey), PAGE) == IBV_WC_SUCCESS) &&
			filled(&p, 3, PAGE),
		"scratch page", "not what was written");
	check(list(&p, &extent) == 0, "list of none", "not empty");
	check_code(lease(&p, 7, &one), 0, "lease");
	check(read_page(&p, &one, 0) && zeros(&p, PAGE) && read_page(&p, &one, last) &&
			zeros(&p, PAGE),
		"a lease reads as zeros", "it does not");
	check(write_page(&p, &one, 0, 11) && write_page(&p, &one, last, 12), "write", "failed");
	check(read_page(&p, &one, 0) && filled(&p, 11, PAGE) && read_page(&p, &one, last) &&
			filled(&p, 12, PAGE),
		"read back", "other content");
	check_code(lease(&p, 7, &two), 0, "lease again");
	check(memcmp(&one, &two, sizeof(one)) == 0, "the same extent", "another");
	check_code(lease(&p, 9, &two), 0, "second lease");
	check(list(&p, &extent) == 2 && be32_get(extent.index) == 9, "list of two", "other");
	check_code(peer_ask(&p, RPC_PING, NULL, 0), 0, "ping");
	check_code(release(&p, 7), 0, "release");
	check_code(release(&p, 7), 0, "release again");
	check_code(lease(&p, 7, &one), 0, "lease after release");
	check(read_page(&p, &one, 0) && zeros(&p, PAGE), "released content is gone", "it is there");
	check(peer_read(&p, be64_get(one.address) + last + 1, be32_get(one.rkey), PAGE) ==
			IBV_WC_REM_ACCESS_ERR,
		"no access beyond an extent", "it was possible");
	peer_close(&p);
}

static void test_errors(void)
{
	struct rpc_hello h = hello(TENANT(2), SESSION(2));
	struct rpc_error_body error = {0};
	struct rpc_extent extent = {0};
	char text[160];
	struct peer p;

	h.version_low = h.version_high = be16_make(99);
	check_code(peer_connect(&p, address, port, &h, sizeof(h), text), RPC_ERROR_VERSION,
		"wrong version");
	check(strstr(text, "version") != NULL, "its text", text);
	memset(&h, 0x5a, sizeof(h));
	check_code(peer_connect(&p, address, port, &h, sizeof(h), text), RPC_ERROR_MALFORMED,
		"hello of nonsense");
	check_code(peer_connect(&p, address, port, NULL, 0, text), RPC_ERROR_MALFORMED, "no hello");
	check_code(open_session(&p, TENANT(2), SESSION(2)), 0, "connect after these");
	check_code(attach(&p, RPC_ATTACH_RESUME, 1, 2, NULL), RPC_ERROR_UNKNOWN,
		"resume of the unknown");
	check_code(attach(&p, RPC_ATTACH_FRESH, QUOTA + 1, 2, NULL), RPC_ERROR_QUOTA, "quota");
	memcpy(&error, peer_body(&p), sizeof(error));
	check(be64_get(error.number[0]) == (QUOTA + 1) * RPC_EXTENT_SIZE &&
			be64_get(error.number[1]) == QUOTA * RPC_EXTENT_SIZE,
		"quota's numbers", error.text);
	check_code(attach(&p, RPC_ATTACH_FRESH, 1, 2, NULL), 0, "attach within the quota");
	check_code(lease(&p, 0, &extent), 0, "lease of the promised");
	check_code(lease(&p, 1, &extent), RPC_ERROR_EXTENT, "lease beyond the promise");
	check_code(lease(&p, 0xfffffffe, &extent), RPC_ERROR_EXTENT, "foreign extent");
	peer_close(&p);
	check_code(open_session(&p, TENANT(2), SESSION(92)), 0, "connect from another domain");
	check_code(attach(&p, RPC_ATTACH_FRESH, 1, 77, NULL), RPC_ERROR_DOMAIN, "other domain");
	peer_close(&p);
}

static void test_pool(void)
{
	struct rpc_error_body error = {0};
	struct peer p;

	check_code(enter(&p, 3, RPC_ATTACH_FRESH, QUOTA), 0, "first tenant's promise");
	peer_close(&p);
	check_code(enter(&p, 4, RPC_ATTACH_FRESH, POOL - QUOTA + 1), RPC_ERROR_POOL, "pool");
	memcpy(&error, peer_body(&p), sizeof(error));
	check(be64_get(error.number[0]) == (POOL - QUOTA + 1) * RPC_EXTENT_SIZE &&
			be64_get(error.number[1]) == (POOL - QUOTA) * RPC_EXTENT_SIZE,
		"pool's numbers", error.text);
	printf("# the server says: %.160s\n", error.text);
	peer_close(&p);
}

static void test_nonsense(void)
{
	struct rpc_header header = {be32_make(RPC_MAGIC), be16_make(RPC_VERSION), be16_make(77),
		be32_make(5), be32_make(0), be64_make(1000), {0}};
	uint8_t bytes[1500];
	struct peer p;
	bool answered = true;
	int code;

	code = enter(&p, 1, RPC_ATTACH_FRESH, 1);
	check_code(code, 0, "attach before nonsense");
	srandom(1);
	for (unsigned i = 0; i < 50 && answered; i++) {
		size_t length = (size_t)random() % (RPC_MESSAGE_MAX + 1);

		for (size_t j = 0; j < length; j++)
			bytes[j] = (uint8_t)random();
		answered = peer_send(&p, bytes, length);
	}
	check(answered, "random bytes are answered", "no answer");
	check(peer_send(&p, &header, sizeof(header)), "unknown type is answered", "no answer");
	p.counter = 2000;
	check_code(peer_ask(&p, RPC_PING, NULL, 0), 0, "ping on the same queue pair");
	/* More than a receive takes: that queue pair is lost, and only that one. */
	check(!peer_send(&p, bytes, sizeof(bytes)), "oversize message", "it was answered");
	peer_close(&p);
	check_code(enter(&p, 1, RPC_ATTACH_RESUME, 1), 0, "the server lives on");
	peer_close(&p);
}

static void test_isolation(void)
{
	struct rpc_attached attached = {0};
	struct rpc_extent extent = {0};
	struct peer owner, other;

	check_code(enter(&owner, 1, RPC_ATTACH_FRESH, 1), 0, "owner attaches");
	check_code(lease(&owner, 0, &extent), 0, "owner leases");
	check(write_page(&owner, &extent, 0, 42), "owner writes", "failed");
	check_code(open_session(&other, TENANT(2), SESSION(2)), 0, "other connects");
	check_code(attach(&other, RPC_ATTACH_FRESH, 1, 2, &attached), 0, "other attaches");
	memset(other.data, 0, PAGE);
	check(peer_read(&other, be64_get(extent.address), be32_get(extent.rkey), PAGE) ==
			IBV_WC_REM_ACCESS_ERR,
		"other cannot read it", "no access error");
	check(zeros(&other, PAGE), "nothing leaked", "bytes came");
	peer_close(&other);
	check_code(enter(&other, 2, RPC_ATTACH_RESUME, 1), 0, "other attaches again");
	fill(&other, 66);
	check(peer_write(&other, be64_get(extent.address), be32_get(extent.rkey), PAGE) ==
			IBV_WC_REM_ACCESS_ERR,
		"other cannot write it", "no access error");
	peer_close(&other);
	check(read_page(&owner, &extent, 0) && filled(&owner, 42, PAGE), "owner's content stands",
		"it does not");
	peer_close(&owner);
}

static void test_fence(void)
{
	struct rpc_extent extent = {0}, named = {0};
	struct peer old, young;

	check_code(enter(&old, 1, RPC_ATTACH_FRESH, 1), 0, "first queue pair");
	check_code(lease(&old, 0, &extent), 0, "its lease");
	check(write_page(&old, &extent, 0, 1), "its write", "failed");
	check_code(enter(&young, 1, RPC_ATTACH_RESUME, 1), 0, "second queue pair");
	check(list(&young, &named) == 1, "it lists the extent", "it does not");
	check(write_page(&young, &named, 0, 2), "second writes", "failed");
	check(!write_page(&old, &extent, 0, 3), "first can write no more", "it could");
	check(read_page(&young, &named, 0) && filled(&young, 2, PAGE), "second's content stands",
		"it does not");
	peer_close(&old);
	peer_close(&young);
}

static void test_ended(void)
{
	struct rpc_extent extent = {0};
	struct peer old, young;

	check_code(enter(&old, 1, RPC_ATTACH_FRESH, 1), 0, "older session");
	check_code(lease(&old, 0, &extent), 0, "its lease");
	check(write_page(&old, &extent, 0, 9), "its write", "failed");
	check_code(open_session(&young, TENANT(1), SESSION(91)), 0, "newer session");
	check_code(attach(&young, RPC_ATTACH_FRESH, 1, 1, NULL), 0, "newest wins");
	check_code(lease(&young, 0, &extent), 0, "it leases");
	check(read_page(&young, &extent, 0) && zeros(&young, PAGE), "it gets zeros", "old content");
	peer_close(&old);
	check_code(enter(&old, 1, RPC_ATTACH_RESUME, 1), RPC_ERROR_ENDED, "the older is told");
	peer_close(&old);
	peer_close(&young);
}

/* Leaves a session with content behind, for the tests after a restart. */
static void test_leave(void)
{
	struct rpc_extent extent = {0};
	struct peer p;

	check_code(enter(&p, 5, RPC_ATTACH_FRESH, 2), 0, "session to be kept");
	check_code(lease(&p, 3, &extent), 0, "lease to be kept");
	check(write_page(&p, &extent, 8 * PAGE, 77), "content to be kept", "failed");
	peer_close(&p);
}

static void test_kept(void)
{
	struct rpc_extent extent = {0};
	struct peer p;

	check_code(enter(&p, 5, RPC_ATTACH_RESUME, 2), 0, "resume after restart");
	check(list(&p, &extent) == 1 && be32_get(extent.index) == 3 &&
			be32_get(extent.state) == RPC_EXTENT_HELD,
		"extent is held", "it is not");
	check(read_page(&p, &extent, 8 * PAGE) && filled(&p, 77, PAGE), "content was kept",
		"it is gone");
	check_code(lease(&p, 4, &extent), 0, "leases go on");
	check_code(release(&p, 4), 0, "releases go on");
	peer_close(&p);
}

static void test_lost(void)
{
	struct rpc_extent extent = {0};
	struct peer p;

	check_code(enter(&p, 5, RPC_ATTACH_RESUME, 2), 0, "resume in a new pool");
	check(list(&p, &extent) == 1 && be32_get(extent.index) == 3 &&
			be32_get(extent.state) == RPC_EXTENT_LOST,
		"extent is lost and said to be", "it is not");
	check_code(lease(&p, 3, &extent), RPC_ERROR_LOST, "no lease of the lost");
	check_code(release(&p, 3), 0, "release of the lost");
	check_code(lease(&p, 3, &extent), 0, "lease after that");
	peer_close(&p);
}

static void test_forgotten(void)
{
	struct peer p;

	check_code(enter(&p, 5, RPC_ATTACH_RESUME, 2), RPC_ERROR_UNKNOWN, "forgotten");
	peer_close(&p);
}

/* The store's disk is full. */
static void test_full(void)
{
	struct rpc_extent extent = {0};
	struct peer p;

	check_code(enter(&p, 1, RPC_ATTACH_FRESH, 1), 0, "attach with a full disk");
	check_code(lease(&p, 0, &extent), RPC_ERROR_STORE, "no lease with a full disk");
	check_code(peer_ask(&p, RPC_PING, NULL, 0), 0, "the server lives on with a full disk");
	peer_close(&p);
}

/* It has room again. */
static void test_room(void)
{
	struct rpc_extent extent = {0};
	struct peer p;

	check_code(enter(&p, 1, RPC_ATTACH_RESUME, 1), 0, "attach with room on the disk");
	check_code(lease(&p, 0, &extent), 0, "lease with room on the disk");
	check(read_page(&p, &extent, 0) && zeros(&p, PAGE) && write_page(&p, &extent, 0, 5) &&
			read_page(&p, &extent, 0) && filled(&p, 5, PAGE),
		"huge pages are read and written", "they are not");
	peer_close(&p);
}

/* Attaches and waits for the server's end. */
static void test_goodbye(void)
{
	struct peer p;

	check_code(enter(&p, 1, RPC_ATTACH_FRESH, 1), 0, "attach before the end");
	check(peer_disconnected(&p, 20), "the server says good-bye", "not within 20 s");
	peer_close(&p);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"basic", test_basic},
	{"errors", test_errors},
	{"pool", test_pool},
	{"nonsense", test_nonsense},
	{"isolation", test_isolation},
	{"fence", test_fence},
	{"ended", test_ended},
	{"leave", test_leave},
	{"kept", test_kept},
	{"lost", test_lost},
	{"forgotten", test_forgotten},
	{"full", test_full},
	{"room", test_room},
	{"goodbye", test_goodbye},
};

static int control(const char *path, const char *line)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char answer[256];
	ssize_t got;

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
		dprintf(fd, "%s\n", line) < 0) {
		perror(path);
		return 1;
	}
	got = read(fd, answer, sizeof(answer) - 1);
	if (got <= 0)
		return 1;
	fwrite(answer, 1, (size_t)got, stdout);
	close(fd);
	return strncmp(answer, "ok\n", (size_t)got) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "control") == 0)
		return control(argv[2], argv[3]);
	if (argc < 4) {
		fputs("usage: rdma_client ADDRESS PORT TEST... | control PATH LINE\n", stderr);
		return 2;
	}
	address = argv[1];
	port = argv[2];
	for (int i = 3; i < argc; i++) {
		bool found = false;

		for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++) {
			if (strcmp(argv[i], tests[t].name) != 0)
				continue;
			found = true;
			tests[t].run();
		}
		if (!found) {
			fprintf(stderr, "rdma_client: no test %s\n", argv[i]);
			return 2;
		}
	}
	return failures > 0;
}
