/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * without_key.c -- with MIA_TEST_NO_KEY in the environment the process gets no
 * key for thread-specific memory
 *
 * The program wraps pthread_key_create().
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Called before main(), and at no other time. */
int __real_pthread_key_create(pthread_key_t *key, void (*end)(void *));
int __wrap_pthread_key_create(pthread_key_t *key, void (*end)(void *));

int
__wrap_pthread_key_create(pthread_key_t *key, void (*end)(void *))
{
	return getenv("MIA_TEST_NO_KEY") != NULL
		? EAGAIN
		: __real_pthread_key_create(key, end);
}
