/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * thresholds.h -- the parts of thresholds.c
 */

#ifndef THRESHOLDS_H
#define THRESHOLDS_H 1

#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* thresholds.c */

enum { MAX_SAMPLES = 320 };

extern int samples;
extern size_t largest_copy;

/* Two buffers of buffer_size bytes that are written, for copies. */
extern char *dst, *src;
extern size_t buffer_size;

_Noreturn void fail(const char *what);
double now_ns(void);
void sleep_us(long us);
void sem_wait_always(sem_t *sem);

/* Sorts v. */
double median(double *v, int n);

/* Binds this thread to the CPU of the caller (0) or of the other thread (1). */
void bind_thread(int which);
void start_thread(pthread_t *thread, void *(*run)(void *arg), void *arg);

/* The copy is used, for the compiler. */
void copy(char *to, const char *from, size_t size);

static inline void
cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* thresholds_helper.c */

/* The times of copies alone and with a helper, as tables. */
void report_helpers(void);

#endif /* THRESHOLDS_H */
