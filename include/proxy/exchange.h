/*
 * exchange - one request, from the first byte of its head to the last byte of its answer.
 *
 * It reads the head, gathers short content, and makes attempts until one is answered well or
 * nothing is left to try: it decides which backend is asked, what a failure means, whether the
 * request goes to another backend, and which answer the client gets. The head, and content up to
 * retry.body if the request may be repeated, stay in the client's receive buffer until then, so
 * that every attempt starts from the same bytes. It ends with one answer, or with one honest
 * failure.
 *
 * It holds two attempts at most: the current one, and another one. That is either answered, with an
 * answer that is kept in reserve in case no other backend has a better one; or it waits for a
 * silent backend, and the current one was made beside it: the first good answer wins, and the loser
 * goes on as a straggler. A client that has ended its sending side has gone, unless
 * clients.half_close says that it waits: nothing more is done for it.
 *
 * When no backend can be asked now, but one may be soon, it waits in proxy->queue. Meanwhile it
 * holds no connection to a backend, except that of a failing answer kept in reserve.
 *
 * It is the request of a session in proxy->sessions: exchange_handler has all that the session
 * calls. An exchange holds its options and the backends it tried.
 */
#ifndef RONDO_PROXY_EXCHANGE_H
#define RONDO_PROXY_EXCHANGE_H

#include "proxy/answer.h"
#include "proxy/retry.h"

enum exchange_state {
	EXCHANGE_READING,    /* the request head is not complete */
	EXCHANGE_GATHERING,  /* its content is short, and is awaited before a backend is picked */
	EXCHANGE_ATTEMPTING, /* backends are asked, one after the other */
	EXCHANGE_QUEUEING,   /* no backend can be asked now: it waits for one */
	EXCHANGE_ANSWERING,  /* a backend's answer goes to the client */
	EXCHANGE_TUNNELLING, /* bytes go both ways until both ends are done */
	EXCHANGE_REPLYING,   /* an answer of rondo's own goes to the client */
	EXCHANGE_ENDED,
	EXCHANGE_STATES
};

struct exchange {
	struct attempt_request with; /* what its attempts share; holds the options */
	struct timer *timer;         /* the session's */
	enum exchange_state state;
	struct parse parse; /* of the request */
	struct http_head request;
	int64_t began_us;     /* first byte of the head */
	uint64_t client_sent; /* bytes that the client's kernel had accepted before it */
	struct content up;    /* the content of the request, to any backend */

	struct attempt
	    *attempt; /* the current or last one; NULL: none yet, or another is to be made */
	struct attempt
	    *other; /* its answer fell through, in case nothing better comes; or it still waits */
	size_t try_count;     /* of `tries` */
	size_t counted_tries; /* of them, those whose retry is counted */
	size_t free_tries;    /* of them, those that count for nothing: OUTCOME_GIVEN_UP */
	unsigned rescues;     /* attempts made beside another one */
	bool rescue_refused;
	struct waiter waiter; /* its place in proxy->queue */
	bool is_let_in;       /* from there */
	bool owes_retry;      /* it waits for a second sending that is not in the budget yet */
	bool is_settled;      /* verdict has evaluated the tries */
	bool was_repeatable;  /* then, by its method, its content and the number of tries */

	struct answer answer;     /* EXCHANGE_ANSWERING, EXCHANGE_TUNNELLING */
	unsigned interims_passed; /* to the client, of all attempts */
	int64_t reply_due_us;     /* EXCHANGE_REPLYING: until the client takes more */
	size_t reply_bytes;       /* content of an answer of rondo's own */
	bool keeps_client;        /* after an answer of rondo's own */

	unsigned status; /* of the answer the client gets; 0 = none begun */
	enum access_end end;
	enum session_next client_next; /* EXCHANGE_ENDED */

	/* These are not cleared when an exchange begins: the part in use is counted, or
	 * terminated. */
	struct try_record tries[VERDICT_MAX_TRIES];
	char request_id[PROXY_REQUEST_ID_SIZE];
	struct http_field fields[]; /* of the request; as many as limits.headers */
};

/* Bytes of an exchange under these options. */
size_t exchange_size(const struct proxy_options *rules);

/* For the `sessions` of a proxy. A request that is aborted ends like one whose client has gone. */
extern const struct session_handler exchange_handler;

#endif
