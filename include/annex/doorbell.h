/* SPDX-License-Identifier: MIT */
/*
 * The doorbell: how the guest's agent speaks to the VMM below it. One I/O port, because an IN is one
 * instruction that carries its whole request in registers: the VMM reads no guest memory, so nothing
 * can move or change under its eyes, and only a process that the kernel gave the port to (ioperm,
 * CAP_SYS_RAWIO) can execute it. CPUID only tells that it is there.
 *
 *   discovery  CPUID leaf 0x40000000: EAX >= 0x40000001, EBX, ECX, EDX = DOORBELL_SIGNATURE;
 *              leaf 0x40000001: EAX = DOORBELL_VERSION, EBX = the port
 *   request    IN EAX, DX with EAX = DOORBELL_MAGIC, RBX = enum doorbell_request, RCX = session (0
 *              with HELLO), ten argument words in RSI, RDI, R8..R15
 *   answer     EAX = enum doorbell_result, ten result words in RSI, RDI, R8..R15 (zero where none is
 *              named); RBX and RCX are kept
 *   other      another magic or another width reads as ones and changes nothing
 *
 * The VMM keeps one session at a time: HELLO ends the one before, and so does silence for
 * DOORBELL_LEASE_NS (any request but HELLO that is answered DOORBELL_OK breaks it). With a session go
 * all its pins and what is queued for it. A hint never changes content; a wrong one costs speed.
 *
 * A range is one word: guest-physical address of its first page | (pages - 1), 1 to
 * DOORBELL_RANGE_PAGES pages; the word 0 ends the list. Ranges outside the far window are refused.
 */
#ifndef ANNEX_DOORBELL_H
#define ANNEX_DOORBELL_H

#define DOORBELL_LEAF        0x40000000u /* and the next one */
#define DOORBELL_SIGNATURE   "AnnexAnnex\0" /* 12 bytes with the closing zero */
#define DOORBELL_VERSION     1u
#define DOORBELL_PORT        0x0adcu
#define DOORBELL_MAGIC       0x586e6e41u /* "AnnX" */
#define DOORBELL_WORDS       10u
#define DOORBELL_RANGE_PAGES 512u
#define DOORBELL_LEASE_NS    10000000000ull
#define DOORBELL_CHUNK       64u /* bytes of one PUT or GET: words 1..8 */
#define DOORBELL_RATE        4096u /* requests per second, and in one burst */

#define DOORBELL_REPORT_MAX  1024u /* bytes, annex/report.h */
#define DOORBELL_REPLY_MAX   1920u /* bytes of text: UTF-8, lines ended by \n */
#define DOORBELL_MESSAGE_MAX 192u /* bytes of text, one line without its end */

/* Words are named w0..w9. */
enum doorbell_request {
	DOORBELL_HELLO, /* w0 DOORBELL_VERSION. Result: w0 session, w1 far base, w2 far pages, w3
			   budget of pins in pages */
	DOORBELL_BEAT, /* Result: w0 pinned pages, w1 budget, w2 pages queued, w3 number of the message
			  that waits for a reply (0: none), w4 its length, w5 remote fills so far */
	DOORBELL_PIN, /* w0..w9 ranges: filled, and not evicted while pinned. All or nothing is
			 accepted. Result: w0 ranges accepted, w1 pinned and queued to be, w2 budget */
	DOORBELL_UNPIN, /* w0..w9 ranges. Result as PIN */
	DOORBELL_PREFETCH, /* w0..w9 ranges: filled in the background from frames to spare */
	DOORBELL_COLD, /* w0..w9 ranges: evicted before others, unless touched again */
	DOORBELL_PUT, /* w0 enum doorbell_buffer << 32 | offset (multiple of DOORBELL_CHUNK), w1..w8 */
	DOORBELL_COMMIT, /* w0 buffer, w1 length, w2 with REPLY: number of the message replied to */
	DOORBELL_GET, /* w0 number of the message, w1 offset. Result: w1..w8 bytes, 0 beyond its end */
	DOORBELL_SAMPLE, /* Result: w0 count (0..9), w1..w9 guest-physical addresses of the pages of
			    remote fills since the last SAMPLE, newest last; older ones are forgotten */
	DOORBELL_BYE, /* ends the session */
	DOORBELL_REQUESTS,
};

enum doorbell_buffer {
	DOORBELL_REPORT, /* the agent's once-a-second report */
	DOORBELL_REPLY, /* to the message that the operator sent */
	DOORBELL_BUFFERS,
};

enum doorbell_result {
	DOORBELL_OK,
	DOORBELL_UNKNOWN, /* no such request */
	DOORBELL_BAD_VERSION, /* w0: the VMM's */
	DOORBELL_NO_SESSION, /* ended, or never begun: HELLO again */
	DOORBELL_BAD_ARGUMENT, /* a range outside the window, an offset, length or number not allowed */
	DOORBELL_OVER_BUDGET, /* PIN: w1 and w2 say how much; nothing of it was accepted */
	DOORBELL_BUSY, /* over the rate, or the queue is full: later */
	DOORBELL_RESULTS,
};

#endif
