/* SPDX-License-Identifier: BSD-3-Clause */

#include "test.h"

#include "libminiasync/future.h"

/* A future that takes `left` polls, then puts in + 1 into its output. */
struct count_data {
	int left;
	int in;
};

struct count_output {
	int out;
};

FUTURE(count_future, struct count_data, struct count_output);

static enum future_state
count_task(struct future_context *context, struct future_notifier *notifier)
{
	struct count_data *data = future_context_get_data(context);
	struct count_output *output = future_context_get_output(context);

	if (data->left-- > 0) {
		if (notifier != NULL)
			notifier->notifier_used = FUTURE_NOTIFIER_WAKER;
		return FUTURE_STATE_RUNNING;
	}
	output->out = data->in + 1;
	return FUTURE_STATE_COMPLETE;
}

static int
always(void *future, enum future_property property)
{
	(void)future;
	return property == FUTURE_PROPERTY_ASYNC ? 8 : 0;
}

static struct count_future
count(int left, int in)
{
	struct count_future f;

	memset(&f, 0xee, sizeof(f));
	f.data.left = left;
	f.data.in = in;
	FUTURE_INIT(&f, count_task);
	return f;
}

static struct count_future
count_async(int left, int in)
{
	struct count_future f = count(left, in);

	FUTURE_INIT_EXT(&f, count_task, always);
	return f;
}

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

/* Chains. */

static void
carry(struct future_context *lhs, struct future_context *rhs, void *arg)
{
	struct count_output *from = future_context_get_output(lhs);
	struct count_data *to = future_context_get_data(rhs);

	to->in = from->out + *(int *)arg;
}

static void
carry_out(struct future_context *lhs, struct future_context *rhs, void *arg)
{
	(void)arg;
	memcpy(future_context_get_output(rhs), future_context_get_output(lhs),
		sizeof(struct count_output));
}

static int inits;

static void
init_count(void *future, struct future_context *chain, void *arg)
{
	(void)chain;
	inits++;
	*(struct count_future *)future = count_async(*(int *)arg, 0);
}

struct three_data {
	FUTURE_CHAIN_ENTRY(struct count_future, first);
	FUTURE_CHAIN_ENTRY(struct count_future, second);
	FUTURE_CHAIN_ENTRY_LAST(struct count_future, third);
	char more[200];
};

FUTURE(three_chain, struct three_data, struct count_output);

static void
chain_runs_entries_in_order_and_maps_results(void **state)
{
	struct three_chain c;
	int hundred = 100, polls = 1, n = 0;

	(void)state;
	memset(&c, 0xee, sizeof(c));
	inits = 0;
	FUTURE_CHAIN_ENTRY_INIT(&c.data.first, count(1, 0), carry, &hundred);
	FUTURE_CHAIN_ENTRY_LAZY_INIT(
		&c.data.second, init_count, &polls, carry, &hundred);
	FUTURE_CHAIN_ENTRY_INIT(&c.data.third, count(0, 0), carry_out, NULL);
	FUTURE_CHAIN_INIT(&c);
	assert_false(FUTURE_CHAIN_ENTRY_IS_LAST(&c.data.first));
	assert_true(FUTURE_CHAIN_ENTRY_IS_LAST(&c.data.third));
	assert_true(FUTURE_CHAIN_ENTRY_IS_INITIALIZED(&c.data.first));
	assert_false(FUTURE_CHAIN_ENTRY_IS_INITIALIZED(&c.data.second));

	/* Asking for a property neither initialises nor polls. */
	assert_false(future_has_property(&c, FUTURE_PROPERTY_ASYNC));
	assert_int_equal(inits, 0);

	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&c), NULL),
		FUTURE_STATE_RUNNING);
	assert_int_equal(inits, 0);
	assert_false(FUTURE_CHAIN_ENTRY_IS_PROCESSED(&c.data.first));
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&c), NULL),
		FUTURE_STATE_RUNNING);
	assert_true(FUTURE_CHAIN_ENTRY_IS_PROCESSED(&c.data.first));
	assert_true(FUTURE_CHAIN_ENTRY_IS_INITIALIZED(&c.data.second));
	assert_true(future_has_property(&c, FUTURE_PROPERTY_ASYNC));
	for (; future_poll(FUTURE_AS_RUNNABLE(&c), NULL) !=
		FUTURE_STATE_COMPLETE;
		n++)
		assert_true(n < 10);
	assert_int_equal(inits, 1);
	assert_int_equal(FUTURE_OUTPUT(&c)->out, 203);
	assert_false(future_has_property(&c, FUTURE_PROPERTY_ASYNC));
}

/* Entries whose sizes are no multiple of anything; no LAST; NULL maps. */
typedef char odd_data[13];
typedef char odd_output[2];
FUTURE(odd_future, odd_data, odd_output);

static enum future_state
odd_task(struct future_context *context, struct future_notifier *notifier)
{
	char *data = future_context_get_data(context);
	char *output = future_context_get_output(context);

	(void)notifier;
	assert_string_equal(data, "twelve bytes");
	output[0] = 'x';
	return FUTURE_STATE_COMPLETE;
}

struct odd_entries {
	FUTURE_CHAIN_ENTRY(struct odd_future, a);
	FUTURE_CHAIN_ENTRY(struct odd_future, b);
	FUTURE_CHAIN_ENTRY(struct count_future, c);
	FUTURE_CHAIN_ENTRY(struct odd_future, d);
};

FUTURE(odd_chain, struct odd_entries, char);
FUTURE(odd_wide_chain, struct odd_entries, struct wide);

#define ODD_CHAIN_TEST(type) \
	do { \
		struct odd_future odd; \
		struct type c; \
		memset(&c, 0xee, sizeof(c)); \
		memset(&odd, 0xee, sizeof(odd)); \
		memcpy(odd.data, "twelve bytes", 13); \
		FUTURE_INIT(&odd, odd_task); \
		FUTURE_CHAIN_ENTRY_INIT(&c.data.a, odd, NULL, NULL); \
		FUTURE_CHAIN_ENTRY_INIT(&c.data.b, odd, NULL, NULL); \
		FUTURE_CHAIN_ENTRY_INIT(&c.data.c, count(2, 7), NULL, NULL); \
		FUTURE_CHAIN_ENTRY_INIT(&c.data.d, odd, NULL, NULL); \
		FUTURE_CHAIN_INIT(&c); \
		FUTURE_BUSY_POLL(&c); \
		assert_int_equal(c.data.c.fut.output.out, 8); \
		assert_int_equal(c.data.d.fut.output[0], 'x'); \
		assert_true(FUTURE_CHAIN_ENTRY_IS_PROCESSED(&c.data.d)); \
	} while (0)

static void
chain_of_odd_sizes_ends_with_its_data(void **state)
{
	(void)state;
	ODD_CHAIN_TEST(odd_chain);
	ODD_CHAIN_TEST(odd_wide_chain);
}

/* Entries are what the data begins with, if it has room for one. */
static void
chain_without_entries_is_complete_at_once(void **state)
{
	struct future_notifier n = {.notifier_used = FUTURE_NOTIFIER_NONE};
	struct count_future f;

	(void)state;
	memset(&f, 0xee, sizeof(f));
	FUTURE_CHAIN_INIT(&f);
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	assert_int_equal(
		future_poll(FUTURE_AS_RUNNABLE(&f), &n), FUTURE_STATE_COMPLETE);
}

struct outer_data {
	FUTURE_CHAIN_ENTRY(struct three_chain, inner);
	FUTURE_CHAIN_ENTRY(struct count_future, after);
};

FUTURE(outer_chain, struct outer_data, struct count_output);

static void
chains_nest(void **state)
{
	struct three_chain inner;
	struct outer_chain outer;
	int one = 1;

	(void)state;
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.first, count(2, 0), carry, &one);
	FUTURE_CHAIN_ENTRY_INIT(
		&inner.data.second, count_async(2, 0), carry, &one);
	FUTURE_CHAIN_ENTRY_INIT(
		&inner.data.third, count(2, 0), carry_out, NULL);
	FUTURE_CHAIN_INIT(&inner);
	FUTURE_CHAIN_ENTRY_INIT(&outer.data.inner, inner, carry, &one);
	FUTURE_CHAIN_ENTRY_INIT(
		&outer.data.after, count(1, 0), carry_out, NULL);
	FUTURE_CHAIN_INIT(&outer);

	int was_async = 0;

	while (future_poll(FUTURE_AS_RUNNABLE(&outer), NULL) !=
		FUTURE_STATE_COMPLETE)
		was_async += future_has_property(&outer, FUTURE_PROPERTY_ASYNC);
	assert_int_equal(FUTURE_OUTPUT(&outer)->out, 7);
	assert_int_equal(was_async, 2);
}

/* Stays idle once, then runs once, unless it gets the notifier it knows. */
static enum future_state
opaque_task(struct future_context *context, struct future_notifier *notifier)
{
	struct count_data *data = future_context_get_data(context);

	assert_ptr_equal(notifier, (void *)(uintptr_t)0xdeadbeef);
	switch (data->left--) {
	case 2:
		return FUTURE_STATE_IDLE;
	case 1:
		return FUTURE_STATE_RUNNING;
	default:
		return FUTURE_STATE_COMPLETE;
	}
}

/* What a program passes as a notifier is a matter of its own tasks. */
static void
chain_does_not_look_into_the_notifier(void **state)
{
	struct three_chain inner;
	struct outer_chain outer;
	struct count_future opaque = count(2, 0);
	int polls = 1;

	(void)state;
	FUTURE_INIT(&opaque, opaque_task);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.first, opaque, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.second, opaque, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.third, opaque, NULL, NULL);
	FUTURE_CHAIN_INIT(&inner);
	FUTURE_CHAIN_ENTRY_INIT(&outer.data.inner, inner, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&outer.data.after, opaque, NULL, NULL);
	FUTURE_CHAIN_INIT(&outer);
	while (future_poll(FUTURE_AS_RUNNABLE(&outer),
		       (void *)(uintptr_t)0xdeadbeef) != FUTURE_STATE_COMPLETE)
		polls++;
	assert_int_equal(polls, 9);
}

/* An owner sees that a chain went on, also one within a chain. */
static void
chain_tells_that_it_went_on_or_was_refused(void **state)
{
	struct three_chain inner;
	struct outer_chain outer;
	struct count_future opaque = count(2, 0);
	uint32_t last = 0;
	unsigned moves = 0, refusals = 0;

	(void)state;
	FUTURE_INIT(&opaque, opaque_task);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.first, opaque, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.second, opaque, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.third, opaque, NULL, NULL);
	FUTURE_CHAIN_INIT(&inner);
	FUTURE_CHAIN_ENTRY_INIT(&outer.data.inner, inner, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&outer.data.after, opaque, NULL, NULL);
	FUTURE_CHAIN_INIT(&outer);
	do {
		future_poll(FUTURE_AS_RUNNABLE(&outer),
			(void *)(uintptr_t)0xdeadbeef);
		moves += future_chain_has_moved_impl(
			last, outer.base.context.padding);
		refusals += (outer.base.context.padding &
				    FUTURE_CONTEXT_REFUSED_) != 0;
		last = outer.base.context.padding;
	} while (FUTURE_STATE(&outer) != FUTURE_STATE_COMPLETE);
	assert_int_equal(moves, 4);
	assert_int_equal(refusals, 4);
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
		cmocka_unit_test(chain_runs_entries_in_order_and_maps_results),
		cmocka_unit_test(chain_of_odd_sizes_ends_with_its_data),
		cmocka_unit_test(chain_without_entries_is_complete_at_once),
		cmocka_unit_test(chains_nest),
		cmocka_unit_test(chain_does_not_look_into_the_notifier),
		cmocka_unit_test(chain_tells_that_it_went_on_or_was_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
