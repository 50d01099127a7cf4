/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * refuse_system.c -- see refuse.h: locks, conditions, thread-specific values
 * and CPUs; counts frees
 */

#include "refuse.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

void __real_free(void *memory);
void __wrap_free(void *memory);

void
__wrap_free(void *memory)
{
	if (memory != NULL)
		atomic_fetch_sub(&refuse_live, 1);
	__real_free(memory);
}

int __real_pthread_mutex_init(
	pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(
	pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);

int
__wrap_pthread_mutex_init(
	pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	return refuse_fails(MUTEX_INIT)
		? refusal_error(MUTEX_INIT)
		: __real_pthread_mutex_init(mutex, attr);
}

int __real_sem_init(sem_t *sem, int shared, unsigned value);
int __wrap_sem_init(sem_t *sem, int shared, unsigned value);

int
__wrap_sem_init(sem_t *sem, int shared, unsigned value)
{
	return refuse_fails(SEM_INIT) ? -1
				      : __real_sem_init(sem, shared, value);
}

int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);

int
__wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
	return refuse_fails(SET_SPECIFIC)
		? refusal_error(SET_SPECIFIC)
		: __real_pthread_setspecific(key, value);
}

atomic_size_t refuse_cpu_masks_below;

int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int
__wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	if (size < atomic_load(&refuse_cpu_masks_below)) {
		errno = EINVAL;
		return -1;
	}
	return refuse_fails(GET_AFFINITY)
		? -1
		: __real_sched_getaffinity(pid, size, set);
}

int __real_pthread_condattr_init(pthread_condattr_t *attr);
int __wrap_pthread_condattr_init(pthread_condattr_t *attr);

int
__wrap_pthread_condattr_init(pthread_condattr_t *attr)
{
	return refuse_fails(CONDATTR_INIT) ? refusal_error(CONDATTR_INIT)
					   : __real_pthread_condattr_init(attr);
}

int __real_pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock);
int __wrap_pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock);

int
__wrap_pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock)
{
	return refuse_fails(CONDATTR_SETCLOCK)
		? refusal_error(CONDATTR_SETCLOCK)
		: __real_pthread_condattr_setclock(attr, clock);
}

int __real_pthread_cond_init(
	pthread_cond_t *cond, const pthread_condattr_t *attr);
int __wrap_pthread_cond_init(
	pthread_cond_t *cond, const pthread_condattr_t *attr);

int
__wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
	return refuse_fails(COND_INIT) ? refusal_error(COND_INIT)
				       : __real_pthread_cond_init(cond, attr);
}
