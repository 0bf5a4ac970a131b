/* SPDX-License-Identifier: MIT */
/* What the files of the appliance's init share. */
#ifndef ANNEX_APPLIANCE_INIT_H
#define ANNEX_APPLIANCE_INIT_H

#include <stdbool.h>
#include <stdint.h>

/* A line on the console. */
void init_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, then the machine is powered off. */
_Noreturn void init_give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Until the path exists; false after that many seconds. */
bool init_wait_for(const char *path, unsigned seconds);

/* lo and eth0 up, with address (host order) and MTU. NULL, or what failed (errno says why). */
const char *init_network(uint32_t address, unsigned prefix, unsigned mtu);

/* What `rdma link add NAME type rxe netdev DEVICE` does. NULL, or what failed. */
const char *init_rxe(const char *name, const char *device);

/* Opens the control port, the second serial port; without one there is none. */
void init_control_open(void);

/*
 * Waits for input that long, and answers what came: annex-memserver's control socket from afar. True:
 * the server is to be ended and started again.
 */
bool init_control_turn(int milliseconds);

/* Whether something accepts TCP connections there. */
bool init_answers(uint32_t address, uint16_t port);

#endif
