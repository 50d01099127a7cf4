/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * overflow.pml -- the queue of data_mover_threads.c, a ring and its overflow,
 * together with the workers' sleep
 *
 * One producer starts two operations, another one. The ring holds one. Two
 * workers do the operations. Then the program stops the workers, at once or
 * when all operations are complete.
 *
 * Pieces:   enqueue, take_from_overflow, is_queued, take_work: the functions
 *           of these names; notify, stop_searching, sleep_until_notified,
 *           worker: as in sleep.pml, which has more of them. A push to the
 *           ring claims the cell and then fills it. Steps under the lock that
 *           nobody can see are one.
 * Slow:     operation 0 may be one that ends only when the others have ended.
 *           That shows that a second worker comes when there is work for two.
 * Checked:  - nobody waits for ever: no work is left lying while a worker
 *             sleeps that could do it, and all workers end at stop. There is
 *             no endless run either (-DENDS, of two operations: a search for
 *             endless runs sees all states twice).
 *           - Each operation is done once; the count is what the list holds.
 * Assumed:  sequential consistency. The memory orders are argued in the code
 *           and tested with ThreadSanitizer.
 *
 * Each of these must be found wrong:
 *	-DNO_OVERFLOW_CHECK	a new sleeper does not look at the overflow
 *	-DRING_FIRST	is_queued looks at the ring before the overflow
 *	-DCOUNTED_OUT_FIRST	what goes to the ring is counted out before
 *	-DCOUNTED_LATE	an operation is counted after notify
 *	-DREADS_LATE	the next of an operation is read after its push
 *	-DNO_LAST_LOOK	a worker ends without a look at the queue
 *	-DNO_LOCK	a worker takes from the overflow without the lock
 */

#define WORKERS 2
#ifdef ENDS
#define ITEMS 2
#else
#define ITEMS 3
#endif

#define SEARCHING 1
#define SLEEPING 16

#define NONE 255
#define CLAIMED 254

byte awake = WORKERS * SEARCHING;
byte tokens = 0;
bool stop = false;

byte ring = NONE; /* its one cell: an operation, or claimed, or free */

bool lock = false;
byte first = NONE;
byte last = NONE;
byte next[ITEMS] = NONE; /* of an operation that is not done */
byte count = 0;

byte times[ITEMS]; /* that it was done */
byte done = 0;
byte ended = 0;
bool slow = false; /* operation 0 */

inline cas(old, new, success)
{
	atomic {
		success = (awake == old);
		if
		:: success -> awake = new
		:: else -> old = awake
		fi
	}
}

/* For one searcher. */
inline notify()
{
	seen = awake;
	do
	:: seen >= SLEEPING && seen % SLEEPING == 0 ->
		cas(seen, seen - SLEEPING + SEARCHING, success);
		if
		:: success -> tokens++; break
		:: else
		fi
	:: else -> break
	od;
	atomic { seen = 0; success = false }
}

/* Sets pushed. */
inline push(what)
{
	atomic {
		pushed = (ring == NONE);
		if
		:: pushed -> ring = CLAIMED
		:: else
		fi
	};
	if
	:: pushed -> ring = what
	:: else
	fi
}

inline enqueue(what)
{
	pushed = false;
	if
	:: count == 0 -> push(what)
	:: else
	fi;
	if
	:: !pushed -> atomic {
		!lock ->
		next[what] = NONE;
		if
		:: first == NONE -> first = what
		:: else -> next[last] = what
		fi;
		last = what;
#ifndef COUNTED_LATE
		count++
#endif
	   }
	:: else
	fi;
#ifdef COUNTED_LATE
	notify();
	if
	:: !pushed -> count++
	:: else
	fi
#endif
}

/* Sets item. */
inline take_from_overflow()
{
	if
	:: count > 0 ->
		atomic {
#ifndef NO_LOCK
			!lock -> lock = true;
#endif
			item = first;
			left = NONE;
			taken = 0;
			if
			:: item != NONE -> left = next[item]; taken = 1
			:: else
			fi
		};
#ifdef COUNTED_OUT_FIRST
		if
		:: left != NONE -> count = count - taken - 1
		:: else -> count = count - taken
		fi;
#endif
		if
		:: left != NONE ->
#ifdef READS_LATE
			push(left);
			behind = next[left];
#else
			behind = next[left];
			push(left);
#endif
			if
			:: pushed -> left = behind; taken++
			:: else ->
#ifdef COUNTED_OUT_FIRST
				count++
#endif
			fi
		:: else
		fi;
		atomic {
			first = left;
#ifndef COUNTED_OUT_FIRST
			count = count - taken;
#endif
			lock = false;
			left = 0;
			behind = 0;
			taken = 0;
			pushed = false
		}
	:: else
	fi
}

/* Sets work. */
inline is_queued()
{
#if defined(NO_OVERFLOW_CHECK)
	work = (ring != NONE && ring != CLAIMED)
#elif defined(RING_FIRST)
	work = (ring != NONE && ring != CLAIMED);
	work = work || count > 0
#else
	work = (count > 0);
	work = work || (ring != NONE && ring != CLAIMED)
#endif
}

inline stop_searching()
{
	atomic {
		assert(awake % SLEEPING >= SEARCHING);
		seen = awake;
		awake = awake - SEARCHING
	};
	if
	:: seen % SLEEPING == SEARCHING && seen >= SLEEPING ->
		is_queued();
		if
		:: work -> notify()
		:: else
		fi
	:: else
	fi;
	atomic { seen = 0; work = false }
}

inline sleep_until_notified()
{
	atomic {
		assert(awake % SLEEPING >= SEARCHING);
		awake = awake + SLEEPING - SEARCHING;
		seen = awake
	};
	success = false;
	is_queued();
	work = work || stop;
	if
	:: work ->
		do
		:: seen >= SLEEPING ->
			cas(seen, seen - SLEEPING + SEARCHING, success);
			if
			:: success -> break
			:: else
			fi
		:: else -> break
		od
	:: else
	fi;
	if
	:: !success -> atomic { tokens > 0 -> tokens-- }
	:: else
	fi;
	atomic { seen = 0; work = false; success = false }
}

/* Sets item. */
inline take_work()
{
	atomic {
		item = ring;
		if
		:: item == CLAIMED -> item = NONE
		:: item != NONE && item != CLAIMED -> ring = NONE
		:: else
		fi
	};
	if
	:: item == NONE -> take_from_overflow()
	:: else
	fi
}

/* Its memory is the next one's as soon as it is done. */
inline do_operation()
{
	if
	:: item == 0 && slow -> done == ITEMS - 1
	:: else
	fi;
	atomic {
		assert(times[item] == 0);
		times[item]++;
		next[item] = item;
		done++
	}
}

active [WORKERS] proctype worker()
{
	byte item, seen, left, behind, taken;
	bool success, work, stopped, pushed;

again:
	stopped = stop;
	take_work();
	if
	:: item == NONE ->
#ifdef NO_LAST_LOOK
		work = false;
#else
		is_queued();
#endif
		if
		:: stopped && !work -> goto end
		:: else
		fi;
		work = false;
		sleep_until_notified();
		goto again
	:: else
	fi;

	stop_searching();
	do
	:: item != NONE -> do_operation(); take_work()
	:: else -> break
	od;
	awake = awake + SEARCHING;
	goto again;
end:
	ended++
}

bool started = false;

active proctype producer()
{
	byte seen, what;
	bool success, pushed;

	do
	:: what < ITEMS - 1 ->
		enqueue(what);
#ifndef COUNTED_LATE
		notify();
#endif
		what++
	:: else -> break
	od;
	started = true
}

/* And then the program that deletes the mover. */
active proctype last_producer()
{
	byte seen;
	bool success, pushed;

	if
	:: slow = true
	:: true
	fi;
	enqueue(ITEMS - 1);
#ifndef COUNTED_LATE
	notify();
#endif
	started;
	if
	:: true -> done == ITEMS
	:: true
	fi;

	/* stop_workers() */
	stop = true;
	seen = awake;
	do
	:: seen >= SLEEPING ->
		cas(seen, seen - SLEEPING + SEARCHING, success);
		if
		:: success ->
			tokens++;
			seen = seen - SLEEPING + SEARCHING
		:: else
		fi
	:: else -> break
	od;
	ended == WORKERS;
	assert(done == ITEMS && tokens == 0 && count == 0);
	assert(first == NONE && ring == NONE);
	assert(awake == WORKERS * SEARCHING)
}
