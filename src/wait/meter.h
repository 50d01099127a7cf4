/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * meter.h -- whether the polls of a pass do work
 *
 * A poll that takes long does the future's work, and should be repeated
 * without a pause. A short poll only looks. The meter reads the clock after
 * each poll of a pass, so it finds one poll that works among many that look.
 *
 * Threads: one at a time.
 */

#ifndef LIBMINIASYNC_METER_H
#define LIBMINIASYNC_METER_H 1

#include <stdbool.h>
#include <stdint.h>

struct mia_meter {
	uint64_t clock_ns; /* duration of one look at the clock */
	uint64_t last_ns;  /* time of the last look */
	uint64_t all_ns;   /* duration of all polls, looks included */
	uint64_t work_ns;  /* duration of the polls that did work */
};

/* Looks at the clock twice, to find out how long a look takes. */
void mia_meter_init(struct mia_meter *meter);

/* A pass begins. Whatever is done between passes does not count. */
void mia_meter_begin(struct mia_meter *meter);

/* A poll has returned. */
void mia_meter_count(struct mia_meter *meter);

/*
 * Whether a quarter of the time of this pass went into polls that do work. One
 * poll among many that an interrupt made long does not suffice.
 */
static inline bool
mia_meter_works(const struct mia_meter *meter)
{
	return meter->work_ns > 0 && meter->work_ns * 4 >= meter->all_ns;
}

#endif /* LIBMINIASYNC_METER_H */
