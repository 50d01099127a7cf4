/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fields.h -- reads a text file of the kernel, field by field
 *
 * The file may have any content and length. No function allocates memory.
 *
 * Threads: one at a time for each struct.
 */

#ifndef LIBMINIASYNC_FIELDS_H
#define LIBMINIASYNC_FIELDS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mia_fields {
	int fd;   /* -1: like an empty file */
	int last; /* the character taken last, or MIA_END_OF_FILE */
	size_t at, end;
	char bytes[512];
};

#define MIA_END_OF_FILE (-1)

/*
 * A file that cannot be read counts as empty. All these functions may change
 * errno.
 */
void mia_fields_open(struct mia_fields *fields, const char *path);
void mia_fields_close(struct mia_fields *fields);

/* Goes to the first field of the first or next line. False: no line is left. */
bool mia_fields_next_line(struct mia_fields *fields);

/* Whether all fields of the line have been taken. */
bool mia_fields_is_end(const struct mia_fields *fields);

/*
 * Takes the next field of the line, up to the separator, and appends a NUL. The
 * field is empty if the line has no more fields, or if it needs more than size
 * bytes.
 */
void mia_fields_take(
	struct mia_fields *fields, char separator, char *field, size_t size);

/*
 * Takes a field that is a decimal number above 0. Returns 0 for other fields.
 */
uint64_t mia_fields_take_number(struct mia_fields *fields, char separator);

/*
 * The kernel writes some characters of a path as \ and three octal digits. This
 * function restores these characters.
 */
void mia_fields_unescape(char *field);

#endif /* LIBMINIASYNC_FIELDS_H */
