/* SPDX-License-Identifier: BSD-3-Clause */

/* steps.h -- futures that take a number of polls, each with some work */

#ifndef LIBMINIASYNC_TEST_STEPS_H
#define LIBMINIASYNC_TEST_STEPS_H 1

#include "test.h"

#include <stdbool.h>

#include "libminiasync/future.h"

/* A future that takes a number of polls. A poll takes some turns of a loop. */
struct steps_data {
	unsigned polls;
	unsigned turns;
	enum future_notifier_type answer; /* of the first poll */
	bool answered;
	void (*at_end)(void); /* called by the last poll */
	volatile uint64_t sum;
};

FUTURE(steps_future, struct steps_data, char);

static inline enum future_state
steps_task(struct future_context *context, struct future_notifier *n)
{
	struct steps_data *data = future_context_get_data(context);

	if (!data->answered && n != NULL)
		n->notifier_used = data->answer;
	data->answered = true;
	for (unsigned i = 0; i < data->turns; i++)
		data->sum = data->sum * 31 + i;
	if (data->polls > 0)
		data->polls--;
	if (data->polls > 0)
		return FUTURE_STATE_RUNNING;
	if (data->at_end != NULL)
		data->at_end();
	return FUTURE_STATE_COMPLETE;
}

static inline struct steps_future
steps(unsigned polls, unsigned turns)
{
	struct steps_future f;

	memset(&f, 0, sizeof(f));
	f.data.polls = polls;
	f.data.turns = turns;
	FUTURE_INIT(&f, steps_task);
	return f;
}

#endif /* LIBMINIASYNC_TEST_STEPS_H */
