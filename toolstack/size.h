/* SPDX-License-Identifier: MIT */
/* Sizes and addresses as people write them. */
#ifndef ANNEX_SIZE_H
#define ANNEX_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIZE_KIB      (1ull << 10)
#define SIZE_MIB      (1ull << 20)
#define SIZE_GIB      (1ull << 30)
#define SIZE_TEXT_MAX 32

/* "512M": a whole number and an optional K, M, G or T (powers of 1024). False: not that. */
bool size_parse(const char *text, uint64_t *bytes);

/* libvirt's scaled integers: number and unit apart; unit NULL means KiB. False: not that. */
bool size_scaled(const char *number, const char *unit, uint64_t *bytes);

/* For people: "512 MiB", "1.5 GiB". Writes at most SIZE_TEXT_MAX bytes. */
const char *size_text(uint64_t bytes, char *out);

/* For files read by programs: the largest of K, M, G that divides it, "640M". */
const char *size_exact(uint64_t bytes, char *out);

/* A whole decimal number in low..high. */
bool size_number(const char *text, uint64_t low, uint64_t high, uint64_t *value);

/* Dotted quad to host order, nothing before or behind it. */
bool size_ipv4(const char *text, uint32_t *address);
const char *size_ipv4_text(uint32_t address, char *out);

/* "10.77.0.2/24": a host address (neither network nor broadcast address), prefix 8..30. */
bool size_ipv4_prefix(const char *text, uint32_t *address, unsigned *prefix);

/* True when both lie in the same network of that prefix. */
bool size_ipv4_on_link(uint32_t a, uint32_t b, unsigned prefix);

#endif
