/* SPDX-License-Identifier: BSD-3-Clause */

/* reaping.c -- see reaping.h */

#include "reaping.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__linux__)
#include <poll.h>
#endif

#include "stage.h"

#define MAX_OUT 32

void
queue_make(struct queue *queue)
{
	memset(queue->has_silent, 0, sizeof(queue->has_silent));
	queue->nfutures = 0;
	queue->cq = completion_queue_new();
	if (queue->cq == NULL)
		abort();
}

void
queue_delete(struct queue *queue)
{
	completion_queue_delete(queue->cq);
	for (size_t i = 0; i < QUEUE_SILENT; i++)
		if (queue->has_silent[i] &&
			FUTURE_STATE(&queue->silent[i]) !=
				FUTURE_STATE_COMPLETE)
			queue->wrong = "a silent future is not complete after "
				       "its queue was deleted";
}

void
queue_add(struct queue *queue, struct future *fut, void *user_data)
{
	if (completion_queue_add(queue->cq, fut, user_data) != 0)
		queue->wrong = "completion_queue_add() failed";
	queue->nfutures++;
}

static enum future_state
silent_task(struct future_context *context, struct future_notifier *n)
{
	struct silent_data *data = future_context_get_data(context);

	(void)n;
	return data->left-- > 0 ? FUTURE_STATE_RUNNING : FUTURE_STATE_COMPLETE;
}

void
queue_add_silent(struct queue *queue, uint64_t number)
{
	struct silent_future *silent = &queue->silent[number % QUEUE_SILENT];
	bool *has = &queue->has_silent[number % QUEUE_SILENT];

	if (*has)
		return;

	*has = true;
	silent->data.left = (number >> 8) % 12;
	FUTURE_INIT(silent, silent_task);
	queue_add(queue, FUTURE_AS_RUNNABLE(silent), NULL);
}

static void
finish_silent(struct queue *queue, const struct future *fut)
{
	for (size_t i = 0; i < QUEUE_SILENT; i++) {
		const struct silent_future *silent = &queue->silent[i];

		if (fut != FUTURE_AS_RUNNABLE(silent) || !queue->has_silent[i])
			continue;
		if (silent->data.left != UINT64_MAX)
			queue->wrong =
				"wrong number of polls of a silent future";
		queue->has_silent[i] = false;
		return;
	}

	queue->wrong = "a queue returned a future that was not added";
}

/* Waits for the descriptor alone, if the system has one. */
static void
await_descriptor(struct queue *queue)
{
#if defined(__linux__)
	struct pollfd fd = {
		.fd = completion_queue_fd(queue->cq), .events = POLLIN};
	const time_t deadline = time(NULL) + STAGE_STALL_S;
	int n = -1;

	/* A signal may interrupt it. */
	while (fd.fd >= 0 && n < 0 && time(NULL) < deadline)
		n = poll(&fd, 1, STAGE_STALL_S * 1000);
	if (n != 1)
		queue->wrong = "the descriptor does not become readable";
#else
	if (completion_queue_fd(queue->cq) >= 0)
		queue->wrong = "a descriptor on this system";
#endif
}

static size_t
wait_some(struct queue *queue, uint64_t number, struct completion *out,
	size_t max)
{
	static const int64_t fixed_ns[] = {0, -1};
	const size_t nwanted = (size_t)(number >> 8) % (MAX_OUT + 1);
	const int64_t timeout_ns = (number & 1) == 0
		? fixed_ns[number >> 1 & 1]
		: (int64_t)(number >> 16) % 300000;
	const size_t n =
		completion_queue_wait(queue->cq, out, max, nwanted, timeout_ns);

	if (timeout_ns < 0 && n < max && n < nwanted && n < queue->nfutures)
		queue->wrong = "a wait of a queue returned too early";
	return n;
}

/* Only by the descriptor: a lost wake is found. */
static size_t
reap_one_at_least(struct queue *queue, struct completion *out, size_t max)
{
	const time_t deadline = time(NULL) + STAGE_STALL_S;
	size_t n = 0;

	while (n == 0 && max > 0 && queue->nfutures > 0 &&
		queue->wrong == NULL) {
		await_descriptor(queue);
		n = completion_queue_reap(queue->cq, out, max);
		if (n == 0 && time(NULL) > deadline)
			queue->wrong = "the descriptor is readable, but no "
				       "future is complete";
	}

	return n;
}

void
queue_reap(struct queue *queue, uint64_t number,
	void (*done)(const struct completion *completion, void *arg), void *arg)
{
	struct completion out[MAX_OUT];
	const size_t max = (size_t)(number >> 8) % (MAX_OUT + 1);
	size_t n = 0;

	switch (number & 3) {
	case 0:
		n = wait_some(queue, number >> 16, out, max);
		break;
	case 1:
		n = reap_one_at_least(queue, out, max);
		break;
	default:
		n = completion_queue_reap(queue->cq, out, max);
		break;
	}

	if (n > max)
		abort();
	queue->nfutures -= n;
	queue->nreaped += n;
	if (completion_queue_pending(queue->cq) != queue->nfutures)
		queue->wrong = "wrong number of pending futures";
	for (size_t i = 0; i < n; i++) {
		if (out[i].future->context.state != FUTURE_STATE_COMPLETE)
			queue->wrong = "a queue returned a future that is not "
				       "complete";
		if (out[i].user_data == NULL)
			finish_silent(queue, out[i].future);
		else
			done(&out[i], arg);
	}
}
