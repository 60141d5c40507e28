/*
 * head - one parsed HTTP/1.1 message head, as slices.
 *
 * A request line or status line and the fields in the order they came, pointing into the buffer
 * the head was read into; they are good as long as that buffer is neither moved nor given back.
 * What decides over framing, routing and connection is extracted once by http_head_classify_* and
 * kept as plain values, so that nobody else looks into raw fields for it.
 */
#ifndef RONDO_HTTP_HEAD_H
#define RONDO_HTTP_HEAD_H

#include "base/str.h"

struct http_field {
	struct str name;
	struct str value; /* without OWS at its ends */
	bool hop_by_hop;  /* belongs to one connection and is not forwarded. RFC 9110, 7.6.1 */
};

enum http_method {
	HTTP_METHOD_OTHER, /* known to the parser, nothing special to rondo */
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_OPTIONS,
	HTTP_METHOD_TRACE,
	HTTP_METHOD_PUT,
	HTTP_METHOD_DELETE,
	HTTP_METHOD_POST,
	HTTP_METHOD_CONNECT
};

enum http_framing {
	HTTP_FRAMING_NONE,    /* no content */
	HTTP_FRAMING_LENGTH,  /* Content-Length counts it */
	HTTP_FRAMING_CHUNKED, /* chunked coding */
	HTTP_FRAMING_CLOSE    /* a response that ends with the connection */
};

struct http_head {
	/* request */
	struct str method_text;
	struct str target; /* as received */
	enum http_method method;
	/* response */
	unsigned status;
	struct str reason;

	unsigned minor; /* HTTP/1.minor: 0 or 1 */
	size_t length;  /* bytes of the whole head, its last empty line included */

	/* Framing and connection, set by http_head_classify_*. */
	enum http_framing framing;
	/* What Content-Length says: with HTTP_FRAMING_LENGTH, for answers to HEAD and for 304.
	 * Never with 1xx and 204, which must not have one. RFC 9110, 8.6. */
	bool has_content_length;
	uint64_t content_length;
	bool keep_alive; /* this message lets the connection go on. RFC 9112, 9.3 */

	/* Request: the authority to forward, from the target or Host; may be empty in HTTP/1.0. */
	struct str host;
	/* Request: the target in origin-form or "*". A target "http://a?q" has no path, and this
	 * begins with the "?" then: the "/" before it is for the writer to put. */
	struct str path;
	bool expects_continue; /* request: Expect: 100-continue */
	bool accepts_trailers; /* request: TE: trailers */
	/* Response without content: bytes may follow all the same, because it has a
	 * Transfer-Encoding or, as 1xx or 204, a Content-Length above 0. */
	bool may_be_followed;
	/* A websocket upgrade is asked for, or granted by a 101. RFC 6455, 4. */
	bool upgrades_websocket;

	size_t field_count;
	size_t field_limit; /* room in fields; the caller's */
	struct http_field *fields;
};

/* Options that the Connection fields of a head may name, since each is looked for among all fields; a
 * head with more is refused. */
enum { HTTP_OPTIONS_MAX = 100 };

/* What is wrong with a head; each request fault maps to one status (http_fault_status). */
enum http_fault {
	HTTP_FAULT_NONE,
	HTTP_FAULT_SYNTAX,            /* bytes that no rule allows: 400 */
	HTTP_FAULT_VERSION,           /* HTTP/2.0 and up: 505 */
	HTTP_FAULT_METHOD_UNKNOWN,    /* a token the parser does not know: 501 */
	HTTP_FAULT_METHOD_FORBIDDEN,  /* CONNECT, TRACE: 405 */
	HTTP_FAULT_TARGET_TOO_LONG,   /* 414 */
	HTTP_FAULT_HEAD_TOO_LARGE,    /* bytes or number of fields: 431 */
	HTTP_FAULT_CONTENT_TOO_LARGE, /* 413 */
	HTTP_FAULT_FRAMING,           /* Content-Length and Transfer-Encoding rules: 400 */
	HTTP_FAULT_HOST,              /* missing, repeated or not a host: 400 */
	HTTP_FAULT_TARGET,            /* not a form the method allows: 400 */
	HTTP_FAULT_EXPECTATION,       /* 417 */
	HTTP_FAULT_DISAGREEMENT       /* the parser frames it otherwise: 400, worth a log line */
};

/* The status for a request with this fault, and a sentence for its detail. */
unsigned http_fault_status(enum http_fault fault);
const char *http_fault_text(enum http_fault fault);

/* Forgets the last message but keeps `fields` and its room. */
void http_head_reset(struct http_head *head);

/* The first field of this name (case does not matter), or NULL. */
const struct http_field *http_head_find(const struct http_head *head, struct str name);

/* How many more hops an OPTIONS may take, if this field of it says so. RFC 9110, 7.6.2. */
bool http_head_hops_left(
    const struct http_head *head, const struct http_field *field, uint64_t *hops);

/* An OPTIONS that may go no further: whoever has it answers it. */
bool http_head_ends_here(const struct http_head *head);

/* Takes the next element that is not empty off a comma-separated list; false when none is left. RFC
 * 9110, 5.6.1. */
bool http_list_next(struct str *list, struct str *element);

/* Is `token` in a comma-separated list? Case does not matter, empty elements are skipped. RFC
 * 9110, 5.6.1. */
bool http_list_has(struct str list, struct str token);

/* May this byte stand in a token? RFC 9110, 5.6.2. */
bool http_is_token_byte(char byte);

/* What a hexadecimal digit stands for, or -1. */
int http_hex_digit(char byte);

/*
 * Extracts framing, connection, host and path of a request whose start line and fields are set, and
 * marks hop-by-hop fields. Fills everything that struct http_head says is set by it. An Expect that
 * HTTP/1.0 ignores, and the second of two alike, are marked too, so that they go no further. What
 * Connection names is marked but for the fields that rondo itself sets or extends; more than 100
 * options are HTTP_FAULT_HEAD_TOO_LARGE.
 */
enum http_fault http_head_classify_request(struct http_head *head);

/*
 * The same for a response. `request` is the head it answers: HEAD, and what was asked to be
 * upgraded, decide over it. RFC 9112, 6.3. A 101 that was not asked for, or names another
 * protocol, is HTTP_FAULT_SYNTAX. 1xx, 204, 304 and answers to HEAD have HTTP_FRAMING_NONE
 * whatever they say.
 */
enum http_fault http_head_classify_response(
    struct http_head *head, const struct http_head *request);

/* May this field stand in a trailer section and be passed on? Not what frames, routes,
 * authenticates or controls the connection. RFC 9110, 6.5.1. */
bool http_trailer_is_allowed(struct str name);

#endif
