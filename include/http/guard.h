/*
 * guard - checks the bytes of a head before the parser sees them, since parser versions differ.
 *
 * A resumable table-driven scan from the first byte of a message to the empty line that ends its
 * head. It accepts nothing that recipients are known to read in different ways: no bare CR or LF,
 * no NUL, no folded lines, no space before a colon, single spaces in the start line, HTTP/1 only.
 * What rondo composes afresh may be odd: control bytes in values (RFC 9110, 5.5), and lines of a
 * response that end in LF alone (RFC 9112, 2.2). It counts bytes, fields and the target against the
 * limits. The result does not depend on how the bytes were cut into reads.
 *
 * It also rewrites HTABs at the ends of field values into spaces: both are OWS, and all parser
 * versions strip spaces in the same way. And the version HTTP/1.2 to 1.9 into 1.1, which is how it
 * is to be read. RFC 9110, 2.5.
 */
#ifndef RONDO_HTTP_GUARD_H
#define RONDO_HTTP_GUARD_H

#include "http/head.h"

enum guard_kind { GUARD_REQUEST, GUARD_RESPONSE, GUARD_TRAILERS };

struct http_limits {
	size_t header_bytes; /* a whole head, or a trailer section */
	size_t headers;      /* fields */
	size_t uri_bytes;    /* the request target */
};

enum guard_result { GUARD_MORE, GUARD_DONE, GUARD_BAD };

struct guard {
	enum guard_kind kind;
	unsigned char state;
	unsigned char empty_lines; /* skipped before the head: two at most */
	unsigned char matched;     /* bytes of "HTTP/1." seen, or of another literal */
	bool has_controls;         /* in values or the reason */
	bool has_bare_lf;          /* of a response: a line ends in LF alone */
	size_t skipped;            /* bytes of empty lines before the head */
	size_t length;             /* bytes of the head so far */
	size_t method_length;      /* bytes of the method and of the target that were seen */
	size_t target_length;
	size_t fields;
	enum http_fault fault; /* after GUARD_BAD */
	size_t ows; /* length of the run of OWS at the current position in a field value */
};

void guard_init(struct guard *guard, enum guard_kind kind);

/*
 * Scans `data`, the bytes that follow those of earlier calls. They must also follow them in memory,
 * since the tail of a field value is rewritten when its end is seen. *used is the number of bytes
 * that belong to the head. After GUARD_DONE the head is guard->length bytes long and starts
 * guard->skipped bytes after the first byte ever given. Stops at the first bad byte, and as soon as
 * the head cannot end within the limits. A target over its limit is reported before a head over its
 * limit.
 */
enum guard_result guard_scan(
    struct guard *guard, const struct http_limits *limits, char *data, size_t len, size_t *used);

#endif
