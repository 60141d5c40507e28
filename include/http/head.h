/*
 * head - one parsed HTTP/1.1 message head, as slices.
 *
 * A request line or status line and the fields in the order they came, pointing into the buffer the
 * head was read into; they are good as long as that buffer is neither moved nor given back. What
 * decides over framing, routing and connection is extracted once by http_head_classify and kept as plain
 * values, so that nobody else looks into raw fields for it.
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
	size_t length;	/* bytes of the whole head, its last empty line included */

	/* Framing and connection, set by http_head_classify. */
	enum http_framing framing;
	uint64_t content_length; /* with HTTP_FRAMING_LENGTH; for answers to HEAD and for 304 what the field said */
	bool has_content_length;
	bool keep_alive;	 /* this message lets the connection go on. RFC 9112, 9.3 */
	struct str host;	 /* request: the authority to forward, from the target or Host; may be empty in 1.0 */
	struct str path;	 /* request: the target in origin-form or "*" */
	bool expects_continue;	 /* request: Expect: 100-continue */
	bool accepts_trailers;	 /* request: TE: trailers, named in Connection */
	bool upgrades_websocket; /* a websocket upgrade is asked for, or granted by a 101. RFC 6455, 4 */

	size_t field_count;
	size_t field_limit; /* room in fields; the caller's */
	struct http_field *fields;
};

/* What is wrong with a head; each request fault maps to one status (http_fault_status). */
enum http_fault {
	HTTP_FAULT_NONE,
	HTTP_FAULT_SYNTAX,	     /* bytes that no rule allows: 400 */
	HTTP_FAULT_VERSION,	     /* HTTP/2.0 and up: 505 */
	HTTP_FAULT_METHOD_UNKNOWN,   /* a token the parser does not know: 501 */
	HTTP_FAULT_METHOD_FORBIDDEN, /* CONNECT, TRACE: 405 */
	HTTP_FAULT_TARGET_TOO_LONG,  /* 414 */
	HTTP_FAULT_HEAD_TOO_LARGE,   /* bytes or number of fields: 431 */
	HTTP_FAULT_CONTENT_TOO_LARGE, /* 413 */
	HTTP_FAULT_FRAMING,	     /* Content-Length and Transfer-Encoding rules: 400 */
	HTTP_FAULT_HOST,	     /* missing, repeated or not a host: 400 */
	HTTP_FAULT_TARGET,	     /* not a form the method allows: 400 */
	HTTP_FAULT_EXPECTATION,	     /* 417 */
	HTTP_FAULT_DISAGREEMENT	     /* the parser frames it otherwise than we do: 400, worth a log line */
};

/* The status for a request with this fault, and a sentence for its detail. */
unsigned http_fault_status(enum http_fault fault);
const char *http_fault_text(enum http_fault fault);

/* Forgets the last message but keeps `fields` and its room. */
void http_head_reset(struct http_head *head);

/* The first field of this name (case does not matter), or NULL. */
const struct http_field *http_head_find(const struct http_head *head, struct str name);

/* Is `token` in a comma-separated list? Case does not matter, empty elements are skipped. RFC 9110, 5.6.1. */
bool http_list_has(struct str list, struct str token);

/*
 * Extracts framing, connection, host and path of a request whose start line and fields are set, and
 * marks hop-by-hop fields. Fills everything that struct http_head says is set by it.
 */
enum http_fault http_head_classify_request(struct http_head *head);

/*
 * The same for a response. `request` is the head it answers: HEAD, and what was asked to be upgraded,
 * decide over it. RFC 9112, 6.3. A 101 that was not asked for, or names another protocol, is
 * HTTP_FAULT_SYNTAX. 1xx, 204, 304 and answers to HEAD have HTTP_FRAMING_NONE whatever they say.
 */
enum http_fault http_head_classify_response(struct http_head *head, const struct http_head *request);

/* May this field stand in a trailer section and be passed on? Not what frames, routes, authenticates
 * or controls the connection. RFC 9110, 6.5.1. */
bool http_trailer_is_allowed(struct str name);

#endif
