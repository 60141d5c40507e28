#include "message.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_LINE_MAX 4096
#define KEEP_ROOM_MAX  65536

void bytes_reserve(struct bytes *bytes, size_t more)
{
	size_t room = bytes->room > 0 ? bytes->room : 4096;

	if (bytes->room - bytes->length >= more)
		return;
	while (room - bytes->length < more)
		room *= 2;
	bytes->at = realloc(bytes->at, room);
	if (bytes->at == NULL) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	bytes->room = room;
}

void bytes_add(struct bytes *bytes, const void *data, size_t length)
{
	if (length == 0)
		return;
	bytes_reserve(bytes, length);
	memcpy(bytes->at + bytes->length, data, length);
	bytes->length += length;
}

void bytes_addf(struct bytes *bytes, const char *format, ...)
{
	va_list arguments;
	int length = 0;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length <= 0)
		return;
	bytes_reserve(bytes, (size_t)length + 1);
	va_start(arguments, format);
	vsnprintf(bytes->at + bytes->length, (size_t)length + 1, format, arguments);
	va_end(arguments);
	bytes->length += (size_t)length;
}

void bytes_add_pattern(struct bytes *bytes, size_t length)
{
	bytes_reserve(bytes, length);
	for (size_t i = 0; i < length; i++)
		bytes->at[bytes->length + i] = (char)('a' + i % 26);
	bytes->length += length;
}

void bytes_add_chunked(struct bytes *bytes, const void *data, size_t length)
{
	const char *from = data;

	while (length > 0) {
		size_t part = length < 1000 ? length : 1000;

		bytes_addf(bytes, "%zx\r\n", part);
		bytes_add(bytes, from, part);
		bytes_add(bytes, "\r\n", 2);
		from += part;
		length -= part;
	}
	bytes_add(bytes, "0\r\n\r\n", 5);
}

size_t bytes_find_end(const struct bytes *bytes, const char *text)
{
	size_t length = strlen(text);
	const char *found = NULL;

	if (bytes->length > 0)
		found = memmem(bytes->at, bytes->length, text, length);
	return found != NULL ? (size_t)(found - bytes->at) + length : 0;
}

void bytes_drop(struct bytes *bytes, size_t count)
{
	if (count == bytes->length) {
		bytes_clear(bytes);
		return;
	}
	memmove(bytes->at, bytes->at + count, bytes->length - count);
	bytes->length -= count;
}

void bytes_clear(struct bytes *bytes)
{
	bytes->length = 0;
	if (bytes->room > KEEP_ROOM_MAX)
		bytes_free(bytes);
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct bytes){0};
}

bool head_find_field(const struct bytes *head, const char *name, char *value, size_t room)
{
	size_t name_length = strlen(name);
	const char *end = head->at + head->length;
	const char *line = memmem(head->at, head->length, "\r\n", 2);

	value[0] = '\0';
	while (line != NULL && end - line > 2) {
		const char *start = line + 2;
		const char *stop = memmem(start, (size_t)(end - start), "\r\n", 2);

		line = stop;
		if (stop == NULL || (size_t)(stop - start) <= name_length ||
		    start[name_length] != ':' || strncasecmp(start, name, name_length) != 0)
			continue;
		start += name_length + 1;
		while (start < stop && (*start == ' ' || *start == '\t'))
			start++;
		while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		snprintf(value, room, "%.*s", (int)(stop - start), start);
		return true;
	}
	return false;
}

bool head_has_word(const struct bytes *head, const char *name, const char *word)
{
	char value[256];

	return head_find_field(head, name, value, sizeof(value)) && strcasestr(value, word) != NULL;
}

/* The size at the start of a chunk line; false if there is none or it is absurd. */
static bool read_chunk_size(const char *line, size_t length, size_t *size)
{
	size_t i = 0;

	*size = 0;
	for (; i < length && isxdigit((unsigned char)line[i]); i++) {
		int c = tolower((unsigned char)line[i]);

		if (*size > SIZE_MAX >> 8)
			return false;
		*size = *size * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return i > 0 && (i == length || line[i] == ';' || line[i] == ' ' || line[i] == '\t');
}

/* Moves content of the current chunk behind the content before it; true when the chunk is whole. */
static bool take_content(struct chunks *chunks, struct bytes *bytes)
{
	size_t have = bytes->length - chunks->next;
	size_t count = have < chunks->left ? have : chunks->left;

	memmove(bytes->at + chunks->body_end, bytes->at + chunks->next, count);
	chunks->body_end += count;
	chunks->next += count;
	chunks->left -= count;
	return chunks->left == 0;
}

/* Reads one line of framing; MESSAGE_MORE means that it was valid and that more follows. */
static enum message_progress take_line(struct chunks *chunks, const char *line, size_t length)
{
	switch (chunks->state) {
	case CHUNK_SIZE:
		if (!read_chunk_size(line, length, &chunks->left))
			return MESSAGE_BROKEN;
		chunks->state = chunks->left > 0 ? CHUNK_CONTENT : CHUNK_TRAILER;
		return MESSAGE_MORE;
	case CHUNK_END:
		chunks->state = CHUNK_SIZE;
		return length == 0 ? MESSAGE_MORE : MESSAGE_BROKEN;
	case CHUNK_TRAILER:
		return length == 0 ? MESSAGE_DONE : MESSAGE_MORE;
	case CHUNK_CONTENT:
		break;
	}
	return MESSAGE_BROKEN;
}

enum message_progress chunks_undo(struct chunks *chunks, struct bytes *bytes)
{
	enum message_progress progress = MESSAGE_MORE;

	while (progress == MESSAGE_MORE) {
		const char *line = bytes->at + chunks->next;
		const char *stop = NULL;

		if (chunks->state == CHUNK_CONTENT) {
			if (!take_content(chunks, bytes))
				return MESSAGE_MORE;
			chunks->state = CHUNK_END;
			continue;
		}
		stop = memmem(line, bytes->length - chunks->next, "\r\n", 2);
		if (stop == NULL) {
			bool is_long = bytes->length - chunks->next > CHUNK_LINE_MAX;

			return is_long ? MESSAGE_BROKEN : MESSAGE_MORE;
		}
		chunks->next += (size_t)(stop - line) + 2;
		progress = take_line(chunks, line, (size_t)(stop - line));
	}
	return progress;
}
