/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * basic.c -- the first program to read: one copy, several copies, a chain
 *
 *	cc basic.c $(pkg-config --cflags --libs libminiasync) && ./a.out
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libminiasync.h>

#define PARTS 8
#define PART_SIZE ((size_t)1 << 16)

/* 1. One copy: make a mover, make a future, poll it until it is complete. */
static int
copy_one(struct vdm *vdm)
{
	char hello[] = "Hello, future!", copy[sizeof(hello)] = "";
	struct vdm_operation_future f =
		vdm_memcpy(vdm, copy, hello, sizeof(hello), 0);

	FUTURE_BUSY_POLL(&f);
	if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
		return -1;
	printf("one copy: %s\n", copy);
	return 0;
}

/* 2. Several copies at once: a runtime polls them and sleeps in between. */
static int
copy_many(struct vdm *vdm, char *dst, const char *src)
{
	struct vdm_operation_future copies[PARTS];
	struct future *futs[PARTS];
	struct runtime *runtime = runtime_new();

	if (runtime == NULL)
		return -1;
	for (size_t i = 0; i < PARTS; i++) {
		copies[i] = vdm_memcpy(vdm, dst + i * PART_SIZE,
			src + i * PART_SIZE, PART_SIZE, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&copies[i]);
	}
	runtime_wait_multiple(runtime, futs, PARTS);
	runtime_delete(runtime);
	for (size_t i = 0; i < PARTS; i++)
		if (FUTURE_OUTPUT(&copies[i])->result != VDM_SUCCESS)
			return -1;
	if (memcmp(dst, src, PARTS * PART_SIZE) != 0)
		return -1;
	printf("%d copies of %zu bytes: equal\n", PARTS, PART_SIZE);
	return 0;
}

/* 3. A future of our own: one poll adds up the bytes of a buffer. */
struct sum_data {
	const unsigned char *buf; /* NULL: the copy failed */
	size_t n;
};
FUTURE(sum_future, struct sum_data, unsigned long);

static enum future_state
sum_task(struct future_context *context, struct future_notifier *notifier)
{
	struct sum_data *data = future_context_get_data(context);
	unsigned long *sum = future_context_get_output(context);
	(void)notifier; /* not needed: the first poll completes */
	*sum = 0;
	for (size_t i = 0; data->buf != NULL && i < data->n; i++)
		*sum += data->buf[i];
	return FUTURE_STATE_COMPLETE;
}

/* A chain runs its entries one after the other, as one future. */
struct copy_and_sum_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, copy);
	FUTURE_CHAIN_ENTRY_LAST(struct sum_future, sum);
};
FUTURE(copy_and_sum, struct copy_and_sum_data, unsigned long);

/* After the copy: passes its destination to the sum. */
static void
copy_to_sum(struct future_context *copy, struct future_context *sum, void *arg)
{
	struct vdm_operation_output *out = future_context_get_output(copy);
	struct sum_data *data = future_context_get_data(sum);

	(void)arg;
	if (out->result == VDM_SUCCESS)
		data->buf = out->output.memcpy.dest;
}

/* After the sum: copies its output to the chain. */
static void
sum_to_chain(
	struct future_context *sum, struct future_context *chain, void *arg)
{
	unsigned long *from = future_context_get_output(sum);
	unsigned long *to = future_context_get_output(chain);

	(void)arg;
	*to = *from;
}

static int
copy_then_sum(struct vdm *vdm, char *dst, const char *src, size_t n)
{
	struct sum_future sum = {.data = {NULL, n}};
	struct copy_and_sum chain;

	FUTURE_INIT(&sum, sum_task);
	FUTURE_CHAIN_ENTRY_INIT(&chain.data.copy,
		vdm_memcpy(vdm, dst, src, n, 0), copy_to_sum, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&chain.data.sum, sum, sum_to_chain, NULL);
	FUTURE_CHAIN_INIT(&chain);
	FUTURE_BUSY_POLL(&chain);
	/* A chain continues after a failure, so check the copy here. */
	if (FUTURE_OUTPUT(&chain.data.copy.fut)->result != VDM_SUCCESS)
		return -1;
	printf("copy, then sum: %lu\n", *FUTURE_OUTPUT(&chain));
	return 0;
}

int
main(int argc, char *argv[])
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		puts("usage: basic\n"
		     "Makes one copy, 8 copies at once, and a chain of a copy "
		     "and a sum.\n"
		     "  --help  print this help\n"
		     "Example: basic");
		return EXIT_SUCCESS;
	}
	if (argc > 1) {
		fprintf(stderr,
			"basic: '%s': unexpected argument\n"
			"usage: basic\n",
			argv[1]);
		return 2;
	}

	struct data_mover_threads *dmt = data_mover_threads_default();
	char *src = malloc(PARTS * PART_SIZE);
	char *dst = malloc(PARTS * PART_SIZE);
	int ret = -1;

	if (dmt != NULL && src != NULL && dst != NULL) {
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);

		memset(src, 1, PARTS * PART_SIZE);
		ret = copy_one(vdm) || copy_many(vdm, dst, src) ||
			copy_then_sum(vdm, dst, src, PART_SIZE);
	}
	if (ret != 0)
		fputs("basic: out of memory, or a copy failed\n", stderr);

	free(dst);
	free(src);
	data_mover_threads_delete(dmt);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
