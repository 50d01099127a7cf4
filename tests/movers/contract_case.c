/* SPDX-License-Identifier: BSD-3-Clause */

/* contract_case.c -- see contract_case.h */

#include "contract_case.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>

const struct contract_mover *contract_kind;
struct runtime *contract_runtime;

/* What a test has got, until it ends. */
static void *gotten[8];
static size_t n_gotten;

int
contract_setup(void **state)
{
	*state = contract_kind->make();
	n_gotten = 0;
	return *state == NULL;
}

int
contract_teardown(void **state)
{
	contract_kind->end(*state);
	while (n_gotten > 0)
		free(gotten[--n_gotten]);
	return 0;
}

void *
contract_get(void **state, const void *from, size_t n)
{
	void *zeros = NULL;
	void *memory;

	if (from == NULL)
		from = zeros = calloc(1, n);
	assert_non_null(from);
	if (contract_kind->memory != NULL) {
		memory = contract_kind->memory->get(*state, n);
		contract_kind->memory->write(*state, memory, from, n);
	} else {
		memory = malloc(n);
		assert_true(memory != NULL && n_gotten < 8);
		gotten[n_gotten++] = memory;
		memcpy(memory, from, n);
	}
	free(zeros);
	return memory;
}

void
contract_put(void **state, void *memory, const void *from, size_t n)
{
	if (contract_kind->memory != NULL)
		contract_kind->memory->write(*state, memory, from, n);
	else
		memcpy(memory, from, n);
}

void
contract_look(void **state, void *to, const void *memory, size_t n)
{
	if (contract_kind->memory != NULL)
		contract_kind->memory->read(*state, to, memory, n);
	else
		memcpy(to, memory, n);
}

bool
contract_has_text(void **state, const void *memory, const char *text)
{
	char got[64];

	assert_true(strlen(text) < sizeof(got));
	contract_look(state, got, memory, strlen(text) + 1);
	return strcmp(got, text) == 0;
}

struct vdm *
contract_vdm_of(void **state)
{
	return contract_kind->get_vdm(*state);
}

int
contract_rounds(int n)
{
	const int all = TEST_ROUNDS(n);

	return contract_kind->is_slow && all > 1 ? all / 2 : all;
}

static sem_t woken;

void
contract_begin(const struct contract_mover *mover)
{
	contract_kind = mover;
	sem_init(&woken, 0, 0);
	contract_runtime = runtime_new();
}

void
contract_end(void)
{
	runtime_delete(contract_runtime);
	sem_destroy(&woken);
}

static void
post(void *data)
{
	sem_post(data);
}

/* By its waker, if the mover answers WAKER. */
static void
finish_by_waker(struct future *fut)
{
	struct future_notifier n = {.waker = {&woken, post}};
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 60;
	while (future_poll(fut, &n) != FUTURE_STATE_COMPLETE) {
		const int saved_errno = errno;

		if (n.notifier_used != FUTURE_NOTIFIER_WAKER)
			sched_yield();
		else if (sem_timedwait(&woken, &deadline) != 0)
			fail_msg("the waker was not called in a minute");
		/* musl's waiting sets it also when it succeeds. */
		errno = saved_errno;
	}
}

const struct vdm_operation_output *
contract_finish(struct vdm_operation_future *f)
{
	static unsigned turn;

	switch (turn++ % 3) {
	case 0:
		FUTURE_BUSY_POLL(f);
		break;
	case 1:
		finish_by_waker(FUTURE_AS_RUNNABLE(f));
		break;
	default:
		runtime_wait(contract_runtime, FUTURE_AS_RUNNABLE(f));
		break;
	}
	assert_int_equal(FUTURE_STATE(f), FUTURE_STATE_COMPLETE);
	return FUTURE_OUTPUT(f);
}
