/*
 * write - every byte of HTTP that rondo composes.
 *
 * Heads are made anew from what was parsed: no raw line of one side reaches the other. Order,
 * case and repetition of end-to-end fields are kept; hop-by-hop fields are dropped; framing and
 * connection fields are rondo's own. Pure: head and facts in, bytes out. False means the buffer
 * has no room, and then its content is as before.
 */
#ifndef RONDO_HTTP_WRITE_H
#define RONDO_HTTP_WRITE_H

#include "base/buf.h"
#include "http/head.h"

enum write_forwarded { WRITE_FORWARDED_X, WRITE_FORWARDED_RFC7239, WRITE_FORWARDED_NONE };

/* What a forwarded request carries beside its own fields. */
struct write_request {
	const struct http_head *head;
	enum write_forwarded forwarded;
	bool client_is_trusted;     /* see write_request_head */
	struct str client_ip;       /* without brackets; empty: it has none */
	struct str request_id_name; /* empty: none is added */
	struct str request_id;      /* the client's field is kept where it says the same */
	struct str backend_host;    /* Host for a client that sent none (HTTP/1.0) */
};

/*
 * The head of a request to a backend, always HTTP/1.1: method, path, Host first, then the fields,
 * then Via, X-Forwarded-*, request id, framing. A websocket upgrade carries Connection: Upgrade;
 * TE: trailers is passed on with Connection: TE when the client takes trailers; otherwise no
 * Connection field is sent (keep-alive is the default). Max-Forwards of an OPTIONS is one less.
 *
 * What an untrusted client says in Forwarded and X-Forwarded-* (or X_Forwarded_*) is dropped,
 * whatever `forwarded` is. What a trusted one says passes; the chain of the form that is written is
 * joined into one line and extended by the client, X-Forwarded-Proto and -Host are added only
 * where they are missing. WRITE_FORWARDED_NONE adds nothing.
 */
bool write_request_head(struct buf *out, const struct write_request *request);

/* The trailers of a response that may pass: what http_trailer_is_allowed lets, but for fields that
 * rondo itself sets and those that Connection names. */
struct write_trailers {
	struct str head; /* of the response, as it came */
	struct str app_url_name, attempts_name, request_id_name;
};

/* How the content of a response goes to the client. */
struct write_response {
	const struct http_head *head;    /* the backend's */
	const struct http_head *request; /* the client's */
	enum http_framing framing;       /* towards the client */
	bool keep_alive;                 /* towards the client; else Connection: close */
	/* A field with an empty name or value is not added; the backend's of that name never
	 * passes. */
	struct str app_url_name, app_url;
	struct str attempts_name, attempts;
	struct str request_id_name, request_id;
	struct str date;                       /* for a response without Date: an IMF-fixdate */
	const struct write_trailers *trailers; /* that are announced; NULL: none may pass */
};

/*
 * The head of a final response or a 101. The reason is the standard one where the backend's is
 * empty or not printable ASCII. HTTP/1.1 whatever the client speaks. RFC 9110, 2.5. Answers to HEAD
 * and 304 tell the length that the backend told. A client of HTTP/1.0 is told of keep-alive.
 */
bool write_response_head(struct buf *out, const struct write_response *response);

/* An interim response (1xx but 101) as the backend sent it, without hop-by-hop fields and those
 * that only rondo sets. */
bool write_interim_head(struct buf *out, const struct write_response *response);

/* One of rondo's own answers. */
struct write_error {
	unsigned status;
	struct str detail;      /* a sentence; JSON-escaped here */
	struct str proxy_error; /* type for Proxy-Status, RFC 9209; empty: the field is left out */
	unsigned retry_after_s; /* 0: none */
	bool keep_alive;
	bool without_content; /* the answer to a HEAD: the same head, no content */
	struct str allow;     /* with 405, 200: the methods; empty: those a proxy passes on */
	struct str date;
	struct str attempts_name, attempts;
	struct str request_id_name, request_id;
};

/* Head and application/problem+json content, for a status from 400 on. RFC 9457. 405 has Allow. And
 * 200 for an OPTIONS that went no further: it has Allow and no content. RFC 9110, 9.3.7. */
bool write_error_response(struct buf *out, const struct write_error *error);

/* Bytes of its content. */
size_t write_error_content_length(const struct write_error *error);

/* "Bad Gateway" for 502; "Unknown" for a status nobody registered. */
struct str write_reason(unsigned status);

enum { WRITE_DATE_SIZE = 30 };

/* "Sun, 06 Nov 1994 08:49:37 GMT". Returns the slice of `text`. RFC 9110, 5.6.7. */
struct str write_date(char text[static WRITE_DATE_SIZE], int64_t unix_seconds);

/* The last chunk, with those trailers of the checked `section` that may pass. `trailers` is not
 * needed for an empty one. */
bool write_last_chunk(struct buf *out, struct str section, const struct write_trailers *trailers);

#endif
