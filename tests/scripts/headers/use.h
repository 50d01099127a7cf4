/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * use.h -- uses every macro and inline function once, for headers.sh, which
 * compiles it in many languages
 */

#include <libminiasync.h>

#if MINIASYNC_VERSION_NUMBER < 900
#error no number that #if understands
#endif

#ifdef __cplusplus
extern "C" {
#define CAST(type, p) static_cast<type>(p)
#else
#define CAST(type, p) ((type)(p))
#endif

struct in {
	int i;
};

struct out {
	char c;
};

FUTURE(one, struct in, struct out);

struct __attribute__((aligned(64))) big_in {
	int i;
};

FUTURE(big, struct big_in, struct out);

/* The output may need any alignment, because the data stays in its place. */
struct __attribute__((aligned(64))) wide_out {
	char c;
};

FUTURE(wide, struct in, struct wide_out);

struct entries {
	FUTURE_CHAIN_ENTRY(struct one, first);
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, copy);
#ifdef OVERALIGNED_ENTRY
	FUTURE_CHAIN_ENTRY(struct big, wrong);
#endif
	FUTURE_CHAIN_ENTRY_LAST(struct one, last);
	int more;
};

#ifdef OVERALIGNED_CHAIN
FUTURE(
	chain, struct entries,
	struct __attribute__((aligned(256))) big_out { char c; });
#elif defined(OVERALIGNED_CHAIN_DATA)
FUTURE(
	chain,
	struct __attribute__((aligned(64))) big_entries {
		FUTURE_CHAIN_ENTRY(struct one, first);
		FUTURE_CHAIN_ENTRY(struct vdm_operation_future, copy);
		FUTURE_CHAIN_ENTRY_LAST(struct one, last);
		int more;
	},
	struct out);
#else
FUTURE(chain, struct entries, struct out);
#endif

/* On every target a chain sees a declared entry as it is. */
struct probe {
	FUTURE_CHAIN_ENTRY(struct one, e);
};
typedef char same_place[offsetof(struct probe, e.fut) ==
			offsetof(struct future_chain_entry, future)
		? 1
		: -1];

static inline enum future_state
task(struct future_context *context, struct future_notifier *n)
{
	struct in *in = CAST(struct in *, future_context_get_data(context));
	struct out *out =
		CAST(struct out *, future_context_get_output(context));

	if (n != NULL)
		FUTURE_WAKER_WAKE(&n->waker);
	out->c = in->i == 0 ? 'a' : 'b';
	return future_context_get_size(context) > 0 ? FUTURE_STATE_COMPLETE
						    : FUTURE_STATE_RUNNING;
}

static inline void
map(struct future_context *l, struct future_context *r, void *arg)
{
	(void)l;
	(void)r;
	(void)arg;
}

static inline void
init(void *future, struct future_context *c, void *arg)
{
	(void)c;
	(void)arg;
	FUTURE_INIT(CAST(struct one *, future), task);
}

int use(struct vdm *vdm, struct runtime *runtime,
	struct completion_queue *queue, int yes, char *a, const char *b);

int
use(struct vdm *vdm, struct runtime *runtime, struct completion_queue *queue,
	int yes, char *a, const char *b)
{
	struct one f;
	struct chain c;
	const struct vdm_segment segment = {a, b, 1};
	struct vdm_operation_future ops[5];
	struct completion done;
	struct wide w;
#if defined(OVERALIGNED_INIT) || defined(OVERALIGNED_INIT_EXT) || \
	defined(OVERALIGNED_INIT_COMPLETE)
	struct big wrong;
#endif

	FUTURE_INIT(&w, task);
	FUTURE_INIT_EXT(&w, task, NULL);
	FUTURE_INIT_COMPLETE(&w);
#ifdef OVERALIGNED_INIT
	FUTURE_INIT(&wrong, task);
#endif
#ifdef OVERALIGNED_INIT_EXT
	FUTURE_INIT_EXT(&wrong, task, NULL);
#endif
#ifdef OVERALIGNED_INIT_COMPLETE
	FUTURE_INIT_COMPLETE(&wrong);
#endif
	if (yes)
		FUTURE_INIT(&f, task);
	else
		FUTURE_INIT_EXT(&f, task, future_has_property_default);
	if (yes)
		FUTURE_BUSY_POLL(&f);
	else
		FUTURE_INIT_COMPLETE(&f);

	if (yes)
		FUTURE_CHAIN_ENTRY_INIT(&c.data.first, f, map, NULL);
	else
		FUTURE_CHAIN_ENTRY_LAZY_INIT(
			&c.data.first, init, NULL, map, NULL);
	FUTURE_CHAIN_ENTRY_INIT(
		&c.data.copy, vdm_memcpy(vdm, a, b, 1, 0), NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&c.data.last, f, map, NULL);
	if (yes)
		FUTURE_CHAIN_INIT(&c);
	else
		FUTURE_INIT_COMPLETE(&c);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&c));
	if (completion_queue_add(queue, FUTURE_AS_RUNNABLE(&f), a) != 0 ||
		completion_queue_wait(queue, &done, 1, 1, -1) != 1 ||
		done.future != FUTURE_AS_RUNNABLE(&f) || done.user_data != a)
		return 0;

#ifdef UNUSED
	UNUSED;
#endif
	ops[0] = vdm_memcpy(vdm, a, b, 1, VDM_F_MEM_DURABLE);
	ops[1] = vdm_memmove(vdm, a, b, 1, VDM_F_NO_CACHE_HINT);
	ops[2] = vdm_memset(vdm, a, 1, 1, VDM_F_VALID_FLAGS);
	ops[3] = vdm_flush(vdm, a, 1, 0);
	ops[4] = vdm_memcpyv(vdm, &segment, 1, 0);
	for (int i = 0; i < 5; i++)
		if (yes)
			FUTURE_BUSY_POLL(&ops[i]);
		else
			break;

	return FUTURE_OUTPUT(&f)->c + FUTURE_DATA(&f)->i +
		CAST(int, FUTURE_STATE(&f)) +
		FUTURE_CHAIN_ENTRY_HAS_FLAG(
			&c.data.first, FUTURE_CHAIN_VALID_FLAGS) +
		FUTURE_CHAIN_ENTRY_IS_LAST(&c.data.last) +
		FUTURE_CHAIN_ENTRY_IS_PROCESSED(&c.data.last) +
		FUTURE_CHAIN_ENTRY_IS_INITIALIZED(&c.data.last) +
		future_has_property(&c, FUTURE_PROPERTY_ASYNC) +
		vdm_is_supported(vdm, VDM_F_MEM_DURABLE) +
		vdm_operation_cancel(&ops[0]) +
		(MINIASYNC_VERSION[0] == miniasync_version()[0]) +
		vdm_result_string(FUTURE_OUTPUT(&ops[0])->result)[0] +
		vdm_operation_cancel(&c.data.copy.fut) + c.data.more;
}

#ifdef __cplusplus
}
#endif
