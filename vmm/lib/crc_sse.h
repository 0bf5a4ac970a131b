/* SPDX-License-Identifier: MIT */
/* Between crc.c and crc_sse.c only; everybody else includes lib/crc.h. */
#ifndef ANNEX_CRC_SSE_H
#define ANNEX_CRC_SSE_H

#include <stddef.h>
#include <stdint.h>

/* Raw state over data. CRC-32's copy to `to` unless that is NULL; CRC32C's never do. */
typedef uint32_t crc_run(uint32_t state, uint8_t *to, const uint8_t *data, size_t length);

/* crc.c: CRC-32 by tables, once they are built. */
crc_run crc_table_ethernet;

/* Before the two below. */
void crc_sse_prepare(void);

/* The CPU needs SSE4.2 and PCLMULQDQ. */
crc_run crc_sse_castagnoli;
crc_run crc_sse_ethernet;

#endif
