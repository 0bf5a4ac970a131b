/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <string.h>
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/cpu.h"
#include "machine/idt.h"
#include "machine/mtrr.h"
#include "machine/x86.h"

#define SELECTOR_TSS 0x20
#define START_NS     2000000000ull

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map;
} __attribute__((packed));

struct tables {
	uint64_t gdt[6];
	struct tss tss;
	uint8_t fault_stack[2048] __attribute__((aligned(16)));
} __attribute__((aligned(64)));

struct cpu_stack cpu_stacks[LAYOUT_CPUS];

static struct tables tables[LAYOUT_CPUS];
static void (*ap_main)(unsigned number);
static _Atomic uint32_t started;
static bool x2; /* the boot CPU's mode */

extern const uint8_t entry_trampoline[];
extern const uint8_t entry_trampoline_end[];
extern uint64_t entry_ap_stack;
void cpu_ap_entry(void);

static void load_gdt(struct tables *t)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(t->gdt) - 1, (uint64_t)t->gdt};
	uint64_t tss = (uint64_t)&t->tss;

	t->tss.ist[0] = (uint64_t)t->fault_stack + sizeof(t->fault_stack);
	t->tss.io_map = sizeof(t->tss);
	t->gdt[1] = 0x00af9b000000ffffull;
	t->gdt[2] = 0x00cf93000000ffffull;
	t->gdt[3] = 0x00cf9b000000ffffull;
	t->gdt[4] = (sizeof(t->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 |
		    (tss >> 24 & 0xff) << 56;
	t->gdt[5] = tss >> 32;
	__asm__ volatile("lgdt %0" ::"m"(pointer));
	__asm__ volatile("ltr %w0" ::"r"(SELECTOR_TSS));
}

void cpu_init(unsigned number)
{
	cpu_stacks[number].magic = CPU_MAGIC;
	cpu_stacks[number].number = number;
	cpu_stacks[number].apic_id = apic_id();
	load_gdt(&tables[number]);
	idt_load();
}

/* First C of a started CPU: entry.S gave it the stack that the boot CPU had chosen. */
void cpu_ap_entry(void)
{
	unsigned number = cpu_number();

	/* Firmware keeps all in one mode; a boot loader may have changed its own CPU's alone. */
	if (x2)
		apic_enter_x2();
	cpu_init(number);
	mtrr_load();
	apic_enable();
	atomic_store(&started, number);
	ap_main(number);
	panic("CPU %u has nothing to do", number);
}

static bool wait_started(unsigned number, uint64_t ns)
{
	uint64_t end = clock_now() + ns;

	while (atomic_load(&started) != number) {
		if (clock_now() > end)
			return false;
		cpu_relax();
	}
	return true;
}

/* INIT, then STARTUP twice at most (SDM vol. 3A 9.4.4). */
static void start(unsigned number)
{
	uint32_t id = layout.apic_id[number];

	cpu_stacks[number].number = number;
	entry_ap_stack = (uint64_t)(&cpu_stacks[number] + 1);
	atomic_thread_fence(memory_order_seq_cst);
	apic_send_init(id);
	clock_wait(10000000);
	apic_send_startup(id, (uint8_t)(layout.trampoline >> 12));
	if (wait_started(number, 10000000))
		return;
	apic_send_startup(id, (uint8_t)(layout.trampoline >> 12));
	if (!wait_started(number, START_NS))
		panic_boot("CPU %u (APIC id %u) did not start within 2 s", number, id);
}

void cpu_start_others(void (*main)(unsigned number))
{
	static uint8_t kept[256];
	size_t length = (size_t)(entry_trampoline_end - entry_trampoline);
	void *page = (void *)layout.trampoline;

	check(length <= sizeof(kept));
	ap_main = main;
	x2 = apic_x2();
	mtrr_save();
	/* The page is the guest's or the firmware's: its content is put back. */
	memcpy(kept, page, length);
	memcpy(page, entry_trampoline, length);
	for (unsigned i = 1; i < layout.cpus; i++)
		start(i);
	memcpy(page, kept, length);
	log_info("cpu: %u CPUs started", layout.cpus);
}
