/*
 * body - the framing of content: taking it off, and putting it on.
 *
 * Decoding works in place. A message's content in its receive buffer looks like this:
 *
 *      from            payload            raw
 *       |  ready to be sent  |  not decoded yet  |
 *
 * body_decode turns raw bytes into payload, moving it down over the framing that lay between, so
 * that payload is always one piece. It is resumable at every byte, and its result does not depend
 * on how the bytes came. Chunk lines are checked strictly: hexadecimal digits without sign or
 * prefix, at most 16 of them after leading zeros, well-formed extensions (ignored, RFC 9112,
 * 7.1.1), CRLF and nothing else; at most 256 bytes before the CRLF and 16 KiB of extensions a
 * message.
 */
#ifndef RONDO_HTTP_BODY_H
#define RONDO_HTTP_BODY_H

#include "http/guard.h"

enum body_result {
	BODY_MORE,     /* everything given was decoded, the message goes on */
	BODY_DONE,     /* the message is complete; what is left raw is not part of it */
	BODY_BAD,      /* broken framing */
	BODY_TOO_LARGE /* more payload than the limit given at the start */
};

struct body {
	enum http_framing framing;
	unsigned char state;
	bool done;
	uint64_t left;      /* of the counted content or the current chunk */
	uint64_t received;  /* payload bytes so far */
	uint64_t max_bytes; /* payload limit; 0 = none */
	size_t line;        /* bytes of the current chunk line, its CRLF not counted */
	size_t extensions;  /* bytes of extensions of this message */
	unsigned digits;
	struct guard trailers;
	size_t trailer_bytes; /* of the complete trailer section, its empty line included */
};

/* `head` was classified. Done at once when it has no content. */
void body_init(struct body *body, const struct http_head *head, uint64_t max_bytes);

/* What body_decode leaves behind in the memory it was given. */
struct body_span {
	size_t payload; /* bytes of payload at the front */
	size_t raw;     /* where the undecoded rest begins (>= payload) */
};

/*
 * Decodes the `len` raw bytes at `data` in place. On return span->payload bytes of payload are at
 * `data`, and the rest that was not consumed starts at data + span->raw. With BODY_MORE the rest
 * is empty, except that an incomplete trailer section stays raw until all of it is there: the
 * next call is given it again from its first byte, with what came since. After BODY_DONE of a
 * chunked message the trailer section (2 bytes when it has no fields) lies right before span->raw
 * and is body->trailer_bytes long.
 *
 * BODY_TOO_LARGE comes as soon as the size is known: for counted content at the first call. After
 * BODY_BAD and BODY_TOO_LARGE only the payload counted in span is good, and the message is lost.
 */
enum body_result body_decode(struct body *body, const struct http_limits *limits, char *data,
    size_t len, struct body_span *span);

/* The stream ended: is the message complete with that? True for HTTP_FRAMING_CLOSE and when it was
 * done before. RFC 9112, 8. */
bool body_end(struct body *body);

/* Payload bytes that may still be moved past body_decode (spliced), once it has seen all that came
 * before: the rest of counted content or of the current chunk, UINT64_MAX to the end of the stream,
 * and 0 where the limit has to be watched. body_skip tells that it was done. */
uint64_t body_spliceable(const struct body *body);
void body_skip(struct body *body, uint64_t len);

/* Calls of this walk the fields of a complete, checked trailer section, of which *section says what
 * is left: takes the first line off and splits it. False when none is left. */
bool body_next_trailer(struct str *section, struct http_field *field);

enum { BODY_CHUNK_HEAD_SIZE = 18 };

/* Writes the line that opens a chunk of `len` > 0 bytes. Returns its length; it is not
 * terminated. */
size_t body_chunk_head(char text[static BODY_CHUNK_HEAD_SIZE], uint64_t len);

#endif
