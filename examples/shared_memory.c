/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * shared_memory.c -- moves data to another process of the same machine
 *
 *	cc -O2 shared_memory.c $(pkg-config --cflags --libs libminiasync) \
 *		-o shared_memory
 *	./shared_memory [MEBIBYTES]
 *
 * Two processes of one machine need no network. They map the same memory, and
 * each process has an ordinary mover:
 *
 *	writer  data --mover--> slot 0 | slot 1     (memfd, MAP_SHARED)
 *	reader                  slot 0 | slot 1 --mover--> data
 *
 * Messages on a socket say which slot is full, and which slot is free again. A
 * closed socket means that the other process has ended. The reader first copies
 * a slot and then checks the copy, because the writer could change the slot at
 * any moment.
 *
 * Each process makes its mover after fork(), because a child has no workers of
 * its parent. The seals keep the size of the memory. So the descriptor could
 * also go to an unrelated process, by SCM_RIGHTS.
 *
 * For Linux: memfd_create().
 */

#define _GNU_SOURCE

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libminiasync.h>

#define MIB ((size_t)1 << 20)
#define SLOTS 2
#define SLOT_BYTES (8 * MIB)
#define DEFAULT_MIB 256
#define BAR_COLUMNS 20

/* From the writer: this slot is full. 0 bytes: the data has ended. */
struct message {
	uint64_t slot, bytes, sum;
};

/* The state of one process. */
struct side {
	const char *name;
	char *slots; /* shared */
	int socket;
	struct data_mover_threads *dmt;
	struct runtime *runtime;
};

static int
fail(const struct side *side, const char *what, const char *why)
{
	fprintf(stderr, "%sshared_memory: %s: %s: %s\n",
		isatty(STDERR_FILENO) ? "\r\033[K" : "", side->name, what, why);
	return -1;
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t
checksum(const void *data, size_t n)
{
	const char *p = data;
	uint64_t sum = n;

	for (size_t i = 0; i < n; i += sizeof(sum)) {
		uint64_t word;

		memcpy(&word, p + i, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	return sum;
}

/* Sends n bytes. If the other process has ended, prints it and returns -1. */
static int
tell(const struct side *side, const void *message, size_t n)
{
	/* An error instead of SIGPIPE. */
	if (send(side->socket, message, n, MSG_NOSIGNAL) == (ssize_t)n)
		return 0;
	return fail(side, "the other process has ended", strerror(errno));
}

static int
hear(const struct side *side, void *message, size_t n)
{
	ssize_t got;

	do {
		got = recv(side->socket, message, n, 0);
	} while (got < 0 && errno == EINTR);
	if (got == (ssize_t)n)
		return 0;
	return fail(side, "the other process has ended too early",
		got < 0 ? strerror(errno) : "end of messages");
}

static int
copy(const struct side *side, void *dest, const void *src, size_t n)
{
	struct vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(side->dmt), dest, src, n, 0);
	const enum vdm_operation_result *result = &FUTURE_OUTPUT(&f)->result;

	runtime_wait(side->runtime, FUTURE_AS_RUNNABLE(&f));
	return *result == VDM_SUCCESS
		? 0
		: fail(side, "copy", vdm_result_string(*result));
}

/* Called after fork(), in the process that will use the mover. */
static int
side_init(struct side *side)
{
	side->dmt = data_mover_threads_default();
	side->runtime = runtime_new();
	if (side->dmt == NULL || side->runtime == NULL)
		return fail(side, "cannot make a mover", strerror(errno));
	return 0;
}

static void
side_fini(struct side *side)
{
	runtime_delete(side->runtime);
	data_mover_threads_delete(side->dmt);
}

static void
show_progress(size_t done, size_t total, double *shown_s)
{
	static const char full[] = "####################";
	const int filled = (int)(BAR_COLUMNS * done / total);

	if (!isatty(STDERR_FILENO) || now_s() - *shown_s < 0.1)
		return;
	*shown_s = now_s();
	fprintf(stderr, "\r[%-*.*s] %3zu%%", BAR_COLUMNS, filled, full,
		100 * done / total);
}

/* Fills the slots in turn, while the reader empties the other slot. */
static int
write_all(const struct side *side, const char *data, size_t total)
{
	struct message message = {0, 0, 0};
	double shown_s = now_s();
	size_t nfull = 0;
	char freed;

	for (size_t done = 0; done < total; done += message.bytes) {
		const char *piece = data + done;

		message.bytes =
			total - done < SLOT_BYTES ? total - done : SLOT_BYTES;
		if (nfull == SLOTS) {
			if (hear(side, &freed, 1) != 0)
				return -1;
			nfull--;
		}
		if (copy(side, side->slots + message.slot * SLOT_BYTES, piece,
			    message.bytes) != 0)
			return -1;
		message.sum = checksum(piece, message.bytes);
		if (tell(side, &message, sizeof(message)) != 0)
			return -1;
		nfull++;
		message.slot = (message.slot + 1) % SLOTS;
		show_progress(done + message.bytes, total, &shown_s);
	}
	while (nfull-- > 0)
		if (hear(side, &freed, 1) != 0)
			return -1;
	message.bytes = 0;
	return tell(side, &message, sizeof(message));
}

/* Copies the slots out, and checks the copies. */
static int
read_all(const struct side *side, char *copied, size_t total)
{
	double start_s = 0;
	size_t done = 0;

	for (;;) {
		struct message message;

		if (hear(side, &message, sizeof(message)) != 0)
			return -1;
		if (message.bytes == 0)
			break;
		if (done == 0)
			start_s = now_s();
		/* A message of another process is checked before its use. */
		if (message.slot >= SLOTS || message.bytes > SLOT_BYTES ||
			message.bytes % sizeof(uint64_t) != 0)
			return fail(side, "message", "wrong slot or size");
		if (copy(side, copied, side->slots + message.slot * SLOT_BYTES,
			    message.bytes) != 0 ||
			tell(side, "", 1) != 0)
			return -1;
		if (checksum(copied, message.bytes) != message.sum)
			return fail(side, "data", "wrong checksum");
		done += message.bytes;
	}

	const double mib = (double)done / (double)MIB;
	const double took_s = now_s() - start_s;

	if (done != total)
		return fail(side, "data", "wrong number of bytes");
	fputs(isatty(STDERR_FILENO) ? "\r\033[K" : "", stderr);
	printf("reader: %.0f MiB in %.3f s, %.0f MiB/s, checksums equal\n", mib,
		took_s, mib / took_s);
	return fflush(stdout);
}

static int
be_reader(struct side *side, size_t total)
{
	char *copied = malloc(SLOT_BYTES);
	int ret = side_init(side);

	if (copied == NULL)
		ret = fail(side, "buffer", "out of memory");
	if (ret == 0)
		ret = read_all(side, copied, total);
	side_fini(side);
	free(copied);
	return ret;
}

static int
be_writer(struct side *side, size_t total)
{
	uint64_t *data = malloc(total);
	int ret = side_init(side);

	if (data == NULL)
		ret = fail(side, "buffer", "out of memory");
	for (size_t i = 0; ret == 0 && i < total / sizeof(*data); i++)
		data[i] = i * UINT64_C(0x9e3779b97f4a7c15);
	if (ret == 0)
		ret = write_all(side, (char *)data, total);
	side_fini(side);
	free(data);
	return ret;
}

/* Waits for the reader. Returns 0 if the reader has succeeded. */
static int
reader_end(const struct side *side, pid_t reader)
{
	char text[64];
	int status;

	if (waitpid(reader, &status, 0) != reader)
		return fail(side, "waitpid", strerror(errno));
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "killed by signal %d",
			WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "exit status %d",
			WEXITSTATUS(status));
	return status == 0 ? 0 : fail(side, "the reader has failed", text);
}

/* Maps memory that two processes share. No process can make it shorter. */
static char *
map_slots(void)
{
	const int fd = memfd_create("slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	void *slots = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, SLOTS * SLOT_BYTES) == 0 &&
		fcntl(fd, F_ADD_SEALS, seals) == 0)
		slots = mmap(NULL, SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	return slots != MAP_FAILED ? slots : NULL;
}

/* Returns the bytes for this argument, or 0 if it is wrong. */
static size_t
parse_mib(const char *text)
{
	char *end;
	const unsigned long mib = strtoul(text, &end, 10);
	const bool is_number = isdigit((unsigned char)*text) && *end == '\0';

	return is_number && mib <= SIZE_MAX / MIB / 2 ? mib * MIB : 0;
}

int
main(int argc, char *argv[])
{
	static const char usage[] = "usage: shared_memory [MEBIBYTES]\n";
	const size_t total = argc > 1 ? parse_mib(argv[1]) : DEFAULT_MIB * MIB;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("%sMoves data to another process, through shared "
		       "memory.\n"
		       "  MEBIBYTES  MiB to move, 1 or more; default: %d\n"
		       "  --help     print this help\n"
		       "Example: shared_memory 1024\n",
			usage, DEFAULT_MIB);
		return EXIT_SUCCESS;
	}
	if (argc > 2 || total == 0) {
		fprintf(stderr,
			"shared_memory: '%s': not a valid argument; see "
			"shared_memory --help\n%s",
			argv[total == 0 ? 1 : 2], usage);
		return 2;
	}

	struct side side = {.name = "writer", .slots = map_slots()};
	int sockets[2] = {-1, -1}, ret;

	if (side.slots == NULL ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			sockets) != 0) {
		perror("shared_memory");
		return EXIT_FAILURE;
	}

	const pid_t reader = fork(); /* there are no movers yet */

	if (reader < 0) {
		perror("shared_memory: fork");
		return EXIT_FAILURE;
	}
	/* Each process keeps one end, and notices if the other end closes. */
	close(sockets[reader == 0 ? 0 : 1]);
	side.socket = sockets[reader == 0 ? 1 : 0];
	if (reader == 0) {
		side.name = "reader";
		ret = be_reader(&side, total);
	} else {
		printf("writer: process %d, reader: process %d\n",
			(int)getpid(), (int)reader);
		fflush(stdout);
		ret = be_writer(&side, total);
		close(side.socket); /* ends the wait of the reader */
		side.socket = -1;
		ret |= reader_end(&side, reader);
	}
	munmap(side.slots, SLOTS * SLOT_BYTES);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
