/* SPDX-License-Identifier: MIT */
/* The libvirt domain of a memory-server appliance. */
#ifndef ANNEX_PROVISION_H
#define ANNEX_PROVISION_H

#include <libvirt/libvirt.h>
#include <stdint.h>
#include "toolstack/appliance.h"
#include "toolstack/kvm.h"

struct provision {
	const char *name;
	const char *type; /* "qemu" or "kvm" */
	const char *bridge;
	const char *directory; /* absolute: vmlinuz, initrd.gz, console.log */
	uint64_t pool, memory, quota; /* bytes; quota 0: none */
	uint32_t address; /* host order */
	unsigned prefix;
	unsigned mtu;
};

/* Makes the directory with kernel and initramfs. Returns 0 or an error_code. */
int provision_files(const struct provision *p, const struct appliance_parts *parts);

/* The domain's XML; free with xmlFree(). Public for the tests. */
char *provision_xml(const struct provision *p);

/* Defines it. */
int provision_define(virConnectPtr connection, const struct provision *p, virDomainPtr *domain);

#endif
