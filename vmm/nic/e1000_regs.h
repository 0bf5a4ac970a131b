/* SPDX-License-Identifier: MIT */
/* What the manual fixes and we use. All fields are little-endian, as is the machine. */
#ifndef ANNEX_E1000_REGS_H
#define ANNEX_E1000_REGS_H

#include <stdint.h>

/* Offsets in BAR 0 [13.4]. */
#define E1000_CTRL   0x0000u
#define E1000_STATUS 0x0008u
#define E1000_EERD   0x0014u
#define E1000_FCAL   0x0028u
#define E1000_FCAH   0x002cu
#define E1000_FCT    0x0030u
#define E1000_ICR    0x00c0u
#define E1000_IMC    0x00d8u
#define E1000_RCTL   0x0100u
#define E1000_FCTTV  0x0170u
#define E1000_TCTL   0x0400u
#define E1000_TIPG   0x0410u
#define E1000_RDBAL  0x2800u
#define E1000_RDBAH  0x2804u
#define E1000_RDLEN  0x2808u
#define E1000_RDH    0x2810u
#define E1000_RDT    0x2818u
#define E1000_RDTR   0x2820u
#define E1000_RXDCTL 0x2828u
#define E1000_TDBAL  0x3800u
#define E1000_TDBAH  0x3804u
#define E1000_TDLEN  0x3808u
#define E1000_TDH    0x3810u
#define E1000_TDT    0x3818u
#define E1000_RXCSUM 0x5000u
#define E1000_MTA    0x5200u /* 128 registers */
#define E1000_RAL    0x5400u /* 16 pairs */
#define E1000_RAH    0x5404u

#define E1000_BAR_BYTES  0x20000u
#define E1000_MTA_COUNT  128u
#define E1000_RA_COUNT   16u
#define E1000_EERD_START 1u
#define E1000_EERD_DONE  0x10u

#define E1000_CTRL_LRST    (1u << 3)
#define E1000_CTRL_ASDE    (1u << 5)
#define E1000_CTRL_SLU     (1u << 6)
#define E1000_CTRL_ILOS    (1u << 7)
#define E1000_CTRL_FRCSPD  (1u << 11)
#define E1000_CTRL_FRCDPX  (1u << 12)
#define E1000_CTRL_RST     (1u << 26)
#define E1000_CTRL_RFCE    (1u << 27)
#define E1000_CTRL_TFCE    (1u << 28)
#define E1000_CTRL_VME     (1u << 30)
#define E1000_CTRL_PHY_RST (1u << 31)

#define E1000_STATUS_LU (1u << 1)
#define E1000_RAH_AV    (1u << 31)

/* Buffers of 16 KiB: code 1 with the extension bit [13.4.22]. */
#define E1000_RCTL_EN    (1u << 1)
#define E1000_RCTL_LPE   (1u << 5)
#define E1000_RCTL_BAM   (1u << 15)
#define E1000_RCTL_16384 (1u << 16 | 1u << 25)
#define E1000_RCTL_SECRC (1u << 26)

/* Retry limit and collision distance for full duplex [13.4.33]. */
#define E1000_TCTL_EN   (1u << 1)
#define E1000_TCTL_PSP  (1u << 3)
#define E1000_TCTL_CT   (0x0fu << 4)
#define E1000_TCTL_COLD (0x40u << 12)

#define E1000_TIPG_COPPER (8u | 8u << 10 | 6u << 20)
#define E1000_RXDCTL_EACH (1u << 24 | 1u << 16) /* every descriptor is written back at once */

/* Legacy descriptors [3.2.3, 3.3.3]. */
struct e1000_receive {
	uint64_t address;
	uint16_t length;
	uint16_t checksum;
	uint8_t status;
	uint8_t errors;
	uint16_t special;
};

struct e1000_send {
	uint64_t address;
	uint16_t length;
	uint8_t checksum_offset;
	uint8_t command;
	uint8_t status;
	uint8_t checksum_start;
	uint16_t special;
};

#define E1000_DONE        0x01u /* status of both */
#define E1000_RECEIVE_END 0x02u
#define E1000_RECEIVE_BAD 0x97u /* CE, SE, SEQ, CXE, RXE: not the checksums above Ethernet */
#define E1000_SEND_END    0x01u
#define E1000_SEND_FCS    0x02u
#define E1000_SEND_REPORT 0x08u

#endif
