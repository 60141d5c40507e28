/*
 * parse - heads through llhttp; the only file that knows it.
 *
 * The guard scans the bytes as they come. When the head is complete, llhttp reads it once, its
 * callbacks record slices, and http_head_classify_* finds the framing. Then both results are
 * compared: when llhttp finds other framing, the message is refused (HTTP_FAULT_DISAGREEMENT).
 * Content is never given to llhttp (see body), so that framing does not depend on its version.
 *
 * There are no callbacks to the caller: it calls a function and gets more, done or bad.
 */
#ifndef RONDO_HTTP_PARSE_H
#define RONDO_HTTP_PARSE_H

#include "base/buf.h"
#include "http/guard.h"

enum parse_result { PARSE_MORE, PARSE_DONE, PARSE_BAD };

/* The state of reading one head. Embedded in the owner of the connection; knows nothing of
 * content. */
struct parse {
	struct guard guard;
	size_t scanned;        /* bytes of the buffer's content the guard has seen */
	enum http_fault fault; /* after PARSE_BAD */
};

void parse_init(struct parse *parse, enum guard_kind kind);

/*
 * Looks at the content of `in`, of which the first parse->scanned bytes were seen before. On
 * PARSE_DONE the head's slices point into `in`, empty lines before it are consumed, and the head
 * itself is the first head->length bytes of the content: the caller consumes them. `head->fields`
 * must have room for limits->headers fields.
 *
 * With PARSE_MORE the head is empty. With PARSE_BAD it is empty too, or, when its syntax is right
 * but its meaning is wrong, it holds the start line and the fields.
 */
enum parse_result parse_request(
    struct parse *parse, const struct http_limits *limits, struct buf *in, struct http_head *head);

/* The same for a response to `request`. A 101 that changes to a protocol that was not asked for is
 * bad. */
struct parse_response_rules {
	struct http_limits limits;
	const struct http_head *request;
};
enum parse_result parse_response(struct parse *parse, const struct parse_response_rules *rules,
    struct buf *in, struct http_head *head);

/* Sets the method and the target of a head that is not whole, or is refused, as far as the guard
 * has read them. */
void parse_peek(const struct parse *parse, const struct buf *in, struct http_head *head);

/* "9.2.1": the version that was compiled in. */
const char *parse_llhttp_version(void);

#endif
