/* SPDX-License-Identifier: MIT */
/*
 * The shootdown (vmm/slat/shootdown.c), the book of kicks (vmm/virt/kick.c), sleep and wake
 * (vmm/virt/virt.c) and the guest's NMIs: one far page, CPUS vCPUs, a service core. Each atomic step
 * has one access that another CPU could see the order of; docs/model.md says what is left out.
 * VMX: that vendor's rules, else SVM's. PLANT: a known fault, which must be found.
 */
#ifndef CPUS
#define CPUS 3
#endif
#ifndef PLANT
#define PLANT 0
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* evictions of the page, each time from another frame */
#endif
#ifndef SENT
#define SENT 1 /* NMIs that guest CPUs send each other */
#endif
#ifndef OVERFLOWS
#define OVERFLOWS 1 /* NMIs of performance counters */
#endif
#ifndef EXITS
#define EXITS 1 /* exits for no reason */
#endif

#define KICK_FIRST  (PLANT == 1) /* the epoch is raised after the kicks */
#define NO_RECHECK  (PLANT == 2) /* the epoch is read before in_guest is set */
#define LATE_RAISE  (PLANT == 3) /* flushed becomes an epoch read after the flush */
#define LOST_WAKE   (PLANT == 4) /* the NMI gate leaves RIP between the last look and the HLT */
#define MARK_LATE   (PLANT == 5) /* a guest's NMI is sent before its target is marked */
#define EVERY_NMI   (PLANT == 6) /* each NMI is taken for the guest's */
#define NO_SPARE    (PLANT == 7) /* a counter's NMI is taken for the kick's that is still to come */
#define NO_TURN     (PLANT == 8) /* VMX: an NMI just before the entry does not prevent it */
#define EARLY_REUSE (PLANT == 9) /* the frame is reused before the batch has settled */
#define OLD_BATCH   (PLANT == 10) /* a batch releases a frame that was taken back meanwhile */

byte epoch = 1;
byte frame = 1; /* the page's */
byte reused; /* frames up to this one belong to other pages by now */
bool mapped = true; /* the page's entry is present */
bool unsettled; /* a batch waits for its shootdown */
bool back; /* the page was taken back meanwhile */
bool finished;

bool in_guest[CPUS];
byte flushed[CPUS];
bool posted[CPUS]; /* mailbox */
bool asleep[CPUS];
bool kick[CPUS]; /* one is on its way */
bool asked[CPUS]; /* nmi_asked: another vCPU sent the guest an NMI */
bool arrived[CPUS]; /* nmi_arrived: the host's gate took one */

/* The CPUs themselves. */
bool running[CPUS]; /* the guest's instructions */
bool nmi[CPUS]; /* latched; two are one */
byte cached[CPUS]; /* the frame that a translation leads to, 0: none */
bool overflow[CPUS]; /* a counter that interrupts by NMI, not set anew */
#ifdef VMX
bool turnable[CPUS]; /* RIP stands where the gate turns it, which makes this false */
#endif

/* What the guest was sent: its handler must run after the last NMI, and not more often than sent. */
bool due[CPUS]; /* by another vCPU; a counter's is due until that is set anew */
byte credit[CPUS];
byte sent, overflows, exits;

/* A kick is claimed and then sent. Only an NMI that nobody claimed can come in between. */
#if OVERFLOWS
#define NO_GAP(c) skip
#define GAP(c)    nmi[c] = true
#else
#define NO_GAP(c) nmi[c] = true
#define GAP(c)    skip
#endif

/* ---------------------------------------------------------------- service core */

#define BEHIND(c) (in_guest[c] && (KICK_FIRST || flushed[c] < epoch))

/* What shootdown_settled() found out of the guest, or past the epoch, stays so for this batch. */
#define GONE(c) (!in_guest[c] || flushed[c] >= epoch)

#define WAKE(c) (asleep[c] && !posted[c] && !kick[c])

inline kick_behind()
{
	atomic { i = 0; target = 0 }
	do
	:: atomic { i < CPUS && BEHIND(i) && !kick[i] -> kick[i] = true; target = i; i++; NO_GAP(target) }
		GAP(target)
	:: atomic { i < CPUS && !(BEHIND(i) && !kick[i]) -> i++ }
	:: atomic { i == CPUS -> i = 0; target = 0; break }
	od
}

/* The page gets back what it still has, or another frame. */
inline serve(c)
{
	atomic {
		posted[c] ->
		posted[c] = false;
		if
		:: mapped -> skip
		:: !mapped && reused == frame -> frame++; mapped = true
		:: !mapped && reused < frame -> mapped = true; back = true
		fi
	}
}

/* The frame goes to another page: nobody who runs may still reach it. */
inline release()
{
	unsettled = false;
	if
	:: back && !OLD_BATCH -> skip
	:: else ->
		assert(!mapped);
		reused = frame;
		assert(!running[0] || cached[0] != frame);
		assert(!running[1] || cached[1] != frame);
#if CPUS > 2
		assert(!running[2] || cached[2] != frame)
#endif
	fi;
	back = false
}

proctype service()
{
	byte rounds, i, target;

	do
	:: serve(0)
	:: serve(1)
	:: atomic { WAKE(0) -> kick[0] = true; NO_GAP(0) }
		GAP(0)
	:: atomic { WAKE(1) -> kick[1] = true; NO_GAP(1) }
		GAP(1)
#if CPUS > 2
	:: serve(2)
	:: atomic { WAKE(2) -> kick[2] = true; NO_GAP(2) }
		GAP(2)
#endif
	:: atomic { !unsettled && mapped && rounds < ROUNDS -> rounds++; mapped = false; unsettled = true }
		if
		:: KICK_FIRST -> kick_behind(); epoch++
		:: else -> epoch++; kick_behind()
		fi
	:: atomic { unsettled && i < CPUS && GONE(i) -> i++ }
	:: atomic { unsettled && (i == CPUS || EARLY_REUSE) -> i = 0; release() }
	:: atomic { !unsettled && mapped && rounds == ROUNDS && !finished -> finished = true }
	od
}

/* ---------------------------------------------------------------- vCPUs */

/* The host's NMI gate. */
#define GATE nmi[v] = false; arrived[v] = true

/* virt_sort_nmis(), but for the mark. */
inline answer()
{
	arrived[v] = false;
	if
	:: overflow[v] ->
		/* Asked for once more by a counter that was not set anew yet: that may be. */
		if
		:: credit[v] == 0 -> credit[v] = 1
		:: else
		fi;
		owed = true;
		spare = spare || (kick[v] && !NO_SPARE)
	:: !overflow[v] && kick[v] -> owed = owed || EVERY_NMI
	:: !overflow[v] && !kick[v] && spare -> spare = false
	:: else -> owed = true
	fi;
	kick[v] = false
}

inline look_for_mark()
{
	if
	:: asked[v] -> asked[v] = false; owed = true
	:: else
	fi
}

/* An NMI of the guest's goes in with the entry. */
inline enter()
{
	if
	:: owed && !blocked ->
		assert(credit[v] > 0);
		credit[v]--;
		due[v] = false;
		owed = false;
		blocked = true
	:: else
	fi;
	running[v] = true;
	/* It touches the page as soon as it can: a translation that is not cached harms nobody. */
	if
	:: !cached[v] && mapped -> cached[v] = frame
	:: else
	fi;
	assert(cached[v] == 0 || cached[v] > reused)
}

#define LEAVE running[v] = false; in_guest[v] = false

/*
 * An intercepted write of the interrupt command register: the mark. The last vCPU sends to the first;
 * they are all alike.
 */
inline mark()
{
	to = 0;
	due[to] = true;
	credit[to]++;
	asked[to] = !MARK_LATE
}

/* Behind an IRET; it is intercepted, or its end waited for, while another NMI waits. */
#define IRET blocked = false; overflow[v] = false

#ifndef VMX

/* GIF is 0 in the VMM: an NMI stays latched until the entry, or until GIF is opened for it. */
proctype vcpu(byte v)
{
	byte e, to;
	bool flush;
	bool owed; /* nmi_pending */
	bool blocked; /* the guest is in its NMI handler */
	bool spare; /* an NMI without a reason is the kick's that was answered too early */

again:
	atomic {
		look_for_mark();
		if
		:: NO_RECHECK -> e = epoch
		:: else -> in_guest[v] = true
		fi
	}
	atomic {
		if
		:: NO_RECHECK -> in_guest[v] = true
		:: else -> e = epoch
		fi;
		flush = flushed[v] < e;
		if
		:: flush -> flushed[v] = e; cached[v] = 0; flush = LATE_RAISE
		:: else
		fi;
		e = 0;
		enter()
	}

	/* The guest's instructions. Doing nothing for ever, or HLT: only an NMI ends its stay. */
guest:
	if
	:: atomic { nmi[v] -> LEAVE; GATE; answer() }
		if
		:: atomic { LATE_RAISE && flush -> flushed[v] = epoch; flush = false; goto again }
		:: atomic { !(LATE_RAISE && flush) -> goto again }
		fi
	:: atomic { !cached[v] && mapped -> cached[v] = frame; goto guest }
	:: atomic { !cached[v] && !mapped -> LEAVE; posted[v] = true }
	:: atomic { blocked && !owed -> IRET; goto guest }
	:: atomic { blocked && owed -> IRET; LEAVE; goto again }
	:: atomic { exits < EXITS -> exits++; LEAVE; goto again }
	:: atomic { v == CPUS - 1 && !blocked && sent < SENT -> sent++; LEAVE; mark() }
		if
		:: atomic { !kick[to] -> kick[to] = true; NO_GAP(to) }
			GAP(to)
		:: atomic { kick[to] -> skip }
		fi;
		atomic { asked[to] = asked[to] || MARK_LATE; to = 0; goto again }
	fi;

	/* virt_sleep_while(): interrupts are masked, only an NMI ends the HLT. */
	do
	:: atomic { !posted[v] -> goto again }
	:: atomic { posted[v] -> asleep[v] = true }
		if
		:: atomic { nmi[v] -> GATE }
		:: atomic { !posted[v] -> skip }
		:: atomic { posted[v] -> skip }
			if
			:: atomic { LOST_WAKE && nmi[v] -> GATE }
				atomic { nmi[v] -> GATE }
			:: atomic { nmi[v] -> GATE }
			fi
		fi;
		atomic {
			asleep[v] = false;
			if
			:: arrived[v] -> answer()
			:: else
			fi
		}
	od
}

#else

/*
 * NMIs are taken everywhere, by the gate: it marks them, and turns RIP where the VMM is about to halt
 * or to enter the guest. Each step here may have one before it.
 */
proctype vcpu(byte v)
{
	byte e, to;
	bool flush;
	bool owed, blocked, spare; /* as above */

again:
	atomic {
		if
		:: arrived[v] -> answer()
		:: else
		fi
	}
	atomic {
		look_for_mark();
		if
		:: NO_RECHECK -> e = epoch
		:: else -> in_guest[v] = true
		fi
	}
	atomic {
		if
		:: NO_RECHECK -> in_guest[v] = true
		:: else -> e = epoch
		fi;
		flush = flushed[v] < e;
		if
		:: flush -> flushed[v] = e; cached[v] = 0; flush = LATE_RAISE /* INVEPT */
		:: else
		fi;
		e = 0
	}
	/* vmx_enter(): the look at what has arrived, then VMRESUME. */
	if
	:: atomic { arrived[v] && !NO_TURN -> LEAVE; goto again }
	:: atomic { !arrived[v] || NO_TURN -> turnable[v] = true }
	fi;
	if
	:: atomic { !turnable[v] && !NO_TURN -> LEAVE; goto again }
	:: atomic { turnable[v] || NO_TURN -> turnable[v] = false; enter() }
	fi;

guest:
	if
	/* The exit has taken it; the host's gate is called. */
	:: atomic { nmi[v] -> LEAVE; GATE }
		if
		:: atomic { LATE_RAISE && flush -> flushed[v] = epoch; flush = false; goto again }
		:: atomic { !(LATE_RAISE && flush) -> goto again }
		fi
	:: atomic { !cached[v] && mapped -> cached[v] = frame; goto guest }
	:: atomic { !cached[v] && !mapped -> LEAVE; posted[v] = true }
	:: atomic { blocked && !owed -> IRET; goto guest }
	:: atomic { blocked && owed -> IRET; LEAVE; goto again }
	:: atomic { exits < EXITS -> exits++; LEAVE; goto again }
	:: atomic { v == CPUS - 1 && !blocked && sent < SENT -> sent++; LEAVE; mark() }
		if
		:: atomic { !kick[to] -> kick[to] = true; NO_GAP(to) }
			GAP(to)
		:: atomic { kick[to] -> skip }
		fi;
		atomic { asked[to] = asked[to] || MARK_LATE; to = 0; goto again }
	fi;

	do
	:: atomic { !posted[v] -> goto again }
	:: atomic { posted[v] -> asleep[v] = true; turnable[v] = !arrived[v] }
		if
		:: atomic { turnable[v] && !posted[v] -> turnable[v] = false }
		:: atomic { turnable[v] && posted[v] -> skip }
			/* The gate turns RIP, or the NMI ends the HLT itself. */
			atomic { !turnable[v] -> skip }
		:: atomic { !turnable[v] -> skip }
		fi;
		atomic {
			asleep[v] = false;
			if
			:: arrived[v] -> answer()
			:: else
			fi
		}
	od
}

proctype nmi_gate(byte v)
{
	do
	:: atomic { nmi[v] && !running[v] -> GATE; turnable[v] = false }
	od
}
#endif

/* A counter overflows somewhere at some time. */
proctype counters()
{
	do
	:: atomic { overflows < OVERFLOWS -> overflows++; overflow[0] = true; credit[0]++; nmi[0] = true }
	:: overflows == OVERFLOWS -> break
	od
}

/* Nothing can go on any more: then everything must be done. */
proctype end()
{
	timeout;
	assert(finished && !unsettled);
	assert(!due[0] && !posted[0] && !overflow[0]);
	assert(!due[1] && !posted[1]);
#if CPUS > 2
	assert(!due[2] && !posted[2])
#endif
}

init {
	atomic {
		run service();
		run vcpu(0);
		run vcpu(1);
#if CPUS > 2
		run vcpu(2);
#endif
#ifdef VMX
		run nmi_gate(0);
		run nmi_gate(1);
#if CPUS > 2
		run nmi_gate(2);
#endif
#endif
		run counters();
		run end()
	}
}
