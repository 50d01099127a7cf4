/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_waits.c -- tests operation/completion: how long a poll waits
 * for a waker that runs, and how often that waker is called
 *
 * Time is the test's own: a look at the clock takes 100 ns, a yield 1 us, and a
 * sleep as long as it should. The finisher is the test's too: its steps happen
 * when their time has come. The linker puts the __wrap_ functions before those
 * that they are named after.
 */

#include "test.h"

#include <stdatomic.h>

#include "operation/completion.h"
#include "system/platform.h"

#define US UINT64_C(1000)

/* The waits of completion.c: the first, and how often they become longer. */
#define FIRST_WAIT_NS (10 * US)
#define MAX_WAITS 8
#define LAST_WAIT_NS (FIRST_WAIT_NS << 2 * MAX_WAITS)

/* A nap, and some looks at the clock: a wait may take so much longer. */
#define LATE_NS (60 * US)

static uint64_t clock_ns;

/* A finisher whose waker takes call_ns. */
static struct {
	struct mia_completion c;
	uint64_t call_ns, return_ns;
	unsigned calls;
} finisher;

static int
state_of_finisher(void)
{
	return (int)atomic_load(&finisher.c.state);
}

static void
call_waker(void)
{
	finisher.calls++;
	finisher.return_ns = clock_ns + finisher.call_ns;
	atomic_store(&finisher.c.state, MIA_COMPLETION_WAKING);
}

static void
pass(uint64_t ns)
{
	clock_ns += ns;
	if (clock_ns < finisher.return_ns)
		return;
	if (state_of_finisher() == MIA_COMPLETION_WAKING)
		atomic_store(&finisher.c.state, MIA_COMPLETION_DONE);
	else if (state_of_finisher() == MIA_COMPLETION_POLLED)
		call_waker();
}

uint64_t __wrap_mia_clock_ns(void);
void __wrap_mia_thread_yield(void);
void __wrap_mia_sleep(uint64_t ns);

uint64_t
__wrap_mia_clock_ns(void)
{
	pass(100);
	return clock_ns;
}

void
__wrap_mia_thread_yield(void)
{
	pass(1 * US);
}

void
__wrap_mia_sleep(uint64_t ns)
{
	pass(ns);
}

static void
begin(uint64_t call_ns)
{
	finisher.call_ns = call_ns;
	finisher.calls = 0;
	mia_completion_init(&finisher.c);
	mia_completion_begin(&finisher.c, (struct future_waker){.wake = NULL});
	call_waker();
}

static uint64_t
poll_ns(enum future_state expected)
{
	const uint64_t start = clock_ns;

	assert_int_equal(mia_completion_poll(&finisher.c), expected);
	return clock_ns - start;
}

/* As of a poller that is woken, and that sleeps after each RUNNING. */
static void
poll_at_each_call(unsigned max_calls)
{
	for (unsigned calls = 1; calls <= max_calls; calls++) {
		const enum future_state state =
			mia_completion_poll(&finisher.c);

		assert_int_equal(finisher.calls, calls);
		if (state == FUTURE_STATE_COMPLETE)
			return;
		pass(finisher.return_ns - clock_ns);
	}
}

static void
first_poll_waits_for_microseconds_and_each_further_one_four_times_as_long(
	void **state)
{
	uint64_t wait_ns = FIRST_WAIT_NS;

	(void)state;
	begin(UINT64_C(10) * MIA_NS_PER_S);
	for (unsigned i = 0; i < MAX_WAITS + 3; i++) {
		assert_in_range(poll_ns(FUTURE_STATE_RUNNING), wait_ns,
			wait_ns + (i < 2 ? 2 * US : LATE_NS));
		assert_int_equal(state_of_finisher(), MIA_COMPLETION_POLLED);
		if (wait_ns < LAST_WAIT_NS)
			wait_ns *= 4;
		pass(finisher.return_ns - clock_ns);
		assert_int_equal(state_of_finisher(), MIA_COMPLETION_WAKING);
	}
}

/* The waker will be called once more anyway. */
static void
poll_after_one_that_waited_in_vain_does_not_wait(void **state)
{
	(void)state;
	begin(1 * MS);
	(void)poll_ns(FUTURE_STATE_RUNNING);
	for (int i = 0; i < 10; i++)
		assert_int_equal(poll_ns(FUTURE_STATE_RUNNING), 0);
	assert_int_equal(finisher.calls, 1);
}

static void
waker_is_called_once_more_for_each_wait_that_is_shorter_than_a_call(
	void **state)
{
	(void)state;
	for (uint64_t call_ns = 1; call_ns < LAST_WAIT_NS;
		call_ns += call_ns / 3 + 1) {
		unsigned least = 1, most = 1;

		for (uint64_t ns = FIRST_WAIT_NS; ns <= call_ns; ns *= 4) {
			least += ns + LATE_NS < call_ns;
			most++;
		}
		begin(call_ns);
		poll_at_each_call(1 + MAX_WAITS);
		assert_int_equal(state_of_finisher(), MIA_COMPLETION_DONE);
		assert_in_range(finisher.calls, least, most);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			first_poll_waits_for_microseconds_and_each_further_one_four_times_as_long),
		cmocka_unit_test(
			poll_after_one_that_waited_in_vain_does_not_wait),
		cmocka_unit_test(
			waker_is_called_once_more_for_each_wait_that_is_shorter_than_a_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
