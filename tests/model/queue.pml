/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue.pml -- the descriptor of a completion queue (completion_queue.c,
 * queue_fd.c, ready.c)
 *
 * Three futures are completed, each by a thread of its own, which then wakes
 * the queue. The thread may lose its CPU after each step, also between its push
 * and its set of the descriptor. The queue has two of the futures from the
 * start. Its thread adds the third, which may be complete. It makes the
 * descriptor at any time, and reaps whenever the descriptor is readable. A few
 * times it calls completion_queue_wait() instead, with or without a time limit.
 *
 * Pieces:   pass, open, listen: mia_watch_pass() with mia_ready_take(),
 *           open_group(), mia_ready_listen(). mover: mia_ready_wake() with a
 *           push in one step, and rouse(). take, settle, add, reap, wait:
 *           those of completion_queue.c. make_fd: the first call of
 *           completion_queue_fd(). set_fd, reset, set_timer: those of
 *           queue_fd.c. park: the parker, as parker.pml has it.
 * Timer:    makes the descriptor readable at once. Then hot futures are due:
 *           those that a pass left at its goal.
 * Net:      a wait may poll all futures. Then a wake may come in vain.
 * Checked:  - No completion is lost: nobody waits for ever, and each future is
 *             reaped once, when it is complete.
 *           - The descriptor is not readable for ever without reason: there is
 *             no endless run (-DENDS).
 *           - A reap of a readable descriptor finds nothing only after a wake
 *             in vain, or a late set: the list was taken before it.
 * Assumed:  sequential consistency. A take is one step, because ready.pml has
 *           its steps. A wake comes after the end of its future.
 *
 * Each of these must be found wrong:
 *	-DRESET_LAST	settle listens, and then resets
 *	-DALWAYS_LISTENS	take leaves an empty list without the mark
 *	-DDEAF_LISTEN	settle does not look at the result of listen
 *	-DLEFT_UNSAID	settle does not look at the complete futures that are left
 *	-DENDS -DSTAYS_SET	a reap that finds nothing does not reset (endless)
 *	-DNOT_ROUSED	settle does not note that a wake has set the descriptor
 *	-DROUSED_STAYS	settle does not forget that a wake has set it
 *	-DROUSED_BEFORE	make_fd trusts the wakes that came before
 *	-DBELIEVED_SET	a reset leaves is_set
 *	-DMADE_QUIET	make_fd does not settle
 *	-DHAS_FD_LATE	make_fd settles, and then wakes may set it
 *	-DADDED_UNSAID	add does not set the descriptor for a complete future
 *	-DWAIT_QUIET	wait does not settle
 *	-DPARKS_QUIET	wait parks without listen
 *	-DNO_PASS	wait gives up between a park and its pass
 *	-DROUSES_ONE	rouse does not unpark the thread if there is a descriptor
 *	-DPLAIN_TAKE	take loads and stores instead of its exchange
 *	-DPLAIN_LISTEN	listen loads and stores instead of its compare-exchange
 *	-DNO_TIMER	hot futures that a wait leaves have no timer
 *	-DTIMER_STAYS	the timer stays without hot futures
 */

#define N 3
#define GROUP(f) ((f) / 2)
#define BIT(f) (1 << (f))

/* The list of ready: a group, or these. */
#define MARK 8
#define EMPTY 9

/* Calls of wait. A search for endless runs sees all states twice. */
#ifdef ENDS
#define WAITS 1
#else
#define WAITS 2
#endif

/* Masks of futures. */
byte done;
byte added = BIT(0) | BIT(1);

/* struct mia_ready */
byte pushed = MARK;
byte bits[2];
byte next[2];

bool token;

/* struct completion_queue */
bool has_fd;
bool readable; /* the eventfd */
bool timer;    /* is armed */
bool is_set;
bool roused;   /* of the watch */
byte pending = BIT(0) | BIT(1);
byte hot;
byte ndone;    /* on the list */

/* What is only watched. */
byte nreaped;
byte ended;   /* movers */
byte rousing; /* movers between the push and the set */
byte early;   /* mask: complete before the wake, which comes in vain */
bool in_vain; /* such a wake was taken */
bool late;    /* a mover sets the descriptor after the take, or did */

proctype mover(byte f)
{
	byte before, first;

	atomic {
		done = done | BIT(f);
		if
		:: added & BIT(f)
		:: else -> goto out
		fi
	};
	atomic {
		before = bits[GROUP(f)];
		bits[GROUP(f)] = before | BIT(f);
		if
		:: before != 0 -> goto out
		:: else
		fi
	};
	atomic {
		first = pushed;
		next[GROUP(f)] = first;
		pushed = GROUP(f);
		if
		:: first != EMPTY -> goto out
		:: else -> rousing++
		fi
	};
#ifdef ROUSES_ONE
	atomic { token = token || !has_fd };
#else
	token = true;
#endif
	atomic {
		readable = readable || has_fd;
		rousing--;
out:
		before = 0;
		first = 0;
		ended++
	}
}

/* The future f, which the queue has. */
inline poll(f)
{
	if
	:: (pending & done & BIT(f)) ->
		pending = pending & ~BIT(f);
		hot = hot & ~BIT(f);
		ndone++
	:: else
	fi
}

/* Takes the bits of the groups in the list. Sets roused. */
inline open()
{
	do
	:: list < MARK ->
		woken = woken | bits[list];
		bits[list] = 0;
		if
		:: next[list] == EMPTY -> roused = true
		:: else
		fi;
		g = list;
		list = next[g];
		next[g] = 0
	:: else -> list = 0; g = 0; break
	od
}

/* A late wake is for nobody. */
inline poll_woken(f, at_goal)
{
	if
	:: (woken & pending & BIT(f)) && (!at_goal || ndone == 0) -> poll(f)
	:: else
	fi
}

/* mia_watch_pass(), up to the goal of a wait: one future. */
inline pass(at_goal, is_due)
{
#ifdef PLAIN_TAKE
	list = pushed;
#endif
	atomic {
#ifndef PLAIN_TAKE
		list = pushed;
#endif
#ifdef ALWAYS_LISTENS
		pushed = EMPTY;
#else
		pushed = MARK;
#endif
		open();
		if
		:: is_due -> woken = woken | hot
		:: else
		fi;
		poll_woken(0, at_goal);
		poll_woken(1, at_goal);
		poll_woken(2, at_goal);
		in_vain = in_vain || (woken & early);
		early = early & ~woken;
		hot = hot | (woken & pending);
		woken = 0
	}
}

inline set_fd()
{
	readable = readable || !is_set;
	is_set = true
}

/* With is_set, another set comes, or has come. */
inline reset()
{
	atomic {
		if
#ifdef STAYS_SET
		:: is_set && readable ->
#else
		:: (is_set || n == 0) && readable ->
#endif
			readable = false;
#ifndef BELIEVED_SET
			is_set = false;
#endif
			late = (rousing > 0)
		:: else -> late = late || rousing > 0
		fi
	}
}

/* Sets heard. */
inline listen()
{
#if defined(PLAIN_LISTEN)
	heard = (pushed != MARK);
	if
	:: heard
	:: else -> pushed = EMPTY
	fi
#else
	atomic {
		if
#ifdef ALWAYS_LISTENS
		:: true
#endif
		:: pushed == MARK -> pushed = EMPTY
		:: else -> heard = true
		fi
	}
#endif
}

inline set_timer()
{
#if defined(TIMER_STAYS)
	timer = timer || hot != 0
#elif defined(NO_TIMER)
	skip
#else
	timer = (hot != 0)
#endif
}

inline settle()
{
	atomic {
#ifndef NOT_ROUSED
		is_set = is_set || roused;
#endif
#ifndef ROUSED_STAYS
		roused = false
#endif
	};
	if
#ifndef LEFT_UNSAID
	:: ndone > 0 -> set_fd()
#endif
	:: else ->
#ifndef RESET_LAST
		reset();
#endif
		listen();
#ifdef RESET_LAST
		reset();
#endif
		atomic {
#ifdef DEAF_LISTEN
			heard = false;
#endif
			if
			:: heard -> set_fd()
			:: else
			fi;
			heard = false
		};
		set_timer()
	fi
}

inline make_fd()
{
	atomic {
#ifndef HAS_FD_LATE
		has_fd = true;
#endif
		late = (rousing > 0);
#ifndef ROUSED_BEFORE
		roused = false;
#endif
		n = 1
	};
#ifndef MADE_QUIET
	settle();
#endif
	has_fd = true
}

/* The future 2. */
inline add()
{
	atomic {
		added = added | BIT(2);
		pending = pending | BIT(2);
		poll(2);
		if
#ifndef ADDED_UNSAID
		:: !(pending & BIT(2)) && has_fd -> set_fd()
#endif
		:: else
		fi
	}
}

/* Complete futures from the list. Adds to n. */
inline take()
{
	atomic {
		found = (ndone < max - n -> ndone : max - n);
		ndone = ndone - found;
		n = n + found;
		nreaped = nreaped + found
	}
}

inline reap()
{
	n = 0;
	in_vain = false;
	do
	:: pass(false, timer);
		take();
		if
		:: found > 0 && n < max && pushed < MARK
		:: else -> break
		fi
	od;
	found = 0;
	assert(n > 0 || late || in_vain);
	in_vain = false;
	settle();
	n = 0
}

/* For one future. With a limit it may end at any time. */
inline wait()
{
	pass(false, true);
	do
	:: ndone > 0 || pending == 0 -> break
	:: else ->
#ifndef PARKS_QUIET
		listen();
#endif
		if
		:: heard -> heard = false
		:: else ->
			/* park */
			atomic {
				if
				:: token
				:: has_limit -> gave_up = true
				fi;
				token = false
			}
		fi;
#ifdef NO_PASS
		if
		:: gave_up -> break
		:: else
		fi;
#endif
		pass(true, true);
		if
		:: gave_up -> break
		:: else
		fi;
		/* The net. */
		if
		:: atomic {
			early = early | (pending & done);
			poll(0);
			poll(1);
			poll(2)
		}
		:: true
		fi
	od;
	gave_up = false;
	in_vain = false;
	n = 0;
	take();
	found = 0;
#ifndef WAIT_QUIET
	if
	:: has_fd -> settle()
	:: else
	fi;
#endif
	n = 0
}

inline any_max()
{
	if
	:: max = 1
	:: max = 2
	fi
}

active proctype queue()
{
	byte g, list, woken, n, found, waits, max;
	bool heard, has_limit, gave_up;

	atomic { run mover(0); run mover(1); run mover(2) };
	do
	:: readable || timer -> any_max(); reap(); max = 0
	:: !has_fd -> make_fd()
	:: !(added & BIT(2)) -> add()
	:: waits < WAITS ->
		waits++;
		if
		:: has_limit = true
		:: true
		fi;
		any_max(); wait();
		has_limit = false;
		max = 0
	:: has_fd && ended == N && added & BIT(2) && !readable && !timer ->
		break
	od;
	assert(nreaped == N)
}
