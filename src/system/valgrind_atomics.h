/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * valgrind_atomics.h -- describes C11 atomics to helgrind and drd
 *
 * Both tools support locks, condition variables and semaphores. They handle an
 * atomic operation like a plain load or store. Without help they report each
 * atomic operation as a race, and all data that it publishes too. A build with
 * -DMINIASYNC_VALGRIND=ON includes this header before every C file of the
 * library (the compiler's -include). The header tells the tools two things:
 *
 *   - Everything before a release happens before everything after an acquire of
 *     the same variable, by the orders in the code. So a tool reports the race
 *     of an order that is too weak.
 *   - The tools shall not check the variable itself.
 *
 * The tools do not detect three kinds of errors:
 *
 *   - an access to an atomic variable that is not atomic;
 *   - a release by a store that another thread's store has replaced, or by a
 *     compare-exchange that failed, because both count as releases;
 *   - a wrong order of seq_cst operations on different variables.
 *
 * TSan detects the first two, and the models in tests/model cover the third.
 */

#ifndef LIBMINIASYNC_VALGRIND_ATOMICS_H
#define LIBMINIASYNC_VALGRIND_ATOMICS_H 1

/*
 * This header is included before a file can define this for the system's
 * headers.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <valgrind/helgrind.h>

/* drd.h has other names for helgrind's requests, with the same numbers. */
#include <valgrind/drd.h>

/*
 * Returns the address that names an order of the variable for the tools. This
 * is not the address of the object. A mutex may have the object's address
 * later, and drd would confuse the two.
 */
static inline const volatile char *
valgrind_tag(const volatile void *object)
{
	return (const volatile char *)object + 1;
}

static inline void
valgrind_before(const volatile void *object, size_t size, memory_order order)
{
	VALGRIND_HG_DISABLE_CHECKING(object, size);
	ANNOTATE_BENIGN_RACE_SIZED(object, size, "");
	if (order == memory_order_release || order == memory_order_acq_rel ||
		order == memory_order_seq_cst)
		ANNOTATE_HAPPENS_BEFORE(valgrind_tag(object));
}

static inline void
valgrind_after(const volatile void *object, memory_order order)
{
	if (order == memory_order_acquire || order == memory_order_acq_rel ||
		order == memory_order_seq_cst)
		ANNOTATE_HAPPENS_AFTER(valgrind_tag(object));
}

/*
 * The compiler's operations on atomic variables. A strong compare-exchange is
 * also a valid weak one.
 */
#if defined(__clang__)
#define VALGRIND_DO(name) __c11_atomic_##name
#define VALGRIND_DO_N(name) __c11_atomic_##name
#define VALGRIND_DO_CAS(object, expected, desired, is_weak, order, failed) \
	__c11_atomic_compare_exchange_strong( \
		object, expected, desired, order, failed)
#else
#define VALGRIND_DO(name) __atomic_##name
#define VALGRIND_DO_N(name) __atomic_##name##_n
#define VALGRIND_DO_CAS __atomic_compare_exchange_n
#endif

/*
 * Evaluates to value, an operation on *vg_object. A load releases nothing, and
 * a store acquires nothing, with any order.
 */
#define VALGRIND_ATOMIC(object, before, value, after) \
	__extension__({ \
		__auto_type vg_object = (object); \
		valgrind_before(vg_object, sizeof(*vg_object), before); \
		__auto_type vg_value = (value); \
		valgrind_after(vg_object, after); \
		vg_value; \
	})

#define VALGRIND_COMPARE_EXCHANGE( \
	object, expected, desired, is_weak, order, failed_order) \
	__extension__({ \
		__auto_type vg_object = (object); \
		valgrind_before(vg_object, sizeof(*vg_object), order); \
		const bool vg_done = VALGRIND_DO_CAS(vg_object, expected, \
			desired, is_weak, order, failed_order); \
		valgrind_after(vg_object, vg_done ? order : failed_order); \
		vg_done; \
	})

#undef atomic_load_explicit
#define atomic_load_explicit(object, order) \
	VALGRIND_ATOMIC(object, memory_order_relaxed, \
		VALGRIND_DO_N(load)(vg_object, order), order)
#undef atomic_store_explicit
#define atomic_store_explicit(object, value, order) \
	VALGRIND_ATOMIC(object, order, \
		(VALGRIND_DO_N(store)(vg_object, value, order), 0), \
		memory_order_relaxed)
#undef atomic_exchange_explicit
#define atomic_exchange_explicit(object, value, order) \
	VALGRIND_ATOMIC(object, order, \
		VALGRIND_DO_N(exchange)(vg_object, value, order), order)
#undef atomic_fetch_add_explicit
#define atomic_fetch_add_explicit(object, value, order) \
	VALGRIND_ATOMIC(object, order, \
		VALGRIND_DO(fetch_add)(vg_object, value, order), order)
#undef atomic_fetch_sub_explicit
#define atomic_fetch_sub_explicit(object, value, order) \
	VALGRIND_ATOMIC(object, order, \
		VALGRIND_DO(fetch_sub)(vg_object, value, order), order)
#undef atomic_fetch_or_explicit
#define atomic_fetch_or_explicit(object, value, order) \
	VALGRIND_ATOMIC(object, order, \
		VALGRIND_DO(fetch_or)(vg_object, value, order), order)
#undef atomic_fetch_and_explicit
#define atomic_fetch_and_explicit(object, value, order) \
	VALGRIND_ATOMIC(object, order, \
		VALGRIND_DO(fetch_and)(vg_object, value, order), order)
#undef atomic_fetch_add
#define atomic_fetch_add(object, value) \
	atomic_fetch_add_explicit(object, value, memory_order_seq_cst)
#undef atomic_fetch_sub
#define atomic_fetch_sub(object, value) \
	atomic_fetch_sub_explicit(object, value, memory_order_seq_cst)
#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit( \
	object, expected, desired, order, failed_order) \
	VALGRIND_COMPARE_EXCHANGE( \
		object, expected, desired, false, order, failed_order)
#undef atomic_compare_exchange_weak_explicit
#define atomic_compare_exchange_weak_explicit( \
	object, expected, desired, order, failed_order) \
	VALGRIND_COMPARE_EXCHANGE( \
		object, expected, desired, true, order, failed_order)

#endif /* LIBMINIASYNC_VALGRIND_ATOMICS_H */
