/* SPDX-License-Identifier: MIT */
/*
 * Big-endian integers as they lie on the wire. The struct wrapper makes it a compile error to use
 * one without converting it.
 */
#ifndef ANNEX_ENDIAN_H
#define ANNEX_ENDIAN_H

#include <stdint.h>

typedef struct {
	uint16_t wire;
} be16;

typedef struct {
	uint32_t wire;
} be32;

typedef struct {
	uint64_t wire;
} be64;

static inline uint16_t be16_get(be16 v)
{
	return __builtin_bswap16(v.wire);
}

static inline uint32_t be32_get(be32 v)
{
	return __builtin_bswap32(v.wire);
}

static inline uint64_t be64_get(be64 v)
{
	return __builtin_bswap64(v.wire);
}

static inline be16 be16_make(uint16_t v)
{
	return (be16){__builtin_bswap16(v)};
}

static inline be32 be32_make(uint32_t v)
{
	return (be32){__builtin_bswap32(v)};
}

static inline be64 be64_make(uint64_t v)
{
	return (be64){__builtin_bswap64(v)};
}

#endif
