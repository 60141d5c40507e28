#include "proxy/exchange.h"

#include "base/log.h"
#include "http/auth.h"
#include "http/forwarded.h"
#include "http/via.h"
#include "proxy/rescue.h"
#include "proxy/straggler.h"

#include <assert.h>

/* Most interim responses that a client gets for a request. */
enum { INTERIMS_MAX = 16 };

/* Status of a request whose client left before its answer began, for log and metrics. */
enum { STATUS_CLIENT_GONE = 499 };

/* A request that has passed rondo more often than that goes round in a circle. */
enum { ROUNDS_MAX = 8 };

/* A full accept queue is tried again after this time. */
static const int64_t BUSY_US = 20000;

/* Requests of one client that are answered before others have their turn. */
enum { EXCHANGES_PER_TURN = 16 };

enum step {
	STEP_AGAIN, /* the state changed, or may go on at once */
	STEP_WAIT   /* for what the state wants, or for its deadline */
};

static int64_t now_us(const struct exchange *exchange)
{
	return loop_now_us(exchange->with.proxy->loop);
}

/* ---- states */

static enum step step_reading(struct exchange *exchange);
static enum step step_gathering(struct exchange *exchange);
static enum step step_attempting(struct exchange *exchange);
static enum step step_queueing(struct exchange *exchange);
static enum step step_answering(struct exchange *exchange);
static enum step step_replying(struct exchange *exchange);
static struct attempt_wants wants_request(const struct exchange *exchange);
static struct attempt_wants wants_attempt(const struct exchange *exchange);
static struct attempt_wants wants_place(const struct exchange *exchange);
static struct attempt_wants wants_answer(const struct exchange *exchange);
static struct attempt_wants wants_reply(const struct exchange *exchange);
static int64_t due_reading(const struct exchange *exchange);
static int64_t due_gathering(const struct exchange *exchange);
static int64_t due_attempting(const struct exchange *exchange);
static int64_t due_queueing(const struct exchange *exchange);
static int64_t due_answering(const struct exchange *exchange);
static int64_t due_replying(const struct exchange *exchange);
static void late_request(struct exchange *exchange);
static void late_attempting(struct exchange *exchange);
static void late_queueing(struct exchange *exchange);
static void late_answering(struct exchange *exchange);
static void cancel(struct exchange *exchange);

#define TO(state) (1U << EXCHANGE_##state)

/* All that depends on the state: what to do, what to wait for and until when, what it means when
 * that time passes (NULL: its step looks at the clock), whether it needs a client that still waits,
 * and which states may follow. */
static const struct {
	const char *name;
	enum step (*step)(struct exchange *exchange);
	struct attempt_wants (*wants)(const struct exchange *exchange);
	int64_t (*due)(const struct exchange *exchange);
	void (*late)(struct exchange *exchange);
	bool needs_client;
	unsigned next;
} states[EXCHANGE_STATES] = {
    [EXCHANGE_READING] = {"reading", step_reading, wants_request, due_reading, late_request, false,
	TO(GATHERING) | TO(ATTEMPTING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_GATHERING] = {"gathering", step_gathering, wants_request, due_gathering, late_request,
	false, TO(ATTEMPTING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_ATTEMPTING] = {"attempting", step_attempting, wants_attempt, due_attempting,
	late_attempting, true,
	TO(QUEUEING) | TO(ANSWERING) | TO(TUNNELLING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_QUEUEING] = {"queueing", step_queueing, wants_place, due_queueing, late_queueing,
	true, TO(ATTEMPTING) | TO(ENDED)},
    [EXCHANGE_ANSWERING] = {"answering", step_answering, wants_answer, due_answering,
	late_answering, true, TO(ENDED)},
    [EXCHANGE_TUNNELLING] = {"tunnelling", step_answering, wants_answer, due_answering, cancel,
	false, TO(ENDED)},
    [EXCHANGE_REPLYING] = {"replying", step_replying, wants_reply, due_replying, cancel, false,
	TO(ENDED)},
    [EXCHANGE_ENDED] = {"ended", NULL, NULL, NULL, NULL, false, 0},
};

static void enter(struct exchange *exchange, enum exchange_state next)
{
	assert(states[exchange->state].next & (1U << next));
	log_debug("exchange: %s -> %s", states[exchange->state].name, states[next].name);
	exchange->state = next;
}

/* ---- the end */

/* No more tries follow: verdict evaluates them, once. */
static void settle(struct exchange *exchange)
{
	if (exchange->is_settled)
		return;
	exchange->is_settled = true;
	exchange->was_repeatable = exchange->with.may_repeat && !exchange->with.stays &&
				   exchange->with.rules->retry.tries > 1 &&
				   content_can_repeat(&exchange->up);
	struct verdict_case request = {
	    .tries = exchange->tries,
	    .count = exchange->try_count,
	    .is_repeatable = exchange->was_repeatable,
	};
	verdict_settle(exchange->with.proxy->ring, &request, now_us(exchange));
}

/* Bytes of content that the client's kernel accepted. */
static uint64_t sent_bytes(const struct exchange *exchange)
{
	size_t left = buf_len(&exchange->with.client->out);

	if (exchange->state != EXCHANGE_REPLYING)
		return exchange->answer.down.passed;
	return exchange->reply_bytes > left ? exchange->reply_bytes - left : 0;
}

static void count_end(const struct exchange *exchange)
{
	struct proxy_counters *counters = &exchange->with.proxy->counters;

	counters->requests[exchange->status < PROXY_STATUSES ? exchange->status : 0]++;
	histogram_note(&counters->duration, proxy_duration_bounds_us,
	    now_us(exchange) - exchange->began_us, now_us(exchange));
}

/* Who the client is: the one that trusted proxies in front name. */
static struct net_addr find_client(const struct exchange *exchange)
{
	const struct proxy_headers_options *headers = &exchange->with.rules->headers;
	const struct forwarded_trust trust = {headers->trusted, headers->trusted_count,
	    headers->forwarded == WRITE_FORWARDED_RFC7239};
	struct net_addr client = exchange->with.from->addr;

	if (exchange->request.length > 0 && net_blocks_contain(trust.blocks, trust.count, &client))
		forwarded_client(&client, &exchange->request, &trust);
	return client;
}

static void log_end(const struct exchange *exchange)
{
	const struct attempt *last = exchange->attempt;
	const struct net_addr client = find_client(exchange);
	struct access_record record = {
	    .client = &client,
	    .peer = str_from(exchange->with.from->peer_ip),
	    .request = exchange->request.length > 0 ? &exchange->request : NULL,
	    .status = exchange->status,
	    .content_bytes = sent_bytes(exchange),
	    .began_us = exchange->began_us,
	    .ended_us = now_us(exchange),
	    .connect_us = last ? last->connect_took_us : -1,
	    .first_byte_us = last ? last->first_byte_us : -1,
	    .queued_us = exchange->waiter.waited_us,
	    .tries = exchange->tries,
	    .try_count = exchange->try_count,
	    .end = exchange->end,
	    .request_id = str_from(exchange->request_id),
	};

	access_log_write(exchange->with.proxy->access_log, &record);
}

/* The part of the target that a line of the log has room for. */
static struct str shown_target(const struct exchange *exchange)
{
	struct str target = exchange->request.target;

	if (target.len > 200)
		target.len = 200;
	return target;
}

/* One line for a request that failed, naming every try. */
static void log_failure(const struct exchange *exchange)
{
	char text[RETRY_ATTEMPTS_SIZE];
	struct str tries = retry_attempts(exchange->tries, exchange->try_count, text);
	struct str target = shown_target(exchange);
	const struct net_addr client = find_client(exchange);
	char ip[NET_IP_TEXT_SIZE];

	log_warning("%.*s %.*s from %s failed (%s, status %u): %.*s",
	    STR_ARGS(exchange->request.method_text), STR_ARGS(target),
	    net_addr_format_ip(&client, ip), access_end_word(exchange->end), exchange->status,
	    STR_ARGS(tries));
}

/* One line for a request that could not be tried. */
static void log_refusal(const struct exchange *exchange, const char *why)
{
	struct str target = shown_target(exchange);
	const struct net_addr client = find_client(exchange);
	char ip[NET_IP_TEXT_SIZE];

	log_warning("%.*s %.*s from %s refused: %s", STR_ARGS(exchange->request.method_text),
	    STR_ARGS(target), net_addr_format_ip(&client, ip), why);
}

static void consume_request(struct exchange *exchange)
{
	struct buf *in = &exchange->with.client->in;

	buf_consume(in, exchange->up.raw - in->begin);
	if (buf_len(in) == 0)
		buf_release(in);
}

/* The answer is sent, and nothing is left on the backend's connection. */
static void give_link(struct exchange *exchange)
{
	struct backend_conn *link = exchange->attempt->link;

	exchange->attempt->link = NULL;
	buf_release(&link->conn.in);
	if (link->is_bound && exchange->client_next == NEXT_KEEP)
		binding_keep(exchange->with.binding, link);
	else
		backend_give(link);
}

static void drop_other(struct exchange *exchange)
{
	attempt_destroy(exchange->other);
	exchange->other = NULL;
}

/* Counts what became of its second attempts. */
static void count_rescues(const struct exchange *exchange)
{
	struct proxy_counters *counters = &exchange->with.proxy->counters;
	const struct attempt *last = exchange->attempt;
	bool is_won = last && last->is_second && last->state == ATTEMPT_ANSWERED;

	counters->rescues[RESCUE_WON] += is_won;
	counters->rescues[RESCUE_LOST] += exchange->rescues - is_won;
	counters->rescues[RESCUE_REFUSED] += exchange->rescue_refused && exchange->rescues == 0;
}

/* The one end of every exchange. */
static void end(struct exchange *exchange, enum access_end how, enum session_next next)
{
	bool was_answered = exchange->state == EXCHANGE_ANSWERING && how == ACCESS_OK;

	exchange->end = how;
	exchange->client_next = next;
	queue_leave(&exchange->with.proxy->queue, &exchange->waiter, QUEUE_LEFT);
	settle(exchange);
	content_stop(&exchange->up);
	content_stop(&exchange->answer.down);
	if (how != ACCESS_OK && how != ACCESS_CLIENT_GONE && exchange->try_count > 0)
		log_failure(exchange);
	count_end(exchange);
	count_rescues(exchange);
	if (access_log_is_on(exchange->with.proxy->access_log))
		log_end(exchange);
	if (next == NEXT_KEEP)
		consume_request(exchange);
	/* Last: the block that the answer came in is still in the processor's cache, and the next
	 * to be taken. */
	if (was_answered && answer_link_is_reusable(&exchange->answer))
		give_link(exchange);
	attempt_destroy(exchange->attempt);
	exchange->attempt = NULL;
	drop_other(exchange);
	enter(exchange, EXCHANGE_ENDED);
}

/* The client is to blame, or gone: the tries say nothing about a backend. */
static void end_by_client(struct exchange *exchange)
{
	/* If no byte of the answer was sent, the client cannot take it for whole. */
	const struct conn *client = exchange->with.client;
	bool may_close = exchange->status == 0 && (client->finished || client->ended);

	if (exchange->attempt && exchange->attempt->link && !exchange->is_settled)
		exchange->attempt->record->outcome = OUTCOME_CLIENT;
	if (exchange->status == 0)
		exchange->status = STATUS_CLIENT_GONE;
	end(exchange, ACCESS_CLIENT_GONE, may_close ? NEXT_CLOSE : NEXT_RESET);
}

static enum step ended_by_client(struct exchange *exchange)
{
	end_by_client(exchange);
	return STEP_AGAIN;
}

/* Nothing more is done for the client. */
static void cancel(struct exchange *exchange)
{
	if (exchange->state == EXCHANGE_TUNNELLING || exchange->state == EXCHANGE_REPLYING)
		end(exchange, exchange->end, NEXT_RESET);
	else
		end_by_client(exchange);
}

/* ---- rondo's own answers */

/* The content of the request begins, and up to so many bytes of it are kept to be sent again. */
static void start_up(struct exchange *exchange, size_t keep_bytes)
{
	struct conn *client = exchange->with.client;
	struct content_start up = {
	    .from = client,
	    .head = &exchange->request,
	    .limits = &exchange->with.rules->limits.head,
	    .base = client->in.begin + exchange->request.length,
	    .max_bytes = exchange->with.rules->limits.body_bytes,
	    .keep_bytes = keep_bytes,
	    .pipes = &exchange->with.proxy->pipes,
	};

	content_start(&exchange->up, &up);
}

/* The value of headers.attempts; empty when it is not configured. */
static struct str attempts_value(
    const struct exchange *exchange, char text[static RETRY_ATTEMPTS_SIZE])
{
	if (exchange->with.rules->headers.attempts[0] == '\0')
		return (struct str){NULL, 0};
	return retry_attempts(exchange->tries, exchange->try_count, text);
}

static bool compose_reply(struct exchange *exchange, const struct retry_answer *answer)
{
	struct conn *client = exchange->with.client;
	const struct proxy_headers_options *headers = &exchange->with.rules->headers;
	char attempts[RETRY_ATTEMPTS_SIZE];
	struct write_error error = {
	    .status = answer->status,
	    .detail = str_from(answer->detail),
	    .proxy_error = str_from(answer->proxy_error),
	    .retry_after_s = answer->retry_after_s,
	    .keep_alive = exchange->keeps_client,
	    /* Of a head that is refused, or not complete, nothing else is known. */
	    .without_content = str_starts_with(buf_content(&client->in), STR("HEAD ")),
	    .date = proxy_date(exchange->with.proxy),
	    .attempts_name = str_from(headers->attempts),
	    .attempts = attempts_value(exchange, attempts),
	    .request_id_name = str_from(headers->request_id),
	    .request_id = str_from(exchange->request_id),
	};

	exchange->reply_bytes = write_error_content_length(&error);
	return write_error_response(&client->out, &error);
}

/* No backend is asked any more; the times of the last attempt still go into the log. */
static void close_attempts(struct exchange *exchange)
{
	if (exchange->attempt && exchange->attempt->link)
		attempt_fail(exchange->attempt, exchange->attempt->record->outcome);
	drop_other(exchange);
}

/* An answer to a client that may still be sending is the connection's last. */
static enum step reply(struct exchange *exchange, const struct retry_answer *answer)
{
	exchange->status = answer->status;
	exchange->end = answer->end;
	exchange->reply_due_us = now_us(exchange) + exchange->with.rules->timeouts.send_us;
	exchange->keeps_client = content_take_in(&exchange->up) && exchange->request.keep_alive &&
				 !exchange->with.proxy->draining;
	if (compose_reply(exchange, answer)) {
		close_attempts(exchange);
		enter(exchange, EXCHANGE_REPLYING);
	} else {
		exchange->status = 0;
		end(exchange, ACCESS_LIMIT, NEXT_RESET);
	}
	return STEP_AGAIN;
}

static enum step reply_fault(struct exchange *exchange, enum http_fault fault)
{
	unsigned status = http_fault_status(fault);

	if (fault == HTTP_FAULT_DISAGREEMENT)
		log_warning(
		    "request from %s refused: %s", exchange->with.from->ip, http_fault_text(fault));
	/* The framing is sound, so the next request follows. After CONNECT the client may already
	 * send bytes of a tunnel. */
	if (fault == HTTP_FAULT_EXPECTATION || (fault == HTTP_FAULT_METHOD_FORBIDDEN &&
						   exchange->request.method != HTTP_METHOD_CONNECT))
		start_up(exchange, 0);
	struct retry_answer answer = {
	    .status = status,
	    .detail = http_fault_text(fault),
	    .proxy_error = status == 405 ? "http_request_denied" : "http_request_error",
	    .end = ACCESS_LIMIT,
	};
	return reply(exchange, &answer);
}

static enum step reply_timeout(struct exchange *exchange)
{
	static const struct retry_answer answer = {
	    .status = 408,
	    .detail = "The request did not arrive in time.",
	    .proxy_error = "http_request_error",
	    .end = ACCESS_TIMEOUT,
	};

	return reply(exchange, &answer);
}

static enum step reply_shortage(struct exchange *exchange)
{
	const struct try_record shortage = {.outcome = OUTCOME_SHORTAGE};
	struct retry_answer answer = retry_final_answer(&shortage, 1, RING_PICKED);

	return reply(exchange, &answer);
}

/* rondo itself answers an OPTIONS that may not be forwarded. RFC 9110, 7.6.2. */
static enum step reply_options(struct exchange *exchange)
{
	static const struct retry_answer answer = {
	    .status = 200, .detail = "", .proxy_error = "", .end = ACCESS_OK};

	return reply(exchange, &answer);
}

static enum step reply_loop(struct exchange *exchange)
{
	static const struct retry_answer answer = {
	    .status = 508,
	    .detail = "The request has passed rondo more than eight times.",
	    .proxy_error = "proxy_loop_detected",
	    .end = ACCESS_LIMIT,
	};

	log_refusal(
	    exchange, "it has passed rondo more than eight times: is rondo its own backend?");
	return reply(exchange, &answer);
}

static enum step step_replying(struct exchange *exchange)
{
	struct conn *client = exchange->with.client;
	uint64_t sent = client->sent;
	enum io io = conn_flush(client);

	/* The limit is on a client that takes nothing, not on one that is slow. */
	if (client->sent > sent)
		exchange->reply_due_us = now_us(exchange) + exchange->with.rules->timeouts.send_us;
	if (io == IO_AGAIN)
		return STEP_WAIT;
	if (io != IO_OK)
		end(exchange, exchange->end, NEXT_RESET);
	else
		end(exchange, exchange->end, exchange->keeps_client ? NEXT_KEEP : NEXT_CLOSE);
	return STEP_AGAIN;
}

static struct attempt_wants wants_reply(const struct exchange *exchange)
{
	(void)exchange;
	return (struct attempt_wants){LOOP_WRITE, 0};
}

static int64_t due_replying(const struct exchange *exchange)
{
	return exchange->reply_due_us;
}

/* ---- reading the request */

/* The request id the client sent, or a new one. */
static void take_request_id(struct exchange *exchange)
{
	const char *name = exchange->with.rules->headers.request_id;

	if (name[0] == '\0')
		return;
	const struct http_field *field = http_head_find(&exchange->request, str_from(name));
	if (!field || field->value.len == 0 || field->value.len >= sizeof(exchange->request_id)) {
		proxy_make_request_id(exchange->with.proxy, exchange->request_id);
		return;
	}
	memcpy(exchange->request_id, field->value.data, field->value.len);
	exchange->request_id[field->value.len] = '\0';
}

/* The tries begin, and with them the time that all of them have. */
static enum step start_attempting(struct exchange *exchange)
{
	exchange->with.deadline_us = now_us(exchange) + exchange->with.rules->retry.deadline_us;
	enter(exchange, EXCHANGE_ATTEMPTING);
	return STEP_AGAIN;
}

/* A client that sends a small form slowly is to occupy no backend. One that waits for a 100 gets it
 * from a backend. */
static bool is_gathered(const struct exchange *exchange)
{
	const struct http_head *request = &exchange->request;

	return request->framing == HTTP_FRAMING_LENGTH && !request->expects_continue &&
	       request->content_length <= exchange->with.rules->retry.body_bytes;
}

static enum step head_is_complete(struct exchange *exchange)
{
	const struct proxy_options *rules = exchange->with.rules;

	http_upgrade_choose(&exchange->request, &rules->upgrades);
	take_request_id(exchange);
	exchange->with.binds = http_auth_is_used(&exchange->request);
	exchange->with.stays = exchange->with.binds || binding_backend(exchange->with.binding);
	exchange->with.may_repeat = retry_may_repeat(&rules->retry, &exchange->request);
	start_up(exchange, exchange->with.may_repeat ? rules->retry.body_bytes : 0);
	budget_request(&exchange->with.proxy->ring->budget, now_us(exchange));
	silence_request(&exchange->with.proxy->env->silence, now_us(exchange));
	if (rules->limits.body_bytes > 0 &&
	    exchange->request.content_length > rules->limits.body_bytes)
		return reply_fault(exchange, HTTP_FAULT_CONTENT_TOO_LARGE);
	if (http_via_count(&exchange->request, STR("rondo")) > ROUNDS_MAX)
		return reply_loop(exchange);
	if (http_head_ends_here(&exchange->request))
		return reply_options(exchange);
	if (!is_gathered(exchange))
		return start_attempting(exchange);
	enter(exchange, EXCHANGE_GATHERING);
	return STEP_AGAIN;
}

static enum step step_reading(struct exchange *exchange)
{
	struct conn *client = exchange->with.client;
	const struct http_limits *limits = &exchange->with.rules->limits.head;

	switch (parse_request(&exchange->parse, limits, &client->in, &exchange->request)) {
	case PARSE_DONE:
		return head_is_complete(exchange);
	case PARSE_BAD:
		return reply_fault(exchange, exchange->parse.fault);
	case PARSE_MORE:
		break;
	}
	switch (conn_read(client, CONN_HEAD_BYTES)) {
	case IO_OK:
		return STEP_AGAIN;
	case IO_AGAIN:
		return STEP_WAIT;
	case IO_FULL:
		return reply_fault(exchange, HTTP_FAULT_HEAD_TOO_LARGE);
	case IO_END:
		/* A client that ends in the middle of a request wants no answer to it, but may
		 * still wait for an earlier answer. */
		exchange->status = STATUS_CLIENT_GONE;
		end(exchange, ACCESS_CLIENT_GONE, NEXT_CLOSE);
		return STEP_AGAIN;
	case IO_SHORTAGE:
		end(exchange, ACCESS_LIMIT, NEXT_RESET);
		return STEP_AGAIN;
	case IO_ERROR:
		break;
	}
	return ended_by_client(exchange);
}

static struct attempt_wants wants_request(const struct exchange *exchange)
{
	bool writes = buf_len(&exchange->with.client->out) > 0;

	return (struct attempt_wants){LOOP_READ | (writes ? LOOP_WRITE : 0U), 0};
}

static int64_t due_reading(const struct exchange *exchange)
{
	return exchange->began_us + exchange->with.rules->timeouts.request_head_us;
}

static void late_request(struct exchange *exchange)
{
	reply_timeout(exchange);
}

static enum step step_gathering(struct exchange *exchange)
{
	switch (content_gather(&exchange->up)) {
	case CONTENT_DONE:
		return start_attempting(exchange);
	case CONTENT_WAITS:
		return STEP_WAIT;
	case CONTENT_BAD:
		return reply_fault(exchange, HTTP_FAULT_FRAMING);
	case CONTENT_TOO_LARGE:
		return reply_fault(exchange, HTTP_FAULT_CONTENT_TOO_LARGE);
	case CONTENT_SHORTAGE:
		return reply_shortage(exchange);
	case CONTENT_ENDED:
	case CONTENT_SEND_FAILED:
		break;
	}
	return ended_by_client(exchange);
}

static int64_t due_gathering(const struct exchange *exchange)
{
	return exchange->up.moved_us + exchange->with.rules->timeouts.request_body_us;
}

/* ---- attempts */

/* May it be rescued, if the next backend is silent? Not while content is still to come from the
 * client: more of it than is kept may follow. */
static bool may_move(const struct exchange *exchange)
{
	return exchange->with.may_repeat && !exchange->with.stays &&
	       content_has_all(&exchange->up) && content_can_repeat(&exchange->up) &&
	       !exchange->request.upgrades && exchange->with.rules->retry.tries > 1;
}

/* May it wait for a backend, if none is left? Also when nothing but a failing answer is there. */
static bool may_wait(const struct exchange *exchange)
{
	const struct waiter *waiter = &exchange->waiter;
	int64_t wait_us = exchange->with.rules->queue.wait_us;

	return wait_us > 0 && now_us(exchange) < exchange->with.deadline_us &&
	       (waiter->ticket == 0 || now_us(exchange) - waiter->first_us < wait_us);
}

/* The request, for the ring. */
static struct ring_request for_ring(struct exchange *exchange)
{
	struct loop *loop = exchange->with.proxy->loop;

	return (struct ring_request){
	    .tries = exchange->tries,
	    .count = exchange->try_count,
	    .may_move = may_move(exchange),
	    .may_wait = may_wait(exchange),
	    .has_waited = exchange->waiter.ticket > 0,
	    .now_us = loop_now_us(loop),
	    .seen_us = loop_seen_us(loop),
	};
}

/* Are two attempts under way: one that waits for a silent backend, and one beside it? */
static bool has_two(const struct exchange *exchange)
{
	return exchange->other && exchange->other->state != ATTEMPT_ANSWERED;
}

static void swap_attempts(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;

	exchange->attempt = exchange->other;
	exchange->other = attempt;
}

/* Of two attempts one is over; the other, now the current one, may again be helped by a second one,
 * or be given up while it connects: if it has sent nothing. */
static void let_it_move(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;

	attempt->pending.may_move = attempt->pending.is_owed || !attempt->was_sent;
}

/* Have all tries been made that retry.tries allows? */
static bool has_no_try_left(const struct exchange *exchange)
{
	return exchange->try_count == VERDICT_MAX_TRIES ||
	       exchange->try_count - exchange->free_tries >= exchange->with.rules->retry.tries;
}

/* May the request go to yet another backend, after one that got bytes of it (`sent`) or not? Call
 * it once for each retry: it takes the retry from the budget. */
static enum retry_refusal refuse_retry(struct exchange *exchange, bool sent)
{
	struct proxy *proxy = exchange->with.proxy;
	const struct proxy_retry_options *rules = &exchange->with.rules->retry;

	const struct ring_request request = for_ring(exchange);

	if (has_no_try_left(exchange))
		return RETRY_REFUSED_TRIES;
	if (now_us(exchange) >= exchange->with.deadline_us)
		return RETRY_REFUSED_DEADLINE;
	if (!sent)
		return RETRY_ALLOWED;
	if (!exchange->with.may_repeat || exchange->with.stays)
		return RETRY_REFUSED_METHOD;
	if (!content_can_repeat(&exchange->up))
		return RETRY_REFUSED_BODY;
	if (ring_preview(proxy->ring, &request) != RING_PICKED)
		return RETRY_REFUSED_NOBODY;
	if (!budget_take_retry(&proxy->ring->budget, rules->budget_percent, now_us(exchange)))
		return RETRY_REFUSED_BUDGET;
	return RETRY_ALLOWED;
}

static enum retry_refusal take_retry(struct exchange *exchange, bool sent)
{
	enum retry_refusal refusal = refuse_retry(exchange, sent);

	if (refusal == RETRY_ALLOWED)
		return refusal;
	exchange->with.proxy->counters.retries_refused[refusal]++;
	log_debug("no retry: %s", retry_refusal_word(refusal));
	return refusal;
}

/* Records the result of the current attempt. */
static void record_try(struct exchange *exchange, enum outcome outcome)
{
	const struct attempt *attempt = exchange->attempt;
	struct try_record *try = attempt->record;

	try->outcome = outcome;
	try->took_us = now_us(exchange) - attempt->began_us;
	if (outcome == OUTCOME_GOOD)
		return;
	struct backend_failure failure = {
	    .outcome = outcome,
	    .status = outcome == OUTCOME_STATUS ? try->status : 0,
	    .after_us = try->took_us,
	    .silent_us = exchange->state == EXCHANGE_ANSWERING
			     ? now_us(exchange) - exchange->answer.down.moved_us
			     : attempt_silent_us(attempt),
	};
	backend_note_failure(try->backend, &failure);
	if (outcome_blame(outcome) == BLAME_HARD)
		verdict_hard(exchange->with.proxy->ring, try, now_us(exchange));
}

static enum step begin_answer(struct exchange *exchange)
{
	char text[RETRY_ATTEMPTS_SIZE];

	settle(exchange);
	/* A client that takes no interim answers has left no room. */
	if (!answer_begin(&exchange->answer, attempts_value(exchange, text)))
		return reply_shortage(exchange);
	drop_other(exchange);
	exchange->status = exchange->attempt->record->status;
	enter(exchange, EXCHANGE_ANSWERING);
	return STEP_AGAIN;
}

/* An answer that fell through before is better than none; false when there is none, or its content
 * turns out to be broken. */
static bool take_kept(struct exchange *exchange)
{
	struct attempt *kept = exchange->other;

	if (!kept)
		return false;
	attempt_destroy(exchange->attempt);
	exchange->attempt = kept;
	exchange->other = NULL;
	/* It is no longer known whether that backend got the whole request: do not use its
	 * connection again. */
	kept->was_kept = true;
	kept->upload = content_has_all(&exchange->up) ? UPLOAD_DONE : UPLOAD_BROKEN;
	return answer_prepare(&exchange->answer, kept);
}

/* Nothing is left to try. */
static enum step give_up(struct exchange *exchange, enum ring_pick_result picked)
{
	if (take_kept(exchange))
		return begin_answer(exchange);
	settle(exchange);
	struct retry_answer answer =
	    retry_final_answer(exchange->tries, exchange->try_count, picked);
	return reply(exchange, &answer);
}

/* ---- waiting for a backend */

static void run_session(void *owner)
{
	session_run(owner);
}

/* Is it worth waiting: are all that could be asked full, or is none up? If one is up, and was asked
 * already, its answer was final. */
static bool is_worth_waiting(const struct exchange *exchange, enum ring_pick_result picked)
{
	const struct ring *ring = exchange->with.proxy->ring;

	return may_wait(exchange) && ring_is_open(ring) &&
	       (picked == RING_ALL_FULL || ring_count_up(ring) == 0);
}

/* The wait begins, or goes on; false when too many wait already. */
static bool begin_wait(struct exchange *exchange)
{
	struct waiter *waiter = &exchange->waiter;

	attempt_destroy(exchange->attempt);
	exchange->attempt = NULL;
	waiter->request = for_ring(exchange);
	waiter->request.has_waited = true;
	waiter->on_over = run_session;
	waiter->owner = exchange->with.owner;
	if (!queue_join(&exchange->with.proxy->queue, waiter, exchange->with.rules->queue.length))
		return false;
	enter(exchange, EXCHANGE_QUEUEING);
	return true;
}

static enum step wait_or_give_up(struct exchange *exchange, enum ring_pick_result picked)
{
	if (is_worth_waiting(exchange, picked) && begin_wait(exchange))
		return STEP_AGAIN;
	return give_up(exchange, picked);
}

static enum step step_queueing(struct exchange *exchange)
{
	if (exchange->waiter.is_waiting)
		return STEP_WAIT;
	exchange->is_let_in = exchange->waiter.result == QUEUE_SERVED;
	enter(exchange, EXCHANGE_ATTEMPTING);
	return STEP_AGAIN;
}

/* Bytes that the client sends meanwhile stay where they are. */
static struct attempt_wants wants_place(const struct exchange *exchange)
{
	(void)exchange;
	return (struct attempt_wants){0, 0};
}

static int64_t due_queueing(const struct exchange *exchange)
{
	int64_t due_us = exchange->waiter.first_us + exchange->with.rules->queue.wait_us;

	return due_us < exchange->with.deadline_us ? due_us : exchange->with.deadline_us;
}

static void late_queueing(struct exchange *exchange)
{
	queue_leave(&exchange->with.proxy->queue, &exchange->waiter, QUEUE_TIMEOUT);
}

/* A retry because of the last try; counted once, whatever becomes of it. */
static void count_retry(struct exchange *exchange)
{
	if (exchange->try_count <= exchange->counted_tries)
		return;
	const struct try_record *failed = &exchange->tries[exchange->try_count - 1];
	exchange->counted_tries = exchange->try_count;
	exchange->with.proxy->counters.retries[failed->outcome]++;
	failed->backend->counters.retries++;
}

/* Begins an attempt at the backend of the next try, in place of the current one; false without
 * memory. */
static bool begin_attempt(struct exchange *exchange)
{
	struct try_record *try = &exchange->tries[exchange->try_count++];

	backend_hold(try->backend);
	try->outcome = OUTCOME_CLIENT;
	attempt_destroy(exchange->attempt);
	exchange->attempt = attempt_create(&exchange->with, try);
	if (!exchange->attempt)
		try->outcome = OUTCOME_SHORTAGE;
	return exchange->attempt != NULL;
}

/* Those that wait come first, unless it comes from among them. */
static bool is_behind_others(const struct exchange *exchange)
{
	const struct proxy *proxy = exchange->with.proxy;

	return proxy->queue.count > 0 && !exchange->is_let_in && may_wait(exchange) &&
	       ring_is_open(proxy->ring);
}

/* Begins an attempt at the backend whose connection belongs to the client, or else at the next one;
 * or waits for one, or gives up. */
static enum step pick(struct exchange *exchange)
{
	const struct ring_request request = for_ring(exchange);
	struct backend *bound = binding_backend(exchange->with.binding);
	enum ring_pick_result picked = RING_PICKED;

	if (bound)
		ring_pick_bound(&request, bound);
	else if (is_behind_others(exchange))
		return begin_wait(exchange) ? STEP_AGAIN : give_up(exchange, RING_ALL_FULL);
	else
		picked = ring_pick(exchange->with.proxy->ring, &request);

	exchange->is_let_in = false;
	if (picked != RING_PICKED)
		return wait_or_give_up(exchange, picked);
	count_retry(exchange);
	return begin_attempt(exchange) ? STEP_AGAIN : give_up(exchange, RING_NOBODY);
}

/* Bytes of the request reached a backend, and no other one is left to take it: it may wait, and
 * takes the retry from the budget when a backend is found. */
static enum step wait_for_retry(struct exchange *exchange)
{
	const struct ring_request request = for_ring(exchange);

	exchange->owes_retry = true;
	return wait_or_give_up(exchange, ring_preview(exchange->with.proxy->ring, &request));
}

/* The accept queue of the backend is full: it was not tried, and takes part again a moment
 * later. */
static enum step pass_busy(struct exchange *exchange)
{
	struct try_record *try = exchange->attempt->record;

	try->backend->busy_until_us = now_us(exchange) + BUSY_US;
	attempt_destroy(exchange->attempt);
	exchange->attempt = NULL;
	verdict_pass_trial_on(exchange->with.proxy->ring, try);
	backend_drop(try->backend);
	exchange->try_count--;
	return pick(exchange);
}

/* The client is at fault: the answer names the fault, or there is none. */
static enum step client_failed(struct exchange *exchange)
{
	exchange->attempt->record->outcome = OUTCOME_CLIENT;
	switch (exchange->attempt->client_fault) {
	case CLIENT_BROKE:
		return reply_fault(exchange, HTTP_FAULT_FRAMING);
	case CLIENT_TOO_LARGE:
		return reply_fault(exchange, HTTP_FAULT_CONTENT_TOO_LARGE);
	case CLIENT_LATE:
		return reply_timeout(exchange);
	case CLIENT_LEFT:
		break;
	}
	return ended_by_client(exchange);
}

/* May the whole request be sent on another connection to the same backend? */
static bool may_begin_again(const struct exchange *exchange)
{
	return !exchange->attempt->was_sent ||
	       (exchange->with.may_repeat && content_can_repeat(&exchange->up));
}

/* The current attempt is over; the other one is still under way. */
static enum step go_on_with_other(struct exchange *exchange)
{
	swap_attempts(exchange);
	drop_other(exchange);
	let_it_move(exchange);
	return STEP_AGAIN;
}

/* The one place that decides about an attempt that ended without an answer: again, elsewhere, or no
 * more. */
static enum step attempt_failed(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;
	enum outcome outcome = attempt->outcome;

	if (outcome == OUTCOME_CLIENT)
		return client_failed(exchange);
	/* While there are two, the request is with the later one. An earlier one may have been a second
	 * one itself. */
	bool has_request = !has_two(exchange) || !attempt->is_superseded;
	if (outcome == OUTCOME_STALE && has_request && may_begin_again(exchange)) {
		exchange->with.proxy->counters.retries[OUTCOME_STALE]++;
		attempt_begin_again(attempt);
		return STEP_AGAIN;
	}
	record_try(exchange, outcome);
	if (has_two(exchange))
		return go_on_with_other(exchange);
	if (outcome == OUTCOME_BUSY && may_wait(exchange))
		return pass_busy(exchange);
	enum retry_refusal refusal = take_retry(exchange, attempt->was_sent);
	if (refusal == RETRY_ALLOWED)
		return pick(exchange);
	if (refusal == RETRY_REFUSED_NOBODY)
		return wait_for_retry(exchange);
	return give_up(exchange, RING_NOBODY);
}

static enum step fail_attempt(struct exchange *exchange, enum outcome outcome)
{
	attempt_fail(exchange->attempt, outcome);
	return attempt_failed(exchange);
}

/* Passes a 1xx on, to clients that know them; a 100 only to one that waits for it. */
static enum step pass_interim(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;
	struct conn *client = exchange->with.client;
	bool passes = exchange->request.minor >= 1 && !has_two(exchange) &&
		      exchange->interims_passed < INTERIMS_MAX &&
		      (attempt_head(attempt)->status != 100 || exchange->request.expects_continue);

	if (passes && !answer_pass_interim(attempt))
		return fail_attempt(exchange, OUTCOME_SHORTAGE);
	exchange->interims_passed += passes;
	attempt_skip_interim(attempt);
	if (passes && conn_flush(client) == IO_ERROR)
		end_by_client(exchange);
	return STEP_AGAIN;
}

static enum step begin_tunnel(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;
	char text[RETRY_ATTEMPTS_SIZE];

	if (attempt->upload != UPLOAD_DONE)
		return fail_attempt(exchange, OUTCOME_BAD_RESPONSE);
	if (!answer_begin_tunnel(&exchange->answer, attempt, attempts_value(exchange, text)))
		return fail_attempt(exchange, OUTCOME_SHORTAGE);
	attempt->record->backend->counters.answers[1]++;
	record_try(exchange, OUTCOME_GOOD);
	settle(exchange);
	drop_other(exchange);
	exchange->status = attempt->record->status;
	exchange->end = ACCESS_OK;
	enter(exchange, EXCHANGE_TUNNELLING);
	return STEP_AGAIN;
}

/* A backend that closes an idle connection may send 408 first. On a fresh connection a 408 is the
 * answer to this request. RFC 9110, 15.5.9. */
static bool has_crossed(const struct exchange *exchange)
{
	const struct attempt *attempt = exchange->attempt;

	return attempt->record->status == 408 && attempt->upload == UPLOAD_DONE &&
	       exchange->with.may_repeat && content_can_repeat(&exchange->up) &&
	       attempt_is_first_of_reused(attempt);
}

/* It falls through: kept in case no other backend has a better one. An attempt that still waits for
 * a silent backend may be rescued once more. */
static void keep_answer(struct exchange *exchange)
{
	conn_want(&exchange->attempt->link->conn, 0);
	if (has_two(exchange)) {
		swap_attempts(exchange);
		let_it_move(exchange);
		return;
	}
	drop_other(exchange);
	exchange->other = exchange->attempt;
	exchange->attempt = NULL;
}

/* The answer is good: an attempt that is still under way goes on without the request. */
static void release_loser(struct exchange *exchange)
{
	struct attempt *loser = exchange->other;

	if (!has_two(exchange))
		return;
	exchange->other = NULL;
	if (loser->is_superseded) {
		loser->record->outcome = OUTCOME_SILENT;
	} else {
		loser->record->outcome = OUTCOME_LOST;
		loser->record->took_us = now_us(exchange) - loser->began_us;
	}
	straggler_begin(loser);
}

/* After a failing answer: may the request go to another backend, now or after a wait? */
static bool may_go_on(struct exchange *exchange)
{
	const struct ring_request request = for_ring(exchange);
	enum retry_refusal refusal = take_retry(exchange, true);

	if (refusal == RETRY_REFUSED_NOBODY)
		exchange->owes_retry =
		    is_worth_waiting(exchange, ring_preview(exchange->with.proxy->ring, &request));
	return refusal == RETRY_ALLOWED || exchange->owes_retry;
}

static enum step answer_came(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;
	struct try_record *try = attempt->record;

	if (try->status == 101)
		return begin_tunnel(exchange);
	if (has_crossed(exchange))
		return fail_attempt(exchange, OUTCOME_STALE);
	try->backend->counters.answers[try->status / 100]++;
	bool is_good = !retry_is_status(&exchange->with.rules->retry, try->status);
	if (!is_good && has_two(exchange)) {
		record_try(exchange, OUTCOME_STATUS);
		keep_answer(exchange);
		return STEP_AGAIN;
	}
	if (!is_good && may_go_on(exchange)) {
		record_try(exchange, OUTCOME_STATUS);
		keep_answer(exchange);
		return exchange->owes_retry ? wait_for_retry(exchange) : pick(exchange);
	}
	if (!answer_prepare(&exchange->answer, attempt))
		return fail_attempt(exchange, OUTCOME_BAD_RESPONSE);
	record_try(exchange, is_good ? OUTCOME_GOOD : OUTCOME_STATUS);
	/* The time that the client took to send says nothing about the backend. */
	if (is_good && attempt->upload != UPLOAD_RUNNING)
		backend_note_latency(try->backend, attempt->first_byte_us);
	release_loser(exchange);
	return begin_answer(exchange);
}

/* ---- a backend that is silent */

/* Takes a token, and a retry from the budget; false when one of the two is missing. */
static bool take_rescue(struct exchange *exchange)
{
	struct proxy *proxy = exchange->with.proxy;

	if (!silence_take_token(&proxy->env->silence, now_us(exchange)))
		return false;
	if (budget_take_retry(
		&proxy->ring->budget, exchange->with.rules->retry.budget_percent, now_us(exchange)))
		return true;
	silence_return_token(&proxy->env->silence);
	return false;
}

/* The request is stuck: it also goes to a second backend, one that is expected to answer. An answer
 * that was kept gives way: no more than two are open. */
static enum step rescue(struct exchange *exchange)
{
	struct proxy *proxy = exchange->with.proxy;
	struct attempt *first = exchange->attempt;
	const struct ring_request request = for_ring(exchange);

	if (has_two(exchange) || has_no_try_left(exchange)) {
		/* Those behind it are looked at instead, until one of the two is over. */
		first->pending.may_move = false;
		return STEP_WAIT;
	}
	if (now_us(exchange) >= exchange->with.deadline_us)
		return STEP_WAIT;
	if (!stragglers_have_room(proxy) ||
	    !ring_pick_second(proxy->ring, &request, first->pending.since_us) ||
	    !take_rescue(exchange)) {
		exchange->rescue_refused = true;
		return STEP_WAIT;
	}
	drop_other(exchange);
	first->record->took_us = now_us(exchange) - first->began_us;
	first->is_superseded = true;
	first->pending.may_move = false;
	exchange->other = first;
	exchange->attempt = NULL;
	exchange->rescues++;
	proxy->moves++;
	if (begin_attempt(exchange))
		exchange->attempt->is_second = true;
	else
		swap_attempts(exchange);
	return STEP_AGAIN;
}

/* Nothing was sent, and another backend can take the request: it goes there, and the connect goes
 * on without it. */
static enum step give_up_connect(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;
	const struct ring_request request = for_ring(exchange);

	if (now_us(exchange) >= exchange->with.deadline_us ||
	    (!has_two(exchange) && (exchange->try_count == VERDICT_MAX_TRIES ||
				       !ring_can_pick_well(exchange->with.proxy->ring, &request))))
		return STEP_WAIT;
	/* The next request may be the trial, or this one when it comes back. */
	verdict_pass_trial_on(exchange->with.proxy->ring, attempt->record);
	attempt->record->outcome = OUTCOME_GIVEN_UP;
	attempt->record->took_us = now_us(exchange) - attempt->began_us;
	exchange->free_tries++;
	exchange->with.proxy->moves++;
	exchange->attempt = NULL;
	straggler_begin(attempt);
	if (!has_two(exchange))
		return pick(exchange);
	swap_attempts(exchange);
	let_it_move(exchange);
	return STEP_AGAIN;
}

/* While rondo waits for the client, none of its tries is a trial: neither the current one nor an
 * earlier one that proved nothing. */
static enum step attempt_waits(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;

	if (attempt_awaits_content(attempt))
		for (size_t i = 0; i < exchange->try_count; i++)
			verdict_pass_trial_on(exchange->with.proxy->ring, &exchange->tries[i]);
	if (!attempt_is_overdue(attempt))
		return STEP_WAIT;
	return attempt->pending.is_owed ? rescue(exchange) : give_up_connect(exchange);
}

/* Of two attempts the first that has something to report becomes the current one. */
static enum attempt_result run_attempts(struct exchange *exchange)
{
	if (has_two(exchange)) {
		enum attempt_result result = attempt_run(exchange->other);

		if (result != ATTEMPT_WAITS) {
			swap_attempts(exchange);
			return result;
		}
	}
	return attempt_run(exchange->attempt);
}

/* After a wait, or as the first one. */
static enum step next_attempt(struct exchange *exchange)
{
	bool owes_retry = exchange->owes_retry;

	exchange->owes_retry = false;
	if (now_us(exchange) >= exchange->with.deadline_us ||
	    (owes_retry && take_retry(exchange, true) != RETRY_ALLOWED))
		return give_up(exchange, RING_NOBODY);
	return pick(exchange);
}

static enum step step_attempting(struct exchange *exchange)
{
	if (!exchange->attempt)
		return next_attempt(exchange);
	switch (run_attempts(exchange)) {
	case ATTEMPT_INTERIM:
		return pass_interim(exchange);
	case ATTEMPT_HAS_HEAD:
		return answer_came(exchange);
	case ATTEMPT_HAS_FAILED:
		return attempt_failed(exchange);
	case ATTEMPT_IS_CONNECTED: /* not while it has a request */
	case ATTEMPT_WAITS:
	case ATTEMPT_AGAIN:
		break;
	}
	return attempt_waits(exchange);
}

static struct attempt_wants wants_attempt(const struct exchange *exchange)
{
	return attempt_wants(exchange->attempt);
}

static int64_t due_attempting(const struct exchange *exchange)
{
	int64_t due_us = attempt_due_us(exchange->attempt);
	int64_t other_us = has_two(exchange) ? attempt_due_us(exchange->other) : TIMER_NEVER;

	return due_us < other_us ? due_us : other_us;
}

static void late_attempting(struct exchange *exchange)
{
	bool is_attempt = attempt_due_us(exchange->attempt) <= now_us(exchange);

	/* Both may be due, by retry.deadline or after a pause. */
	if (has_two(exchange) && attempt_due_us(exchange->other) <= now_us(exchange))
		attempt_on_due(exchange->other);
	if (is_attempt)
		attempt_on_due(exchange->attempt);
}

/* ---- passing the answer on */

/* The answer ends before its time: the client must be able to tell. */
static void break_off(struct exchange *exchange, enum access_end how)
{
	/* A counted or chunked message shows by itself that it is not whole; one that ends with the
	 * connection does not. */
	bool shows = exchange->answer.down.framing != HTTP_FRAMING_CLOSE;

	end(exchange, how, shows ? NEXT_CLOSE : NEXT_RESET);
}

/* The backend did not finish its answer. */
static void cut_off(struct exchange *exchange, enum access_end how)
{
	struct attempt *attempt = exchange->attempt;
	struct try_record *try = attempt->record;
	/* An answer that falls through has counted as a failure already. */
	bool is_news = try->outcome == OUTCOME_GOOD;

	if (attempt->upload == UPLOAD_CUT) {
		break_off(exchange, ACCESS_CLIENT_GONE);
		return;
	}
	record_try(
	    exchange, attempt_was_kept_waiting(attempt) ? OUTCOME_IMPATIENT : OUTCOME_CUT_OFF);
	if (is_news && try->outcome == OUTCOME_CUT_OFF)
		verdict_cut_off(
		    exchange->with.proxy->ring, try, exchange->was_repeatable, now_us(exchange));
	break_off(exchange, how);
}

static void answer_is_sent(struct exchange *exchange)
{
	struct attempt *attempt = exchange->attempt;

	if (attempt->record->outcome == OUTCOME_GOOD)
		verdict_completed(attempt->record, exchange->was_repeatable, now_us(exchange));
	if (exchange->state == EXCHANGE_TUNNELLING) {
		/* A reset would overtake the last bytes on their way to the backend. */
		backend_close(attempt->link, false);
		attempt->link = NULL;
	}
	end(exchange, ACCESS_OK, exchange->answer.keeps_client ? NEXT_KEEP : NEXT_CLOSE);
}

static enum step answer_went(
    struct exchange *exchange, enum answer_result result, enum access_end how_cut_off)
{
	switch (result) {
	case ANSWER_WAITS:
		return STEP_WAIT;
	case ANSWER_SENT:
		answer_is_sent(exchange);
		break;
	case ANSWER_CLIENT_GONE:
		end_by_client(exchange);
		break;
	case ANSWER_CUT_OFF:
		cut_off(exchange, how_cut_off);
		break;
	case ANSWER_SHORTAGE:
		break_off(exchange, ACCESS_LIMIT);
		break;
	case ANSWER_BROKEN:
		end(exchange, ACCESS_OK, NEXT_RESET);
		break;
	}
	return STEP_AGAIN;
}

static enum step step_answering(struct exchange *exchange)
{
	return answer_went(exchange, answer_run(&exchange->answer), ACCESS_BAD_RESPONSE);
}

static struct attempt_wants wants_answer(const struct exchange *exchange)
{
	return answer_wants(&exchange->answer);
}

static int64_t due_answering(const struct exchange *exchange)
{
	return answer_due_us(&exchange->answer);
}

static void late_answering(struct exchange *exchange)
{
	answer_went(exchange, answer_on_due(&exchange->answer), ACCESS_TIMEOUT);
}

/* ---- running and waiting */

/* It has ended its sending side, and nothing that is done now is of use to it. RFC 9112, 9.6. */
static bool has_lost_client(const struct exchange *exchange)
{
	return exchange->with.client->finished && states[exchange->state].needs_client &&
	       !exchange->with.rules->clients.half_close;
}

static void wait_for_backend(struct exchange *exchange, unsigned wanted)
{
	struct attempt *attempt = exchange->attempt;
	bool takes =
	    exchange->state == EXCHANGE_ANSWERING && answer_awaits_client(&exchange->answer);

	if (!attempt || !attempt->link)
		return;
	attempt_note_awaited(attempt, takes || attempt_awaits_content(attempt));
	/* The loop does not report bytes that are not waited for: look for them before the
	 * connection is used again. */
	attempt->link->conn.readable |= !(wanted & LOOP_READ);
	conn_want(&attempt->link->conn, wanted);
	rescue_watch(attempt);
}

static void wait(struct exchange *exchange)
{
	struct attempt_wants wants = states[exchange->state].wants(exchange);

	conn_want(exchange->with.client, LOOP_END | wants.client);
	wait_for_backend(exchange, wants.backend);
	if (has_two(exchange))
		conn_want(&exchange->other->link->conn, attempt_wants(exchange->other).backend);
	int64_t due_us = states[exchange->state].due(exchange);
	/* One that is about to run in this round would only be put off to the next. */
	if (exchange->timer->due_us != due_us)
		timer_arm(loop_timers(exchange->with.proxy->loop), exchange->timer, due_us);
}

/* The wait is over. */
static void note_wait(struct exchange *exchange)
{
	if (exchange->attempt)
		attempt_note_awaited(exchange->attempt, false);
}

/* It is over: are bytes of an earlier answer on the same connection still unsent? */
static bool is_behind_another(const struct exchange *exchange)
{
	const struct conn *client = exchange->with.client;
	uint64_t own = client->sent - exchange->client_sent;

	return exchange->client_sent > 0 && client->error == 0 && conn_unacknowledged(client) > own;
}

static void destroy(struct exchange *exchange)
{
	assert(exchange->state == EXCHANGE_ENDED);
	for (size_t i = 0; i < exchange->try_count; i++)
		backend_drop(exchange->tries[i].backend);
	proxy_options_drop(exchange->with.rules);
	/* Nothing watches an exchange itself: its connections are closed, or in the pool, and the
	 * timer is the session's. */
	slab_give(&exchange->with.proxy->exchanges, exchange);
}

/* ---- the request of a session */

static void *exchange_begin(struct session *session)
{
	struct proxy *proxy = container_of(session->sessions, struct proxy, sessions);
	struct exchange *exchange = slab_take(&proxy->exchanges);

	if (!exchange)
		return NULL;
	memset(exchange, 0, offsetof(struct exchange, tries));
	exchange->with = (struct attempt_request){
	    .proxy = proxy,
	    .rules = proxy_options_hold(proxy->rules),
	    .head = &exchange->request,
	    .id = exchange->request_id,
	    .client = &session->client,
	    .from = &session->from,
	    .up = &exchange->up,
	    .binding = &session->binding,
	    .deadline_us = TIMER_NEVER,
	    .on_event = run_session,
	    .owner = session,
	};
	exchange->timer = &session->timer;
	exchange->began_us = loop_now_us(proxy->loop);
	exchange->client_sent = session->client.sent;
	exchange->request_id[0] = '\0';
	exchange->request.fields = exchange->fields;
	exchange->request.field_limit = proxy->response.field_limit;
	parse_init(&exchange->parse, GUARD_REQUEST);
	return exchange;
}

static enum session_next exchange_run(void *request)
{
	struct exchange *exchange = request;

	note_wait(exchange);
	while (exchange->state != EXCHANGE_ENDED) {
		if (has_lost_client(exchange)) {
			end_by_client(exchange);
		} else if (states[exchange->state].step(exchange) == STEP_WAIT) {
			wait(exchange);
			return NEXT_WAIT;
		}
	}
	enum session_next next = exchange->client_next;
	if (next == NEXT_RESET && is_behind_another(exchange)) {
		struct session *session = exchange->with.owner;

		session->own_bytes = session->client.sent - exchange->client_sent;
		next = NEXT_LATE_RESET;
	}
	destroy(exchange);
	return next;
}

static void exchange_on_due(void *request)
{
	struct exchange *exchange = request;

	note_wait(exchange);
	if (states[exchange->state].late)
		states[exchange->state].late(exchange);
}

static void exchange_on_broken(void *request)
{
	struct exchange *exchange = request;

	/* A client that is gone does not need its answer. In a tunnel it takes nothing more, but
	 * earlier bytes from it may still be on their way to the backend. */
	if (exchange->state != EXCHANGE_TUNNELLING)
		cancel(exchange);
	else
		exchange->answer.down_ended = true;
}

static void exchange_abort(void *request)
{
	cancel(request);
	destroy(request);
}

const struct session_handler exchange_handler = {
    .begin = exchange_begin,
    .run = exchange_run,
    .on_due = exchange_on_due,
    .on_broken = exchange_on_broken,
    .abort = exchange_abort,
    .turn = EXCHANGES_PER_TURN,
};

size_t exchange_size(const struct proxy_options *rules)
{
	return sizeof(struct exchange) + rules->limits.head.headers * sizeof(struct http_field);
}
