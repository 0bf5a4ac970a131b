/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include "lib/event.h"
#include "lib/panic.h"
#include "machine/apic.h"
#include "machine/cpu.h"
#include "machine/idt.h"
#include "machine/stop.h"
#include "machine/x86.h"
#include "virt/virt.h"

#define VECTOR_NMI          2
#define VECTOR_DOUBLE_FAULT 8
#define GATE_INTERRUPT      0x8e

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t zero;
};

static struct gate gates[256] __attribute__((aligned(16)));

extern const uint8_t vectors_exceptions[];
void vectors_nmi(void);
void vectors_interrupt(void);
void vectors_spurious(void);
void idt_exception(const struct idt_frame *frame);
void idt_nmi(void);

static void gate_set(unsigned vector, uint64_t address, uint8_t ist)
{
	gates[vector] = (struct gate){
		.offset_low = (uint16_t)address,
		.selector = 0x08,
		.ist = ist,
		.type = GATE_INTERRUPT,
		.offset_middle = (uint16_t)(address >> 16),
		.offset_high = (uint32_t)(address >> 32),
	};
}

void idt_set(unsigned vector, void (*handler)(void))
{
	check(vector < 256);
	gate_set(vector, (uint64_t)handler, 0);
}

void idt_init(void)
{
	for (unsigned v = 0; v < 32; v++)
		gate_set(v, (uint64_t)vectors_exceptions + 16 * v, v == VECTOR_DOUBLE_FAULT);
	for (unsigned v = 32; v < 256; v++)
		idt_set(v, vectors_interrupt);
	idt_set(VECTOR_NMI, vectors_nmi);
	idt_set(APIC_VECTOR_SPURIOUS, vectors_spurious);
}

void idt_load(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(gates) - 1, (uint64_t)gates};

	__asm__ volatile("lidt %0" ::"m"(pointer));
}

void idt_exception(const struct idt_frame *frame)
{
	stop_with_frame(frame);
}

void idt_nmi(void)
{
	stop_here_if_asked();
	virt_host_nmi();
}
