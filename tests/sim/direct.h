/* SPDX-License-Identifier: MIT */
/* The fast backend's state: session_direct.c has the queue pairs, backend_direct.c the servers. */
#ifndef ANNEX_SIM_DIRECT_H
#define ANNEX_SIM_DIRECT_H

#include "sim/backend.h"
#include "sim/random.h"

#define OPS           128u
#define GHOSTS        256u
#define SLOTS_MAX     16u
#define ITEMS         64u
#define INDEX_MAX     32u
#define PAGE          4096u
#define DIRECT_NONE   0xffffffffu
#define ADDRESS(slot) (0x7f0000000000ull + (uint64_t)(slot)*RPC_EXTENT_SIZE)

enum kind {
	OP_READ,
	OP_WRITE,
	OP_LEASE,
	OP_RELEASE,
};

struct op {
	enum kind kind;
	bool executed;
	bool abandoned;
	bool failed; /* the server answers with an error */
	uint32_t rkey;
	uint32_t tag; /* or extent */
	uint64_t address;
	void *to;
	uint64_t execute_at;
	uint64_t done_at;
	uint8_t *data; /* PAGE bytes of the op's slot in the data pool */
};

struct item {
	enum kind kind;
	uint32_t index;
};

struct ghost {
	bool used;
	uint64_t address;
	uint32_t rkey;
	uint64_t execute_at;
	uint8_t data[PAGE];
};

enum slot_owner {
	SLOT_FREE,
	SLOT_OURS,
	SLOT_STRANGER,
};

struct slot {
	enum slot_owner owner;
	uint32_t index;
	uint32_t rkey;
};

/* A page that shows older content for a while. */
struct flicker {
	bool on;
	uint64_t until;
	uint64_t offset;
	uint8_t good[PAGE];
	uint8_t old[PAGE];
	bool have_old;
};

struct session {
	struct backend *b;
	struct session_config config;
	const struct session_events *events;
	void *context;
	enum session_state state;
	uint64_t since;
	uint64_t retry_at;
	uint32_t reconnects;
	bool attached; /* has been once */
	struct op op[OPS]; /* a ring */
	uint32_t first, count;
	uint64_t last_execute, last_done;
	struct item item[ITEMS]; /* LEASE and RELEASE to be asked, oldest first */
	uint32_t items;
	bool asked; /* item[0] is under way */
	/* The server. */
	bool up;
	uint64_t up_at;
	bool rebooted;
	uint8_t *pool;
	struct slot slot[SLOTS_MAX];
	bool lost[INDEX_MAX];
	uint32_t next_rkey;
	uint64_t stranger_until;
	struct flicker flicker;
	struct ghost ghost[GHOSTS];
};

struct backend {
	struct backend_config config;
	struct random random;
	uint64_t now;
	uint64_t delay_max;
	uint32_t die; /* chance per million operations that the queue pair dies with it */
	uint8_t *data;
	const char *broken;
	struct backend_totals totals;
	struct session session[4];
};

/* The slot behind an address, and the byte in the pool; NULL: the server refuses the access. */
struct slot *direct_slot(struct session *s, uint64_t address, uint32_t rkey, uint64_t *offset);
/* The slot of an extent, or DIRECT_NONE. */
uint32_t direct_slot_of(const struct session *s, uint32_t index);
void direct_lease(struct session *s, uint32_t index);
void direct_release(struct session *s, uint32_t index);
void direct_execute(struct session *s, struct op *op);
/* A dead queue pair's WRITE: may execute later. */
void direct_haunt(struct session *s, const struct op *op, uint64_t now);
void direct_fence(struct session *s);
/* Tells the engine where the extent lies. */
void direct_name(struct session *s, uint32_t index, uint32_t slot);

/* The queue pair dies; silently: no packet of it is left. */
void session_die(struct session *s, uint64_t now, bool silently);
void session_turn(struct session *s, uint64_t now);
struct op *session_op(struct session *s, uint32_t i);

#endif
