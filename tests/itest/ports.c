/* SPDX-License-Identifier: MIT */
/* Ports that are hidden, and PCI's configuration by ports. */
#include "itest.h"

#define ADDRESS 0xcf8
#define DATA    0xcfc
#define ENABLE  0x80000000u
#define SCRATCH 0x3ff /* of COM1 */

static uint32_t config32(unsigned bus, unsigned function, unsigned offset)
{
	out32(ADDRESS, ENABLE | bus << 16 | function << 8 | (offset & 0xfc));
	return in32(DATA);
}

static void absent(uint16_t port)
{
	bool ones = in8(port) == 0xff && in16(port) == 0xffff && in32(port) == UINT32_MAX;

	out8(port, 0);
	out16(port, 0);
	out32(port, 0);
	ok(ones && in8(port) == 0xff, "port 0x%x is absent at every width", port);
}

static void strings(void)
{
	uint64_t to = far_take(3), di = to + PAGE - 100, si, count = 5000;
	uint16_t dx = 0x511;
	bool ones = true;

	far_push_out();
	__asm__ volatile("rep insb" : "+D"(di), "+c"(count) : "d"(dx) : "memory");
	for (unsigned i = 0; i < 5000; i++)
		ones = ones && get8(to + PAGE - 100 + i) == 0xff;
	ok(ones, "REP INSB of a hidden port into evicted far pages: ones");
	ok(!count && di == to + PAGE - 100 + 5000, "it counts RCX and RDI");
	ok(!get8(to + PAGE - 101) && !get8(to + PAGE - 100 + 5000), "and stays inside");
	di = to + PAGE - 2;
	count = 3;
	far_push_out();
	__asm__ volatile("rep insl" : "+D"(di), "+c"(count) : "d"(dx) : "memory");
	ok(!count && di == to + PAGE + 10, "REP INSL across two evicted far pages");
	di = to + PAGE + 8;
	count = 4;
	__asm__ volatile("std\n\trep insw\n\tcld" : "+D"(di), "+c"(count) : "d"(dx) : "memory");
	ok(!count && di == to + PAGE, "REP INSW downwards");
	si = to + PAGE - 50;
	count = 100;
	far_push_out();
	__asm__ volatile("rep outsb" : "+S"(si), "+c"(count) : "d"(dx) : "memory");
	ok(!count && si == to + PAGE + 50, "REP OUTSB of evicted far pages to a hidden port");
	for (unsigned i = 0; i < 10; i++)
		put8(to + PAGE - 5 + i, (uint8_t)(0x40 + i));
	si = to + PAGE - 5;
	count = 10;
	far_push_out();
	__asm__ volatile("rep outsb" : "+S"(si), "+c"(count) : "d"((uint16_t)SCRATCH) : "memory");
	same(in8(SCRATCH), 0x49, "REP OUTSB of evicted far pages to a port of the guest's");
	count = 7;
	di = to + PAGE - 3;
	far_push_out();
	__asm__ volatile("rep insb" : "+D"(di), "+c"(count) : "d"((uint16_t)SCRATCH) : "memory");
	same(get64(to + PAGE - 4) >> 8 & 0xffffffffffffff, 0x49494949494949,
		"REP INSB of a port of the guest's into evicted far pages");
	count = 0;
	__asm__ volatile("rep insb" : "+D"(di), "+c"(count) : "d"(dx) : "memory");
	ok(!count && di == to + PAGE + 4, "REP INSB with RCX = 0 does nothing");
}

static void configuration(void)
{
	unsigned nic = (unsigned)machine_option("nic", 0x80), found = 0;
	bool ones = true;

	ok(config32(0, 0, 0) != UINT32_MAX, "PCI: the host bridge is there");
	for (unsigned offset = 0; offset < 256; offset += 4)
		ones = ones && config32(0, nic, offset) == UINT32_MAX;
	ok(ones, "PCI: the NIC's configuration reads as ones");
	out32(ADDRESS, ENABLE | nic << 8 | 4);
	ok(in8(DATA) == 0xff && in16(DATA + 2) == 0xffff && in8(DATA + 3) == 0xff,
		"PCI: its bytes and words too");
	out16(DATA, 0);
	out32(ADDRESS, ENABLE | nic << 8 | 0x30);
	same(in32(DATA), UINT32_MAX, "PCI: its expansion ROM too");
	for (unsigned f = 0; f < 256; f++) {
		uint32_t id = config32(0, f, 0);

		found += id == 0x10411af4 || id == 0x10001af4;
	}
	same(found, 0, "PCI: no virtio NIC on bus 0");
	out32(ADDRESS, ENABLE | 0x3c);
	same(in32(ADDRESS), ENABLE | 0x3c, "PCI: the address register reads back");
	out32(ADDRESS, 0x3c);
	same(in32(ADDRESS), 0x3c, "PCI: and without its enable bit");
	same(in32(DATA), UINT32_MAX, "PCI: then the data register is not there");
}

void test_ports(void)
{
	say("ports");
	absent(0x510);
	absent(0x511);
	absent(0x514);
	absent(0x518);
	for (uint16_t port = 0x2f8; port < 0x2fc; port++)
		absent(port);
	strings();
	configuration();
}
