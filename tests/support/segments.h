/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * segments.h -- lists of segments for vdm_memcpyv(), and the same copies by a
 * plain loop
 */

#ifndef LIBMINIASYNC_TEST_SEGMENTS_H
#define LIBMINIASYNC_TEST_SEGMENTS_H 1

#include "test.h"

#include "libminiasync/vdm.h"

/* Each list is memory of its own, so that ASan sees a look behind its end. */
struct segments {
	struct vdm_segment *list;
	size_t n;
	size_t bytes; /* of each of these: */
	unsigned char *src, *dst, *want;
};

static inline void *
segments_memory(size_t n)
{
	void *memory = malloc(n);

	assert_non_null(memory);
	return memory;
}

/* A byte that no source has: theirs are below 0x80. */
#define SEGMENTS_UNTOUCHED 0xee

/* Eight bytes of one number: tests fill many MiB. */
static inline void
segments_fill(unsigned char *src, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		const uint64_t bytes =
			test_random(seed) & UINT64_C(0x7f7f7f7f7f7f7f7f);
		const size_t left = n - i;

		memcpy(src + i, &bytes, left < 8 ? left : 8);
	}
}

static inline void
segments_reset(struct segments *s)
{
	memset(s->dst, SEGMENTS_UNTOUCHED, s->bytes);
}

/*
 * The n sizes are the caller's. Destinations are in random order, with gaps;
 * sources may overlap.
 */
static inline struct segments
segments_of(const size_t sizes[], size_t n, uint64_t *seed)
{
	struct segments s = {.n = n, .bytes = 16};

	for (size_t i = 0; i < n; i++)
		s.bytes += sizes[i] + 16;
	s.list = segments_memory(n * sizeof(*s.list));
	s.src = segments_memory(s.bytes);
	s.dst = segments_memory(s.bytes);
	s.want = segments_memory(s.bytes);
	segments_fill(s.src, s.bytes, seed);

	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		const size_t from =
			test_random(seed) % (s.bytes - sizes[i] + 1);

		to += test_random(seed) % 17;
		s.list[i] = (struct vdm_segment){
			s.dst + to, s.src + from, sizes[i]};
		to += sizes[i];
	}
	for (size_t i = n; i > 1; i--) {
		const size_t other = test_random(seed) % i;
		const struct vdm_segment last = s.list[i - 1];

		s.list[i - 1] = s.list[other];
		s.list[other] = last;
	}

	segments_reset(&s);
	memcpy(s.want, s.dst, s.bytes);
	for (size_t i = 0; i < n; i++)
		memcpy(s.want + ((unsigned char *)s.list[i].dest - s.dst),
			s.list[i].src, s.list[i].n);
	return s;
}

/* Empty ones, some of a few bytes, and some of up to max. */
static inline struct segments
segments_random(size_t n, size_t max, uint64_t *seed)
{
	size_t *sizes = segments_memory(n * sizeof(*sizes));

	for (size_t i = 0; i < n; i++) {
		const size_t kind = test_random(seed) % 8;

		sizes[i] = kind == 0 ? 0
				     : test_random(seed) %
				((kind < 5 && max > 65 ? 65 : max) + 1);
	}

	const struct segments s = segments_of(sizes, n, seed);

	free(sizes);
	return s;
}

/* No byte differs from the loop's, nor from before if nothing was to be. */
static inline void
segments_check(const struct segments *s)
{
	if (memcmp(s->dst, s->want, s->bytes) == 0)
		return;

	size_t at = 0;

	while (s->dst[at] == s->want[at])
		at++;
	fail_msg("%zu segments: wrong at %zu of %zu", s->n, at, s->bytes);
}

static inline void
segments_check_untouched(const struct segments *s)
{
	for (size_t i = 0; i < s->bytes; i++)
		assert_int_equal(s->dst[i], SEGMENTS_UNTOUCHED);
}

static inline void
segments_free(struct segments *s)
{
	free(s->list);
	free(s->src);
	free(s->dst);
	free(s->want);
}

#endif /* LIBMINIASYNC_TEST_SEGMENTS_H */
