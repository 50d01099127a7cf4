/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_future_chain.c -- tests future.h: chains of futures; their order,
 * results, sizes and notifiers, and chains in chains
 */

#include "test.h"

#include "count_future.h"

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
struct wide {
	_Alignas(32) char c;
};

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

/* The data begins with entries if it has room for one. */
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

/* Is idle once, then runs once. Each poll must pass the same notifier. */
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

static struct outer_chain
opaque_chain(void)
{
	struct three_chain inner;
	struct outer_chain outer;
	struct count_future opaque = count(2, 0);

	FUTURE_INIT(&opaque, opaque_task);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.first, opaque, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.second, opaque, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&inner.data.third, opaque, NULL, NULL);
	FUTURE_CHAIN_INIT(&inner);
	FUTURE_CHAIN_ENTRY_INIT(&outer.data.inner, inner, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&outer.data.after, opaque, NULL, NULL);
	FUTURE_CHAIN_INIT(&outer);
	return outer;
}

/* Only the tasks of a program need to know its notifiers. */
static void
chain_does_not_look_into_the_notifier(void **state)
{
	struct outer_chain outer = opaque_chain();
	int polls = 1;

	(void)state;
	while (future_poll(FUTURE_AS_RUNNABLE(&outer),
		       (void *)(uintptr_t)0xdeadbeef) != FUTURE_STATE_COMPLETE)
		polls++;
	assert_int_equal(polls, 9);
}

/* An owner sees that a chain went on, also one within a chain. */
static void
chain_tells_that_it_went_on_or_was_refused(void **state)
{
	struct outer_chain outer = opaque_chain();
	uint32_t last = 0;
	unsigned moves = 0, refusals = 0;

	(void)state;
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

enum { MANY = 300 };

struct many_data {
	FUTURE_CHAIN_ENTRY(struct count_future, entries[MANY]);
	FUTURE_CHAIN_ENTRY_LAST(struct count_future, last);
};

FUTURE(many_chain, struct many_data, struct count_output);

static void
count_map(struct future_context *lhs, struct future_context *rhs, void *arg)
{
	(void)lhs;
	(void)rhs;
	++*(int *)arg;
}

/*
 * A poll goes on at the entry that the last poll left, wherever the chain is
 * now, without a look at those before: they are overwritten.
 */
static void
poll_does_not_walk_over_processed_entries(void **state)
{
	static struct many_chain chains[2];
	int nmaps = 0;

	(void)state;
	for (int round = 0; round < 2; round++) {
		struct many_chain *c = &chains[0];

		nmaps = 0;
		for (int i = 0; i < MANY; i++)
			FUTURE_CHAIN_ENTRY_INIT(&c->data.entries[i],
				count((i + 1) % 3, 0), count_map, &nmaps);
		FUTURE_CHAIN_ENTRY_INIT(
			&c->data.last, count_async(1, 7), carry_out, NULL);
		FUTURE_CHAIN_INIT(c);
		for (int polls = 0; future_poll(FUTURE_AS_RUNNABLE(c), NULL) !=
			FUTURE_STATE_COMPLETE;
			polls++) {
			assert_true(polls < 3 * MANY);
			assert_int_equal(
				future_has_property(c, FUTURE_PROPERTY_ASYNC),
				nmaps == MANY);

			/* Not the first: it knows the place. */
			for (int at = 1; at < nmaps && at < MANY; at++)
				memset(&c->data.entries[at], 0xee,
					sizeof(c->data.entries[at]));

			const struct count_future *first =
				&c->data.entries[0].fut;

			assert_int_equal(FUTURE_STATE(first),
				nmaps > 0 ? FUTURE_STATE_COMPLETE
					  : FUTURE_STATE_RUNNING);
			assert_false(FUTURE_CHAIN_ENTRY_IS_LAST(
				&c->data.entries[0]));
			assert_int_equal(FUTURE_CHAIN_ENTRY_IS_PROCESSED(
						 &c->data.entries[0]),
				nmaps > 0);

			struct many_chain *other =
				c == &chains[0] ? &chains[1] : &chains[0];

			memcpy(other, c, sizeof(*c));
			memset(c, 0xee, sizeof(*c));
			c = other;
		}
		assert_int_equal(nmaps, MANY);
		assert_int_equal(c->data.entries[0].flags,
			FUTURE_CHAIN_FLAG_ENTRY_PROCESSED);
		chains[0] = *c;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_runs_entries_in_order_and_maps_results),
		cmocka_unit_test(chain_of_odd_sizes_ends_with_its_data),
		cmocka_unit_test(chain_without_entries_is_complete_at_once),
		cmocka_unit_test(chains_nest),
		cmocka_unit_test(chain_does_not_look_into_the_notifier),
		cmocka_unit_test(chain_tells_that_it_went_on_or_was_refused),
		cmocka_unit_test(poll_does_not_walk_over_processed_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
