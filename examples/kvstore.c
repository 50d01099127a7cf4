/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * kvstore.c -- a key-value store in memory
 *
 *	cc kvstore.c $(pkg-config --cflags --libs libminiasync) -o kvstore
 *	printf 'put k some value\nget k\ndel k\nget k\n' | ./kvstore
 *	ok
 *	some value
 *	ok
 *	not found
 *
 * Each command is a chain of futures: look the key up, reserve memory, copy.
 * The copies are made by worker threads, of up to 64 commands at once; all
 * else runs in the one thread that waits, so the table needs no lock. Commands
 * on the same key are never in the same batch: they take effect in order.
 */

#define _GNU_SOURCE

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libminiasync.h>

#define BATCH 64
#define KEY_MAX 200
#define VALUE_MAX ((size_t)16 << 20)
#define SHOWN_MAX 200 /* bytes; of longer values the size and a checksum */

struct entry {
	struct entry *next; /* in its bucket */
	uint64_t hash;
	char *value;
	size_t size;
	char key[];
};

static struct {
	struct entry **buckets;
	size_t nbuckets; /* a power of two */
	size_t count, bytes;
	size_t limit; /* bytes that values may take */
	size_t grown;
} store;

static struct vdm *mover;

struct command {
	enum { PUT, GET, DEL } verb;
	char key[KEY_MAX + 1];
	uint64_t hash;
	char *input; /* PUT: the value; GET: where it is copied to */
	size_t size;
	struct entry *entry; /* that was found */
	struct entry *fresh; /* PUT: the one that will be there */
	const char *error;
};

/* The chain of a command. */
FUTURE(step, struct command *, char);

struct request_data {
	FUTURE_CHAIN_ENTRY(struct step, lookup);
	FUTURE_CHAIN_ENTRY(struct step, reserve);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, copy);
	struct command command;
};

FUTURE(request, struct request_data, char);

/* FNV-1a; simple, and good enough where nobody chooses keys to collide. */
static uint64_t
hash_of(const char *key)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
	return hash;
}

/* Where the pointer to the key's entry is, or would be. */
static struct entry **
find(const char *key, uint64_t hash)
{
	struct entry **at = &store.buckets[hash & (store.nbuckets - 1)];

	while (*at != NULL &&
		((*at)->hash != hash || strcmp((*at)->key, key) != 0))
		at = &(*at)->next;
	return at;
}

/* Twice the buckets; without memory for them the chains just get longer. */
static void
grow(void)
{
	const size_t n = 2 * store.nbuckets;
	struct entry **buckets = calloc(n, sizeof(*buckets));

	if (buckets == NULL)
		return;
	for (size_t i = 0; i < store.nbuckets; i++)
		while (store.buckets[i] != NULL) {
			struct entry *entry = store.buckets[i];

			store.buckets[i] = entry->next;
			entry->next = buckets[entry->hash & (n - 1)];
			buckets[entry->hash & (n - 1)] = entry;
		}
	free(store.buckets);
	store.buckets = buckets;
	store.nbuckets = n;
	store.grown++;
}

static void
entry_free(struct entry *entry)
{
	if (entry != NULL)
		free(entry->value);
	free(entry);
}

static void
unlink_entry(const struct command *command)
{
	struct entry **at = find(command->key, command->hash);
	struct entry *entry = *at;

	*at = entry->next;
	store.count--;
	store.bytes -= entry->size;
	entry_free(entry);
}

static enum future_state
lookup_task(struct future_context *context, struct future_notifier *n)
{
	struct command *c =
		*(struct command **)future_context_get_data(context);

	(void)n;
	c->entry = *find(c->key, c->hash);
	if (c->entry == NULL && c->verb != PUT)
		c->error = "not found";
	return FUTURE_STATE_COMPLETE;
}

/* Memory for what is copied. The bytes of a batch count before they are there.
 */
static enum future_state
reserve_task(struct future_context *context, struct future_notifier *n)
{
	struct command *c =
		*(struct command **)future_context_get_data(context);

	(void)n;
	if (c->error != NULL)
		return FUTURE_STATE_COMPLETE;

	if (c->verb == GET) {
		c->size = c->entry->size;
		c->input = malloc(c->size + 1);
		if (c->input == NULL)
			c->error = "out of memory";
	} else if (c->verb == PUT) {
		if (c->size <= store.limit - store.bytes)
			c->fresh = calloc(
				1, sizeof(*c->fresh) + strlen(c->key) + 1);
		if (c->fresh != NULL)
			c->fresh->value = malloc(c->size + 1);
		if (c->fresh == NULL || c->fresh->value == NULL) {
			c->error = "out of memory";
		} else {
			store.bytes += c->size;
			c->fresh->size = c->size;
			c->fresh->hash = c->hash;
			strcpy(c->fresh->key, c->key);
		}
	}
	return FUTURE_STATE_COMPLETE;
}

/* Called when the chain comes to the copy. */
static void
init_copy(void *future, struct future_context *chain, void *arg)
{
	const struct command *c = arg;
	char *to = NULL, *from = NULL;
	size_t size = 0;

	(void)chain;
	if (c->error == NULL && c->verb == PUT) {
		to = c->fresh->value;
		from = c->input;
		size = c->size;
	} else if (c->error == NULL && c->verb == GET) {
		to = c->input;
		from = c->entry->value;
		size = c->size;
	}
	*(struct vdm_operation_future *)future =
		vdm_memcpy(mover, to, from, size, 0);
}

/* The copy is done: the command takes effect. */
static void
commit(struct future_context *copy, struct future_context *chain, void *arg)
{
	const struct vdm_operation_output *output =
		future_context_get_output(copy);
	struct command *c = arg;

	(void)chain;
	if (c->error == NULL && output->result != VDM_SUCCESS)
		c->error = "out of memory";
	if (c->error != NULL) {
		if (c->fresh != NULL && c->fresh->value != NULL)
			store.bytes -= c->fresh->size;
		entry_free(c->fresh);
		return;
	}
	if (c->verb != GET && c->entry != NULL)
		unlink_entry(c);
	if (c->verb == PUT) {
		struct entry **at = find(c->key, c->hash);

		*at = c->fresh;
		if (++store.count > store.nbuckets)
			grow();
	}
}

static void
request_init(struct request *r)
{
	struct request_data *data = FUTURE_DATA(r);
	struct command *c = &data->command;
	struct step lookup, reserve;

	c->hash = hash_of(c->key);
	lookup.data = reserve.data = c;
	FUTURE_INIT(&lookup, lookup_task);
	FUTURE_INIT(&reserve, reserve_task);
	FUTURE_CHAIN_ENTRY_INIT(&data->lookup, lookup, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&data->reserve, reserve, NULL, NULL);
	FUTURE_CHAIN_ENTRY_LAZY_INIT(&data->copy, init_copy, c, commit, c);
	FUTURE_CHAIN_INIT(r);
}

static void
answer(struct command *c)
{
	if (c->error != NULL) {
		puts(c->error);
	} else if (c->verb != GET) {
		puts("ok");
	} else if (c->size <= SHOWN_MAX) {
		fwrite(c->input, 1, c->size, stdout);
		putchar('\n');
	} else {
		uint32_t sum = 0;

		for (size_t i = 0; i < c->size; i++)
			sum = sum * 31 + (unsigned char)c->input[i];
		printf("%zu bytes, checksum %08x\n", c->size, (unsigned)sum);
	}
	free(c->input);
}

/* The commands that were read and not done yet. */
static struct request batch[BATCH];
static size_t nbatch;

static void
run_batch(struct runtime *runtime)
{
	struct future *futs[BATCH];

	for (size_t i = 0; i < nbatch; i++) {
		request_init(&batch[i]);
		futs[i] = FUTURE_AS_RUNNABLE(&batch[i]);
	}
	runtime_wait_multiple(runtime, futs, nbatch);
	for (size_t i = 0; i < nbatch; i++)
		answer(&FUTURE_DATA(&batch[i])->command);
	nbatch = 0;
	fflush(stdout);
}

/* A place in the batch for a command on this key. */
static struct command *
add_command(struct runtime *runtime, const char *key)
{
	bool is_there = nbatch == BATCH;

	for (size_t i = 0; i < nbatch; i++)
		is_there |=
			strcmp(FUTURE_DATA(&batch[i])->command.key, key) == 0;
	if (is_there)
		run_batch(runtime);

	struct command *c = &FUTURE_DATA(&batch[nbatch++])->command;

	memset(c, 0, sizeof(*c));
	strcpy(c->key, key);
	return c;
}

static void
show_stats(void)
{
	size_t longest = 0;

	for (size_t i = 0; i < store.nbuckets; i++) {
		size_t n = 0;

		for (struct entry *e = store.buckets[i]; e != NULL; e = e->next)
			n++;
		if (n > longest)
			longest = n;
	}
	printf("%zu keys, %zu bytes, %zu buckets, grown %zu times, "
	       "longest chain %zu\n",
		store.count, store.bytes, store.nbuckets, store.grown, longest);
}

/* The next word of a line, ended; NULL: there is none. */
static char *
word(char **line)
{
	char *start = *line + strspn(*line, " \t");

	if (*start == '\0')
		return NULL;
	*line = start + strcspn(start, " \t");
	if (**line != '\0')
		*(*line)++ = '\0';
	return start;
}

static const char help[] =
	"put KEY VALUE   keep a value, which is the rest of the line\n"
	"fill KEY N CHAR keep N times a character, up to 16777216\n"
	"get KEY         show it; of more than 200 bytes, a checksum\n"
	"del KEY         forget it\n"
	"stats           what is kept\n"
	"help, quit\n";

/* Adds a command on a key to the batch. Returns NULL, or what is wrong. */
static const char *
key_command(struct runtime *runtime, const char *verb, char *rest)
{
	const char *key = word(&rest);
	char *value = NULL;
	size_t size = 0;

	if (strcmp(verb, "put") != 0 && strcmp(verb, "fill") != 0 &&
		strcmp(verb, "get") != 0 && strcmp(verb, "del") != 0)
		return "unknown command; try help";
	if (key == NULL)
		return "a key is needed";
	if (strlen(key) > KEY_MAX)
		return "the key is too long";

	if (*verb == 'p') {
		size = strlen(rest);
		value = size <= VALUE_MAX ? strdup(rest) : NULL;
	} else if (*verb == 'f') {
		const char *number = word(&rest), *character = word(&rest);
		char *end;

		if (character == NULL || !isdigit((unsigned char)*number))
			return "fill takes a key, a number and a character";
		size = strtoul(number, &end, 10);
		if (*end != '\0')
			return "fill takes a key, a number and a character";
		value = size <= VALUE_MAX ? malloc(size + 1) : NULL;
		if (value != NULL)
			memset(value, *character, size);
	} else if (word(&rest) != NULL) {
		return "one key is enough";
	}
	if (size > VALUE_MAX)
		return "the value is over 16 MiB";
	if (value == NULL && (*verb == 'p' || *verb == 'f'))
		return "out of memory";

	struct command *c = add_command(runtime, key);

	c->verb = *verb == 'g' ? GET : *verb == 'd' ? DEL : PUT;
	c->input = value;
	c->size = size;
	return NULL;
}

/* Reads commands to the end of the input, or quit. 0, or -1 with a message. */
static int
serve(struct runtime *runtime)
{
	const bool is_terminal = isatty(STDIN_FILENO);
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;

	for (;;) {
		if (is_terminal) {
			run_batch(runtime);
			fputs("> ", stdout);
			fflush(stdout);
		}
		length = getline(&line, &capacity, stdin);
		if (length < 0)
			break;
		if (length > 0 && line[length - 1] == '\n')
			line[length - 1] = '\0';

		char *rest = line;
		const char *verb = word(&rest);
		const char *wrong = NULL;

		if (verb == NULL || *verb == '#')
			continue;
		if (strcmp(verb, "quit") == 0)
			break;
		if (strcmp(verb, "stats") == 0) {
			run_batch(runtime);
			show_stats();
		} else if (strcmp(verb, "help") == 0) {
			run_batch(runtime);
			fputs(help, stdout);
		} else {
			wrong = key_command(runtime, verb, rest);
		}
		if (wrong != NULL) {
			run_batch(runtime); /* answers come in order */
			printf("error: %s\n", wrong);
		}
	}

	run_batch(runtime);
	free(line);
	if (fflush(stdout) == 0 && !ferror(stdout) && !ferror(stdin))
		return 0;
	fputs("kvstore: input or output failed\n", stderr);
	return -1;
}

int
main(int argc, char *argv[])
{
	store.limit = SIZE_MAX;
	if (argc == 3 && strcmp(argv[1], "--limit") == 0) {
		store.limit = strtoul(argv[2], NULL, 10);
	} else if (argc > 1) {
		printf("usage: kvstore [--limit BYTES] < COMMANDS\n%s", help);
		return strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
	}

	struct data_mover_threads *dmt = data_mover_threads_default();
	struct runtime *runtime = runtime_new();
	int ret = -1;

	store.nbuckets = 16;
	store.buckets = calloc(store.nbuckets, sizeof(*store.buckets));
	if (dmt == NULL || runtime == NULL || store.buckets == NULL) {
		fprintf(stderr, "kvstore: %s\n", strerror(errno));
	} else {
		mover = data_mover_threads_get_vdm(dmt);
		ret = serve(runtime);
	}

	for (size_t i = 0; i < store.nbuckets && store.buckets != NULL; i++)
		while (store.buckets[i] != NULL) {
			struct entry *next = store.buckets[i]->next;

			entry_free(store.buckets[i]);
			store.buckets[i] = next;
		}
	free(store.buckets);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
