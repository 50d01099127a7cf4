/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * first_of.c -- uses the first answer of several replicas, if it is in time
 *
 *	cc -O2 first_of.c $(pkg-config --cflags --libs libminiasync) -o first_of
 *	./first_of [MILLISECONDS]
 *
 * Three replicas have the same block. The program asks all of them, and uses
 * the block of the first replica that answers within MILLISECONDS. The other
 * futures continue, and the program waits for them before it frees their
 * memory.
 *
 * In place of a network, each replica is a thread that answers after a delay.
 */

#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libminiasync.h>

#define REPLICAS 3
#define BLOCK_BYTES ((size_t)1 << 20)
#define DEFAULT_MS 20
#define MAX_MS 1000000
#define NS_PER_MS 1000000

static const long answer_ms[REPLICAS] = {80, 5, 40};

struct replica {
	long answer_ns;
	pthread_t thread;
	pthread_mutex_t lock;
	int has_answered;          /* under the lock */
	struct future_waker waker; /* under the lock */
};

/* Complete once the replica has answered. */
FUTURE(answer_future, struct replica *, char);

/* Waits for the answer, then copies its block to the program's buffer. */
struct read_data {
	FUTURE_CHAIN_ENTRY(struct answer_future, answer);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, copy);
};
FUTURE(read_future, struct read_data, char);

static void *
answer_later(void *arg)
{
	struct replica *replica = arg;
	const struct timespec delay = {.tv_nsec = replica->answer_ns};

	nanosleep(&delay, NULL);
	pthread_mutex_lock(&replica->lock);
	replica->has_answered = 1;
	if (replica->waker.wake != NULL)
		FUTURE_WAKER_WAKE(&replica->waker);
	pthread_mutex_unlock(&replica->lock);
	return NULL;
}

static enum future_state
answer_task(struct future_context *context, struct future_notifier *n)
{
	struct replica **data = future_context_get_data(context);
	struct replica *replica = *data;

	/* Each wait passes another waker, which replaces the old waker. */
	pthread_mutex_lock(&replica->lock);

	const int has_answered = replica->has_answered;

	if (n != NULL) {
		replica->waker = n->waker;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	}
	pthread_mutex_unlock(&replica->lock);
	return has_answered ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

/* Asks all replicas. Returns the number of threads. */
static size_t
ask(struct replica replicas[], struct read_future reads[], struct vdm *vdm,
	char *blocks, const char *stored)
{
	for (size_t i = 0; i < REPLICAS; i++) {
		struct replica *replica = &replicas[i];
		struct answer_future answer = {.data = replica};
		struct vdm_operation_future copy = vdm_memcpy(
			vdm, blocks + i * BLOCK_BYTES, stored, BLOCK_BYTES, 0);

		replica->answer_ns = answer_ms[i] * NS_PER_MS;
		pthread_mutex_init(&replica->lock, NULL);
		if (pthread_create(
			    &replica->thread, NULL, answer_later, replica) != 0)
			return i;
		FUTURE_INIT(&answer, answer_task);
		FUTURE_CHAIN_ENTRY_INIT(
			&reads[i].data.answer, answer, NULL, NULL);
		FUTURE_CHAIN_ENTRY_INIT(&reads[i].data.copy, copy, NULL, NULL);
		FUTURE_CHAIN_INIT(&reads[i]);
	}
	return REPLICAS;
}

static int
has_block(struct read_future *read)
{
	return FUTURE_STATE(read) == FUTURE_STATE_COMPLETE &&
		FUTURE_OUTPUT(&read->data.copy.fut)->result == VDM_SUCCESS;
}

static int
run(struct runtime *runtime, struct vdm *vdm, char *blocks, const char *stored,
	int64_t timeout_ms)
{
	static struct replica replicas[REPLICAS];
	static struct read_future reads[REPLICAS];
	struct future *futs[REPLICAS];
	const size_t n = ask(replicas, reads, vdm, blocks, stored);
	size_t nblocks = 0;

	for (size_t i = 0; i < n; i++)
		futs[i] = FUTURE_AS_RUNNABLE(&reads[i]);

	if (runtime_wait_some(runtime, futs, n, 1, timeout_ms * NS_PER_MS) == 0)
		printf("no answer within %lld ms\n", (long long)timeout_ms);
	for (size_t i = 0; i < n; i++)
		if (has_block(&reads[i]))
			printf("replica %zu answered in time\n", i);

	/* The others continue. Their memory stays until they complete. */
	runtime_wait_multiple(runtime, futs, n);
	for (size_t i = 0; i < n; i++) {
		pthread_join(replicas[i].thread, NULL);
		if (has_block(&reads[i]) &&
			memcmp(blocks + i * BLOCK_BYTES, stored, BLOCK_BYTES) ==
				0)
			nblocks++;
	}
	printf("%zu of %d replicas sent the block\n", nblocks, REPLICAS);
	return nblocks == REPLICAS ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Returns the milliseconds for this argument, or -1 if it is wrong. */
static int64_t
parse_ms(const char *text)
{
	char *end;
	const unsigned long ms = strtoul(text, &end, 10);
	const int is_number = isdigit((unsigned char)*text) && *end == '\0';

	return is_number && ms <= MAX_MS ? (int64_t)ms : -1;
}

int
main(int argc, char *argv[])
{
	static const char usage[] = "usage: first_of [MILLISECONDS]\n";
	const int64_t timeout_ms = argc > 1 ? parse_ms(argv[1]) : DEFAULT_MS;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("%sWaits for the first of three answers, at most "
		       "MILLISECONDS.\n"
		       "  MILLISECONDS  timeout in ms, 0 to %d; default: %d\n"
		       "  --help        print this help\n"
		       "Example: first_of 100\n",
			usage, MAX_MS, DEFAULT_MS);
		return EXIT_SUCCESS;
	}
	if (argc > 2 || timeout_ms < 0) {
		fprintf(stderr,
			"first_of: '%s': not a valid argument; see first_of "
			"--help\n%s",
			argv[timeout_ms < 0 ? 1 : 2], usage);
		return 2;
	}

	struct data_mover_threads *dmt = data_mover_threads_default();
	struct runtime *runtime = runtime_new();
	char *stored = malloc(BLOCK_BYTES);
	char *blocks = malloc(REPLICAS * BLOCK_BYTES);
	int status = EXIT_FAILURE;

	if (dmt == NULL || runtime == NULL || stored == NULL ||
		blocks == NULL) {
		perror("first_of");
	} else {
		memset(stored, 7, BLOCK_BYTES);
		status = run(runtime, data_mover_threads_get_vdm(dmt), blocks,
			stored, timeout_ms);
	}

	free(blocks);
	free(stored);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return status;
}
