/* SPDX-License-Identifier: MIT */
/*
 * hidden [BB:DD.F]: what the guest must not see, looked for by root: the VMM's CPU features, the
 * outer hypervisor's leaves and MSRs, fw_cfg, the management port, the VMM's memory and (by its PCI
 * address) the fabric NIC. Only under the VMM does it pass.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/io.h>
#include <ucontext.h>
#include "lab.h"

#define OWN_MEMORY 0x200000 /* where the VMM's image lies */

static unsigned looked, skipped;

static void expect(int right, const char *what)
{
	looked++;
	if (!right)
		lab_fail("%s", what);
}

struct leaf {
	uint32_t a, b, c, d;
};

static struct leaf cpuid(uint32_t leaf, uint32_t sub)
{
	struct leaf r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "a"(leaf), "c"(sub));
	return r;
}

/* The VMM has to step over the prefixes too, or the INCs behind are lost. */
static struct leaf cpuid_prefixed(uint32_t leaf, uint64_t *count)
{
	struct leaf r;

	__asm__ volatile("xor %%esi, %%esi\n\t"
			 ".byte 0x66, 0x3e, 0x48, 0x0f, 0xa2\n\t"
			 "inc %%rsi\n\tinc %%rsi"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d), "=&S"(*count)
			 : "a"(leaf), "c"(0));
	return r;
}

static void cpu_features(void)
{
	struct leaf r = cpuid(0x40000000, 0), plain, prefixed;
	uint64_t count;

	expect(r.a == 0x40000001 && r.b == 0x656e6e41 && r.c == 0x6e6e4178 && r.d == 0x7865,
		"the first leaf of a hypervisor is not Annex's");
	r = cpuid(0x40000100, 0);
	expect(!(r.a | r.b | r.c | r.d), "an outer hypervisor's leaf is visible");
	expect(!(cpuid(0x80000001, 0).c & 4), "SVM is visible");
	r = cpuid(0x8000000a, 0);
	expect(!(r.a | r.b | r.c | r.d), "SVM's leaf is visible");
	expect(!(cpuid(1, 0).c & 8), "MONITOR is visible");
	plain = cpuid(0, 0);
	prefixed = cpuid_prefixed(0, &count);
	expect(count == 2 && !memcmp(&plain, &prefixed, sizeof(plain)), "CPUID with prefixes");
}

static volatile sig_atomic_t illegal;

static void on_illegal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	illegal = 1;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 3;
}

static void instructions(void)
{
	struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO};

	sigaction(SIGILL, &action, NULL);
	__asm__ volatile(".byte 0x0f, 0x01, 0xd9" ::"a"(0), "b"(0), "c"(0) : "memory");
	expect(illegal, "VMMCALL does not raise #UD");
}

static void msrs(void)
{
	uint64_t value;
	int file = open("/dev/cpu/0/msr", O_RDWR);

	if (file < 0) {
		skipped++;
		return;
	}
	expect(pread(file, &value, 8, 0xc0000080) == 8 && !(value & 0x1000), "EFER shows SVME");
	expect(pread(file, &value, 8, 0xc0010117) != 8, "VM_HSAVE_PA can be read");
	expect(pread(file, &value, 8, 0x4b564d00) != 8, "KVM's clock MSR can be read");
	expect(pread(file, &value, 8, 0x12) != 8, "KVM's old clock MSR can be read");
	expect(pread(file, &value, 8, 0x40000000) != 8, "Hyper-V's MSR can be read");
	close(file);
}

static void ports(void)
{
	if (iopl(3) != 0) {
		skipped++;
		return;
	}
	for (unsigned port = 0x2f8; port < 0x300; port++)
		expect(inb(port) == 0xff, "the management port answers");
	outw(0, 0x510);
	expect(inb(0x511) == 0xff && inw(0x510) == 0xffff, "fw_cfg answers");
	outb(0x0a, 0x70); /* and others still do: the clock's status is never all ones */
	expect(inb(0x71) != 0xff, "the clock does not answer");
}

static void function(const char *address)
{
	unsigned bus, device, number;

	if (sscanf(address, "%x:%x.%x", &bus, &device, &number) != 3)
		lab_fail("%s: not BB:DD.F", address);
	outl(0x80000000 | bus << 16 | device << 11 | number << 8, 0xcf8);
	expect(inl(0xcfc) == 0xffffffff && inw(0xcfe) == 0xffff, "the fabric NIC is visible");
	outl(0x80000000, 0xcf8);
	expect(inl(0xcfc) != 0xffffffff, "the host bridge is not visible");
}

static void memory(void)
{
	int file = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint32_t *p = MAP_FAILED;

	if (file >= 0)
		p = mmap(NULL, LAB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, OWN_MEMORY);
	if (p == MAP_FAILED) {
		skipped++;
		return;
	}
	expect(p[0] == 0xffffffff && p[1023] == 0xffffffff, "the VMM's memory can be read");
	p[5] = 0;
	expect(p[5] == 0xffffffff, "the VMM's memory can be written");
	close(file);
}

int main(int argc, char **argv)
{
	cpu_features();
	instructions();
	msrs();
	ports();
	if (argc > 1)
		function(argv[1]);
	memory();
	printf("%u things looked for and not found, %u ways not there to look\n", looked, skipped);
	return 0;
}
