#include "upstream/check.h"

#include <assert.h>
#include <errno.h>

/* The same number of interim answers as for a client. */

enum step {
	STEP_AGAIN, /* the state changed, or may go on at once */
	STEP_WAIT   /* for what the state wants, or until it is due */
};

bool check_gets(const struct check_options *options)
{
	return options->path[0] != '\0';
}

/* ---- states */

static enum step step_connecting(struct check *check);
static enum step step_sending(struct check *check);
static enum step step_heading(struct check *check);
static enum step step_emptying(struct check *check);
static int64_t due_connecting(const struct check *check);
static int64_t due_limit(const struct check *check);
static void late_connecting(struct check *check);
static void late_answer(struct check *check);
static void late_emptying(struct check *check);

#define TO(state) (1U << CHECK_##state)

/* All that depends on the state: what to do, what to wait for and until when, what it means when
 * that time passes, and what may follow. */
static const struct {
	enum step (*step)(struct check *check);
	unsigned wants;
	int64_t (*due)(const struct check *check);
	void (*late)(struct check *check);
	unsigned next;
} states[CHECK_STATES] = {
    [CHECK_IDLE] = {NULL, 0, NULL, NULL, TO(CONNECTING)},
    [CHECK_CONNECTING] = {step_connecting, LOOP_WRITE, due_connecting, late_connecting,
	TO(SENDING) | TO(IDLE)},
    [CHECK_SENDING] = {step_sending, LOOP_READ | LOOP_WRITE, due_limit, late_answer,
	TO(HEADING) | TO(EMPTYING) | TO(IDLE)},
    [CHECK_HEADING] = {step_heading, LOOP_READ, due_limit, late_answer, TO(EMPTYING) | TO(IDLE)},
    [CHECK_EMPTYING] = {step_emptying, LOOP_READ, due_limit, late_emptying, TO(IDLE)},
};

static void enter(struct check *check, enum check_state next)
{
	assert(states[check->state].next & (1U << next));
	check->state = next;
}

static void wait(struct check *check)
{
	conn_want(&check->conn, states[check->state].wants);
	timer_arm(loop_timers(check->with.loop), &check->timer, states[check->state].due(check));
}

static void run(struct check *check)
{
	while (check->state != CHECK_IDLE) {
		if (states[check->state].step(check) == STEP_WAIT) {
			wait(check);
			return;
		}
	}
}

/* ---- the end */

static void report(struct check *check, enum outcome outcome)
{
	check->result.outcome = outcome;
	check->result.took_us = loop_now_us(check->with.loop) - check->began_us;
	check->with.on_result(check, &check->result);
}

static enum step end(struct check *check)
{
	conn_close(&check->conn, false);
	timer_cancel(&check->timer);
	enter(check, CHECK_IDLE);
	check->with.on_over(check);
	return STEP_AGAIN;
}

static enum step done(struct check *check, enum outcome outcome)
{
	report(check, outcome);
	return end(check);
}

/* ---- connecting */

/* A service can have a port of its own for its health. */
static bool goes_elsewhere(const struct check *check)
{
	return check_gets(check->with.options) && check->with.options->port > 0;
}

/* Answers 0, or a negative errno. */
static int open_conn(struct check *check)
{
	const struct backend *backend = check->with.backend;
	struct net_addr addr = backend->addrs[check->address];
	bool connecting = false;

	if (goes_elsewhere(check))
		net_addr_set_port(&addr, (uint16_t)check->with.options->port);
	int fd = net_connect(&addr, &connecting);

	if (fd < 0)
		return fd;
	int error = conn_open(&check->conn, check->with.loop, check->with.blocks, fd, LOOP_WRITE);
	if (error)
		net_close(fd, false);
	check->conn.writable = !connecting;
	return error;
}

/* Connects to the next address; `outcome` is the result of the one before. */
static enum step connect_next(struct check *check, enum outcome outcome)
{
	int64_t now_us = loop_now_us(check->with.loop);

	conn_close(&check->conn, false);
	while (check->addresses_left > 0 && outcome != OUTCOME_SHORTAGE) {
		int64_t share_us = (check->limit_us - now_us) / (int64_t)check->addresses_left--;

		check->address = (check->address + 1) % backend_address_count(check->with.backend);
		check->address_due_us = now_us + share_us;
		int error = open_conn(check);
		if (!error)
			return STEP_AGAIN;
		check->result.error = -error;
		outcome = outcome_of_connect_error(error);
	}
	return done(check, outcome);
}

static bool put_request(struct check *check)
{
	const struct check_options *options = check->with.options;

	return buf_printf(&check->conn.out,
	    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rondo\r\nConnection: close\r\n\r\n",
	    options->path, options->host[0] ? options->host : check->with.backend->authority);
}

static enum step step_connecting(struct check *check)
{
	if (!conn_is_open(&check->conn))
		return connect_next(check, OUTCOME_UNREACHABLE);
	if (!check->conn.writable)
		return STEP_WAIT;
	int error = conn_connect_result(&check->conn);
	if (error) {
		check->result.error = -error;
		return connect_next(check, outcome_of_connect_error(error));
	}
	check->result.error = 0;
	/* An open port tells nothing about another one. */
	if (!goes_elsewhere(check))
		backend_prefer_address(check->with.backend, check->address);
	if (!check_gets(check->with.options))
		return done(check, OUTCOME_GOOD);
	if (!put_request(check))
		return done(check, OUTCOME_SHORTAGE);
	check->interims = 0;
	parse_init(&check->parse, GUARD_RESPONSE);
	enter(check, CHECK_SENDING);
	return STEP_AGAIN;
}

static int64_t due_connecting(const struct check *check)
{
	return check->address_due_us;
}

static void late_connecting(struct check *check)
{
	check->result.error = ETIMEDOUT;
	connect_next(check, OUTCOME_CONNECT_TIMEOUT);
}

/* ---- the GET and its answer */

static enum step step_sending(struct check *check)
{
	switch (conn_flush(&check->conn)) {
	case IO_OK:
		enter(check, CHECK_HEADING);
		return STEP_AGAIN;
	case IO_AGAIN:
		return step_heading(check);
	case IO_SHORTAGE:
		return done(check, OUTCOME_SHORTAGE);
	case IO_END:
	case IO_FULL:
	case IO_ERROR:
		break;
	}
	return done(check, OUTCOME_RESET);
}

static bool is_expected(const struct check_options *options, unsigned status)
{
	for (size_t i = 0; i < options->expect_count; i++) {
		const struct check_range *range = &options->expect[i];

		if (status >= range->from && status <= range->to)
			return true;
	}
	return false;
}

static enum step answered(struct check *check, const struct http_head *head)
{
	bool is_good = is_expected(check->with.options, head->status);

	check->result.status = head->status;
	body_init(&check->rest, head, CHECK_CONTENT_BYTES);
	buf_consume(&check->conn.in, head->length);
	enter(check, CHECK_EMPTYING);
	report(check, is_good ? OUTCOME_GOOD : OUTCOME_STATUS);
	return STEP_AGAIN;
}

static enum step broken(struct check *check, enum http_fault fault)
{
	check->result.fault = fault;
	return done(check, OUTCOME_BAD_RESPONSE);
}

/* PARSE_DONE when `head` is that of the final answer. */
static enum parse_result look_for_head(struct check *check, struct http_head *head)
{
	static const struct http_head request = {
	    .method = HTTP_METHOD_GET, .method_text = {"GET", 3}};
	static const struct parse_response_rules rules = {
	    .limits = {.header_bytes = CHECK_HEAD_BYTES, .headers = CHECK_FIELDS},
	    .request = &request,
	};
	struct buf *in = &check->conn.in;

	while (buf_len(in) > 0) {
		enum parse_result result = parse_response(&check->parse, &rules, in, head);

		if (result != PARSE_DONE || head->status >= 200)
			return result;
		if (++check->interims > HTTP_INTERIMS_MAX) {
			check->parse.fault = HTTP_FAULT_INTERIMS;
			return PARSE_BAD;
		}
		buf_consume(in, head->length);
		parse_init(&check->parse, GUARD_RESPONSE);
	}
	return PARSE_MORE;
}

static enum step step_heading(struct check *check)
{
	struct http_field fields[CHECK_FIELDS];
	struct http_head head = {.fields = fields, .field_limit = CHECK_FIELDS};

	switch (look_for_head(check, &head)) {
	case PARSE_DONE:
		return answered(check, &head);
	case PARSE_BAD:
		return broken(check, check->parse.fault);
	case PARSE_MORE:
		break;
	}
	buf_compact(&check->conn.in);
	switch (conn_read(&check->conn, CHECK_HEAD_BYTES)) {
	case IO_OK:
		return STEP_AGAIN;
	case IO_AGAIN:
		return STEP_WAIT;
	case IO_FULL:
		return broken(check, HTTP_FAULT_HEADER_BYTES);
	case IO_SHORTAGE:
		return done(check, OUTCOME_SHORTAGE);
	case IO_END:
	case IO_ERROR:
		break;
	}
	return done(check, OUTCOME_RESET);
}

static int64_t due_limit(const struct check *check)
{
	return check->limit_us;
}

static void late_answer(struct check *check)
{
	done(check, OUTCOME_LATE);
}

/* ---- the rest of the answer */

/* Some servers report an error when their answer is not read to its end. */
static enum step step_emptying(struct check *check)
{
	static const struct http_limits limits = {.header_bytes = CHECK_HEAD_BYTES};
	struct buf *in = &check->conn.in;
	struct body_span span = {0};

	if (check->rest.done)
		return end(check);
	if (buf_len(in) > 0 && body_decode(&check->rest, &limits, in->data + in->begin, buf_len(in),
				   &span) != BODY_MORE)
		return end(check);
	buf_consume(in, span.raw);
	buf_compact(in);
	enum io io = conn_read(&check->conn, CHECK_HEAD_BYTES);
	if (io == IO_AGAIN)
		return STEP_WAIT;
	return io == IO_OK ? STEP_AGAIN : end(check);
}

static void late_emptying(struct check *check)
{
	end(check);
}

/* ---- events */

static void on_event(struct conn *conn, unsigned events)
{
	(void)events;
	run(container_of(conn, struct check, conn));
}

static void on_due(struct timer *timer)
{
	struct check *check = container_of(timer, struct check, timer);

	states[check->state].late(check);
	run(check);
}

/* ---- life */

void check_init(struct check *check, const struct check_start *start)
{
	*check = (struct check){.with = *start, .state = CHECK_IDLE, .conn.on_event = on_event};
	timer_init(&check->timer, on_due);
}

void check_begin(struct check *check)
{
	const struct check_options *options = check->with.options;
	const struct backend *backend = check->with.backend;

	/* The limit counts from here. */
	check->began_us = loop_refresh_us(check->with.loop);
	check->limit_us = check->began_us +
			  (check_gets(options) ? options->timeout_us : options->connect_timeout_us);
	check->addresses_left = backend_address_count(backend);
	check->address = backend->addr_first + check->addresses_left - 1;
	check->result = (struct check_result){0};
	enter(check, CHECK_CONNECTING);
	run(check);
}

void check_stop(struct check *check)
{
	conn_close(&check->conn, false);
	timer_remove(loop_timers(check->with.loop), &check->timer);
	check->state = CHECK_IDLE;
}
