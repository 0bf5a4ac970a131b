/* SPDX-License-Identifier: MIT */
/*
 * net_io serve PORT            the peer, outside the guest: serves one connection after another
 * net_io ADDRESS PORT MIB NODE the guest's side: sends MIB mebibytes and has them come back changed
 *
 * The guest sends a count of bytes, then the bytes; the peer answers with their checksum, then with
 * as many bytes of another seed and their checksum.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include "lab.h"

#define SEED_OUT  6
#define SEED_BACK 7
#define LIMIT     (1u << 30)

static int write_full(int fd, const char *data, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = write(fd, data, bytes < 65536 ? bytes : 65536);

		if (n <= 0)
			return -1;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int read_full(int fd, char *data, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = read(fd, data, bytes < 65536 ? bytes : 65536);

		if (n <= 0)
			return -1;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}

/* Returns the checksum of what it wrote. */
static uint64_t fill(char *area, uint64_t bytes, uint64_t seed)
{
	uint64_t sum = 1;

	for (size_t i = 0; i < bytes / LAB_PAGE; i++) {
		lab_write_page(area + i * LAB_PAGE, seed, i);
		sum = lab_checksum(area + i * LAB_PAGE, LAB_PAGE, sum);
	}
	return sum;
}

static void answer(int fd)
{
	uint64_t bytes, sum, back;
	char *area;

	if (read_full(fd, (char *)&bytes, sizeof(bytes)) != 0 || bytes > LIMIT ||
		bytes % LAB_PAGE != 0)
		return;
	area = lab_map(bytes);
	if (read_full(fd, area, bytes) == 0) {
		sum = lab_checksum(area, bytes, 1);
		back = fill(area, bytes, SEED_BACK);
		if (write_full(fd, (char *)&sum, sizeof(sum)) == 0 &&
			write_full(fd, area, bytes) == 0)
			(void)write_full(fd, (char *)&back, sizeof(back));
	}
	munmap(area, bytes);
}

static int serve(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 4) != 0)
		lab_fail("cannot listen on port %u: %m", port);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		answer(fd);
		close(fd);
	}
}

static int connect_to(const char *address, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (inet_pton(AF_INET, address, &at.sin_addr) != 1 ||
		connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		lab_fail("cannot connect to %s port %u: %m", address, port);
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t bytes = lab_argument(argc, argv, 3, 32) << 20;
	int node = argc > 4 ? atoi(argv[4]) : -1;
	uint64_t sent, heard, got = 1, wrong = 0;
	unsigned there;
	char *area;
	int fd;

	if (argc < 3)
		lab_fail("usage: net_io serve PORT | net_io ADDRESS PORT [MIB [NODE]]");
	if (strcmp(argv[1], "serve") == 0)
		return serve((uint16_t)atoi(argv[2]));
	fd = connect_to(argv[1], (uint16_t)atoi(argv[2]));
	area = lab_map(bytes);
	sent = fill(area, bytes, SEED_OUT);
	there = node >= 0 ? lab_percent_on_node(area, bytes, node) : 100;
	if (write_full(fd, (char *)&bytes, sizeof(bytes)) != 0 ||
		write_full(fd, area, bytes) != 0 ||
		read_full(fd, (char *)&heard, sizeof(heard)) != 0)
		lab_fail("the connection broke: %m");
	if (heard != sent)
		lab_fail("the peer heard checksum %016lx, sent was %016lx", heard, sent);
	if (read_full(fd, area, bytes) != 0 || read_full(fd, (char *)&heard, sizeof(heard)) != 0)
		lab_fail("the connection broke on the way back: %m");
	for (size_t i = 0; i < bytes / LAB_PAGE; i++) {
		wrong += lab_wrong_words(area + i * LAB_PAGE, SEED_BACK, i) != 0;
		got = lab_checksum(area + i * LAB_PAGE, LAB_PAGE, got);
	}
	if (wrong != 0 || got != heard)
		lab_fail("%lu of %lu received pages are wrong", wrong, bytes / LAB_PAGE);
	if (there < 90)
		lab_fail("only %u %% of the buffer is on node %d", there, node);
	printf("%lu MiB there and back, %u %% of the buffer on node %d\n", bytes >> 20, there,
		node);
	return 0;
}
