/*
 * access_log - one line for each request, and one place that writes them.
 *
 * Lines are gathered in memory and written once a turn, so that a request costs no system call; what cannot be
 * written (a full disk, a blocked pipe) is dropped and counted, and the loop never waits. Every byte a client
 * chose is escaped, so that no line can be forged. A file is opened for appending and again on access_log_reopen;
 * when that fails the old one stays in use.
 */
#ifndef RONDO_PROXY_ACCESS_LOG_H
#define RONDO_PROXY_ACCESS_LOG_H

#include "event/loop.h"
#include "http/head.h"
#include "upstream/verdict.h"

enum access_format { ACCESS_COMBINED, ACCESS_COMBINED_PLUS, ACCESS_JSON };

struct access_log_options {
	const char *path; /* "off", "stdout", or a file */
	enum access_format format;
};

/* How a request ended, in a word: ok, client_gone, no_backend, refused, timeout, reset, bad_response, limit. */
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
	const struct http_head *request; /* NULL or without method when no head was understood */
	unsigned status;                 /* sent to the client; 0 = none */
	uint64_t content_bytes;          /* of content sent to the client */
	int64_t began_us,
	    ended_us; /* loop clock: first byte of the head, last byte of the answer */
	int64_t
	    connect_us; /* of the last try; -1 = it used a pooled connection or never connected */
	int64_t first_byte_us; /* of the last try, since it began; -1 = none came */
	const struct try_record *tries;
	size_t try_count;
	enum access_end end;
	struct str request_id;
};

struct access_log;

/* NULL with errno set when the file cannot be opened or memory is short. With path "off" lines cost nothing. */
struct access_log *access_log_create(struct loop *loop, const struct access_log_options *options);
void access_log_destroy(struct access_log *log);

/* Takes over other options (a reload); negative errno, and nothing changed, when the new file cannot be opened. */
int access_log_configure(struct access_log *log, const struct access_log_options *options);

/* Opens the file again (after it was rotated). Negative errno when the old one stays. */
int access_log_reopen(struct access_log *log);

bool access_log_is_on(const struct access_log *log);
void access_log_write(struct access_log *log, const struct access_record *record);

/* Writes what is gathered now; for the end of the process. */
void access_log_flush(struct access_log *log);

/* Lines that could not be written since the start. */
uint64_t access_log_dropped(const struct access_log *log);

#endif
