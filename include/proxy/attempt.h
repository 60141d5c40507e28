/*
 * attempt - one sending of a request to one backend.
 *
 * It connects, or takes a connection from the pool, sends the request and waits for the head of
 * the final answer; then it is answered, or failed with an outcome. It owns its connection to the
 * backend, the parser of what comes back, its times, and its place among the backend's addresses.
 * The request belongs to the exchange and outlives the attempt.
 *
 * An attempt decides nothing: it never asks the ring, the verdict, the budget or the options of
 * retrying. It reports, and the dispatch decides what follows. An answer that was reported stays in
 * the attempt until it is passed on or the attempt is destroyed, so one attempt can be kept
 * while another is made.
 */
#ifndef RONDO_PROXY_ATTEMPT_H
#define RONDO_PROXY_ATTEMPT_H

#include "proxy/binding.h"
#include "proxy/content.h"
#include "proxy/proxy.h"

/* What the attempts of one request share: the request and its client. */
struct attempt_request {
	struct proxy *proxy;
	struct proxy_options *rules;
	const struct http_head *head;
	const char *id; /* headers.request_id; "" = none */
	struct conn *client;
	const struct session_client *from;
	struct content *up; /* its content; kept as long as the request may be sent again */
	/* Of an attempt without an exchange, `client`, `from` and `up` are NULL; `head` as well if it
	 * is to connect and no more. */
	bool may_repeat; /* by its method and fields: retry_may_repeat */
	/* The connection that belongs to the client, if there is one: the request goes there. NULL
	 * without an exchange. */
	struct binding *binding;
	bool binds; /* the connection that it goes to belongs to the client from then on */
	bool stays; /* once a backend got bytes of it, no other one may */
	/* By then an answer must have begun, in any attempt; TIMER_NEVER while rondo waits for a
	 * slow client. */
	int64_t deadline_us;
	/* An event of the attempt's connection: attempt_run is to be called. */
	void (*on_event)(void *owner);
	void *owner;
};

enum attempt_state {
	ATTEMPT_CONNECTING, /* to an address of the backend */
	ATTEMPT_SENDING,    /* the request, as it comes from the client */
	ATTEMPT_WAITING,    /* the request is sent; for the first byte of the final answer */
	ATTEMPT_HEADING,    /* for the rest of its head */
	ATTEMPT_ANSWERED,   /* the head is there */
	ATTEMPT_FAILED,     /* the connection is closed, and `outcome` tells why */
	ATTEMPT_STATES
};

enum attempt_upload {
	UPLOAD_RUNNING,
	UPLOAD_DONE,
	UPLOAD_BROKEN, /* the backend takes no more of it */
	UPLOAD_CUT     /* not by the backend: it has not failed, however its answer ends now */
};

/* How the client was at fault, with OUTCOME_CLIENT. */
enum attempt_client_fault {
	CLIENT_LEFT,      /* it ended in the middle of its content */
	CLIENT_BROKE,     /* the framing of its content is broken */
	CLIENT_TOO_LARGE, /* more content than limits.body_bytes */
	CLIENT_LATE       /* nothing came for timeouts.request_body */
};

struct attempt {
	struct attempt_request *request;
	struct try_record
	    *record; /* of this attempt; the dispatch's, and the backend is held there */
	enum attempt_state state;
	enum attempt_upload upload;
	struct backend_conn *link; /* to the backend; NULL once the attempt has failed */

	enum outcome outcome; /* ATTEMPT_FAILED */
	enum attempt_client_fault client_fault;
	bool was_sent; /* a kernel took bytes of the request, also for a link that is closed now */
	bool is_fresh; /* its link does not come from the pool */
	bool was_kept; /* other attempts were made since it was answered */
	bool is_heard; /* bytes came from the backend */
	bool is_superseded; /* the request was sent to a second backend, since this one is silent */
	bool is_second;     /* this is that second one */
	struct pending pending; /* in the lists of what the backend owes */

	size_t address, addresses_tried; /* number of the current one, and how many before it */
	struct parse parse;
	unsigned interims;  /* 1xx so far */
	bool has_continued; /* a 100 was among them */

	int64_t began_us;
	int64_t max_delay_us; /* how long the backend may be silent, as it was at the begin */
	int64_t connect_us;   /* the current connect began */
	int64_t sent_us;      /* the last byte of the request was accepted */
	int64_t heading_us;   /* the first byte of the answer came */
	int64_t connect_took_us, first_byte_us; /* -1 = did not happen */
	int64_t
	    client_awaited_us;   /* the backend has waited for the client since; 0 = it does not */
	int64_t kept_waiting_us; /* how long it did so before that, in all */
};

enum attempt_result {
	ATTEMPT_AGAIN,        /* not reported: it goes on at once */
	ATTEMPT_WAITS,        /* for what attempt_wants says, or for attempt_due_us */
	ATTEMPT_INTERIM,      /* attempt_head is a 1xx; attempt_skip_interim goes on behind it */
	ATTEMPT_IS_CONNECTED, /* that is all it was to do; backend_connected was called */
	ATTEMPT_HAS_HEAD,     /* attempt_head is that of the final answer, or a 101 */
	ATTEMPT_HAS_FAILED
};

/* Begins an attempt at record->backend; attempt_run goes on. NULL without memory. */
struct attempt *attempt_create(struct attempt_request *request, struct try_record *record);

/* Closes its connection, if it still has one, and frees it. NULL is allowed. */
void attempt_destroy(struct attempt *attempt);

/* From now on it has another owner, and its own record of the try. */
void attempt_pass_on(
    struct attempt *attempt, struct attempt_request *request, struct try_record *record);

/* Has it waited for longer than is normal, on a backend that has been quiet for as long? Only while
 * its request may go to another backend meanwhile. */
bool attempt_is_overdue(const struct attempt *attempt);

/* Goes on until it waits or has something to report. */
enum attempt_result attempt_run(struct attempt *attempt);

/* Which events it waits for (enum loop_event), of the client and of the backend. */
struct attempt_wants {
	unsigned client, backend;
};
struct attempt_wants attempt_wants(const struct attempt *attempt);

/* Until when it waits; then attempt_on_due, and attempt_run. */
int64_t attempt_due_us(const struct attempt *attempt);
void attempt_on_due(struct attempt *attempt);

/* Ends it: its connection is closed and not used again. */
void attempt_fail(struct attempt *attempt, enum outcome outcome);

/* A failed one begins once more with the same backend, on a fresh connection. */
void attempt_begin_again(struct attempt *attempt);

/* The head that was reported last. It is parsed again if the head of another attempt was parsed
 * since; valid until another one is. */
const struct http_head *attempt_head(struct attempt *attempt);

void attempt_skip_interim(struct attempt *attempt);

/* Is the head the first thing that came on a connection that had served other requests? Then it
 * may have been sent before this request was. */
bool attempt_is_first_of_reused(const struct attempt *attempt);

/* Does the backend wait for the client to send? Not while the client may wait for a 100. */
bool attempt_awaits_content(const struct attempt *attempt);

/* How long the backend was waited for: not while the client was sending. */
int64_t attempt_silent_us(const struct attempt *attempt);

/* Notes whether the backend waits for the client from now on, to send or to take. */
void attempt_note_awaited(struct attempt *attempt, bool awaits_client);

/* It waited for the client for so long, in all, that it may have given up. */
bool attempt_was_kept_waiting(const struct attempt *attempt);

/* `outcome`, or OUTCOME_SHORTAGE if our own epoll registration failed: the backend is not to blame
 * for a silence then. */
enum outcome attempt_outcome_of_silence(const struct attempt *attempt, enum outcome outcome);

#endif
