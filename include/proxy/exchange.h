/*
 * exchange - one request, from the first byte of its head to the last byte of its answer.
 *
 * It reads the head, gathers short content, and has the request dispatched until a backend has
 * answered well or nothing is left to try. It ends with one answer, or with one honest failure. A
 * client that has ended its sending side has gone, unless clients.half_close says that it waits:
 * nothing more is done for it.
 *
 * It is the request of a session in proxy->sessions: exchange_handler has all that the session
 * calls. An exchange holds its options and the backends it tried.
 */
#ifndef RONDO_PROXY_EXCHANGE_H
#define RONDO_PROXY_EXCHANGE_H

#include "proxy/dispatch.h"

enum exchange_state {
	EXCHANGE_READING,    /* the request head is not complete */
	EXCHANGE_GATHERING,  /* its content is short, and is awaited before a backend is picked */
	EXCHANGE_ATTEMPTING, /* backends are asked, one after the other, or waited for */
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

	struct answer answer;     /* EXCHANGE_ANSWERING, EXCHANGE_TUNNELLING */
	unsigned interims_passed; /* to the client, of all attempts */
	int64_t reply_due_us;     /* EXCHANGE_REPLYING: until the client takes more */
	size_t reply_bytes;       /* content of an answer of rondo's own */
	bool keeps_client;        /* after an answer of rondo's own */

	unsigned status; /* of the answer the client gets; 0 = none begun */
	enum access_end end;
	enum http_fault fault;         /* the rule that the request, or an answer, broke */
	enum session_next client_next; /* EXCHANGE_ENDED */

	struct dispatch dispatch; /* of the request, to backends; the last that is cleared */
	char request_id[PROXY_REQUEST_ID_SIZE];
	struct http_field fields[]; /* of the request; as many as limits.headers */
};

/* Bytes of an exchange under these options. */
size_t exchange_size(const struct proxy_options *rules);

/* For the `sessions` of a proxy. A request that is aborted ends like one whose client has gone. */
extern const struct session_handler exchange_handler;

#endif
