/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sharing.pml -- work that several threads share (src/crew/sharing.c)
 *
 * Two openers have one piece of memory for work each, and open it again and
 * again, in one stripe or in one each (-DSTRIPES=2). Two helpers join the
 * newest work of a stripe that shows its work, claim chunks and leave. A helper
 * may leave early, while chunks are left.
 *
 * Pieces:   open, join, claim, take_off, leave: the functions of these names,
 *           without mia_sharing_; close is take_off. opener: what a caller
 *           does, as run_shared() of threads_work.c. Another thread may take
 *           its part over: waiting.pml. helper: mia_threads_help(). Steps under
 *           the lock that nobody can see are one.
 * Shown:    a stripe begins to show its work at any open or not, which stands
 *           for show_min.
 * Checked:  - Each chunk is claimed once. Exactly one sharer is told that it
 *             was the last, when all chunks are done.
 *           - Nobody touches the memory of work that has ended. It has a new
 *             life when it is opened again, which old sharers do not touch.
 *           - Work on the list has a sharer. The links of the list are right,
 *             and so are its bytes. A stripe that shows work has some.
 *           - Nobody waits for ever, and there is no endless run (-DENDS).
 * Assumed:  sequential consistency. The memory orders are argued in the code
 *           and tested with ThreadSanitizer.
 *
 * Each of these must be found wrong:
 *	-DLEAVES_FIRST	a sharer leaves, and then takes the work off
 *	-DNOT_TAKEN_OFF	the last claim does not take the work off
 *	-DENDS -DJOINER_DOES_NOT_CLOSE	a helper that finds nothing leaves at once (endless)
 *	-DENDS -DSHOWN_FOR_EVER	a stripe without work shows it (endless)
 *	-DUNLINKED_TWICE	work is taken off that is off already
 *	-DJOINS_UNLOCKED	a helper joins without the lock
 *	-DSHARERS_FROM_0	the opener is not counted as a sharer
 *	-DCOUNTED_TWICE	taking off counts work that is off the list already
 *	-DLAST_BY_CLAIMED	the sharer that finds no chunk is the last
 *	-DLEAVES_IN_TWO_STEPS	the sharers are counted down, and then read
 *	-DCLAIMS_IN_TWO_STEPS	the claimed chunks are read, and then set
 *	-DOPENER_LEAVES_EARLY	the opener leaves while chunks are left
 */

#define OPENERS 2
#define HELPERS 2
#define CHUNKS 2
#ifndef STRIPES
#define STRIPES 1
#endif

/* Of each work. A search for endless runs sees all states twice. */
#ifndef LIVES
#ifdef ENDS
#define LIVES 1
#else
#define LIVES 2
#endif
#endif

#define NONE 255
#define HEAD 254 /* prev: the stripe's first */

/* struct mia_stripe, and struct mia_sharing's shown */
bool lock[STRIPES];
byte first[STRIPES] = NONE;
byte end[STRIPES] = HEAD; /* the work whose next is the end, or HEAD */
byte bytes[STRIPES];      /* chunks */
bool shown[STRIPES];

/* struct mia_shared, by the number of its opener */
byte next[OPENERS] = NONE;
byte prev[OPENERS] = NONE;
byte claimed[OPENERS]; /* chunks of both ends, which are one word */
byte sharers[OPENERS];

/* What is only watched. */
byte life[OPENERS];   /* odd: open; even: the memory is the owner's */
byte chunks[OPENERS]; /* done */
byte ended = 0;       /* openers */

#define STRIPE(work) ((work) % STRIPES)
#if STRIPES == 1
#define IS_SHOWN (shown[0])
#else
#define IS_SHOWN (shown[0] || shown[1])
#endif

inline touch() { assert(life[work] == mine) }

/* Under the lock: the list may be walked, and the sum is right. */
#define FIRST first[stripe]
#define SECOND (FIRST == NONE -> NONE : next[FIRST])
#define IS_OPEN(work) (life[work] % 2 == 1 && sharers[work] > 0)
inline check_list()
{
	assert(FIRST == NONE || (IS_OPEN(FIRST) && prev[FIRST] == HEAD));
	assert(SECOND == NONE || SECOND < OPENERS);
	assert(SECOND == NONE || (IS_OPEN(SECOND) && prev[SECOND] == FIRST));
	assert(SECOND == NONE || next[SECOND] == NONE);
	assert(end[stripe] == (SECOND != NONE -> SECOND :
		(FIRST != NONE -> FIRST : HEAD)));
	assert(bytes[stripe] == CHUNKS * ((FIRST != NONE) + (SECOND != NONE)));
	assert(!shown[stripe] || FIRST != NONE)
}

inline open()
{
	atomic {
		!lock[stripe] ->
		life[work]++;
		mine = life[work];
		chunks[work] = 0;
		claimed[work] = 0;
#ifdef SHARERS_FROM_0
		sharers[work] = 0;
#else
		sharers[work] = 1;
#endif
		next[work] = NONE;
		prev[work] = end[stripe];
		if
		:: end[stripe] == HEAD -> first[stripe] = work
		:: else -> next[end[stripe]] = work
		fi;
		end[stripe] = work;
		bytes[stripe] = bytes[stripe] + CHUNKS;
		if
		:: shown[stripe] = true
		:: true
		fi;
		check_list()
	}
}

inline take_off()
{
	atomic {
		!lock[stripe] ->
		touch();
		if
#ifdef UNLINKED_TWICE
		:: true ->
#else
		:: prev[work] != NONE ->
#endif
			assert(prev[work] != NONE);
			if
			:: prev[work] == HEAD -> first[stripe] = next[work]
			:: else -> next[prev[work]] = next[work]
			fi;
			if
			:: next[work] != NONE -> prev[next[work]] = prev[work]
			:: else -> end[stripe] = prev[work]
			fi;
			prev[work] = NONE;
			bytes[stripe] = bytes[stripe] - CHUNKS;
#ifndef SHOWN_FOR_EVER
			if
			:: first[stripe] == NONE -> shown[stripe] = false
			:: else
			fi
#endif
		:: else
#ifdef COUNTED_TWICE
			-> bytes[stripe] = bytes[stripe] - CHUNKS
#endif
		fi;
#ifndef SHOWN_FOR_EVER
		check_list()
#endif
	}
}

inline take_off_if_exhausted()
{
	if
	:: exhausted -> exhausted = false; take_off()
	:: else
	fi
}

/* join_newest(). Sets work, to NONE if there is none. */
inline join()
{
#ifdef JOINS_UNLOCKED
	atomic {
		work = (end[stripe] == HEAD -> NONE : end[stripe]);
		if
		:: work != NONE -> mine = life[work]
		:: else
		fi
	};
	if
	:: work != NONE -> atomic { touch(); sharers[work]++ }
	:: else
	fi
#else
	atomic {
		!lock[stripe] -> lock[stripe] = true;
		work = (end[stripe] == HEAD -> NONE : end[stripe]);
		if
		:: work != NONE -> mine = life[work]
		:: else
		fi
	};
	atomic {
		if
		:: work != NONE ->
			touch();
			sharers[work]++
		:: else
		fi;
		lock[stripe] = false
	}
#endif
}

/* The claim alone. Sets got, and exhausted if it was the last chunk. */
inline claim()
{
#ifdef CLAIMS_IN_TWO_STEPS
	atomic { touch(); at = claimed[work] };
	atomic {
		touch();
		got = (at < CHUNKS);
		claimed[work] = (got -> at + 1 : at);
		at = 0;
		exhausted = exhausted || (got && claimed[work] == CHUNKS)
	}
#else
	atomic {
		touch();
		got = (claimed[work] < CHUNKS);
		claimed[work] = claimed[work] + got;
		exhausted = exhausted || (got && claimed[work] == CHUNKS)
	}
#endif
}

inline leave()
{
#ifdef LEAVES_IN_TWO_STEPS
	atomic { touch(); sharers[work]-- };
	atomic { touch(); last = (sharers[work] == 0) };
#else
	atomic {
		touch();
		sharers[work]--;
#ifdef LAST_BY_CLAIMED
		last = !got
#else
		last = (sharers[work] == 0)
#endif
	};
#endif
#ifdef LEAVES_FIRST
	take_off_if_exhausted();
#endif
	/* The last sharer completes the work. Its owner has the memory then. */
	atomic {
		if
		:: last ->
			touch();
			assert(chunks[work] == CHUNKS);
			life[work]++
		:: else
		fi;
		mine = 0;
		last = false;
		got = false
	}
}

/* A claim with its take_off, and the chunk. Sets got. */
inline do_chunk()
{
	claim();
#if defined(NOT_TAKEN_OFF)
	exhausted = false;
#elif !defined(LEAVES_FIRST)
	take_off_if_exhausted();
#endif
	if
	:: got -> atomic { touch(); chunks[work]++ }
	:: else
	fi
}

active [OPENERS] proctype opener()
{
	byte work = _pid;
	byte stripe = STRIPE(_pid);
	byte mine, at;
	bool got, exhausted, last;

	do
	:: life[work] < 2 * LIVES ->
		open();
		do
		:: do_chunk();
			if
			:: got
			:: !got -> break
#ifdef OPENER_LEAVES_EARLY
			:: break
#endif
			fi
		od;
		leave();
		/* The poll that returns COMPLETE. */
		life[work] % 2 == 0
	:: else -> break
	od;
	ended++;

	ended == OPENERS;
	assert(first[stripe] == NONE && bytes[stripe] == 0)
}

active [HELPERS] proctype helper()
{
	byte work = NONE;
	byte stripe = 0;
	byte mine, at;
	bool got, exhausted, last;

	do
	:: IS_SHOWN ->
#if STRIPES > 1
		if
		:: shown[0] -> stripe = 0
		:: shown[1] -> stripe = 1
		:: else
		fi;
#endif
		join();
		if
		:: work == NONE
		:: work != NONE ->
			do_chunk();
			if
			:: !got ->
#ifndef JOINER_DOES_NOT_CLOSE
				take_off()
#endif
			:: got ->
				do
				:: do_chunk();
					if
					:: got
					:: !got -> break
					fi
				:: break
				od
			fi;
			leave()
		fi;
		work = NONE;
		stripe = 0
	:: ended == OPENERS -> break
	od
}
