/* SPDX-License-Identifier: BSD-3-Clause */

/* count_future.h -- a future that is complete after a given number of polls */

#ifndef LIBMINIASYNC_TEST_COUNT_FUTURE_H
#define LIBMINIASYNC_TEST_COUNT_FUTURE_H 1

#include <string.h>

#include "libminiasync/future.h"

/* A future that takes `left` polls, then puts in + 1 into its output. */
struct count_data {
	int left;
	int in;
};

struct count_output {
	int out;
};

FUTURE(count_future, struct count_data, struct count_output);

static inline enum future_state
count_task(struct future_context *context, struct future_notifier *notifier)
{
	struct count_data *data = future_context_get_data(context);
	struct count_output *output = future_context_get_output(context);

	if (data->left-- > 0) {
		if (notifier != NULL)
			notifier->notifier_used = FUTURE_NOTIFIER_WAKER;
		return FUTURE_STATE_RUNNING;
	}
	output->out = data->in + 1;
	return FUTURE_STATE_COMPLETE;
}

static inline int
always(void *future, enum future_property property)
{
	(void)future;
	return property == FUTURE_PROPERTY_ASYNC ? 8 : 0;
}

static inline struct count_future
count(int left, int in)
{
	struct count_future f;

	memset(&f, 0xee, sizeof(f));
	f.data.left = left;
	f.data.in = in;
	FUTURE_INIT(&f, count_task);
	return f;
}

static inline struct count_future
count_async(int left, int in)
{
	struct count_future f = count(left, in);

	FUTURE_INIT_EXT(&f, count_task, always);
	return f;
}

#endif /* LIBMINIASYNC_TEST_COUNT_FUTURE_H */
