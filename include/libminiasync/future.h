/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * future.h -- futures, how to poll them, and chains of futures
 *
 * A future is work that advances when the program polls it. A future is one
 * object in the caller's memory:
 *
 *	+-------------+--------------+------------------+
 *	| struct      | data         | output           |
 *	| future      | (the input)  | (valid once      |
 *	|             |              |  complete)       |
 *	+-------------+--------------+------------------+
 *
 * Life cycle: IDLE, not started -> RUNNING, started by a poll -> COMPLETE.
 * A task may go from IDLE to COMPLETE in one poll. A task that cannot start yet
 * stays IDLE. Between polls nothing happens, unless the task has submitted its
 * work to a thread or a device. A later poll then only checks for the end.
 *
 * The program drives a future in one of these ways:
 *  - a loop: FUTURE_BUSY_POLL()
 *  - a runtime, which sleeps between polls: runtime.h
 *  - a chain of futures: see "Chains" below
 *  - the program's own event loop
 * Pass a notifier to a poll, and the task can notify the program when the next
 * poll is due.
 *
 * Owner:   the caller. Keep everything that the data points to alive until the
 *          future is complete.
 * Threads: only one thread at a time may use a future. Different threads may
 *          use it in turn.
 * Moving:  a future may be moved in memory between polls.
 * errno:   a poll leaves errno unchanged if the task does. All tasks of this
 *          library do.
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
 * Private: on functions that call a task, a waker or a mover by its pointer.
 * These may be functions of a library that was compiled without clang's control
 * flow integrity. A program with -fsanitize=cfi or kcfi would end there.
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
	FUTURE_STATE_IDLE = 0,     /* not started: poll it */
	FUTURE_STATE_COMPLETE = 1, /* output is valid: a poll does nothing */
	FUTURE_STATE_RUNNING = 2,  /* started: poll it until it is complete */
};

/* The argument of a task: the place of its data and output, and its state. */
struct future_context {
	size_t data_size; /* bytes from the end of this struct to the output */
	size_t output_size; /* bytes of output */
	enum future_state state;
	uint32_t padding; /* private: FUTURE_CONTEXT_*_ */
};

/*
 * A waker is a callback. The task calls wake(data) when the program should poll
 * the future again. The call may come from any thread, any number of times,
 * until a poll returns COMPLETE. wake must return soon, and not be left by
 * pthread_exit(), longjmp() or a C++ exception.
 */
typedef void (*future_waker_wake_fn)(void *data);

struct future_waker {
	void *data;
	future_waker_wake_fn wake;
};

/*
 * A poller is a word to monitor. The word changes when the program should poll
 * the future again. A task must not free the word's memory while a thread may
 * wait for its future, or for a chain that contains its future.
 */
struct future_poller {
	uint64_t *ptr_to_monitor;
};

enum future_notifier_type {
	FUTURE_NOTIFIER_NONE = 0,   /* no notification: poll again */
	FUTURE_NOTIFIER_WAKER = 1,  /* the task calls waker.wake(waker.data) */
	FUTURE_NOTIFIER_POLLER = 2, /* *poller.ptr_to_monitor changes */
};

/*
 * The caller passes a notifier to a poll, and sets waker. The task sets
 * notifier_used to the kind of notification that it will use. For a POLLER it
 * also sets poller. A task without an answer leaves notifier_used unchanged.
 */
struct future_notifier {
	struct future_waker waker;
	struct future_poller poller;
	enum future_notifier_type notifier_used;
	uint32_t padding;
};

/*
 * Private: how a runtime and a mover of this library agree on who works.
 *
 * INLINE in the padding, before a poll: the owner of the notifier polls again
 * right after a poll that did small work itself. The runtime is such an owner.
 * For every other notifier an asynchronous mover calls the waker, also after
 * small work.
 *
 * Then poller.ptr_to_monitor may have one of two values that belong to this
 * very notifier and its waker, and are no addresses:
 * offer       the mover may keep work for later polls of this owner
 * offer + 1   this poll may also do some work, in a bounded time. The mover
 *             that does some sets offer, so only one does.
 * A task may pass a copy of its notifier on, or change the waker for a poll of
 * its own. Then the owner would not see the answer, or not know when to poll.
 * Therefore the values do not fit then.
 *
 * WORK in the padding, after a poll: the mover has kept work. The next polls
 * of this owner should do it. A poll without an offer gives it to a worker.
 */
#define FUTURE_NOTIFIER_INLINE_ UINT32_C(0x6d696e6c)
#define FUTURE_NOTIFIER_WORK_ UINT32_C(0x6d696e77)

/*
 * Private: flags in context.padding, from a future to its owner. A chain cannot
 * set them in the notifier, because the program may pass a notifier that only
 * its own tasks understand.
 *
 * REFUSED  the current entry of this chain could not start. The chain is
 *          RUNNING nevertheless. Its owner may poll less often.
 * SILENT   the mover answered a waker with FUTURE_NOTIFIER_NONE.
 * MOVED    added each time a chain goes on to its next entry. The notifier_used
 *          of earlier entries is no longer valid.
 */
#define FUTURE_CONTEXT_REFUSED_ UINT32_C(1)
#define FUTURE_CONTEXT_SILENT_ UINT32_C(2)
#define FUTURE_CONTEXT_MOVED_ UINT32_C(4)

enum future_property {
	/* A thread or a device advances the future between polls. */
	FUTURE_PROPERTY_ASYNC = 0,
	/*
	 * A question to a mover, not to a future: see vdm_operation_impl().
	 * Only the answer FUTURE_PROPERTY_RENOTIFY itself means yes.
	 */
	FUTURE_PROPERTY_RENOTIFY = 0x5245,
	/*
	 * A question to a mover, too: whether it does VDM_OPERATION_MEMCPYV.
	 * Only the answer FUTURE_PROPERTY_MEMCPYV itself means yes.
	 */
	FUTURE_PROPERTY_MEMCPYV = 0x5356,
};

/*
 * A task advances the future as far as possible without blocking, and returns
 * the new state. The notifier may be NULL.
 */
typedef enum future_state (*future_task_fn)(
	struct future_context *context, struct future_notifier *notifier);

/* Returns non-zero if the future has the property. Changes nothing. */
typedef int (*future_has_property_fn)(
	void *future, enum future_property property);

struct future {
	future_task_fn task;
	future_has_property_fn has_property; /* NULL: no property */
	struct future_context context;
};

/* Returns the data of a future. For tasks, map and init functions. */
static inline void *
future_context_get_data(struct future_context *context)
{
	return FUTURE_CAST_(char *, FUTURE_CAST_(void *, context)) +
		sizeof(struct future_context);
}

/* Returns the output of a future. For tasks and map functions. */
static inline void *
future_context_get_output(struct future_context *context)
{
	return FUTURE_CAST_(char *, future_context_get_data(context)) +
		context->data_size;
}

/* Returns the bytes of data and output, including padding between them. */
static inline size_t
future_context_get_size(struct future_context *context)
{
	return context->data_size + context->output_size;
}

/* Private, these three: see FUTURE_NOTIFIER_INLINE_. */
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

/* The has_property of a future without properties: always returns 0. */
static inline int
future_has_property_default(void *future, enum future_property property)
{
	(void)future;
	(void)property;
	return 0;
}

/* Returns 1 if the future has the property now, otherwise 0. */
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
 * notifier  may be NULL. Keep the data of its waker valid until the future is
 *           complete. You may free that data earlier if a later poll passed
 *           another waker, and no call of the old waker is running.
 *           For a chain, pass a fresh notifier to each poll, with notifier_used
 *           set to FUTURE_NOTIFIER_NONE. Otherwise it may still contain the
 *           answer of an earlier entry.
 * Returns   the new state, which is also stored in the future
 * Blocks    only as long as the task does. See future_task_fn.
 * Threads   one at a time for one future
 */
FUTURE_CALLS_LIBRARY_ static inline enum future_state
future_poll(struct future *fut, struct future_notifier *notifier)
{
	if (fut->context.state != FUTURE_STATE_COMPLETE)
		fut->context.state = fut->task(&fut->context, notifier);

	return fut->context.state;
}

/*
 * FUTURE(name, data_type, output_type) declares struct name: a future with this
 * data and this output.
 *
 * The data must follow struct future without padding, because
 * future_context_get_data() expects it there. FUTURE_INIT and its variants do
 * not compile if the data needs a larger alignment. The output may have any
 * alignment. In a chain, a future may need at most the alignment of struct
 * future_chain_entry, which is that of a pointer and of uint64_t.
 */
#define FUTURE(_name, _data_type, _output_type) \
	struct _name { \
		struct future base; \
		_data_type data; \
		_output_type output; \
	}

/* For a pointer to such a future: its struct future, output, data and state. */
#define FUTURE_AS_RUNNABLE(_futurep) (&(_futurep)->base)
#define FUTURE_OUTPUT(_futurep) (&(_futurep)->output)
#define FUTURE_DATA(_futurep) (&(_futurep)->data)
#define FUTURE_STATE(_futurep) ((_futurep)->base.context.state)

/* Implements FUTURE_INIT and its variants. */
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
 * data_size is the distance from the context to the output, so it includes
 * padding between data and output. The array has the size of struct future. If
 * there is padding in front of the data, its length is negative: an error.
 * typeof keeps the argument unevaluated.
 */
#define FUTURE_DATA_SIZE_(_futurep) \
	(offsetof(__typeof__(*(_futurep)), output) - \
		sizeof(char[offsetof(__typeof__(*(_futurep)), data) == \
					sizeof(struct future) \
				? FUTURE_CAST_(int, sizeof(struct future)) \
				: -1]))

/*
 * FUTURE_INIT(futurep, task) makes a future IDLE and ready to poll.
 * FUTURE_INIT_EXT(futurep, task, has_property) also sets has_property.
 * The caller sets data and output, before or after the call.
 */
#define FUTURE_INIT_EXT(_futurep, _taskfn, _propertyfn) \
	future_init_impl(&(_futurep)->base, (_taskfn), (_propertyfn), \
		FUTURE_DATA_SIZE_(_futurep), sizeof((_futurep)->output), \
		FUTURE_STATE_IDLE)

#define FUTURE_INIT(_futurep, _taskfn) \
	FUTURE_INIT_EXT(_futurep, _taskfn, future_has_property_default)

/* Makes a future COMPLETE from the start, for a result that already exists. */
#define FUTURE_INIT_COMPLETE(_futurep) \
	future_init_impl(&(_futurep)->base, NULL, future_has_property_default, \
		FUTURE_DATA_SIZE_(_futurep), sizeof((_futurep)->output), \
		FUTURE_STATE_COMPLETE)

FUTURE_CALLS_LIBRARY_ static inline void
future_waker_wake_impl(const struct future_waker *waker)
{
	waker->wake(waker->data);
}

/* Calls the waker. wake must not be NULL. */
#define FUTURE_WAKER_WAKE(_wakerp) future_waker_wake_impl(_wakerp)

/* Pauses the CPU for a moment, in a wait loop. */
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
 * FUTURE_BUSY_POLL() makes this many polls with a CPU pause after each. They
 * take about 3 microseconds, which is longer than submitting a small operation.
 * After each further poll the thread yields its CPU, because the thread that
 * does the work may need that CPU. A thread of a real-time policy yields to no
 * thread of a lower priority: once in so many polls it sleeps.
 */
#define FUTURE_BUSY_POLL_SPINS_ 64
#define FUTURE_BUSY_POLL_NAP_ 1024

/*
 * Sleeps for 50 microseconds. Keeps errno, and is no cancellation point. Weak:
 * a program of this header alone does not need the library.
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
 * Polls the future with a NULL notifier until it is complete. Blocks the
 * calling thread, and uses its CPU nearly all the time. Not a cancellation
 * point.
 */
#define FUTURE_BUSY_POLL(_futurep) future_busy_poll_impl(&(_futurep)->base)

/*
 * Chains
 *
 * A chain is a future whose data begins with other futures, its entries. The
 * entries run one after the other. After each entry a map function may copy the
 * output of this entry into the data of the next entry:
 *
 *	struct my_data {
 *		FUTURE_CHAIN_ENTRY(struct vdm_operation_future, copy);
 *		FUTURE_CHAIN_ENTRY_LAST(struct my_future, check);
 *		int more;          // members after LAST are no entries
 *	};
 *	FUTURE(my_chain, struct my_data, struct my_output);
 *
 * Without a LAST entry the chain ends where its data ends.
 *
 * One poll of a chain polls the first entry that is not processed. As long as
 * entries complete, the same poll goes on to the next entry. The polling thread
 * calls each map and each init function once. The map function of the last
 * entry gets the chain itself as rhs, to set the chain's output. A chain also
 * goes on after an entry that has failed. Check the result in the map function.
 */

/* Copies results from lhs, which is complete, to rhs, which is polled next. */
typedef void (*future_map_fn)(
	struct future_context *lhs, struct future_context *rhs, void *arg);

/* Initialises the future of an entry, before its first use. */
typedef void (*future_init_fn)(
	void *future, struct future_context *chain_context, void *arg);

/* The kind of a declared entry: the size of its array entry_kind. */
enum future_chain_entry_type {
	FUTURE_CHAIN_ENTRY_REGULAR = 1,
	FUTURE_CHAIN_ENTRY_LAST = 2,
};

#define FUTURE_CHAIN_FLAG_ENTRY_LAST UINT64_C(1)
#define FUTURE_CHAIN_FLAG_ENTRY_PROCESSED UINT64_C(2)
#define FUTURE_CHAIN_VALID_FLAGS \
	(FUTURE_CHAIN_FLAG_ENTRY_LAST | FUTURE_CHAIN_FLAG_ENTRY_PROCESSED)

/*
 * Any entry, as the chain accesses it. A declared entry has another type, so
 * the compiler must be told: may_alias.
 */
struct future_chain_entry {
	future_map_fn map;
	void *map_arg;
	future_init_fn init; /* NULL: the future is initialised */
	void *init_arg;
	uint64_t flags;
	struct future future;
} __attribute__((may_alias));

/*
 * The unnamed bit-field takes no space. If the compiler had to put padding in
 * front of fut, its width is negative: an error. No chain would find the future
 * behind such padding.
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

#define FUTURE_CHAIN_ENTRY(_future_type, _name) \
	FUTURE_CHAIN_ENTRY_IMPL_( \
		_future_type, _name, FUTURE_CHAIN_ENTRY_REGULAR)

#define FUTURE_CHAIN_ENTRY_LAST(_future_type, _name) \
	FUTURE_CHAIN_ENTRY_IMPL_(_future_type, _name, (FUTURE_CHAIN_ENTRY_LAST))

/* Sets the members of an entry that precede its future. */
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
 * FUTURE_CHAIN_ENTRY_LAZY_INIT(entryp, init, init_arg, map, map_arg) lets the
 * chain call init once to make the future, before the future is first polled or
 * mapped into. map may be NULL.
 */
#define FUTURE_CHAIN_ENTRY_LAZY_INIT( \
	_entryp, _init, _init_arg, _map, _map_arg) \
	future_chain_entry_init_impl((_entryp), (_init), (_init_arg), (_map), \
		(_map_arg), sizeof((_entryp)->entry_kind))

/* For a pointer to an entry: non-zero if true. */
#define FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, _flag) \
	(((_entryp)->flags & (_flag)) != 0)
#define FUTURE_CHAIN_ENTRY_IS_LAST(_entryp) \
	FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, FUTURE_CHAIN_FLAG_ENTRY_LAST)
#define FUTURE_CHAIN_ENTRY_IS_PROCESSED(_entryp) \
	FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, FUTURE_CHAIN_FLAG_ENTRY_PROCESSED)
#define FUTURE_CHAIN_ENTRY_IS_INITIALIZED(_entryp) ((_entryp)->init == NULL)

/*
 * Returns the entry after this one, or the first entry for NULL. Returns NULL
 * if no entry is left. entry must be initialised: its size is not known before.
 * If fewer bytes remain than an empty entry needs, they are padding.
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
 * Private: where the entry is that a poll left, so that the next poll does not
 * walk from the first entry. Bytes from the first entry, in the upper bits of
 * its flags; 0 if it is the first. A chain may be moved in memory.
 */
#define FUTURE_CHAIN_PLACE_ (UINT64_C(1) << 8)

static inline void
future_chain_remember_impl(
	struct future_context *chain, struct future_chain_entry *entry)
{
	struct future_chain_entry *first = future_chain_next_impl(chain, NULL);
	const uint64_t place = FUTURE_CAST_(uint64_t,
		FUTURE_CAST_(char *, FUTURE_CAST_(void *, entry)) -
			FUTURE_CAST_(char *, FUTURE_CAST_(void *, first)));

	first->flags = first->flags % FUTURE_CHAIN_PLACE_ +
		place * FUTURE_CHAIN_PLACE_;
}

/* Returns the first entry that is not processed, or NULL. */
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
 * Whether a chain went on to another entry. Arguments: its context.padding
 * before and after.
 */
static inline int
future_chain_has_moved_impl(uint32_t before, uint32_t after)
{
	return before / FUTURE_CONTEXT_MOVED_ != after / FUTURE_CONTEXT_MOVED_;
}

/*
 * async_chain_impl -- the task of every chain
 *
 * Returns RUNNING until the chain is complete, also if the current entry is
 * IDLE. Passes the notifier on without using it: see FUTURE_CONTEXT_REFUSED_.
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

	/* The flags become what they would be without a place. */
	entry = future_chain_next_impl(chain, NULL);
	if (entry != NULL)
		future_chain_remember_impl(chain, entry);
	return FUTURE_STATE_COMPLETE;
}

/*
 * The has_property of every chain: returns 1 if the current entry has the
 * property. Returns 0 if the chain is complete, or if the current entry is not
 * initialised.
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
 * entries with the two macros above, before or after.
 *
 * An over-aligned output may have padding in front of it. If that padding is
 * large enough to look like an entry, the array's size is negative: an error.
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
