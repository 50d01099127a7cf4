/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * future.h -- futures, how to poll them, and chains of futures
 *
 * A future is an operation that advances when it is polled. It is one object in
 * the caller's memory:
 *
 *	+-------------+--------------+------------------+
 *	| struct      | data         | output           |
 *	| future      | (the input)  | (valid once      |
 *	|             |              |  complete)       |
 *	+-------------+--------------+------------------+
 *
 * The states are IDLE (not started), RUNNING (started) and COMPLETE. A poll may
 * change IDLE to RUNNING, RUNNING to COMPLETE, or IDLE to COMPLETE. A future
 * that cannot start yet stays IDLE: poll it again from time to time. Nothing
 * happens between polls, unless the task has submitted its work to a thread or
 * a device. In that case, later polls only check the progress.
 *
 * You can poll a future in these ways:
 *  - in a loop: FUTURE_BUSY_POLL()
 *  - by a runtime, which sleeps between polls: runtime.h
 *  - by a completion queue, which holds many futures: completion_queue.h
 *  - as an entry of a chain: see "Chains" below
 *  - in an event loop of the program
 * A poll may pass a notifier. The task uses the notifier to tell the caller
 * when to poll again.
 *
 * Owner:   the caller. Keep the objects that the data points to until the
 *          future is complete.
 * Abandon: if you stop polling a RUNNING future, threads or devices continue
 *          its work. Its waker may still be called. See vdm.h.
 * Threads: only one thread at a time may use a future. Different threads may
 *          use the future in turn.
 * Moving:  you may move a future in memory between polls. You may not while a
 *          wait or a completion queue has the future.
 * errno:   a poll leaves errno unchanged if the task does. All tasks of this
 *          library do.
 *
 * The functions and macros below have no errors. None of them blocks, except
 * polls and FUTURE_WAKER_WAKE(). Their pointers must not be NULL, unless the
 * comment allows NULL. Each macro evaluates an argument at most once.
 */

#ifndef LIBMINIASYNC_FUTURE_H
#define LIBMINIASYNC_FUTURE_H 1

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Private to these headers: casts and alignment, for C and for C++. */
#ifdef __cplusplus
#define FUTURE_CAST_(type, pointer) static_cast<type>(pointer)
#define FUTURE_ALIGNOF_(type) alignof(type)
#else
#define FUTURE_CAST_(type, pointer) ((type)(pointer))
#define FUTURE_ALIGNOF_(type) __alignof__(type)
#endif

/*
 * Private: for functions that call a task, a waker or a mover by its pointer.
 * The called function may belong to a library that was compiled without clang's
 * control flow integrity. Without this attribute, such a call would end a
 * program that was compiled with -fsanitize=cfi or kcfi.
 */
#if defined(__clang__)
#if __has_feature(kcfi)
#define FUTURE_CALLS_LIBRARY_ __attribute__((no_sanitize("cfi-icall", "kcfi")))
#else
#define FUTURE_CALLS_LIBRARY_ __attribute__((no_sanitize("cfi-icall")))
#endif
#else
#define FUTURE_CALLS_LIBRARY_
#endif

enum future_state {
	FUTURE_STATE_IDLE = 0,     /* not started: poll again */
	FUTURE_STATE_COMPLETE = 1, /* the output is valid, polls do nothing */
	FUTURE_STATE_RUNNING = 2,  /* started: poll again */
};

/* The argument of a task: where its data and output are, and its state. */
struct future_context {
	size_t data_size; /* bytes from the end of this struct to the output */
	size_t output_size; /* bytes of output */
	enum future_state state;
	uint32_t padding; /* private: flags FUTURE_CONTEXT_*_ */
};

/*
 * A waker is a callback. The task calls wake(data) when the caller should poll
 * the future again. Any thread may make the call, any number of times, also
 * before the poll returns. No call comes after a poll has returned COMPLETE.
 * wake must not block for long. wake must return: pthread_exit(), longjmp() or
 * a C++ exception must not leave it.
 */
typedef void (*future_waker_wake_fn)(void *data);

struct future_waker {
	void *data;
	future_waker_wake_fn wake;
};

/*
 * A poller is the address of a word. The word changes when the caller should
 * poll the future again. The change may come before the poll returns. So read
 * the word (atomically, with acquire) and poll once more. Then wait until the
 * word differs from the value that you have read.
 *
 * Owner: the task. The caller may read the word until the future is complete.
 *        The word of a chain is valid only until the chain goes on to its next
 *        entry. A task must not free the word while a thread may wait for its
 *        future, or for a chain that contains its future.
 */
struct future_poller {
	uint64_t *ptr_to_monitor;
};

enum future_notifier_type {
	FUTURE_NOTIFIER_NONE = 0,   /* no notification: poll again */
	FUTURE_NOTIFIER_WAKER = 1,  /* task will call waker.wake(waker.data) */
	FUTURE_NOTIFIER_POLLER = 2, /* *poller.ptr_to_monitor will change */
};

/*
 * The caller sets waker, and sets notifier_used to FUTURE_NOTIFIER_NONE. Then
 * the caller passes the notifier to a poll. The task sets notifier_used to the
 * kind of its notification. For FUTURE_NOTIFIER_POLLER the task also sets
 * poller. Some tasks leave notifier_used unchanged.
 *
 * Owner: the caller. The task uses the notifier only during the poll, so the
 *        task must copy waker if it will call the waker later.
 */
struct future_notifier {
	struct future_waker waker;
	struct future_poller poller;
	enum future_notifier_type notifier_used;
	uint32_t padding; /* private: FUTURE_NOTIFIER_*_ */
};

/*
 * Private: values by which a runtime or a queue, and a mover of this library,
 * decide which thread does the work of an operation.
 *
 * INLINE in the padding, before a poll: the owner of the notifier is a runtime
 * or a queue, which polls again soon after a poll that did small work. With
 * every other notifier an asynchronous mover calls the waker, also after small
 * work.
 *
 * Then poller.ptr_to_monitor may have one of two values. Both are no addresses:
 * offer       the mover may keep work for later polls of this owner
 * offer + 1   this poll may also do some work, for a bounded time. The mover
 *             that does the work sets offer, so only one mover does work.
 * A task may pass on a copy of its notifier, or change the waker for a poll of
 * its own. Then the owner would not get the answer, or would not know when to
 * poll. So both values are computed from the notifier's address and from its
 * waker, and do not match in these cases.
 *
 * WORK in the padding, after a poll: the mover has kept work, and the next
 * polls of this owner should do it. A poll without an offer gives the work to a
 * worker.
 */
#define FUTURE_NOTIFIER_INLINE_ UINT32_C(0x6d696e6c)
#define FUTURE_NOTIFIER_WORK_ UINT32_C(0x6d696e77)

/*
 * Private: flags in context.padding, which the future sets for its owner. A
 * chain cannot set them in the notifier, because the program may pass a
 * notifier that only its own tasks understand.
 *
 * REFUSED  the current entry of this chain could not start, although the chain
 *          is RUNNING. Its owner may poll less often.
 * SILENT   the mover set FUTURE_NOTIFIER_NONE for a waker.
 * MOVED    a chain adds this each time it goes on to its next entry. The
 *          notifier_used of earlier entries is no longer valid.
 */
#define FUTURE_CONTEXT_REFUSED_ UINT32_C(1)
#define FUTURE_CONTEXT_SILENT_ UINT32_C(2)
#define FUTURE_CONTEXT_MOVED_ UINT32_C(4)

enum future_property {
	/*
	 * A thread or a device may advance the future between polls. A poll may
	 * do the work, too.
	 */
	FUTURE_PROPERTY_ASYNC = 0,
	/*
	 * Of a mover, not of a future: later polls may replace the waker, see
	 * vdm_operation_impl(). The mover has the property only if its
	 * has_property returns exactly FUTURE_PROPERTY_RENOTIFY.
	 */
	FUTURE_PROPERTY_RENOTIFY = 0x5245,
	/*
	 * Of a mover, not of a future: it supports VDM_OPERATION_MEMCPYV. The
	 * mover has the property only if its has_property returns exactly
	 * FUTURE_PROPERTY_MEMCPYV.
	 */
	FUTURE_PROPERTY_MEMCPYV = 0x5356,
};

/*
 * A task does the work that can be done now, and returns the new state.
 *
 * context   of the task's future
 * notifier  may be NULL. Otherwise set notifier_used, unless the task returns
 *           COMPLETE. The task may pass the notifier to one future that it
 *           polls itself.
 * Returns   IDLE, RUNNING, or COMPLETE after the task has set the output
 * Errors    in the output. Leave errno unchanged.
 * Blocks    a task should not. A task that does the work itself takes as long
 *           as the work.
 */
typedef enum future_state (*future_task_fn)(
	struct future_context *context, struct future_notifier *notifier);

/*
 * Returns non-zero if the future, a struct future, has the property now.
 * Changes nothing, and never blocks.
 */
typedef int (*future_has_property_fn)(
	void *future, enum future_property property);

struct future {
	future_task_fn task;
	future_has_property_fn has_property; /* NULL: no properties */
	struct future_context context;
};

/*
 * Returns the data of a future, for tasks, map and init functions. The pointer
 * is valid until the future is moved.
 */
static inline void *
future_context_get_data(struct future_context *context)
{
	return FUTURE_CAST_(char *, FUTURE_CAST_(void *, context)) +
		sizeof(struct future_context);
}

/*
 * Returns the output of a future, for tasks and map functions. The pointer is
 * valid until the future is moved.
 */
static inline void *
future_context_get_output(struct future_context *context)
{
	return FUTURE_CAST_(char *, future_context_get_data(context)) +
		context->data_size;
}

/* Returns the bytes of data, output, and any padding between the two. */
static inline size_t
future_context_get_size(struct future_context *context)
{
	return context->data_size + context->output_size;
}

/* Private, the next three functions: see FUTURE_NOTIFIER_INLINE_. */
static inline int
future_notifier_is_inline_impl(const struct future_notifier *n)
{
	return n->padding == FUTURE_NOTIFIER_INLINE_ ||
		n->padding == FUTURE_NOTIFIER_WORK_;
}

static inline uint64_t *
future_notifier_offer_impl(const struct future_notifier *n)
{
	union {
		const void *pointer;
		void *data;
		future_waker_wake_fn wake;
		uint64_t *offer;
		uintptr_t number;
	} self, data, wake;

	self.pointer = n;
	data.data = n->waker.data;
	wake.wake = n->waker.wake;
	self.number += data.number + wake.number;
	return self.offer;
}

static inline uint64_t *
future_notifier_work_impl(const struct future_notifier *n)
{
	union {
		uint64_t *offer;
		uintptr_t number;
	} u;

	u.offer = future_notifier_offer_impl(n);
	u.number++;
	return u.offer;
}

/* The has_property of a future without properties. Always returns 0. */
static inline int
future_has_property_default(void *future, enum future_property property)
{
	(void)future;
	(void)property;
	return 0;
}

/*
 * Returns 1 if the future, a struct future, has the property now. Otherwise, or
 * if its has_property is NULL, returns 0.
 */
FUTURE_CALLS_LIBRARY_ static inline int
future_has_property(void *future, enum future_property property)
{
	struct future *fut = FUTURE_CAST_(struct future *, future);

	return fut->has_property != NULL &&
		fut->has_property(future, property) != 0;
}

/*
 * future_poll -- advances a future
 *
 * notifier  may be NULL. Must be NULL while a completion queue has the future.
 *           For a chain, pass a fresh notifier to each poll, with notifier_used
 *           set to FUTURE_NOTIFIER_NONE. Otherwise notifier_used may still have
 *           the value of an entry that is complete.
 * Returns   the new state, which is also stored in the future. A poll of a
 *           complete future does nothing.
 * Owner     the caller keeps the data of the waker until a poll has returned
 *           COMPLETE. If you abandon the future, keep the data until the mover
 *           is deleted.
 * Threads   one at a time for one future
 * Blocks    as long as the task does: see future_task_fn
 *
 * A later poll may pass another waker. If the mover supports
 * FUTURE_PROPERTY_RENOTIFY, the new waker replaces the old one. If the old
 * waker is running at that moment, movers of this library wait for at most 200
 * ms until it returns. After the poll you may free the data of the old waker,
 * if each call of that waker takes less time. Other movers keep the first
 * waker. A poll with NULL, or with a waker.wake of NULL, replaces no waker.
 */
FUTURE_CALLS_LIBRARY_ static inline enum future_state
future_poll(struct future *fut, struct future_notifier *notifier)
{
	if (fut->context.state != FUTURE_STATE_COMPLETE)
		fut->context.state = fut->task(&fut->context, notifier);

	return fut->context.state;
}

/*
 * FUTURE(name, data_type, output_type) declares struct name, a future with data
 * and output of these types.
 *
 * data_type must not need more alignment than a pointer or a uint64_t, because
 * the data must follow struct future without padding. FUTURE_INIT() and its
 * variants do not compile otherwise. output_type may need any alignment. The
 * future of a chain's entry must not need more alignment than a pointer or a
 * uint64_t.
 */
#define FUTURE(_name, _data_type, _output_type) \
	struct _name { \
		struct future base; \
		_data_type data; \
		_output_type output; \
	}

/*
 * For a pointer to such a future: pointers to its struct future, its output and
 * its data, and its state after the last poll.
 */
#define FUTURE_AS_RUNNABLE(_futurep) (&(_futurep)->base)
#define FUTURE_OUTPUT(_futurep) (&(_futurep)->output)
#define FUTURE_DATA(_futurep) (&(_futurep)->data)
#define FUTURE_STATE(_futurep) ((_futurep)->base.context.state)

/* Implements FUTURE_INIT() and its variants. */
static inline void
future_init_impl(struct future *fut, future_task_fn task,
	future_has_property_fn has_property, size_t data_size,
	size_t output_size, enum future_state state)
{
	fut->task = task;
	fut->has_property = has_property;
	fut->context.data_size = data_size;
	fut->context.output_size = output_size;
	fut->context.state = state;
	fut->context.padding = 0;
}

/*
 * Private: the bytes from the end of the context to the output, which include
 * padding between data and output. The array has the size of struct future. If
 * there is padding before the data, the array's length is negative: an error.
 * typeof keeps the argument unevaluated.
 */
#define FUTURE_DATA_SIZE_(_futurep) \
	(offsetof(__typeof__(*(_futurep)), output) - \
		sizeof(char[offsetof(__typeof__(*(_futurep)), data) == \
					sizeof(struct future) \
				? FUTURE_CAST_(int, sizeof(struct future)) \
				: -1]))

/*
 * FUTURE_INIT(futurep, task) makes a future IDLE and ready to poll, without
 * properties. FUTURE_INIT_EXT(futurep, task, has_property) also sets
 * has_property, which may be NULL. The caller sets the data and the output,
 * before or after. To use a complete future again, initialise it again.
 */
#define FUTURE_INIT_EXT(_futurep, _taskfn, _propertyfn) \
	future_init_impl(&(_futurep)->base, (_taskfn), (_propertyfn), \
		FUTURE_DATA_SIZE_(_futurep), sizeof((_futurep)->output), \
		FUTURE_STATE_IDLE)

#define FUTURE_INIT(_futurep, _taskfn) \
	FUTURE_INIT_EXT(_futurep, _taskfn, future_has_property_default)

/* Makes a future COMPLETE from the start, for a result that exists already. */
#define FUTURE_INIT_COMPLETE(_futurep) \
	future_init_impl(&(_futurep)->base, NULL, future_has_property_default, \
		FUTURE_DATA_SIZE_(_futurep), sizeof((_futurep)->output), \
		FUTURE_STATE_COMPLETE)

FUTURE_CALLS_LIBRARY_ static inline void
future_waker_wake_impl(const struct future_waker *waker)
{
	waker->wake(waker->data);
}

/*
 * FUTURE_WAKER_WAKE(wakerp) calls a waker. For tasks, movers and their threads.
 *
 * Call it after the next poll can see the progress. Do not call it after a poll
 * has returned COMPLETE, because the waker's owner may have freed the waker.
 *
 * wakerp   wakerp->wake must not be NULL
 * Threads  any, any number of times
 * Blocks   as long as the waker does
 */
#define FUTURE_WAKER_WAKE(_wakerp) future_waker_wake_impl(_wakerp)

/* Private: pauses the CPU for a moment. Other CPUs have no pause. */
static inline void
future_cpu_pause_impl(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#endif
}

/*
 * Private: after each of its first 64 polls FUTURE_BUSY_POLL() pauses the CPU.
 * This takes about 3 microseconds in all, which is longer than submitting a
 * small operation. After each further poll the thread yields its CPU, which the
 * thread that does the work may need. After each 1,024th poll it sleeps
 * instead, because a thread with a real-time policy yields to no thread of a
 * lower priority.
 */
#define FUTURE_BUSY_POLL_SPINS_ 64
#define FUTURE_BUSY_POLL_NAP_ 1024

/*
 * Private: sleeps for 50 microseconds. Leaves errno unchanged, and is not a
 * cancellation point. The symbol is weak, so that a program can use this header
 * without the library. Such a program does not sleep. Windows has no such sleep
 * either.
 */
#if defined(__ELF__)
__attribute__((weak)) void future_nap_impl(void);
#endif

static inline void
future_yield_impl(unsigned polls)
{
#if defined(__ELF__)
	if (polls % FUTURE_BUSY_POLL_NAP_ == 0 && future_nap_impl != NULL) {
		future_nap_impl();
		return;
	}
#endif
	(void)polls;
	sched_yield();
}

static inline void
future_busy_poll_impl(struct future *fut)
{
	unsigned polls = 1;

	for (; future_poll(fut, NULL) != FUTURE_STATE_COMPLETE; polls++) {
		if (polls <= FUTURE_BUSY_POLL_SPINS_)
			future_cpu_pause_impl();
		else
			future_yield_impl(polls);
	}
}

/*
 * FUTURE_BUSY_POLL(futurep) polls a future with a NULL notifier until it is
 * complete.
 *
 * Threads  no other thread may use the future during this time
 * Blocks   until the future is complete, and keeps a CPU busy. Not a
 *          cancellation point, if the task is not.
 */
#define FUTURE_BUSY_POLL(_futurep) future_busy_poll_impl(&(_futurep)->base)

/*
 * Chains
 *
 * A chain is a future whose data begins with its entries. Each entry holds a
 * future. The chain runs these futures one after the other. When an entry is
 * complete, its map function may copy results to the data of the next entry:
 *
 *	struct my_data {
 *		FUTURE_CHAIN_ENTRY(struct vdm_operation_future, copy);
 *		FUTURE_CHAIN_ENTRY_LAST(struct my_future, check);
 *		int more;          // members after LAST are no entries
 *	};
 *	FUTURE(my_chain, struct my_data, struct my_output);
 *
 * Without a LAST entry, the chain ends where its data ends. The bytes behind
 * the last entry must then be fewer than an entry with an empty future takes.
 *
 * A poll of a chain polls the current entry, the first that is not processed.
 * The same poll goes on from entry to entry, until an entry is not complete.
 * Then the chain is RUNNING, also if this entry is IDLE. The chain is COMPLETE
 * after its last entry.
 *
 * A chain also goes on after an entry that has failed: check each result. The
 * chain passes the notifier of a poll on to its entries without reading it.
 * Chains nest. To run a chain again, initialise its entries and itself again.
 */

/*
 * Copies results from lhs to rhs. The polling thread calls it once for each
 * entry. It must not block.
 *
 * lhs  of the entry that is complete
 * rhs  of the next entry. After the last entry: of the chain, for its output.
 * arg  map_arg of the entry
 */
typedef void (*future_map_fn)(
	struct future_context *lhs, struct future_context *rhs, void *arg);

/*
 * Initialises the future of an entry. The polling thread calls it once, before
 * the future is polled and before a map function sets its data. It must not
 * block.
 *
 * future         the entry's struct future
 * chain_context  of the chain
 * arg            init_arg of the entry
 */
typedef void (*future_init_fn)(
	void *future, struct future_context *chain_context, void *arg);

/* Private: the kind of a declared entry is the size of its array entry_kind. */
enum future_chain_entry_type {
	FUTURE_CHAIN_ENTRY_REGULAR = 1,
	FUTURE_CHAIN_ENTRY_LAST = 2,
};

/* The flags of an entry. PROCESSED: complete, and its map was called. */
#define FUTURE_CHAIN_FLAG_ENTRY_LAST UINT64_C(1)
#define FUTURE_CHAIN_FLAG_ENTRY_PROCESSED UINT64_C(2)
#define FUTURE_CHAIN_VALID_FLAGS \
	(FUTURE_CHAIN_FLAG_ENTRY_LAST | FUTURE_CHAIN_FLAG_ENTRY_PROCESSED)

/*
 * Any entry, in the form that the chain accesses. Programs use the macros
 * below. A declared entry has another type, so this type has may_alias.
 */
struct future_chain_entry {
	future_map_fn map;
	void *map_arg;
	future_init_fn init; /* NULL when the future is initialised */
	void *init_arg;
	uint64_t flags;
	struct future future;
} __attribute__((may_alias));

/*
 * Private: the unnamed bit-field takes no space. If the compiler would have to
 * put padding before fut, the bit-field's width is negative: an error. A chain
 * does not find a future behind such padding.
 */
#define FUTURE_CHAIN_ENTRY_IMPL_(_future_type, _name, _kind) \
	struct { \
		future_map_fn map; \
		void *map_arg; \
		future_init_fn init; \
		void *init_arg; \
		__extension__ union { \
			uint64_t flags; \
			char entry_kind[_kind]; \
		}; \
		unsigned \
		    : -(FUTURE_ALIGNOF_(_future_type) > \
			      FUTURE_ALIGNOF_(struct future_chain_entry)); \
		_future_type fut; \
	} _name

/*
 * FUTURE_CHAIN_ENTRY(future_type, name) declares an entry in the struct of a
 * chain's data. The member fut of the entry is the future.
 * FUTURE_CHAIN_ENTRY_LAST() declares the last entry. Members behind the last
 * entry are not entries.
 */
#define FUTURE_CHAIN_ENTRY(_future_type, _name) \
	FUTURE_CHAIN_ENTRY_IMPL_( \
		_future_type, _name, FUTURE_CHAIN_ENTRY_REGULAR)

#define FUTURE_CHAIN_ENTRY_LAST(_future_type, _name) \
	FUTURE_CHAIN_ENTRY_IMPL_(_future_type, _name, (FUTURE_CHAIN_ENTRY_LAST))

/* Private: sets the members of an entry that precede its future. */
static inline void
future_chain_entry_init_impl(void *entry, future_init_fn init, void *init_arg,
	future_map_fn map, void *map_arg, size_t kind)
{
	struct future_chain_entry *e =
		FUTURE_CAST_(struct future_chain_entry *, entry);

	e->map = map;
	e->map_arg = map_arg;
	e->init = init;
	e->init_arg = init_arg;
	e->flags = kind == FUTURE_CHAIN_ENTRY_LAST
		? FUTURE_CHAIN_FLAG_ENTRY_LAST
		: 0;
}

/*
 * FUTURE_CHAIN_ENTRY_INIT(entryp, future, map, map_arg) copies an initialised
 * future into the entry. map may be NULL.
 */
#define FUTURE_CHAIN_ENTRY_INIT(_entryp, _fut, _map, _map_arg) \
	do { \
		__typeof__(_entryp) future_chain_entryp_ = (_entryp); \
		future_chain_entryp_->fut = (_fut); \
		future_chain_entry_init_impl(future_chain_entryp_, NULL, NULL, \
			(_map), (_map_arg), \
			sizeof(future_chain_entryp_->entry_kind)); \
	} while (0)

/*
 * FUTURE_CHAIN_ENTRY_LAZY_INIT(entryp, init, init_arg, map, map_arg) sets the
 * function that initialises the entry's future later. See future_init_fn. map
 * may be NULL.
 */
#define FUTURE_CHAIN_ENTRY_LAZY_INIT( \
	_entryp, _init, _init_arg, _map, _map_arg) \
	future_chain_entry_init_impl((_entryp), (_init), (_init_arg), (_map), \
		(_map_arg), sizeof((_entryp)->entry_kind))

/*
 * Tests of an entry that one of the two macros above has set. Non-zero if true,
 * otherwise 0. HAS_FLAG tests whether at least one of the flags is set.
 * IS_INITIALIZED tests whether the entry's future is initialised.
 */
#define FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, _flag) \
	(((_entryp)->flags & (_flag)) != 0)
#define FUTURE_CHAIN_ENTRY_IS_LAST(_entryp) \
	FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, FUTURE_CHAIN_FLAG_ENTRY_LAST)
#define FUTURE_CHAIN_ENTRY_IS_PROCESSED(_entryp) \
	FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, FUTURE_CHAIN_FLAG_ENTRY_PROCESSED)
#define FUTURE_CHAIN_ENTRY_IS_INITIALIZED(_entryp) ((_entryp)->init == NULL)

/*
 * Private: returns the entry after this one, or the first entry for NULL.
 * Returns NULL if no entry is left. The future of entry must be initialised,
 * because its size is not known before. If fewer bytes remain than an entry
 * with an empty future needs, these bytes are padding.
 */
static inline struct future_chain_entry *
future_chain_next_impl(
	struct future_context *chain, struct future_chain_entry *entry)
{
	const size_t align = FUTURE_ALIGNOF_(struct future_chain_entry);
	char *begin = FUTURE_CAST_(char *, future_context_get_data(chain));
	char *next = begin;

	if (entry != NULL) {
		if (FUTURE_CHAIN_ENTRY_IS_LAST(entry))
			return NULL;

		const size_t size = sizeof(*entry) +
			future_context_get_size(&entry->future.context);

		next = FUTURE_CAST_(char *, FUTURE_CAST_(void *, entry)) +
			(size + align - 1) / align * align;
	}

	if (FUTURE_CAST_(size_t, next - begin) + sizeof(*entry) >
		chain->data_size)
		return NULL;

	return FUTURE_CAST_(
		struct future_chain_entry *, FUTURE_CAST_(void *, next));
}

/*
 * Private: the place of the entry at which a poll ended. The next poll begins
 * there, and does not walk from the first entry. The place is in the upper bits
 * of the first entry's flags. The place counts bytes from the first entry,
 * because a chain may be moved in memory. 0 is the first entry itself.
 */
#define FUTURE_CHAIN_PLACE_ (UINT64_C(1) << 8)

static inline void
future_chain_remember_impl(
	struct future_context *chain, struct future_chain_entry *entry)
{
	struct future_chain_entry *first = FUTURE_CAST_(
		struct future_chain_entry *, future_context_get_data(chain));
	const uint64_t place = FUTURE_CAST_(uint64_t,
		FUTURE_CAST_(char *, FUTURE_CAST_(void *, entry)) -
			FUTURE_CAST_(char *, FUTURE_CAST_(void *, first)));

	first->flags = first->flags % FUTURE_CHAIN_PLACE_ +
		place * FUTURE_CHAIN_PLACE_;
}

/* Private: returns the first entry that is not processed, or NULL. */
static inline struct future_chain_entry *
future_chain_current_impl(struct future_context *chain)
{
	struct future_chain_entry *entry = future_chain_next_impl(chain, NULL);

	if (entry != NULL && entry->flags >= FUTURE_CHAIN_PLACE_)
		entry = FUTURE_CAST_(struct future_chain_entry *,
			FUTURE_CAST_(void *,
				FUTURE_CAST_(
					char *, FUTURE_CAST_(void *, entry)) +
					entry->flags / FUTURE_CHAIN_PLACE_));

	while (entry != NULL && FUTURE_CHAIN_ENTRY_IS_PROCESSED(entry))
		entry = future_chain_next_impl(chain, entry);

	return entry;
}

static inline void
future_chain_entry_prepare_impl(
	struct future_chain_entry *entry, struct future_context *chain)
{
	if (entry->init != NULL) {
		entry->init(&entry->future, chain, entry->init_arg);
		entry->init = NULL;
	}
}

/*
 * Private: whether a chain went on to another entry. Arguments: its
 * context.padding before and after a poll.
 */
static inline int
future_chain_has_moved_impl(uint32_t before, uint32_t after)
{
	return before / FUTURE_CONTEXT_MOVED_ != after / FUTURE_CONTEXT_MOVED_;
}

/*
 * async_chain_impl -- the task of every chain. Programs do not call it.
 *
 * Returns RUNNING until the chain is complete, also if the current entry is
 * IDLE. Passes the notifier on, and neither reads nor writes it.
 */
static inline enum future_state
async_chain_impl(struct future_context *chain, struct future_notifier *notifier)
{
	struct future_chain_entry *entry = future_chain_current_impl(chain);
	const struct future_chain_entry *found = entry;

	chain->padding &= ~FUTURE_CONTEXT_REFUSED_;
	while (entry != NULL) {
		future_chain_entry_prepare_impl(entry, chain);

		const struct future_context *context = &entry->future.context;
		const uint32_t before = context->padding;
		const enum future_state state =
			future_poll(&entry->future, notifier);

		if (state != FUTURE_STATE_COMPLETE) {
			if (future_chain_has_moved_impl(
				    before, context->padding))
				chain->padding += FUTURE_CONTEXT_MOVED_;
			if (state == FUTURE_STATE_IDLE ||
				(context->padding & FUTURE_CONTEXT_REFUSED_))
				chain->padding |= FUTURE_CONTEXT_REFUSED_;
			if (entry != found)
				future_chain_remember_impl(chain, entry);
			return FUTURE_STATE_RUNNING;
		}

		struct future_chain_entry *next =
			future_chain_next_impl(chain, entry);

		if (next != NULL)
			future_chain_entry_prepare_impl(next, chain);
		if (entry->map != NULL)
			entry->map(&entry->future.context,
				next != NULL ? &next->future.context : chain,
				entry->map_arg);
		entry->flags |= FUTURE_CHAIN_FLAG_ENTRY_PROCESSED;
		entry = next;
		chain->padding += FUTURE_CONTEXT_MOVED_;
	}

	/* Removes the place from the flags. */
	entry = future_chain_next_impl(chain, NULL);
	if (entry != NULL)
		future_chain_remember_impl(chain, entry);
	return FUTURE_STATE_COMPLETE;
}

/*
 * The has_property of every chain. Returns 1 if the current entry has the
 * property. Otherwise returns 0, also if the chain is complete, or if the
 * current entry is not initialised.
 */
static inline int
future_chain_has_property(void *future, enum future_property property)
{
	struct future *chain = FUTURE_CAST_(struct future *, future);
	struct future_chain_entry *entry =
		chain->context.state == FUTURE_STATE_COMPLETE
		? NULL
		: future_chain_current_impl(&chain->context);

	return entry != NULL && FUTURE_CHAIN_ENTRY_IS_INITIALIZED(entry) &&
		future_has_property(&entry->future, property);
}

/*
 * FUTURE_CHAIN_INIT(futurep) initialises the chain itself. Initialise its
 * entries with FUTURE_CHAIN_ENTRY_INIT() or FUTURE_CHAIN_ENTRY_LAZY_INIT(),
 * before or after, but before the first poll.
 *
 * An over-aligned output may have padding before it. If this padding has room
 * for an entry, the array's length is negative: an error.
 */
#define FUTURE_CHAIN_INIT(_futurep) \
	FUTURE_INIT_EXT(_futurep, \
		(FUTURE_CAST_(void, \
			 sizeof(char[FUTURE_DATA_SIZE_(_futurep) - \
							 sizeof((_futurep) \
									 ->data) < \
						 sizeof(struct \
							 future_chain_entry) \
					 ? 1 \
					 : -1])), \
			async_chain_impl), \
		future_chain_has_property)

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_FUTURE_H */
