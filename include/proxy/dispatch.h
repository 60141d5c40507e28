/*
 * dispatch - a request's way to a backend that answers it.
 *
 * It decides which backend is asked, what a failure means, whether the request goes to another
 * backend, and which answer the client gets. The head of the request, and its content up to
 * retry.body if it may be repeated, stay in the client's receive buffer until then, so that every
 * attempt starts from the same bytes.
 *
 * It holds two attempts at most: the current one, and another one. That is either answered, with an
 * answer that is kept in reserve in case no other backend has a better one; or it waits for a
 * silent backend, and the current one was made beside it: the first good answer wins, and the loser
 * goes on as a straggler.
 *
 * When no backend can be asked now, but one may be soon, the request waits in proxy->queue.
 * Meanwhile it holds no connection to a backend, except that of a failing answer kept in reserve.
 *
 * A dispatch belongs to an exchange, which knows the client: it runs the dispatch, passes on what
 * that reports, and says when the request is over.
 */
#ifndef RONDO_PROXY_DISPATCH_H
#define RONDO_PROXY_DISPATCH_H

#include "proxy/answer.h"
#include "proxy/queue.h"
#include "proxy/retry.h"

/* Zeroed, but for `with` and `answer`, nothing was tried. */
struct dispatch {
	struct attempt_request *with; /* the request, of the owner */
	struct answer *answer;        /* the owner's, for the answer that the client gets */
	/* The current or last one; NULL: none yet, or another is to be made. */
	struct attempt *attempt;
	/* Its answer fell through, in case nothing better comes; or it still waits. */
	struct attempt *other;
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
	/* DISPATCH_NO_ANSWER: why no backend was left. */
	enum ring_pick_result last_pick;
	/* The part in use is counted: it need not be zeroed. Each holds its backend. */
	struct try_record tries[VERDICT_MAX_TRIES];
};

enum dispatch_result {
	DISPATCH_AGAIN,    /* it goes on at once */
	DISPATCH_WAITS,    /* for what dispatch_wants says, or for dispatch_due_us */
	DISPATCH_INTERIM,  /* attempt_head of `attempt` is a 1xx; attempt_skip_interim goes on */
	DISPATCH_SWITCHES, /* attempt_head is a 101 */
	DISPATCH_ANSWERED, /* `answer` is prepared, from `attempt` */
	DISPATCH_CLIENT_FAULT, /* attempt->client_fault: the client is at fault */
	DISPATCH_NO_ANSWER     /* nothing is left to try: see retry_final_answer */
};

/* Goes on. What is reported but found unusable by the owner is a failure of the attempt: call
 * attempt_fail, and run it again. */
enum dispatch_result dispatch_run(struct dispatch *dispatch);

/* Which events it waits for, of the client and of the backend of `attempt`. With two attempts under
 * way, `other` waits for attempt_wants of its own. */
struct attempt_wants dispatch_wants(const struct dispatch *dispatch);
bool dispatch_has_two(const struct dispatch *dispatch);

/* Until when it waits; then dispatch_on_due, and dispatch_run. */
int64_t dispatch_due_us(const struct dispatch *dispatch);
void dispatch_on_due(struct dispatch *dispatch);

/* Records the result of the current attempt; `silent_us`: how long its backend had been waited
 * for. */
void dispatch_record(struct dispatch *dispatch, enum outcome outcome, int64_t silent_us);

/* No more tries follow: verdict evaluates them, once. */
void dispatch_settle(struct dispatch *dispatch);

/* An answer that was kept is not needed any more. */
void dispatch_drop_other(struct dispatch *dispatch);

/* The client is gone, or to blame: the try under way says nothing about its backend. */
void dispatch_blame_client(struct dispatch *dispatch);

/* No backend is asked any more; `attempt` stays, for its times. */
void dispatch_disconnect(struct dispatch *dispatch);

/* The request is over: it waits no more, and its tries are settled and counted. */
void dispatch_end(struct dispatch *dispatch);

/* Gives everything back; `with` is still needed. */
void dispatch_finish(struct dispatch *dispatch);

#endif
