/*
 * reader - a strict reader of HTTP/1.1 messages for the ends of a simulated world, and what their contents are made of.
 *
 * It shares no code with rondo, so that a mistake is not made twice. Bytes may come in any pieces. The content of a message is
 * a stretch of one table of noise that a key chooses, so that whoever knows the key can tell every byte.
 */
#ifndef RONDO_SIM_READER_H
#define RONDO_SIM_READER_H

#include "base/str.h"

enum { READER_HEAD_SIZE = 24 * 1024, NOISE_BYTES = 64 * 1024 };

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

enum reader_result {
	READER_MORE,
	READER_HEAD, /* a head is complete: look at it, then call reader_expect */
	READER_DONE, /* the message is complete */
	READER_BAD   /* it cannot be read */
};

struct reader {
	int state;
	bool differs;      /* a byte of the content is not what it must be */
	bool has_trailers; /* fields came behind the content: all of text, with the empty line */
	uint32_t key;
	uint64_t left;
	uint64_t content; /* bytes of it so far */
	size_t len;       /* of text */
	char text[READER_HEAD_SIZE];
};

void reader_start(struct reader *reader);

/* Has nothing of a message come yet? */
bool reader_is_fresh(const struct reader *reader);

/* Reads on, stopping where the result is not READER_MORE; *used tells how far it came. */
enum reader_result reader_feed(struct reader *reader, struct str bytes, size_t *used);

/* Says how the content behind the head is framed and which key it has. READER_DONE when there is none. */
enum reader_result reader_expect(
    struct reader *reader, enum framing framing, uint64_t length, uint32_t key);

/* The stream ended: is the message complete with that? */
bool reader_end(const struct reader *reader);

/* The start line of the complete head; *fields is what follows. */
struct str reader_start_line(const struct reader *reader, struct str *fields);

/* Takes the next field off; false when none is left. */
bool reader_next_field(struct str *fields, struct str *name, struct str *value);

/* `len` bytes of content from `offset` on, as long as noise_run allows. */
size_t noise_run(uint64_t offset, uint32_t key, size_t len, const char **bytes);

/* Mixes a field into a hash of fields in their order. */
uint64_t field_hash(uint64_t hash, struct str name, struct str value);

/* Hexadecimal digits of a fixed width; false when they are not. */
bool read_hex(struct str text, uint32_t *value);

#endif
