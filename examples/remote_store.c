/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * remote_store.c -- a table of records in one process, which other processes
 * fill and read, maybe on other machines
 *
 *	cc remote_store.c $(pkg-config --cflags --libs \
 *		libminiasync-vdm-fabric) -o remote_store
 *	./remote_store serve token &
 *	./remote_store fill token
 *	./remote_store check token
 *
 * The server exposes its memory and sleeps. Clients move records by themselves,
 * many at once. There are no locks. If a client reads a record while another
 * client writes it, the checksum is wrong, and the client reads again.
 *
 * Memory that others write may hold any bytes, and may change at any moment. So
 * a client copies a record, or the sizes of the table, once. It checks its copy
 * before the first use. The server first deletes the region, so that no client
 * can write. Then it reads the records and checks them too.
 *
 * For Linux, and for machines of the same byte order.
 */

#define _GNU_SOURCE

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libminiasync.h>
#include <libminiasync-vdm-fabric.h>

#define MAGIC UINT64_C(0x3165726f74736d72) /* of this layout */
#define MIN_RECORD_BYTES 64
#define MAX_RECORD_BYTES ((size_t)1 << 24)
#define MAX_RECORDS ((size_t)1 << 31)
#define IN_FLIGHT 64
#define READS 10 /* of a record that is being written */
#define READ_AGAIN_NS 1000000

#define NO_LIBFABRIC "no libfabric.so.1 of version 1.14 or later"

#define EXIT_USAGE 2
#define EXIT_OTHER_SIDE 3
#define EXIT_DAMAGED 4

/* In the first slot of the table. Record i is in slot i + 1. */
struct sizes {
	uint64_t magic, records, record_bytes;
};

struct record {
	uint64_t sum; /* of all that follows */
	uint64_t index;
	uint64_t length; /* of the data, in words */
	uint64_t data[];
};

enum check { VALID, EMPTY, DAMAGED };
#define CHECKS (DAMAGED + 1)

enum number { RECORDS, RECORD_BYTES, SECONDS, TIMEOUT_MS };
#define NUMBERS (TIMEOUT_MS + 1)

struct options {
	const char *command, *token_file, *listen;
	size_t numbers[NUMBERS];
};

struct client {
	struct data_mover_fabric *dmf;
	struct runtime *runtime;
	struct sizes sizes; /* a copy that was checked */
	char *copies;       /* of IN_FLIGHT records */
};

enum direction { PUT, GET };

/* Prints a message in place of the progress bar. Returns the status. */
static int __attribute__((format(printf, 2, 3)))
say(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs(isatty(STDERR_FILENO) ? "\r\033[K" : "", stderr);
	fputs("remote_store: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return status;
}

/* Prints on which side a mover has failed, and why. Returns the status. */
static int
say_error(const char *what, int error)
{
	const char *why = NULL;

	switch (error) {
	case ECONNREFUSED:
		why = "no server listens there, it has ended";
		break;
	case EACCES:
		why = "the server has a new region, and needs its new token";
		break;
	case ECONNRESET:
		why = "the server has ended, or the connection is lost";
		break;
	case ETIMEDOUT:
		why = "the server does not answer";
		break;
	case ENOTSUP:
		return say(EXIT_FAILURE, "%s: this side: " NO_LIBFABRIC, what);
	default:
		return say(EXIT_FAILURE, "%s: this side: %s (errno %d)", what,
			strerror(error), error);
	}
	return say(EXIT_OTHER_SIDE, "%s: other side: %s (errno %d, %s)", what,
		why, error, strerror(error));
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A bar on a terminal, ten times a second. Otherwise a line each second. */
static void
show_progress(double *shown_s, uint64_t done, uint64_t total)
{
	static const char full[] = "####################";
	static const char rest[] = "....................";
	const bool bar = isatty(STDERR_FILENO);
	const double part = (double)done / (double)total;
	const int filled = (int)(part * (sizeof(full) - 1));

	if (now_s() - *shown_s < (bar ? 0.1 : 1))
		return;
	*shown_s = now_s();
	fprintf(stderr, bar ? "\r[%.*s%s] %.0f%%\033[K" : "%.*s%s %.0f%%\n",
		filled, full, rest + filled, 100 * part);
}

static uint64_t
max_length(size_t record_bytes)
{
	return (record_bytes - sizeof(struct record)) / sizeof(uint64_t);
}

static uint64_t
checksum(const struct record *record)
{
	const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t sum = (MAGIC ^ record->index) * factor ^ record->length;

	for (uint64_t i = 0; i < record->length; i++) {
		sum = (sum ^ record->data[i]) * factor;
		sum ^= sum >> 32;
	}
	return sum;
}

/* Checks a private copy. The length is checked before its use. */
static enum check
check_record(const struct record *copy, uint64_t index, size_t record_bytes)
{
	static const struct record empty;

	if (memcmp(copy, &empty, sizeof(empty)) == 0)
		return EMPTY;
	if (copy->index != index || copy->length > max_length(record_bytes) ||
		copy->sum != checksum(copy))
		return DAMAGED;
	return VALID;
}

/* Makes a file of mode 0600. The file is complete when its name appears. */
static int
write_token(const char *path, const char *token)
{
	char *temp = NULL;

	if (strcmp(path, "-") == 0) {
		say(0, "the next line is the token, a secret");
		return puts(token) >= 0 && fflush(stdout) == 0 ? 0 : -1;
	}
	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return -1;

	const int fd = mkstemp(temp);
	const bool is_written = fd >= 0 && dprintf(fd, "%s\n", token) > 0;
	const int ret = is_written ? rename(temp, path) : -1;

	if (ret != 0 && fd >= 0)
		unlink(temp);
	if (fd >= 0)
		close(fd);
	free(temp);
	return ret;
}

/* Returns the status. */
static int
say_counts(const uint64_t counts[CHECKS])
{
	return say(counts[DAMAGED] == 0 ? EXIT_SUCCESS : EXIT_DAMAGED,
		"%llu valid, %llu empty, %llu damaged records",
		(unsigned long long)counts[VALID],
		(unsigned long long)counts[EMPTY],
		(unsigned long long)counts[DAMAGED]);
}

static int
serve(const struct options *opt)
{
	const size_t bytes = opt->numbers[RECORD_BYTES] & ~(size_t)7;
	const struct sizes sizes = {MAGIC, opt->numbers[RECORDS], bytes};
	const unsigned access =
		DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE;
	uint64_t counts[CHECKS] = {0, 0, 0};
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	char *table = calloc(sizes.records + 1, bytes);
	int status = EXIT_SUCCESS;
	sigset_t ends;
	int sig;

	if (table == NULL)
		return say(EXIT_FAILURE,
			"the table: out of memory; use smaller --records");
	memcpy(table, &sizes, sizeof(sizes));

	/* Before the region makes threads, so that the threads block them. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGALRM);
	sigprocmask(SIG_BLOCK, &ends, NULL);

	struct data_mover_region *region = data_mover_region_new(
		table, (sizes.records + 1) * bytes, access, opt->listen, 0);

	if (region == NULL ||
		data_mover_region_token(region, token, sizeof(token)) != 0) {
		status = say(EXIT_FAILURE, "cannot serve: %s",
			errno == ENOTSUP ? NO_LIBFABRIC : strerror(errno));
	} else if (write_token(opt->token_file, token) != 0) {
		status = say(EXIT_FAILURE, "%s: %s", opt->token_file,
			strerror(errno));
	} else {
		say(0, "%zu records of %zu bytes", opt->numbers[RECORDS],
			bytes);
		alarm((unsigned)opt->numbers[SECONDS]); /* 0: never */
		sigwait(&ends, &sig);
		if (strcmp(opt->token_file, "-") != 0)
			unlink(opt->token_file);
	}
	data_mover_region_delete(region);
	for (size_t i = 0; status == EXIT_SUCCESS && i < sizes.records; i++)
		counts[check_record((struct record *)(table + (i + 1) * bytes),
			i, bytes)]++;
	if (status == EXIT_SUCCESS)
		status = say_counts(counts);
	free(table);
	return status;
}

static struct record *
copy_of(struct client *c, size_t i)
{
	return (struct record *)(c->copies + i * c->sizes.record_bytes);
}

/* Waits for operations. Returns 0, or the status after a message. */
static int
finish(struct client *c, struct vdm_operation_future *ops, size_t n)
{
	struct future *futs[IN_FLIGHT];

	for (size_t i = 0; i < n; i++)
		futs[i] = FUTURE_AS_RUNNABLE(&ops[i]);
	runtime_wait_multiple(c->runtime, futs, n);
	for (size_t i = 0; i < n; i++) {
		const enum vdm_operation_result result =
			FUTURE_OUTPUT(&ops[i])->result;
		const int error = data_mover_fabric_error(c->dmf);

		if (result != VDM_SUCCESS)
			return error != 0 ? say_error("cannot move", error)
					  : say(EXIT_FAILURE, "this side: %s",
						    vdm_result_string(result));
	}
	return 0;
}

/* Moves n records between the table and the copies, all at once. */
static int
move(struct client *c, enum direction direction, uint64_t first, size_t n)
{
	struct vdm *vdm = data_mover_fabric_get_vdm(c->dmf);
	const size_t bytes = c->sizes.record_bytes;
	struct vdm_operation_future ops[IN_FLIGHT];
	char *slot =
		(char *)data_mover_fabric_addr(c->dmf) + bytes + first * bytes;

	for (size_t i = 0; i < n; i++, slot += bytes)
		ops[i] = direction == PUT
			? vdm_memcpy(vdm, slot, copy_of(c, i), bytes, 0)
			: vdm_memcpy(vdm, copy_of(c, i), slot, bytes, 0);
	return finish(c, ops, n);
}

/* Fills n copies with records. The first record has the index first. */
static void
make_records(struct client *c, uint64_t first, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct record *record = copy_of(c, i);

		record->index = first + i;
		record->length = max_length(c->sizes.record_bytes);
		for (uint64_t w = 0; w < record->length; w++)
			record->data[w] = (record->index << 32) + w;
		record->sum = checksum(record);
	}
}

/*
 * Checks n copies, and counts the records. Another client may be writing a
 * damaged record, so it is read again. It replaces the first copy, which was
 * checked before.
 */
static int
check_records(
	struct client *c, uint64_t first, size_t n, uint64_t counts[CHECKS])
{
	const struct timespec pause = {.tv_nsec = READ_AGAIN_NS};
	const size_t bytes = c->sizes.record_bytes;

	for (size_t i = 0; i < n; i++) {
		enum check check =
			check_record(copy_of(c, i), first + i, bytes);

		for (int r = 1; check == DAMAGED && r < READS; r++) {
			nanosleep(&pause, NULL);

			const int status = move(c, GET, first + i, 1);

			if (status != 0)
				return status;
			check = check_record(copy_of(c, 0), first + i, bytes);
		}
		counts[check]++;
	}
	return 0;
}

/* Fills the table, or reads and checks it. */
static int
each_record(struct client *c, enum direction direction)
{
	const uint64_t total = c->sizes.records;
	const double start_s = now_s();
	uint64_t counts[CHECKS] = {0, 0, 0};
	double shown_s = start_s;
	size_t n;

	for (uint64_t done = 0; done < total; done += n) {
		int status = 0;

		n = total - done < IN_FLIGHT ? total - done : IN_FLIGHT;
		if (direction == PUT)
			make_records(c, done, n);
		status = move(c, direction, done, n);
		if (status == 0 && direction == GET)
			status = check_records(c, done, n, counts);
		if (status != 0)
			return say(status, "%s up to record %llu of %llu%s",
				direction == PUT ? "filled" : "checked",
				(unsigned long long)done,
				(unsigned long long)total,
				direction == PUT ? "; later records may be "
						   "incomplete"
						 : "");
		show_progress(&shown_s, done + n, total);
	}

	const double seconds = now_s() - start_s;
	const double mib =
		(double)total * (double)c->sizes.record_bytes / (1 << 20);

	say(0, "%llu records, %.1f MiB in %.3f s, %.1f MiB/s",
		(unsigned long long)total, mib, seconds, mib / seconds);
	return direction == GET ? say_counts(counts) : EXIT_SUCCESS;
}

/* Checks a copy of the sizes against the region. */
static bool
are_valid(const struct sizes *copy, size_t region_bytes)
{
	return copy->magic == MAGIC && copy->records > 0 &&
		copy->record_bytes >= MIN_RECORD_BYTES &&
		copy->record_bytes <= MAX_RECORD_BYTES &&
		copy->record_bytes % sizeof(uint64_t) == 0 &&
		copy->records < region_bytes / copy->record_bytes;
}

static int
read_sizes(struct client *c)
{
	const size_t n = data_mover_fabric_size(c->dmf);
	struct vdm_operation_future op =
		vdm_memcpy(data_mover_fabric_get_vdm(c->dmf), &c->sizes,
			data_mover_fabric_addr(c->dmf), sizeof(c->sizes), 0);
	const int status = finish(c, &op, 1);

	if (status != 0)
		return status;
	if (!are_valid(&c->sizes, n)) {
		say(0, "the region holds no table");
		return EXIT_DAMAGED;
	}
	return 0;
}

static int
open_client(struct client *c, const struct options *opt)
{
	const struct data_mover_fabric_options options = {
		.size = sizeof(options),
		.connect_ms = (unsigned)opt->numbers[TIMEOUT_MS],
		.idle_ms = (unsigned)opt->numbers[TIMEOUT_MS]};
	char token[DATA_MOVER_REGION_TOKEN_MAX + 1] = "";
	const bool is_stdin = strcmp(opt->token_file, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(opt->token_file, "re");

	if (file == NULL)
		return say(EXIT_FAILURE, "%s: %s", opt->token_file,
			strerror(errno));
	if (fgets(token, sizeof(token), file) != NULL)
		token[strcspn(token, "\n")] = '\0';
	if (!is_stdin)
		fclose(file);

	c->runtime = runtime_new();
	c->dmf = c->runtime != NULL ? data_mover_fabric_new(token, &options)
				    : NULL;
	if (c->dmf == NULL && (errno == EINVAL || errno == EPROTO))
		return say(EXIT_FAILURE, "%s: not a token of this version",
			opt->token_file);
	if (c->dmf == NULL)
		return say_error("cannot connect", errno);

	const int status = read_sizes(c);

	if (status != 0)
		return status;
	c->copies = calloc(IN_FLIGHT, c->sizes.record_bytes);
	return c->copies != NULL ? 0 : say_error("buffers", errno);
}

static int
be_client(const struct options *opt)
{
	const bool is_fill = strcmp(opt->command, "fill") == 0;
	struct client c = {.dmf = NULL};
	int status = open_client(&c, opt);

	if (status == 0)
		status = each_record(&c, is_fill ? PUT : GET);
	free(c.copies);
	data_mover_fabric_delete(c.dmf);
	runtime_delete(c.runtime);
	return status;
}

#define USAGE \
	"usage: remote_store serve|fill|check [OPTION]... TOKENFILE, or " \
	"remote_store --help\n"

static const char help_text[] = USAGE
	"A process serves a table of records. Other processes fill and read "
	"it.\n"
	"serve  make the table, write its token to TOKENFILE, and serve until\n"
	"       SIGINT or SIGTERM\n"
	"fill   write all records of the table with the token in TOKENFILE\n"
	"check  read all records, and check them\n"
	"TOKENFILE '-' is standard output (serve) or input (fill, check).\n"
	"Keep the token secret: it gives access to the table. Data is not\n"
	"encrypted.\n"
	"Options of serve:\n"
	"  --records N            records, 1 to 2147483648; default: 4096\n"
	"  --record-bytes N       bytes of a record, 64 to 16777216, rounded\n"
	"                         down to a multiple of 8; default: 65536\n"
	"  --listen ADDRESS:PORT  default: 127.0.0.1:0; port 0: any free port\n"
	"  --seconds N            end after N seconds, 0 to 2147483647;\n"
	"                         default: 0, which is never\n"
	"Option of fill and check:\n"
	"  --timeout-ms N         time to connect, and time without progress,\n"
	"                         1 to 2147483647 ms; default: 5000\n"
	"  --help                 print this help\n"
	"Exit status: 0 success, 1 error on this side, 2 wrong arguments,\n"
	"3 the other side has ended or does not answer, 4 damaged records.\n"
	"Example: remote_store serve --records 1000 token\n";

static int
usage(const char *why, const char *what)
{
	fprintf(stderr, "remote_store: '%s': %s\n" USAGE, what, why);
	return EXIT_USAGE;
}

static const struct {
	size_t usual, min, max;
} limits[NUMBERS] = {
	[RECORDS] = {4096, 1, MAX_RECORDS},
	[RECORD_BYTES] = {65536, MIN_RECORD_BYTES, MAX_RECORD_BYTES},
	[SECONDS] = {0, 0, INT_MAX},
	[TIMEOUT_MS] = {5000, 1, INT_MAX},
};

/* Returns 0, or -1 if the text is not a number within these limits. */
static int
parse_number(const char *text, enum number which, size_t *number)
{
	char *end;

	errno = 0;
	*number = strtoul(text, &end, 10);
	return isdigit((unsigned char)*text) && *end == '\0' && errno == 0 &&
			*number >= limits[which].min &&
			*number <= limits[which].max
		? 0
		: -1;
}

/* Returns -1 if there is something to do, or the exit status. */
static int
parse(int argc, char *argv[], struct options *opt)
{
	enum { LISTEN = NUMBERS, HELP };
	static const struct option longs[] = {
		{"records", required_argument, NULL, RECORDS},
		{"record-bytes", required_argument, NULL, RECORD_BYTES},
		{"seconds", required_argument, NULL, SECONDS},
		{"timeout-ms", required_argument, NULL, TIMEOUT_MS},
		{"listen", required_argument, NULL, LISTEN},
		{"help", no_argument, NULL, HELP},
		{NULL, 0, NULL, 0},
	};
	int c;

	for (int i = 0; i < NUMBERS; i++)
		opt->numbers[i] = limits[i].usual;
	opterr = 0; /* usage() prints the errors */
	while ((c = getopt_long_only(argc, argv, ":", longs, NULL)) != -1) {
		if (c == HELP) {
			fputs(help_text, stdout);
			return EXIT_SUCCESS;
		}
		if (c == '?' || c == ':')
			return usage(c == '?' ? "not a valid option"
					      : "a value must follow",
				argv[optind - 1]);
		if (c == LISTEN)
			opt->listen = optarg;
		else if (parse_number(
				 optarg, (enum number)c, &opt->numbers[c]) != 0)
			return usage("not a valid number; see --help", optarg);
	}
	if (argc - optind < 2)
		return usage("an argument must follow", argv[argc - 1]);
	if (argc - optind > 2)
		return usage("unexpected argument", argv[optind + 2]);
	opt->command = argv[optind];
	opt->token_file = argv[optind + 1];
	if (strcmp(opt->command, "serve") != 0 &&
		strcmp(opt->command, "fill") != 0 &&
		strcmp(opt->command, "check") != 0)
		return usage("unknown command", opt->command);
	return -1;
}

int
main(int argc, char *argv[])
{
	struct options opt = {.listen = NULL};
	const int status = parse(argc, argv, &opt);

	if (status >= 0)
		return status;
	return strcmp(opt.command, "serve") == 0 ? serve(&opt)
						 : be_client(&opt);
}
