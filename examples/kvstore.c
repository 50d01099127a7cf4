/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * kvstore.c -- a key-value store in memory
 *
 *	cc kvstore.c $(pkg-config --cflags --libs libminiasync) -o kvstore
 *	./kvstore
 *	> put k some value
 *	ok
 *	> get k
 *	some value
 *	> fill big 16777216 x
 *	ok
 *	> get big
 *	16777216 bytes, checksum 696ce7d6
 *	> del k
 *	ok
 *	> get k
 *	not found
 *
 * Each command is a chain of futures: look the key up, reserve memory, copy.
 * The copies are made by worker threads, of many commands at once; all else
 * runs in the one thread that waits, so the table needs no lock. Commands on
 * the same key are never in the same batch: they take effect in order.
 */

#define _GNU_SOURCE

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libminiasync.h>

#define KEY_MAX 200
#define VALUE_MAX ((size_t)16 << 20)
#define LINE_SIZE ((size_t)64 << 10) /* for longer values: fill, load */
#define SHOWN_MAX 200 /* bytes; of longer values the size and a checksum */
#define CHECKSUM_PRIME UINT64_C(4294967291)
#define BATCH_MAX 64
/* Bytes to copy and to replace; bounds what a batch needs beyond the store. */
#define BATCH_BYTES (4 * VALUE_MAX)

struct entry {
	struct entry *next; /* in its bucket */
	uint32_t hash;
	size_t size;
	char *value; /* behind the key */
	char key[];
};

static struct {
	struct entry **buckets;
	size_t nbuckets; /* a power of two */
	size_t count, bytes;
	size_t limit; /* bytes that values may take */
} store;

struct command {
	enum { PUT, FILL, LOAD, GET, DEL, STATS, HELP, QUIT, NVERBS } verb;
	char key[KEY_MAX + 1];
	char *bytes; /* its own: a value to put, or one that was got */
	size_t size;
	char fill;
	const char *error; /* if there is one, it is the answer */
	struct entry *found;
	struct entry *fresh; /* takes the place of found */
	char *to;            /* NULL: nothing to copy */
	const char *from;    /* NULL: fill */
};

/* A step of a command that is done in one poll. */
FUTURE(step, struct command *, char);

/* The chain of a command. */
struct request_data {
	FUTURE_CHAIN_ENTRY(struct step, lookup);
	FUTURE_CHAIN_ENTRY(struct step, reserve);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, copy);
	struct command command;
};

FUTURE(request, struct request_data, char);

static struct vdm *mover;

/* The commands that were read and are not done yet. */
static struct request batch[BATCH_MAX];
static size_t nbatch, batch_bytes;
static size_t ncommands, nbatches; /* done so far */

static const char no_memory[] = "error: out of memory";

/* FNV-1a; simple, and good enough where nobody chooses keys to collide. */
static uint32_t
hash_of(const char *key)
{
	uint32_t hash = 0x811c9dc5u;

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 0x01000193u;
	return hash;
}

/* Where the pointer to the key's entry is, or would be. */
static struct entry **
find(const char *key)
{
	const uint32_t hash = hash_of(key);
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
}

static struct command *
command_of(struct future_context *step)
{
	return *(struct command **)future_context_get_data(step);
}

static enum future_state
lookup_task(struct future_context *context, struct future_notifier *n)
{
	struct command *c = command_of(context);

	(void)n; /* completes at once: there is nothing to announce */
	c->found = *find(c->key);
	if (c->found == NULL && c->verb >= GET)
		c->error = "not found";
	return FUTURE_STATE_COMPLETE;
}

/* Memory to copy to. A value to put counts from here on. */
static enum future_state
reserve_task(struct future_context *context, struct future_notifier *n)
{
	struct command *c = command_of(context);
	const size_t key_size = strlen(c->key) + 1;

	(void)n;
	if (c->error != NULL || c->verb == DEL)
		return FUTURE_STATE_COMPLETE;
	if (c->verb == GET) {
		c->size = c->found->size;
		c->bytes = c->to = malloc(c->size + 1);
		c->from = c->found->value;
	} else if (c->size <= store.limit - store.bytes) {
		c->fresh = malloc(sizeof(*c->fresh) + key_size + c->size);
	}
	if (c->fresh != NULL) {
		store.bytes += c->size;
		c->fresh->hash = hash_of(c->key);
		c->fresh->size = c->size;
		memcpy(c->fresh->key, c->key, key_size);
		c->fresh->value = c->to = c->fresh->key + key_size;
		c->from = c->bytes;
	}
	if (c->to == NULL)
		c->error = no_memory;
	return FUTURE_STATE_COMPLETE;
}

/* Called when the chain comes to the copy: now it is known what to copy. */
static void
init_copy(void *future, struct future_context *chain, void *arg)
{
	struct vdm_operation_future *copy = future;
	const struct command *c = arg;

	(void)chain;
	if (c->to == NULL) {
		FUTURE_INIT_COMPLETE(copy);
		FUTURE_OUTPUT(copy)->result = VDM_SUCCESS;
	} else if (c->from != NULL) {
		*copy = vdm_memcpy(mover, c->to, c->from, c->size, 0);
	} else {
		*copy = vdm_memset(mover, c->to, c->fill, c->size, 0);
	}
}

/* The copy is done: the command takes effect, or nothing of it is left. */
static void
commit(struct future_context *copy, struct future_context *chain, void *arg)
{
	const struct vdm_operation_output *out =
		future_context_get_output(copy);
	struct command *c = arg;

	(void)chain;
	if (out->result == VDM_ERROR_OUT_OF_MEMORY)
		c->error = no_memory;
	else if (out->result != VDM_SUCCESS)
		c->error = "error: the copy failed";
	if (c->error != NULL && c->fresh != NULL) {
		store.bytes -= c->size;
		free(c->fresh);
	}
	if (c->error != NULL || c->verb == GET)
		return;

	/* Looked up anew: others may have moved what points to the entry. */
	struct entry **at = find(c->key);

	if (c->found != NULL) {
		*at = c->found->next;
		store.count--;
		store.bytes -= c->found->size;
		free(c->found);
	}
	if (c->fresh != NULL) {
		c->fresh->next = *at;
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
	struct step lookup = {.data = c}, reserve = {.data = c};

	c->found = c->fresh = NULL;
	c->error = c->to = NULL;
	FUTURE_INIT(&lookup, lookup_task);
	FUTURE_INIT(&reserve, reserve_task);
	FUTURE_CHAIN_ENTRY_INIT(&data->lookup, lookup, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&data->reserve, reserve, NULL, NULL);
	FUTURE_CHAIN_ENTRY_LAZY_INIT(&data->copy, init_copy, c, commit, c);
	FUTURE_CHAIN_INIT(r);
}

static void
answer(const struct command *c)
{
	uint64_t sum = 0;

	if (c->error != NULL) {
		puts(c->error);
	} else if (c->verb != GET) {
		puts("ok");
	} else if (c->size <= SHOWN_MAX) {
		fwrite(c->bytes, 1, c->size, stdout);
		putchar('\n');
	} else {
		for (size_t i = 0; i < c->size; i++)
			sum = (sum * 31 + (unsigned char)c->bytes[i]) %
				CHECKSUM_PRIME;
		printf("%zu bytes, checksum %08" PRIx64 "\n", c->size, sum);
	}
}

static void
run_batch(struct runtime *runtime)
{
	struct future *futs[BATCH_MAX];

	for (size_t i = 0; i < nbatch; i++) {
		request_init(&batch[i]);
		futs[i] = FUTURE_AS_RUNNABLE(&batch[i]);
	}
	runtime_wait_multiple(runtime, futs, nbatch);

	for (size_t i = 0; i < nbatch; i++) {
		struct command *c = &FUTURE_DATA(&batch[i])->command;

		/* Perhaps it was only the others that took the memory. */
		if (c->error == no_memory && nbatch > 1) {
			if (c->verb == GET) {
				free(c->bytes);
				c->bytes = NULL;
			}
			request_init(&batch[i]);
			runtime_wait(runtime, futs[i]);
		}
		answer(c);
		free(c->bytes);
	}
	ncommands += nbatch;
	nbatches += nbatch > 0;
	nbatch = batch_bytes = 0;
	fflush(stdout);
}

static void
add_to_batch(struct runtime *runtime, const struct command *c)
{
	bool full = nbatch == BATCH_MAX;

	for (size_t i = 0; i < nbatch; i++)
		if (strcmp(FUTURE_DATA(&batch[i])->command.key, c->key) == 0)
			full = true;
	if (full)
		run_batch(runtime);

	/* Nothing in the batch changes what is there for this key. */
	const struct entry *old = *find(c->key);
	const size_t bytes = c->size + (old != NULL ? old->size : 0);

	if (nbatch > 0 && batch_bytes + bytes > BATCH_BYTES)
		run_batch(runtime);
	batch_bytes += bytes;
	FUTURE_DATA(&batch[nbatch++])->command = *c;
}

/* The next word of a line, ended; NULL: there is none. */
static char *
next_word(char **line)
{
	char *start = *line + strspn(*line, " \t");

	if (*start == '\0')
		return NULL;
	*line = start + strcspn(start, " \t");
	if (**line != '\0')
		*(*line)++ = '\0';
	return start;
}

/* The number that a whole word is; too big ones are SIZE_MAX. */
static bool
parse_size(const char *text, size_t *size)
{
	char *end;

	errno = 0;
	const unsigned long long n = strtoull(text, &end, 10);

	*size = errno != 0 || n > SIZE_MAX ? SIZE_MAX : (size_t)n;
	return isdigit((unsigned char)*text) && *end == '\0';
}

/* The file's bytes become the value. Returns NULL, or what is wrong. */
static const char *
load(struct command *c, const char *path)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL)
		return "error: the file cannot be opened";
	c->bytes = malloc(VALUE_MAX + 1); /* one more would be too many */
	if (c->bytes != NULL)
		c->size = fread(c->bytes, 1, VALUE_MAX + 1, file);

	const bool failed = ferror(file);

	fclose(file);
	if (c->bytes == NULL)
		return no_memory;
	if (failed)
		return "error: the file cannot be read";

	char *trimmed = realloc(c->bytes, c->size + 1);

	if (trimmed != NULL)
		c->bytes = trimmed;
	return NULL;
}

/* What a command needs behind its verb. Returns NULL, or what is wrong. */
static const char *
parse_arguments(struct command *c, char *rest)
{
	const char *key = next_word(&rest), *number, *character;
	const char *wrong = NULL;

	if (key == NULL)
		return "error: a key is needed";
	if (strlen(key) > KEY_MAX)
		return "error: the key is too long";
	memcpy(c->key, key, strlen(key) + 1);

	if (c->verb == PUT) {
		c->size = strlen(rest);
		c->bytes = strdup(rest);
		wrong = c->bytes == NULL ? no_memory : NULL;
	} else if (c->verb == FILL) {
		number = next_word(&rest);
		character = next_word(&rest);
		if (character == NULL || !parse_size(number, &c->size) ||
			character[1] != '\0' || next_word(&rest) != NULL)
			return "error: fill takes a key, a number and a "
			       "character";
		c->fill = *character;
	} else if (c->verb == LOAD) {
		wrong = *rest == '\0' ? "error: load takes a key and a file"
				      : load(c, rest);
	} else if (next_word(&rest) != NULL) {
		wrong = "error: one key is enough";
	}
	if (wrong == NULL && c->size > VALUE_MAX)
		wrong = "error: the value is over 16 MiB";
	return wrong;
}

static const char help[] =
	"put KEY VALUE    keep a value, which is the rest of the line\n"
	"fill KEY N CHAR  keep N times a character, up to 16777216\n"
	"load KEY FILE    keep what is in a file, up to 16 MiB\n"
	"get KEY          show it; of more than 200 bytes, a checksum\n"
	"del KEY          forget it\n"
	"stats            what is kept, and how many commands ran together\n"
	"help, quit\n";

/* Queues or runs what a line asks for. Returns false for quit. */
static bool
run_line(struct runtime *runtime, char *line)
{
	static const char *const verbs[NVERBS] = {
		"put", "fill", "load", "get", "del", "stats", "help", "quit"};
	struct command c = {.verb = PUT};
	const char *verb = next_word(&line);
	const char *wrong = NULL;

	if (verb == NULL || *verb == '#')
		return true;
	while (c.verb < NVERBS && strcmp(verb, verbs[c.verb]) != 0)
		c.verb++;
	if (c.verb < STATS) {
		wrong = parse_arguments(&c, line);
		if (wrong == NULL) {
			add_to_batch(runtime, &c);
			return true;
		}
		free(c.bytes);
	}
	run_batch(runtime); /* answers come in order */
	if (c.verb == STATS)
		printf("keys %zu, bytes %zu, buckets %zu, commands %zu, "
		       "batches %zu\n",
			store.count, store.bytes, store.nbuckets, ncommands,
			nbatches);
	else if (c.verb == HELP)
		fputs(help, stdout);
	else if (c.verb != QUIT)
		puts(wrong != NULL ? wrong
				   : "error: unknown command; try help");
	return c.verb != QUIT;
}

/* The next line; NULL at the end. Sets *whole to false if bytes are missing. */
static char *
read_line(bool *whole)
{
	static char line[LINE_SIZE];
	size_t n = 0;
	int c;

	*whole = true;
	while ((c = getchar()) != EOF && c != '\n') {
		if (c == '\0' || n == LINE_SIZE - 1)
			*whole = false;
		else
			line[n++] = (char)c;
	}
	line[n] = '\0';
	return c == EOF && n == 0 && *whole ? NULL : line;
}

/* Runs commands to the end of the input, or quit. Returns 0, or -1. */
static int
serve(struct runtime *runtime)
{
	const bool is_terminal = isatty(STDIN_FILENO);
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	bool go_on = true;

	setvbuf(stdin, NULL, _IONBF, 0); /* poll() knows of no other buffer */
	while (go_on) {
		/* Nothing to read: who waits for answers gets them now. */
		if (poll(&in, 1, 0) == 0) {
			run_batch(runtime);
			fputs(is_terminal ? "> " : "", stdout);
			fflush(stdout);
		}

		bool whole;
		char *line = read_line(&whole);

		if (line == NULL)
			break;
		if (whole) {
			go_on = run_line(runtime, line);
		} else {
			run_batch(runtime);
			puts("error: a line of over 65535 bytes, or a zero "
			     "byte; try load");
		}
	}
	run_batch(runtime);
	if (!ferror(stdin))
		return 0;
	fputs("kvstore: input failed\n", stderr);
	return -1;
}

static int
run(void)
{
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
	for (size_t i = 0; store.buckets != NULL && i < store.nbuckets; i++)
		for (struct entry *e = store.buckets[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	free(store.buckets);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return ret;
}

int
main(int argc, char *argv[])
{
	static const char usage[] =
		"usage: kvstore [--limit BYTES] < COMMANDS\n";
	int ret = 0;

	store.limit = SIZE_MAX;
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		printf("%s%s", usage, help);
	} else if (argc == 1 ||
		(argc == 3 && strcmp(argv[1], "--limit") == 0 &&
			parse_size(argv[2], &store.limit))) {
		ret = run();
	} else {
		fputs(usage, stderr);
		return 2;
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("kvstore: output failed\n", stderr);
		ret = -1;
	}
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
