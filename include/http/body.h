/*
 * body - removes the framing of content, and adds it.
 *
 * Decoding works in place. A message's content in its receive buffer looks like this:
 *
 *      from            payload            raw
 *       |  ready to be sent  |  not decoded yet  |
 *
 * body_decode turns raw bytes into payload and moves it down over the framing in between, so that
 * the payload is always one piece. It can stop and resume at every byte, and its result does not
 * depend on how the bytes were cut into reads. Chunk lines are checked strictly: hexadecimal digits
 * without sign or prefix, at most 16 of them after leading zeros, well-formed extensions (ignored,
 * RFC 9112, 7.1.1), CRLF and nothing else; at most 256 bytes before the CRLF and 16 KiB of
 * extensions a message. Old backends pad their sizes to a fixed width with spaces: a response may.
 */
#ifndef RONDO_HTTP_BODY_H
#define RONDO_HTTP_BODY_H

#include "http/guard.h"

enum body_result {
	BODY_MORE,     /* all bytes were decoded, the message goes on */
	BODY_DONE,     /* the message is complete; raw bytes that are left do not belong to it */
	BODY_BAD,      /* broken framing: body->fault */
	BODY_TOO_LARGE /* more payload than the limit given at the start */
};

struct body {
	enum http_framing framing;
	unsigned char state;
	bool done;
	bool may_pad;          /* spaces behind a chunk size */
	enum http_fault fault; /* after BODY_BAD */
	uint64_t left;         /* bytes still to come of counted content or the current chunk */
	uint64_t received;     /* payload bytes so far */
	uint64_t max_bytes;    /* payload limit; 0 = none */
	size_t line;           /* bytes of the current chunk line, its CRLF not counted */
	size_t extensions;     /* bytes of extensions of this message */
	unsigned digits;
	struct guard trailers;
	size_t trailer_bytes; /* of the complete trailer section, its empty line included */
};

/* `head` must be classified. A message without content is done at once. */
void body_init(struct body *body, const struct http_head *head, uint64_t max_bytes);

/* The bytes that body_decode leaves in the caller's memory. */
struct body_span {
	size_t payload; /* bytes of payload at the front */
	size_t raw;     /* where the undecoded rest begins (>= payload) */
};

/*
 * Decodes the `len` raw bytes at `data` in place. On return span->payload bytes of payload are at
 * `data`, and the rest that was not consumed starts at data + span->raw. With BODY_MORE the rest is
 * empty, except that an incomplete trailer section stays raw until all of it is there: the next
 * call must get it again from its first byte, with the bytes that came since. After BODY_DONE of a
 * chunked message the trailer section (2 bytes when it has no fields) lies right before span->raw
 * and is body->trailer_bytes long.
 *
 * BODY_TOO_LARGE comes as soon as the size is known: for counted content at the first call. After
 * BODY_BAD and BODY_TOO_LARGE only the payload counted in span is valid, and the message cannot be
 * continued.
 */
enum body_result body_decode(struct body *body, const struct http_limits *limits, char *data,
    size_t len, struct body_span *span);

/* The stream has ended: is the message complete? True for HTTP_FRAMING_CLOSE and when it was done
 * before. RFC 9112, 8. */
bool body_end(struct body *body);

/* How many bytes of payload may be spliced past body_decode, after it has seen all bytes before
 * them: the rest of counted content or of the current chunk, UINT64_MAX for content up to the end
 * of the stream, and 0 when a size limit has to be checked. Call body_skip with the number of bytes
 * that were spliced. */
uint64_t body_spliceable(const struct body *body);
void body_skip(struct body *body, uint64_t len);

enum { BODY_CHUNK_HEAD_SIZE = 18 };

/* Writes the line that opens a chunk of `len` > 0 bytes. Returns its length; it is not
 * terminated. */
size_t body_chunk_head(char text[static BODY_CHUNK_HEAD_SIZE], uint64_t len);

#endif
