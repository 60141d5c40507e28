/*
 * exchange - one request and its tries: read, pick, send, wait, fall through, answer.
 *
 * Begins with the first byte of a request head and ends with the last byte of its answer, or with
 * one honest failure. It reads the head, asks the ring for a backend, sends head and content
 * through a relay, judges how each try ends (exchange_try_failed, or by the head of its answer),
 * falls through to the next backend as long as the rules allow, and passes the answer on through a
 * second relay. A client that has ended its sending side has gone, unless the rules say that it
 * waits: nothing more is done for it. The head, and content up to retry.body if the request may be repeated, stay in the
 * client's receive buffer until then, so that every try starts from the same bytes.
 *
 * It belongs to a session, which owns the client's connection and timer and calls exchange_run
 * after every event; `run_owner` is called for events of the backend's connection. An exchange
 * holds its rules and the backends it tried.
 */
#ifndef RONDO_PROXY_EXCHANGE_H
#define RONDO_PROXY_EXCHANGE_H

#include "proxy/relay.h"
#include "proxy/retry.h"
#include "proxy/service.h"

/* The most that is read at once where a head is expected: a head and a little content. How the rest
 * is best moved is known when the head is. */
enum { EXCHANGE_READ_BYTES = 4 * 1024 };

enum exchange_state {
	EXCHANGE_READING,    /* the request head is not complete */
	EXCHANGE_GATHERING,  /* its content is short, and is awaited before a backend is picked */
	EXCHANGE_PICKING,    /* a backend is to be chosen */
	EXCHANGE_CONNECTING, /* to an address of it */
	EXCHANGE_SENDING,    /* the request, as it comes from the client */
	EXCHANGE_WAITING,    /* the request is sent; for the first byte of the final answer */
	EXCHANGE_HEADING,    /* for the rest of its head */
	EXCHANGE_STREAMING,  /* the answer goes to the client */
	EXCHANGE_TUNNELLING, /* bytes go both ways until both ends are done */
	EXCHANGE_REPLYING,   /* an answer of rondo's own goes to the client */
	EXCHANGE_ENDED,
	EXCHANGE_STATES
};

/* How the client's connection goes on after the exchange. */
enum exchange_sequel {
	SEQUEL_KEEP,  /* another request may follow */
	SEQUEL_CLOSE, /* once it has read the answer, whatever it still sends */
	SEQUEL_RESET  /* the client must notice that the answer is not whole */
};

enum exchange_upload {
	UPLOAD_RUNNING,
	UPLOAD_DONE,
	UPLOAD_BROKEN, /* the backend takes no more of it */
	UPLOAD_CUT     /* not by the backend: however its answer ends now, it has not failed */
};

struct exchange_start {
	struct service *service;
	struct conn *client;
	const struct net_addr *peer;
	const char *client_ip;
	struct timer *timer; /* the session's; the exchange arms it */
	void (*run_owner)(void *owner);
	void *owner;
};

struct exchange {
	struct exchange_start with;
	struct rules *rules;
	enum exchange_state state;
	struct parse parse; /* of the request, then of each answer */
	struct http_head request;

	int64_t began_us;     /* first byte of the head */
	int64_t deadline_us;  /* of all tries; TIMER_NEVER while a slow client is waited for */
	int64_t try_us;       /* the current try began */
	int64_t max_delay_us; /* how long its backend may be silent, as it was then */
	int64_t connect_us;   /* its connect began */
	int64_t sent_us;      /* its last byte was accepted */
	int64_t heading_us;   /* the first byte of its answer came */

	struct relay up, down;
	enum exchange_upload upload;
	int64_t
	    client_awaited_us; /* the current try has waited for the client since; 0 = it does not */
	int64_t kept_waiting_us; /* how long it did so before that, in all */
	bool down_ended;         /* tunnelling: that way is closed */

	struct backend_conn *link; /* of the current try */
	bool no_pool;              /* the current try is past taking one from the pool */
	bool was_sent;             /* one from there that died had taken bytes of the request */
	size_t address; /* number of the one the try is at, and how many it went through */
	size_t addresses_tried;
	struct backend_conn
	    *parked; /* an answer that fell through, kept in case nothing better comes */

	size_t try_count;         /* of `tries` */
	bool was_parked;          /* the answer passed on is one that fell through before */
	bool settled;             /* verdict has judged the tries */
	bool may_repeat;          /* by its method and fields: retry_may_repeat */
	bool was_repeatable;      /* when the tries were judged, content and tries counted in */
	unsigned interims;        /* 1xx of the current try */
	bool has_continued;       /* a 100 was among them */
	unsigned interims_passed; /* to the client, of all tries */

	unsigned status;                /* of the answer the client gets; 0 = none begun */
	size_t reply_bytes;             /* content of an answer of rondo's own */
	struct write_trailers trailers; /* of that answer, should the client take them */
	bool answer_keeps_link;
	bool link_is_reusable; /* nothing is left on it */
	bool keep_client;
	enum access_end end;
	enum exchange_sequel sequel;
	uint64_t client_sent; /* bytes that the client's kernel had accepted before it */
	int64_t connect_took_us, first_byte_us; /* of the last try; -1 = none */

	/* These are not cleared when an exchange begins: what is in use of them is counted, or
	 * terminated. */
	struct try_record tries[VERDICT_MAX_TRIES];
	char request_id[SERVICE_REQUEST_ID_SIZE];
	struct http_field fields[]; /* of the request; as many as limits.headers */
};

/* Bytes of an exchange under these rules. */
size_t exchange_size(const struct rules *rules);

/* NULL without memory. `start` is copied; what it points to must outlive the exchange. */
struct exchange *exchange_create(const struct exchange_start *start);

/* Runs until it must wait (false) or is over (true): then exchange->sequel tells what becomes of
 * the client, and the bytes of the request are consumed from its buffer. */
bool exchange_run(struct exchange *exchange);

/* The deadline armed on the timer passed. exchange_run is to be called afterwards. */
void exchange_on_due(struct exchange *exchange);

/* The client's connection is broken. exchange_run is to be called afterwards. */
void exchange_on_broken(struct exchange *exchange);

/* A stop cannot wait any longer. The exchange is over. */
void exchange_abort(struct exchange *exchange);

/* It is over: are bytes of an earlier answer on the same connection still unsent? */
bool exchange_is_behind_another(const struct exchange *exchange);

/* Frees it; it must be over. */
void exchange_destroy(struct exchange *exchange);

#endif
