#include "proxy/attempt.h"

#include "base/log.h"
#include "http/auth.h"

#include <assert.h>

/* A backend that waited for the client for so long, in all, may have given up; one that ends sooner
 * has another reason. */
enum { IMPATIENCE_US = 1000 * 1000 };

static int64_t now_us(const struct attempt *attempt)
{
	return loop_now_us(attempt->request->proxy->loop);
}

static int64_t refresh_us(const struct attempt *attempt)
{
	return loop_refresh_us(attempt->request->proxy->loop);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- states */

static enum attempt_result step_connecting(struct attempt *attempt);
static enum attempt_result step_sending(struct attempt *attempt);
static enum attempt_result step_heading(struct attempt *attempt);
static enum attempt_result step_answered(struct attempt *attempt);
static enum attempt_result step_failed(struct attempt *attempt);
static struct attempt_wants wants_connecting(const struct attempt *attempt);
static struct attempt_wants wants_sending(const struct attempt *attempt);
static struct attempt_wants wants_head(const struct attempt *attempt);
static struct attempt_wants wants_nothing(const struct attempt *attempt);
static int64_t due_connecting(const struct attempt *attempt);
static int64_t due_sending(const struct attempt *attempt);
static int64_t due_waiting(const struct attempt *attempt);
static int64_t due_heading(const struct attempt *attempt);
static int64_t due_never(const struct attempt *attempt);
static void late_connecting(struct attempt *attempt);
static void late_sending(struct attempt *attempt);
static void late_waiting(struct attempt *attempt);
static void late_heading(struct attempt *attempt);

#define TO(state) (1U << ATTEMPT_##state)

/* All that depends on the state: what to do, what to wait for and until when, what it means when
 * that time passes, and what may follow. */
static const struct {
	const char *name;
	enum attempt_result (*step)(struct attempt *attempt);
	struct attempt_wants (*wants)(const struct attempt *attempt);
	int64_t (*due)(const struct attempt *attempt);
	void (*late)(struct attempt *attempt);
	unsigned next;
} states[ATTEMPT_STATES] = {
    [ATTEMPT_CONNECTING] = {"connecting", step_connecting, wants_connecting, due_connecting,
	late_connecting, TO(CONNECTING) | TO(SENDING) | TO(FAILED)},
    [ATTEMPT_SENDING] = {"sending", step_sending, wants_sending, due_sending, late_sending,
	TO(WAITING) | TO(ANSWERED) | TO(FAILED)},
    [ATTEMPT_WAITING] = {"waiting", step_heading, wants_head, due_waiting, late_waiting,
	TO(HEADING) | TO(ANSWERED) | TO(FAILED)},
    [ATTEMPT_HEADING] = {"heading", step_heading, wants_head, due_heading, late_heading,
	TO(WAITING) | TO(ANSWERED) | TO(FAILED)},
    [ATTEMPT_ANSWERED] = {"answered", step_answered, wants_nothing, due_never, NULL, TO(FAILED)},
    [ATTEMPT_FAILED] = {"failed", step_failed, wants_nothing, due_never, NULL, TO(CONNECTING)},
};

static void enter(struct attempt *attempt, enum attempt_state next)
{
	assert(states[attempt->state].next & (1U << next));
	log_debug("attempt at %s: %s -> %s", attempt->record->backend->name,
	    states[attempt->state].name, states[next].name);
	attempt->state = next;
}

enum attempt_result attempt_run(struct attempt *attempt)
{
	enum attempt_result result;

	do
		result = states[attempt->state].step(attempt);
	while (result == ATTEMPT_AGAIN);
	return result;
}

struct attempt_wants attempt_wants(const struct attempt *attempt)
{
	return states[attempt->state].wants(attempt);
}

int64_t attempt_due_us(const struct attempt *attempt)
{
	return states[attempt->state].due(attempt);
}

void attempt_on_due(struct attempt *attempt)
{
	if (states[attempt->state].late)
		states[attempt->state].late(attempt);
}

static struct attempt_wants wants_nothing(const struct attempt *attempt)
{
	(void)attempt;
	return (struct attempt_wants){0, 0};
}

static int64_t due_never(const struct attempt *attempt)
{
	(void)attempt;
	return TIMER_NEVER;
}

/* ---- the end */

static void close_link(struct attempt *attempt, bool reset)
{
	if (!attempt->link)
		return;
	attempt->was_sent |= attempt->link->conn.sent > 0;
	backend_forgets(attempt->record->backend, &attempt->pending);
	backend_close(attempt->link, reset);
	attempt->link = NULL;
}

void attempt_fail(struct attempt *attempt, enum outcome outcome)
{
	close_link(attempt, true);
	attempt->outcome = outcome;
	enter(attempt, ATTEMPT_FAILED);
}

static enum attempt_result failed(struct attempt *attempt, enum outcome outcome)
{
	attempt_fail(attempt, outcome);
	return ATTEMPT_HAS_FAILED;
}

static enum attempt_result failed_by_client(
    struct attempt *attempt, enum attempt_client_fault fault)
{
	attempt->client_fault = fault;
	return failed(attempt, OUTCOME_CLIENT);
}

static enum attempt_result step_failed(struct attempt *attempt)
{
	(void)attempt;
	return ATTEMPT_HAS_FAILED;
}

/* If our own epoll registration failed, the backend is not to blame for a silence. */
enum outcome attempt_outcome_of_silence(const struct attempt *attempt, enum outcome outcome)
{
	int error = attempt->link->conn.error;

	return error && outcome_of_connect_error(error) == OUTCOME_SHORTAGE ? OUTCOME_SHORTAGE
									    : outcome;
}

/* ---- life */

struct attempt *attempt_create(struct attempt_request *request, struct try_record *record)
{
	struct attempt *attempt = slab_take(&request->proxy->attempts);

	if (!attempt)
		return NULL;
	*attempt = (struct attempt){
	    .request = request,
	    .record = record,
	    .state = ATTEMPT_CONNECTING,
	    .address = record->backend->addr_first,
	    .max_delay_us = record->backend->options.max_delay_response_us,
	    .connect_took_us = -1,
	    .first_byte_us = -1,
	};
	attempt->began_us = now_us(attempt);
	return attempt;
}

void attempt_destroy(struct attempt *attempt)
{
	if (!attempt)
		return;
	struct proxy *proxy = attempt->request->proxy;

	/* An answer that is not passed on is no fault of its backend. */
	close_link(attempt, attempt->state != ATTEMPT_ANSWERED);
	if (proxy->response_of == attempt)
		proxy->response_of = NULL;
	slab_give(&proxy->attempts, attempt);
}

void attempt_pass_on(
    struct attempt *attempt, struct attempt_request *request, struct try_record *record)
{
	attempt->request = request;
	attempt->record = record;
	attempt->pending.may_move = false;
}

void attempt_begin_again(struct attempt *attempt)
{
	attempt->is_fresh = true;
	attempt->kept_waiting_us = 0;
	enter(attempt, ATTEMPT_CONNECTING);
}

/* ---- connecting */

static void on_link_event(struct conn *conn, unsigned events)
{
	struct attempt *attempt = container_of(conn, struct backend_conn, conn)->holder;

	(void)events;
	attempt->request->on_event(attempt->request->owner);
}

/* The connection that belongs to the client; else one from the pool. Of these, a request that must
 * not be sent twice trusts only one that was verified to be alive just before. */
static struct backend_conn *take_open(const struct attempt *attempt)
{
	const struct http_head *head = attempt->request->head;
	bool is_kept = head->framing == HTTP_FRAMING_NONE ||
		       (head->has_content_length &&
			   head->content_length <= attempt->request->rules->retry.body_bytes);
	bool may_repeat = attempt->request->may_repeat && is_kept;
	struct binding *binding = attempt->request->binding;
	struct backend_conn *link;

	if (binding && binding->link)
		return binding_take(binding);
	while ((link = backend_take(attempt->record->backend)) && !may_repeat &&
	       !conn_is_quiet(&link->conn))
		backend_close(link, false);
	return link;
}

static bool compose_request_head(struct attempt *attempt)
{
	const struct attempt_request *request = attempt->request;
	const struct proxy_headers_options *headers = &request->rules->headers;
	const struct session_client *from = request->from;
	/* The name that the logs give a client of a Unix socket is no address. RFC 7239, 6. */
	bool has_address = from->addr.any.sa_family != AF_UNIX;
	struct write_request head = {
	    .head = request->head,
	    .forwarded = headers->forwarded,
	    .client_is_trusted =
		net_blocks_contain(headers->trusted, headers->trusted_count, &from->addr),
	    .client_ip = str_from(has_address ? from->ip : ""),
	    .is_https = from->is_https,
	    .request_id_name = str_from(headers->request_id),
	    .request_id = str_from(request->id),
	    .backend_host = str_from(attempt->record->backend->authority),
	};

	return write_request_head(&attempt->link->conn.out, &head);
}

static enum attempt_result start_sending(struct attempt *attempt)
{
	struct content *up = attempt->request->up;

	if (!attempt->request->head)
		return ATTEMPT_IS_CONNECTED;
	if (!compose_request_head(attempt))
		return failed(attempt, OUTCOME_SHORTAGE);
	/* The client's time to send counts from here, and the turn may have been long: the time
	 * must never end early. */
	if (!content_has_all(up))
		refresh_us(attempt);
	attempt->link->is_bound |= attempt->request->binds;
	content_aim(up, &attempt->link->conn, attempt->request->head->framing);
	parse_init(&attempt->parse, GUARD_RESPONSE);
	attempt->upload = UPLOAD_RUNNING;
	attempt->is_heard = false;
	attempt->interims = 0;
	attempt->has_continued = false;
	attempt->record->backend->counters.requests++;
	enter(attempt, ATTEMPT_SENDING);
	return ATTEMPT_AGAIN;
}

/* Moves on to the next address; false when the attempt went through all. */
static bool next_address(struct attempt *attempt)
{
	attempt->address++;
	return ++attempt->addresses_tried < backend_address_count(attempt->record->backend);
}

/* Takes a connection from the pool, or connects to an address. */
static enum attempt_result open_link(struct attempt *attempt)
{
	struct backend_conn *link = attempt->is_fresh ? NULL : take_open(attempt);
	bool connecting = false;
	int error = 0;

	/* The limit counts from here. */
	if (!link)
		attempt->connect_us = refresh_us(attempt);
	while (!link) {
		link = backend_connect(
		    attempt->record->backend, attempt->address, &error, &connecting);
		if (!link && !next_address(attempt))
			return failed(attempt, outcome_of_connect_error(error));
	}
	attempt->link = link;
	attempt->is_fresh = link->exchanges == 0;
	link->holder = attempt;
	link->conn.on_event = on_link_event;
	if (!connecting)
		return start_sending(attempt);
	/* Only while no connection before took bytes of the request. */
	attempt->pending.may_move = attempt->request->head && !attempt->was_sent;
	backend_connects(attempt->record->backend, &attempt->pending);
	return ATTEMPT_WAITS;
}

static enum attempt_result connect_failed(struct attempt *attempt, enum outcome outcome)
{
	if (!next_address(attempt))
		return failed(attempt, outcome);
	close_link(attempt, true);
	attempt->is_fresh = true;
	return open_link(attempt);
}

static enum attempt_result step_connecting(struct attempt *attempt)
{
	if (!attempt->link)
		return open_link(attempt);
	struct conn *conn = &attempt->link->conn;
	if (!conn->writable)
		return ATTEMPT_WAITS;
	int error = conn_connect_result(conn);
	if (error)
		return connect_failed(attempt, outcome_of_connect_error(error));
	backend_connected(attempt->link);
	backend_forgets(attempt->record->backend, &attempt->pending);
	attempt->connect_took_us = now_us(attempt) - attempt->connect_us;
	return start_sending(attempt);
}

/* The unsent rest of an interim answer for the client goes on when the next backend is
 * connected. */
static struct attempt_wants wants_connecting(const struct attempt *attempt)
{
	(void)attempt;
	return (struct attempt_wants){0, LOOP_READ | LOOP_WRITE};
}

static int64_t due_connecting(const struct attempt *attempt)
{
	return earlier(attempt->connect_us + attempt->request->rules->timeouts.connect_us,
	    attempt->request->deadline_us);
}

static void late_connecting(struct attempt *attempt)
{
	if (now_us(attempt) >= attempt->request->deadline_us)
		attempt_fail(attempt, OUTCOME_DEADLINE);
	else
		connect_failed(
		    attempt, attempt_outcome_of_silence(attempt, OUTCOME_CONNECT_TIMEOUT));
}

/* ---- sending the request */

/* The client may be waiting for a 100 from the backend. */
static bool may_await_continue(const struct attempt *attempt)
{
	return attempt->request->head->expects_continue && !attempt->has_continued &&
	       attempt->request->up->passed == 0;
}

/* The time that a client takes to send is not held against the request: its deadline begins anew
 * when all of it is here. */
static void pace_deadline(struct attempt *attempt)
{
	struct attempt_request *request = attempt->request;

	if (content_wants_read(request->up) && !may_await_continue(attempt))
		request->deadline_us = TIMER_NEVER;
	else if (content_has_all(request->up) && request->deadline_us == TIMER_NEVER)
		request->deadline_us = now_us(attempt) + request->rules->retry.deadline_us;
}

/* Another backend may get it as well, if this one is silent. */
static bool may_move(const struct attempt *attempt)
{
	const struct attempt_request *request = attempt->request;

	return request->may_repeat && !request->stays && content_can_repeat(request->up) &&
	       !request->head->upgrades;
}

/* All of it was sent: the backend owes an answer. */
static void note_debt(struct attempt *attempt)
{
	if (attempt->upload != UPLOAD_DONE || attempt->link->conn.received > 0)
		return;
	attempt->pending.may_move = may_move(attempt);
	backend_owes(attempt->record->backend, &attempt->pending);
}

static enum attempt_result step_sending(struct attempt *attempt)
{
	switch (content_run(attempt->request->up)) {
	case CONTENT_WAITS:
		pace_deadline(attempt);
		return step_heading(attempt);
	case CONTENT_DONE:
		attempt->upload = UPLOAD_DONE;
		break;
	case CONTENT_SEND_FAILED:
		/* The backend may have answered before it closed: then its answer decides. */
		attempt->upload = UPLOAD_BROKEN;
		attempt->link->conn.readable = true;
		break;
	case CONTENT_SHORTAGE:
		return failed(attempt, OUTCOME_SHORTAGE);
	case CONTENT_ENDED:
		return failed_by_client(attempt, CLIENT_LEFT);
	case CONTENT_BAD:
		return failed_by_client(attempt, CLIENT_BROKE);
	case CONTENT_TOO_LARGE:
		return failed_by_client(attempt, CLIENT_TOO_LARGE);
	}
	/* The limits count from here. */
	attempt->sent_us = refresh_us(attempt);
	pace_deadline(attempt);
	enter(attempt, ATTEMPT_WAITING);
	note_debt(attempt);
	return ATTEMPT_AGAIN;
}

/* The rest of an interim answer goes to the client, which waits for nothing else meanwhile. */
static unsigned wants_of_interim(const struct attempt *attempt)
{
	const struct conn *client = attempt->request->client;

	return client && buf_len(&client->out) > 0 ? LOOP_WRITE : 0;
}

static struct attempt_wants wants_sending(const struct attempt *attempt)
{
	const struct content *up = attempt->request->up;

	return (struct attempt_wants){
	    wants_of_interim(attempt) | (content_wants_read(up) ? LOOP_READ : 0U),
	    LOOP_READ | (content_wants_write(up) ? LOOP_WRITE : 0U),
	};
}

static int64_t due_stalled(const struct attempt *attempt)
{
	return attempt->request->up->moved_us + attempt->request->rules->timeouts.send_us;
}

static int64_t due_sending(const struct attempt *attempt)
{
	const struct attempt_request *request = attempt->request;

	if (!content_wants_write(request->up))
		return earlier(request->deadline_us,
		    request->up->moved_us + request->rules->timeouts.request_body_us);
	return earlier(due_stalled(attempt), request->deadline_us);
}

static void late_sending(struct attempt *attempt)
{
	if (!content_wants_write(attempt->request->up) &&
	    now_us(attempt) < attempt->request->deadline_us) {
		failed_by_client(attempt, CLIENT_LATE);
		return;
	}
	bool is_stalled =
	    content_wants_write(attempt->request->up) && now_us(attempt) >= due_stalled(attempt);
	attempt_fail(attempt,
	    attempt_outcome_of_silence(attempt, is_stalled ? OUTCOME_STALLED : OUTCOME_DEADLINE));
}

bool attempt_awaits_content(const struct attempt *attempt)
{
	const struct content *up = attempt->request->up;

	return attempt->link && attempt->upload == UPLOAD_RUNNING &&
	       attempt->state != ATTEMPT_CONNECTING && content_wants_read(up) &&
	       !content_wants_write(up) && !may_await_continue(attempt);
}

/* ---- the head of the answer */

bool attempt_is_first_of_reused(const struct attempt *attempt)
{
	const struct backend_conn *link = attempt->link;

	return link->exchanges > 0 && link->conn.received == buf_len(&link->conn.in);
}

/* The connection ended before the head was whole. */
static enum outcome outcome_of_end(const struct attempt *attempt)
{
	if (attempt->link->conn.received == 0 && attempt->link->exchanges > 0)
		return OUTCOME_STALE;
	return attempt_was_kept_waiting(attempt) ? OUTCOME_IMPATIENT : OUTCOME_RESET;
}

/* The bytes are not a response head: could one begin with them? */
static enum outcome outcome_of_no_head(const struct attempt *attempt)
{
	struct str bytes = buf_content(&attempt->link->conn.in);
	struct str begin = STR("HTTP/");

	if (bytes.len < begin.len)
		begin.len = bytes.len;
	return attempt_is_first_of_reused(attempt) && !str_starts_with(bytes, begin)
		   ? OUTCOME_STALE
		   : OUTCOME_BAD_RESPONSE;
}

static enum attempt_result broken(struct attempt *attempt, enum http_fault fault)
{
	enum outcome outcome = outcome_of_no_head(attempt);

	if (outcome == OUTCOME_BAD_RESPONSE)
		attempt->record->fault = fault;
	return failed(attempt, outcome);
}

static enum parse_result parse_head(struct attempt *attempt)
{
	struct attempt_request *request = attempt->request;
	struct parse_response_rules rules = {request->rules->limits.head, request->head};

	request->proxy->response_of = attempt;
	return parse_response(
	    &attempt->parse, &rules, &attempt->link->conn.in, &request->proxy->response);
}

const struct http_head *attempt_head(struct attempt *attempt)
{
	struct proxy *proxy = attempt->request->proxy;

	if (proxy->response_of != attempt) {
		parse_init(&attempt->parse, GUARD_RESPONSE);
		enum parse_result result = parse_head(attempt);
		assert(result == PARSE_DONE); /* as it was before */
	}
	return &proxy->response;
}

static enum attempt_result report_head(struct attempt *attempt)
{
	const struct http_head *head = &attempt->request->proxy->response;

	if (head->status < 200 && head->status != 101)
		return ++attempt->interims > HTTP_INTERIMS_MAX
			   ? broken(attempt, HTTP_FAULT_INTERIMS)
			   : ATTEMPT_INTERIM;
	bool is_early = attempt->upload == UPLOAD_RUNNING;
	int64_t came_us = attempt->state == ATTEMPT_HEADING ? attempt->heading_us : now_us(attempt);
	attempt->first_byte_us = came_us - (is_early ? attempt->began_us : attempt->sent_us);
	attempt->record->status = head->status;
	attempt->link->is_challenged = http_auth_is_offered(head);
	attempt->link->is_bound |= attempt->link->is_challenged;
	enter(attempt, ATTEMPT_ANSWERED);
	return ATTEMPT_HAS_HEAD;
}

static enum attempt_result step_answered(struct attempt *attempt)
{
	(void)attempt;
	return ATTEMPT_HAS_HEAD;
}

/* The first byte is a sign of life, whatever it begins. */
static void note_sign(struct attempt *attempt)
{
	if (attempt->is_heard)
		return;
	attempt->is_heard = true;
	backend_hears(attempt->record->backend, &attempt->pending, !attempt->is_superseded);
}

/* Looks at the bytes that have come; ATTEMPT_WAITS when they are no whole head yet. */
static enum attempt_result look_for_head(struct attempt *attempt)
{
	if (buf_len(&attempt->link->conn.in) == 0)
		return ATTEMPT_WAITS;
	note_sign(attempt);
	switch (parse_head(attempt)) {
	case PARSE_DONE:
		return report_head(attempt);
	case PARSE_BAD:
		return broken(attempt, attempt->parse.fault);
	case PARSE_MORE:
		break;
	}
	if (attempt->state == ATTEMPT_WAITING) {
		attempt->heading_us = now_us(attempt);
		enter(attempt, ATTEMPT_HEADING);
	}
	return ATTEMPT_WAITS;
}

static enum attempt_result step_heading(struct attempt *attempt)
{
	struct conn *client = attempt->request->client;

	if (client && buf_len(&client->out) > 0 && conn_flush(client) == IO_ERROR)
		return failed_by_client(attempt, CLIENT_LEFT);
	enum attempt_result result = look_for_head(attempt);
	if (result != ATTEMPT_WAITS)
		return result;
	switch (conn_read(&attempt->link->conn, CONN_HEAD_BYTES)) {
	case IO_OK:
		return ATTEMPT_AGAIN;
	case IO_AGAIN:
		return ATTEMPT_WAITS;
	case IO_FULL:
		return broken(attempt, HTTP_FAULT_HEADER_BYTES);
	case IO_SHORTAGE:
		return failed(attempt, OUTCOME_SHORTAGE);
	case IO_END:
	case IO_ERROR:
		break;
	}
	return failed(attempt, outcome_of_end(attempt));
}

void attempt_skip_interim(struct attempt *attempt)
{
	const struct http_head *interim = attempt_head(attempt);
	struct buf *in = &attempt->link->conn.in;

	attempt->has_continued |= interim->status == 100;
	buf_consume(in, interim->length);
	/* All of the block again for the next head. */
	buf_compact(in);
	if (buf_len(in) == 0)
		buf_release(in);
	parse_init(&attempt->parse, GUARD_RESPONSE);
	if (attempt->state == ATTEMPT_HEADING)
		enter(attempt, ATTEMPT_WAITING);
}

static struct attempt_wants wants_head(const struct attempt *attempt)
{
	return (struct attempt_wants){wants_of_interim(attempt), LOOP_READ};
}

static int64_t due_late(const struct attempt *attempt)
{
	return attempt->sent_us + attempt->max_delay_us;
}

static int64_t due_waiting(const struct attempt *attempt)
{
	return earlier(due_late(attempt), attempt->request->deadline_us);
}

static int64_t due_heading(const struct attempt *attempt)
{
	return attempt->heading_us + attempt->max_delay_us;
}

static void late_waiting(struct attempt *attempt)
{
	bool is_late = now_us(attempt) >= due_late(attempt);

	attempt_fail(attempt,
	    attempt_outcome_of_silence(attempt, is_late ? OUTCOME_LATE : OUTCOME_DEADLINE));
}

static void late_heading(struct attempt *attempt)
{
	attempt_fail(attempt, attempt_outcome_of_silence(attempt, OUTCOME_LATE));
}

/* ---- times */

bool attempt_is_overdue(const struct attempt *attempt)
{
	const struct backend *backend = attempt->record->backend;
	const struct pending *pending = &attempt->pending;
	int64_t from_us = pending->since_us;

	if (!pending->is_listed || !pending->may_move)
		return false;
	if (pending->is_owed && backend->silence.quiet_us > from_us)
		from_us = backend->silence.quiet_us;
	int64_t patience_us = backend_patience_us(backend);
	int64_t quiet_us = loop_seen_us(attempt->request->proxy->loop) - from_us;
	return quiet_us > patience_us;
}

int64_t attempt_silent_us(const struct attempt *attempt)
{
	const struct attempt_request *request = attempt->request;
	int64_t handed_us = attempt->sent_us;
	int64_t from_us = attempt->began_us;

	if (!request->head)
		return now_us(attempt) - from_us;
	if (attempt->upload == UPLOAD_RUNNING)
		handed_us = request->up->moved_us;
	if (request->head->framing != HTTP_FRAMING_NONE && handed_us > from_us)
		from_us = handed_us;
	return now_us(attempt) - from_us;
}

void attempt_note_awaited(struct attempt *attempt, bool awaits_client)
{
	if (attempt->client_awaited_us > 0)
		attempt->kept_waiting_us += now_us(attempt) - attempt->client_awaited_us;
	attempt->client_awaited_us = awaits_client ? now_us(attempt) : 0;
}

bool attempt_was_kept_waiting(const struct attempt *attempt)
{
	return attempt->kept_waiting_us >= IMPATIENCE_US;
}
