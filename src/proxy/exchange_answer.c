#include "proxy/exchange.h"

#include "exchange_impl.h"

#include <assert.h>

/* Most interim responses that a backend may send for a request, and that a client gets for one. */
enum { MAX_INTERIMS = 16 };

/* Both ways of a tunnel end with their stream. */
static const struct http_head tunnel_head = {.framing = HTTP_FRAMING_CLOSE};

static enum step begin_tunnel(struct exchange *exchange);
static enum step pass_interim(struct exchange *exchange);

/* Keeps an answer that falls through, in case no other backend has a better one. */
static void park(struct exchange *exchange)
{
	exchange_drop_parked(exchange);
	exchange->parked = exchange->link;
	exchange->link = NULL;
	conn_want(&exchange->parked->conn, 0);
}

/* The client has not sent all, and it is its turn. */
static bool waits_for_content(const struct exchange *exchange)
{
	return exchange->upload == UPLOAD_RUNNING && relay_wants_read(&exchange->up);
}

/* A backend that waited for the client for so long, in all, may have had enough of it; one that
 * ends sooner has another reason. */
enum { IMPATIENCE_US = 1000 * 1000 };

static bool was_kept_waiting(const struct exchange *exchange)
{
	return exchange->kept_waiting_us >= IMPATIENCE_US;
}

/* Nothing was received before on a connection that served others: what comes first may be left from
 * a time before the request. */
static bool is_first_of_reused(const struct exchange *exchange)
{
	const struct backend_conn *link = exchange->link;

	return link->exchanges > 0 && exchange->interims == 0 &&
	       link->conn.received == buf_len(&link->conn.in);
}

/* The connection ended before the answer's head was whole. */
static enum outcome lost_outcome(const struct exchange *exchange)
{
	if (exchange->link->conn.received == 0 && exchange->link->exchanges > 0)
		return OUTCOME_STALE;
	return was_kept_waiting(exchange) ? OUTCOME_IMPATIENT : OUTCOME_RESET;
}

/* The bytes are no head. Are they the begin of one at least? */
static enum outcome broken_outcome(const struct exchange *exchange)
{
	struct str bytes = buf_content(&exchange->link->conn.in);
	struct str begin = STR("HTTP/");

	if (bytes.len < begin.len)
		begin.len = bytes.len;
	return is_first_of_reused(exchange) && !str_starts_with(bytes, begin)
		   ? OUTCOME_STALE
		   : OUTCOME_BAD_RESPONSE;
}

/* A backend that closes an idle connection may say 408 first. On a fresh one the same backend says
 * what it has to say to the request. RFC 9110, 15.5.9. */
static bool has_crossed(const struct exchange *exchange)
{
	return exchange->with.service->response.status == 408 && is_first_of_reused(exchange) &&
	       exchange->upload == UPLOAD_DONE && exchange->may_repeat &&
	       relay_can_repeat(&exchange->up);
}

static enum step on_answer_head(struct exchange *exchange)
{
	struct service *service = exchange->with.service;
	const struct http_head *answer = &service->response;
	struct try_record *try = exchange_current_try(exchange);

	if (answer->status == 101)
		return begin_tunnel(exchange);
	if (answer->status < 200)
		return pass_interim(exchange);
	if (has_crossed(exchange))
		return exchange_try_failed(exchange, OUTCOME_STALE);
	try->status = answer->status;
	try->backend->counters.answers[answer->status / 100]++;
	bool is_early = exchange->upload == UPLOAD_RUNNING;
	int64_t from_us = is_early ? exchange->try_us : exchange->sent_us;
	exchange->first_byte_us =
	    (exchange->state == EXCHANGE_HEADING ? exchange->heading_us
						 : exchange_now_us(exchange)) -
	    from_us;
	bool is_good = !retry_is_status(&exchange->rules->retry, answer->status);
	if (!is_good && exchange_take_retry(exchange, true)) {
		exchange_record_try(exchange, OUTCOME_STATUS);
		park(exchange);
		exchange_enter(exchange, EXCHANGE_PICKING);
		return STEP_AGAIN;
	}
	if (!exchange_start_down(exchange))
		return exchange_try_failed(exchange, OUTCOME_BAD_RESPONSE);
	exchange_record_try(exchange, is_good ? OUTCOME_GOOD : OUTCOME_STATUS);
	/* What took the client's time says nothing about the backend's. */
	if (is_good && !is_early)
		backend_note_latency(try->backend, exchange->first_byte_us);
	return exchange_begin_answer(exchange);
}

enum step exchange_step_answer_head(struct exchange *exchange)
{
	struct conn *conn = &exchange->link->conn;
	struct parse_response_rules rules = {exchange->rules->limits.head, &exchange->request};

	if (buf_len(&exchange->with.client->out) > 0 &&
	    conn_flush(exchange->with.client) == IO_ERROR) {
		exchange_end_by_client(exchange);
		return STEP_AGAIN;
	}
	if (buf_len(&conn->in) > 0) {
		switch (parse_response(
		    &exchange->parse, &rules, &conn->in, &exchange->with.service->response)) {
		case PARSE_DONE:
			return on_answer_head(exchange);
		case PARSE_BAD:
			return exchange_try_failed(exchange, broken_outcome(exchange));
		case PARSE_MORE:
			break;
		}
		if (exchange->state == EXCHANGE_WAITING) {
			exchange->heading_us = exchange_now_us(exchange);
			exchange_enter(exchange, EXCHANGE_HEADING);
		}
	}
	switch (conn_read(conn, EXCHANGE_READ_BYTES)) {
	case IO_OK:
		return STEP_AGAIN;
	case IO_AGAIN:
		return STEP_WAIT;
	case IO_FULL:
		return exchange_try_failed(exchange, OUTCOME_BAD_RESPONSE);
	case IO_SHORTAGE:
		return exchange_try_failed(exchange, OUTCOME_SHORTAGE);
	case IO_END:
	case IO_ERROR:
		break;
	}
	return exchange_try_failed(exchange, lost_outcome(exchange));
}

int64_t exchange_due_waiting(const struct exchange *exchange)
{
	return exchange_earlier(exchange->sent_us + exchange->max_delay_us, exchange->deadline_us);
}

int64_t exchange_due_heading(const struct exchange *exchange)
{
	return exchange->heading_us + exchange->max_delay_us;
}

void exchange_late_waiting(struct exchange *exchange)
{
	bool is_late = exchange_now_us(exchange) >= exchange->sent_us + exchange->max_delay_us;

	exchange_try_failed(
	    exchange, exchange_silence(exchange, is_late ? OUTCOME_LATE : OUTCOME_DEADLINE));
}

static struct write_response response_facts(struct exchange *exchange, struct str attempts)
{
	const struct rules_headers *headers = &exchange->rules->headers;

	return (struct write_response){
	    .head = &exchange->with.service->response,
	    .request = &exchange->request,
	    .framing = exchange->with.service->response.framing,
	    .keep_alive = exchange->keep_client,
	    .app_url_name = str_from(headers->app_url),
	    .app_url = str_from(exchange->link->backend->url),
	    .attempts_name = str_from(headers->attempts),
	    .attempts = attempts,
	    .request_id_name = str_from(headers->request_id),
	    .request_id = str_from(exchange->request_id),
	    .date = service_date(exchange->with.service),
	};
}

/* Passes a 1xx on, to clients that know them; a 100 only to one that waits for it. */
static enum step pass_interim(struct exchange *exchange)
{
	struct conn *client = exchange->with.client;
	struct conn *conn = &exchange->link->conn;
	const struct http_head *interim = &exchange->with.service->response;

	if (++exchange->interims > MAX_INTERIMS)
		return exchange_try_failed(exchange, OUTCOME_BAD_RESPONSE);
	bool passes = exchange->request.minor >= 1 && exchange->interims_passed < MAX_INTERIMS &&
		      (interim->status != 100 || exchange->request.expects_continue);
	struct write_response response = response_facts(exchange, (struct str){NULL, 0});
	if (passes && !write_interim_head(&client->out, &response))
		return exchange_try_failed(exchange, OUTCOME_SHORTAGE);
	exchange->interims_passed += passes;
	exchange->has_continued |= interim->status == 100;
	buf_consume(&conn->in, interim->length);
	/* All of the block again for the next head. */
	buf_compact(&conn->in);
	if (buf_len(&conn->in) == 0)
		buf_release(&conn->in);
	parse_init(&exchange->parse, GUARD_RESPONSE);
	if (exchange->state == EXCHANGE_HEADING)
		exchange_enter(exchange, EXCHANGE_WAITING);
	if (passes && conn_flush(client) == IO_ERROR)
		exchange_end_by_client(exchange);
	return STEP_AGAIN;
}

/* ---- passing the answer on */

/* What the client understands: a 1.0 client knows no chunks, and then only the end of the
 * connection ends the content. */
static enum http_framing client_framing(const struct exchange *exchange)
{
	enum http_framing framing = exchange->with.service->response.framing;

	if (framing != HTTP_FRAMING_CHUNKED && framing != HTTP_FRAMING_CLOSE)
		return framing;
	return exchange->request.minor >= 1 ? HTTP_FRAMING_CHUNKED : HTTP_FRAMING_CLOSE;
}

/* The trailers of that answer which the client takes, or NULL. */
static const struct write_trailers *passing_trailers(struct exchange *exchange)
{
	const struct rules_headers *headers = &exchange->rules->headers;
	const struct buf *in = &exchange->link->conn.in;

	if (!exchange->request.accepts_trailers || client_framing(exchange) != HTTP_FRAMING_CHUNKED)
		return NULL;
	exchange->trailers = (struct write_trailers){
	    /* It stays where it is until the content was passed on. */
	    .head = {in->data + in->begin, exchange->with.service->response.length},
	    .app_url_name = str_from(headers->app_url),
	    .attempts_name = str_from(headers->attempts),
	    .request_id_name = str_from(headers->request_id),
	};
	return &exchange->trailers;
}

bool exchange_start_down(struct exchange *exchange)
{
	struct conn *conn = &exchange->link->conn;
	const struct http_head *answer = &exchange->with.service->response;
	struct relay_start down = {
	    .from = conn,
	    .head = answer,
	    .limits = &exchange->rules->limits.head,
	    .base = conn->in.begin + answer->length,
	    .trailers = passing_trailers(exchange),
	    .pipes = &exchange->with.service->pipes,
	};

	relay_start(&exchange->down, &down);
	return relay_look(&exchange->down);
}

enum step exchange_begin_answer(struct exchange *exchange)
{
	struct conn *client = exchange->with.client;
	const struct http_head *answer = &exchange->with.service->response;
	char text[RETRY_ATTEMPTS_SIZE];

	exchange_settle(exchange);
	exchange_drop_parked(exchange);
	enum http_framing framing = client_framing(exchange);
	exchange->status = answer->status;
	/* Nobody knows whether a backend that did not ask for the content takes it for the next
	 * request. */
	bool expects = exchange->request.expects_continue && !exchange->has_continued;
	exchange->answer_keeps_link = answer->keep_alive && exchange->upload == UPLOAD_DONE &&
				      !exchange->was_parked && !expects && !answer->may_be_followed;
	exchange->keep_client = exchange->request.keep_alive && exchange->upload == UPLOAD_DONE &&
				framing != HTTP_FRAMING_CLOSE && !exchange->with.service->draining;
	struct write_response response =
	    response_facts(exchange, exchange_attempts_value(exchange, text));
	response.framing = framing;
	response.trailers = exchange->down.trailers;
	if (!write_response_head(&client->out, &response)) {
		/* A client that takes no interim answers has left no room. */
		struct try_record shortage = {.outcome = OUTCOME_SHORTAGE};
		struct retry_answer own = retry_final_answer(&shortage, 1, RING_PICKED);
		return exchange_reply(exchange, &own);
	}
	relay_aim(&exchange->down, client, framing);
	exchange_enter(exchange, EXCHANGE_STREAMING);
	return STEP_AGAIN;
}

/* The answer is with the client. A connection with bytes beyond the response, or with a request
 * that was not sent whole before the answer began, cannot be used again. */
static void answer_is_sent(struct exchange *exchange)
{
	struct conn *conn = &exchange->link->conn;

	exchange->link_is_reusable =
	    exchange->answer_keeps_link && !conn->ended && exchange->down.raw == conn->in.end &&
	    buf_len(&conn->out) == 0 &&
	    /* Whoever answers more than was asked for may have it waiting in the kernel. */
	    (!conn->readable || net_is_quiet(conn->watch.fd));
	if (exchange_current_try(exchange)->outcome == OUTCOME_GOOD)
		verdict_completed(exchange_current_try(exchange), exchange->was_repeatable,
		    exchange_now_us(exchange));
	exchange_end(exchange, ACCESS_OK, exchange->keep_client ? SEQUEL_KEEP : SEQUEL_CLOSE);
}

/* The answer ends before its time: the client must be able to tell. */
static void break_off(struct exchange *exchange, enum access_end how)
{
	/* A counted or chunked message shows by itself that it is not whole; one that ends with the
	 * connection does not. */
	bool shows = exchange->down.framing != HTTP_FRAMING_CLOSE;
	exchange_end(exchange, how, shows ? SEQUEL_CLOSE : SEQUEL_RESET);
}

/* The backend did not finish what it began. */
static void cut_off(struct exchange *exchange, enum access_end how)
{
	if (exchange->upload == UPLOAD_CUT) {
		break_off(exchange, ACCESS_CLIENT_GONE);
		return;
	}
	struct try_record *try = exchange_current_try(exchange);
	/* One that falls through was judged as a failure already. */
	bool is_news = try->outcome == OUTCOME_GOOD;
	exchange_record_try(
	    exchange, was_kept_waiting(exchange) ? OUTCOME_IMPATIENT : OUTCOME_CUT_OFF);
	if (is_news && try->outcome == OUTCOME_CUT_OFF)
		verdict_cut_off(exchange->with.service->ring, try, exchange->was_repeatable,
		    exchange_now_us(exchange));
	break_off(exchange, how);
}

/* Moves on what the client still sends. */
static void run_upload(struct exchange *exchange)
{
	if (exchange->upload != UPLOAD_RUNNING)
		return;
	switch (relay_run(&exchange->up)) {
	case RELAY_WAITS:
		break;
	case RELAY_DONE:
		exchange->upload = UPLOAD_DONE;
		break;
	case RELAY_SEND_FAILED:
		exchange->upload = UPLOAD_BROKEN;
		break;
	case RELAY_ENDED:
	case RELAY_BAD:
	case RELAY_TOO_LARGE:
	case RELAY_SHORTAGE:
		exchange->upload = UPLOAD_CUT;
		/* A backend that waits for the rest would wait in vain. */
		net_shutdown_write(exchange->link->conn.watch.fd);
		break;
	}
}

enum step exchange_step_streaming(struct exchange *exchange)
{
	run_upload(exchange);
	switch (relay_run(&exchange->down)) {
	case RELAY_WAITS:
		return STEP_WAIT;
	case RELAY_DONE:
		answer_is_sent(exchange);
		break;
	case RELAY_SEND_FAILED:
		exchange_end_by_client(exchange);
		break;
	case RELAY_ENDED:
	case RELAY_BAD:
	case RELAY_TOO_LARGE:
		cut_off(exchange, ACCESS_BAD_RESPONSE);
		break;
	case RELAY_SHORTAGE:
		/* Not the backend's fault. */
		break_off(exchange, ACCESS_LIMIT);
		break;
	}
	return STEP_AGAIN;
}

/* The client takes nothing of the answer, or sends nothing of the content. */
static int64_t due_client(const struct exchange *exchange)
{
	const struct rules_timeouts *timeouts = &exchange->rules->timeouts;
	int64_t due_us = TIMER_NEVER;

	if (relay_wants_write(&exchange->down))
		due_us = exchange->down.moved_us + timeouts->send_us;
	if (waits_for_content(exchange))
		due_us =
		    exchange_earlier(due_us, exchange->up.moved_us + timeouts->request_body_us);
	return due_us;
}

/* The backend sends nothing of the answer, or takes nothing of the content. */
static int64_t due_backend(const struct exchange *exchange)
{
	const struct rules_timeouts *timeouts = &exchange->rules->timeouts;
	int64_t up_us = exchange->up.moved_us, down_us = exchange->down.moved_us;
	int64_t due_us = TIMER_NEVER;

	/* A backend that takes the request is not silent, and need not have more to say before it
	 * has it all. */
	if (!relay_wants_write(&exchange->down))
		due_us = (up_us > down_us ? up_us : down_us) + timeouts->response_us;
	if (exchange->upload == UPLOAD_RUNNING && relay_wants_write(&exchange->up))
		due_us = exchange_earlier(due_us, up_us + timeouts->send_us);
	return due_us;
}

int64_t exchange_due_streaming(const struct exchange *exchange)
{
	return exchange_earlier(due_client(exchange), due_backend(exchange));
}

void exchange_late_streaming(struct exchange *exchange)
{
	if (exchange_now_us(exchange) >= due_client(exchange))
		exchange_end_by_client(exchange);
	else if (exchange_silence(exchange, OUTCOME_CUT_OFF) == OUTCOME_SHORTAGE)
		break_off(exchange, ACCESS_LIMIT);
	else
		cut_off(exchange, ACCESS_TIMEOUT);
}

/* ---- tunnels */

static enum step begin_tunnel(struct exchange *exchange)
{
	struct conn *client = exchange->with.client;
	struct conn *conn = &exchange->link->conn;
	const struct http_head *answer = &exchange->with.service->response;
	char text[RETRY_ATTEMPTS_SIZE];

	if (exchange->upload != UPLOAD_DONE)
		return exchange_try_failed(exchange, OUTCOME_BAD_RESPONSE);
	exchange_current_try(exchange)->status = answer->status;
	struct write_response response =
	    response_facts(exchange, exchange_attempts_value(exchange, text));
	if (!write_response_head(&client->out, &response))
		return exchange_try_failed(exchange, OUTCOME_SHORTAGE);
	exchange_current_try(exchange)->backend->counters.answers[1]++;
	exchange_record_try(exchange, OUTCOME_GOOD);
	exchange_settle(exchange);
	exchange_drop_parked(exchange);
	exchange->status = answer->status;
	/* The relay counts from the front of the block: a block that was empty comes back so. */
	buf_consume(&conn->in, answer->length);
	buf_compact(&conn->in);
	struct relay_start down = {
	    .from = conn,
	    .head = &tunnel_head,
	    .limits = &exchange->rules->limits.head,
	    .base = conn->in.begin,
	    .pipes = &exchange->with.service->pipes,
	};
	relay_start(&exchange->down, &down);
	relay_aim(&exchange->down, client, HTTP_FRAMING_CLOSE);
	/* What the client sent early comes first. */
	struct relay_start up = down;
	up.from = client;
	up.base = exchange->up.raw;
	relay_start(&exchange->up, &up);
	relay_aim(&exchange->up, conn, HTTP_FRAMING_CLOSE);
	exchange->upload = UPLOAD_RUNNING;
	exchange->end = ACCESS_OK;
	exchange_enter(exchange, EXCHANGE_TUNNELLING);
	return STEP_AGAIN;
}

/* Moves one way; false when the tunnel broke. *ended: that way was closed, and the other side was
 * told. */
static bool run_tunnel(struct relay *relay, bool *ended)
{
	if (*ended)
		return true;
	enum relay_result result = relay_run(relay);
	if (result == RELAY_DONE) {
		*ended = true;
		net_shutdown_write(relay->to->watch.fd);
	}
	return result == RELAY_DONE || result == RELAY_WAITS;
}

enum step exchange_step_tunnelling(struct exchange *exchange)
{
	bool up_ended = exchange->upload == UPLOAD_DONE;
	bool alive = run_tunnel(&exchange->up, &up_ended) &&
		     run_tunnel(&exchange->down, &exchange->down_ended);

	if (up_ended)
		exchange->upload = UPLOAD_DONE;
	if (alive && !(up_ended && exchange->down_ended))
		return STEP_WAIT;
	if (alive) {
		verdict_completed(exchange_current_try(exchange), exchange->was_repeatable,
		    exchange_now_us(exchange));
		/* A reset would overtake the last bytes on their way to the backend. */
		backend_close(exchange->link, false);
		exchange->link = NULL;
	}
	exchange_end(exchange, ACCESS_OK, alive ? SEQUEL_CLOSE : SEQUEL_RESET);
	return STEP_AGAIN;
}

int64_t exchange_due_tunnelling(const struct exchange *exchange)
{
	int64_t up = exchange->up.moved_us, down = exchange->down.moved_us;

	return (up > down ? up : down) + exchange->rules->timeouts.tunnel_us;
}
