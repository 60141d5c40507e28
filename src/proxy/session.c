#include "proxy/session.h"

#include "base/log.h"
#include "http/proxy_header.h"

#include <assert.h>
#include <utlist.h>

/* How long a client may go on sending after an answer that ends its connection: between two reads,
 * and in all; when the process stops, no longer than the first. */
enum { LINGER_SILENCE_US = 2 * 1000 * 1000, LINGER_US = 15 * 1000 * 1000 };

/* The time that an idle client has left to send its next request when the process stops. */
enum { DRAIN_IDLE_US = 1000 * 1000 };

enum { LINGER_READ_BYTES = 64 * 1024 };

/* How often a session looks whether an earlier answer has arrived, and how long it waits for a
 * client that takes no bytes of it. */
enum { RESET_LOOK_US = 50 * 1000, RESET_STALL_US = 15 * 1000 * 1000 };

enum step {
	STEP_AGAIN, /* the state changed, or may go on at once */
	STEP_WAIT   /* for what the state wants, or for its deadline */
};

static int64_t now_us(const struct session *session)
{
	return loop_now_us(session->sessions->loop);
}

/* ---- states */

static enum step step_introduced(struct session *session);
static enum step step_idle(struct session *session);
static enum step step_serving(struct session *session);
static enum step step_lingering(struct session *session);
static enum step step_resetting(struct session *session);
static int64_t due_as_set(const struct session *session);
static int64_t due_idle(const struct session *session);
static void late_introduced(struct session *session);
static void late_idle(struct session *session);
static void late_serving(struct session *session);
static void late_lingering(struct session *session);
static void late_resetting(struct session *session);

#define TO(state) (1U << SESSION_##state)

/* All that depends on the state: what to do, what to wait for and until when (NULL: the request
 * says both), what it means when that time passes, and what may follow. */
static const struct {
	const char *name;
	enum step (*step)(struct session *session);
	unsigned wants;
	int64_t (*due)(const struct session *session);
	void (*late)(struct session *session);
	unsigned next;
} states[SESSION_STATES] = {
    [SESSION_INTRODUCED] = {"introduced", step_introduced, LOOP_READ | LOOP_END, due_as_set,
	late_introduced, TO(IDLE) | TO(ENDED)},
    [SESSION_IDLE] = {"idle", step_idle, LOOP_READ | LOOP_END, due_idle, late_idle,
	TO(SERVING) | TO(ENDED)},
    [SESSION_SERVING] = {"serving", step_serving, 0, NULL, late_serving,
	TO(IDLE) | TO(LINGERING) | TO(RESETTING) | TO(ENDED)},
    [SESSION_LINGERING] = {"lingering", step_lingering, LOOP_READ, due_as_set, late_lingering,
	TO(ENDED)},
    [SESSION_RESETTING] = {"resetting", step_resetting, 0, due_as_set, late_resetting, TO(ENDED)},
    [SESSION_ENDED] = {"ended", NULL, 0, NULL, NULL, 0},
};

static void enter(struct session *session, enum session_state next)
{
	assert(states[session->state].next & (1U << next));
	log_debug("session: %s -> %s", states[session->state].name, states[next].name);
	session->state = next;
}

static void wait(struct session *session)
{
	if (!states[session->state].due)
		return;
	conn_want(&session->client, states[session->state].wants);
	timer_arm(loop_timers(session->sessions->loop), &session->timer,
	    states[session->state].due(session));
}

static int64_t due_as_set(const struct session *session)
{
	return session->due_us;
}

static void count_bytes(struct session *session)
{
	const struct conn *client = &session->client;
	struct sessions *sessions = session->sessions;

	sessions->received += client->received - session->received;
	sessions->sent += client->sent - session->sent;
	session->received = client->received;
	session->sent = client->sent;
}

void session_run(struct session *session)
{
	session->served = 0;
	while (session->state != SESSION_ENDED) {
		if (states[session->state].step(session) == STEP_WAIT) {
			wait(session);
			count_bytes(session);
			return;
		}
	}
}

/* ---- the end */

static void free_session(struct loop_task *task)
{
	struct session *session = container_of(task, struct session, free_task);
	struct sessions *sessions = session->sessions;

	slab_give(&sessions->slab, session);
	if (sessions->on_room)
		sessions->on_room(sessions);
}

/* The one end of every session. */
static void end(struct session *session, bool reset)
{
	struct sessions *sessions = session->sessions;

	enter(session, SESSION_ENDED);
	count_bytes(session);
	conn_close(&session->client, reset);
	binding_end(&session->binding);
	timer_remove(loop_timers(sessions->loop), &session->timer);
	DL_DELETE(sessions->first, session);
	session->free_task.run = free_session;
	loop_free_later(sessions->loop, &session->free_task);
}

static enum step ended(struct session *session, bool reset)
{
	end(session, reset);
	return STEP_AGAIN;
}

static void limit_idleness(struct session *session)
{
	session->due_us = now_us(session) + session->sessions->idle_us;
}

/* ---- before the first request */

bool sessions_may_say(struct sessions *sessions, const char *why)
{
	return !sessions->reports || reports_take(sessions->reports, LOG_LEVEL_INFO, why);
}

static void say_refused(const struct session *session, const char *why)
{
	if (sessions_may_say(session->sessions, why))
		log_info("connection from %s closed: %s", session->from.peer_ip, why);
}

/* The header is whole: what follows it are requests. */
static void take_header(struct session *session, const struct proxy_header *header)
{
	struct session_client *from = &session->from;
	struct conn *client = &session->client;

	if (header->names_client) {
		from->addr = header->client;
		net_addr_format_ip(&from->addr, from->ip);
	}
	from->is_https |= header->is_tls;
	buf_consume(&client->in, header->length);
	if (buf_len(&client->in) == 0)
		buf_release(&client->in);
}

static enum step step_introduced(struct session *session)
{
	struct conn *client = &session->client;
	struct proxy_header header;
	enum proxy_header_result result;

	while (
	    (result = proxy_header_read(&header, buf_content(&client->in))) == PROXY_HEADER_MORE) {
		enum io io = conn_read(client, CONN_HEAD_BYTES);

		if (io == IO_AGAIN)
			return STEP_WAIT;
		if (io == IO_OK)
			continue;
		/* Who connects and leaves without a byte looks whether the port is open. */
		if (client->received > 0)
			say_refused(session, "a PROXY header that was cut off");
		return ended(session, false);
	}
	if (result == PROXY_HEADER_BAD) {
		say_refused(session, header.fault);
		return ended(session, false);
	}
	take_header(session, &header);
	limit_idleness(session);
	enter(session, SESSION_IDLE);
	return STEP_AGAIN;
}

static void late_introduced(struct session *session)
{
	say_refused(session, "no PROXY header within timeouts.request_head");
	end(session, false);
}

/* ---- between requests */

/* Have bytes of a request come? Empty lines before it do not count: a client that sends one too
 * many after its last request waits for no answer. RFC 9112, 2.2. */
static bool has_request(const struct session *session)
{
	return !str_starts_with(STR("\r\n\r\n"), buf_content(&session->client.in));
}

static enum step step_idle(struct session *session)
{
	const struct session_handler *handler = session->sessions->handler;
	struct conn *client = &session->client;

	buf_compact(&client->in);
	while (!has_request(session)) {
		enum io io = conn_read(client, CONN_HEAD_BYTES);

		if (io == IO_AGAIN)
			return STEP_WAIT;
		if (io != IO_OK)
			return ended(session, false);
	}
	/* The other pipelined requests wait for the next turn. */
	if (session->served++ == handler->turn)
		return STEP_WAIT;
	session->request = handler->begin(session);
	if (!session->request)
		return ended(session, true);
	enter(session, SESSION_SERVING);
	return STEP_AGAIN;
}

static int64_t due_idle(const struct session *session)
{
	return has_request(session) ? now_us(session) : session->due_us;
}

static void late_idle(struct session *session)
{
	if (!has_request(session))
		end(session, false);
}

/* ---- serving */

static enum step linger(struct session *session)
{
	session->linger_until_us = now_us(session) + session->sessions->linger_us;
	session->due_us = now_us(session) + LINGER_SILENCE_US;
	conn_end_sending(&session->client);
	enter(session, SESSION_LINGERING);
	return STEP_WAIT;
}

static void look_for_earlier(struct session *session)
{
	size_t unsent = conn_unacknowledged(&session->client);

	if (unsent < session->unsent)
		session->stalled_us = now_us(session) + RESET_STALL_US;
	session->unsent = unsent;
	session->due_us = now_us(session) + RESET_LOOK_US;
}

/* The client must see that the answer is cut off, but a reset would destroy the end of an earlier
 * answer that is still on its way. */
static enum step reset_later(struct session *session)
{
	session->unsent = SIZE_MAX;
	look_for_earlier(session);
	enter(session, SESSION_RESETTING);
	return STEP_WAIT;
}

static enum step step_serving(struct session *session)
{
	enum session_next next = session->sessions->handler->run(session->request);

	if (next == NEXT_WAIT)
		return STEP_WAIT;
	session->request = NULL;
	switch (next) {
	case NEXT_WAIT:
	case NEXT_KEEP:
		limit_idleness(session);
		enter(session, SESSION_IDLE);
		return STEP_AGAIN;
	case NEXT_CLOSE:
		/* If the end was read, no bytes are left that a close would answer with a reset. */
		return session->client.ended ? ended(session, false) : linger(session);
	case NEXT_LATE_RESET:
		return reset_later(session);
	case NEXT_RESET:
		break;
	}
	return ended(session, true);
}

static void late_serving(struct session *session)
{
	session->sessions->handler->on_due(session->request);
}

/* ---- after the last answer */

/* Reads and drops. */
static enum step step_lingering(struct session *session)
{
	struct conn *client = &session->client;

	buf_release(&client->in);
	enum io io = conn_read(client, LINGER_READ_BYTES);
	buf_release(&client->in);
	if (io == IO_AGAIN)
		return STEP_WAIT;
	if (io != IO_OK || now_us(session) >= session->linger_until_us)
		return ended(session, false);
	session->due_us = now_us(session) + LINGER_SILENCE_US;
	return STEP_WAIT;
}

static void late_lingering(struct session *session)
{
	end(session, false);
}

/* Bytes that the client sends meanwhile are not read. */
static enum step step_resetting(struct session *session)
{
	(void)session;
	return STEP_WAIT;
}

static void late_resetting(struct session *session)
{
	look_for_earlier(session);
	if (session->unsent <= session->own_bytes || now_us(session) >= session->stalled_us)
		end(session, true);
}

/* ---- events */

static void on_event(struct conn *conn, unsigned events)
{
	struct session *session = container_of(conn, struct session, client);

	if ((events & LOOP_BROKEN) && session->state == SESSION_SERVING)
		session->sessions->handler->on_broken(session->request);
	session_run(session);
}

static void on_due(struct timer *timer)
{
	struct session *session = container_of(timer, struct session, timer);

	states[session->state].late(session);
	session_run(session);
}

/* ---- life */

/* What it waits for first, and until when. */
static void introduce(struct session *session, const struct session_origin *origin)
{
	struct session_client *from = &session->from;

	from->addr = *origin->peer;
	from->is_https = origin->is_https;
	net_addr_format_ip(origin->peer, from->ip);
	memcpy(from->peer_ip, from->ip, sizeof(from->ip));
	if (session->state == SESSION_INTRODUCED)
		session->due_us = now_us(session) + session->sessions->introduce_us;
	else
		limit_idleness(session);
}

bool session_start(struct sessions *sessions, int fd, const struct session_origin *origin)
{
	struct session *session = slab_take(&sessions->slab);

	if (!session)
		return false;
	*session = (struct session){.sessions = sessions,
	    .state = origin->is_introduced ? SESSION_INTRODUCED : SESSION_IDLE};
	session->began_us = now_us(session);
	session->client.on_event = on_event;
	if (conn_open(&session->client, sessions->loop, sessions->blocks, fd,
		states[session->state].wants) < 0) {
		slab_give(&sessions->slab, session);
		return false;
	}
	timer_init(&session->timer, on_due);
	DL_APPEND(sessions->first, session);
	sessions->accepted++;
	introduce(session, origin);
	wait(session);
	return true;
}

/* ---- all of them */

void sessions_init(struct sessions *sessions, const struct session_handler *handler,
    struct loop *loop, struct slab *blocks)
{
	*sessions = (struct sessions){
	    .handler = handler,
	    .loop = loop,
	    .blocks = blocks,
	    .linger_us = LINGER_US,
	};
	slab_init(&sessions->slab, sizeof(struct session), 0);
}

void sessions_finish(struct sessions *sessions)
{
	slab_finish(&sessions->slab);
}

/* Whatever it is doing. */
static void abort_session(struct session *session)
{
	bool is_serving = session->state == SESSION_SERVING;

	if (is_serving)
		session->sessions->handler->abort(session->request);
	end(session, is_serving || session->state == SESSION_RESETTING);
}

void sessions_make_room(struct sessions *sessions)
{
	struct session *session;

	if (sessions->gives_way_us == 0)
		return;
	DL_FOREACH (sessions->first, session) {
		/* The request of a client that was accepted just now may wait to be read. */
		if (session->state == SESSION_IDLE && !has_request(session) &&
		    conn_is_quiet(&session->client)) {
			end(session, false);
			return;
		}
	}
	session = sessions->first;
	if (session && now_us(session) - session->began_us > sessions->gives_way_us)
		abort_session(session);
}

void sessions_drain(struct sessions *sessions)
{
	struct session *session;

	sessions->idle_us = DRAIN_IDLE_US;
	sessions->linger_us = LINGER_SILENCE_US;
	DL_FOREACH (sessions->first, session) {
		if (session->state == SESSION_INTRODUCED) {
			if (session->due_us > now_us(session) + sessions->idle_us)
				limit_idleness(session);
			wait(session);
		} else if (session->state == SESSION_IDLE) {
			limit_idleness(session);
			wait(session);
		} else if (session->state == SESSION_LINGERING) {
			session->linger_until_us = now_us(session) + sessions->linger_us;
		}
	}
}

void sessions_abort(struct sessions *sessions)
{
	struct session *session, *next;

	DL_FOREACH_SAFE (sessions->first, session, next)
		abort_session(session);
}
