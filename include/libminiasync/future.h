/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * future.h -- what a future is, how it is polled, how futures form a chain
 *
 * A future is work that moves on only while somebody polls it. It is one
 * object in the caller's memory:
 *
 *	+-------------+--------------+------------------+
 *	| struct      | data         | output           |
 *	| future      | (the input)  | (valid once      |
 *	|             |              |  complete)       |
 *	+-------------+--------------+------------------+
 *
 * Its life: IDLE, never started -> RUNNING, started by a poll -> COMPLETE.
 * A task may go from IDLE to COMPLETE in one poll, and may stay IDLE when it
 * could not start yet. Nothing happens between polls, unless the task hands
 * its work to somebody else (a data mover's threads, a device); then the poll
 * only asks how far that is.
 *
 * Who polls, and when: a loop (FUTURE_BUSY_POLL), a runtime (runtime.h), a
 * chain, or an event loop of the program's. A poll may bring a notifier, which
 * lets the task announce that polling again is worthwhile.
 *
 * Owner:   the caller, who also keeps alive what the data points to until the
 *          future is complete.
 * Threads: no two threads may use one future at the same time; one after the
 *          other is fine. A future may be moved in memory between polls.
 * errno:   polling leaves it as it was, if the task does. All of our tasks do.
 */

#ifndef LIBMINIASYNC_FUTURE_H
#define LIBMINIASYNC_FUTURE_H 1

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Private to these headers: casts and alignment, once for C and C++. */
#ifdef __cplusplus
#define FUTURE_CAST_(type, pointer) static_cast<type>(pointer)
#define FUTURE_ALIGNOF_(type) alignof(type)
#else
#define FUTURE_CAST_(type, pointer) ((type)(pointer))
#define FUTURE_ALIGNOF_(type) __alignof__(type)
#endif

enum future_state {
	FUTURE_STATE_IDLE = 0,     /* not started; poll it */
	FUTURE_STATE_COMPLETE = 1, /* output is valid; polling does nothing */
	FUTURE_STATE_RUNNING = 2,  /* started; poll it until complete */
};

/* What a task is given: where its data and output are, and how far it is. */
struct future_context {
	size_t data_size; /* bytes from the end of this struct to the output */
	size_t output_size; /* bytes of output */
	enum future_state state;
	uint32_t padding; /* private: FUTURE_CONTEXT_*_ */
};

/*
 * A waker is the promise to be told: wake(data) is called when polling again
 * is worthwhile. It comes from any thread, any number of times, until the
 * future is seen complete by a poll; it must not block for long.
 */
typedef void (*future_waker_wake_fn)(void *data);

struct future_waker {
	void *data;
	future_waker_wake_fn wake;
};

/*
 * A poller is a word to watch: it changes when polling is worthwhile. A task
 * must never put the word into memory that is freed while its future, or a
 * chain that contains it, may be waited for.
 */
struct future_poller {
	uint64_t *ptr_to_monitor;
};

enum future_notifier_type {
	FUTURE_NOTIFIER_NONE = 0,   /* only polling tells */
	FUTURE_NOTIFIER_WAKER = 1,  /* waker.wake(waker.data) will be called */
	FUTURE_NOTIFIER_POLLER = 2, /* *poller.ptr_to_monitor will change */
};

/*
 * Brought by a poll. The caller fills in waker; the task answers in
 * notifier_used which of the kinds announces its progress, and fills in
 * poller if it is that one. A task that says nothing leaves it untouched.
 */
struct future_notifier {
	struct future_waker waker;
	struct future_poller poller;
	enum future_notifier_type notifier_used;
	uint32_t padding;
};

/*
 * Private: the padding of a notifier whose owner polls right after a poll that
 * did small work itself, as the runtime does. All other owners get from an
 * asynchronous mover what they asked for, a wake.
 */
#define FUTURE_NOTIFIER_INLINE_ UINT32_C(0x6d696e6c)

/*
 * Private: what a future tells its owner in context.padding. A chain cannot use
 * the notifier for this: a program may pass one that only its own tasks
 * understand.
 *
 * REFUSED  the current entry of this chain could not start. The chain is
 *          RUNNING all the same, and its owner may wait longer before the
 *          next poll.
 * SILENT   the mover answered a waker with FUTURE_NOTIFIER_NONE.
 * MOVED    is added each time that a chain goes on to its next entry. What
 *          earlier entries answered in notifier_used does not hold any more.
 */
#define FUTURE_CONTEXT_REFUSED_ UINT32_C(1)
#define FUTURE_CONTEXT_SILENT_ UINT32_C(2)
#define FUTURE_CONTEXT_MOVED_ UINT32_C(4)

enum future_property {
	/* Progress is made between polls, by a thread or a device. */
	FUTURE_PROPERTY_ASYNC = 0,
	/*
	 * Asked of a mover, not of a future: see vdm_operation_impl(). Only
	 * the answer FUTURE_PROPERTY_RENOTIFY itself means yes.
	 */
	FUTURE_PROPERTY_RENOTIFY = 0x5245,
};

/*
 * A task does what can be done now, without blocking, and says how far the
 * future is. The notifier may be NULL.
 */
typedef enum future_state (*future_task_fn)(
	struct future_context *context, struct future_notifier *notifier);

/* Says whether a future has a property. Changes nothing. */
typedef int (*future_has_property_fn)(
	void *future, enum future_property property);

struct future {
	future_task_fn task;
	future_has_property_fn has_property; /* NULL: has none */
	struct future_context context;
};

/* The data of a future, from inside of its task. */
static inline void *
future_context_get_data(struct future_context *context)
{
	return FUTURE_CAST_(char *, FUTURE_CAST_(void *, context)) +
		sizeof(struct future_context);
}

/* The output of a future, from inside of its task or its map function. */
static inline void *
future_context_get_output(struct future_context *context)
{
	return FUTURE_CAST_(char *, future_context_get_data(context)) +
		context->data_size;
}

/* Bytes of data and output together, padding between them included. */
static inline size_t
future_context_get_size(struct future_context *context)
{
	return context->data_size + context->output_size;
}

/* A future without properties of its own: answers 0 to every question. */
static inline int
future_has_property_default(void *future, enum future_property property)
{
	(void)future;
	(void)property;
	return 0;
}

/* Returns 1 if the future has the property now, else 0. */
static inline int
future_has_property(void *future, enum future_property property)
{
	struct future *fut = FUTURE_CAST_(struct future *, future);

	return fut->has_property != NULL &&
		fut->has_property(future, property) != 0;
}

/*
 * future_poll -- moves a future on
 *
 * notifier  may be NULL. What its waker.data points to must stay valid until
 *           the future is complete, or a later poll brought another waker and
 *           this one, should it be running just then, has returned. Bring
 *           a fresh one, with notifier_used set to FUTURE_NOTIFIER_NONE, to
 *           each poll of a chain: the answer of an earlier entry may otherwise
 *           still stand in it.
 * Returns   the state, which is stored in the future as well
 */
static inline enum future_state
future_poll(struct future *fut, struct future_notifier *notifier)
{
	if (fut->context.state != FUTURE_STATE_COMPLETE)
		fut->context.state = fut->task(&fut->context, notifier);

	return fut->context.state;
}

/*
 * FUTURE(name, data_type, output_type) declares struct name, a future with
 * this data and this output. The data must begin right behind the struct
 * future, where future_context_get_data() finds it. FUTURE_INIT and its like
 * do not compile if the data needs more alignment than that place has. The
 * output may need any alignment. Inside of a chain it may not need more than
 * struct future_chain_entry, the alignment of a pointer and of uint64_t.
 */
#define FUTURE(_name, _data_type, _output_type) \
	struct _name { \
		struct future base; \
		_data_type data; \
		_output_type output; \
	}

/* Of a pointer to such a future: its struct future; and its parts. */
#define FUTURE_AS_RUNNABLE(_futurep) (&(_futurep)->base)
#define FUTURE_OUTPUT(_futurep) (&(_futurep)->output)
#define FUTURE_DATA(_futurep) (&(_futurep)->data)
#define FUTURE_STATE(_futurep) ((_futurep)->base.context.state)

/* The work behind FUTURE_INIT and its like. */
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
 * The distance from the context to the output counts, so that padding between
 * data and output is part of data_size. The array is as long as struct future;
 * its length is negative, an error, if there is padding in front of the data.
 * typeof keeps the argument unevaluated.
 */
#define FUTURE_DATA_SIZE_(_futurep) \
	(offsetof(__typeof__(*(_futurep)), output) - \
		sizeof(char[offsetof(__typeof__(*(_futurep)), data) == \
					sizeof(struct future) \
				? FUTURE_CAST_(int, sizeof(struct future)) \
				: -1]))

/*
 * FUTURE_INIT(futurep, task) makes a future idle and ready to poll;
 * FUTURE_INIT_EXT() takes its has_property function as well. data and output
 * are the caller's to fill in, before or after.
 */
#define FUTURE_INIT_EXT(_futurep, _taskfn, _propertyfn) \
	future_init_impl(&(_futurep)->base, (_taskfn), (_propertyfn), \
		FUTURE_DATA_SIZE_(_futurep), sizeof((_futurep)->output), \
		FUTURE_STATE_IDLE)

#define FUTURE_INIT(_futurep, _taskfn) \
	FUTURE_INIT_EXT(_futurep, _taskfn, future_has_property_default)

/* Complete from the start: for a result that is known already. */
#define FUTURE_INIT_COMPLETE(_futurep) \
	future_init_impl(&(_futurep)->base, NULL, future_has_property_default, \
		FUTURE_DATA_SIZE_(_futurep), sizeof((_futurep)->output), \
		FUTURE_STATE_COMPLETE)

static inline void
future_waker_wake_impl(const struct future_waker *waker)
{
	waker->wake(waker->data);
}

/* Calls the waker, whose wake must not be NULL. */
#define FUTURE_WAKER_WAKE(_wakerp) future_waker_wake_impl(_wakerp)

/* Tells the CPU that this is a wait loop. */
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
 * Polls in a row with a CPU pause between (some 3 microseconds in all: longer
 * than handing over a small operation) before each further one yields the CPU,
 * which the thread that does the work may need.
 */
#define FUTURE_BUSY_POLL_SPINS_ 64

static inline void
future_busy_poll_impl(struct future *fut)
{
	unsigned polls = 0;

	while (future_poll(fut, NULL) != FUTURE_STATE_COMPLETE) {
		if (polls < FUTURE_BUSY_POLL_SPINS_) {
			polls++;
			future_cpu_pause_impl();
		} else {
			sched_yield();
		}
	}
}

/* Polls until the future is complete, on the calling thread. */
#define FUTURE_BUSY_POLL(_futurep) future_busy_poll_impl(&(_futurep)->base)

/*
 * Chains
 *
 * A chain is a future whose data begins with other futures, its entries, that
 * run one after the other. Between two of them a map function may carry the
 * output of the first into the data of the second:
 *
 *	struct my_data {
 *		FUTURE_CHAIN_ENTRY(struct vdm_operation_future, copy);
 *		FUTURE_CHAIN_ENTRY_LAST(struct my_future, check);
 *		int more;          // what follows LAST is the chain's own
 *	};
 *	FUTURE(my_chain, struct my_data, struct my_output);
 *
 * Without a LAST entry the chain ends where its data ends.
 *
 * One poll does as much as it can: it polls the first entry that is not
 * processed, and goes on to the next as long as entries complete. map and
 * init functions are called by the polling thread, each once. The map of the
 * last entry gets the chain itself, for its output. A chain knows nothing of
 * failures: it goes on, and what comes next finds the result in its map.
 */

/* Carries results on: from lhs, complete, into rhs, about to be polled. */
typedef void (*future_map_fn)(
	struct future_context *lhs, struct future_context *rhs, void *arg);

/* Makes an entry's future, just before it is needed. */
typedef void (*future_init_fn)(
	void *future, struct future_context *chain_context, void *arg);

/* How a declared entry says, by the size of an array, which kind it is. */
enum future_chain_entry_type {
	FUTURE_CHAIN_ENTRY_REGULAR = 1,
	FUTURE_CHAIN_ENTRY_LAST = 2,
};

#define FUTURE_CHAIN_FLAG_ENTRY_LAST UINT64_C(1)
#define FUTURE_CHAIN_FLAG_ENTRY_PROCESSED UINT64_C(2)
#define FUTURE_CHAIN_VALID_FLAGS \
	(FUTURE_CHAIN_FLAG_ENTRY_LAST | FUTURE_CHAIN_FLAG_ENTRY_PROCESSED)

/*
 * Any entry, seen from the chain. It stands for a declared entry, which is of
 * another type: may_alias tells the compiler.
 */
struct future_chain_entry {
	future_map_fn map;
	void *map_arg;
	future_init_fn init; /* NULL: future is initialised */
	void *init_arg;
	uint64_t flags;
	struct future future;
} __attribute__((may_alias));

/*
 * The unnamed bit-field takes no room. Its width is negative, an error, if
 * the compiler had to put padding in front of fut, where no chain would find
 * the future.
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

/* The part of an entry before its future. Returns the entry. */
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
 * FUTURE_CHAIN_ENTRY_LAZY_INIT(entryp, init, init_arg, map, map_arg): the
 * future is made by init, once, before it is first polled or mapped into.
 */
#define FUTURE_CHAIN_ENTRY_LAZY_INIT( \
	_entryp, _init, _init_arg, _map, _map_arg) \
	future_chain_entry_init_impl((_entryp), (_init), (_init_arg), (_map), \
		(_map_arg), sizeof((_entryp)->entry_kind))

/* Of a pointer to an entry: non-zero if it is so. */
#define FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, _flag) \
	(((_entryp)->flags & (_flag)) != 0)
#define FUTURE_CHAIN_ENTRY_IS_LAST(_entryp) \
	FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, FUTURE_CHAIN_FLAG_ENTRY_LAST)
#define FUTURE_CHAIN_ENTRY_IS_PROCESSED(_entryp) \
	FUTURE_CHAIN_ENTRY_HAS_FLAG(_entryp, FUTURE_CHAIN_FLAG_ENTRY_PROCESSED)
#define FUTURE_CHAIN_ENTRY_IS_INITIALIZED(_entryp) ((_entryp)->init == NULL)

/*
 * The entry behind this one, or the first for NULL; NULL when there is none.
 * entry must be initialised: its size is only known then. Less room at the
 * end of the data than an empty entry takes is padding.
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

/* The first entry that is not processed, or NULL. */
static inline struct future_chain_entry *
future_chain_current_impl(struct future_context *chain)
{
	struct future_chain_entry *entry = future_chain_next_impl(chain, NULL);

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

/* Whether an entry that is a chain itself went on to another of its entries. */
static inline int
future_chain_has_moved_impl(uint32_t before, uint32_t after)
{
	return before / FUTURE_CONTEXT_MOVED_ != after / FUTURE_CONTEXT_MOVED_;
}

/*
 * The task of every chain: RUNNING until complete, also on an idle entry. It
 * only hands the notifier on: see FUTURE_CONTEXT_REFUSED_.
 */
static inline enum future_state
async_chain_impl(struct future_context *chain, struct future_notifier *notifier)
{
	struct future_chain_entry *entry = future_chain_current_impl(chain);

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

	return FUTURE_STATE_COMPLETE;
}

/* A chain has the properties of the entry that it is at. */
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
 * FUTURE_CHAIN_INIT(futurep) makes the chain itself ready. Its entries are
 * initialised by the two macros above, before or after. The array's size is
 * negative, an error, if the padding in front of an over-aligned output could
 * pass for an entry.
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
