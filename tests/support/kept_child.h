/* SPDX-License-Identifier: BSD-3-Clause */

/* kept_child.h -- a mover from before a fork, and the checks of the child */

#ifndef LIBMINIASYNC_TEST_KEPT_CHILD_H
#define LIBMINIASYNC_TEST_KEPT_CHILD_H 1

#include "child.h"
#include "movers/threads_work.h" /* before dmt */
#include "system.h"
#include "threads_mover.h"
#include "wakers.h"

#define N HANDED_OVER

static struct data_mover_threads *dmt; /* made before the fork */
static unsigned char src[SHARED], dst[8][SHARED];
static struct vdm_operation_future f[8]; /* begun before the fork */

static inline struct vdm *
vdm(void)
{
	return data_mover_threads_get_vdm(dmt);
}

/* A notifier of the program. */
static inline struct future_notifier
own_notifier(void)
{
	return (struct future_notifier){
		.waker = {.wake = wake_nobody, .data = NULL}};
}

static inline void
copy_begin(int i, size_t n, struct future_notifier *notifier)
{
	f[i] = vdm_memcpy(vdm(), dst[i], src, n, 0);
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f[i]), notifier),
		FUTURE_STATE_RUNNING);
}

/* Child: one poll ends what was begun before the fork. */
static inline void
check_lost(int i, struct future_notifier *notifier)
{
	CHILD_CHECK(future_poll(FUTURE_AS_RUNNABLE(&f[i]), notifier) ==
		FUTURE_STATE_COMPLETE);
	CHILD_CHECK(FUTURE_OUTPUT(&f[i])->result == VDM_ERROR_JOB_CORRUPTED);
}

/* Child: one poll does a new operation. */
static inline void
check_poll(struct vdm_operation_future *new, struct future_notifier *notifier)
{
	CHILD_CHECK(future_poll(FUTURE_AS_RUNNABLE(new), notifier) ==
		FUTURE_STATE_COMPLETE);
	CHILD_CHECK(FUTURE_OUTPUT(new)->result == VDM_SUCCESS);
	CHILD_CHECK(notifier == NULL ||
		notifier->notifier_used == FUTURE_NOTIFIER_NONE);
}

static inline void
check_copy(size_t n, struct future_notifier *notifier)
{
	static unsigned char to[SHARED];
	struct vdm_operation_future new = vdm_memcpy(vdm(), to, src, n, 0);

	memset(to, 0, n);
	check_poll(&new, notifier);
	CHILD_CHECK(memcmp(to, src, n) == 0);
}

/* Child: all types, sizes and notifiers. */
static inline void
check_new_operations(void)
{
	static const size_t sizes[] = {
		0, 1, 64, 16 * KIB, 16 * KIB + 1, N, SHARED};
	struct future_notifier notifier = own_notifier();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check_copy(sizes[i], NULL);
		check_copy(sizes[i], &notifier);
	}

	struct vdm_operation_future new = vdm_memset(vdm(), src, 7, N, 0);

	check_poll(&new, NULL);
	CHILD_CHECK(src[0] == 7 && src[N - 1] == 7);
	src[0] = 8;
	new = vdm_memmove(vdm(), src + 1, src, N, VDM_F_NO_CACHE_HINT);
	check_poll(&new, &notifier);
	CHILD_CHECK(src[1] == 8 && src[2] == 7);

	const struct vdm_segment segments[] = {
		{dst[1], src, N}, {dst[2], src, 1}, {NULL, NULL, 0}};

	memset(dst, 0, sizeof(dst));
	new = vdm_memcpyv(vdm(), segments, 3, 0);
	check_poll(&new, NULL);
	CHILD_CHECK(memcmp(dst[1], src, N) == 0 && dst[2][0] == src[0]);
	new = vdm_memcpy(vdm(), dst[0], src, N, 1U << 20);
	CHILD_CHECK(future_poll(FUTURE_AS_RUNNABLE(&new), NULL) ==
		FUTURE_STATE_COMPLETE);
	CHILD_CHECK(FUTURE_OUTPUT(&new)->result == VDM_ERROR_JOB_CORRUPTED);
}

static inline void
use_and_delete(void)
{
	check_new_operations();
	data_mover_threads_delete(dmt);
}

static inline void
kept_child_init(void)
{
	test_deadline(120);
	sem_init(&gate, 0, 0);
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (unsigned char)(i * 7);
}

#endif /* LIBMINIASYNC_TEST_KEPT_CHILD_H */
