/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue_fd.h -- a completion queue with its descriptor
 *
 * The linker puts __wrap_mia_event_fd_set() and __wrap_mia_event_fd_arm()
 * before the functions.
 */

#ifndef LIBMINIASYNC_TEST_QUEUE_FD_H
#define LIBMINIASYNC_TEST_QUEUE_FD_H 1

#include "queue.h"

#include <sched.h>

#include "system/event_fd.h"

static atomic_uint sets;

/* Their threads have lost their CPU before the call. */
static bool are_held;
static unsigned nheld;
static struct mia_event_fd *held_fd;

void __real_mia_event_fd_set(struct mia_event_fd *fd);
void __wrap_mia_event_fd_set(struct mia_event_fd *fd);

void
__wrap_mia_event_fd_set(struct mia_event_fd *fd)
{
	if (are_held) {
		nheld++;
		held_fd = fd;
		return;
	}
	atomic_fetch_add(&sets, 1);
	__real_mia_event_fd_set(fd);
}

static unsigned arms;

void __real_mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns);
void __wrap_mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns);

void
__wrap_mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns)
{
	arms++;
	__real_mia_event_fd_arm(fd, ns);
}

#if defined(__linux__)

#include <poll.h>

static int fd;

static inline int
set_up_fd(void **state)
{
	if (set_up(state) != 0)
		return -1;

	fd = completion_queue_fd(cq);
	atomic_store(&sets, 0);
	return fd < 0;
}

/* Whether it is readable now, or within a time. */
static inline bool
is_readable_within(int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	const int n = poll(&p, 1, ms);

	assert_true(n >= 0);
	return n == 1;
}

static inline bool
is_readable(void)
{
	return is_readable_within(0);
}

static inline void *
wake_in_vain(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		event_wake(&events[0]);
		sched_yield();
	}
	return NULL;
}

#define QUEUE_FD_TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up_fd, tear_down)

#endif

#endif /* LIBMINIASYNC_TEST_QUEUE_FD_H */
