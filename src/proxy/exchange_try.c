#include "proxy/exchange.h"

#include "exchange_impl.h"

#include "base/log.h"

#include <assert.h>

struct try_record *exchange_current_try(struct exchange *exchange)
{
	assert(exchange->try_count > 0);
	struct try_record *try = &exchange->tries[exchange->try_count - 1];
	while (exchange->was_parked && try->backend != exchange->link->backend)
		try--;
	return try;
}

/* Bytes of the request that the kernel accepted in this try. */
static bool has_sent(const struct exchange *exchange)
{
	return exchange->link && exchange->link->conn.sent > 0;
}

bool exchange_take_retry(struct exchange *exchange, bool sent)
{
	struct service *service = exchange->with.service;
	const struct rules_retry *rules = &exchange->rules->retry;

	if (exchange->try_count >= rules->tries ||
	    exchange_now_us(exchange) >= exchange->deadline_us)
		return false;
	if (!sent)
		return true;
	if (!exchange->may_repeat)
		return false;
	if (!relay_can_repeat(&exchange->up)) {
		service->counters.retries_impossible_body++;
		log_debug("retry not possible: body");
		return false;
	}
	if (!ring_can_pick(
		service->ring, exchange->tries, exchange->try_count, exchange_now_us(exchange)))
		return false;
	if (!budget_take_retry(
		&service->ring->budget, rules->budget_percent, exchange_now_us(exchange))) {
		service->counters.retries_over_budget++;
		return false;
	}
	return true;
}

/* How long the backend of the current try was waited for: not while the client was sending. */
static int64_t silent_us(const struct exchange *exchange)
{
	int64_t from_us = exchange->try_us;
	int64_t handed_us =
	    exchange->upload == UPLOAD_RUNNING ? exchange->up.moved_us : exchange->sent_us;

	if (exchange->state == EXCHANGE_STREAMING)
		from_us = exchange->down.moved_us;
	else if (exchange->request.framing != HTTP_FRAMING_NONE && handed_us > from_us)
		from_us = handed_us;
	return exchange_now_us(exchange) - from_us;
}

void exchange_record_try(struct exchange *exchange, enum outcome outcome)
{
	struct try_record *try = exchange_current_try(exchange);

	try->outcome = outcome;
	try->took_us = exchange_now_us(exchange) - exchange->try_us;
	if (outcome == OUTCOME_GOOD)
		return;
	struct backend_failure failure = {.outcome = outcome,
	    .status = outcome == OUTCOME_STATUS ? try->status : 0,
	    .after_us = try->took_us,
	    .silent_us = silent_us(exchange)};
	backend_note_failure(try->backend, &failure);
	if (outcome_blame(outcome) == BLAME_HARD)
		verdict_hard(exchange->with.service->ring, try, exchange_now_us(exchange));
}

/* Takes up again the answer that fell through; false when its content turns out to be broken. */
static bool take_parked(struct exchange *exchange)
{
	exchange_drop_link(exchange);
	exchange->link = exchange->parked;
	exchange->parked = NULL;
	/* Nobody knows any more whether that backend got the whole request: its connection is not
	 * used again. */
	exchange->was_parked = true;
	exchange_enter(exchange, EXCHANGE_WAITING);
	parse_init(&exchange->parse, GUARD_RESPONSE);
	struct parse_response_rules rules = {exchange->rules->limits.head, &exchange->request};
	enum parse_result result = parse_response(
	    &exchange->parse, &rules, &exchange->link->conn.in, &exchange->with.service->response);
	assert(result == PARSE_DONE); /* as it was when it was parked */
	exchange->upload = relay_has_all(&exchange->up) ? UPLOAD_DONE : UPLOAD_BROKEN;
	return exchange_start_down(exchange);
}

/* Nobody is left to try: an answer that fell through before is better than none. */
static enum step give_up(struct exchange *exchange, enum ring_pick_result picked)
{
	if (exchange->parked && take_parked(exchange))
		return exchange_begin_answer(exchange);
	exchange_settle(exchange);
	struct retry_answer answer =
	    retry_final_answer(exchange->tries, exchange->try_count, picked);
	return exchange_reply(exchange, &answer);
}

static enum step open_link(struct exchange *exchange);

enum step exchange_try_failed(struct exchange *exchange, enum outcome outcome)
{
	bool sent = has_sent(exchange) || exchange->was_sent;
	bool repeatable = !sent || (exchange->may_repeat && relay_can_repeat(&exchange->up));

	exchange_drop_link(exchange);
	if (outcome == OUTCOME_STALE && repeatable) {
		/* The pooled connection had died unnoticed: the same backend again, freshly. */
		exchange->with.service->counters.retries[OUTCOME_STALE]++;
		exchange->no_pool = true;
		exchange->was_sent = sent;
		exchange_enter(exchange, EXCHANGE_PICKING);
		return open_link(exchange);
	}
	exchange_record_try(exchange, outcome);
	if (!exchange_take_retry(exchange, sent))
		return give_up(exchange, RING_NOBODY);
	exchange_enter(exchange, EXCHANGE_PICKING);
	return STEP_AGAIN;
}

static void count_retry(struct exchange *exchange)
{
	const struct try_record *failed = exchange_current_try(exchange);

	exchange->with.service->counters.retries[failed->outcome]++;
	failed->backend->counters.retries++;
}

enum step exchange_step_picking(struct exchange *exchange)
{
	struct service *service = exchange->with.service;
	enum ring_pick_result picked = ring_pick(
	    service->ring, exchange->tries, exchange->try_count, exchange_now_us(exchange));

	if (picked != RING_PICKED)
		return give_up(exchange, picked);
	if (exchange->try_count > 0)
		count_retry(exchange);
	struct try_record *try = &exchange->tries[exchange->try_count++];
	struct backend *backend = try->backend;
	backend_hold(backend);
	try->outcome = OUTCOME_CLIENT;
	exchange->max_delay_us = backend->options.max_delay_response_us;
	exchange->try_us = exchange_now_us(exchange);
	exchange->address = backend->addr_first;
	exchange->addresses_tried = 0;
	exchange->no_pool = false;
	exchange->was_sent = false;
	exchange->kept_waiting_us = 0;
	exchange->connect_took_us = -1;
	exchange->first_byte_us = -1;
	return open_link(exchange);
}

static void link_on_event(struct conn *conn, unsigned events)
{
	struct backend_conn *link = container_of(conn, struct backend_conn, conn);
	struct exchange *exchange = link->holder;

	/* Nobody reads any more from the end of a tunnel that has ended its side. */
	if ((events & LOOP_BROKEN) && exchange->down_ended)
		exchange->upload = UPLOAD_DONE;
	if (link != exchange->parked)
		exchange->with.run_owner(exchange->with.owner);
}

/* A live connection from the pool: one that a request which must not be sent twice can trust. */
static struct backend_conn *take_pooled(struct exchange *exchange, struct backend *backend)
{
	const struct http_head *request = &exchange->request;
	bool is_kept = request->framing == HTTP_FRAMING_NONE ||
		       (request->has_content_length &&
			   request->content_length <= exchange->rules->retry.body_bytes);
	bool may_repeat = exchange->may_repeat && is_kept;
	struct backend_conn *link;

	while ((link = backend_take(backend)) && !may_repeat && !net_is_quiet(link->conn.watch.fd))
		backend_close(link, false);
	return link;
}

static enum step start_sending(struct exchange *exchange)
{
	struct backend_conn *link = exchange->link;
	const struct rules_headers *headers = &exchange->rules->headers;
	bool trusted = false;

	for (size_t i = 0; i < headers->trusted_count && !trusted; i++)
		trusted = net_block_contains(&headers->trusted[i], exchange->with.peer);
	/* What the logs call a client of a Unix socket is no address. RFC 7239, 6. */
	bool has_address = exchange->with.peer->any.sa_family != AF_UNIX;
	struct write_request request = {
	    .head = &exchange->request,
	    .forwarded = headers->forwarded,
	    .client_is_trusted = trusted,
	    .client_ip = str_from(has_address ? exchange->with.client_ip : ""),
	    .request_id_name = str_from(headers->request_id),
	    .request_id = str_from(exchange->request_id),
	    .backend_host = str_from(link->backend->authority),
	};
	if (!write_request_head(&link->conn.out, &request))
		return exchange_try_failed(exchange, OUTCOME_SHORTAGE);
	/* The client's time to send counts from here, and the turn may have been long: never early. */
	if (!relay_has_all(&exchange->up))
		loop_refresh_us(exchange->with.service->loop);
	relay_aim(&exchange->up, &link->conn, exchange->request.framing);
	parse_init(&exchange->parse, GUARD_RESPONSE);
	exchange->upload = UPLOAD_RUNNING;
	exchange->interims = 0;
	exchange->has_continued = false;
	link->backend->counters.requests++;
	exchange_enter(exchange, EXCHANGE_SENDING);
	return STEP_AGAIN;
}

/* Moves on to the next address of the current try's backend; false when it went through all. */
static bool next_address(struct exchange *exchange)
{
	exchange->address++;
	return ++exchange->addresses_tried <
	       backend_address_count(exchange_current_try(exchange)->backend);
}

/* Takes a connection to the current try's backend from the pool, or connects to an address. */
static enum step open_link(struct exchange *exchange)
{
	struct backend *backend = exchange_current_try(exchange)->backend;
	struct backend_conn *link = exchange->no_pool ? NULL : take_pooled(exchange, backend);
	bool connecting = false;
	int error = 0;

	/* The limit counts from here. */
	if (!link)
		exchange->connect_us = loop_refresh_us(exchange->with.service->loop);
	while (!link) {
		link = backend_connect(backend, exchange->address, &error, &connecting);
		if (!link && !next_address(exchange))
			return exchange_try_failed(exchange, backend_connect_outcome(error));
	}
	exchange->link = link;
	link->holder = exchange;
	link->conn.on_event = link_on_event;
	if (!connecting)
		return start_sending(exchange);
	exchange_enter(exchange, EXCHANGE_CONNECTING);
	return STEP_WAIT;
}

static enum step connect_failed(struct exchange *exchange, enum outcome outcome)
{
	if (!next_address(exchange))
		return exchange_try_failed(exchange, outcome);
	exchange_drop_link(exchange);
	exchange->no_pool = true;
	return open_link(exchange);
}

enum step exchange_step_connecting(struct exchange *exchange)
{
	struct conn *conn = &exchange->link->conn;

	if (!conn->writable)
		return STEP_WAIT;
	int error = net_connect_result(conn->watch.fd);
	if (error)
		return connect_failed(exchange, backend_connect_outcome(error));
	backend_connected(exchange->link);
	exchange->connect_took_us = exchange_now_us(exchange) - exchange->connect_us;
	return start_sending(exchange);
}

int64_t exchange_due_connecting(const struct exchange *exchange)
{
	return exchange_earlier(
	    exchange->connect_us + exchange->rules->timeouts.connect_us, exchange->deadline_us);
}

/* A silence is nobody's when rondo itself had no means to hear its end. */
enum outcome exchange_silence(const struct exchange *exchange, enum outcome outcome)
{
	int error = exchange->link->conn.error;

	return error && backend_connect_outcome(error) == OUTCOME_SHORTAGE ? OUTCOME_SHORTAGE
									   : outcome;
}

void exchange_late_connecting(struct exchange *exchange)
{
	if (exchange_now_us(exchange) >= exchange->deadline_us)
		exchange_try_failed(exchange, OUTCOME_DEADLINE);
	else
		connect_failed(exchange, exchange_silence(exchange, OUTCOME_CONNECT_TIMEOUT));
}

/* ---- sending the request */

/* The content cannot go on: what the client sent is broken, or it went away. */
static enum step upload_failed(struct exchange *exchange, enum relay_result result)
{
	exchange_current_try(exchange)->outcome = OUTCOME_CLIENT;
	if (result == RELAY_BAD)
		return exchange_reply_fault(exchange, HTTP_FAULT_FRAMING);
	if (result == RELAY_TOO_LARGE)
		return exchange_reply_fault(exchange, HTTP_FAULT_CONTENT_TOO_LARGE);
	exchange_end_by_client(exchange);
	return STEP_AGAIN;
}

/* The time that a client takes to send is not held against the tries: their deadline begins anew
 * when all of it is here. */
static void pace_deadline(struct exchange *exchange)
{
	if (relay_wants_read(&exchange->up))
		exchange->deadline_us = TIMER_NEVER;
	else if (relay_has_all(&exchange->up) && exchange->deadline_us == TIMER_NEVER)
		exchange->deadline_us =
		    exchange_now_us(exchange) + exchange->rules->retry.deadline_us;
}

/* While a client is waited for, its request is no backend's trial: not that of the current one, and
 * not that of another whose trial ended without proof. */
static void pass_trials_on(struct exchange *exchange)
{
	for (size_t i = 0; i < exchange->try_count; i++)
		verdict_pass_trial_on(exchange->with.service->ring, &exchange->tries[i]);
}

enum step exchange_step_sending(struct exchange *exchange)
{
	enum relay_result result = relay_run(&exchange->up);

	switch (result) {
	case RELAY_WAITS:
		pace_deadline(exchange);
		if (exchange_awaits_client(exchange))
			pass_trials_on(exchange);
		return exchange_step_answer_head(exchange);
	case RELAY_DONE:
		exchange->upload = UPLOAD_DONE;
		break;
	case RELAY_SEND_FAILED:
		/* The backend may have answered before it closed: what it said decides. */
		exchange->upload = UPLOAD_BROKEN;
		exchange->link->conn.readable = true;
		break;
	case RELAY_SHORTAGE:
		return exchange_try_failed(exchange, OUTCOME_SHORTAGE);
	case RELAY_ENDED:
	case RELAY_BAD:
	case RELAY_TOO_LARGE:
		return upload_failed(exchange, result);
	}
	/* The limits count from here. */
	exchange->sent_us = loop_refresh_us(exchange->with.service->loop);
	pace_deadline(exchange);
	exchange_enter(exchange, EXCHANGE_WAITING);
	return STEP_AGAIN;
}

static int64_t due_stalled(const struct exchange *exchange)
{
	return exchange->up.moved_us + exchange->rules->timeouts.send_us;
}

int64_t exchange_due_sending(const struct exchange *exchange)
{
	if (!relay_wants_write(&exchange->up))
		return exchange->up.moved_us + exchange->rules->timeouts.request_body_us;
	return exchange_earlier(due_stalled(exchange), exchange->deadline_us);
}

void exchange_late_sending(struct exchange *exchange)
{
	if (relay_wants_write(&exchange->up)) {
		bool is_stalled = exchange_now_us(exchange) >= due_stalled(exchange);

		exchange_try_failed(exchange,
		    exchange_silence(exchange, is_stalled ? OUTCOME_STALLED : OUTCOME_DEADLINE));
		return;
	}
	exchange_current_try(exchange)->outcome = OUTCOME_CLIENT;
	exchange_reply_timeout(exchange);
}
