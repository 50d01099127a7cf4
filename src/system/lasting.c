/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lasting.c -- see lasting.h
 *
 * A cleanup handler runs when a thread ends. On some systems it runs while the
 * stack of the function that ended the thread is still in use. So the work
 * continues in a new thread, with a stack of its own.
 *
 * Each thread joins the thread that it has replaced. mia_lasting_join() joins
 * the last thread. So only one thread at a time writes to the struct, and no
 * thread is left at the end.
 */

#include "system/lasting.h"

#include <pthread.h>

/* The data of one thread. */
struct turn {
	struct mia_lasting *lasting;
	bool is_over;
	bool has_last;
	mia_thread last; /* the thread before this one */
};

static void *take_turn(void *arg);
static void go_on(void *arg);

static void
end_turn(struct turn *turn)
{
	turn->is_over = true;
	if (turn->has_last)
		mia_thread_join(turn->last);
}

static void
run_turn(struct turn *turn)
{
	struct mia_lasting *lasting = turn->lasting;

	pthread_cleanup_push(go_on, turn);
	lasting->run(lasting->arg);
	pthread_cleanup_pop(0);
	if (mia_forked_since(lasting->forks))
		return;
	end_turn(turn);
	lasting->thread = pthread_self();
	mia_sem_post(&lasting->returned);
}

/*
 * The thread ends. A thread that has continued here calls this once for each
 * run_turn().
 */
static void
go_on(void *arg)
{
	struct turn *turn = arg;
	struct mia_lasting *lasting = turn->lasting;
	mia_thread next;

	if (turn->is_over || mia_forked_since(lasting->forks))
		return;
	lasting->exited(lasting->arg);
	lasting->thread = pthread_self();
	lasting->has_ended = true;
	if (mia_thread_start(&next, take_turn, lasting) == 0)
		end_turn(turn);
	else
		run_turn(turn);
}

static void *
take_turn(void *arg)
{
	struct mia_lasting *lasting = arg;
	struct turn turn = {.lasting = lasting, .has_last = lasting->has_ended};
	int state;

	if (turn.has_last)
		turn.last = lasting->thread;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	run_turn(&turn);
	return NULL;
}

int
mia_lasting_start(struct mia_lasting *lasting, void (*run)(void *arg),
	void (*exited)(void *arg), void *arg)
{
	mia_thread first;

	lasting->run = run;
	lasting->exited = exited;
	lasting->arg = arg;
	lasting->has_ended = false;
	lasting->forks = mia_forks();

	int error = mia_sem_init(&lasting->returned);

	if (error != 0)
		return error;

	error = mia_thread_start(&first, take_turn, lasting);
	if (error != 0)
		mia_sem_fini(&lasting->returned);
	return error;
}

void
mia_lasting_join(struct mia_lasting *lasting)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	mia_sem_wait(&lasting->returned);
	pthread_setcancelstate(state, &state);
	mia_thread_join(lasting->thread);
	mia_sem_fini(&lasting->returned);
}
