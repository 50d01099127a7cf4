/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * meter.h -- whether the polls of a pass do work
 *
 * A long poll does the work of its future. It should be repeated without a
 * pause. A short poll only checks. The meter reads the clock after each poll of
 * a pass. So it finds one poll that works among many that only check.
 *
 * Threads: one at a time.
 */

#ifndef LIBMINIASYNC_METER_H
#define LIBMINIASYNC_METER_H 1

#include <stdbool.h>
#include <stdint.h>

struct mia_meter {
	uint64_t clock_ns; /* duration of one read of the clock */
	uint64_t last_ns;  /* time of the last read */
	uint64_t all_ns;   /* duration of all polls and reads */
	uint64_t work_ns;  /* duration of the polls that did work */
};

/* Reads the clock twice, to measure the duration of a read. */
void mia_meter_init(struct mia_meter *meter);

/* Call this when a pass begins. The time between passes does not count. */
void mia_meter_begin(struct mia_meter *meter);

/* Call this after each poll. */
void mia_meter_count(struct mia_meter *meter);

/*
 * Whether polls that do work took a quarter of the time of this pass. One poll
 * among many that an interrupt made long is not enough.
 */
static inline bool
mia_meter_works(const struct mia_meter *meter)
{
	return meter->work_ns > 0 && meter->work_ns * 4 >= meter->all_ns;
}

#endif /* LIBMINIASYNC_METER_H */
