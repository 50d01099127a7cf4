/* SPDX-License-Identifier: BSD-3-Clause */

/* fields.c -- see fields.h */

#include "system/fields.h"

#if defined(__linux__)

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void
mia_fields_open(struct mia_fields *fields, const char *path)
{
	fields->fd = open(path, O_RDONLY | O_CLOEXEC);
	fields->last = '\n';
	fields->at = fields->end = 0;
}

void
mia_fields_close(struct mia_fields *fields)
{
	if (fields->fd >= 0)
		close(fields->fd);
}

static bool
fill(struct mia_fields *fields)
{
	ssize_t n;

	if (fields->fd < 0)
		return false;
	do
		n = read(fields->fd, fields->bytes, sizeof(fields->bytes));
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;

	fields->at = 0;
	fields->end = (size_t)n;
	return true;
}

static int
take(struct mia_fields *fields)
{
	if (fields->at == fields->end && !fill(fields))
		fields->last = MIA_END_OF_FILE;
	else
		fields->last = (unsigned char)fields->bytes[fields->at++];
	return fields->last;
}

bool
mia_fields_is_end(const struct mia_fields *fields)
{
	return fields->last == '\n' || fields->last == MIA_END_OF_FILE;
}

bool
mia_fields_next_line(struct mia_fields *fields)
{
	while (!mia_fields_is_end(fields))
		take(fields);
	if (fields->last == MIA_END_OF_FILE)
		return false;

	fields->last = 0; /* before the first character */
	return true;
}

void
mia_fields_take(
	struct mia_fields *fields, char separator, char *field, size_t size)
{
	size_t n = 0;

	while (!mia_fields_is_end(fields) && take(fields) != separator &&
		!mia_fields_is_end(fields))
		if (n++ < size)
			field[n - 1] = (char)fields->last;
	field[n < size ? n : 0] = '\0';
}

uint64_t
mia_fields_take_number(struct mia_fields *fields, char separator)
{
	char field[32]; /* more digits than the largest number has */
	uint64_t n = 0;

	mia_fields_take(fields, separator, field, sizeof(field));
	for (const char *digit = field; *digit != '\0'; digit++) {
		if (*digit < '0' || *digit > '9' || n > (UINT64_MAX - 9) / 10)
			return 0;
		n = n * 10 + (uint64_t)(*digit - '0');
	}
	return n;
}

void
mia_fields_unescape(char *field)
{
	char *to = field;

	for (const char *from = field; *from != '\0'; to++) {
		unsigned value = 0;
		size_t n = 0;

		while (*from == '\\' && n < 3 && from[n + 1] >= '0' &&
			from[n + 1] <= '7')
			value = value * 8 + (unsigned)(from[++n] - '0');
		if (n == 3) {
			*to = (char)value;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

#endif
