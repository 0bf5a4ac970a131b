/* SPDX-License-Identifier: MIT */
/*
 * The instruction test: a small kernel of its own that runs under the VMM and looks, one assertion per
 * behaviour, at what a guest may see and at what must not change because memory is far. It knows no
 * vendor: what AMD and Intel do differently is accepted both ways, with a word why.
 */
#ifndef ANNEX_ITEST_H
#define ANNEX_ITEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "machine/registers.h"
#include "machine/x86.h"

#define PAGE 4096ul
#define MIB  (1ul << 20)
#define GIB  (1ul << 30)

/* Selectors; user ones in the order that SYSRET wants. */
#define SEL_CODE32    0x08
#define SEL_CODE64    0x10
#define SEL_DATA      0x18
#define SEL_USER_DATA 0x2b
#define SEL_USER_CODE 0x33
#define SEL_TSS       0x40 /* CPU n: + 16 n */
#define GDT_ENTRIES   128u

#define FLAG_CF (1ull << 0)
#define FLAG_TF (1ull << 8)
#define FLAG_IF (1ull << 9)
#define FLAG_DF (1ull << 10)

#define MSR_TSC 0x10u

enum {
	DE = 0,
	DB = 1,
	NMI = 2,
	BP = 3,
	OF = 4,
	UD = 6,
	NM = 7,
	DF = 8,
	NP = 11,
	SS = 12,
	GP = 13,
	PF = 14,
	VECTOR_SOFT = 0x80, /* INT 0x80, from CPL 3 too */
	VECTOR_EXIT = 0x81, /* ends user_call() */
	VECTOR_TIMER = 0xe0,
	VECTOR_IPI = 0xe1,
	VECTOR_WAKE = 0xe2, /* there is work for a halted CPU */
	VECTOR_SPURIOUS = 0xff,
};

/* ---- report.c: assertions and the console */

/* One assertion. Its text says what holds. */
bool ok(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same of two numbers, which are shown if they differ. */
bool same(uint64_t got, uint64_t want, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void skip(const char *what, const char *why);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void finish(void);

/* ---- trap.c */

struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct seen {
	volatile uint32_t count;
	struct frame frame; /* the last one */
	uint64_t cr2, dr6;
};

struct gate {
	uint16_t offset0, selector;
	uint8_t ist, type;
	uint16_t offset1;
	uint32_t offset2, reserved;
};

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, io_map;
	uint8_t io[0x2001];
} __attribute__((packed));

extern struct seen seen[256]; /* boot CPU */
extern void (*volatile hook[256])(struct frame *); /* boot CPU; instead of what is usual */
extern volatile uint64_t catch_rip; /* where an exception of TRY() goes on */
extern volatile uint64_t catch_rsp; /* and its stack, unless 0 */
extern volatile uint32_t caught; /* 0, or 0x100 | vector */
extern uint64_t boot_gdt[GDT_ENTRIES];
extern struct gate boot_idt[256];
extern struct tss boot_tss;

void trap_init(void);
void trap_load_gdt(uint64_t *gdt); /* and all segment registers */
void trap_load_idt(const struct gate *idt);
void trap_load_tss(unsigned cpu, struct tss *tss, uint64_t *gdt);
void trap_set_ist(struct gate *idt, unsigned vector, unsigned ist);

#define CAUGHT(vector) (0x100u | (vector))

/*
 * Executes `code`; the first exception ends it. Value: 0 or CAUGHT(vector). Operands follow in the
 * usual way; R11 is lost. Boot CPU.
 */
#define TRY(code, ...)                                                                             \
	(caught = 0, ({                                                                            \
		__asm__ volatile("leaq 99f(%%rip), %%r11\n\t"                                      \
				 "movq %%r11, catch_rip(%%rip)\n\t" code "\n"                      \
				 "99:\n\t"                                                         \
				 "movq $0, catch_rip(%%rip)" __VA_ARGS__);                         \
	}),                                                                                        \
		caught)

struct registers {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi;
};

/* Calls what lies there with those registers, and keeps them; value as of TRY(). */
unsigned call_code(uint64_t code, struct registers *r);

/* Runs code at CPL 3 until INT 0x81 or an exception; value as of TRY(). */
unsigned user_run(uint64_t code, uint64_t stack);

/* ---- machine.c: what the machine is */

struct machine {
	const char *cmdline;
	uint64_t far_base, far_bytes;
	uint64_t ecam; /* 0: none */
	uint64_t memory_end; /* of the pinned memory that the payload lies in */
	uint64_t own, own_bytes; /* the VMM's largest piece */
	unsigned cpus;
	uint32_t apic_id[32];
	unsigned hidden_rows;
	uint64_t hidden[16], hidden_bytes[16]; /* of the memory map, in the hole below 4 GiB */
	bool amd;
};

extern struct machine machine;

void machine_init(const void *boot_params);
/* A number of the command line (itest.NAME=N), or `otherwise`. */
uint64_t machine_option(const char *name, uint64_t otherwise);
_Noreturn void machine_off(void);
void *pinned_take(uint64_t bytes, uint64_t align); /* zeroed */

/* ---- pages.c: page tables and far memory */

#define PTE_P  1ull
#define PTE_W  2ull
#define PTE_U  4ull
#define PTE_CD 0x10ull
#define PTE_A  0x20ull
#define PTE_D  0x40ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)

#define FAR_VA  0x100000000000ull /* the window in 4 KiB pages */
#define USER_VA 0x300000000000ull /* for pages that CPL 3 may use */
#define TEST_VA 0x400000000000ull /* for the tests' own mappings */

extern bool pages_giant; /* 1 GiB pages are there */

void pages_init(void);
/* Maps bytes at pa; level 0: 4 KiB, 1: 2 MiB, 2: 1 GiB pages. Tables are pinned. */
void pages_map(uint64_t va, uint64_t pa, uint64_t bytes, unsigned level, uint64_t flags);
/* The entry that maps va at that level (0: a page's), or NULL. */
uint64_t *pages_entry(uint64_t va, unsigned level);
void pages_flush(void);

uint64_t far_take(unsigned pages); /* consecutive; returns their address in the FAR_VA mapping */
static inline uint64_t far_gpa(uint64_t va);
/* Touches so many other far pages that none of before keeps its frame. */
void far_push_out(void);
extern uint64_t far_pushes;
/* Fills bytes with a pattern, or looks whether it is there. */
void pattern_fill(uint64_t va, uint64_t bytes, uint64_t seed);
bool pattern_good(uint64_t va, uint64_t bytes, uint64_t seed);

/* ---- smp.c */

extern volatile uint32_t smp_nmis[32], smp_ipis[32], smp_alive[32];
void smp_start(void); /* all of them */
bool smp_start_one(unsigned cpu); /* by INIT, SIPI, SIPI */
/* Runs it on CPU n >= 1; smp_wait() until it is through (false: it took too long). */
void smp_run(unsigned cpu, void (*function)(void *), void *argument);
bool smp_wait(unsigned cpu);
void smp_trap(unsigned cpu, struct frame *f);
void smp_test_start(void);

/* ---- doorbell.c */

struct bell {
	uint64_t rax, rbx, rcx, rdx;
	uint64_t word[10]; /* RSI, RDI, R8 to R15 */
};

/* IN EAX, DX with these registers, which it keeps. Any CPU. */
void bell_ring(struct bell *b);

/* ---- the tests */

void test_cpuid(void);
void test_msr(void);
void test_registers(void);
void test_instructions(void);
void test_user(void);
void test_ports(void);
void test_hidden(void);
void test_doorbell(void);
void test_nmi(void);
void test_interrupts(void);
void test_events(void);
void test_pages(void);
void test_code(void);
void test_strings(void);
void test_atomic(void);
void test_icr(void);

/* ---- instructions */

static inline uint64_t far_gpa(uint64_t va)
{
	return va - FAR_VA + machine.far_base;
}

static inline unsigned try_rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0, high = 0;
	unsigned r = TRY("rdmsr", : "+a"(low), "+d"(high) : "c"(msr) : "r11", "memory");

	*value = (uint64_t)high << 32 | low;
	return r;
}

static inline unsigned try_wrmsr(uint32_t msr, uint64_t value)
{
	return TRY("wrmsr", : : "c"(msr), "a"((uint32_t)value), "d"(value >> 32) : "r11", "memory");
}

#define WRITE_CONTROL(n)                                                                           \
	static inline void write_cr##n(uint64_t value)                                             \
	{                                                                                          \
		__asm__ volatile("movq %0, %%cr" #n : : "r"(value) : "memory");                    \
	}

#define TRY_CONTROL(n)                                                                             \
	static inline unsigned try_cr##n(uint64_t value)                                           \
	{                                                                                          \
		return TRY("movq %0, %%cr" #n, : : "r"(value) : "r11", "memory");                  \
	}

WRITE_CONTROL(0)
WRITE_CONTROL(2)
WRITE_CONTROL(3)
WRITE_CONTROL(8)
TRY_CONTROL(0)
TRY_CONTROL(3)
TRY_CONTROL(4)
TRY_CONTROL(8)

static inline uint64_t read_cr8(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr8, %0" : "=r"(value));
	return value;
}

static inline uint8_t get8(uint64_t a)
{
	return *(volatile uint8_t *)a;
}

static inline uint64_t get64(uint64_t a)
{
	return *(volatile uint64_t *)a;
}

static inline void put8(uint64_t a, uint8_t v)
{
	*(volatile uint8_t *)a = v;
}

static inline void put64(uint64_t a, uint64_t v)
{
	*(volatile uint64_t *)a = v;
}

/* ---- apic.c */

#define APIC_ID      0x020u
#define APIC_TPR     0x080u
#define APIC_EOI     0x0b0u
#define APIC_SVR     0x0f0u
#define APIC_IRR     0x200u
#define APIC_ESR     0x280u
#define APIC_ICR     0x300u
#define APIC_ICR2    0x310u
#define APIC_TIMER   0x320u
#define APIC_INITIAL 0x380u
#define APIC_CURRENT 0x390u
#define APIC_DIVIDE  0x3e0u

#define ICR_FIXED  0x000u
#define ICR_NMI    0x400u
#define ICR_INIT   0x500u
#define ICR_SIPI   0x600u
#define ICR_ASSERT 0x4000u
#define ICR_SELF   0x40000u
#define ICR_ALL    0x80000u
#define ICR_OTHERS 0xc0000u

void apic_init(void); /* each CPU */
uint32_t apic_read(unsigned reg);
void apic_write(unsigned reg, uint32_t value);
void apic_send(uint32_t to, uint32_t command);
void apic_timer(uint32_t ticks); /* one interrupt */
void apic_wait_us(unsigned us); /* by the counter of the TSC, roughly */
uint32_t apic_id(void);

#endif
