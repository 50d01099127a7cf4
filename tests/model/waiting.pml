/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * waiting.pml -- a thread that waits does its own operation, with workers
 * (src/movers/threads_work.c, with crew/ and wait/ around it)
 *
 * A thread starts an operation, waits for it, and starts the next one in the
 * same slot. Its polls work, or only offer to, or do neither. Two workers help,
 * take over what is handed over, and sleep.
 *
 * Pieces:   open, take_off, join, claim, leave: those of sharing.c. A critical
 *           section is one step. keep, work, work_in_order, leave_here,
 *           stop_work, help, run_rest: those of threads_work.c. first_poll,
 *           later_poll: vdm_operation_impl() with op_start and op_check of
 *           data_mover_threads.c. waiter: mia_wait_until_complete() without its
 *           safety net, with polls of the program in between. worker:
 *           worker_run() with one look as search(). notify, notify_spare,
 *           cancel: those of idle.c, which decide in one step. finish:
 *           mia_completion_finish().
 * Kinds:    An operation is of pieces that anyone may claim, or an overlapping
 *           move of as many pieces: one claim, done in order. Its future was
 *           compiled with these headers, or with old ones: then only its first
 *           poll calls op_start. Its work is shown to workers or not.
 * Polls:    WORK and OFFER are those of the wait. PLAIN brings a notifier
 *           without an offer: one of the program, or of a wait whose polls do
 *           work. BARE brings none. The last three come EXTRA times for each
 *           operation at any moment, PLAIN also instead of any WORK.
 * Freely:   whether there is a CPU for a helper (notify_spare), and whether a
 *           helper leaves after a chunk.
 * Left out: what completion.pml has: a waker is replaced or slow. A poll that
 *           finds WAKING waits for the end of the waker. Several works in a
 *           list and several stripes are in sharing.pml, the backlog's queue is
 *           in backlog.pml, and stop is in sleep.pml.
 * Checked:  - Each piece is done once, before the end of the operation.
 *           - Exactly one thread ends the operation: the waiting thread without
 *             a waker, or a worker, which calls it before a poll can return
 *             COMPLETE.
 *           - No slot is touched after its operation has ended: life. Only the
 *             list uses its link: link.
 *           - Nobody waits for ever, hence no wake is lost: the waiting thread
 *             gets all its COMPLETEs, and sleeps only without kept work. A
 *             worker may sleep in the end. There is no endless run (-DENDS,
 *             with one operation: a search for endless runs sees all states
 *             twice).
 * Assumed:  sequential consistency. The variants of which "seen" is said show
 *           what the memory orders are needed for.
 *
 * Each of these must be found wrong:
 *	-DLEAVES_FIRST	the last claim is taken off after its sharer has left
 *	-DONE_LINK	the list and the backlog have one link
 *	-DLEFT_NOT_HANDED	the waiting thread leaves its part to helpers
 *	-DJOINS_TOO	the worker that takes a part over is counted as one more sharer
 *	-DREST_NOT_LEFT	the worker does not leave if helpers have done the rest
 *	-DPOLL_WAKES	the poll that ends the operation calls the waker too
 *	-DLAST_IS_SILENT	the worker that is the last ends nothing
 *	-DANY_LAST	a worker that finds nothing to claim ends the operation
 *	-DENDS_ALWAYS	the waiting thread ends the operation whenever it leaves
 *	-DCHECK_KEEPS	op_check without op_start leaves the work kept
 *	-DASKED_STAYS	op_check does not forget that this poll has asked
 *	-DPLAIN_KEEPS	op_start without an offer leaves the work kept
 *	-DREADS_AFTER_LEAVE	a helper looks at the work after it has left
 *	-DSEEN_LATE	a sharer's last piece is seen after its leave (no release)
 *	-DSEEN_EARLY	the last sharer has seen the pieces before it leaves (no acquire)
 *	-DCLAIM_LOST	a worker does not go on with a claim that is handed over
 *	-DDONE_LOST	a worker begins a claim that is handed over anew
 *	-DCLAIM_AS_OWN	the waiting thread leaves when a piece of its claim is done
 *	-DSLEEPS_ON_WORK	the waiting thread sleeps although work is kept for it
 *	-DHANDED_AS_HELP	handing over wakes a worker only if there is a spare CPU
 *	-DSEEN_AFTER_NOTIFY	handed over work is seen after the look for sleepers
 *	-DSLEEPER_SEEN_LATE	a sleeper is seen after its last look for work
 *	-DLOOKS_AT_SHOWN	a new sleeper looks at shown work only
 *	-DENDS_APART	what is left is read, and then an end is moved
 *	-DENDS -DFINDER_STAYS	a helper that finds nothing does not close
 */

#define WORKERS 2
#ifndef PIECES
#define PIECES 2
#endif

/* A search for endless runs sees all states twice. */
#ifndef LIVES
#ifdef ENDS
#define LIVES 1
#else
#define LIVES 2
#endif
#endif
#ifndef EXTRA
#define EXTRA 1
#endif

/* state */
#define NEW 0
#define PENDING 1
#define WAKING 2
#define DONE 3

/* link: shared.next, and with ONE_LINK also node.next */
#define NOBODY 0
#define LIST 1
#define NODE 2

/* polls */
#define WORK 0
#define OFFER 1
#define PLAIN 2
#define BARE 3

/* what a worker has */
#define NOTHING 0
#define ITEM 1
#define HELP 2

/* struct mia_threads_operation, one slot */
byte state = NEW;
bool is_kept, is_asked, is_claimed;
byte done;  /* pieces, of a claim in order */
bool order; /* KEEP_ORDER */
byte link = NOBODY;
bool on_list = false; /* prev != NULL */
byte front, back; /* claimed pieces: one word */
byte sharers;

/* struct mia_crew */
bool shown = false;
bool backlog = false; /* the slot's node is in it */
byte searchers = WORKERS;
byte sleepers = 0;
byte tokens = 0;

/* The wait: a wake has come. */
bool woken = false;

/* What is only watched. */
byte life = 0; /* odd: the operation is pending; even: the slot is free */
bool did[PIECES];

#define ALL_DONE (did[0] && did[1] && did[PIECES - 1])

inline touch() { assert(life == mine) }

/* crew/idle.c, for one searcher */
inline wake_one()
{
	sleepers--;
	searchers++;
	tokens++
}

inline notify()
{
	atomic {
		if
		:: searchers == 0 && sleepers > 0 -> wake_one()
		:: else
		fi
	}
}

inline notify_spare()
{
	atomic {
		if
		:: searchers == 0 && sleepers > 0 -> wake_one()
		:: true
		fi
	}
}

/* crew/sharing.c */
inline open()
{
	atomic {
		touch();
		front = 0;
		back = 0;
		sharers = 1;
		link = LIST;
		on_list = true;
		if
		:: shown = true
		:: true
		fi
	}
}

inline take_off()
{
	atomic {
		touch();
		if
		:: on_list ->
			assert(link == LIST);
			link = NOBODY;
			on_list = false;
			shown = false
		:: else
		fi
	}
}

/* Sets item. */
inline join()
{
	atomic {
		if
		:: shown && on_list ->
			assert(life % 2 == 1 && sharers > 0 && link == LIST);
			mine = life;
			sharers++;
			item = HELP
		:: else
		fi
	}
}

/* From the front or the back. Sets at, n and is_last. */
inline claim(is_front)
{
#ifdef ENDS_APART
	atomic {
		touch();
		n = (front + back == PIECES -> 0 : (order -> PIECES : 1))
	};
#endif
	atomic {
		touch();
#ifndef ENDS_APART
		n = (front + back == PIECES -> 0 : (order -> PIECES : 1));
#endif
		at = (n == 0 -> 0 : (is_front -> front : PIECES - back - n));
		front = front + (is_front -> n : 0);
		back = back + (is_front -> 0 : n);
		is_last = (front + back >= PIECES)
	};
	if
#ifndef LEAVES_FIRST
	:: n > 0 && is_last -> take_off()
#endif
	:: else
	fi
}

inline do_piece(number)
{
	atomic {
		touch();
		assert(!did[number]);
		did[number] = true
	}
}

/* The claim of a worker. */
inline do_claim()
{
	do
	:: n > 0 ->
#ifdef SEEN_LATE
		if
		:: at + 1 == PIECES -> late = true
		:: else -> do_piece(at)
		fi;
#else
		do_piece(at);
#endif
		at++;
		n--
	:: else -> break
	od;
	at = 0
}

/* The waker: it may take a lock that the polling thread holds. */
inline wake()
{
	atomic { touch(); assert(state == WAKING); woken = true }
}

/* mia_completion_finish(), by a worker. */
inline finish()
{
	atomic {
		touch();
		assert(state == PENDING && ALL_DONE);
		state = WAKING
	};
	wake();
	atomic { touch(); state = DONE }
}

/* A worker leaves. */
inline leave()
{
	atomic {
		touch();
		sharers--;
		last = (sharers == 0);
#ifdef ANY_LAST
		last = (front + back == PIECES);
#endif
	};
#ifdef SEEN_LATE
	if
	:: late -> did[PIECES - 1] = true
	:: else
	fi;
	late = false;
#endif
#ifdef LEAVES_FIRST
	take_off();
#endif
	if
#ifndef LAST_IS_SILENT
	:: last -> finish()
#endif
	:: else
	fi;
#ifdef READS_AFTER_LEAVE
	touch();
#endif
	atomic { last = false; is_last = false; mine = 0 }
}

inline help()
{
	claim(false);
	if
	:: n == 0 ->
#ifndef FINDER_STAYS
		take_off()
#endif
	:: n > 0 ->
		do_claim();
		do
		:: claim(false);
			if
			:: n == 0 -> break
			:: n > 0 -> do_claim()
			fi
		:: break
		od
	fi;
	leave()
}

inline run_rest()
{
#ifdef JOINS_TOO
	atomic { touch(); sharers++ };
#endif
	if
#ifndef CLAIM_LOST
	:: is_claimed ->
		atomic {
			touch();
#ifndef DONE_LOST
			at = done;
#endif
			n = PIECES - at
		};
		do_claim()
#endif
	:: else
	fi;
	if
#ifdef REST_NOT_LEFT
	:: front + back == PIECES
#endif
	:: else ->
		do
		:: claim(true);
			if
			:: n == 0 -> break
			:: n > 0 -> do_claim()
			fi
		od;
		leave()
	fi
}

/* Sets item. */
inline take_work()
{
	atomic {
		if
		:: backlog ->
			assert(life % 2 == 1 && sharers > 0);
			backlog = false;
			mine = life;
			item = ITEM
		:: else
		fi
	};
	if
	:: item == NOTHING -> join()
	:: else
	fi
}

/* Sets look. */
inline has_work()
{
#ifndef LOOKS_AT_SHOWN
	look = backlog;
#endif
	look = look || shown
}

inline cancel()
{
	if
	:: atomic { sleepers > 0 -> sleepers--; searchers++ }
	:: atomic { sleepers == 0 && tokens > 0 -> tokens-- }
	fi
}

inline sleep_until_notified()
{
#ifdef SLEEPER_SEEN_LATE
	has_work();
	atomic { sleepers++; searchers-- };
#else
	atomic { sleepers++; searchers-- };
	has_work();
#endif
	if
	:: look -> cancel()
	:: else ->
end_asleep:
		atomic { tokens > 0 -> tokens-- }
	fi;
	look = false
}

active [WORKERS] proctype worker()
{
	byte item = NOTHING;
	byte mine, at, n;
	bool last, is_last, look;
#ifdef SEEN_LATE
	bool late;
#endif

again:
	take_work();
	if
	:: item == NOTHING ->
		sleep_until_notified();
		goto again
	:: else
	fi;

	/* mia_idle_found() and replace_searcher() */
	atomic {
		searchers--;
		look = (searchers == 0 && sleepers > 0)
	};
	if
	:: look ->
		if
		:: backlog -> notify()
		:: else ->
			if
			:: shown -> notify_spare()
			:: else
			fi
		fi;
		look = false
	:: else
	fi;

	do
	:: item == ITEM -> run_rest(); item = NOTHING; take_work()
	:: item == HELP -> help(); item = NOTHING; take_work()
	:: item == NOTHING -> break
	od;
	searchers++;
	goto again
}

/* The waiting thread's side. */

inline keep()
{
	is_kept = true;
	is_claimed = false;
	done = 0;
	open();
	notify_spare()
}

inline leave_here()
{
#ifdef SEEN_EARLY
	all_done = ALL_DONE;
#endif
	atomic {
		is_kept = false;
		touch();
		sharers--;
		last = (sharers == 0);
#ifdef ENDS_ALWAYS
		last = true
#endif
	};
	/* mia_completion_end_here() */
	atomic {
		if
		:: last ->
			assert(state == PENDING);
#ifdef SEEN_EARLY
			assert(all_done);
#endif
			state = DONE;
#ifdef POLL_WAKES
			wake()
#endif
		:: else
		fi;
		last = false
	}
}

inline work_in_order()
{
	do_piece(done);
	done++;
	if
	:: done == PIECES -> leave_here()
#ifdef CLAIM_AS_OWN
	:: else -> leave_here()
#else
	:: else
#endif
	fi
}

inline work()
{
	if
	:: is_claimed -> work_in_order()
	:: else ->
		claim(true);
		notify_spare();
		if
		:: n == 0 -> leave_here()
		:: n > 0 && order -> is_claimed = true; work_in_order()
		:: n > 0 && !order ->
			do_piece(at);
			if
			:: is_last -> leave_here()
			:: else
			fi
		fi;
		atomic { at = 0; n = 0; is_last = false }
	fi
}

inline submit()
{
#ifdef SEEN_AFTER_NOTIFY
	notify();
#endif
	atomic {
		touch();
#ifdef ONE_LINK
		link = NODE;
#endif
		backlog = true
	};
#if defined(HANDED_AS_HELP)
	notify_spare()
#elif !defined(SEEN_AFTER_NOTIFY)
	notify()
#endif
}

inline stop_work()
{
#ifdef LEFT_NOT_HANDED
	leave_here()
#else
	is_kept = false;
	submit()
#endif
}

/* mia_completion_poll(). Sets complete. */
inline check_state()
{
	atomic { state != WAKING -> complete = (state == DONE) }
}

/* The poll that starts the operation; it offers. */
inline first_poll()
{
	state = PENDING;
	keep();
	is_asked = true;
	kept = true;
	check_state();
	/* is_kept: nobody else ends it */
	assert(!complete);
	is_asked = false
}

/* Sets complete and kept. */
inline later_poll(kind)
{
	kept = false;
	if
	:: old || kind == BARE
	:: else ->
		if
		:: is_kept && kind == WORK -> work()
#ifndef PLAIN_KEEPS
		:: is_kept && kind == PLAIN -> stop_work()
#endif
		:: else
		fi;
		is_asked = true;
		/* A notifier of the program's has no place for this answer. */
		kept = (kind != PLAIN && is_kept)
	fi;
	check_state();
	if
	:: !complete && is_kept ->
#ifndef CHECK_KEEPS
		if
		:: !is_asked -> stop_work()
		:: else
		fi;
#endif
#ifndef ASKED_STAYS
		is_asked = false
#endif
	:: else
	fi
}

active proctype waiter()
{
	byte mine, at, n, extra;
	bool old, kept, complete, last, is_last;
#ifdef SEEN_EARLY
	bool all_done;
#endif

	do
	:: life < 2 * LIVES ->
		/* op_new; what an earlier operation left is garbage */
		atomic {
			life++;
			mine = life;
			state = NEW;
			woken = false;
			did[0] = false;
			did[1] = false;
			did[PIECES - 1] = false;
			extra = EXTRA;
			if
			:: order = true
			:: order = false
			fi;
			if
			:: old = true
			:: old = false
			fi
		};
		first_poll();
		do
		:: complete -> break
		:: !complete && extra > 0 ->
			extra--;
			if
			:: later_poll(OFFER)
			:: later_poll(PLAIN)
			:: later_poll(BARE)
			fi
		:: !complete && kept ->
#ifdef SLEEPS_ON_WORK
			atomic { woken -> woken = false };
#endif
			if
			:: later_poll(WORK)
			:: later_poll(PLAIN)
			fi
		:: !complete && !kept ->
			atomic { woken -> woken = false };
			later_poll(OFFER)
		od;
		/* op_delete */
		atomic {
			assert(state == DONE && ALL_DONE);
			assert(sharers == 0 && !is_kept);
			assert(!on_list && !shown && !backlog);
			link = NOBODY;
			complete = false;
			life++
		}
	:: else -> break
	od
}
