/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * kept_forms.h -- operations of several forms that a held mover keeps, their
 * expected bytes, and polls that make no offer
 */

#ifndef LIBMINIASYNC_TEST_KEPT_FORMS_H
#define LIBMINIASYNC_TEST_KEPT_FORMS_H 1

#include "kept.h"

enum { PIECES = 5 };

#define N (PIECES * PIECE_BYTES + 1000)

static unsigned char dst[2 * N], expected[2 * N], before[2 * N];

/* Polls that do not offer, each by another kind of owner. */
enum owner {
	NO_NOTIFIER,
	PROGRAM,     /* a notifier with another waker */
	OLD_HEADERS, /* op_check without op_start */
	BUSY_WAIT,   /* a runtime that makes no offer now */
};

#define OWNERS (BUSY_WAIT + 1)

static struct counter program_wakes;

static inline enum future_state
poll_without_offer(struct vdm_operation_future *f, enum owner owner)
{
	struct future_notifier n = {.waker = {&program_wakes, wake_counter}};
	struct vdm *vdm = f->data.vdm;

	switch (owner) {
	case NO_NOTIFIER:
		return future_poll(FUTURE_AS_RUNNABLE(f), NULL);
	case PROGRAM:
		return future_poll(FUTURE_AS_RUNNABLE(f), &n);
	case OLD_HEADERS:
		return vdm->op_check(f->data.data, &f->data.operation);
	case BUSY_WAIT:
		return poll_like_runtime(f, NO_OFFER);
	}
	abort();
}

enum form { PLAIN, UPWARDS, DOWNWARDS, SET };

#define FORMS (SET + 1)

/* The operation, and what libc makes of dst. */
static inline struct vdm_operation_future
operation_of(struct vdm *vdm, enum form form)
{
	const size_t apart = form == PLAIN ? N : 12345;
	const size_t to = form == DOWNWARDS ? apart : 0;
	const size_t from = form == DOWNWARDS ? 0 : apart;

	memcpy(dst, before, sizeof(dst));
	memcpy(expected, before, sizeof(dst));
	if (form == SET) {
		memset(expected, 0x5a, N);
		return vdm_memset(vdm, dst, 0x5a, N, 0);
	}
	memmove(&expected[to], &expected[from], N);
	return vdm_memmove(vdm, &dst[to], &dst[from], N, 0);
}

static inline void
assert_done(struct vdm_operation_future *f)
{
	assert_int_equal(FUTURE_OUTPUT(f)->result, VDM_SUCCESS);
	assert_true(memcmp(dst, expected, sizeof(dst)) == 0);
}

#endif /* LIBMINIASYNC_TEST_KEPT_FORMS_H */
