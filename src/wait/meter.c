/* SPDX-License-Identifier: BSD-3-Clause */

/* meter.c -- see meter.h */

#include "wait/meter.h"

#include "system/platform.h"

/* A poll of this duration or longer counts as work. */
#define WORK_NS UINT64_C(500)

/* Two reads. Between them the thread may lose its CPU. */
static void
measure_clock(struct mia_meter *meter)
{
	const uint64_t first_ns = mia_clock_ns();

	meter->last_ns = mia_clock_ns();
	meter->clock_ns = meter->last_ns - first_ns;
}

void
mia_meter_init(struct mia_meter *meter)
{
	measure_clock(meter);
	meter->all_ns = 0;
	meter->work_ns = 0;
}

void
mia_meter_begin(struct mia_meter *meter)
{
	meter->last_ns = mia_clock_ns();
	meter->all_ns = 0;
	meter->work_ns = 0;
}

void
mia_meter_count(struct mia_meter *meter)
{
	const uint64_t now = mia_clock_ns();
	const uint64_t ns = now - meter->last_ns;

	if (ns >= WORK_NS + meter->clock_ns)
		meter->work_ns += ns - meter->clock_ns;
	meter->all_ns += ns;
	meter->last_ns = now;
	/* ns contains a read. If it seems shorter, work would be overlooked. */
	if (ns < meter->clock_ns)
		measure_clock(meter);
}
