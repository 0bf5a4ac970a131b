/* SPDX-License-Identifier: MIT */
/* Memory that is hidden: the NIC's, the VMM's, what nobody has. */
#include "itest.h"

#define SLOT PAGE

static void every_access(uint64_t a, const char *what)
{
	uint64_t far_page = far_take(2), v, was = 5;
	struct registers r = {0};
	uint8_t byte;

	far_push_out();
	ok(get8(a + 1) == 0xff && *(volatile uint16_t *)(a + 2) == 0xffff &&
			*(volatile uint32_t *)(a + 4) == UINT32_MAX && get64(a + 8) == UINT64_MAX,
		"%s reads as ones at every width", what);
	put64(a, 0);
	*(volatile uint32_t *)(a + 8) = 0;
	put8(a + 16, 0);
	ok(get64(a) == UINT64_MAX && get64(a + 8) == UINT64_MAX, "%s ignores writes", what);
	same(*(volatile uint32_t *)(a + 0x101), UINT32_MAX, "%s unaligned", what);
	__asm__ volatile("xchgq %0, (%1)" : "=r"(v) : "r"(a), "0"(7ull) : "memory");
	same(v, UINT64_MAX, "XCHG with %s", what);
	v = 1;
	__asm__ volatile("lock xaddq %0, (%1)" : "+r"(v) : "r"(a) : "memory");
	same(v, UINT64_MAX, "LOCK XADD of %s", what);
	__asm__ volatile("lock cmpxchgq %2, (%1)" : "+a"(was) : "r"(a), "r"(9ull) : "memory", "cc");
	same(was, UINT64_MAX, "LOCK CMPXCHG of %s", what);
	__asm__ volatile("pushq (%1)\n\tpopq %0" : "=r"(v) : "r"(a) : "memory");
	same(v, UINT64_MAX, "PUSH of %s", what);
	__asm__ volatile("addb $1, (%1)\n\tsetc %0" : "=q"(byte) : "r"(a) : "memory", "cc");
	same(byte, 1, "ADD to %s", what);
	/* Absent and far memory in one instruction. */
	put64(far_page + PAGE, 0x1111);
	far_push_out();
	__asm__ volatile("movq %1, %%rsi\n\tmovq %0, %%rdi\n\tmovl $9, %%ecx\n\trep movsb"
			 :
			 : "r"(far_page + PAGE - 4), "r"(a)
			 : "rsi", "rdi", "rcx", "memory");
	ok(get64(far_page + PAGE - 4) == UINT64_MAX && get64(far_page + PAGE) == 0xffffffffff,
		"REP MOVSB from %s to evicted far pages", what);
	far_push_out();
	__asm__ volatile("movq %1, %%rsi\n\tmovq %0, %%rdi\n\tmovl $9, %%ecx\n\trep movsb"
			 :
			 : "r"(a), "r"(far_page + PAGE - 4)
			 : "rsi", "rdi", "rcx", "memory");
	same(get64(a), UINT64_MAX, "REP MOVSB from evicted far pages to %s", what);
	same(call_code(a, &r), CAUGHT(UD), "a jump to %s: #UD", what);
}

static void ecam(void)
{
	unsigned nic = (unsigned)machine_option("nic", 0x80);
	uint64_t slot = machine.ecam + nic * SLOT, bridge = machine.ecam;
	uint32_t id, by_port;
	bool ones = true;

	if (!machine.ecam) {
		skip("ECAM", "this machine has none");
		return;
	}
	for (unsigned at = 0; at < SLOT; at += 4)
		ones = ones && *(volatile uint32_t *)(slot + at) == UINT32_MAX;
	ok(ones, "ECAM: the NIC's page reads as ones");
	*(volatile uint32_t *)(slot + 4) = 0;
	same(*(volatile uint32_t *)(slot + 4), UINT32_MAX, "ECAM: and ignores writes");
	id = *(volatile uint32_t *)bridge;
	out32(0xcf8, 0x80000000);
	by_port = in32(0xcfc);
	ok(id == by_port && id != UINT32_MAX, "ECAM: the host bridge is there as by ports");
	same(*(volatile uint32_t *)(machine.ecam + 256 * SLOT), UINT32_MAX,
		"ECAM: nothing on bus 1");
}

void test_hidden(void)
{
	uint64_t rows = machine_option("hidden", 0);

	say("hidden memory");
	ok(machine.hidden_rows >= rows, "the memory map reserves %u hidden ranges",
		machine.hidden_rows);
	ecam();
	for (unsigned i = 0; i < machine.hidden_rows; i++) {
		bool ones = true;

		for (uint64_t at = 0; at < machine.hidden_bytes[i]; at += 512)
			ones = ones && *(volatile uint32_t *)(machine.hidden[i] + at) == UINT32_MAX;
		ok(ones, "hidden range %lx of %lu KiB reads as ones", machine.hidden[i],
			machine.hidden_bytes[i] / 1024);
	}
	if (machine.hidden_rows)
		every_access(machine.hidden[machine.hidden_rows - 1], "the NIC's memory");
	ok(machine.own_bytes >= 4 * MIB, "the memory map reserves the VMM's memory");
	every_access(machine.own + PAGE, "the VMM's memory");
	same(get64(machine.own), UINT64_MAX, "the VMM's first page");
	same(get64(machine.own + machine.own_bytes - 8), UINT64_MAX, "the VMM's last page");
}
