/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * parker.pml -- one thread sleeps, others wake it (parker.c)
 *
 * Two threads publish something and unpark, one of them twice. One thread
 * parks, now and then with a time-out, and looks for what was published only
 * when a park has given it a token, until it has seen all.
 *
 * Pieces:   park, sleep_while_parked, unpark, wake_parked: the functions of
 *           these names. futex_wait, futex_wake: futex(2); what the kernel does
 *           under its lock is one step: to compare the word and fall asleep,
 *           and to wake. With -DPORTABLE it is the mutex and the condition
 *           variable of MIA_PARKER_PORTABLE.
 * Time-out: of a park that has one, at any moment of its sleep, TIMEOUTS times.
 *           A sleep returns for nothing (a signal) SPURIOUS times. FUTEX_WAKE
 *           may be as late as it likes, so that it hits a later sleep.
 * Checked:  - nobody waits for ever: no wake is lost. There is no endless run
 *             either (-DENDS).
 *           - A park takes a token if and only if there is one; without a
 *             time-out it returns only with one.
 * Assumed:  sequential consistency. The memory orders are argued in the code
 *           and tested with ThreadSanitizer.
 *
 * Each of these must be found wrong:
 *	-DNO_WAKE	unpark does not wake the sleeper
 *	-DNO_COMPARE	futex_wait does not compare the word
 *	-DNO_LOOP	a sleep ends when futex_wait returns
 *	-DWAKE_FIRST	unpark wakes before it leaves the token
 *	-DPLAIN_UNPARK	unpark loads and stores instead of its exchange
 *	-DPLAIN_PARK	park loads and stores instead of its compare-exchange
 *	-DPLAIN_TAKE	park loads and stores instead of its exchange
 *	-DPORTABLE -DUNLOCKED_WAKE	the condition is signalled without the mutex
 *	-DPORTABLE -DUNLOCKED_SLEEP	the sleeper looks without the mutex
 */

#define EMPTY 0
#define PARKED 1
#define NOTIFIED 2

#define UNPARKS 3 /* in all */
#define TIMEOUTS 2
#define SPURIOUS 2

byte state = EMPTY;

/* The kernel's: who sleeps on the word. Or the condition variable's. */
bool asleep = false;
bool mutex = false;

byte published = 0;

/* What is only watched. */
bool token = false;
byte timeouts = TIMEOUTS;
byte spurious = SPURIOUS;

/* The sleep itself. Sets timed_out. */
inline sleep()
{
	if
	:: !asleep
	:: atomic { asleep && timed && timeouts > 0 ->
		timeouts--; asleep = false; timed_out = true }
	:: atomic { asleep && spurious > 0 ->
		spurious--; asleep = false }
	fi
}

#ifdef PORTABLE

inline sleep_while_parked()
{
#ifndef UNLOCKED_SLEEP
	atomic { !mutex -> mutex = true };
#endif
	do
	:: timed_out || state != PARKED -> break
	:: else ->
#ifdef UNLOCKED_SLEEP
		asleep = true;
		sleep()
#else
		atomic { asleep = true; mutex = false };
		sleep();
		atomic { !mutex -> mutex = true }
#endif
	od;
	mutex = false
}

inline wake_parked()
{
#ifdef UNLOCKED_WAKE
	asleep = false
#else
	atomic { !mutex -> mutex = true };
	asleep = false;
	mutex = false
#endif
}

#else

inline futex_wait()
{
	atomic {
#ifdef NO_COMPARE
		asleep = true
#else
		if
		:: state == PARKED -> asleep = true
		:: else /* EAGAIN */
		fi
#endif
	};
	sleep()
}

#define futex_wake() asleep = false

inline sleep_while_parked()
{
	do
	:: futex_wait();
#ifdef NO_LOOP
		break
#else
		if
		:: timed_out || state != PARKED -> break
		:: else
		fi
#endif
	od
}

inline wake_parked() { futex_wake() }

#endif

/* Sets took. */
inline park()
{
#ifdef PLAIN_PARK
	was = state;
	if
	:: was == EMPTY -> state = PARKED
	:: else
	fi;
#else
	atomic {
		was = state;
		if
		:: was == EMPTY -> state = PARKED
		:: else
		fi
	};
#endif
	if
	:: was == EMPTY -> sleep_while_parked()
	:: else
	fi;

#ifdef PLAIN_TAKE
	was = state;
	atomic { state = EMPTY; took = (was == NOTIFIED) };
#else
	atomic { was = state; state = EMPTY; took = (was == NOTIFIED);
		assert(took == token); token = false };
#endif
	assert(took || timed_out);
	was = EMPTY
}

inline unpark()
{
#if defined(WAKE_FIRST)
	if
	:: state == PARKED -> wake_parked()
	:: else
	fi;
	atomic { state = NOTIFIED; token = true };
#else
#ifdef PLAIN_UNPARK
	was = state;
	atomic { state = NOTIFIED; token = true };
#else
	atomic { was = state; state = NOTIFIED; token = true };
#endif
#ifndef NO_WAKE
	if
	:: was == PARKED -> wake_parked()
	:: else
	fi;
#endif
#endif
	was = EMPTY
}

active proctype parking()
{
	byte was, seen;
	bool timed, timed_out, took;

	do
	:: seen == UNPARKS -> break
	:: else ->
		if
		:: timeouts > 0 -> timed = true
		:: true -> timed = false
		fi;
		park();
		if
		:: took -> seen = published
		:: else
		fi;
		atomic { timed = false; timed_out = false; took = false }
	od
}

active proctype unparking_once()
{
	byte was;

	published++;
	unpark()
}

active proctype unparking_twice()
{
	byte was;

	published++;
	unpark();
	published++;
	unpark()
}
