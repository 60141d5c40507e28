/*
 * message - helpers of the mock backends and load to read HTTP/1.1: growing byte strings, fields of
 * a head, and decoding of chunks.
 *
 * Simple on purpose: the whole message is kept in memory. When memory runs out the program ends,
 * since these are test tools.
 */
#ifndef MOCK_MESSAGE_H
#define MOCK_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes, owned by the struct that embeds this; all zero is empty. */
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

/* The number of bytes up to the end of the first `text`; 0 if it is not there. */
size_t bytes_find_end(const struct bytes *bytes, const char *text);

/* Removes the first `count` bytes. */
void bytes_drop(struct bytes *bytes, size_t count);

/* Removes all bytes; gives the memory back if it is large. */
void bytes_clear(struct bytes *bytes);
void bytes_free(struct bytes *bytes);

/* A field's value, trimmed and cut to fit, of the first field with that name (any case) in a head
 * that ends with an empty line. False and "" if there is none. */
bool head_find_field(const struct bytes *head, const char *name, char *value, size_t room);

/* Does the value of this field contain this word (any case)? For example "Connection" and
 * "close". */
bool head_has_word(const struct bytes *head, const char *name, const char *word);

enum message_progress { MESSAGE_MORE, MESSAGE_DONE, MESSAGE_BROKEN };

/* Decodes chunks in place. Both cursors start at the first byte behind the head; bytes from there
 * to `body_end` are content, bytes before `next` are processed. */
struct chunks {
	size_t body_end;
	size_t next;
	size_t left; /* content bytes of the current chunk that are still to come */
	enum { CHUNK_SIZE, CHUNK_CONTENT, CHUNK_END, CHUNK_TRAILER } state;
};

/* Decodes the bytes that have arrived. RFC 9112, 7.1; extensions and trailers are skipped. */
enum message_progress chunks_undo(struct chunks *chunks, struct bytes *bytes);

#endif
