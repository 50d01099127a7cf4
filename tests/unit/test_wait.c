/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait.c -- tests wait/wait: how long a waiting thread lingers before it
 * sleeps
 *
 * The linker puts __wrap_mia_linger_begin() before mia_linger_begin().
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

#include <libminiasync.h>

#include "system/backoff.h"

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

/* Another thread completes it, and calls the waker that the first poll set. */
struct late_data {
	uint64_t delay_ns;
	pthread_t thread;
	struct future_waker waker;
	atomic_bool done;
};

struct late_output {
	char unused;
};

FUTURE(late_future, struct late_data *, struct late_output);

static void *
complete_late(void *arg)
{
	struct late_data *data = arg;

	if (data->delay_ns > 0)
		test_sleep_ns(data->delay_ns);
	atomic_store(&data->done, true);
	FUTURE_WAKER_WAKE(&data->waker);
	return NULL;
}

static enum future_state
late_task(struct future_context *context, struct future_notifier *n)
{
	struct late_data **data = future_context_get_data(context);

	if (atomic_load(&(*data)->done))
		return FUTURE_STATE_COMPLETE;
	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	if (context->state == FUTURE_STATE_IDLE) {
		(*data)->waker = n->waker;
		if ((*data)->delay_ns == 0)
			complete_late(*data);
		else
			assert_int_equal(pthread_create(&(*data)->thread, NULL,
						 complete_late, *data),
				0);
	}
	return FUTURE_STATE_RUNNING;
}

static void
wait_for(struct runtime *runtime, uint64_t delay_ns)
{
	struct late_data data = {.delay_ns = delay_ns};
	struct late_future future = {.data = &data};

	FUTURE_INIT(&future, late_task);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&future));
	if (delay_ns > 0)
		assert_int_equal(pthread_join(data.thread, NULL), 0);
}

static void
lingering_in_vain_gets_shorter(void **state)
{
	struct runtime *runtime = runtime_new();

	(void)state;
	assert_non_null(runtime);
	nlingers = 0;
	for (int i = 0; i < 8; i++)
		wait_for(runtime, 20 * MS);

	/* Also within one wait, each time that the net strikes. */
	assert_true(nlingers >= 8);
	for (size_t i = 0; i < nlingers; i++)
		assert_int_equal(
			lingers[i], MIA_SLEEP_COST_NS >> (i < 5 ? i : 5));

	/* A wake comes at once: the next wait lingers for the whole time. */
	nlingers = 0;
	wait_for(runtime, 0);
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
