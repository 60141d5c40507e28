/*
 * answer - passes a backend's answer on to the client.
 *
 * The head is composed anew. The content follows, while the rest of the request may still go the
 * other way. After a 101 bytes go both ways until both ends are done. It reads from the attempt
 * that was answered and writes to the client; both belong to the exchange, which also decides what
 * an end means.
 */
#ifndef RONDO_PROXY_ANSWER_H
#define RONDO_PROXY_ANSWER_H

#include "proxy/attempt.h"

struct answer {
	struct attempt *attempt; /* the attempt that was answered; NULL before answer_prepare */
	struct content down;
	struct write_trailers trailers; /* of the answer, should the client take them */
	bool keeps_link;   /* the backend's connection may be used again after the answer */
	bool keeps_client; /* so may the client's */
	bool is_tunnel;
	bool down_ended; /* in a tunnel: that way is closed */
};

enum answer_result {
	ANSWER_WAITS,       /* for what answer_wants says, or for answer_due_us */
	ANSWER_SENT,        /* all of it was accepted by the client's kernel; a tunnel is done */
	ANSWER_CLIENT_GONE, /* the client takes no more, or sends no more */
	ANSWER_CUT_OFF,     /* the backend ended, broke or fell silent before its end */
	ANSWER_SHORTAGE,    /* rondo itself has no means to go on */
	ANSWER_BROKEN       /* a tunnel broke */
};

/* Passes the interim answer of `attempt` on to a client that knows them; false when its buffer has
 * no room. */
bool answer_pass_interim(struct attempt *attempt);

/* Looks at the content of the answer of `attempt`, to the end if it is short; false when its
 * framing is broken already, and then nothing of it was passed on. */
bool answer_prepare(struct answer *answer, struct attempt *attempt);

/* Begins the prepared answer. `attempts` is the value of headers.attempts. False when the client's
 * buffer has no room for the head. */
bool answer_begin(struct answer *answer, struct str attempts);

/* Begins the tunnel that the 101 of `attempt` opens, instead. */
bool answer_begin_tunnel(struct answer *answer, struct attempt *attempt, struct str attempts);

/* Moves what can be moved. */
enum answer_result answer_run(struct answer *answer);

struct attempt_wants answer_wants(const struct answer *answer);
int64_t answer_due_us(const struct answer *answer);

/* The time of answer_due_us passed: tells which side fell silent. ANSWER_WAITS if the answer goes
 * on all the same. */
enum answer_result answer_on_due(struct answer *answer);

/* Does the backend wait for the client to take what it sends? */
bool answer_awaits_client(const struct answer *answer);

/* It is sent: is nothing left on the backend's connection, so that it can go to the pool? */
bool answer_link_is_reusable(const struct answer *answer);

#endif
