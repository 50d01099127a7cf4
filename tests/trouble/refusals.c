/* SPDX-License-Identifier: BSD-3-Clause */

/* refusals.c -- see refusals.h */

#include "refusals.h"

#include <errno.h>
#include <sys/auxv.h>

#include "fake_dml.h"
#include "libminiasync-vdm-dml.h"
#include "operation/memory.h"
#include "scenario.h"
#include "threads_mover.h"

/* The library goes on without the other kinds, and fails without these. */
static bool
is_vital(enum refusal kind)
{
	return kind != SET_SPECIFIC && kind != GET_AFFINITY &&
		kind > ALIGNED_ALLOC;
}

static unsigned
vital_kinds(void)
{
	unsigned kinds = 0;

	for (int i = 0; i < REFUSALS; i++)
		if (is_vital((enum refusal)i))
			kinds |= REFUSE(i);
	return kinds;
}

/* Counts of refusals. A constructor may fail if a count has grown. */
struct refusals {
	long all;
	long vital;
};

static struct refusals
refusals(void)
{
	return (struct refusals){refused(REFUSE_ALL), refused(vital_kinds())};
}

static bool
was_made(const void *made, struct refusals before)
{
	if (made != NULL) {
		EXPECT(refused(vital_kinds()) == before.vital);
	} else {
		EXPECT(refused(REFUSE_ALL) > before.all);
		EXPECT(errno == refuse_last_error());
	}
	return made != NULL;
}

static void
use_threads(struct data_mover_threads *dmt, struct runtime *runtime)
{
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	scenario_use(vdm, runtime);
	data_mover_threads_set_memcpy_fn(dmt, plain_memcpy);
	data_mover_threads_set_memmove_fn(dmt, plain_memcpy);
	data_mover_threads_set_memset_fn(dmt, plain_memset);
	EXPECT(data_mover_threads_set_capabilities(dmt, 0) == 0);
	scenario_use(vdm, runtime);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	data_mover_threads_delete(dmt);
}

static void
use_dml(struct runtime *runtime)
{
	const enum data_mover_dml_type types[] = {
		DATA_MOVER_DML_SOFTWARE, DATA_MOVER_DML_AUTO};

	for (int i = 0; i < 2; i++) {
		const struct refusals before = refusals();
		struct data_mover_dml *dmd = data_mover_dml_new(types[i]);

		if (was_made(dmd, before))
			scenario_use(data_mover_dml_get_vdm(dmd), runtime);
		data_mover_dml_delete(dmd);
	}

	/* Without a device, because the thread of the fake may be too late. */
	const long before = refused(REFUSE_MEMORY);

	fake_dml_set_device(FAKE_DML_NO_DEVICE);
	EXPECT(data_mover_dml_new(DATA_MOVER_DML_HARDWARE) == NULL);
	EXPECT(errno == (refused(REFUSE_MEMORY) > before ? ENOMEM : ENODEV));
	fake_dml_set_device(FAKE_DML_DEVICE);
}

/* Without memory the future is as it was, and works otherwise. */
static void
use_queue(struct vdm *vdm, struct runtime *runtime)
{
	const long before = refused(REFUSE_MEMORY);
	struct completion_queue *cq = completion_queue_new();
	struct vdm_operation_future copies[20];
	struct completion done[20];
	char dst[20] = "", src[20] = "abcdefghijklmnopqrs";
	size_t nadded = 0;

	if (cq == NULL) {
		EXPECT(refused(REFUSE_ALL) > 0);
		return;
	}
	for (size_t i = 0; i < 20; i++) {
		copies[i] = vdm_memcpy(vdm, &dst[i], &src[i], 1, 0);
		if (completion_queue_add(
			    cq, FUTURE_AS_RUNNABLE(&copies[i]), &dst[i]) == 0) {
			nadded++;
			continue;
		}
		EXPECT(refused(REFUSE_MEMORY) > before && errno == ENOMEM);
		EXPECT(FUTURE_STATE(&copies[i]) == FUTURE_STATE_IDLE);
		if (runtime != NULL)
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&copies[i]));
		else
			FUTURE_BUSY_POLL(&copies[i]);
	}
	EXPECT(completion_queue_wait(cq, done, 20, nadded, -1) == nadded);
	for (size_t i = 0; i < 20; i++)
		EXPECT(dst[i] == src[i] ||
			copies[i].output.result == VDM_ERROR_OUT_OF_MEMORY);
	completion_queue_delete(cq);
}

static void *
scenario(void *arg)
{
	struct refusals before = refusals();
	struct runtime *runtime = runtime_new();

	was_made(runtime, before);
	before = refusals();
	struct data_mover_sync *dms = data_mover_sync_new();

	if (was_made(dms, before)) {
		EXPECT(data_mover_sync_set_capabilities(dms, 0) == 0);
		scenario_use(data_mover_sync_get_vdm(dms), runtime);
		use_queue(data_mover_sync_get_vdm(dms), runtime);
	}

	for (int notifier = 0; notifier < 4; notifier++) {
		before = refusals();
		struct data_mover_threads *dmt = notifier == 3
			? data_mover_threads_default()
			: data_mover_threads_new(
				  3, 4, (enum future_notifier_type)notifier);

		if (was_made(dmt, before))
			use_threads(dmt, runtime);
	}

	if (mia_memory_capabilities() == VDM_F_VALID_FLAGS)
		use_dml(runtime);

	/*
	 * Deleted after other movers. The runtime may hold memory of a mover.
	 */
	runtime_delete(runtime);
	data_mover_sync_delete(dms);
	return arg;
}

/* On a new thread, whose caches end with it. */
static void
run_scenario(void)
{
	pthread_t thread;

	if (scenario_pthread_create(&thread, NULL, scenario, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);

void
refusals_init(const char *what)
{
	scenario_pthread_create = __real_pthread_create;
	atomic_store(&scenario_seed, test_seed(what));
	refuse_init();
	fake_dml_reset();
}

static bool
has_key(void)
{
	return getenv("MIA_TEST_NO_KEY") == NULL;
}

/* Under a sanitizer only one call in several is refused, or under valgrind. */
#define STEP (TEST_SLOWDOWN > 10 ? 65 : TEST_SLOWDOWN > 1 ? 13 : 1)

void
refuse_each(unsigned kinds, enum refuse_extent extent)
{
	long calls = (long)(scenario_random() % STEP);

	if (getauxval(AT_BASE) == 0) {
		printf("linked statically: the C library's own calls would be "
		       "refused too\n");
		skip();
	}
	if (!has_key())
		kinds &= ~REFUSE(SET_SPECIFIC);
	deadline(120);
	run_scenario();
	const long live = atomic_load(&refuse_live);

	refuse_reset();
	atomic_store(&scenario_done, 0);
	atomic_store(&scenario_refused, 0);
	for (;; calls += STEP) {
		const long before = refused(kinds);

		refuse_after(kinds, calls, extent);
		run_scenario();
		refuse_nothing();
		if (atomic_load(&scenario_wrong) != 0)
			print_error("refused: call %ld\n", calls);
		assert_int_equal(atomic_load(&scenario_wrong), 0);
		assert_int_equal(atomic_load(&refuse_live), live);
		if (refused(kinds) == before)
			break;
	}
	printf("%s refused, at each of %ld calls: %ld operations done, %ld "
	       "refused\n",
		extent == REFUSE_ONE ? "one" : "all", calls,
		atomic_load(&scenario_done), atomic_load(&scenario_refused));
	for (int i = 0; i < REFUSALS; i++)
		if (kinds & REFUSE(i))
			printf("  %s %ld\n", refusal_names[i],
				refused(REFUSE(i)));
	for (int i = 0; i < REFUSALS && STEP == 1; i++)
		if (kinds & REFUSE(i))
			assert_true(refused(REFUSE(i)) > 0);
	assert_true(atomic_load(&scenario_done) > 0);
	if (kinds & REFUSE_MEMORY && STEP == 1)
		assert_true(atomic_load(&scenario_refused) > 0);
	deadline(0);
}
