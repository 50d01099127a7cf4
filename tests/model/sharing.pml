/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sharing.pml -- work that several threads share (src/crew/sharing.c)
 *
 * Two openers have one piece of memory for work each, and open it again and
 * again. Two helpers join the oldest work, claim chunks and leave. A helper
 * may leave early, while chunks are left.
 *
 * Pieces:   open, join_oldest, claim, take_off, leave: the functions of these
 *           names, without mia_sharing_. opener and helper: what a caller
 *           does, as share() and worker_help() of data_mover_threads.c. Steps
 *           under the lock that nobody can see are one.
 * Checked:  - Each chunk is claimed once. Exactly one sharer is told that it
 *             was the last, when all chunks are done.
 *           - Nobody touches the memory of work that has ended. It has a new
 *             life when it is opened again, which old sharers do not touch.
 *           - Work is on the list while chunks are left. Work on the list has
 *             a sharer. The count is the length of the list.
 *           - Nobody waits for ever, and there is no endless run (-DENDS).
 * Assumed:  sequential consistency. The memory orders are argued in the code
 *           and tested with ThreadSanitizer.
 *
 * Each of these must be found wrong:
 *	-DLEAVES_FIRST	a sharer leaves, and then takes the work off
 *	-DNOT_TAKEN_OFF	exhausted work is not taken off the list
 *	-DTAKEN_OFF_EARLY	every leaver takes the work off the list
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

/* Of each work. A search for endless runs sees all states twice. */
#ifdef ENDS
#define LIVES 1
#else
#define LIVES 2
#endif

#define NONE 255

/* struct mia_sharing */
bool lock = false;
byte first = NONE;
byte count = 0;

/* struct mia_shared, by the number of its opener */
byte next[OPENERS] = NONE;
byte claimed[OPENERS];
byte sharers[OPENERS];

/* What is only watched. */
byte life[OPENERS];  /* odd: open; even: the memory is the owner's */
byte chunks[OPENERS]; /* done */
byte ended = 0;       /* openers */

inline touch() { assert(life[work] == mine) }

/* Under the lock: the list may be walked, and the count is its length. */
#define SECOND (first == NONE -> NONE : next[first])
inline check_list()
{
	assert(first == NONE || (life[first] % 2 == 1 && sharers[first] > 0));
	assert(SECOND == NONE || (life[SECOND] % 2 == 1 && sharers[SECOND] > 0));
	assert(count == (first != NONE) + (SECOND != NONE))
}

inline open()
{
	atomic {
		!lock ->
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
		if
		:: first == NONE -> first = work
		:: else -> next[first] = work
		fi;
		count++;
		check_list()
	}
}

/* Sets work, to NONE if there is none. */
inline join_oldest()
{
#ifdef JOINS_UNLOCKED
	atomic {
		work = first;
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
		!lock -> lock = true;
		work = first;
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
		lock = false
	}
#endif
}

/* Sets got. */
inline claim()
{
#ifdef CLAIMS_IN_TWO_STEPS
	atomic { touch(); at = claimed[work] };
	atomic {
		touch();
		got = (at < CHUNKS);
		claimed[work] = (got -> at + 1 : at);
		at = 0
	}
#else
	atomic {
		touch();
		got = (claimed[work] < CHUNKS);
		claimed[work] = claimed[work] + got
	}
#endif
}

inline take_off()
{
	atomic {
		!lock ->
		if
		:: first == work ->
			assert(claimed[work] == CHUNKS);
			first = next[work];
			count--
		:: first != work && first != NONE && next[first] == work ->
			assert(claimed[work] == CHUNKS);
			next[first] = next[work];
			count--
		:: else
#ifdef COUNTED_TWICE
			-> count--
#endif
		fi;
		check_list()
	}
}

inline leave()
{
	atomic { touch(); exhausted = (claimed[work] == CHUNKS) };
#ifdef TAKEN_OFF_EARLY
	exhausted = true;
#endif
#ifdef NOT_TAKEN_OFF
	exhausted = false;
#endif
#ifndef LEAVES_FIRST
	if
	:: exhausted -> take_off()
	:: else
	fi;
#endif
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
	if
	:: exhausted -> take_off()
	:: else
	fi;
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
		exhausted = false;
		last = false;
		got = false
	}
}

/* Sets got. */
inline do_chunk()
{
	claim();
	if
	:: got -> atomic { touch(); chunks[work]++ }
	:: else
	fi
}

active [OPENERS] proctype opener()
{
	byte work = _pid;
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
	assert(first == NONE && count == 0)
}

active [HELPERS] proctype helper()
{
	byte work = NONE;
	byte mine, at;
	byte early = 1; /* times that it leaves early */
	bool got, exhausted, last;

	do
	:: count > 0 ->
		join_oldest();
		do
		:: work == NONE -> break
		:: work != NONE && early > 0 -> early--; leave(); break
		:: work != NONE ->
			do_chunk();
			if
			:: got
			:: else -> leave(); break
			fi
		od;
		work = NONE
	:: ended == OPENERS -> break
	od
}
