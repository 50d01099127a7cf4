/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * gather.c -- makes one message of many files: many parts, one future
 *
 *	cc -O2 gather.c $(pkg-config --cflags --libs libminiasync) -o gather
 *	./gather FILE... >message
 *
 * The message is of the type multipart/mixed (RFC 2046), which mail and HTTP
 * carry. It has a header, then the header and the bytes of each file, then an
 * end:
 *
 *	files     | header |  | header |  | ...        in memory, anywhere
 *	              |    file   |    file
 *	              v     v     v     v
 *	message   |  header file header file ...  end  |    one buffer
 *
 * vdm_memcpyv() copies all parts as one operation. The mover copies a small
 * message at once, and shares a large one among its threads. The message can
 * have many small parts or a few large ones.
 */

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libminiasync.h>

struct bytes {
	char *start;
	size_t n;
};

/* Two parts for each file, the header of the message, and its end. */
struct message {
	struct bytes *files;
	struct bytes *headers;
	size_t nfiles;
	char begin[128], end[64];
};

static bool
complain(const char *name, const char *what)
{
	fprintf(stderr, "gather: %s: %s\n", name, what);
	return false;
}

/* Reads a file to its end. The caller frees file->start, also on failure. */
static bool
read_file(const char *name, struct bytes *file)
{
	FILE *in = fopen(name, "rb");
	size_t room = 0;
	bool ok = in != NULL;

	while (ok && !feof(in)) {
		if (file->n == room) {
			room = room == 0 ? 65536 : room * 2;

			char *larger = realloc(file->start, room);

			if (larger == NULL)
				break;
			file->start = larger;
		}
		file->n += fread(file->start + file->n, 1, room - file->n, in);
		ok = !ferror(in);
	}
	ok = ok && feof(in);
	if (in != NULL)
		fclose(in);
	return ok || complain(name, "cannot be read");
}

static bool
contains(const struct bytes *file, const char *text)
{
	const size_t n = strlen(text);

	if (file->start == NULL || file->n < n)
		return false;

	const char *end = file->start + file->n;

	for (const char *p = file->start; p <= end - n; p++) {
		p = memchr(p, text[0], (size_t)(end - n - p) + 1);
		if (p == NULL)
			return false;
		if (memcmp(p, text, n) == 0)
			return true;
	}
	return false;
}

/* The line between two parts must not occur in any file. */
static void
choose_boundary(const struct message *message, char *boundary, size_t size)
{
	bool is_free = false;

	for (unsigned number = 0; !is_free; number++) {
		snprintf(boundary, size, "--gather-%u--", number);
		is_free = true;
		for (size_t i = 0; is_free && i < message->nfiles; i++)
			is_free = !contains(&message->files[i], boundary);
	}
	/* Removes the "--" at both ends. The lines of the message add it. */
	boundary[strlen(boundary) - 2] = '\0';
	memmove(boundary, boundary + 2, strlen(boundary + 2) + 1);
}

/* The header of a file, with its name in a form that needs no quoting. */
static bool
make_header(const char *name, const char *boundary, struct bytes *header)
{
	static const char format[] =
		"\r\n--%s\r\n"
		"Content-Type: application/octet-stream\r\n"
		"Content-Transfer-Encoding: binary\r\n"
		"Content-Disposition: attachment; filename=\"%s\"\r\n\r\n";
	const char *slash = strrchr(name, '/');
	const char *base = slash != NULL ? slash + 1 : name;
	const size_t room = sizeof(format) + strlen(boundary) + strlen(base);
	char *safe = malloc(strlen(base) + 1);

	if (safe == NULL)
		return complain(name, "out of memory");
	header->start = malloc(room);
	if (header->start == NULL) {
		free(safe);
		return complain(name, "out of memory");
	}
	memcpy(safe, base, strlen(base) + 1);
	for (char *c = safe; *c != '\0'; c++)
		if (*c == '"' || *c == '\\' || iscntrl((unsigned char)*c))
			*c = '_';
	header->n =
		(size_t)snprintf(header->start, room, format, boundary, safe);
	free(safe);
	return true;
}

static bool
make_parts(struct message *message, char *const names[])
{
	char boundary[48];

	for (size_t i = 0; i < message->nfiles; i++)
		if (!read_file(names[i], &message->files[i]))
			return false;
	choose_boundary(message, boundary, sizeof(boundary));
	for (size_t i = 0; i < message->nfiles; i++)
		if (!make_header(names[i], boundary, &message->headers[i]))
			return false;
	snprintf(message->begin, sizeof(message->begin),
		"MIME-Version: 1.0\r\n"
		"Content-Type: multipart/mixed; boundary=\"%s\"\r\n",
		boundary);
	snprintf(
		message->end, sizeof(message->end), "\r\n--%s--\r\n", boundary);
	return true;
}

/* Adds a segment, and returns the bytes of all. */
static size_t
add(struct vdm_segment *segment, const char *start, size_t n, size_t before)
{
	segment->src = start;
	segment->n = n;
	return before + n;
}

/* Copies all parts into one buffer, and writes it. */
static bool
gather_and_write(const struct message *message, struct vdm_segment *segments)
{
	size_t n = 0, bytes = 0;

	bytes = add(
		&segments[n++], message->begin, strlen(message->begin), bytes);
	for (size_t i = 0; i < message->nfiles; i++) {
		const struct bytes *header = &message->headers[i];
		const struct bytes *file = &message->files[i];

		bytes = add(&segments[n++], header->start, header->n, bytes);
		bytes = add(&segments[n++], file->start, file->n, bytes);
	}
	bytes = add(&segments[n++], message->end, strlen(message->end), bytes);

	struct data_mover_threads *dmt = data_mover_threads_default();
	struct runtime *runtime = runtime_new();
	char *buffer = malloc(bytes);
	bool ok = dmt != NULL && runtime != NULL && buffer != NULL;

	if (ok) {
		char *to = buffer;

		for (size_t i = 0; i < n; to += segments[i++].n)
			segments[i].dest = to;

		struct vdm_operation_future f = vdm_memcpyv(
			data_mover_threads_get_vdm(dmt), segments, n, 0);

		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		ok = FUTURE_OUTPUT(&f)->result == VDM_SUCCESS;
	}
	if (!ok)
		complain("message", "out of memory, or the copy failed");
	else if (fwrite(buffer, 1, bytes, stdout) != bytes ||
		fflush(stdout) != 0)
		ok = complain("standard output", "cannot be written");
	if (ok)
		fprintf(stderr, "gather: %zu parts, %zu bytes\n", n, bytes);

	free(buffer);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return ok;
}

int
main(int argc, char *argv[])
{
	static const char usage[] = "usage: gather FILE... >MESSAGE\n";
	const size_t nfiles = argc > 1 ? (size_t)argc - 1 : 0;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("%sWrites one message of the type multipart/mixed that "
		       "contains all files.\n"
		       "  --help  print this help\n"
		       "Example: gather a.txt b.jpg >message\n",
			usage);
		return EXIT_SUCCESS;
	}
	if (nfiles == 0 || argv[1][0] == '-') {
		fprintf(stderr, "gather: '%s': %s\n%s",
			nfiles == 0 ? "gather" : argv[1],
			nfiles == 0 ? "a file name must follow"
				    : "unknown option",
			usage);
		return 2;
	}

	struct message message = {.nfiles = nfiles};
	struct vdm_segment *segments =
		calloc(2 * nfiles + 2, sizeof(*segments));

	message.files = calloc(nfiles, sizeof(*message.files));
	message.headers = calloc(nfiles, sizeof(*message.headers));

	bool ok = segments != NULL && message.files != NULL &&
		message.headers != NULL;

	if (!ok)
		complain("message", "out of memory");
	ok = ok && make_parts(&message, argv + 1) &&
		gather_and_write(&message, segments);

	for (size_t i = 0;
		message.files != NULL && message.headers != NULL && i < nfiles;
		i++) {
		free(message.files[i].start);
		free(message.headers[i].start);
	}
	free(message.headers);
	free(message.files);
	free(segments);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
