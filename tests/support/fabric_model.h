/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_model.h -- a window and local memory, and a model of both, for
 * operations in each direction
 */

#ifndef LIBMINIASYNC_TEST_FABRIC_MODEL_H
#define LIBMINIASYNC_TEST_FABRIC_MODEL_H 1

#include "test.h"

#include "fabric_pair.h"
#include "operation.h"

#define MIB (1024 * KIB)
#define ARENA (6 * MIB)

/* Both threads; without the one, the other, and both. */
static const struct pair_of kinds[] = {
	{.size = ARENA},
	{.size = ARENA, .no_mover_thread = true},
	{.size = ARENA, .no_region_thread = true},
	{.size = ARENA, .no_mover_thread = true, .no_region_thread = true},
};

/* Of sizes, distances and kinds, a sanitizer gets one in three. */
#define STEP (TEST_SLOWDOWN > 1 ? 3 : 1)

#define KINDS (sizeof(kinds) / sizeof(*kinds))

/* What was moved is compared with a model of the window and of the rest. */
struct model {
	struct pair pair;
	char *local;
	char *want_local;
	char *want_memory;
};

static inline void
model_init(struct model *m, struct pair_of of, uint64_t *seed)
{
	pair_init(&m->pair, of);
	m->local = malloc(of.size);
	m->want_local = malloc(of.size);
	m->want_memory = malloc(of.size);
	assert_true(m->local != NULL && m->want_local != NULL &&
		m->want_memory != NULL);
	for (size_t i = 0; i + 8 <= of.size; i += 8) {
		const uint64_t a = test_random(seed), b = test_random(seed);

		memcpy(m->local + i, &a, 8);
		memcpy(m->pair.memory + i, &b, 8);
	}
	memcpy(m->want_local, m->local, of.size);
	memcpy(m->want_memory, m->pair.memory, of.size);
}

static inline void
model_fini(struct model *m)
{
	pair_fini(&m->pair);
	free(m->local);
	free(m->want_local);
	free(m->want_memory);
}

static inline void
model_check(struct model *m, const char *what, size_t n)
{
	if (memcmp(m->local, m->want_local, m->pair.size) != 0)
		fail_msg("%s of %zu bytes: local memory", what, n);
	if (memcmp(m->pair.memory, m->want_memory, m->pair.size) != 0)
		fail_msg("%s of %zu bytes: the region", what, n);
}

enum way { LOCAL, PUT, GET, RELAY, SET_LOCAL, SET };

#define WAYS (SET + 1)
static const char *const way_names[WAYS] = {
	"local copy", "put", "get", "relay", "local set", "set"};

/* One operation and its model. */
static inline void
move(struct model *m, enum way way, enum vdm_operation_type type, size_t to,
	size_t from, size_t n, uint64_t flags)
{
	const bool to_window = way == PUT || way == RELAY || way == SET;
	const bool from_window = way == GET || way == RELAY;
	char *base = to_window ? m->pair.window : m->local;
	char *want = to_window ? m->want_memory : m->want_local;
	const char *source = from_window ? m->pair.window : m->local;
	const char *want_source = from_window ? m->want_memory : m->want_local;
	struct vdm_operation_future f = operation_new(m->pair.vdm, type,
		base + to, source + from, (int)(n * 31 + to), n, flags);

	pair_wait(&m->pair, FUTURE_AS_RUNNABLE(&f));
	if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
		fail_msg("%s of %zu bytes from %zu to %zu: %s, %s",
			way_names[way], n, from, to,
			vdm_result_string(FUTURE_OUTPUT(&f)->result),
			strerror(data_mover_fabric_error(m->pair.dmf)));
	assert_int_equal(FUTURE_OUTPUT(&f)->type, type);
	assert_ptr_equal(FUTURE_OUTPUT(&f)->output.memcpy.dest, base + to);
	if (type == VDM_OPERATION_MEMSET)
		memset(want + to, (int)(n * 31 + to), n);
	else
		memmove(want + to, want_source + from, n);
}

static inline enum vdm_operation_type
type_of(enum way way, bool moves)
{
	if (way == SET || way == SET_LOCAL)
		return VDM_OPERATION_MEMSET;
	return moves ? VDM_OPERATION_MEMMOVE : VDM_OPERATION_MEMCPY;
}

#endif /* LIBMINIASYNC_TEST_FABRIC_MODEL_H */
