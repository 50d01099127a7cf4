/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait.c -- tests wait/wait: how long a waiting thread lingers before it
 * sleeps
 *
 * Time is the test's own: a look at the clock takes 1 us, and a sleep as long
 * as it should. The linker puts the __wrap_ functions before those that they
 * are named after.
 */

#include "test.h"

#include <libminiasync.h>

#include "system/backoff.h"
#include "system/parker.h"

static uint64_t clock_ns;

uint64_t __wrap_mia_clock_ns(void);

uint64_t
__wrap_mia_clock_ns(void)
{
	clock_ns += 1000;
	return clock_ns;
}

/* The times of all lingers, in order. */
static uint64_t lingers[64];
static size_t nlingers;

void __real_mia_linger_begin(struct mia_linger *linger,
	struct mia_yields *yields, enum mia_linger_start start,
	uint64_t max_ns);
void __wrap_mia_linger_begin(struct mia_linger *linger,
	struct mia_yields *yields, enum mia_linger_start start,
	uint64_t max_ns);

void
__wrap_mia_linger_begin(struct mia_linger *linger, struct mia_yields *yields,
	enum mia_linger_start start, uint64_t max_ns)
{
	if (nlingers < sizeof(lingers) / sizeof(*lingers))
		lingers[nlingers++] = max_ns;
	__real_mia_linger_begin(linger, yields, start, max_ns);
}

/* Complete at a time. The waker that the first poll set is called then. */
struct late_data {
	uint64_t done_ns;
	struct future_waker waker;
};

struct late_output {
	char unused;
};

FUTURE(late_future, struct late_data *, struct late_output);

static enum future_state
late_task(struct future_context *context, struct future_notifier *n)
{
	struct late_data **data = future_context_get_data(context);

	if (clock_ns >= (*data)->done_ns)
		return FUTURE_STATE_COMPLETE;
	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	(*data)->waker = n->waker;
	return FUTURE_STATE_RUNNING;
}

/* What the waiting thread waits for. */
static struct late_data late;

bool __real_mia_parker_park(struct mia_parker *parker, uint64_t ns);
bool __wrap_mia_parker_park(struct mia_parker *parker, uint64_t ns);

bool
__wrap_mia_parker_park(struct mia_parker *parker, uint64_t ns)
{
	if (clock_ns + ns < late.done_ns) {
		clock_ns += ns;
		return false;
	}
	if (clock_ns < late.done_ns)
		clock_ns = late.done_ns;
	FUTURE_WAKER_WAKE(&late.waker);
	return __real_mia_parker_park(parker, ns);
}

static void
wait_for(struct runtime *runtime, uint64_t delay_ns)
{
	struct late_future future = {.data = &late};

	late.done_ns = clock_ns + delay_ns;
	FUTURE_INIT(&future, late_task);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&future));
	assert_true(clock_ns - late.done_ns < 100000);
}

static void
lingering_in_vain_gets_shorter(void **state)
{
	struct runtime *runtime = runtime_new();

	(void)state;
	assert_non_null(runtime);
	nlingers = 0;
	for (int i = 0; i < 4; i++)
		wait_for(runtime, 20 * MS);

	/* Also within one wait, each time that the net strikes: 4, 8 ms. */
	assert_int_equal(nlingers, 12);
	for (size_t i = 0; i < nlingers; i++)
		assert_int_equal(
			lingers[i], MIA_SLEEP_COST_NS >> (i < 5 ? i : 5));

	/* A wake comes soon: the next wait lingers for the whole time. */
	nlingers = 0;
	wait_for(runtime, MIA_SLEEP_COST_NS / 2);
	wait_for(runtime, 20 * MS);
	assert_true(nlingers >= 2);
	assert_int_equal(lingers[0], MIA_SLEEP_COST_NS >> 5);
	assert_int_equal(lingers[1], MIA_SLEEP_COST_NS);
	runtime_delete(runtime);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lingering_in_vain_gets_shorter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
