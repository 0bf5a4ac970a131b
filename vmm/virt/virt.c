/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <string.h>
#include "lib/event.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/text.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/cpu.h"
#include "machine/layout.h"
#include "machine/memory.h"
#include "machine/x86.h"
#include "service/service.h"
#include "virt/apic_trap.h"
#include "virt/kick.h"
#include "virt/vendor.h"
#include "virt/virt.h"
#include "virt/wakeup.h"

#define SPIN_NS 10000ull

#define CPUID_VMX           (1u << 5) /* leaf 1, ECX */
#define CPUID_SVM           (1u << 2) /* leaf 0x80000001, ECX */
#define CPUID_GENUINE_INTEL 0x756e6547u /* "Genu" */

struct shootdown virt_shootdown;
struct mailbox virt_mailbox[SHOOTDOWN_CPUS];
struct ring virt_ring[SHOOTDOWN_CPUS];
const struct virt_vendor *virt_vendor;
struct slat virt_slat;
struct vcpu virt_vcpu[SHOOTDOWN_CPUS];

static struct slat_window window;
static _Atomic uint32_t held, stopping;

unsigned virt_cpus(void)
{
	return layout_guest_cpus();
}

/* Where neither is there, the maker's own is what is missing. */
static const struct virt_vendor *choose(void)
{
	struct cpuid maker = cpuid(0, 0);

	if (cpuid(1, 0).ecx & CPUID_VMX)
		return &vmx_vendor;
	if (cpuid(0x80000001, 0).ecx & CPUID_SVM)
		return &svm_vendor;
	return maker.ebx == CPUID_GENUINE_INTEL ? &vmx_vendor : &svm_vendor;
}

void virt_init(void)
{
	const struct virt_vendor *vendor = choose();
	const char *missing = vendor->missing();

	if (missing)
		panic_boot("this CPU lacks %s, which Annex needs", missing);
	virt_vendor = vendor;
	log_info("virt: %s%s", vendor->name,
		vendor->tables->format->accessed ? "" : ", without accessed and dirty bits");
}

static void shootdown_kick(void *context, unsigned cpu)
{
	(void)context;
	event_record(EVENT_KICK, cpu, virt_shootdown.epoch);
	virt_kick(cpu);
}

const struct slat_window *virt_build_slat(void)
{
	uint8_t *ones = memory_take(SLAT_PAGE, SLAT_PAGE, "absent page");

	memset(ones, 0xff, SLAT_PAGE);
	check(virt_cpus() <= SHOOTDOWN_CPUS);
	slat_init(&virt_slat, virt_vendor->tables, virt_vendor->giant());
	slat_build(&virt_slat, (uintptr_t)ones, apic_trap_page(), &window);
	virt_vendor->prepare();
	for (unsigned i = 0; i < virt_cpus(); i++) {
		struct vcpu *v = &virt_vcpu[i];

		v->cpu = i;
		v->apic_id = layout.apic_id[i];
		v->apic_dfr = UINT32_MAX;
		v->waiting = i != 0;
		v->step_page = memory_take(SLAT_PAGE, SLAT_PAGE, "replay page");
		slat_detour_init(&v->detour);
		virt_vendor->make(v);
	}
	shootdown_init(&virt_shootdown, virt_cpus(), shootdown_kick, NULL);
	return &window;
}

void virt_replace(uint64_t gpa, const void *page)
{
	slat_map_same(&virt_slat, gpa, gpa + SLAT_PAGE, (uintptr_t)page);
}

const struct slat_window *virt_window(void)
{
	return &window;
}

void virt_cpu_init(unsigned cpu)
{
	virt_vendor->cpu_init(cpu);
}

/* Not an event of the report: wake-ups after faults would fill it. */
void virt_kick(unsigned cpu)
{
	struct vcpu *v = &virt_vcpu[cpu];

	if (kick_claim(&v->kick, clock_now() | 1))
		apic_send_nmi(v->apic_id);
}

void virt_host_nmi(void)
{
	unsigned cpu = cpu_number();

	if (cpu < SHOOTDOWN_CPUS)
		atomic_fetch_add(&virt_vcpu[cpu].nmi_arrived, 1);
}

void virt_sort_nmis(struct vcpu *v)
{
	if (atomic_exchange(&v->nmi_arrived, 0)) {
		/* A kick may have swallowed the NMI of the guest's counters: they are asked themselves. */
		bool counters = virt_vendor->overflowed(v);

		if (!kick_answer(&v->kick, clock_now() | 1, counters) || counters) {
			v->nmi_pending = true;
			event_record(EVENT_NMI, v->cpu, v->rip);
		}
	}
	if (atomic_exchange(&v->nmi_asked, 0))
		v->nmi_pending = true;
}

static bool stands(const _Atomic uint32_t *word, uint32_t value)
{
	return atomic_load(word) == value && !atomic_load(&stopping);
}

void virt_sleep_while(struct vcpu *v, const _Atomic uint32_t *word, uint32_t value)
{
	uint64_t end = clock_now() + SPIN_NS;

	if (layout_one_cpu()) {
		while (stands(word, value))
			service_turn();
		return;
	}
	while (stands(word, value) && clock_now() < end)
		cpu_relax();
	while (stands(word, value)) {
		v->word = word;
		v->value = value;
		atomic_exchange(&v->asleep, 1);
		if (stands(word, value))
			virt_vendor->sleep(word, value);
		atomic_exchange(&v->asleep, 0);
		virt_sort_nmis(v);
	}
}

bool virt_ask(struct vcpu *v, _Atomic uint32_t *state)
{
	atomic_store_explicit(state, MAILBOX_POSTED, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&service_asleep))
		apic_send_fixed(service_apic_id, APIC_VECTOR_WAKE);
	virt_sleep_while(v, state, MAILBOX_POSTED);
	if (atomic_load(state) != MAILBOX_DONE)
		return false;
	atomic_store_explicit(state, MAILBOX_EMPTY, memory_order_release);
	return true;
}

void virt_wake_waiting(void)
{
	atomic_thread_fence(memory_order_seq_cst);
	wakeup_look();
	for (unsigned i = 0; i < virt_cpus(); i++) {
		struct vcpu *v = &virt_vcpu[i];

		if (atomic_load(&v->asleep) && atomic_load(v->word) != v->value)
			virt_kick(i);
	}
}

static void kick_all(void)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < virt_cpus(); i++) {
		if (i != cpu_number())
			virt_kick(i);
	}
}

void virt_hold(bool hold)
{
	if (atomic_exchange(&held, hold) == hold)
		return;
	if (hold)
		kick_all();
	else
		virt_wake_waiting();
}

void virt_stop(void)
{
	if (!atomic_exchange(&stopping, 1) && virt_vendor)
		kick_all();
}

/* Out of the guest for good: nothing wakes it but NMIs, and after those it halts again. */
static _Noreturn void stop_here(struct vcpu *v)
{
	for (;;) {
		virt_vendor->sleep(&stopping, 1);
		virt_sort_nmis(v);
	}
}

static void begin(struct vcpu *v, const struct virt_entry *entry)
{
	if (entry->real_mode)
		virt_vendor->startup(v, entry->page);
	else
		virt_vendor->begin(v, entry);
}

bool virt_stopping(void)
{
	return atomic_load(&stopping);
}

/* The guest's CPU got INIT: it starts again where SIPI says, or the mailbox. */
static void wait_for_start(struct vcpu *v)
{
	struct virt_entry entry = {.real_mode = true};

	/* INIT masks what an APIC sends by itself; kicks come as NMIs, whatever its state. */
	apic_reset();
	v->counters_open = false;
	v->apic_ldr = 0;
	v->apic_dfr = UINT32_MAX;
	atomic_store(&v->waiting, 1);
	atomic_store(&v->init_asked, 0);
	if (wakeup_used())
		wakeup_wait(v, &entry);
	else
		virt_sleep_while(v, &v->sipi, 0);
	if (virt_stopping())
		return;
	atomic_store(&v->waiting, 0);
	entry.page = atomic_exchange(&v->sipi, 0) & 0xff;
	v->nmi_pending = false;
	v->flush = true;
	begin(v, &entry);
	log_info("virt: CPU %u starts at 0x%lx", v->cpu,
		entry.real_mode ? (unsigned long)entry.page << 12 : (unsigned long)entry.rip);
}

/* True: the guest was in; false: something is to be looked at first. */
static bool run_once(struct vcpu *v)
{
	uint64_t epoch;
	bool flush = shootdown_enter(&virt_shootdown, v->cpu, &epoch);

	/* Whoever sets these looks at in_guest afterwards, so that one of both sees the other. */
	if (atomic_load(&stopping) || atomic_load(&held) || atomic_load(&v->init_asked)) {
		shootdown_leave(&virt_shootdown, v->cpu);
		return false;
	}
	/* Run flushes before anything else; an NMI from here on prevents or ends the stay. */
	if (flush)
		shootdown_flushed(&virt_shootdown, v->cpu, epoch);
	virt_vendor->run(v, flush || v->flush);
	v->flush = false;
	shootdown_leave(&virt_shootdown, v->cpu);
	return true;
}

static _Noreturn void turn(struct vcpu *v)
{
	for (;;) {
		if (atomic_load(&stopping))
			stop_here(v);
		if (atomic_load(&v->init_asked))
			wait_for_start(v);
		else if (atomic_load(&held))
			virt_sleep_while(v, &held, 1);
		else if (run_once(v))
			virt_vendor->handle(v);
		virt_sort_nmis(v);
		/* Whatever ended the stay in the guest: the loop has its turn. */
		if (layout_one_cpu())
			service_turn();
	}
}

void virt_run_boot(const struct virt_entry *entry)
{
	struct vcpu *v = &virt_vcpu[0];

	virt_vendor->close();
	begin(v, entry);
	turn(v);
}

void virt_run_waiting(unsigned cpu)
{
	struct vcpu *v = &virt_vcpu[cpu];

	virt_vendor->close();
	atomic_store(&v->init_asked, 1);
	turn(v);
}

bool virt_counter(unsigned index, const char **name, uint64_t *value)
{
	*value = 0;
	for (unsigned i = 0; i < virt_cpus(); i++) {
		uint64_t one;

		if (!virt_vendor->counter(&virt_vcpu[i], index, name, &one))
			return false;
		*value += one;
	}
	return true;
}

void virt_describe(unsigned cpu, char *buffer, uint64_t size)
{
	const struct vcpu *v = &virt_vcpu[cpu];
	const uint64_t *g = v->gpr;
	struct virt_shown s = {0};
	uint64_t n;

	if (size)
		buffer[0] = 0;
	if (!virt_vendor || cpu >= virt_cpus() || !v->vendor)
		return;
	n = text_format(buffer, size, "CPU %u: last exit ", cpu);
	if (n < size)
		n += virt_vendor->describe(v, &s, buffer + n, size - n);
	if (n >= size)
		return;
	text_format(buffer + n, size - n,
		"%s%s\n"
		"  rip %lx:%016lx rflags %lx cr0 %lx cr2 %lx cr3 %lx cr4 %lx efer %lx\n"
		"  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n"
		"  rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n"
		"  r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n"
		"  r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n",
		v->waiting ? ", not started" : "", v->asleep ? ", asleep" : "", s.cs, v->rip,
		v->rflags, s.cr0, s.cr2, s.cr3, s.cr4, s.efer, g[GPR_RAX], g[GPR_RBX], g[GPR_RCX],
		g[GPR_RDX], g[GPR_RSI], g[GPR_RDI], g[GPR_RBP], g[GPR_RSP], g[8], g[9], g[10],
		g[11], g[12], g[13], g[14], g[15]);
}
