/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ready.pml -- a wait gives up, and the next one uses its numbers again
 * (ready.c, watch.c, wait.c)
 *
 * Three futures are completed, each by a thread of its own, which then wakes the
 * number of the waker that it found. So the wake may be as late as it likes. One
 * thread waits for one of the futures, and may give up at any time. Then it
 * waits for those that are left. They have other numbers now, and each old
 * number stands for another future.
 *
 * Pieces:   wake, push, take, open, pop: the functions mia_ready_*() of these
 *           names, and push() and open_group(). poll: future_poll() with a
 *           mover that calls the waker of the last poll, once. park and rouse:
 *           the parker, as parker.pml has it. wait: mia_watch_add(), the first
 *           pass, and the loop of mia_wait_for_goal().
 * Checked:  - nobody waits for ever. There is no endless run either (-DENDS).
 *           - A wait returns only if enough futures are complete, or when it
 *             has given up.
 * Assumed:  sequential consistency, no safety net.
 *
 * Each of these must be found wrong:
 *	-DTRUST_WAKE	a wake counts as the end of the future of this number
 *	-DNO_FIRST_POLL	the next wait does not poll: the old waker stays
 *	-DNO_PASS	a wait gives up between a park and its pass
 *	-DDROP_LIST	a wait begins with an empty list
 *	-DBITS_LATE	the bits of a group are cleared after the polls
 *	-DNEXT_LATE	the next group is read after the bits are cleared
 *	-DPLAIN_TAKE	take loads and stores instead of its exchange
 *	-DPLAIN_OPEN	open_group loads and stores instead of its exchange
 *	-DPLAIN_WAKE	wake loads and stores instead of its fetch-or
 *	-DPLAIN_PUSH	push loads and stores instead of its compare-exchange
 *	-DWAKE_FIRST	the mover wakes before the future is complete
 */

#define N 3
#define NONE 9
#define GROUPS 2 /* of two numbers */

/* The futures, and the mover's wakers of them: numbers. */
bool done[N];
byte waker[N] = NONE;

/* struct mia_ready */
byte pushed = NONE;
byte bits[GROUPS];
byte next[GROUPS] = NONE;

bool token = false;

inline push()
{
#ifdef PLAIN_PUSH
	first = pushed;
	next[g] = first;
	pushed = g;
#else
	first = pushed;
	do
	:: next[g] = first;
		atomic {
			if
			:: pushed == first -> pushed = g; break
			:: else -> first = pushed
			fi
		}
	od;
#endif
}

inline wake()
{
	g = number / 2;
#ifdef PLAIN_WAKE
	before = bits[g];
	bits[g] = before | (1 << (number % 2));
#else
	atomic { before = bits[g]; bits[g] = before | (1 << (number % 2)) };
#endif
	if
	:: before == 0 ->
		push();
		if
		:: first == NONE -> token = true
		:: else
		fi
	:: else
	fi
}

proctype mover(byte f)
{
	byte number = NONE, g, before, first;

#ifdef WAKE_FIRST
	number = waker[f];
	if
	:: number != NONE -> wake()
	:: else
	fi;
	done[f] = true
#else
	atomic { done[f] = true; number = waker[f] };
	if
	:: number != NONE -> wake()
	:: else
	fi
#endif
}

/* The watch: the future of each number. */
byte fut[N] = NONE;
byte nadded, nleft;

/* The number i. */
inline poll()
{
	atomic {
		if
		:: i < nadded && fut[i] != NONE ->
			if
			:: done[fut[i]] -> fut[i] = NONE; nleft--
			:: else -> waker[fut[i]] = i
			fi
		:: else
		fi
	}
}

inline polled_by_wake()
{
#ifdef TRUST_WAKE
	if
	:: i < nadded && fut[i] != NONE ->
		assert(done[fut[i]]); fut[i] = NONE; nleft--
	:: else
	fi
#else
	poll()
#endif
}

inline pass()
{
#ifdef PLAIN_TAKE
	list = pushed;
	pushed = NONE;
#else
	atomic { list = pushed; pushed = NONE };
#endif
	batch = NONE;
	do
	:: list == NONE -> break
	:: else ->
		i = next[list];
		next[list] = batch;
		batch = list;
		list = i
	od;
	do
	:: batch == NONE -> break
	:: else ->
		g = batch;
#ifndef NEXT_LATE
		batch = next[g];
#endif
#if defined(PLAIN_OPEN)
		taken = bits[g];
		bits[g] = 0;
#elif defined(BITS_LATE)
		taken = bits[g];
#else
		atomic { taken = bits[g]; bits[g] = 0 };
#endif
#ifdef NEXT_LATE
		batch = next[g];
#endif
		if
		:: taken & 1 -> i = g * 2; polled_by_wake()
		:: else
		fi;
		if
		:: taken & 2 -> i = g * 2 + 1; polled_by_wake()
		:: else
		fi;
#ifdef BITS_LATE
		bits[g] = 0;
#endif
	od;
	i = 0
}

/* Sets gave_up. */
inline wait(max_left, may_give_up)
{
#ifdef DROP_LIST
	pushed = NONE;
#endif
	gave_up = false;
	i = 0;
#ifdef NO_FIRST_POLL
	if
	:: may_give_up
	:: else -> i = nadded
	fi;
#endif
	do
	:: i < nadded -> poll(); i++
	:: else -> break
	od;
	do
	:: nleft <= max_left -> break
	:: else ->
		if
		:: may_give_up -> gave_up = true; break
		:: token -> token = false
		fi;
#ifdef NO_PASS
		if
		:: may_give_up -> gave_up = true; break
		:: true
		fi;
#endif
		pass()
	od;
	i = 0
}

active proctype waiting()
{
	byte i, g, list, batch, taken, last;
	bool gave_up;

	atomic {
		run mover(0); run mover(1); run mover(2);
		fut[0] = 0; fut[1] = 1; fut[2] = 2;
		nadded = N; nleft = N
	};
	wait(N - 1, true);
	assert(gave_up || done[0] || done[1] || done[2]);

	/* The futures that are left, in the opposite order. */
	atomic {
		i = 0; nadded = 0;
		do
		:: i < N ->
			if
			:: !done[N - 1 - i] ->
				fut[nadded] = N - 1 - i; nadded++
			:: else
			fi;
			i++
		:: else -> break
		od;
		nleft = nadded
	};
	wait(0, false);
	assert(done[0] && done[1] && done[2])
}
