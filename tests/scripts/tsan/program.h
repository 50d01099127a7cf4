/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * program.h -- the mover and the memory of a program for ThreadSanitizer, and
 * its parts
 */

#ifndef PROGRAM_H
#define PROGRAM_H 1

#include <assert.h>
#include <libminiasync.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE ((size_t)262144)

extern struct data_mover_threads *dmt;
extern struct vdm *vdm;
extern char *src, *dst;

static inline void
fill(int round)
{
	for (size_t i = 0; i < SIZE; i++) {
		src[i] = (char)(i + (size_t)round);
		dst[i] = 0;
	}
}

/* The program's own reads and writes, byte by byte. */
static inline void
check(int round)
{
	for (size_t i = 0; i < SIZE; i++) {
		assert(dst[i] == (char)(i + (size_t)round));
		dst[i] = 1;
	}
}

static inline void
await(atomic_int *flag)
{
	while (!atomic_load_explicit(flag, memory_order_relaxed))
		usleep(10);
}

static inline void
raise_flag(atomic_int *flag)
{
	atomic_store_explicit(flag, 1, memory_order_relaxed);
}

static inline struct vdm_operation_future
copy(void)
{
	return vdm_memcpy(vdm, dst, src, SIZE, 0);
}

/* In wakers.c. */
void plain_waker(int round);
void slow_waker(void);
void waker_called_again(void);
void replaced_waker(int round);

/* In threads.c. */
void function_of_another_thread(int round);
void many_threads(struct runtime *r);
#ifdef TEST_FAKE_DML
void recycled_slabs(void);
#endif

#endif /* PROGRAM_H */
