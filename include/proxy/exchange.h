/*
 * exchange - one request, from the first byte of its head to the last byte of its answer.
 *
 * It reads the head, gathers short content, and makes attempts until one is answered well or
 * nothing is left to try: it decides who is asked, what a failure means, whether the request goes
 * to another backend, and which answer the client gets. The head, and content up to retry.body if
 * the request may be repeated, stay in the client's receive buffer until then, so that every
 * attempt starts from the same bytes. It ends with one answer, or with one honest failure.
 *
 * It holds two attempts at most: the current one, and one whose answer is kept in reserve in case
 * no other backend has a better one. A client that has ended its sending side has gone, unless
 * clients.half_close says that it waits: nothing more is done for it.
 *
 * It belongs to a session, which owns the client's connection and timer and calls exchange_run
 * after every event; `run_owner` is called for events of a backend's connection. An exchange holds
 * its rules and the backends it tried.
 */
#ifndef RONDO_PROXY_EXCHANGE_H
#define RONDO_PROXY_EXCHANGE_H

#include "proxy/answer.h"
#include "proxy/retry.h"

enum exchange_state {
	EXCHANGE_READING,    /* the request head is not complete */
	EXCHANGE_GATHERING,  /* its content is short, and is awaited before a backend is picked */
	EXCHANGE_ATTEMPTING, /* backends are asked, one after the other */
	EXCHANGE_ANSWERING,  /* a backend's answer goes to the client */
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
	struct attempt_request with; /* what its attempts share; holds the rules */
	struct timer *timer;
	enum exchange_state state;
	struct parse parse; /* of the request */
	struct http_head request;
	int64_t began_us;     /* first byte of the head */
	uint64_t client_sent; /* bytes that the client's kernel had accepted before it */
	struct relay up;      /* the content of the request, whoever it is sent to */

	struct attempt
	    *attempt; /* the current or last one; NULL: none yet, or another is to be made */
	struct attempt *kept; /* its answer fell through; in case nothing better comes */
	size_t try_count;     /* of `tries` */
	bool is_settled;      /* verdict has judged the tries */
	bool was_repeatable;  /* then, by its method, its content and the number of tries */

	struct answer answer;     /* EXCHANGE_ANSWERING, EXCHANGE_TUNNELLING */
	unsigned interims_passed; /* to the client, of all attempts */
	int64_t reply_due_us;     /* EXCHANGE_REPLYING: until the client takes more */
	size_t reply_bytes;       /* content of an answer of rondo's own */
	bool keeps_client;        /* after an answer of rondo's own */

	unsigned status; /* of the answer the client gets; 0 = none begun */
	enum access_end end;
	enum exchange_sequel sequel;

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
