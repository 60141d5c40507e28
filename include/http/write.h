/*
 * write - composes all HTTP messages that rondo sends.
 *
 * Heads are composed from the parsed head: no raw line of one side reaches the other. Order, case
 * and repetition of end-to-end fields are kept; hop-by-hop fields are dropped; framing and
 * connection fields are rondo's own. The functions depend on their arguments only. False means that
 * the buffer has no room; its content is unchanged then.
 */
#ifndef RONDO_HTTP_WRITE_H
#define RONDO_HTTP_WRITE_H

#include "base/buf.h"
#include "http/head.h"

enum write_forwarded { WRITE_FORWARDED_X, WRITE_FORWARDED_RFC7239, WRITE_FORWARDED_NONE };

/* The facts from which the head of a forwarded request is composed. */
struct write_request {
	const struct http_head *head;
	enum write_forwarded forwarded;
	bool client_is_trusted;     /* see write_request_head */
	bool is_https;              /* it came to whoever stands in front over TLS */
	struct str client_ip;       /* without brackets; empty: the client has none */
	struct str request_id_name; /* empty: none is added */
	struct str request_id;      /* a field of the client with the same value is kept */
	struct str backend_host;    /* Host for a client that sent none (HTTP/1.0) */
};

/*
 * The head of a request to a backend, always HTTP/1.1: method, path, Host first, then the fields,
 * then Via, X-Forwarded-*, request id, framing. An upgrade carries Connection: Upgrade and the
 * protocols that pass; else TE: trailers is passed on with Connection: TE when the client takes
 * trailers; otherwise no Connection field is sent (keep-alive is the default). Max-Forwards of an
 * OPTIONS is one less.
 *
 * Forwarded and X-Forwarded-* (or X_Forwarded_*) of an untrusted client are dropped, whatever
 * `forwarded` is. Those of a trusted client pass. The chain of the form that is written is joined
 * into one line and extended by the client; X-Forwarded-Proto and -Host are added only where they
 * are missing. WRITE_FORWARDED_NONE adds nothing.
 */
bool write_request_head(struct buf *out, const struct write_request *request);

/* Decides which trailers of a response may pass: those that http_trailer_is_allowed allows, except
 * fields that rondo itself sets and those that Connection names. */
struct write_trailers {
	struct str head; /* of the response, as it came */
	struct str app_url_name, attempts_name, request_id_name;
};

/* The facts from which the head of a response to the client is composed. */
struct write_response {
	const struct http_head *head;    /* the backend's */
	const struct http_head *request; /* the client's */
	enum http_framing framing;       /* towards the client */
	bool keep_alive;                 /* towards the client; else Connection: close */
	/* A field with an empty name or value is not added; a field of the backend with that name
	 * never passes. */
	struct str app_url_name, app_url;
	struct str attempts_name, attempts;
	struct str request_id_name, request_id;
	struct str date;                       /* for a response without Date: an IMF-fixdate */
	const struct write_trailers *trailers; /* to be announced; NULL: none may pass */
};

/*
 * The head of a final response or a 101. The reason is the standard one where the backend's is
 * empty or not printable ASCII. The version is HTTP/1.1 for all clients. RFC 9110, 2.5. Answers to
 * HEAD and 304 carry the Content-Length of the backend. A client of HTTP/1.0 gets Connection:
 * keep-alive.
 */
bool write_response_head(struct buf *out, const struct write_response *response);

/* An interim response (1xx except 101) as the backend sent it, without hop-by-hop fields and
 * without fields that only rondo sets. */
bool write_interim_head(struct buf *out, const struct write_response *response);

/* One of rondo's own answers. */
struct write_error {
	unsigned status;
	struct str detail;      /* a sentence; JSON-escaped here */
	struct str proxy_error; /* type for Proxy-Status, RFC 9209; empty: the field is left out */
	unsigned retry_after_s; /* 0: none */
	bool keep_alive;
	bool without_content; /* the answer to a HEAD: the same head, no content */
	struct str allow;     /* with 405, 200: the methods; empty: those that the proxy forwards */
	struct str date;
	struct str attempts_name, attempts;
	struct str request_id_name, request_id;
};

/* Head and application/problem+json content, for a status from 400 on. RFC 9457. 405 has Allow. The
 * status may also be 200, for an OPTIONS without hops left: it has Allow and no content. RFC 9110,
 * 9.3.7. */
bool write_error_response(struct buf *out, const struct write_error *error);

/* The size of the content in bytes. */
size_t write_error_content_length(const struct write_error *error);

/* "Bad Gateway" for 502; "Unknown" for an unregistered status. */
struct str write_reason(unsigned status);

enum { WRITE_DATE_SIZE = 30 };

/* "Sun, 06 Nov 1994 08:49:37 GMT". Returns the slice of `text`. RFC 9110, 5.6.7. */
struct str write_date(char text[static WRITE_DATE_SIZE], int64_t unix_seconds);

/* The last chunk, with those trailers of the checked `section` that may pass. `trailers` is not
 * used for an empty section. */
bool write_last_chunk(struct buf *out, struct str section, const struct write_trailers *trailers);

#endif
