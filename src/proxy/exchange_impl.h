/*
 * exchange_impl - what the bodies of exchange share: exchange.c runs the states, reads requests and
 * makes rondo's own answers; exchange_try.c reaches a backend, sends the request and judges;
 * exchange_answer.c passes the answer on.
 */
#ifndef RONDO_PROXY_EXCHANGE_IMPL_H
#define RONDO_PROXY_EXCHANGE_IMPL_H

#include "proxy/exchange.h"

enum step {
	STEP_AGAIN, /* the state changed, or may go on at once */
	STEP_WAIT   /* for an event or the deadline */
};

static inline int64_t exchange_now_us(const struct exchange *exchange)
{
	return loop_now_us(exchange->with.service->loop);
}

static inline int64_t exchange_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- exchange.c */

/* The only place that changes the state; asserts that it may follow. */
void exchange_enter(struct exchange *exchange, enum exchange_state next);

/* The one end of every exchange. */
void exchange_end(struct exchange *exchange, enum access_end how, enum exchange_sequel sequel);

/* The client is to blame, or gone: whatever was tried says nothing about a backend. */
void exchange_end_by_client(struct exchange *exchange);

/* Does the backend wait for the client, to send or to take? */
bool exchange_awaits_client(const struct exchange *exchange);

/* The tries so far are all there will be: verdict judges them, once. */
void exchange_settle(struct exchange *exchange);

void exchange_drop_link(struct exchange *exchange);
void exchange_drop_parked(struct exchange *exchange);

/* Answers for the backends. An answer to a client that may still be sending is the connection's
 * last. */
enum step exchange_reply(struct exchange *exchange, const struct retry_answer *answer);
enum step exchange_reply_fault(struct exchange *exchange, enum http_fault fault);
enum step exchange_reply_timeout(struct exchange *exchange);

/* The value of headers.attempts; empty when it is not configured. */
struct str exchange_attempts_value(
    const struct exchange *exchange, char text[static RETRY_ATTEMPTS_SIZE]);

/* ---- exchange_try.c */

enum step exchange_step_picking(struct exchange *exchange);
enum step exchange_step_connecting(struct exchange *exchange);
enum step exchange_step_sending(struct exchange *exchange);
int64_t exchange_due_connecting(const struct exchange *exchange);
int64_t exchange_due_sending(const struct exchange *exchange);
enum outcome exchange_silence(const struct exchange *exchange, enum outcome outcome);
void exchange_late_connecting(struct exchange *exchange);
void exchange_late_sending(struct exchange *exchange);

/* The last one, or the one whose answer was parked and is now passed on. */
struct try_record *exchange_current_try(struct exchange *exchange);

/* Closes the book on the current try. */
void exchange_record_try(struct exchange *exchange, enum outcome outcome);

/* May the request go to yet another backend, after one that got bytes of it (`sent`) or not? What
 * is sent again is taken from the budget, but only where there is somebody to send it to. */
bool exchange_take_retry(struct exchange *exchange, bool sent);

/* The one judge of a try that ended without an answer: again, elsewhere, or an answer of rondo's
 * own. */
enum step exchange_try_failed(struct exchange *exchange, enum outcome outcome);

/* ---- exchange_answer.c */

enum step exchange_step_answer_head(struct exchange *exchange);
enum step exchange_step_streaming(struct exchange *exchange);
enum step exchange_step_tunnelling(struct exchange *exchange);
int64_t exchange_due_waiting(const struct exchange *exchange);
int64_t exchange_due_heading(const struct exchange *exchange);
int64_t exchange_due_streaming(const struct exchange *exchange);
int64_t exchange_due_tunnelling(const struct exchange *exchange);
void exchange_late_waiting(struct exchange *exchange);
void exchange_late_streaming(struct exchange *exchange);

/* Looks at the content of the answer whose head is in service->response and at the front of the
 * link's buffer; false when its framing is broken already, and then nothing of it was passed on. */
bool exchange_start_down(struct exchange *exchange);

/* Passes that answer on. */
enum step exchange_begin_answer(struct exchange *exchange);

#endif
