/*
 * head - one parsed HTTP/1.1 message head, as slices.
 *
 * A request line or status line and the fields in the order of arrival. They point into the buffer
 * that the head was read into, and are valid as long as that buffer is neither moved nor given
 * back. http_head_classify_* extracts framing, routing and connection options once and keeps them
 * as plain values, so that no other code needs to search the raw fields for them.
 */
#ifndef RONDO_HTTP_HEAD_H
#define RONDO_HTTP_HEAD_H

#include "base/str.h"
#include "http/fault.h"

struct http_field {
	struct str name;
	struct str value; /* without OWS at its ends */
	bool hop_by_hop;  /* belongs to one connection and is not forwarded. RFC 9110, 7.6.1 */
};

enum http_method {
	HTTP_METHOD_OTHER, /* any other token; rondo has no special rule for it */
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

	unsigned minor; /* HTTP/1.minor: 0, or 1 for all that is higher. RFC 9110, 2.5 */
	size_t length;  /* bytes of the whole head, its last empty line included */

	/* Framing and connection, set by http_head_classify_*. */
	enum http_framing framing;
	/* The value of Content-Length: with HTTP_FRAMING_LENGTH, for answers to HEAD and for 304.
	 * Never with 1xx and 204, which must not have one. RFC 9110, 8.6. */
	bool has_content_length;
	uint64_t content_length;
	bool keep_alive; /* the connection may be used after this message. RFC 9112, 9.3 */

	/* Request: the authority to forward, from the target or Host; may be empty. In HTTP/1.0
	 * there may be none. */
	struct str host;
	bool has_host;
	/* Request: the target in origin-form or "*". A target "http://a?q" has no path; this begins
	 * with the "?" then, and the writer puts the "/" before it. */
	struct str path;
	bool expects_continue; /* request: Expect: 100-continue */
	bool accepts_trailers; /* request: TE: trailers */
	/* Response: the rules say that it has no content, but its fields say that it has. */
	bool may_be_followed;
	/* HTTP/1.1, Upgrade is named by Connection; of a request, with content of a known length or
	 * none; of a response, it is there once. */
	bool offers_upgrade;
	/* Request: it asks to change to a protocol of these; NULL: to none. Set by
	 * http_upgrade_choose. */
	const struct http_upgrades *upgrades;

	size_t field_count;
	size_t field_limit; /* room in fields; the caller's */
	struct http_field *fields;
};

/* The Connection fields of a head may name this many options, since each is searched for among all
 * fields; a head with more is refused. */
enum { HTTP_OPTIONS_MAX = 100 };

/* Most interim responses (1xx) for one request. */
enum { HTTP_INTERIMS_MAX = 100 };

/* 2 for 2xx and so on; 600 and above count as 5xx. RFC 9110, 15. */
static inline unsigned http_status_class(unsigned status)
{
	return status < 600 ? status / 100 : 5;
}

/* Clears the head but keeps `fields` and its room. */
void http_head_reset(struct http_head *head);

/* The first field with this name (case does not matter), or NULL. */
const struct http_field *http_head_find(const struct http_head *head, struct str name);

/* How many more hops an OPTIONS may take; true if `field` is its Max-Forwards. RFC 9110, 7.6.2. */
bool http_head_hops_left(
    const struct http_head *head, const struct http_field *field, uint64_t *hops);

/* Is it an OPTIONS without hops left? The recipient answers it and does not forward it. */
bool http_head_ends_here(const struct http_head *head);

/* Takes the first of the field lines that the guard has accepted, and splits it. False when none is
 * left, or the line is empty. */
bool http_next_field(struct str *lines, struct http_field *field);

/* Takes the next element that is not empty off a comma-separated list; false when none is left. RFC
 * 9110, 5.6.1. */
bool http_list_next(struct str *list, struct str *element);

/* Is `token` in a comma-separated list? Case does not matter, empty elements are skipped. RFC
 * 9110, 5.6.1. */
bool http_list_has(struct str list, struct str token);

/* Is this byte allowed in a token? RFC 9110, 5.6.2. */
bool http_is_token_byte(char byte);

/*
 * Extracts framing, connection, host and path of a request whose start line and fields are set, and
 * marks hop-by-hop fields. Sets all members that struct http_head says it sets. An Expect in
 * HTTP/1.0, which must be ignored, and the second of two equal ones are marked too, so that they
 * are not forwarded. Fields that Connection names are marked, except those that rondo itself sets
 * or extends; more than HTTP_OPTIONS_MAX options are HTTP_FAULT_OPTIONS. What is left of Expect
 * says "100-continue".
 */
enum http_fault http_head_classify_request(struct http_head *head);

/*
 * The same for a response. `request` is the head that it answers: the framing depends on HEAD and
 * on HEAD only. RFC 9112, 6.3. 1xx, 204, 304 and answers to HEAD have HTTP_FRAMING_NONE, whatever
 * their fields say.
 */
enum http_fault http_head_classify_response(
    struct http_head *head, const struct http_head *request);

/* May this field be passed on in a trailer section? Not when it frames, routes, authenticates or
 * controls the connection. RFC 9110, 6.5.1. */
bool http_trailer_is_allowed(struct str name);

#endif
