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
 * Each command is a chain of futures: look up the key, reserve memory, copy.
 * Worker threads make the copies of many commands at once. Everything else runs
 * on the waiting thread, so the table needs no lock. A batch has at most one
 * command for a key, so commands for one key take effect in order.
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

#define KEY_MAX_BYTES 200
#define VALUE_MAX_MIB 16
#define VALUE_MAX_BYTES ((size_t)VALUE_MAX_MIB << 20)
#define LINE_MAX_BYTES 65535 /* for longer values: fill, load */
#define SHOWN_MAX_BYTES 200  /* longer values: size and checksum */
#define CHECKSUM_PRIME UINT64_C(4294967291)
#define BATCH_MAX_COMMANDS 64
/* Bytes to copy and to replace. Limits the additional memory of a batch. */
#define BATCH_MAX_BYTES (4 * VALUE_MAX_BYTES)
#define FIRST_BUCKETS 16 /* a power of two */

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
	size_t limit_bytes; /* for all values together */
} store;

struct command {
	enum { PUT, FILL, LOAD, GET, DEL, STATS, HELP, QUIT, NVERBS } verb;
	char key[KEY_MAX_BYTES + 1];
	char *bytes; /* owned: a value to put, or the result of get */
	size_t size;
	char fill;
	const char *error; /* the answer, or NULL: no error */
	struct entry *found;
	struct entry *fresh; /* replaces found */
	char *to;            /* NULL: nothing to copy */
	const char *from;    /* NULL: fill */
};

/* A step of a command that completes in one poll. */
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

/* Commands that were read and are not complete. */
static struct request batch[BATCH_MAX_COMMANDS];
static size_t nbatch, batch_bytes;
static size_t ncommands, nbatches; /* complete */

/* Expands a macro, and makes it a string. */
#define TEXT_OF(number) TEXT_(number)
#define TEXT_(number) #number

static const char no_memory[] = "error: out of memory";
static const char value_too_big[] =
	"error: the value is over " TEXT_OF(VALUE_MAX_MIB) " MiB";

/* FNV-1a. Sufficient unless an attacker chooses keys that collide. */
static uint32_t
hash_of(const char *key)
{
	uint32_t hash = 0x811c9dc5u;

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 0x01000193u;
	return hash;
}

static bool
has_key(const struct entry *entry, uint32_t hash, const char *key)
{
	return entry->hash == hash && strcmp(entry->key, key) == 0;
}

/* Returns the link to the key's entry, or the NULL link at which to add it. */
static struct entry **
find(const char *key)
{
	const uint32_t hash = hash_of(key);
	struct entry **at = &store.buckets[hash & (store.nbuckets - 1)];

	while (*at != NULL && !has_key(*at, hash, key))
		at = &(*at)->next;
	return at;
}

/* Doubles the buckets. If memory is short, the lists get longer instead. */
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

	(void)n; /* not needed: the first poll completes */
	c->found = *find(c->key);
	if (c->found == NULL && c->verb >= GET)
		c->error = "not found";
	return FUTURE_STATE_COMPLETE;
}

/* Reserves memory for the copy. The bytes of a new value count from here. */
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
	} else if (c->size <= store.limit_bytes - store.bytes) {
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

/* The chain calls it before the copy, when source and size are set. */
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

/* After the copy: the command takes effect, or is undone completely. */
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

	/* Searches again: other commands may have moved the link. */
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
	} else if (c->size <= SHOWN_MAX_BYTES) {
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
	struct future *futs[BATCH_MAX_COMMANDS];

	for (size_t i = 0; i < nbatch; i++) {
		request_init(&batch[i]);
		futs[i] = FUTURE_AS_RUNNABLE(&batch[i]);
	}
	runtime_wait_multiple(runtime, futs, nbatch);

	for (size_t i = 0; i < nbatch; i++) {
		struct command *c = &FUTURE_DATA(&batch[i])->command;

		/* Tries again: other commands may have used the memory. */
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
	bool full = nbatch == BATCH_MAX_COMMANDS;

	for (size_t i = 0; i < nbatch; i++)
		if (strcmp(FUTURE_DATA(&batch[i])->command.key, c->key) == 0)
			full = true;
	if (full)
		run_batch(runtime);

	/* No command of the batch changes the entry of this key. */
	const struct entry *old = *find(c->key);
	const size_t bytes = c->size + (old != NULL ? old->size : 0);

	if (nbatch > 0 && batch_bytes + bytes > BATCH_MAX_BYTES)
		run_batch(runtime);
	batch_bytes += bytes;
	FUTURE_DATA(&batch[nbatch++])->command = *c;
}

/* Returns the next word of a line, terminated, or NULL at the end. */
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

/* Parses a whole word as a number. A number too large becomes SIZE_MAX. */
static bool
parse_size(const char *text, size_t *size)
{
	char *end;

	errno = 0;
	const unsigned long long n = strtoull(text, &end, 10);

	*size = errno != 0 || n > SIZE_MAX ? SIZE_MAX : (size_t)n;
	return isdigit((unsigned char)*text) && *end == '\0';
}

/* Makes the file's bytes the value. Returns NULL, or an error message. */
static const char *
load(struct command *c, const char *path)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL)
		return "error: the file cannot be opened";
	c->bytes = malloc(VALUE_MAX_BYTES + 1); /* one byte more than allowed */
	if (c->bytes != NULL)
		c->size = fread(c->bytes, 1, VALUE_MAX_BYTES + 1, file);

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

/* Parses the arguments of a command. Returns NULL, or an error message. */
static const char *
parse_arguments(struct command *c, char *rest)
{
	const char *key = next_word(&rest), *number, *character;
	const char *wrong = NULL;

	if (key == NULL)
		return "error: a key is needed";
	if (strlen(key) > KEY_MAX_BYTES)
		return "error: the key is over " TEXT_OF(
			KEY_MAX_BYTES) " bytes";
	memcpy(c->key, key, strlen(key) + 1);

	if (c->verb == PUT) {
		c->size = strlen(rest);
		c->bytes = strdup(rest);
		wrong = c->bytes == NULL ? no_memory : NULL;
	} else if (c->verb == FILL) {
		number = next_word(&rest);
		character = next_word(&rest);

		const bool is_right = character != NULL &&
			parse_size(number, &c->size) && character[1] == '\0' &&
			next_word(&rest) == NULL;

		if (!is_right)
			return "error: fill takes a key, a number and a "
			       "character";
		c->fill = *character;
	} else if (c->verb == LOAD) {
		wrong = *rest == '\0' ? "error: load takes a key and a file"
				      : load(c, rest);
	} else if (next_word(&rest) != NULL) {
		wrong = "error: the command takes one key";
	}
	if (wrong == NULL && c->size > VALUE_MAX_BYTES)
		wrong = value_too_big;
	return wrong;
}

static void
print_help(void)
{
	fputs("put KEY VALUE    store a value: the rest of the line\n"
	      "fill KEY N CHAR  store N bytes, each of them CHAR\n"
	      "load KEY FILE    store the content of a file\n"
	      "get KEY          show the value; for a long value, its size "
	      "and\n"
	      "                 checksum\n"
	      "del KEY          delete the value\n"
	      "stats            show the numbers of keys, bytes, commands, "
	      "...\n"
	      "help             show this help\n"
	      "quit             end the program\n"
	      "Option --limit BYTES limits all values together, 0 or more;\n"
	      "default: no limit.\n",
		stdout);
	printf("Limits: a key %d bytes, a value %d MiB, a value shown by get "
	       "%d "
	       "bytes.\n"
	       "Example: printf 'put k v\\nget k\\n' | kvstore\n",
		KEY_MAX_BYTES, VALUE_MAX_MIB, SHOWN_MAX_BYTES);
}

/* Queues or runs the command of a line. Returns false for quit. */
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
		print_help();
	else if (c.verb != QUIT)
		puts(wrong != NULL ? wrong
				   : "error: unknown command; try help");
	return c.verb != QUIT;
}

struct line {
	char *text;    /* NULL: the input has ended */
	bool is_whole; /* false: text has not all bytes */
};

/* Reads the next line. Its text is valid until the next call. */
static struct line
read_line(void)
{
	static char text[LINE_MAX_BYTES + 1];
	struct line line = {.text = text, .is_whole = true};
	size_t n = 0;
	int c;

	while ((c = getchar()) != EOF && c != '\n') {
		if (c == '\0' || n == LINE_MAX_BYTES)
			line.is_whole = false;
		else
			text[n++] = (char)c;
	}
	text[n] = '\0';
	if (c == EOF && n == 0 && line.is_whole)
		line.text = NULL;
	return line;
}

/* Runs commands until quit or the end of the input. Returns 0 or -1. */
static int
serve(struct runtime *runtime)
{
	const bool is_terminal = isatty(STDIN_FILENO);
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	bool go_on = true;

	setvbuf(stdin, NULL, _IONBF, 0); /* poll() checks no buffer */
	while (go_on) {
		/* No input: sends the answers that a client may wait for. */
		if (poll(&in, 1, 0) == 0) {
			run_batch(runtime);
			fputs(is_terminal ? "> " : "", stdout);
			fflush(stdout);
		}

		const struct line line = read_line();

		if (line.text == NULL)
			break;
		if (line.is_whole) {
			go_on = run_line(runtime, line.text);
		} else {
			run_batch(runtime);
			printf("error: the line has over %d bytes, or a zero "
			       "byte; use load\n",
				LINE_MAX_BYTES);
		}
	}
	run_batch(runtime);
	if (!ferror(stdin))
		return 0;
	fputs("kvstore: standard input: cannot be read\n", stderr);
	return -1;
}

static int
run(void)
{
	struct data_mover_threads *dmt = data_mover_threads_default();
	struct runtime *runtime = runtime_new();
	int ret = -1;

	store.nbuckets = FIRST_BUCKETS;
	store.buckets = calloc(store.nbuckets, sizeof(*store.buckets));
	if (dmt == NULL || runtime == NULL || store.buckets == NULL) {
		fprintf(stderr, "kvstore: cannot start: %s\n", strerror(errno));
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

	store.limit_bytes = SIZE_MAX;

	const bool is_help = argc > 1 && strcmp(argv[1], "--help") == 0;
	const bool is_limit = argc > 2 && strcmp(argv[1], "--limit") == 0;
	const bool has_limit =
		is_limit && parse_size(argv[2], &store.limit_bytes);
	const int wrong = has_limit ? 3 : is_limit ? 2 : 1;

	if (is_help) {
		fputs(usage, stdout);
		print_help();
	} else if (argc <= wrong) {
		ret = run();
	} else {
		fprintf(stderr,
			"kvstore: '%s': not a valid argument; see kvstore "
			"--help\n%s",
			argv[wrong], usage);
		return 2;
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("kvstore: standard output: cannot be written\n", stderr);
		ret = -1;
	}
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
