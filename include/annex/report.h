/* SPDX-License-Identifier: MIT */
/*
 * What the guest's agent reports once a second, in the doorbell's report buffer. The VMM carries it
 * outward unread (management command `agent`, in hexadecimal digits); who reads it trusts nothing in it.
 * Little-endian, no padding. Counters grow from the guest's boot; sizes are bytes; UINT64_MAX: unknown.
 */
#ifndef ANNEX_REPORT_H
#define ANNEX_REPORT_H

#include <assert.h>
#include <stdint.h>

#define REPORT_MAGIC   0x50525841u /* "AXRP" */
#define REPORT_VERSION 1u
#define REPORT_TOP     8u
#define REPORT_COMM    16u
#define REPORT_UNKNOWN UINT64_MAX

/* Pressure stall information (Documentation/accounting/psi.rst). */
struct report_psi {
	uint32_t some10; /* share of the last 10 s, in 1/100 % */
	uint32_t full10;
	uint64_t some_us; /* in all */
	uint64_t full_us;
};

/* A node of the guest's memory; far: the hot-pluggable one. */
struct report_node {
	uint64_t total;
	uint64_t free;
	uint64_t file;
	uint64_t anon;
};

struct report_process {
	uint32_t pid;
	uint32_t fills; /* estimated remote fills per second, in 1/100 */
	uint64_t far; /* its bytes in far memory, of what was looked at */
	char comm[REPORT_COMM]; /* as in /proc/PID/comm, zero-filled */
};

struct report {
	uint32_t magic;
	uint16_t version;
	uint16_t size; /* of all of it */
	uint32_t sequence;
	uint32_t top_count; /* of top[] in use */
	char agent[16]; /* its version, zero-filled */
	uint64_t uptime_ns; /* of the agent */
	struct report_psi memory;
	struct report_psi io;
	uint64_t refaults; /* workingset_refault_anon + _file */
	uint64_t major_faults;
	struct report_node far;
	struct report_node local; /* all others */
	uint64_t swiotlb_total;
	uint64_t swiotlb_used;
	uint64_t swiotlb_high; /* most ever used */
	uint64_t pinned; /* pages that the agent believes to be pinned, in bytes */
	uint64_t hints_stale; /* hints dropped because the memory had moved */
	uint32_t policies; /* of its configuration */
	uint32_t targets; /* processes and cgroups that they apply to now */
	struct report_process top[REPORT_TOP];
};

static_assert(sizeof(struct report_psi) == 24 && sizeof(struct report_node) == 32 &&
		      sizeof(struct report_process) == 32 && sizeof(struct report) == 472,
	"no padding");

#endif
