/* SPDX-License-Identifier: BSD-3-Clause */

/* test_word.c -- tests operation/word: the words that a program monitors */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync/future.h"
#include "operation/word.h"
#include "system/platform.h"

/* Operations are whole cache lines: their addresses differ by so much. */
#define OPERATIONS 5000

static char operations[OPERATIONS][MIA_CACHE_LINE];

/* As the program does. */
static uint64_t
value_of(const void *operation, memory_order order)
{
	const _Atomic uint64_t *word =
		(const _Atomic uint64_t *)(const void *)mia_word_of(operation);

	return atomic_load_explicit(word, order);
}

static void
word_of_an_operation_is_always_the_same_and_aligned(void **state)
{
	(void)state;
	assert_non_null(mia_word_of(NULL));
	assert_non_null(mia_word_of((const void *)UINTPTR_MAX));
	for (size_t i = 0; i < OPERATIONS; i++) {
		uint64_t *word = mia_word_of(operations[i]);

		assert_non_null(word);
		assert_ptr_equal(word, mia_word_of(operations[i]));
		assert_int_equal((uintptr_t)word % sizeof(*word), 0);
	}
}

/* Any address is as good as any other: no word lies outside of the words. */
static void
words_of_all_addresses_lie_in_a_few_pages(void **state)
{
	uintptr_t lowest = UINTPTR_MAX, highest = 0;
	uint64_t seed = test_seed("word");

	(void)state;
	for (int i = 0; i < 100000; i++) {
		const uintptr_t address = (uintptr_t)test_random(&seed);
		const uintptr_t word =
			(uintptr_t)mia_word_of((const void *)address);

		lowest = word < lowest ? word : lowest;
		highest = word > highest ? word : highest;
	}
	assert_in_range(highest - lowest, 1, 8192 - sizeof(uint64_t));
}

static void
operations_that_are_neighbours_have_different_words(void **state)
{
	(void)state;
	for (size_t i = 1; i < OPERATIONS; i++)
		assert_ptr_not_equal(mia_word_of(operations[i - 1]),
			mia_word_of(operations[i]));
}

static void
word_never_has_the_same_value_twice(void **state)
{
	enum { CHANGES = 1000 };
	uint64_t values[CHANGES + 1];
	const future_waker_wake_fn change = mia_word_change;

	(void)state;
	values[0] = value_of(operations[0], memory_order_relaxed);
	for (size_t i = 1; i <= CHANGES; i++) {
		change(operations[0]);
		values[i] = value_of(operations[0], memory_order_relaxed);
		for (size_t k = 0; k < i; k++)
			assert_true(values[i] != values[k]);
	}
}

/* Two threads change one word, and each reads the other's earlier note. */

#define CHANGES TEST_ROUNDS(3000000)

struct changer {
	pthread_t thread;
	void *operation;
	int note; /* plain */
};

static void *
change_often(void *arg)
{
	struct changer *changer = arg;

	for (int i = 0; i < CHANGES; i++)
		mia_word_change(changer->operation);
	return NULL;
}

static void
no_change_by_one_of_two_threads_is_lost(void **state)
{
	const uint64_t before = value_of(operations[1], memory_order_relaxed);
	struct changer changers[2] = {
		{.operation = operations[1]}, {.operation = operations[1]}};

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&changers[i].thread, NULL,
					 change_often, &changers[i]),
			0);
	for (int i = 0; i < 2; i++)
		pthread_join(changers[i].thread, NULL);
	/* Fewer values than changes: the word had one of them twice. */
	assert_true(value_of(operations[1], memory_order_relaxed) - before ==
		2 * (uint64_t)CHANGES);
}

static void *
note_and_change(void *arg)
{
	struct changer *changer = arg;

	changer->note = 1;
	mia_word_change(changer->operation);
	return NULL;
}

/* ThreadSanitizer sees an order that is too weak. */
static void
thread_that_sees_a_change_sees_what_happened_before_it(void **state)
{
	(void)state;
	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		struct changer changer = {.operation = operations[2]};
		const uint64_t before =
			value_of(operations[2], memory_order_relaxed);

		assert_int_equal(pthread_create(&changer.thread, NULL,
					 note_and_change, &changer),
			0);
		while (value_of(operations[2], memory_order_acquire) == before)
			sched_yield();
		assert_int_equal(changer.note, 1);
		pthread_join(changer.thread, NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			word_of_an_operation_is_always_the_same_and_aligned),
		cmocka_unit_test(words_of_all_addresses_lie_in_a_few_pages),
		cmocka_unit_test(
			operations_that_are_neighbours_have_different_words),
		cmocka_unit_test(word_never_has_the_same_value_twice),
		cmocka_unit_test(no_change_by_one_of_two_threads_is_lost),
		cmocka_unit_test(
			thread_that_sees_a_change_sees_what_happened_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
