/* SPDX-License-Identifier: MIT */
/* SDM vol. 3A chapter 11; AMD APM vol. 2 chapter 16. */
#include "lib/panic.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/x86.h"

#define BASE_X2APIC  (1u << 10)
#define BASE_ENABLED (1u << 11)

#define REG_ID            0x20
#define REG_VERSION       0x30
#define REG_TPR           0x80
#define REG_PPR           0xa0
#define REG_EOI           0xb0
#define REG_LDR           0xd0
#define REG_DFR           0xe0
#define REG_SPURIOUS      0xf0
#define REG_ISR           0x100
#define REG_IRR           0x200
#define REG_ICR           0x300
#define REG_ICR2          0x310
#define REG_LVT_TIMER     0x320
#define REG_LVT_THERMAL   0x330
#define REG_LVT_COUNTERS  0x340
#define REG_LVT_LINT0     0x350
#define REG_LVT_LINT1     0x360
#define REG_LVT_ERROR     0x370
#define REG_TIMER_INITIAL 0x380
#define REG_TIMER_CURRENT 0x390
#define REG_TIMER_DIVIDE  0x3e0

#define ICR_FIXED   0x00004000u
#define ICR_NMI     0x00004400u
#define ICR_INIT    0x00004500u
#define ICR_STARTUP 0x00004600u
#define ICR_PENDING 0x00001000u

#define LVT_MASKED  0x10000u
#define LVT_MODE    0x700u
#define LVT_NMI     0x400u
#define DIVIDE_BY_1 0xbu

#define PIC_MASK  0x21u /* the 8259s' interrupt masks */
#define PIC2_MASK 0xa1u

static uint64_t timer_hz;
static bool timer_unmasked; /* the service core's */

bool apic_x2(void)
{
	return rdmsr(MSR_APIC_BASE) & BASE_X2APIC;
}

/* Not from the disabled state in one step (SDM vol. 3A 11.12.5). */
void apic_enter_x2(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BASE_ENABLED);
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BASE_X2APIC);
}

static volatile uint32_t *reg(unsigned offset)
{
	return (volatile uint32_t *)((rdmsr(MSR_APIC_BASE) & 0xffffff000ull) + offset);
}

static uint32_t apic_read(unsigned offset)
{
	return apic_x2() ? (uint32_t)rdmsr(0x800 + offset / 16) : *reg(offset);
}

static void apic_write(unsigned offset, uint32_t value)
{
	if (apic_x2())
		wrmsr(0x800 + offset / 16, value);
	else
		*reg(offset) = value;
}

uint32_t apic_id(void)
{
	return apic_x2() ? apic_read(REG_ID) : apic_read(REG_ID) >> 24;
}

void apic_enable(void)
{
	static const uint16_t lvt[] = {REG_LVT_TIMER, REG_LVT_LINT0, REG_LVT_LINT1, REG_LVT_ERROR};

	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BASE_ENABLED);
	apic_write(REG_SPURIOUS, 0x100 | APIC_VECTOR_SPURIOUS);
	for (unsigned i = 0; i < sizeof(lvt) / sizeof(lvt[0]); i++)
		apic_write(lvt[i], LVT_MASKED | 0x20);
	apic_write(REG_TPR, 0);
}

void apic_refuse_exceptions(void)
{
	apic_write(REG_TPR, 0x10);
}

bool apic_counters_nmi(void)
{
	return (apic_read(REG_LVT_COUNTERS) & (LVT_MASKED | LVT_MODE)) == LVT_NMI;
}

bool apic_counters_masked(void)
{
	return apic_read(REG_LVT_COUNTERS) & LVT_MASKED;
}

void apic_eoi(void)
{
	apic_write(REG_EOI, 0);
}

void apic_reset(void)
{
	static const uint16_t rest[] = {REG_LVT_COUNTERS, REG_LVT_THERMAL};
	unsigned entries = (apic_read(REG_VERSION) >> 16 & 0xff) + 1;

	apic_enable();
	/* Timer, LINT0, LINT1 and error are always there; then come counters and thermal sensor. */
	for (unsigned i = 0; i < sizeof(rest) / sizeof(rest[0]) && i + 4 < entries; i++)
		apic_write(rest[i], LVT_MASKED | 0x20);
	/* Each ends the one of the highest vector. */
	for (unsigned i = 0; i < 256; i++) {
		uint32_t any = 0;

		for (unsigned k = 0; k < 8; k++)
			any |= apic_read(REG_ISR + 16 * k);
		if (!any)
			break;
		apic_eoi();
	}
	if (!apic_x2()) {
		apic_write(REG_LDR, 0);
		apic_write(REG_DFR, 0xffffffffu);
	}
}

bool apic_pending(void)
{
	unsigned least = (apic_read(REG_PPR) >> 4) + 1; /* priority class */

	for (unsigned i = 8; i-- > least / 2;) {
		uint32_t word = apic_read(REG_IRR + 16 * i);

		/* Of the word's two classes only the upper one may count. */
		if (i == least / 2 && least & 1)
			word &= 0xffff0000;
		if (word)
			return true;
	}
	return false;
}

static void wait_idle(void)
{
	while (*reg(REG_ICR) & ICR_PENDING)
		cpu_relax();
}

/*
 * The guest writes ICR2 and then ICR as two instructions; an exit may lie between them, so its ICR2
 * is put back. x2APIC's ICR is one register and has no delivery status.
 */
static void send(uint32_t id, uint32_t command)
{
	uint32_t high;

	if (apic_x2()) {
		__asm__ volatile("mfence; lfence" ::: "memory");
		wrmsr(0x800 + REG_ICR / 16, (uint64_t)id << 32 | command);
		return;
	}
	wait_idle();
	high = *reg(REG_ICR2);
	*reg(REG_ICR2) = id << 24;
	*reg(REG_ICR) = command;
	wait_idle();
	*reg(REG_ICR2) = high;
}

void apic_send_nmi(uint32_t id)
{
	send(id, ICR_NMI);
}

void apic_send_fixed(uint32_t id, uint8_t vector)
{
	send(id, ICR_FIXED | vector);
}

void apic_send_init(uint32_t id)
{
	send(id, ICR_INIT);
}

void apic_send_startup(uint32_t id, uint8_t page)
{
	send(id, ICR_STARTUP | page);
}

static uint32_t timer_current(void)
{
	return apic_read(REG_TIMER_CURRENT);
}

void apic_calibrate(void)
{
	struct clock_sample begin, end;

	apic_write(REG_LVT_TIMER, LVT_MASKED | APIC_VECTOR_TIMER);
	apic_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(REG_TIMER_INITIAL, 0xffffffffu);
	begin = clock_sample(timer_current);
	clock_wait(5000000);
	end = clock_sample(timer_current);
	apic_write(REG_TIMER_INITIAL, 0);
	timer_hz = (begin.value - end.value) * clock_tsc(1000000000) / (end.tsc - begin.tsc);
	if (timer_hz < 1000000)
		panic_boot("the local APIC's timer does not run (%lu Hz measured)",
			(unsigned long)timer_hz);
}

/*
 * LINT0 may bring the 8259's interrupts, of any vector: masked first, and the TPR, which lets no vector
 * of an exception's number in, written behind it (QEMU takes back only then what the 8259 has asked
 * for already).
 */
void apic_nap(uint64_t ns)
{
	static const uint16_t kept[] = {
		REG_SPURIOUS, REG_TIMER_DIVIDE, REG_LVT_TIMER, REG_TPR, REG_LVT_LINT0};
	const unsigned n = sizeof(kept) / sizeof(kept[0]);
	uint32_t value[sizeof(kept) / sizeof(kept[0])];
	/* Bochs' 8259s reach the boot CPU past a masked LINT0, with vectors of exceptions. */
	uint8_t pic[] = {in8(PIC_MASK), in8(PIC2_MASK)};

	out8(PIC_MASK, 0xff);
	out8(PIC2_MASK, 0xff);
	for (unsigned i = 0; i < n; i++)
		value[i] = apic_read(kept[i]);
	apic_write(REG_SPURIOUS, 0x100 | APIC_VECTOR_SPURIOUS);
	apic_write(REG_LVT_LINT0, value[n - 1] | LVT_MASKED);
	apic_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(REG_LVT_TIMER, APIC_VECTOR_TIMER);
	apic_write(REG_TPR, 0x10);
	apic_write(REG_TIMER_INITIAL, (uint32_t)(ns * (timer_hz / 1000) / 1000000 + 1));
	__asm__ volatile("sti; hlt; cli" ::: "memory");
	apic_write(REG_TIMER_INITIAL, 0);
	for (unsigned i = 0; i < n; i++)
		apic_write(kept[i], value[i]);
	out8(PIC_MASK, pic[0]);
	out8(PIC2_MASK, pic[1]);
}

bool apic_timer_take(void)
{
	if (!timer_hz)
		return false;
	apic_enable();
	apic_refuse_exceptions();
	/* For good: the 8259s' vectors may be those of exceptions. */
	out8(PIC_MASK, 0xff);
	out8(PIC2_MASK, 0xff);
	timer_unmasked = false;
	return true;
}

void apic_timer(uint64_t ns)
{
	uint64_t ticks;

	if (ns > 1000000000ull)
		ns = 1000000000ull;
	ticks = ns * (timer_hz / 1000) / 1000000 + 1;
	if (ticks > 0xffffffffu)
		ticks = 0xffffffffu;
	/* One register each time, not three: under an emulator each costs microseconds. */
	if (!timer_unmasked) {
		apic_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
		apic_write(REG_LVT_TIMER, APIC_VECTOR_TIMER);
		timer_unmasked = true;
	}
	apic_write(REG_TIMER_INITIAL, (uint32_t)ticks);
}
