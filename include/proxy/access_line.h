/*
 * access_line - a finished request as one line of text.
 *
 * Three forms: `combined`, which every log reader knows; `combined+`, the same with timings and
 * every try behind it; and `json`. Every byte from outside is escaped, so that any text that a
 * client sends stays one field of one line; a text beyond 32 KiB is cut, so that none can push its
 * line out of the log. Pure: record and time in, bytes out.
 */
#ifndef RONDO_PROXY_ACCESS_LINE_H
#define RONDO_PROXY_ACCESS_LINE_H

#include "upstream/verdict.h"

enum access_format { ACCESS_COMBINED, ACCESS_COMBINED_PLUS, ACCESS_JSON };

/* How a request ended, in a word: ok, client_gone, no_backend, refused, timeout, reset,
 * bad_response, limit. */
enum access_end {
	ACCESS_OK,
	ACCESS_CLIENT_GONE,
	ACCESS_NO_BACKEND,
	ACCESS_REFUSED,
	ACCESS_TIMEOUT,
	ACCESS_RESET,
	ACCESS_BAD_RESPONSE,
	ACCESS_LIMIT,
	ACCESS_ENDS
};

const char *access_end_word(enum access_end end);

/* All that is known of a finished request. Slices are good for the length of the call. */
struct access_record {
	const struct net_addr *client;
	struct str peer; /* the address of the connection's other end; shown where it differs */
	/* NULL or without method when nothing was understood; without length when no more than the
	 * method and the target was, or a part of them. */
	const struct http_head *request;
	unsigned status;        /* sent to the client; 0 = none */
	uint64_t content_bytes; /* of content sent to the client */
	int64_t began_us;       /* loop clock: first byte of the head */
	int64_t ended_us;       /* loop clock: last byte of the answer */
	int64_t connect_us;     /* of the last try; -1 = it did not have to, or never did */
	int64_t first_byte_us;  /* of the last try, since it began; -1 = none came */
	int64_t queued_us;      /* it waited for a backend so long; 0 = it did not */
	const struct try_record *tries;
	size_t try_count;
	enum access_end end;
	enum http_fault fault; /* the rule that the request, or the answer, broke */
	struct str request_id;
};

/* When the line is written, as text that serves for a whole second, and the milliseconds beside
 * it. */
struct access_time {
	char local[32]; /* 22/Nov/2026:10:12:01 +0000 */
	char utc[32];   /* 2026-11-22T10:12:01 */
	unsigned ms;
};

/*
 * Composes the line, its newline included, into `room` bytes at `out`. Returns its length, or 0
 * when it does not fit. A request that got no answer has the status 499, for readers that need a
 * number.
 */
size_t access_line_compose(char *out, size_t room, enum access_format format,
    const struct access_record *record, const struct access_time *time);

#endif
