/* SPDX-License-Identifier: MIT */
/*
 * The simulation's memory server in real time: the real policy (memserver/policy.c) and responder
 * queue pairs, behind a UDP socket that carries Ethernet frames as QEMU's `-netdev socket,udp=` and
 * Bochs' `ethmod=socket` do. For machines whose tests are about something else than RDMA:
 *
 *     server_live --local PORT --remote PORT --address A.B.C.D [--extents N] [--mtu N]
 *
 * Runs until it is ended by a signal, then prints what it was asked for.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "annex/rpc.h"
#include "lab/live_wire.h"
#include "lib/crc.h"
#include "lib/text.h"
#include "sim/network.h"
#include "sim/responder.h"

#define S         1000000000ull
#define SLOTS     512u /* frames that wait for the socket */
#define READS     16u
#define BURST     64u
#define IDLE_NS   (S / 2)
#define FRAME_MIN 14u

struct options {
	uint16_t local, remote, mtu;
	uint32_t address, extents;
};

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {{"local", 1, NULL, 'l'}, {"remote", 1, NULL, 'r'},
		{"address", 1, NULL, 'a'}, {"extents", 1, NULL, 'e'}, {"mtu", 1, NULL, 'm'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned long n = optarg != NULL ? strtoul(optarg, NULL, 10) : 0;

		if (c == 'l')
			o->local = n;
		else if (c == 'r')
			o->remote = n;
		else if (c == 'e')
			o->extents = n;
		else if (c == 'm')
			o->mtu = n;
		else if (c != 'a' || !text_ipv4(optarg, &o->address))
			return false;
	}
	return o->local != 0 && o->remote != 0 && o->address != 0 && o->extents != 0;
}

/* From the socket into the segment. The machine's address is that of its first frame. */
static unsigned take_in(struct network *n, int fd)
{
	static uint8_t frame[NIC_FRAME_MAX];
	struct nic *nic = network_nic(n);
	unsigned taken = 0;
	ssize_t length;

	while (taken < BURST) {
		length = recv(fd, frame, sizeof(frame), MSG_DONTWAIT);
		if (length < 0 && errno == ECONNREFUSED)
			continue;
		if (length < 0)
			break;
		taken++;
		if (length < (ssize_t)FRAME_MIN)
			continue;
		memcpy(nic->mac, frame + 6, sizeof(nic->mac));
		nic->ops->send(nic, frame, length, NULL, 0);
	}
	return taken;
}

static void give_out(struct network *n, int fd)
{
	struct nic *nic = network_nic(n);
	struct nic_frame frame;

	while (nic->ops->receive(nic, &frame)) {
		/* What the socket does not take is lost, as on any network. */
		if (send(fd, frame.data, frame.length, MSG_DONTWAIT) < 0 && errno == EBADF)
			ended = 1;
		nic->ops->release(nic, &frame);
	}
}

static void turn(struct network *n, struct responder *server, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now = live_clock_ns(), next = responder_next(server), wait = IDLE_NS;

	if (next < now + wait)
		wait = next > now ? next - now : 0;
	poll(&p, 1, (wait + 999999) / 1000000);
	network_advance(n, live_clock_ns());
	take_in(n, fd);
	now = live_clock_ns();
	network_advance(n, now);
	responder_advance(server, now);
	network_advance(n, now);
	give_out(n, fd);
}

int main(int argc, char **argv)
{
	struct responder_config config = {
		.port = RPC_PORT, .reads = READS, .slot_size = RPC_EXTENT_SIZE};
	struct options o = {.mtu = 9000, .extents = 16};
	const struct responder_counters *c;
	struct responder *server;
	uint64_t seed;
	int fd;

	crc_init(true);
	if (!parse(argc, argv, &o) || getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
		fprintf(stderr, "usage: server_live --local PORT --remote PORT --address A.B.C.D "
				"[--extents N] [--mtu N]\n");
		return 2;
	}
	fd = live_wire(o.local, o.remote);
	if (fd < 0) {
		perror("server_live: socket");
		return 1;
	}
	signal(SIGTERM, end);
	signal(SIGINT, end);
	config.network = network_new(seed, o.mtu, SLOTS);
	config.address = o.address;
	config.slots = o.extents;
	server = responder_new(&config);
	printf("ready\n");
	fflush(stdout);
	while (!ended)
		turn(config.network, server, fd);
	c = responder_counters(server);
	printf("%" PRIu64 " connects, %" PRIu64 " refusals, %" PRIu64 " reads, %" PRIu64
	       " writes, %" PRIu64 " duplicates, %" PRIu64 " naks\n",
		c->connects, c->refusals, c->reads, c->writes, c->duplicates, c->naks);
	responder_free(server);
	network_free(config.network);
	return 0;
}
