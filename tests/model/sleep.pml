/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sleep.pml -- which worker sleeps (src/crew/idle.c and crew.c), with a big
 * item that is shared, because it makes work too
 *
 * Two producers submit an item each, one of which is big: a worker that runs it
 * shares it. Two workers run the items. Then the program stops the workers, at
 * once or when all items are done.
 *
 * Pieces:   notify, notify_spare, notify_all, found, search, prepare, cancel,
 *           sleep: the functions of these names in idle.c. has_work, take_work,
 *           sleep_until_notified: those of crew.c. worker: worker_run(), with
 *           one look as search(), because more looks that find nothing change
 *           nothing. run_item: run().
 *           A push to the queue claims a position and then fills it. The rest
 *           of the backlog is in backlog.pml. Shared work is a flag and a
 *           chunk. The rest of sharing is in sharing.pml. The semaphore is a
 *           number.
 * CPUs:     notify() and notify_spare() find a spare CPU or not, as they like.
 * Slow:     the item in position 0 may be one that ends only when the others
 *           have ended, like a user's function that waits for them. That shows
 *           that a second worker comes when there is work for two. Or the big
 *           item ends only when a worker has helped.
 * Checked:  - nobody waits for ever: no work is left lying while a worker
 *             sleeps that could do it, and all workers end at stop. There is
 *             no endless run either (-DENDS, with small ones started one after
 *             the other: a search for endless runs sees all states twice).
 *           - All items are done then, each once.
 *           - The counts and the tokens agree.
 * Assumed:  sequential consistency. The memory orders are argued in the code
 *           and tested with ThreadSanitizer.
 *
 * Each of these must be found wrong:
 *	-DNO_RECHECK	a new sleeper does not look for work once more
 *	-DNO_STOP_CHECK	a new sleeper does not look at stop
 *	-DRECHECK_FIRST	the last look for work is before it becomes a sleeper
 *	-DNOT_PASSED_ON	the last searcher that finds work notifies nobody
 *	-DNOTIFY_FIRST	the work is published after notify
 *	-DNO_TOKEN	notify posts no token
 *	-DENDS -DNO_MOST	notify goes on until enough search (endless)
 *	-DLEAVES_TOKEN	a sleeper that was woken cancels without its token
 *	-DSTOP_LATE	a worker looks at stop after it has searched
 *	-DSHARES_SILENTLY	a worker that shares work notifies nobody
 *	-DWAKES_ONE_AT_STOP	only one sleeper is woken at stop
 */

#define WORKERS 2
#ifndef ITEMS
#define ITEMS 2
#endif
#define CHUNKS 1

#define SEARCHER 1
#define SLEEPER 16
#define SEARCHERS(counts) ((counts) % SLEEPER)
#define SLEEPERS(counts) ((counts) / SLEEPER)

/* What lies in the queue. */
#define NOTHING 0
#define SMALL 1
#define BIG 2
#define SLOW 3
#define HELP 4 /* not in the queue: work that was joined */

/* What the program does. */
#define HELPED 1 /* the big item waits for help, and the program for all */
#define FREE 2   /* an item may be slow; the program waits for all, or not */

/* struct mia_idle */
byte counts = WORKERS * SEARCHER;
byte tokens = 0;

/* struct mia_crew */
bool stop = false;
byte queue[ITEMS + 1]; /* the last stays empty */
byte head = 0;
byte tail = 0;
bool shared = false; /* the big item, on the list */

byte chunks = 0; /* of it, not claimed */
bool helped = false;
byte mode = NOTHING;

byte done = 0;
byte pushed = 0;
byte ended = 0;

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

/* Sets seen and success. */
inline wake_one()
{
	cas(seen, seen - SLEEPER + SEARCHER, success);
	if
	:: success ->
#ifndef NO_TOKEN
		tokens++;
#endif
		seen = seen - SLEEPER + SEARCHER
	:: else
	fi
}

inline notify(searchers)
{
	seen = counts;
	woken = 0;
	do
	:: woken < searchers && SLEEPERS(seen) > 0 ->
		if
		/* It is the first wake. */
		:: woken == 0 && SEARCHERS(seen) == 0
		/* There is a spare CPU. */
		:: SEARCHERS(seen) < searchers
		/* Enough search, or there is no spare CPU. */
		:: woken > 0 || SEARCHERS(seen) > 0 -> break
		fi;
		wake_one();
#ifndef NO_MOST
		woken = woken + success
#endif
	:: else -> break
	od;
	atomic { seen = 0; woken = 0; success = false }
}

/* One searcher, or none if there is no spare CPU. */
inline notify_spare()
{
	if
	:: notify(1)
	:: true
	fi
}

inline notify_all()
{
	seen = counts;
	do
	:: SLEEPERS(seen) > 0 ->
		wake_one();
#ifdef WAKES_ONE_AT_STOP
		break
#endif
	:: else -> break
	od
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

inline search() { counts = counts + SEARCHER }

inline prepare()
{
	atomic {
		assert(SEARCHERS(counts) > 0);
		counts = counts + SLEEPER - SEARCHER
	}
}

inline sem_wait() { atomic { tokens > 0 -> tokens-- } }

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
	:: else ->
#ifndef LEAVES_TOKEN
		sem_wait()
#endif
	fi;
	atomic { seen = 0; success = false }
}

inline sleep() { sem_wait() }

/* Sets work. One step: backlog.pml has more. */
inline has_work()
{
	work = (queue[head] != NOTHING || shared)
}

inline sleep_until_notified()
{
#ifdef RECHECK_FIRST
	has_work();
	work = work || stop;
#endif
	prepare();
#if defined(NO_RECHECK)
	work = stop;
#elif defined(NO_STOP_CHECK)
	has_work();
#elif !defined(RECHECK_FIRST)
	has_work();
	work = work || stop;
#endif
	if
	:: work -> cancel()
	:: else -> sleep()
	fi;
	work = false
}

/* Sets item. */
inline take_work()
{
	atomic {
		item = queue[head];
		if
		:: item != NOTHING -> queue[head] = NOTHING; head++
		:: else
		fi
	};
	/* mia_sharing_join() */
	if
	:: item == NOTHING && shared -> item = HELP
	:: else
	fi
}

/* Sets work: whether there was a chunk. The last claim takes it off. */
inline do_chunk()
{
	atomic {
		work = (chunks > 0);
		chunks = chunks - work
	};
	if
	:: work && chunks == 0 -> shared = false
	:: else
	fi
}

/* As run_shared() of threads_work.c. */
inline share()
{
	atomic { chunks = CHUNKS; shared = true };
#ifndef SHARES_SILENTLY
	notify(1);
#endif
	mode == FREE || helped;
	do
	:: do_chunk();
		if
		:: !work -> break
		:: else
		fi
	od;
	done++
}

/* As mia_threads_help(). */
inline help()
{
	helped = true;
	do_chunk();
	if
	:: !work -> shared = false /* it closes */
	:: work ->
		do
		:: queue[head] != NOTHING -> break
		:: else ->
			do_chunk();
			if
			:: !work -> break
			:: else
			fi
		od
	fi;
	work = false
}

inline run_item()
{
	if
	:: item == SMALL -> done++
	:: item == SLOW -> done == ITEMS - 1; done++
	:: item == BIG -> share()
	:: item == HELP -> help()
	fi
}

active [WORKERS] proctype worker()
{
	byte item, seen, woken;
	bool success, work, stopped;

again:
#ifndef STOP_LATE
	stopped = stop;
#endif
	take_work();
#ifdef STOP_LATE
	stopped = stop;
#endif
	if
	/* What only moves to the ring is in backlog.pml. */
	:: item == NOTHING && stopped -> goto end
	:: item == NOTHING && !stopped ->
		sleep_until_notified();
		goto again
	:: else
	fi;

	found();
#ifndef NOT_PASSED_ON
	if
	:: SEARCHERS(seen) == 1 && SLEEPERS(seen) > 0 ->
		if
		:: queue[head] != NOTHING -> notify(1)
		:: else ->
			if
			:: shared -> notify_spare()
			:: else
			fi
		fi
	:: else
	fi;
#endif
	atomic { seen = 0; work = false };
	do
	:: item != NOTHING -> run_item(); take_work()
	:: else -> break
	od;
	search();
	goto again;
end:
	ended++
}

/* mia_crew_submit(): one searcher is wanted, or all. */
inline submit(what)
{
	atomic { position = tail; tail++ };
	if
	:: searchers = 1
	:: searchers = WORKERS
	fi;
#ifdef NOTIFY_FIRST
	notify(searchers);
#endif
	if
	:: mode == FREE && what == SMALL && position == 0 ->
		queue[position] = SLOW
	:: queue[position] = what
	fi;
#ifndef NOTIFY_FIRST
	notify(searchers);
#endif
	atomic { position = 0; searchers = 0 }
}

active [ITEMS - 1] proctype producer()
{
	byte position, seen, searchers, woken;
	bool success;

	mode != NOTHING;
	submit(SMALL);
	pushed++
}

/* And then the program that deletes the mover. */
active proctype last_producer()
{
	byte position, seen, searchers, woken;
	bool success;

	if
#ifndef ENDS
	:: mode = HELPED
#endif
	:: mode = FREE
	fi;
#ifdef ENDS
	pushed == ITEMS - 1;
	submit(SMALL);
#else
	submit(BIG);
	pushed == ITEMS - 1;
#endif
	if
	:: true -> done == ITEMS
	:: mode == FREE
	fi;

	/* stop_workers() */
	stop = true;
	notify_all();
	ended == WORKERS;
	assert(done == ITEMS && tokens == 0);
	assert(counts == WORKERS * SEARCHER)
}
