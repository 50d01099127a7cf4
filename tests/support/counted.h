/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * counted.h -- included before all else in a build of the library that counts
 * its writes to memory that threads share
 *
 * Each atomic store, exchange and addition calls counted_write() first. Locks
 * are counted by wrapping pthread_mutex_lock().
 */

#ifndef COUNTED_H
#define COUNTED_H 1

#include <stdatomic.h>

void counted_write(const volatile void *address);

#ifdef __clang__
#define COUNTED_WEAK(p, old, new, yes, no) \
	__c11_atomic_compare_exchange_weak(p, old, new, yes, no)
#define COUNTED_STRONG(p, old, new, yes, no) \
	__c11_atomic_compare_exchange_strong(p, old, new, yes, no)
#define COUNTED_STORE(p, v, order) __c11_atomic_store(p, v, order)
#define COUNTED_EXCHANGE(p, v, order) __c11_atomic_exchange(p, v, order)
#define COUNTED_FETCH(what, p, v, order) __c11_atomic_fetch_##what(p, v, order)
#else
#define COUNTED_WEAK(p, old, new, yes, no) \
	__atomic_compare_exchange_n(p, old, new, 1, yes, no)
#define COUNTED_STRONG(p, old, new, yes, no) \
	__atomic_compare_exchange_n(p, old, new, 0, yes, no)
#define COUNTED_STORE(p, v, order) __atomic_store_n(p, v, order)
#define COUNTED_EXCHANGE(p, v, order) __atomic_exchange_n(p, v, order)
#define COUNTED_FETCH(what, p, v, order) __atomic_fetch_##what(p, v, order)
#endif

#undef atomic_store_explicit
#define atomic_store_explicit(p, v, order) \
	(counted_write(p), COUNTED_STORE(p, v, order))
#undef atomic_exchange_explicit
#define atomic_exchange_explicit(p, v, order) \
	(counted_write(p), COUNTED_EXCHANGE(p, v, order))
#undef atomic_compare_exchange_weak_explicit
#define atomic_compare_exchange_weak_explicit(p, old, new, yes, no) \
	(counted_write(p), COUNTED_WEAK(p, old, new, yes, no))
#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(p, old, new, yes, no) \
	(counted_write(p), COUNTED_STRONG(p, old, new, yes, no))
#undef atomic_fetch_add_explicit
#define atomic_fetch_add_explicit(p, v, order) \
	(counted_write(p), COUNTED_FETCH(add, p, v, order))
#undef atomic_fetch_sub_explicit
#define atomic_fetch_sub_explicit(p, v, order) \
	(counted_write(p), COUNTED_FETCH(sub, p, v, order))
#undef atomic_fetch_or_explicit
#define atomic_fetch_or_explicit(p, v, order) \
	(counted_write(p), COUNTED_FETCH(or, p, v, order))
#undef atomic_fetch_and_explicit
#define atomic_fetch_and_explicit(p, v, order) \
	(counted_write(p), COUNTED_FETCH(and, p, v, order))

#endif /* COUNTED_H */
