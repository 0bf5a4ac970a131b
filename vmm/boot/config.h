/* SPDX-License-Identifier: MIT */
/* The parsed configuration (include/annex/config.h). Neutral: also built for the host's tests. */
#ifndef ANNEX_BOOT_CONFIG_H
#define ANNEX_BOOT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/config.h"

struct config_server {
	char name[CONFIG_NAME_MAX];
	uint32_t address; /* host order */
	uint16_t port;
	unsigned line; /* of the configuration */
};

struct config {
	uint64_t far;
	uint64_t pinned;
	uint64_t pcache; /* 0: all other local memory */
	uint64_t pin; /* most that hints may pin; 0: none */
	uint16_t nic; /* pci_address */
	uint32_t address;
	uint32_t prefix;
	uint32_t gateway; /* 0: none */
	struct config_server server[CONFIG_SERVERS];
	unsigned servers;
	uint64_t tenant;
	uint8_t domain[16];
	uint32_t mtu; /* 0: the NIC's */
	uint32_t prefetch; /* pages; 0: none */
	int log; /* enum log_level */
	bool wakeup_mailbox; /* the guest starts its other CPUs by ACPI's mailbox, not by SIPI */
	bool boot_disk; /* the guest's own boot loader, not a kernel that was handed over */
};

/*
 * Parses the file. On failure writes one line that names the line number, the key and what is wrong
 * ("config line 3: far = 12Q: not a size such as 512M") and returns false. Hostile input is fine.
 */
bool config_parse(const char *text, size_t length, struct config *config, char *error, size_t size);

#endif
