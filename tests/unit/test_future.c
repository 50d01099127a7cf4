/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_future.c -- tests future.h: one future; its polls, states, properties,
 * data and output, and the arguments of the macros
 */

#include "test.h"

#include "count_future.h"

static void
poll_runs_until_complete_and_no_longer(void **state)
{
	struct count_future f = count(2, 41);

	(void)state;
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_IDLE);
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->out, 42);
	assert_int_equal(FUTURE_DATA(&f)->left, -1);
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_COMPLETE);
	assert_int_equal(FUTURE_DATA(&f)->left, -1);
}

/* More polls than the spins: goes through the yielding part. */
static void
busy_poll_takes_as_many_polls_as_needed(void **state)
{
	struct count_future f = count(3 * FUTURE_BUSY_POLL_SPINS_, 0);

	(void)state;
	if (f.data.left > 0)
		FUTURE_BUSY_POLL(&f);
	else
		fail();
	assert_int_equal(FUTURE_OUTPUT(&f)->out, 1);
}

static void
init_complete_is_safe_to_use(void **state)
{
	struct count_future f;

	(void)state;
	memset(&f, 0xee, sizeof(f));
	FUTURE_INIT_COMPLETE(&f);
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_COMPLETE);
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	assert_ptr_equal(
		future_context_get_output(&f.base.context), FUTURE_OUTPUT(&f));
	FUTURE_BUSY_POLL(&f);
}

static void
properties_are_1_or_0_and_null_means_none(void **state)
{
	struct count_future f = count_async(0, 0);

	(void)state;
	assert_int_equal(future_has_property(&f, FUTURE_PROPERTY_ASYNC), 1);
	assert_int_equal(future_has_property(&f, FUTURE_PROPERTY_RENOTIFY), 0);
	f.base.has_property = NULL;
	assert_int_equal(future_has_property(&f, FUTURE_PROPERTY_ASYNC), 0);
	f = count(0, 0);
	assert_int_equal(future_has_property(&f, FUTURE_PROPERTY_ASYNC), 0);
}

struct wide {
	_Alignas(32) char c;
};

struct three {
	char c[3];
};

static void
output_is_found_behind_padding(void **state)
{
	FUTURE(char_double, char, double) a;
	FUTURE(three_int, struct three, int) b;
	FUTURE(char_wide, char, struct wide) c;
	FUTURE(int_int, int, int) d;

	(void)state;
#define CHECK(f) \
	do { \
		FUTURE_INIT(&(f), count_task); \
		assert_ptr_equal(future_context_get_data(&(f).base.context), \
			FUTURE_DATA(&(f))); \
		assert_ptr_equal(future_context_get_output(&(f).base.context), \
			FUTURE_OUTPUT(&(f))); \
		assert_int_equal(future_context_get_size(&(f).base.context), \
			(size_t)((char *)(&(f).output + 1) - \
				(char *)&(f).data)); \
	} while (0)
	CHECK(a);
	CHECK(b);
	CHECK(c);
	CHECK(d);
	assert_int_equal(d.base.context.data_size, sizeof(int));
}

static int evaluations;

static void *
once(void *p)
{
	evaluations++;
	return p;
}

static void
nothing_map(struct future_context *l, struct future_context *r, void *arg)
{
	(void)l;
	(void)r;
	(void)arg;
}

static void
count_wake(void *data)
{
	++*(int *)data;
}

struct one_entry {
	FUTURE_CHAIN_ENTRY_LAST(struct count_future, only);
};

FUTURE(one_chain, struct one_entry, struct count_output);

static void
macros_evaluate_their_arguments_once(void **state)
{
	struct count_future f = count(0, 0);
	struct one_chain chain;
	int wakes = 0;
	struct future_waker waker = {&wakes, count_wake};

	(void)state;
#define ONCE(statement) \
	do { \
		evaluations = 0; \
		if (wakes >= 0) \
			statement; \
		else \
			fail(); \
		assert_int_equal(evaluations, 1); \
	} while (0)
#define F ((struct count_future *)once(&f))
#define CHAIN ((struct one_chain *)once(&chain))
	ONCE(FUTURE_INIT_COMPLETE(F));
	ONCE(FUTURE_INIT(F, count_task));
	ONCE(FUTURE_INIT_EXT(F, count_task, always));
	ONCE((void)FUTURE_AS_RUNNABLE(F));
	ONCE((void)FUTURE_OUTPUT(F));
	ONCE((void)FUTURE_DATA(F));
	ONCE((void)FUTURE_STATE(F));
	ONCE(FUTURE_BUSY_POLL(F));
	ONCE(FUTURE_CHAIN_INIT(CHAIN));
	ONCE(FUTURE_CHAIN_ENTRY_INIT(&CHAIN->data.only, f, nothing_map, NULL));
	ONCE(FUTURE_CHAIN_ENTRY_LAZY_INIT(
		&CHAIN->data.only, NULL, NULL, nothing_map, NULL));
	ONCE((void)FUTURE_CHAIN_ENTRY_IS_LAST(&CHAIN->data.only));
	ONCE((void)FUTURE_CHAIN_ENTRY_IS_PROCESSED(&CHAIN->data.only));
	ONCE((void)FUTURE_CHAIN_ENTRY_IS_INITIALIZED(&CHAIN->data.only));
	ONCE(FUTURE_WAKER_WAKE((struct future_waker *)once(&waker)));
	assert_int_equal(wakes, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poll_runs_until_complete_and_no_longer),
		cmocka_unit_test(busy_poll_takes_as_many_polls_as_needed),
		cmocka_unit_test(init_complete_is_safe_to_use),
		cmocka_unit_test(properties_are_1_or_0_and_null_means_none),
		cmocka_unit_test(output_is_found_behind_padding),
		cmocka_unit_test(macros_evaluate_their_arguments_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
