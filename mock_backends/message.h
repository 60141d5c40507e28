/*
 * message - what a mock backend and load both need to read HTTP/1.1: bytes that grow, a field of a
 * head, and the undoing of chunks.
 *
 * Deliberately simple and whole-message: everything is kept in memory. Out of memory ends the
 * program; these are test tools, and a test without memory is over.
 */
#ifndef MOCK_MESSAGE_H
#define MOCK_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes owned by whoever embeds this; all zero is empty. */
struct bytes {
	char *at;
	size_t length;
	size_t room;
};

/* Makes room for `more` bytes behind the last one. */
void bytes_reserve(struct bytes *bytes, size_t more);
void bytes_add(struct bytes *bytes, const void *data, size_t length);
void bytes_addf(struct bytes *bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The content of /size/N: a, b, c, ... z, a, b, ... */
void bytes_add_pattern(struct bytes *bytes, size_t length);

/* Adds data as chunks of at most 1000 bytes, ended by the last chunk. */
void bytes_add_chunked(struct bytes *bytes, const void *data, size_t length);

/* How many bytes there are up to the end of the first such text; 0 if it is not there. */
size_t bytes_find_end(const struct bytes *bytes, const char *text);

/* Forgets the first `count` bytes. */
void bytes_drop(struct bytes *bytes, size_t count);

/* Forgets all; gives the memory back if it has grown large. */
void bytes_clear(struct bytes *bytes);
void bytes_free(struct bytes *bytes);

/* A field's value, trimmed and cut to fit, of the first field with that name (any case) in a head
 * that ends with an empty line. False and "" if there is none. */
bool head_find_field(const struct bytes *head, const char *name, char *value, size_t room);

/* Whether that field's value has this word in it (any case): "Connection", "close". */
bool head_has_word(const struct bytes *head, const char *name, const char *word);

enum message_progress { MESSAGE_MORE, MESSAGE_DONE, MESSAGE_BROKEN };

/* Undoes chunks inside the buffer they arrived in. Both cursors start at the first byte behind the
 * head; bytes from there to `body_end` are content, bytes before `next` are dealt with. */
struct chunks {
	size_t body_end;
	size_t next;
	size_t left; /* content bytes that the current chunk still owes */
	enum { CHUNK_SIZE, CHUNK_CONTENT, CHUNK_END, CHUNK_TRAILER } state;
};

/* Takes what has arrived. RFC 9112, 7.1; extensions and trailers are read over. */
enum message_progress chunks_undo(struct chunks *chunks, struct bytes *bytes);

#endif
