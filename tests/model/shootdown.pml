/* SPDX-License-Identifier: MIT */
/*
 * The shootdown (vmm/slat/shootdown.c), the book of kicks (vmm/virt/kick.c), sleep and wake
 * (vmm/virt/virt.c) and the guest's NMIs: one far page, CPUS vCPUs, a service core. What is left out
 * is in docs/model.md. VMX: that vendor's rules, else SVM's. PLANT: a known fault.
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
#define SENT 1 /* NMIs that guests send each other */
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
#define MARK_FIRST  (PLANT == 7) /* the mark is looked at before the kick is answered */
#define NO_WINDOW   (PLANT == 8) /* VMX: the host's NMI handler asks for no window */
#define EARLY_REUSE (PLANT == 9) /* the frame is reused before the batch has settled */
#define OLD_BATCH   (PLANT == 10) /* a batch releases a frame that was taken back meanwhile */

mtype = { EMPTY, POSTED, DONE };

byte epoch = 1;
byte frame = 1; /* the page's */
byte reused; /* frames up to this one belong to other pages by now */
bool mapped = true; /* the page's entry is present */
bool unsettled; /* a batch waits for its shootdown */
bool back; /* the page was taken back meanwhile */
bool finished;

bool in_guest[CPUS];
byte flushed[CPUS];
mtype box[CPUS] = EMPTY;
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
bool gate[CPUS]; /* the host's NMI handler runs; what it interrupted stands still */
bool window[CPUS]; /* NMI-window exiting */
bool halting[CPUS]; /* RIP stands where the gate moves it */
#define RUNS(c) (!gate[c])
#else
#define RUNS(c) (true) /* GIF is 0: no NMI, but where it is opened */
#endif

/* What must be: an NMI was sent that the guest's handler has not seen yet. */
bool due[CPUS];
byte sent, overflows, exits;

/* kick_claim(), then the interrupt command register. */
inline kick_cpu(self, c)
{
	if
	:: atomic { RUNS(self) && !kick[c] -> kick[c] = true }
		atomic { RUNS(self) -> nmi[c] = true }
	:: atomic { RUNS(self) && kick[c] -> skip }
	fi
}

/* ---------------------------------------------------------------- service core */

inline kick_if(c)
{
	if
	:: atomic { in_guest[c] && (KICK_FIRST || flushed[c] < epoch) && !kick[c] -> kick[c] = true }
		nmi[c] = true
	:: atomic { !in_guest[c] || !(KICK_FIRST || flushed[c] < epoch) || kick[c] -> skip }
	fi
}

inline kick_all_behind()
{
	kick_if(0);
	kick_if(1);
#if CPUS > 2
	kick_if(2)
#endif
}

inline evict()
{
	d_step { mapped = false; back = false; unsettled = true }
	if
	:: KICK_FIRST -> kick_all_behind(); epoch++
	:: !KICK_FIRST -> epoch++; kick_all_behind()
	fi
}

/* The frame goes to another page: nobody who runs may still reach it. */
inline release()
{
	d_step {
		unsettled = false;
		if
		:: back && !OLD_BATCH -> skip
		:: else ->
			assert(!mapped);
			reused = frame;
			assert(!(running[0] && cached[0] == frame));
			assert(!(running[1] && cached[1] == frame));
#if CPUS > 2
			assert(!(running[2] && cached[2] == frame))
#endif
		fi
	}
}

/* far_serve(): the page gets back what it still has, or another frame. */
inline serve(c)
{
	d_step {
		if
		:: mapped -> skip
		:: !mapped && reused == frame -> frame++; mapped = true
		:: !mapped && reused < frame -> mapped = true; back = true
		fi
	}
	box[c] = DONE;
	wake(0);
	wake(1);
#if CPUS > 2
	wake(2)
#endif
}

/* virt_wake_waiting() */
inline wake(c)
{
	if
	:: atomic { asleep[c] && box[c] != POSTED && !kick[c] -> kick[c] = true }
		nmi[c] = true
	:: atomic { !asleep[c] || box[c] == POSTED || kick[c] -> skip }
	fi
}

/* What shootdown_settled() found out of the guest, or past the epoch, stays so for this batch. */
#define GONE(c) (!in_guest[c] || flushed[c] >= epoch)

proctype service()
{
	byte rounds, looked;

	do
	:: box[0] == POSTED -> serve(0)
	:: box[1] == POSTED -> serve(1)
#if CPUS > 2
	:: box[2] == POSTED -> serve(2)
#endif
	:: atomic { !unsettled && mapped && rounds < ROUNDS -> rounds++; looked = 0 }
		evict()
	:: atomic { unsettled && looked < CPUS && GONE(looked) -> looked++ }
	:: atomic { unsettled && (looked == CPUS || EARLY_REUSE) -> release() }
	:: atomic { !unsettled && mapped && rounds == ROUNDS && !finished -> finished = true }
	od
}

/* ---------------------------------------------------------------- vCPUs */

/* virt_sort_nmis() */
inline look_for_mark()
{
	if
	:: atomic { RUNS(v) && asked[v] -> asked[v] = false; owed = true }
	:: atomic { RUNS(v) && !asked[v] -> skip }
	fi
}

inline sort_nmis()
{
	if
	:: MARK_FIRST -> look_for_mark()
	:: else
	fi;
	if
	:: atomic { RUNS(v) && arrived[v] -> arrived[v] = false }
		atomic {
			RUNS(v);
			if
			:: !kick[v] || EVERY_NMI -> owed = true
			:: kick[v] && overflow[v] -> owed = true; due[v] = true
			:: else
			fi;
			kick[v] = false
		}
	:: atomic { RUNS(v) && !arrived[v] -> skip }
	fi;
	if
	:: !MARK_FIRST -> look_for_mark()
	:: else
	fi
}

/* The host's NMI gate, on SVM while GIF is open. */
#define GATE nmi[v] = false; arrived[v] = true

/* virt_sleep_while(): interrupts are masked, only an NMI ends the HLT. */
inline sleep()
{
	do
	:: atomic { RUNS(v) && box[v] != POSTED -> break }
	:: atomic { RUNS(v) && box[v] == POSTED -> skip }
		atomic { RUNS(v) -> asleep[v] = true }
		if
		:: atomic { RUNS(v) && box[v] != POSTED -> skip }
		:: atomic { RUNS(v) && box[v] == POSTED -> skip }
			halt()
		fi;
		atomic { RUNS(v) -> asleep[v] = false }
		sort_nmis()
	od
}

#ifdef VMX
inline halt()
{
	atomic { RUNS(v) -> halting[v] = true }
	if
	:: atomic { RUNS(v) && halting[v] && box[v] != POSTED -> halting[v] = false }
	:: atomic { RUNS(v) && halting[v] && box[v] == POSTED -> skip }
		/* Here stands the HLT: the gate moves RIP, or the NMI ends the HLT itself. */
		atomic { RUNS(v) && !halting[v] -> skip }
	:: atomic { RUNS(v) && !halting[v] -> skip }
	fi
}
#else
inline halt()
{
	if
	:: atomic { nmi[v] -> GATE }
	:: atomic { box[v] != POSTED -> skip }
	:: atomic { box[v] == POSTED -> skip }
		if
		:: LOST_WAKE -> atomic { nmi[v] -> GATE }
		:: true
		fi;
		atomic { nmi[v] -> GATE }
	fi
}
#endif

inline check_epoch()
{
	if
	:: NO_RECHECK ->
		atomic { RUNS(v) -> e = epoch }
		atomic { RUNS(v) -> in_guest[v] = true }
	:: else ->
		atomic { RUNS(v) -> in_guest[v] = true }
		atomic { RUNS(v) -> e = epoch }
	fi;
#ifdef VMX
	if
	:: atomic { RUNS(v) && flushed[v] < e -> cached[v] = 0 }
		if
		:: LATE_RAISE -> atomic { RUNS(v) -> e = epoch }
		:: else
		fi;
		/* Looked at, then stored: the gate may come in between. */
		if
		:: atomic { RUNS(v) && flushed[v] < e -> skip }
			atomic { RUNS(v) -> flushed[v] = e }
		:: atomic { RUNS(v) && flushed[v] >= e -> skip }
		fi
	:: atomic { RUNS(v) && flushed[v] >= e -> skip }
	fi
#else
	atomic {
		flush = flushed[v] < e;
		if
		:: flush -> flushed[v] = e
		:: else
		fi
	}
#endif
}

/* VMRUN, VMRESUME; an NMI of the guest's goes in with it. */
inline enter()
{
	atomic {
		RUNS(v);
		if
		:: owed && !blocked -> assert(due[v]); due[v] = false; owed = false; blocked = true
		:: else
		fi;
#ifndef VMX
		if
		:: flush -> cached[v] = 0
		:: else
		fi;
#endif
		running[v] = true;
		assert(cached[v] == 0 || cached[v] > reused)
	}
}

inline leave()
{
	atomic { RUNS(v) -> in_guest[v] = false }
#ifndef VMX
	if
	:: LATE_RAISE && flush -> flushed[v] = epoch
	:: else
	fi
#endif
}

#define NEXT (v == CPUS - 1 -> 0 : v + 1)

/* An intercepted write of the interrupt command register. */
inline send_nmi(c)
{
	if
	:: MARK_LATE ->
		due[c] = true;
		kick_cpu(v, c);
		atomic { RUNS(v) -> asked[c] = true }
	:: else ->
		atomic { RUNS(v) -> asked[c] = true; due[c] = true }
		kick_cpu(v, c)
	fi
}

proctype vcpu(byte v)
{
	byte e;
	bool flush, owed, blocked; /* owed: nmi_pending; blocked: the guest is in its NMI handler */

	do
	:: sort_nmis();
		check_epoch();
		enter();
		if
		:: false
		:: atomic { nmi[v] -> running[v] = false }
			leave();
#ifdef VMX
			/* Taken by the exit; blocked on the host until its IRET. */
			atomic { RUNS(v) -> skip }
#else
			/* Still latched: GIF is opened for it. */
			if
			:: atomic { nmi[v] -> GATE }
			:: atomic { !nmi[v] -> skip }
			fi
#endif
		fi
	od
}
