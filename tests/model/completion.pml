/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * completion.pml -- the end of one operation: src/operation/completion.c
 *
 * A finisher has an operation that one thread polls: without a notifier, with
 * a first waker, with the same again, with another in its place, in any order.
 * In the end the poller sleeps after each RUNNING until its newest waker is
 * called.
 *
 * Pieces:   lock_waker, unlock_waker, await_waker: the functions of these
 *           names; replace_waker, poll, retire: those of mia_completion_*;
 *           finisher: mia_completion_finish() with finish_waking(), and
 *           before it, or not, mia_completion_finish_silently(). The
 *           program: wake is its waker, future_poll is vdm_operation_impl(),
 *           poller is the rest. A waker that ends its thread counts as
 *           returned: the thread looks at this_wake, and another one goes on.
 * Steps:    A loop that waits for another thread is one step that blocks. So is
 *           a compare-exchange that is tried again. That from POLLED to POLLED
 *           changes nothing here: a poll only reads POLLED. A waker has two
 *           words, so that half of one can be seen.
 * Modes:    PLAIN    the waker notes that it was called
 *           LOCKING  the program polls under a lock that the waker takes too
 *           SELF     and the waker polls the future, with another waker
 * Timeout:  of await_waker(), PATIENCE times at any moment, and always while
 *           the waker waits for the poller's lock. That is how often a wait can
 *           be in vain: each is four times as long as the last, up to a time
 *           in which the waker returns. The code has 8 for PATIENCE.
 * Checked:  - No thread waits for ever, hence no wake is lost: the poller gets
 *             COMPLETE. With -DENDS all timeouts count, and there is no
 *             endless run: only endless timeouts could make one.
 *           - The waker is called once, and once more for each wait in vain.
 *           - No waker is called, or inside of its call, after a poll returned
 *             COMPLETE. Nor after a poll that set another waker returned. The
 *             exception is a waker that the finisher was calling at that
 *             moment, which begins with the step to WAKING.
 *           - The completion is not touched after retire.
 *           - retire finds a state other than DONE only inside of the waker.
 *           - COMPLETE comes with the result; no waker is read half written.
 * Assumed:  sequential consistency. The code gives the reasons for its memory
 *           orders, and ThreadSanitizer tests them.
 *
 * Each of these must be found wrong:
 *	-DDONE_BEFORE_WAKE	DONE is stored before the waker is called
 *	-DWAKE_BEFORE_RESULT	the waker is called before the result is visible
 *	-DRESULT_LATE	the result is stored after the waker was called
 *	-DNO_POLLED	a poll that has waited in vain leaves no POLLED
 *	-DIGNORES_POLLED	the finisher goes to DONE from POLLED too
 *	-DWAITS_FOR_EVER	a poll waits for the waker without a timeout
 *	-DENDS -DAT_ONCE	a poll never waits for the waker (endless)
 *	-DCALLS_TWICE	the finisher calls the waker again without POLLED
 *	-DWRITES_UNLOCKED	the waker is replaced without LOCKED
 *	-DREADS_UNLOCKED	the finisher reads the waker without LOCKED
 *	-DREADS_ONCE	after POLLED the finisher calls the waker that it has
 *	-DPOLL_WITHOUT_THIS_WAKE	poll does not look at this_wake
 *	-DRETIRE_WITHOUT_THIS_WAKE	retire does not clear this_wake
 *	-DFINISHER_WITHOUT_THIS_WAKE	the finisher does not look at this_wake
 *	-DFREES_REPLACED	the program frees a replaced waker before COMPLETE
 *	-DSILENT_UNLOCKED	the silent finisher looks for a waker without LOCKED
 *	-DSILENT_ALWAYS	the silent finisher does not look for a waker
 */

/* state; FREED is not ours any more */
#define PENDING 0
#define LOCKED 1
#define WAKING 2
#define POLLED 3
#define DONE 4
#define FREED 5

/* wakers */
#define NONE 0
#define A 1
#define B 2

#define PLAIN 0
#define LOCKING 1
#define SELF 2

#ifndef ROUNDS
#define ROUNDS 2 /* polls that are not preceded by a sleep, after the first */
#endif
#ifndef PATIENCE
#define PATIENCE 2
#endif

/* struct mia_completion; result stands for the data too */
byte state = PENDING;
byte waker_wake = NONE;
byte waker_data = NONE;
bool result = false;

bool this_wake = false; /* the finisher's; the poller's is NULL always */

/* The program. */
byte mode;
bool started = false;
bool complete = false; /* the future's state, under lock */
bool lock = false;
bool woken[3];

/* What is only watched. */
bool alive[3];
byte calling = NONE;         /* from the step to WAKING to the return */
bool waker_blocked = false; /* it waits for the lock */
byte patience = PATIENCE;
bool was_in_vain = false; /* a wait during this call of the waker */

/* A time-out that does not count. */
#ifdef ENDS
#define UNTIMED false
#else
#define UNTIMED waker_blocked
#endif

inline touch() { assert(state != FREED) }

inline lock_waker(before)
{
	atomic {
		state != LOCKED;
		touch();
		before = state;
		if
		:: before != DONE -> state = LOCKED
		:: else
		fi
	}
}

inline unlock_waker(to) { atomic { touch(); state = to } }

inline await_waker()
{
	if
	:: atomic { state == DONE -> running = false }
#ifndef WAITS_FOR_EVER
	:: atomic {
		state == WAKING && (patience > 0 || UNTIMED) ->
		if
		:: UNTIMED
		:: else -> patience--
		fi;
#ifndef NO_POLLED
		state = POLLED;
#endif
		was_in_vain = true;
		running = true
	   }
#ifdef AT_ONCE
	:: atomic {
		state == WAKING ->
		state = POLLED;
		was_in_vain = true;
		running = true
	   }
#endif
	/* Only from replace_waker(). */
	:: atomic {
		state == POLLED && (patience > 0 || UNTIMED) ->
		if
		:: UNTIMED
		:: else -> patience--
		fi;
		running = true
	   }
#endif
	fi
}

/* mine: this thread is inside of the waker */
inline replace_waker(mine, new)
{
	if
	:: mine
	:: else ->
#ifdef WRITES_UNLOCKED
		atomic { touch(); before = state };
#else
		lock_waker(before);
#endif
		if
		:: before == DONE
		:: else ->
			same = (waker_wake == new);
			/* The program may free it when the poll has returned. */
			if
			:: !same && calling != waker_wake ->
				replaced = waker_wake
			:: else
			fi;
#ifdef FREES_REPLACED
			if
			:: !same -> replaced = waker_wake
			:: else
			fi;
#endif
			waker_wake = new;
			waker_data = new;
#ifndef WRITES_UNLOCKED
			unlock_waker(before);
#endif
			if
			:: (before == WAKING || before == POLLED) && !same ->
				await_waker()
			:: else
			fi
		fi
	fi
}

inline poll(mine)
{
	atomic { touch(); before = state };
	if
	:: before == DONE -> running = false
#ifdef POLL_WITHOUT_THIS_WAKE
	:: before == WAKING -> await_waker()
	:: before == POLLED -> running = true
#else
	:: before == WAKING && mine -> running = false
	:: before == WAKING && !mine -> await_waker()
	:: before == POLLED -> running = !mine
#endif
	:: before == PENDING || before == LOCKED -> running = true
	fi;
	before = 0
}

/* Not DONE: by the own waker, on the finisher. */
inline retire(mine)
{
	atomic { touch(); before = state };
#ifndef RETIRE_WITHOUT_THIS_WAKE
	if
	:: before != DONE -> assert(mine); this_wake = false
	:: else -> assert(!mine)
	fi;
#endif
	before = 0;
	atomic { touch(); assert(result); state = FREED }
}

/* The second poll of the program, and later ones. Sets running. */
inline future_poll(mine, new)
{
	if
	:: new != NONE -> replace_waker(mine, new)
	:: else
	fi;
	poll(mine);
	if
	:: !running -> retire(mine); complete = true
	:: else
	fi
}

/* The program's waker. */
inline wake()
{
	assert(alive[w_wake]);
	if
	:: mode == PLAIN ->
		woken[w_wake] = true
	:: else ->
		waker_blocked = true;
		atomic { !lock -> lock = true; waker_blocked = false };
		assert(alive[w_wake]);
		woken[w_wake] = true;
		if
		:: mode == SELF && !complete -> future_poll(this_wake, 3 - w_wake)
		:: else
		fi;
		lock = false
	fi;
	/* After its own COMPLETE it does not touch itself any more. */
	atomic {
		assert(complete || alive[w_wake]);
		calling = NONE
	}
}

active proctype finisher()
{
	byte before, w_wake, w_data;
	byte replaced;
	bool same, running;

	started;
#ifndef RESULT_LATE
	atomic { touch(); result = true };
#endif
	if
	:: true ->
#ifdef SILENT_UNLOCKED
		atomic { touch(); same = (waker_wake == NONE) };
		atomic { state != LOCKED; touch(); before = state };
#else
		lock_waker(before);
		same = (waker_wake == NONE);
#endif
#ifdef SILENT_ALWAYS
		same = true;
#endif
		assert(before == PENDING);
		if
		:: same -> unlock_waker(DONE); goto end
		:: else -> unlock_waker(PENDING)
		fi;
		before = 0
	:: true
	fi;
again:
#ifdef READS_UNLOCKED
	atomic { touch(); w_wake = waker_wake };
	atomic { touch(); w_data = waker_data };
	atomic { state != LOCKED; touch(); state = WAKING; calling = w_wake };
#else
	lock_waker(before);
	atomic {
		assert(before == PENDING || was_in_vain);
		before = 0;
		was_in_vain = false
	};
	w_wake = waker_wake;
	w_data = waker_data;
	calling = w_wake;
#if defined(WAKE_BEFORE_RESULT)
	unlock_waker(PENDING);
#elif defined(DONE_BEFORE_WAKE)
	unlock_waker(DONE);
#else
	unlock_waker(WAKING);
#endif
#endif
call:
	assert(w_wake == w_data);
	if
	:: w_wake != NONE ->
		this_wake = true;
		wake();
#ifndef FINISHER_WITHOUT_THIS_WAKE
		if
		:: !this_wake -> goto end /* completed by its own waker */
		:: else
		fi;
#endif
		this_wake = false
	:: else
	fi;

#ifdef RESULT_LATE
	atomic { touch(); result = true };
#endif
#if defined(DONE_BEFORE_WAKE)
	goto end;
#elif defined(WAKE_BEFORE_RESULT)
	atomic { state != LOCKED; touch(); state = DONE };
	goto end;
#else
	/* finish_waking() */
	if
	:: atomic { state == WAKING -> state = DONE }
#ifdef CALLS_TWICE
	:: state == WAKING -> goto again
#endif
#ifdef IGNORES_POLLED
	:: atomic { state == POLLED -> state = DONE }
#elif defined(READS_ONCE)
	:: atomic { state == POLLED -> state = WAKING; calling = w_wake };
		goto call
#else
	:: state == POLLED -> goto again
#endif
	:: atomic { state >= DONE -> assert(false) } /* not ours any more */
	fi;
#endif
end:
	skip
}

inline take_lock()
{
	if
	:: mode != PLAIN -> atomic { !lock -> lock = true }
	:: else
	fi
}

active proctype poller()
{
	byte before, newest, brings, replaced;
	byte rounds = ROUNDS;
	bool same, running;

	if
	:: mode = PLAIN
	:: mode = LOCKING
	:: mode = SELF
	fi;

	/* The first poll of the program: mia_completion_begin(). */
	take_lock();
	if
	:: newest = NONE
	:: newest = A
	fi;
	atomic {
		alive[newest] = true;
		waker_wake = newest;
		waker_data = newest;
		started = true
	};
	poll(false);
	if
	:: !running -> retire(false); complete = true
	:: else
	fi;
	lock = false;

	do
	:: !running -> break
	:: running ->
		/* What this poll brings, and whether it is after a sleep. */
		if
		:: rounds > 0 -> rounds--;
			if
			:: brings = NONE
			:: brings = A
			:: brings = B
			fi
		:: rounds == 0 && newest == NONE -> brings = A
		:: newest != NONE ->
			woken[newest] || complete;
			if
			:: brings = NONE
			:: brings = newest
			fi
		fi;
		atomic { woken[A] = false; woken[B] = false };

		take_lock();
		if
		:: complete -> running = false
		:: else ->
			if
			:: brings != NONE ->
				newest = brings;
				alive[newest] = true
			:: else
			fi;
			future_poll(false, brings)
		fi;
		atomic {
			lock = false;
			if
			:: running && replaced != newest ->
				alive[replaced] = false
			:: else
			fi;
			replaced = NONE
		}
	od;

	/* COMPLETE: the program frees all that it has. */
	atomic { alive[A] = false; alive[B] = false }
}
