/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * scenario.h -- operations of every kind on a mover, and waits of every kind,
 * while the system refuses calls
 *
 * An operation succeeds, or runs out of memory and changes nothing. No wait
 * lasts for ever.
 */

#ifndef LIBMINIASYNC_TEST_SCENARIO_H
#define LIBMINIASYNC_TEST_SCENARIO_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "system.h"
#include "test.h"

/* Not cmocka's assertions, because the scenario starts threads. */
#define EXPECT(condition) \
	scenario_expect(condition, #condition, __FILE__, __LINE__)

void scenario_expect(bool holds, const char *what, const char *file, int line);

extern atomic_long scenario_wrong;   /* expectations */
extern atomic_long scenario_done;    /* operations */
extern atomic_long scenario_refused; /* operations that had no memory */

/* The state of scenario_random(). main() sets it. */
extern _Atomic uint64_t scenario_seed;

uint64_t scenario_random(void);

/* Starts the scenario's own threads, which are never refused. */
extern int (*scenario_pthread_create)(pthread_t *thread,
	const pthread_attr_t *attr, void *(*run)(void *), void *arg);

/* Sets the memory of all operations to its state before them. */
void scenario_fill(void);

/* Creates operation number i, and checks it when it is complete. */
struct vdm_operation_future scenario_make(struct vdm *vdm, int i);
void scenario_check(const struct vdm_operation_future *f, int i);

/* Uses a mover in every way. Without a runtime it polls. */
void scenario_use(struct vdm *vdm, struct runtime *runtime);

/*
 * Waits for every kind of mover, for a future that never wakes, and for a slow
 * waker. With a clock that falls, each poll may ask a slow waker for one more
 * call.
 */
enum scenario_slow_waker { NO_SLOW_WAKER, SLOW_WAKER };

void scenario_waits(enum scenario_slow_waker slow);

/* Ends the process by SIGALRM after these seconds. 0 cancels that. */
static inline void
deadline(unsigned seconds)
{
	test_deadline(seconds * (TEST_SLOWDOWN > 1 ? 4 : 1));
}

#endif /* LIBMINIASYNC_TEST_SCENARIO_H */
