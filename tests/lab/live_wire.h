/* SPDX-License-Identifier: MIT */
/*
 * The wire of a program that is one end of it in real time: a UDP socket that carries Ethernet frames,
 * one a datagram, as QEMU's `-netdev socket,udp=` and Bochs' `ethmod=socket` do.
 */
#ifndef ANNEX_TESTS_LIVE_WIRE_H
#define ANNEX_TESTS_LIVE_WIRE_H

#include <arpa/inet.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

static inline uint64_t live_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Connected to the other end, so that nobody else's frames come in; -1: errno says why. */
static inline int live_wire(uint16_t local, uint16_t remote)
{
	struct sockaddr_in us = {.sin_family = AF_INET, .sin_port = htons(local)}, peer;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;

	us.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer = us;
	peer.sin_port = htons(remote);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (fd < 0 || bind(fd, (struct sockaddr *)&us, sizeof(us)) < 0 ||
		connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		return -1;
	return fd;
}

#endif
