/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * watched.h -- futures that play a script, in a watch
 *
 * A script has a letter for each poll. The last letter stands for all later
 * polls. A test compares the names of the futures that a pass polls.
 *
 *	.  RUNNING without an answer     n  RUNNING, NONE
 *	r  IDLE, NONE: refused           R  a chain whose entry is refused
 *	w  RUNNING, WAKER                x  the same, and wakes itself
 *	a  RUNNING, POLLER, word a       b  the same with word b
 *	s  as a, and changes the word    ?  POLLER without a word
 *	m  the chain moves, no answer    M  it moves, NONE
 *	W  it moves, WAKER               A  it moves, POLLER, word a
 *	c  COMPLETE
 *	k  RUNNING, WAKER, keeps work    K  the same, and works if it may
 *	e  works if it may and is COMPLETE then; otherwise as k
 *
 *	!  RUNNING, WAKER, keeps work that nobody has offered to do
 *
 * The letters k, K and e keep nothing without an offer.
 */

#ifndef LIBMINIASYNC_TEST_WATCHED_H
#define LIBMINIASYNC_TEST_WATCHED_H 1

#include "test.h"

#include <stdbool.h>

#include "wait/watch.h"

enum { MANY = 100, LOG = 4000 };

struct script {
	char name;
	const char *next;
	bool async;
	struct future_waker waker; /* of the last poll */
	uint64_t words[2];
};

FUTURE(script_future, struct script, char);

static struct mia_ready ready;
static struct mia_watch watch;
static struct mia_meter meter;
static unsigned rouses;
static struct script_future futures[MANY];

static char polled[LOG];
static size_t npolled;

/* Of each poll: what it may do. - nothing, o offer, w work */
static char offered[LOG];

/* A clock that only work advances, by piece_ns. */
static uint64_t work_clock_ns;
static uint64_t piece_ns;

static inline void
name_word(struct future_notifier *n, uint64_t *word)
{
	n->notifier_used = FUTURE_NOTIFIER_POLLER;
	n->poller.ptr_to_monitor = word;
}

static inline char
offer_of(struct future_notifier *n)
{
	if (n->poller.ptr_to_monitor == future_notifier_work_impl(n))
		return 'w';
	return n->poller.ptr_to_monitor == future_notifier_offer_impl(n) ? 'o'
									 : '-';
}

/* Does a piece, if it may. */
static inline bool
do_piece(struct future_notifier *n)
{
	if (offer_of(n) != 'w')
		return false;

	n->poller.ptr_to_monitor = future_notifier_offer_impl(n);
	work_clock_ns += piece_ns;
	return true;
}

static inline void
keep(struct future_notifier *n)
{
	if (offer_of(n) != '-')
		n->padding = FUTURE_NOTIFIER_WORK_;
	n->notifier_used = FUTURE_NOTIFIER_WAKER;
}

/* Plays a letter. */
static inline enum future_state
play(char letter, struct script *script, struct future_context *context,
	struct future_notifier *n)
{
	switch (letter) {
	case '.':
		break;
	case 'm':
		context->padding += FUTURE_CONTEXT_MOVED_;
		break;
	case 'M':
		context->padding += FUTURE_CONTEXT_MOVED_;
		n->notifier_used = FUTURE_NOTIFIER_NONE;
		break;
	case 'W':
		context->padding += FUTURE_CONTEXT_MOVED_;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		break;
	case 'A':
		context->padding += FUTURE_CONTEXT_MOVED_;
		name_word(n, &script->words[0]);
		break;
	case 'n':
		n->notifier_used = FUTURE_NOTIFIER_NONE;
		break;
	case 'r':
		n->notifier_used = FUTURE_NOTIFIER_NONE;
		return FUTURE_STATE_IDLE;
	case 'R':
		n->notifier_used = FUTURE_NOTIFIER_NONE;
		context->padding |= FUTURE_CONTEXT_REFUSED_;
		break;
	case 'x':
		FUTURE_WAKER_WAKE(&n->waker);
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		break;
	case 'w':
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		break;
	case 's':
		script->words[0]++;
		name_word(n, &script->words[0]);
		break;
	case 'a':
		name_word(n, &script->words[0]);
		break;
	case 'b':
		name_word(n, &script->words[1]);
		break;
	case '?':
		name_word(n, NULL);
		break;
	case 'K':
		(void)do_piece(n);
		keep(n);
		break;
	case 'k':
		keep(n);
		break;
	case '!':
		n->padding = FUTURE_NOTIFIER_WORK_;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		break;
	case 'e':
		if (do_piece(n))
			return FUTURE_STATE_COMPLETE;
		keep(n);
		break;
	case 'c':
		return FUTURE_STATE_COMPLETE;
	default:
		fail_msg("no such letter: %c", letter);
	}
	return FUTURE_STATE_RUNNING;
}

static inline enum future_state
script_task(struct future_context *context, struct future_notifier *n)
{
	struct script *script = future_context_get_data(context);
	const char letter = *script->next;

	assert_true(npolled < LOG - 1);
	offered[npolled] = offer_of(n);
	polled[npolled++] = script->name;
	polled[npolled] = '\0';
	offered[npolled] = '\0';
	assert_int_equal(n->padding, FUTURE_NOTIFIER_INLINE_);
	script->waker = n->waker;
	context->padding &= ~FUTURE_CONTEXT_REFUSED_;
	if (script->next[1] != '\0')
		script->next++;
	return play(letter, script, context, n);
}

static inline int
script_has_property(void *future, enum future_property property)
{
	return property == FUTURE_PROPERTY_ASYNC &&
		((struct script_future *)future)->data.async;
}

static inline void
rouse(struct mia_ready *r)
{
	assert_ptr_equal(r, &ready);
	rouses++;
}

static inline int
setup(void **state)
{
	(void)state;
	rouses = 0;
	mia_ready_init(&ready, rouse, MIA_READY_LISTENS);
	mia_watch_init(&watch, &ready, MIA_WATCH_COUNTS_DONE);
	mia_meter_init(&meter);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	mia_watch_fini(&watch);
	mia_ready_fini(&ready);
	return 0;
}

static inline void
script(size_t i, const char *letters)
{
	memset(&futures[i], 0, sizeof(futures[i]));
	FUTURE_INIT_EXT(&futures[i], script_task, script_has_property);
	futures[i].data.name = (char)('a' + i);
	futures[i].data.next = letters;
}

/* Adds the first n futures to a watch without futures. */
static inline void
watch_first(size_t n)
{
	struct future *futs[MANY];

	for (size_t i = 0; i < n; i++)
		futs[i] = FUTURE_AS_RUNNABLE(&futures[i]);
	assert_int_equal(mia_watch_reserve(&watch, n), 0);
	mia_watch_clear(&watch, n);
	mia_watch_add(&watch, futs, n);
}

/* Adds one future for each script: a, b, c, ... */
static inline void
watch_scripts(size_t n, const char *const scripts[])
{
	for (size_t i = 0; i < n; i++)
		script(i, scripts[i]);
	watch_first(n);
}

#define WATCH(...) \
	watch_scripts(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
		(const char *[]){__VA_ARGS__})

static inline void
wake(char name)
{
	FUTURE_WAKER_WAKE(&futures[name - 'a'].data.waker);
}

enum result { NOTHING, PROGRESS };

static inline void
clear_log(void)
{
	npolled = 0;
	polled[0] = '\0';
	offered[0] = '\0';
}

/* A pass must poll these, in this order. */
static inline void
assert_pass_of(enum mia_pass which, const char *names, enum result result)
{
	clear_log();

	const bool progress =
		mia_watch_pass(&watch, which, MIA_EFFORT_OFFER, &meter);

	assert_string_equal(polled, names);
	assert_int_equal(progress, result == PROGRESS);
}

static inline void
assert_pass(const char *names, enum result result)
{
	assert_pass_of(MIA_PASS_DUE, names, result);
}

static inline void
assert_pass_all(const char *names, enum result result)
{
	clear_log();

	const bool progress = mia_watch_pass_all(&watch, MIA_EFFORT_OFFER);

	assert_string_equal(polled, names);
	assert_int_equal(progress, result == PROGRESS);
}

/* Futures that have answered WAKER are not polled without a wake. */
static inline void
assert_sleeps(void)
{
	assert_false(mia_watch_needs_passes(&watch));
	assert_pass("", NOTHING);
}

/* Each test has its own watch. */
#define WATCH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* LIBMINIASYNC_TEST_WATCHED_H */
