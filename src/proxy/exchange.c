#include "proxy/exchange.h"

#include "exchange_impl.h"

#include "base/log.h"

#include <assert.h>

static enum step step_reading(struct exchange *exchange);
static int64_t due_reading(const struct exchange *exchange);
static void late_reading(struct exchange *exchange);
static enum step step_gathering(struct exchange *exchange);
static int64_t due_gathering(const struct exchange *exchange);
static enum step step_replying(struct exchange *exchange);
static int64_t due_replying(const struct exchange *exchange);

#define TO(state) (1U << EXCHANGE_##state)

/* What is logged and counted of a request whose client went away before its answer began. */
enum { STATUS_CLIENT_GONE = 499 };

/* All that depends on the state: what to do, until when to wait, what it means when that time
 * passes, whether it is done for a client that must still be there, and what may follow. */
static const struct state {
	const char *name;
	enum step (*step)(struct exchange *exchange);
	int64_t (*due)(const struct exchange *exchange);
	void (*late)(struct exchange *exchange);
	bool needs_client;
	unsigned next;
} states[EXCHANGE_STATES] = {
    [EXCHANGE_READING] = {"reading", step_reading, due_reading, late_reading, false,
	TO(GATHERING) | TO(PICKING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_GATHERING] = {"gathering", step_gathering, due_gathering, late_reading, false,
	TO(PICKING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_PICKING] = {"picking", exchange_step_picking, NULL, NULL, true,
	TO(PICKING) | TO(CONNECTING) | TO(SENDING) | TO(WAITING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_CONNECTING] = {"connecting", exchange_step_connecting, exchange_due_connecting,
	exchange_late_connecting, true,
	TO(CONNECTING) | TO(SENDING) | TO(PICKING) | TO(WAITING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_SENDING] = {"sending", exchange_step_sending, exchange_due_sending,
	exchange_late_sending, true,
	TO(WAITING) | TO(STREAMING) | TO(TUNNELLING) | TO(PICKING) | TO(CONNECTING) | TO(SENDING) |
	    TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_WAITING] = {"waiting", exchange_step_answer_head, exchange_due_waiting,
	exchange_late_waiting, true,
	TO(HEADING) | TO(STREAMING) | TO(TUNNELLING) | TO(PICKING) | TO(CONNECTING) | TO(SENDING) |
	    TO(WAITING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_HEADING] = {"heading", exchange_step_answer_head, exchange_due_heading,
	exchange_late_waiting, true,
	TO(WAITING) | TO(STREAMING) | TO(TUNNELLING) | TO(PICKING) | TO(REPLYING) | TO(ENDED)},
    [EXCHANGE_STREAMING] = {"streaming", exchange_step_streaming, exchange_due_streaming,
	exchange_late_streaming, true, TO(ENDED)},
    [EXCHANGE_TUNNELLING] = {"tunnelling", exchange_step_tunnelling, exchange_due_tunnelling,
	exchange_abort, false, TO(ENDED)},
    [EXCHANGE_REPLYING] = {"replying", step_replying, due_replying, exchange_abort, false,
	TO(ENDED)},
    [EXCHANGE_ENDED] = {"ended", NULL, NULL, NULL, false, 0},
};

void exchange_enter(struct exchange *exchange, enum exchange_state next)
{
	assert(states[exchange->state].next & (1U << next));
	exchange->state = next;
}

/* ---- the end */

void exchange_drop_parked(struct exchange *exchange)
{
	if (exchange->parked)
		backend_close(exchange->parked, false);
	exchange->parked = NULL;
}

void exchange_drop_link(struct exchange *exchange)
{
	if (exchange->link)
		backend_close(exchange->link, true);
	exchange->link = NULL;
}

void exchange_settle(struct exchange *exchange)
{
	if (exchange->settled)
		return;
	exchange->settled = true;
	exchange->was_repeatable = exchange->may_repeat && exchange->rules->retry.tries > 1 &&
				   relay_can_repeat(&exchange->up);
	struct verdict_case request = {
	    .tries = exchange->tries,
	    .count = exchange->try_count,
	    .is_repeatable = exchange->was_repeatable,
	};
	verdict_settle(exchange->with.service->ring, &request, exchange_now_us(exchange));
}

/* Bytes of content that the client's kernel accepted. */
static uint64_t content_sent(const struct exchange *exchange)
{
	size_t left = buf_len(&exchange->with.client->out);

	if (exchange->state != EXCHANGE_REPLYING)
		return exchange->down.passed;
	return exchange->reply_bytes > left ? exchange->reply_bytes - left : 0;
}

static void note_end(struct exchange *exchange)
{
	struct service *service = exchange->with.service;
	struct service_counters *counters = &service->counters;
	int64_t took_us = exchange_now_us(exchange) - exchange->began_us;
	size_t bucket = 0;

	while (bucket < SERVICE_LATENCY_BUCKETS - 1 && took_us > service_duration_bounds_us[bucket])
		bucket++;
	counters->requests[exchange->status < SERVICE_STATUSES ? exchange->status : 0]++;
	counters->duration[bucket]++;
	counters->duration_sum_us += (uint64_t)took_us;
	if (!access_log_is_on(service->access_log))
		return;
	struct access_record record = {
	    .client = exchange->with.peer,
	    .request = exchange->request.length > 0 ? &exchange->request : NULL,
	    .status = exchange->status,
	    .content_bytes = content_sent(exchange),
	    .began_us = exchange->began_us,
	    .ended_us = exchange_now_us(exchange),
	    .connect_us = exchange->connect_took_us,
	    .first_byte_us = exchange->first_byte_us,
	    .tries = exchange->tries,
	    .try_count = exchange->try_count,
	    .end = exchange->end,
	    .request_id = str_from(exchange->request_id),
	};
	access_log_write(service->access_log, &record);
}

/* One line for a request that failed, naming every try. */
static void log_failure(const struct exchange *exchange)
{
	char text[RETRY_ATTEMPTS_SIZE];
	struct str tries = retry_attempts(exchange->tries, exchange->try_count, text);
	struct str target = exchange->request.target;

	if (target.len > 200)
		target.len = 200;
	log_warning("%.*s %.*s from %s failed (%s, status %u): %.*s",
	    STR_ARGS(exchange->request.method_text), STR_ARGS(target), exchange->with.client_ip,
	    access_end_word(exchange->end), exchange->status, STR_ARGS(tries));
}

void exchange_end(struct exchange *exchange, enum access_end how, enum exchange_sequel sequel)
{
	struct conn *client = exchange->with.client;

	exchange->end = how;
	exchange->sequel = sequel;
	exchange_settle(exchange);
	relay_stop(&exchange->up);
	relay_stop(&exchange->down);
	exchange_drop_parked(exchange);
	if (how != ACCESS_OK && how != ACCESS_CLIENT_GONE && exchange->try_count > 0)
		log_failure(exchange);
	note_end(exchange);
	if (sequel == SEQUEL_KEEP) {
		buf_consume(&client->in, exchange->up.raw - client->in.begin);
		if (buf_len(&client->in) == 0)
			buf_release(&client->in);
	}
	/* Last: the block that the answer came in is still in the processor's cache, and the next
	 * to be taken. */
	if (exchange->link_is_reusable) {
		buf_release(&exchange->link->conn.in);
		backend_give(exchange->link);
		exchange->link = NULL;
	}
	exchange_drop_link(exchange);
	exchange_enter(exchange, EXCHANGE_ENDED);
}

void exchange_end_by_client(struct exchange *exchange)
{
	/* Of an answer that has not begun there is nothing that could be taken for whole. */
	bool may_close = exchange->status == 0 && exchange->with.client->finished;

	if (exchange->link && !exchange->settled && exchange->try_count > 0)
		exchange->tries[exchange->try_count - 1].outcome = OUTCOME_CLIENT;
	if (exchange->status == 0)
		exchange->status = STATUS_CLIENT_GONE;
	exchange_end(exchange, ACCESS_CLIENT_GONE, may_close ? SEQUEL_CLOSE : SEQUEL_RESET);
}

void exchange_on_broken(struct exchange *exchange)
{
	/* A client that is gone does not need its answer. In a tunnel both sides may be ended while bytes are still on their way: there,
	 * reading and sending tell, but nobody reads from a client that has ended its side. */
	if (exchange->state != EXCHANGE_TUNNELLING)
		exchange_abort(exchange);
	else if (exchange->upload == UPLOAD_DONE)
		exchange->down_ended = true;
}

void exchange_abort(struct exchange *exchange)
{
	if (exchange->state == EXCHANGE_ENDED)
		return;
	if (exchange->state == EXCHANGE_TUNNELLING || exchange->state == EXCHANGE_REPLYING)
		exchange_end(exchange, exchange->end, SEQUEL_RESET);
	else
		exchange_end_by_client(exchange);
}

/* ---- rondo's own answers */

/* The content of the request begins, and up to so many bytes of it are kept to be sent again. */
static void start_up(struct exchange *exchange, size_t keep_bytes)
{
	struct conn *client = exchange->with.client;
	struct relay_start up = {
	    .from = client,
	    .head = &exchange->request,
	    .limits = &exchange->rules->limits.head,
	    .base = client->in.begin + exchange->request.length,
	    .max_bytes = exchange->rules->limits.body_bytes,
	    .keep_bytes = keep_bytes,
	    .pipes = &exchange->with.service->pipes,
	};

	relay_start(&exchange->up, &up);
}

struct str exchange_attempts_value(
    const struct exchange *exchange, char text[static RETRY_ATTEMPTS_SIZE])
{
	if (exchange->rules->headers.attempts[0] == '\0')
		return (struct str){NULL, 0};
	return retry_attempts(exchange->tries, exchange->try_count, text);
}

enum step exchange_reply(struct exchange *exchange, const struct retry_answer *answer)
{
	struct conn *client = exchange->with.client;
	const struct rules_headers *headers = &exchange->rules->headers;
	char attempts[RETRY_ATTEMPTS_SIZE];

	exchange->status = answer->status;
	exchange->end = answer->end;
	exchange->deadline_us = exchange_now_us(exchange) + exchange->rules->timeouts.send_us;
	exchange->keep_client = relay_take_in(&exchange->up) && exchange->request.keep_alive &&
				!exchange->with.service->draining;
	struct write_error error = {
	    .status = answer->status,
	    .detail = str_from(answer->detail),
	    .proxy_error = str_from(answer->proxy_error),
	    .retry_after_s = answer->retry_after_s,
	    .keep_alive = exchange->keep_client,
	    /* Of a head that is refused, or not complete, nothing else is known. */
	    .without_content = str_starts_with(buf_content(&client->in), STR("HEAD ")),
	    .date = service_date(exchange->with.service),
	    .attempts_name = str_from(headers->attempts),
	    .attempts = exchange_attempts_value(exchange, attempts),
	    .request_id_name = str_from(headers->request_id),
	    .request_id = str_from(exchange->request_id),
	};
	exchange_drop_link(exchange);
	exchange_drop_parked(exchange);
	if (!write_error_response(&client->out, &error)) {
		exchange->status = 0;
		exchange_end(exchange, ACCESS_LIMIT, SEQUEL_RESET);
		return STEP_AGAIN;
	}
	exchange->reply_bytes = write_error_content_length(&error);
	exchange_enter(exchange, EXCHANGE_REPLYING);
	return STEP_AGAIN;
}

enum step exchange_reply_fault(struct exchange *exchange, enum http_fault fault)
{
	unsigned status = http_fault_status(fault);

	if (fault == HTTP_FAULT_DISAGREEMENT)
		log_warning("request from %s refused: %s", exchange->with.client_ip,
		    http_fault_text(fault));
	/* The framing of such a request is sound: what follows it is the next one. */
	if (fault == HTTP_FAULT_METHOD_FORBIDDEN || fault == HTTP_FAULT_EXPECTATION)
		start_up(exchange, 0);
	struct retry_answer answer = {
	    .status = status,
	    .detail = http_fault_text(fault),
	    .proxy_error = status == 405 ? "http_request_denied" : "http_request_error",
	    .end = ACCESS_LIMIT,
	};
	return exchange_reply(exchange, &answer);
}

enum step exchange_reply_timeout(struct exchange *exchange)
{
	struct retry_answer answer = {
	    .status = 408,
	    .detail = "The request did not arrive in time.",
	    .proxy_error = "http_request_error",
	    .end = ACCESS_TIMEOUT,
	};

	return exchange_reply(exchange, &answer);
}

static enum step step_replying(struct exchange *exchange)
{
	struct conn *client = exchange->with.client;
	uint64_t sent = client->sent;
	enum io io = conn_flush(client);

	/* The limit is on a client that takes nothing, not on one that is slow. */
	if (client->sent > sent)
		exchange->deadline_us =
		    exchange_now_us(exchange) + exchange->rules->timeouts.send_us;
	switch (io) {
	case IO_OK:
		exchange_end(
		    exchange, exchange->end, exchange->keep_client ? SEQUEL_KEEP : SEQUEL_CLOSE);
		return STEP_AGAIN;
	case IO_AGAIN:
		return STEP_WAIT;
	case IO_END:
	case IO_FULL:
	case IO_SHORTAGE:
	case IO_ERROR:
		break;
	}
	exchange_end(exchange, exchange->end, SEQUEL_RESET);
	return STEP_AGAIN;
}

static int64_t due_replying(const struct exchange *exchange)
{
	return exchange->deadline_us;
}

/* ---- reading the request head */

/* An OPTIONS that may go no further is answered for rondo itself. RFC 9110, 7.6.2. */
static enum step reply_options(struct exchange *exchange)
{
	struct retry_answer answer = {
	    .status = 200, .detail = "", .proxy_error = "", .end = ACCESS_OK};

	return exchange_reply(exchange, &answer);
}

/* The request id the client sent, or a new one. */
static void take_request_id(struct exchange *exchange)
{
	const char *name = exchange->rules->headers.request_id;

	if (name[0] == '\0')
		return;
	const struct http_field *field = http_head_find(&exchange->request, str_from(name));
	if (!field || field->value.len == 0 || field->value.len >= sizeof(exchange->request_id)) {
		service_make_request_id(exchange->with.service, exchange->request_id);
		return;
	}
	memcpy(exchange->request_id, field->value.data, field->value.len);
	exchange->request_id[field->value.len] = '\0';
}

/* A client that sends a small form slowly is to occupy no backend. One that waits for a 100 gets it
 * from a backend. */
static bool is_gathered(const struct exchange *exchange)
{
	const struct http_head *request = &exchange->request;

	return request->framing == HTTP_FRAMING_LENGTH && !request->expects_continue &&
	       request->content_length <= exchange->rules->retry.body_bytes;
}

static enum step head_is_complete(struct exchange *exchange)
{
	const struct rules *rules = exchange->rules;
	struct service *service = exchange->with.service;

	take_request_id(exchange);
	exchange->may_repeat = retry_may_repeat(&rules->retry, &exchange->request);
	start_up(exchange, exchange->may_repeat ? rules->retry.body_bytes : 0);
	budget_request(&service->ring->budget, exchange_now_us(exchange));
	if (rules->limits.body_bytes > 0 &&
	    exchange->request.content_length > rules->limits.body_bytes)
		return exchange_reply_fault(exchange, HTTP_FAULT_CONTENT_TOO_LARGE);
	if (http_head_ends_here(&exchange->request))
		return reply_options(exchange);
	if (is_gathered(exchange)) {
		exchange_enter(exchange, EXCHANGE_GATHERING);
		return STEP_AGAIN;
	}
	exchange->deadline_us = exchange_now_us(exchange) + rules->retry.deadline_us;
	exchange_enter(exchange, EXCHANGE_PICKING);
	return STEP_AGAIN;
}

static enum step step_reading(struct exchange *exchange)
{
	struct conn *client = exchange->with.client;
	const struct http_limits *limits = &exchange->rules->limits.head;

	switch (parse_request(&exchange->parse, limits, &client->in, &exchange->request)) {
	case PARSE_DONE:
		return head_is_complete(exchange);
	case PARSE_BAD:
		return exchange_reply_fault(exchange, exchange->parse.fault);
	case PARSE_MORE:
		break;
	}
	switch (conn_read(client, EXCHANGE_READ_BYTES)) {
	case IO_OK:
		return STEP_AGAIN;
	case IO_AGAIN:
		return STEP_WAIT;
	case IO_FULL:
		return exchange_reply_fault(exchange, HTTP_FAULT_HEAD_TOO_LARGE);
	case IO_END:
		/* Whoever ends in the middle of a request asks for nothing more, but may still wait
		 * for an earlier answer. */
		exchange_end(exchange, ACCESS_CLIENT_GONE, SEQUEL_CLOSE);
		return STEP_AGAIN;
	case IO_SHORTAGE:
		exchange_end(exchange, ACCESS_LIMIT, SEQUEL_RESET);
		return STEP_AGAIN;
	case IO_ERROR:
		break;
	}
	exchange_end_by_client(exchange);
	return STEP_AGAIN;
}

static int64_t due_reading(const struct exchange *exchange)
{
	return exchange->began_us + exchange->rules->timeouts.request_head_us;
}

static void late_reading(struct exchange *exchange)
{
	exchange_reply_timeout(exchange);
}

/* ---- gathering short content */

static enum step reply_shortage(struct exchange *exchange)
{
	const struct try_record shortage = {.outcome = OUTCOME_SHORTAGE};
	struct retry_answer answer = retry_final_answer(&shortage, 1, RING_PICKED);

	return exchange_reply(exchange, &answer);
}

static enum step step_gathering(struct exchange *exchange)
{
	switch (relay_gather(&exchange->up)) {
	case RELAY_DONE:
		/* The client's time to send is not held against the tries. */
		exchange->deadline_us =
		    exchange_now_us(exchange) + exchange->rules->retry.deadline_us;
		exchange_enter(exchange, EXCHANGE_PICKING);
		return STEP_AGAIN;
	case RELAY_WAITS:
		return STEP_WAIT;
	case RELAY_BAD:
		return exchange_reply_fault(exchange, HTTP_FAULT_FRAMING);
	case RELAY_TOO_LARGE:
		return exchange_reply_fault(exchange, HTTP_FAULT_CONTENT_TOO_LARGE);
	case RELAY_SHORTAGE:
		return reply_shortage(exchange);
	case RELAY_ENDED:
	case RELAY_SEND_FAILED:
		break;
	}
	exchange_end_by_client(exchange);
	return STEP_AGAIN;
}

static int64_t due_gathering(const struct exchange *exchange)
{
	return exchange->up.moved_us + exchange->rules->timeouts.request_body_us;
}

/* ---- running and waiting */

/* A client may wait for a 100, and then it is not the client that is waited for. */
static bool awaits_continue(const struct exchange *exchange)
{
	return exchange->request.expects_continue && !exchange->has_continued &&
	       exchange->up.passed == 0;
}

bool exchange_awaits_client(const struct exchange *exchange)
{
	if (!exchange->link)
		return false;
	if (exchange->state == EXCHANGE_STREAMING && relay_wants_write(&exchange->down))
		return true;
	return exchange->upload == UPLOAD_RUNNING && exchange->up.to &&
	       relay_wants_read(&exchange->up) && !awaits_continue(exchange);
}

/* The wait is over. */
static void note_wait(struct exchange *exchange)
{
	if (exchange->client_awaited_us == 0)
		return;
	exchange->kept_waiting_us += exchange_now_us(exchange) - exchange->client_awaited_us;
	exchange->client_awaited_us = 0;
}

/* What is waited for follows from the state, and from what there is to be moved. */
static void wait(struct exchange *exchange)
{
	struct conn *client = exchange->with.client;
	bool reads_client =
	    exchange->state == EXCHANGE_READING || exchange->state == EXCHANGE_GATHERING;

	/* What is left of an interim answer goes on when there is a backend again. */
	bool writes_client = buf_len(&client->out) > 0 && exchange->state != EXCHANGE_CONNECTING;
	bool reads_link = true, writes_link = exchange->state == EXCHANGE_CONNECTING;
	bool uploads = exchange->upload == UPLOAD_RUNNING;
	if (exchange->link && exchange->state >= EXCHANGE_SENDING && uploads) {
		reads_client = relay_wants_read(&exchange->up);
		writes_link = relay_wants_write(&exchange->up);
	}
	if (exchange->state == EXCHANGE_STREAMING || exchange->state == EXCHANGE_TUNNELLING) {
		reads_link = relay_wants_read(&exchange->down);
		writes_client |= relay_wants_write(&exchange->down);
	}
	conn_want(
	    client, LOOP_END | (reads_client ? LOOP_READ : 0U) | (writes_client ? LOOP_WRITE : 0U));
	exchange->client_awaited_us =
	    exchange_awaits_client(exchange) ? exchange_now_us(exchange) : 0;
	if (exchange->link) {
		/* Nobody tells what comes while nobody asks: it is looked for before the connection is used
		 * again. */
		exchange->link->conn.readable |= !reads_link;
		conn_want(&exchange->link->conn,
		    (reads_link ? LOOP_READ : 0U) | (writes_link ? LOOP_WRITE : 0U));
	}
	timer_arm(loop_timers(exchange->with.service->loop), exchange->with.timer,
	    states[exchange->state].due(exchange));
}

/* It has ended its sending side, and nothing that is done now is of use to it. RFC 9112, 9.6. */
static bool has_lost_client(const struct exchange *exchange)
{
	return exchange->with.client->finished && states[exchange->state].needs_client &&
	       !exchange->rules->clients.half_close;
}

bool exchange_run(struct exchange *exchange)
{
	note_wait(exchange);
	while (exchange->state != EXCHANGE_ENDED) {
		if (has_lost_client(exchange)) {
			exchange_end_by_client(exchange);
			break;
		}
		if (states[exchange->state].step(exchange) == STEP_AGAIN)
			continue;
		wait(exchange);
		return false;
	}
	return true;
}

void exchange_on_due(struct exchange *exchange)
{
	note_wait(exchange);
	if (exchange->state != EXCHANGE_ENDED)
		states[exchange->state].late(exchange);
}

/* ---- life */

size_t exchange_size(const struct rules *rules)
{
	return sizeof(struct exchange) + rules->limits.head.headers * sizeof(struct http_field);
}

struct exchange *exchange_create(const struct exchange_start *start)
{
	struct service *service = start->service;
	struct exchange *exchange = slab_take(&service->exchanges);

	if (!exchange)
		return NULL;
	memset(exchange, 0, offsetof(struct exchange, tries));
	exchange->with = *start;
	exchange->rules = rules_hold(service->rules);
	exchange->state = EXCHANGE_READING;
	exchange->began_us = loop_now_us(service->loop);
	exchange->client_sent = start->client->sent;
	exchange->deadline_us = TIMER_NEVER;
	exchange->connect_took_us = -1;
	exchange->first_byte_us = -1;
	exchange->request_id[0] = '\0';
	exchange->request.fields = exchange->fields;
	exchange->request.field_limit = service->response.field_limit;
	parse_init(&exchange->parse, GUARD_REQUEST);
	return exchange;
}

bool exchange_is_behind_another(const struct exchange *exchange)
{
	const struct conn *client = exchange->with.client;
	uint64_t own = client->sent - exchange->client_sent;

	return exchange->sequel == SEQUEL_RESET && exchange->client_sent > 0 &&
	       conn_is_open(client) && client->error == 0 && net_unsent(client->watch.fd) > own;
}

void exchange_destroy(struct exchange *exchange)
{
	assert(exchange->state == EXCHANGE_ENDED);
	for (size_t i = 0; i < exchange->try_count; i++)
		backend_drop(exchange->tries[i].backend);
	rules_drop(exchange->rules);
	/* Nothing watches an exchange itself: its connections are closed, or in the pool, and the
	 * timer is the session's. */
	slab_give(&exchange->with.service->exchanges, exchange);
}
