/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "toolstack/size.h"

bool size_number(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *value >= low && *value <= high;
}

static bool multiply(uint64_t number, uint64_t unit, uint64_t *bytes)
{
	return !__builtin_mul_overflow(number, unit, bytes);
}

bool size_parse(const char *text, uint64_t *bytes)
{
	static const char letters[] = "KMGT";
	const char *letter;
	uint64_t number;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end == '\0') {
		*bytes = number;
		return true;
	}
	letter = strchr(letters, toupper((unsigned char)*end));
	if (!letter || end[1] != '\0')
		return false;
	return multiply(number, 1ull << (10 * (letter - letters + 1)), bytes);
}

bool size_scaled(const char *number, const char *unit, uint64_t *bytes)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
		{"b", 1},
		{"bytes", 1},
		{"k", SIZE_KIB},
		{"KiB", SIZE_KIB},
		{"KB", 1000},
		{"M", SIZE_MIB},
		{"MiB", SIZE_MIB},
		{"MB", 1000000},
		{"G", SIZE_GIB},
		{"GiB", SIZE_GIB},
		{"GB", 1000000000},
		{"T", SIZE_GIB << 10},
		{"TiB", SIZE_GIB << 10},
		{"TB", 1000000000000},
	};
	uint64_t value;

	if (!size_number(number, 0, UINT64_MAX, &value))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcasecmp(unit ? unit : "KiB", units[i].name))
			return multiply(value, units[i].bytes, bytes);
	return false;
}

const char *size_text(uint64_t bytes, char *out)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	uint64_t divisor = 1;
	unsigned unit = 0;

	while (unit < 4 && bytes / divisor >= 1024) {
		divisor <<= 10;
		unit++;
	}
	if (bytes % divisor == 0)
		snprintf(out, SIZE_TEXT_MAX, "%llu %s", (unsigned long long)(bytes / divisor),
			units[unit]);
	else
		snprintf(out, SIZE_TEXT_MAX, "%.1f %s", (double)bytes / (double)divisor,
			units[unit]);
	return out;
}

const char *size_exact(uint64_t bytes, char *out)
{
	static const char letters[] = "KMG";
	unsigned shift = 0;

	while (shift < 30 && bytes && bytes % (1024ull << shift) == 0)
		shift += 10;
	if (shift)
		snprintf(out, SIZE_TEXT_MAX, "%llu%c", (unsigned long long)(bytes >> shift),
			letters[shift / 10 - 1]);
	else
		snprintf(out, SIZE_TEXT_MAX, "%llu", (unsigned long long)bytes);
	return out;
}

bool size_ipv4(const char *text, uint32_t *address)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return false;
	*address = ntohl(in.s_addr);
	return true;
}

const char *size_ipv4_text(uint32_t address, char *out)
{
	snprintf(out, SIZE_TEXT_MAX, "%u.%u.%u.%u", address >> 24, (address >> 16) & 255,
		(address >> 8) & 255, address & 255);
	return out;
}

bool size_ipv4_prefix(const char *text, uint32_t *address, unsigned *prefix)
{
	const char *slash = strchr(text, '/');
	char head[16];
	uint64_t bits;
	uint32_t host;

	if (!slash || (size_t)(slash - text) >= sizeof(head))
		return false;
	memcpy(head, text, (size_t)(slash - text));
	head[slash - text] = '\0';
	if (!size_ipv4(head, address) || !size_number(slash + 1, 8, 30, &bits))
		return false;
	*prefix = (unsigned)bits;
	host = *address & (0xffffffffu >> bits);
	return host != 0 && host != 0xffffffffu >> bits && *address >> 24 != 0 &&
	       *address >> 24 < 224 && *address >> 24 != 127;
}

bool size_ipv4_on_link(uint32_t a, uint32_t b, unsigned prefix)
{
	return ((a ^ b) >> (32 - prefix)) == 0;
}
