/* SPDX-License-Identifier: MIT */
/*
 * What one CPU vendor's virtualisation has to offer: the only road from virt/'s neutral code to
 * virt/svm and virt/vmx. Unless it says otherwise a function runs on the vCPU's own CPU.
 */
#ifndef ANNEX_VENDOR_H
#define ANNEX_VENDOR_H

#include <stdbool.h>
#include <stdint.h>
#include "slat/slat.h"
#include "virt/vcpu.h"

struct virt_entry;

/* How the guest's addresses are translated at this moment. */
struct virt_paging {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	bool long_mode; /* EFER.LMA */
	bool code64; /* the code segment is a 64-bit one */
	uint64_t cs_base;
	bool breakpoints; /* DR7 has some enabled */
};

/* What a description shows beside struct vcpu. */
struct virt_shown {
	uint64_t cs, cr0, cr2, cr3, cr4, efer;
};

struct virt_vendor {
	const char *name;
	const struct slat_tables *tables;

	/* Name of the CPU feature that is missing, or NULL. Boot CPU, first of all. */
	const char *(*missing)(void);
	/* The tables may have leaves of 1 GiB. */
	bool (*giant)(void);
	/* Builds what all CPUs share; after the hidden table is complete. Boot CPU. */
	void (*prepare)(void);
	/* Switches virtualisation on; any CPU. */
	void (*cpu_init)(unsigned cpu);
	/* Allocates v->vendor. Boot CPU. */
	void (*make)(struct vcpu *v);
	/* Registers for the boot CPU's kernel entry, or for a CPU that got SIPI. */
	void (*begin)(struct vcpu *v, const struct virt_entry *entry);
	void (*startup)(struct vcpu *v, uint8_t page);

	/*
	 * From virt_run_*() on. SVM: no NMI is taken except in run, sleep and open. VMX: they are taken
	 * at any time, and one that virt_sort_nmis() has not seen yet ends run and sleep at once.
	 */
	void (*close)(void);
	/* Lets in what came meanwhile. */
	void (*open)(void);
	/*
	 * Runs the guest until its next exit, or not at all when an NMI comes first; flush: forget all
	 * its translations before, even then.
	 */
	void (*run)(struct vcpu *v, bool flush);
	/* Deals with that exit. */
	void (*handle)(struct vcpu *v);
	/* Halts until an NMI arrives, unless *word is no longer value. */
	void (*sleep)(const _Atomic uint32_t *word, uint32_t value);

	/* The instruction that exited is done: RIP goes on, an interrupt shadow ends. */
	void (*advance)(struct vcpu *v, unsigned length);
	/* Exception at the next entry. */
	void (*inject)(struct vcpu *v, unsigned vector, bool has_error, uint32_t error);
	/* on: run one instruction against v->detour; off: as before. */
	void (*step)(struct vcpu *v, bool on);
	/* The last exit interrupted the delivery of an event of the guest's: its vector. */
	bool (*delivering)(const struct vcpu *v, unsigned *vector);
	void (*paging)(const struct vcpu *v, struct virt_paging *paging);

	/* The guest's performance counters have sent an NMI that it has not had. */
	bool (*overflowed)(struct vcpu *v);

	/* Name of an exit the guest may cause and its count on one vCPU; false past the end. */
	bool (*counter)(const struct vcpu *v, unsigned index, const char **name, uint64_t *value);
	/* The last exit in a few words, as text_format(), and *shown; any CPU. */
	uint64_t (*describe)(
		const struct vcpu *v, struct virt_shown *shown, char *buffer, uint64_t size);
};

extern const struct virt_vendor svm_vendor;
extern const struct virt_vendor vmx_vendor;

/* The one in use, and the shared SLAT. */
extern const struct virt_vendor *virt_vendor;
extern struct slat virt_slat;

/* What neutral code offers to the vendors and among itself. */
extern struct vcpu virt_vcpu[];
unsigned virt_cpus(void); /* of the guest */
bool virt_stopping(void); /* for good; what a vCPU waits for no longer comes */

/* Sends this vCPU an NMI unless one is on its way already. Any CPU. */
void virt_kick(unsigned cpu);

/* After a window in which NMIs were let in: tells kicks from the guest's own. */
void virt_sort_nmis(struct vcpu *v);

/*
 * Sleeps until *word is no longer value or the VMM stops; spins a moment first. The vCPU must be out
 * of the guest. Woken by virt_wake_waiting() or virt_kick(). One CPU: turns the service loop instead.
 */
void virt_sleep_while(struct vcpu *v, const _Atomic uint32_t *word, uint32_t value);

/*
 * Posts the mailbox or ring whose state this is, wakes the service core and waits as above. True: it
 * was answered, and is the vCPU's again; false: the VMM stops, and it stays the service core's.
 */
bool virt_ask(struct vcpu *v, _Atomic uint32_t *state);

#endif
