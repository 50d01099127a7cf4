/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sleep.pml -- which worker sleeps (data_mover_threads.c, "Sleep"), with the
 * sharing of a big operation, because it makes work too
 *
 * Two producers start an operation each, one of which is big and shared by
 * whoever helps. Two workers do them. Then the program stops the workers, at
 * once or when all operations are complete.
 *
 * Pieces:   notify, stop_searching, sleep_until_notified, has_work, take_work,
 *           do_share, take_off, share, join_shared, stop_workers: the
 *           functions of these names; worker: worker_run(); push, take_work:
 *           the queue, in which a push first claims a position and then fills
 *           it. The semaphore is a number, a lock is one atomic step. search()
 *           is one look: more that find nothing change nothing.
 * Slow:     the operation in position 0 may be one that ends only when the
 *           others have ended, like a user's function that waits for them.
 *           That shows that a second worker comes when there is work for two.
 * Checked:  - nobody waits for ever: no work is left lying while a worker
 *             sleeps that could do it, and all workers end at stop. There is
 *             no endless run either (-DENDS, with small ones started one after
 *             the other: a search for endless runs sees all states twice).
 *           - All operations are done then, each once, the big one by the last
 *             that leaves it, with all its chunks; nobody joins it later.
 *           - awake and the tokens agree.
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
 *	-DLEAVES_TOKEN	who finds work again does not take its token
 *	-DSTOP_LATE	a worker looks at stop after it has searched
 *	-DJOINS_LATE	who leaves the big operation does not take it off
 */

#define WORKERS 2
#ifndef ITEMS
#define ITEMS 2
#endif
#define CHUNKS 2

#define SEARCHING 1
#define SLEEPING 16

/* What lies in the queue. */
#define NOTHING 0
#define SMALL 1
#define BIG 2
#define SLOW 3

byte awake = WORKERS * SEARCHING;
byte tokens = 0;
bool stop = false;

byte queue[ITEMS + 1]; /* the last stays empty */
byte head = 0;
byte tail = 0;

/* The big operation, and the list of shared ones, which has room for it. */
bool shared = false; /* nshared */
byte sharers = 0;
byte claimed = 0;
byte chunks = 0;
bool complete = false;

byte done = 0;
byte pushed = 0;
byte ended = 0;

#define HAS_WORK (queue[head] != NOTHING || shared)

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

/* Sets seen and success. */
inline notify(searchers)
{
	seen = awake;
	most = searchers;
	do
	:: most > 0 && seen >= SLEEPING && seen % SLEEPING < searchers ->
		cas(seen, seen - SLEEPING + SEARCHING, success);
		if
		:: success ->
#ifndef NO_TOKEN
			tokens++;
#endif
#ifndef NO_MOST
			most--;
#endif
			seen = seen - SLEEPING + SEARCHING
		:: else
		fi
	:: else -> break
	od;
	atomic { seen = 0; most = 0 }
}

inline stop_searching()
{
	atomic {
		assert(awake % SLEEPING >= SEARCHING);
		seen = awake;
		awake = awake - SEARCHING
	};
#ifndef NOT_PASSED_ON
	if
	:: seen % SLEEPING == SEARCHING && seen >= SLEEPING && HAS_WORK ->
		notify(1)
	:: else
	fi;
#endif
	seen = 0
}

inline sleep_until_notified()
{
#ifdef RECHECK_FIRST
	work = HAS_WORK || stop;
#endif
	atomic {
		assert(awake % SLEEPING >= SEARCHING);
		awake = awake + SLEEPING - SEARCHING;
		seen = awake
	};
	success = false;
#if defined(NO_RECHECK)
	work = stop;
#elif defined(NO_STOP_CHECK)
	work = HAS_WORK;
#elif !defined(RECHECK_FIRST)
	work = HAS_WORK;
	work = work || stop;
#endif
	if
	:: work ->
		do
		:: seen >= SLEEPING ->
			cas(seen, seen - SLEEPING + SEARCHING, success);
			if
			:: success -> break
			:: else
			fi
		:: else ->
#ifdef LEAVES_TOKEN
			success = true;
#endif
			break
		od
	:: else
	fi;
	if
	:: !success -> atomic { tokens > 0 -> tokens-- }
	:: else
	fi;
	atomic { seen = 0; work = false; success = false }
}

/* Sets item, and helps if it is one to help with. */
inline take_work()
{
	atomic {
		item = queue[head];
		helps = false;
		if
		:: item != NOTHING -> queue[head] = NOTHING; head++
		:: else
		fi
	};
	atomic {
		if
		:: item == NOTHING && shared ->
			assert(!complete);
			sharers++;
			item = BIG;
			helps = true
		:: else
		fi
	}
}

inline do_share()
{
	do
	:: helps && queue[head] != NOTHING -> break
	:: else ->
		atomic {
			assert(!complete);
			if
			:: claimed < CHUNKS -> claimed++; work = true
			:: else -> work = false
			fi
		};
		if
		:: work -> chunks++
		:: else ->
			/* take_off() */
#ifndef JOINS_LATE
			shared = false;
#endif
			break
		fi
	od;
	atomic {
		assert(!complete);
		sharers--;
		work = (sharers == 0)
	};
	if
	:: work -> atomic {
		assert(chunks == CHUNKS);
		complete = true;
		done++;
		work = false
	   }
	:: else
	fi
}

inline share()
{
	atomic { sharers = 1; shared = true };
	notify(1);
	do_share()
}

active [WORKERS] proctype worker()
{
	byte item, seen, most;
	bool helps, success, work, stopped;

again:
#ifndef STOP_LATE
	stopped = stop;
#endif
	take_work();
#ifdef STOP_LATE
	stopped = stop;
#endif
	if
	:: item == NOTHING && stopped -> goto end
	:: item == NOTHING && !stopped ->
		sleep_until_notified();
		goto again
	:: else
	fi;

	stop_searching();
	do
	:: item == SMALL -> done++; take_work()
	:: item == SLOW -> done == ITEMS - 1; done++; take_work()
	:: item == BIG ->
		if
		:: helps -> do_share()
		:: else -> share()
		fi;
		take_work()
	:: item == NOTHING -> break
	od;
	awake = awake + SEARCHING;
	goto again;
end:
	ended++
}

/*
 * hand_over(); one searcher is wanted, or all, whatever searchers_for() says and
 * however many CPUs there are
 */
inline push(what)
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
	:: what == SMALL && position == 0 -> queue[position] = SLOW
	:: queue[position] = what
	fi;
#ifndef NOTIFY_FIRST
	notify(searchers);
#endif
	atomic { position = 0; searchers = 0 }
}

active [ITEMS - 1] proctype producer()
{
	byte position, seen, searchers, most;
	bool success;

	push(SMALL);
	pushed++
}

/* And then the program that deletes the mover. */
active proctype last_producer()
{
	byte position, seen, searchers, most;
	bool success;

#ifdef ENDS
	pushed == ITEMS - 1;
	push(SMALL);
#else
	push(BIG);
	pushed == ITEMS - 1;
#endif

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
	assert(done == ITEMS && tokens == 0);
	assert(awake == WORKERS * SEARCHING)
}
