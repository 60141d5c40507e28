/*
 * retry - decides what may be tried again, and the answer when nothing is left to try.
 *
 * Pure decisions over a request, its options and the tries made so far; dispatch asks for them and
 * acts.
 */
#ifndef RONDO_PROXY_RETRY_H
#define RONDO_PROXY_RETRY_H

#include "proxy/access_log.h"
#include "proxy/options.h"
#include "upstream/verdict.h"

/*
 * May the request be sent a second time once bytes of it reached a backend? Its method is allowed
 * by retry.methods, or it carries the idempotency header and retry.methods is not "none". RFC 9110,
 * 9.2.2.
 */
bool retry_may_repeat(const struct proxy_retry_options *rules, const struct http_head *request);

/* Why a request is not sent to another backend, though its attempt failed. */
enum retry_refusal {
	RETRY_ALLOWED,
	RETRY_REFUSED_TRIES,    /* retry.tries are made */
	RETRY_REFUSED_DEADLINE, /* retry.deadline is over */
	RETRY_REFUSED_METHOD,   /* bytes of it reached a backend, and no other may get it */
	RETRY_REFUSED_BODY,     /* its content is not whole in memory any more */
	RETRY_REFUSED_NOBODY,   /* no backend is left for it */
	RETRY_REFUSED_BUDGET,   /* retry.budget is used up */
	RETRY_REFUSALS
};

/* "tries", "body" ... */
const char *retry_refusal_word(enum retry_refusal refusal);

/* Is this an answer that falls through to the next backend? */
bool retry_is_status(const struct proxy_retry_options *rules, unsigned status);

/* The answer to a request that no backend answered. */
struct retry_answer {
	unsigned status;         /* 502, 503, 504 */
	const char *detail;      /* text for people */
	const char *proxy_error; /* RFC 9209, 2.3 */
	unsigned retry_after_s;  /* with 503 */
	enum access_end end;
	enum http_fault fault; /* the rule that was broken; it becomes part of the detail */
};

/* By the most informative failure: 504 when a try ran into a time limit, 502 when there were tries,
 * 503 when no backend could be tried; `picked` says why none was left. */
struct retry_answer retry_final_answer(
    const struct try_record *tries, size_t count, enum ring_pick_result picked);

enum { RETRY_ATTEMPTS_SIZE = 1024 };

/* "app2(timeout,5000ms) app3(200,13ms)": every try, for headers.attempts. Cut at the end when it
 * does not fit. */
struct str retry_attempts(
    const struct try_record *tries, size_t count, char text[static RETRY_ATTEMPTS_SIZE]);

#endif
