#include "proxy/exchange.h"

#include "base/log.h"
#include "http/auth.h"
#include "http/forwarded.h"
#include "http/via.h"
#include "proxy/rescue.h"

#include <assert.h>

/* Status of a request whose client left before its answer began, for log and metrics. */
enum { STATUS_CLIENT_GONE = 499 };

/* A request that has passed rondo more often than that goes round in a circle. */
enum { ROUNDS_MAX = 8 };

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
static enum step step_answering(struct exchange *exchange);
static enum step step_replying(struct exchange *exchange);
static struct attempt_wants wants_request(const struct exchange *exchange);
static struct attempt_wants wants_attempt(const struct exchange *exchange);
static struct attempt_wants wants_answer(const struct exchange *exchange);
static struct attempt_wants wants_reply(const struct exchange *exchange);
static int64_t due_reading(const struct exchange *exchange);
static int64_t due_gathering(const struct exchange *exchange);
static int64_t due_attempting(const struct exchange *exchange);
static int64_t due_answering(const struct exchange *exchange);
static int64_t due_replying(const struct exchange *exchange);
static void late_request(struct exchange *exchange);
static void late_attempting(struct exchange *exchange);
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
	late_attempting, true, TO(ANSWERING) | TO(TUNNELLING) | TO(REPLYING) | TO(ENDED)},
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
	exchange->with.proxy->tunnels += next == EXCHANGE_TUNNELLING;
	exchange->with.proxy->tunnels -= exchange->state == EXCHANGE_TUNNELLING;
	exchange->state = next;
}

/* ---- the end */

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
	const struct attempt *last = exchange->dispatch.attempt;
	const struct net_addr client = find_client(exchange);
	struct access_record record = {
	    .client = &client,
	    .peer = str_from(exchange->with.from->peer_ip),
	    .request = &exchange->request,
	    .status = exchange->status,
	    .content_bytes = sent_bytes(exchange),
	    .began_us = exchange->began_us,
	    .ended_us = now_us(exchange),
	    .connect_us = last ? last->connect_took_us : -1,
	    .first_byte_us = last ? last->first_byte_us : -1,
	    .queued_us = exchange->dispatch.waiter.waited_us,
	    .tries = exchange->dispatch.tries,
	    .try_count = exchange->dispatch.try_count,
	    .end = exchange->end,
	    .fault = exchange->fault,
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

static bool may_say(const struct exchange *exchange, enum log_level level, const char *reason)
{
	return reports_take(&exchange->with.proxy->reports, level, reason);
}

/* One line for a request that failed, naming every try. */
static void log_failure(const struct exchange *exchange)
{
	char text[RETRY_ATTEMPTS_SIZE];
	struct str tries =
	    retry_attempts(exchange->dispatch.tries, exchange->dispatch.try_count, text);
	struct str target = shown_target(exchange);
	const struct net_addr client = find_client(exchange);
	char ip[NET_IP_TEXT_SIZE];
	const char *end = access_end_word(exchange->end);
	bool is_named = exchange->fault != HTTP_FAULT_NONE;
	const char *rule = is_named ? http_fault_rule(exchange->fault) : "";

	if (!may_say(exchange, LOG_LEVEL_WARNING, is_named ? rule : end))
		return;
	if (tries.len == 0)
		tries = STR("no try");
	log_warning("%.*s %.*s from %s failed (%s, status %u): %.*s%s%s",
	    STR_ARGS(exchange->request.method_text), STR_ARGS(target),
	    net_addr_format_ip(&client, ip), end, exchange->status, STR_ARGS(tries),
	    is_named ? ": " : "", rule);
}

/* One line for a request that could not be tried. */
static void log_refusal(const struct exchange *exchange, const char *why)
{
	struct str target = shown_target(exchange);
	const struct net_addr client = find_client(exchange);
	char ip[NET_IP_TEXT_SIZE];

	if (!may_say(exchange, LOG_LEVEL_WARNING, why))
		return;
	log_warning("%.*s %.*s from %s refused: %s", STR_ARGS(exchange->request.method_text),
	    STR_ARGS(target), net_addr_format_ip(&client, ip), why);
}

/* One line for a request that is refused for what it is, with what was read of it. That is nobody's
 * trouble but the client's. */
static void log_refused_head(const struct exchange *exchange)
{
	struct str method = exchange->request.method_text;
	struct str target = shown_target(exchange);
	const struct net_addr client = find_client(exchange);
	char ip[NET_IP_TEXT_SIZE];

	if (!may_say(exchange, LOG_LEVEL_INFO, http_fault_rule(exchange->fault)))
		return;
	if (method.len == 0)
		method = STR("request");
	log_info("%.*s%s%.*s from %s refused: %s", STR_ARGS(method), target.len ? " " : "",
	    STR_ARGS(target), net_addr_format_ip(&client, ip), http_fault_rule(exchange->fault));
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
	struct backend_conn *link = exchange->dispatch.attempt->link;

	exchange->dispatch.attempt->link = NULL;
	buf_release(&link->conn.in);
	if (link->is_bound && exchange->client_next == NEXT_KEEP)
		binding_keep(exchange->with.binding, link);
	else
		backend_give(link);
}

/* The one end of every exchange. */
static void end(struct exchange *exchange, enum access_end how, enum session_next next)
{
	bool was_answered = exchange->state == EXCHANGE_ANSWERING && how == ACCESS_OK;

	exchange->end = how;
	exchange->client_next = next;
	dispatch_end(&exchange->dispatch);
	content_stop(&exchange->up);
	content_stop(&exchange->answer.down);
	if (how != ACCESS_OK && how != ACCESS_CLIENT_GONE &&
	    (exchange->dispatch.try_count > 0 || exchange->status == 503))
		log_failure(exchange);
	count_end(exchange);
	if (access_log_is_on(exchange->with.proxy->access_log))
		log_end(exchange);
	if (next == NEXT_KEEP)
		consume_request(exchange);
	/* Last: the block that the answer came in is still in the processor's cache, and the next
	 * to be taken. */
	if (was_answered && answer_link_is_reusable(&exchange->answer))
		give_link(exchange);
	dispatch_finish(&exchange->dispatch);
	enter(exchange, EXCHANGE_ENDED);
}

/* The client is to blame, or gone: the tries say nothing about a backend. */
static void end_by_client(struct exchange *exchange)
{
	/* If no byte of the answer was sent, the client cannot take it for whole. */
	const struct conn *client = exchange->with.client;
	bool may_close = exchange->status == 0 && (client->finished || client->ended);

	dispatch_blame_client(&exchange->dispatch);
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
	return retry_attempts(exchange->dispatch.tries, exchange->dispatch.try_count, text);
}

static bool compose_reply(struct exchange *exchange, const struct retry_answer *answer)
{
	struct conn *client = exchange->with.client;
	const struct proxy_headers_options *headers = &exchange->with.rules->headers;
	char attempts[RETRY_ATTEMPTS_SIZE];
	char detail[HTTP_FAULT_TEXT_SIZE];
	struct write_error error = {
	    .status = answer->status,
	    .detail = str_from(http_fault_describe(answer->detail, answer->fault, detail)),
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

/* An answer to a client that may still be sending is the connection's last. */
static enum step reply(struct exchange *exchange, const struct retry_answer *answer)
{
	exchange->status = answer->status;
	exchange->end = answer->end;
	exchange->fault = answer->fault;
	if (exchange->request.length == 0)
		parse_peek(&exchange->parse, &exchange->with.client->in, &exchange->request);
	exchange->reply_due_us = now_us(exchange) + exchange->with.rules->timeouts.send_us;
	exchange->keeps_client = content_take_in(&exchange->up) && exchange->request.keep_alive &&
				 !exchange->with.proxy->draining;
	if (compose_reply(exchange, answer)) {
		dispatch_disconnect(&exchange->dispatch);
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

	/* The framing is sound, so the next request follows. After CONNECT the client may already
	 * send bytes of a tunnel. */
	if (fault == HTTP_FAULT_EXPECTATION || (fault == HTTP_FAULT_METHOD_FORBIDDEN &&
						   exchange->request.method != HTTP_METHOD_CONNECT))
		start_up(exchange, 0);
	struct retry_answer answer = {
	    .status = status,
	    .detail = "The request is refused.",
	    .fault = fault,
	    .proxy_error = status == 405 ? "http_request_denied" : "http_request_error",
	    .end = ACCESS_LIMIT,
	};
	enum step step = reply(exchange, &answer);

	log_refused_head(exchange);
	return step;
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
		return reply_fault(exchange, HTTP_FAULT_CONTENT_BYTES);
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
		return reply_fault(exchange, HTTP_FAULT_HEADER_BYTES);
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
		return reply_fault(exchange, exchange->up.body.fault);
	case CONTENT_TOO_LARGE:
		return reply_fault(exchange, HTTP_FAULT_CONTENT_BYTES);
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

/* ---- backends are asked */

static enum step begin_answer(struct exchange *exchange)
{
	char text[RETRY_ATTEMPTS_SIZE];

	dispatch_settle(&exchange->dispatch);
	/* A client that takes no interim answers has left no room. */
	if (!answer_begin(&exchange->answer, attempts_value(exchange, text)))
		return reply_shortage(exchange);
	dispatch_drop_other(&exchange->dispatch);
	exchange->status = exchange->dispatch.attempt->record->status;
	enter(exchange, EXCHANGE_ANSWERING);
	return STEP_AGAIN;
}

static enum step reply_unanswered(struct exchange *exchange)
{
	struct dispatch *dispatch = &exchange->dispatch;

	dispatch_settle(dispatch);
	struct retry_answer answer =
	    retry_final_answer(dispatch->tries, dispatch->try_count, dispatch->last_pick);
	return reply(exchange, &answer);
}

/* What it reported is of no use. */
static enum step fail_attempt(struct attempt *attempt, enum outcome outcome)
{
	attempt_fail(attempt, outcome);
	return STEP_AGAIN;
}

/* Passes a 1xx on, to clients that know them; a 100 only to one that waits for it. */
static enum step pass_interim(struct exchange *exchange)
{
	struct attempt *attempt = exchange->dispatch.attempt;
	struct conn *client = exchange->with.client;
	bool passes = exchange->request.minor >= 1 && !dispatch_has_two(&exchange->dispatch) &&
		      exchange->interims_passed < HTTP_INTERIMS_MAX &&
		      (attempt_head(attempt)->status != 100 || exchange->request.expects_continue);

	if (passes && !answer_pass_interim(attempt))
		return fail_attempt(attempt, OUTCOME_SHORTAGE);
	exchange->interims_passed += passes;
	attempt_skip_interim(attempt);
	if (passes && conn_flush(client) == IO_ERROR)
		end_by_client(exchange);
	return STEP_AGAIN;
}

static enum step begin_tunnel(struct exchange *exchange)
{
	struct attempt *attempt = exchange->dispatch.attempt;
	char text[RETRY_ATTEMPTS_SIZE];

	if (attempt->upload != UPLOAD_DONE) {
		attempt->record->fault = HTTP_FAULT_UPGRADE_EARLY;
		return fail_attempt(attempt, OUTCOME_BAD_RESPONSE);
	}
	if (!answer_begin_tunnel(&exchange->answer, attempt, attempts_value(exchange, text)))
		return fail_attempt(attempt, OUTCOME_SHORTAGE);
	attempt->record->backend->counters.answers[1]++;
	dispatch_record(&exchange->dispatch, OUTCOME_GOOD, 0);
	dispatch_settle(&exchange->dispatch);
	dispatch_drop_other(&exchange->dispatch);
	exchange->status = attempt->record->status;
	exchange->end = ACCESS_OK;
	enter(exchange, EXCHANGE_TUNNELLING);
	return STEP_AGAIN;
}

/* The client is at fault: the answer names the fault, or there is none. */
static enum step client_failed(struct exchange *exchange)
{
	switch (exchange->dispatch.attempt->client_fault) {
	case CLIENT_BROKE:
		return reply_fault(exchange, exchange->up.body.fault);
	case CLIENT_TOO_LARGE:
		return reply_fault(exchange, HTTP_FAULT_CONTENT_BYTES);
	case CLIENT_LATE:
		return reply_timeout(exchange);
	case CLIENT_LEFT:
		break;
	}
	return ended_by_client(exchange);
}

static enum step step_attempting(struct exchange *exchange)
{
	switch (dispatch_run(&exchange->dispatch)) {
	case DISPATCH_WAITS:
		return STEP_WAIT;
	case DISPATCH_INTERIM:
		return pass_interim(exchange);
	case DISPATCH_SWITCHES:
		return begin_tunnel(exchange);
	case DISPATCH_ANSWERED:
		return begin_answer(exchange);
	case DISPATCH_CLIENT_FAULT:
		return client_failed(exchange);
	case DISPATCH_NO_ANSWER:
		return reply_unanswered(exchange);
	case DISPATCH_AGAIN:
		break;
	}
	return STEP_AGAIN;
}

static struct attempt_wants wants_attempt(const struct exchange *exchange)
{
	return dispatch_wants(&exchange->dispatch);
}

static int64_t due_attempting(const struct exchange *exchange)
{
	return dispatch_due_us(&exchange->dispatch);
}

static void late_attempting(struct exchange *exchange)
{
	dispatch_on_due(&exchange->dispatch);
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
	struct attempt *attempt = exchange->dispatch.attempt;
	struct try_record *try = attempt->record;
	/* An answer that falls through has counted as a failure already. */
	bool is_news = try->outcome == OUTCOME_GOOD;

	if (attempt->upload == UPLOAD_CUT) {
		break_off(exchange, ACCESS_CLIENT_GONE);
		return;
	}
	try->fault = exchange->answer.down.body.fault;
	exchange->fault = try->fault;
	dispatch_record(&exchange->dispatch,
	    attempt_was_kept_waiting(attempt) ? OUTCOME_IMPATIENT : OUTCOME_CUT_OFF,
	    now_us(exchange) - exchange->answer.down.moved_us);
	if (is_news && try->outcome == OUTCOME_CUT_OFF)
		verdict_cut_off(exchange->with.proxy->ring, try, exchange->dispatch.was_repeatable,
		    now_us(exchange));
	break_off(exchange, how);
}

static void answer_is_sent(struct exchange *exchange)
{
	struct attempt *attempt = exchange->dispatch.attempt;

	if (attempt->record->outcome == OUTCOME_GOOD)
		verdict_completed(
		    attempt->record, exchange->dispatch.was_repeatable, now_us(exchange));
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
	struct attempt *attempt = exchange->dispatch.attempt;
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
	const struct dispatch *dispatch = &exchange->dispatch;
	if (dispatch_has_two(dispatch))
		conn_want(&dispatch->other->link->conn, attempt_wants(dispatch->other).backend);
	int64_t due_us = states[exchange->state].due(exchange);
	/* One that is about to run in this round would only be put off to the next. */
	if (exchange->timer->due_us != due_us)
		timer_arm(loop_timers(exchange->with.proxy->loop), exchange->timer, due_us);
}

/* The wait is over. */
static void note_wait(struct exchange *exchange)
{
	if (exchange->dispatch.attempt)
		attempt_note_awaited(exchange->dispatch.attempt, false);
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
	proxy_options_drop(exchange->with.rules);
	/* Nothing watches an exchange itself: its connections are closed, or in the pool, and the
	 * timer is the session's. */
	slab_give(&exchange->with.proxy->exchanges, exchange);
}

/* ---- the request of a session */

static void run_session(void *owner)
{
	session_run(owner);
}

static void *exchange_begin(struct session *session)
{
	struct proxy *proxy = container_of(session->sessions, struct proxy, sessions);
	struct exchange *exchange = slab_take(&proxy->exchanges);

	if (!exchange)
		return NULL;
	memset(exchange, 0, offsetof(struct exchange, dispatch.tries));
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
	exchange->dispatch.with = &exchange->with;
	exchange->dispatch.answer = &exchange->answer;
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
