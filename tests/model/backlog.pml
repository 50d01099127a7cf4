/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * backlog.pml -- items that wait for a worker, in a ring and its overflow
 * (src/crew/backlog.c), together with the workers' sleep (crew.c)
 *
 * One producer submits two items, another one. The ring holds one. Two workers
 * run the items. Then the program stops the workers, at once or when all items
 * are done.
 *
 * Pieces:   push, pop_overflow, pop, is_empty: the functions of these names,
 *           without mia_backlog_; notify, found, prepare, cancel, sleep: of
 *           idle.c, and sleep_until_notified, worker: of crew.c, as in
 *           sleep.pml, which has more of them. A push to the ring claims the
 *           cell and then fills it. It may also find the ring full while a pop
 *           has not freed its cell yet. pop_overflow moves one item to the
 *           ring (FILL_MAX is 2). Steps under the lock that nobody can see are
 *           one, and so are the lock and the second look at the ring.
 * Slow:     item 0 may be one that ends only when the others have ended.
 *           That shows that a second worker comes when there is work for two.
 * Checked:  - nobody waits for ever: no work is left lying while a worker
 *             sleeps that could do it, and all workers end at stop. There is
 *             no endless run either (-DENDS, of two items: a search for
 *             endless runs sees all states twice).
 *           - Each item is done once; the count is what the list holds.
 *           - One worker does the items of the first producer in their order
 *             (-DWORKERS=1).
 * Assumed:  sequential consistency. The memory orders are argued in the code
 *           and tested with ThreadSanitizer.
 *
 * Each of these must be found wrong:
 *	-DNO_OVERFLOW_CHECK	a new sleeper does not look at the overflow
 *	-DRING_FIRST	is_empty looks at the ring before the overflow
 *	-DCOUNTED_OUT_FIRST	what goes to the ring is counted out before
 *	-DCOUNTED_LATE	an item is counted after notify
 *	-DREADS_LATE	the next of an item is read after its push
 *	-DNO_LAST_LOOK	a worker ends without a look at the backlog
 *	-DNO_LOCK	a worker takes from the overflow without the lock
 *	-DWORKERS=1 -DONE_LOOK	it does not look at the ring again
 */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifdef ENDS
#define ITEMS 2
#else
#define ITEMS 3
#endif

#define SEARCHER 1
#define SLEEPER 16
#define SEARCHERS(counts) ((counts) % SLEEPER)
#define SLEEPERS(counts) ((counts) / SLEEPER)

#define NONE 255
#define CLAIMED 254

byte counts = WORKERS * SEARCHER;
byte tokens = 0;
bool stop = false;

byte ring = NONE; /* its one cell: an item, or claimed, or free */

bool lock = false;
byte first = NONE;
byte last = NONE;
byte next[ITEMS] = NONE; /* of an item that is not done */
byte count = 0;

byte times[ITEMS]; /* that it was done */
byte done = 0;
byte ended = 0;
bool slow = false; /* item 0 */

inline cas(old, new, success)
{
	atomic {
		success = (counts == old);
		if
		:: success -> counts = new
		:: else -> old = counts
		fi
	}
}

/* For one searcher. */
inline notify()
{
	seen = counts;
	do
	:: SLEEPERS(seen) > 0 && SEARCHERS(seen) == 0 ->
		cas(seen, seen - SLEEPER + SEARCHER, success);
		if
		:: success -> tokens++; break
		:: else
		fi
	:: else -> break
	od;
	atomic { seen = 0; success = false }
}

/* Sets pushed. */
inline queue_push(what)
{
	atomic {
		if
		:: ring == NONE -> ring = CLAIMED; pushed = true
		:: pushed = false
		fi
	};
	if
	:: pushed -> ring = what
	:: else
	fi
}

inline push(what)
{
	pushed = false;
	if
	:: count == 0 -> queue_push(what)
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
inline pop_ring()
{
	atomic {
		item = ring;
		if
		:: item == CLAIMED -> item = NONE
		:: item != NONE && item != CLAIMED -> ring = NONE
		:: else
		fi
	}
}

/* Sets item. */
inline pop_overflow()
{
	if
	:: count > 0 ->
		atomic {
#ifndef NO_LOCK
			!lock -> lock = true;
#endif
#ifdef ONE_LOOK
			item = NONE;
#else
			pop_ring();
#endif
			if
			:: item == NONE && first != NONE ->
				item = first;
				left = next[item];
				taken = 1
			:: else -> lock = false
			fi
		};
		if
		:: taken > 0 -> take_more()
		:: else
		fi
	:: else
	fi
}

/* What is behind the item, to the ring. Unlocks. */
inline take_more()
{
#ifdef COUNTED_OUT_FIRST
	if
	:: left != NONE -> count = count - taken - 1
	:: else -> count = count - taken
	fi;
#endif
	if
	:: left != NONE ->
#ifdef READS_LATE
		queue_push(left);
		behind = next[left];
#else
		behind = next[left];
		queue_push(left);
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
}

/* Sets work to the opposite. */
inline is_empty()
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

/* Sets seen to what the counts were. */
inline found()
{
	atomic {
		assert(SEARCHERS(counts) > 0);
		seen = counts;
		counts = counts - SEARCHER
	}
}

inline prepare()
{
	atomic {
		assert(SEARCHERS(counts) > 0);
		counts = counts + SLEEPER - SEARCHER
	}
}

inline cancel()
{
	seen = counts;
	success = false;
	do
	:: !success && SLEEPERS(seen) > 0 ->
		cas(seen, seen - SLEEPER + SEARCHER, success)
	:: else -> break
	od;
	if
	:: success
	:: else -> sleep()
	fi;
	atomic { seen = 0; success = false }
}

inline sleep() { atomic { tokens > 0 -> tokens-- } }

inline sleep_until_notified()
{
	prepare();
	is_empty();
	work = work || stop;
	if
	:: work -> cancel()
	:: else -> sleep()
	fi;
	work = false
}

/* Sets item. */
inline pop()
{
	pop_ring();
	if
	:: item == NONE -> pop_overflow()
	:: else
	fi
}

/* Its memory is the next one's as soon as it is done. */
inline run_item()
{
	if
	:: item == 0 && slow -> done == ITEMS - 1
	:: else
	fi;
	atomic {
		assert(times[item] == 0);
		assert(WORKERS > 1 || item != 1 || times[0] == 1);
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
	pop();
	if
	:: item == NONE ->
#ifdef NO_LAST_LOOK
		work = false;
#else
		is_empty();
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

	found();
	if
	:: SEARCHERS(seen) == 1 && SLEEPERS(seen) > 0 ->
		is_empty();
		if
		:: work -> notify()
		:: else
		fi
	:: else
	fi;
	atomic { seen = 0; work = false };
	do
	:: item != NONE -> run_item(); pop()
	:: else -> break
	od;
	counts = counts + SEARCHER; /* search() */
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
		push(what);
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
	:: WORKERS > 1 -> slow = true
	:: true
	fi;
	push(ITEMS - 1);
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
	seen = counts;
	do
	:: SLEEPERS(seen) > 0 ->
		cas(seen, seen - SLEEPER + SEARCHER, success);
		if
		:: success ->
			tokens++;
			seen = seen - SLEEPER + SEARCHER
		:: else
		fi
	:: else -> break
	od;
	ended == WORKERS;
	assert(done == ITEMS && tokens == 0 && count == 0);
	assert(first == NONE && ring == NONE);
	assert(counts == WORKERS * SEARCHER)
}
