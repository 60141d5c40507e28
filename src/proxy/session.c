#include "proxy/session.h"

#include <assert.h>
#include <utlist.h>

/* How long a client may go on sending after an answer that ends its connection: between two reads,
 * and in all; when the daemon stops, no longer than the first. */
enum { LINGER_SILENCE_US = 2 * 1000 * 1000, LINGER_US = 15 * 1000 * 1000 };

/* What an idle client has left to send its next request when the daemon stops. */
enum { DRAIN_IDLE_US = 1000 * 1000 };

/* Requests of one client that are answered before others have their turn. */
enum { EXCHANGES_PER_RUN = 16 };

enum { LINGER_READ_BYTES = 64 * 1024 };

enum session_state {
	SESSION_IDLE,       /* between requests */
	SESSION_EXCHANGING, /* the exchange waits for what it wants, and arms the timer */
	SESSION_LINGERING,  /* the last answer is sent; what still comes is dropped */
	SESSION_ENDED,
	SESSION_STATES
};

struct session {
	struct conn client;
	struct service *service;
	struct session *prev, *next; /* in service->first */
	struct exchange *exchange;   /* in SESSION_EXCHANGING */
	struct timer timer;
	enum session_state state;
	unsigned served;       /* requests in this run */
	int64_t idle_until_us; /* SESSION_IDLE */
	int64_t
	    linger_until_us; /* SESSION_LINGERING: whatever comes, and until when it is silent */
	int64_t silent_until_us;
	bool resets; /* when it has lingered */
	struct net_addr peer;
	char ip[NET_IP_TEXT_SIZE];
	struct loop_task grave;
};

enum step {
	STEP_AGAIN, /* the state changed, or may go on at once */
	STEP_WAIT   /* for what the state wants, or for its deadline */
};

size_t session_size(void)
{
	return sizeof(struct session);
}

static int64_t now_us(const struct session *session)
{
	return loop_now_us(session->service->loop);
}

/* ---- states */

static enum step step_idle(struct session *session);
static enum step step_exchanging(struct session *session);
static enum step step_lingering(struct session *session);
static int64_t due_idle(const struct session *session);
static int64_t due_lingering(const struct session *session);
static void late_idle(struct session *session);
static void late_exchanging(struct session *session);
static void late_lingering(struct session *session);

#define TO(state) (1U << SESSION_##state)

/* All that depends on the state: what to do, what to wait for and until when, what it means when
 * that time passes, and what may follow. */
static const struct {
	enum step (*step)(struct session *session);
	unsigned wants;
	int64_t (*due)(const struct session *session);
	void (*late)(struct session *session);
	unsigned next;
} states[SESSION_STATES] = {
    [SESSION_IDLE] = {step_idle, LOOP_READ | LOOP_END, due_idle, late_idle,
	TO(EXCHANGING) | TO(ENDED)},
    [SESSION_EXCHANGING] = {step_exchanging, 0, NULL, late_exchanging,
	TO(IDLE) | TO(LINGERING) | TO(ENDED)},
    [SESSION_LINGERING] = {step_lingering, LOOP_READ, due_lingering, late_lingering, TO(ENDED)},
    [SESSION_ENDED] = {NULL, 0, NULL, NULL, 0},
};

static void enter(struct session *session, enum session_state next)
{
	assert(states[session->state].next & (1U << next));
	session->state = next;
}

static void wait(struct session *session)
{
	if (!states[session->state].due)
		return;
	conn_want(&session->client, states[session->state].wants);
	timer_arm(loop_timers(session->service->loop), &session->timer,
	    states[session->state].due(session));
}

static void session_run(struct session *session)
{
	session->served = 0;
	while (session->state != SESSION_ENDED) {
		if (states[session->state].step(session) == STEP_WAIT) {
			wait(session);
			return;
		}
	}
}

/* ---- the end */

static void free_session(struct loop_task *task)
{
	struct session *session = container_of(task, struct session, grave);
	struct service *service = session->service;

	slab_give(&service->sessions, session);
	if (service->on_room)
		service->on_room(service);
}

/* The one end of every session. */
static void end(struct session *session, bool reset)
{
	enter(session, SESSION_ENDED);
	conn_close(&session->client, reset);
	timer_remove(loop_timers(session->service->loop), &session->timer);
	DL_DELETE(session->service->first, session);
	session->grave.run = free_session;
	loop_bury(session->service->loop, &session->grave);
}

static enum step ended(struct session *session, bool reset)
{
	end(session, reset);
	return STEP_AGAIN;
}

/* ---- between requests */

/* A client that is idle when the daemon stops has a moment left for its next request. */
static void limit_idleness(struct session *session)
{
	const struct service *service = session->service;

	session->idle_until_us =
	    now_us(session) +
	    (service->draining ? DRAIN_IDLE_US : service->rules->timeouts.keep_alive_us);
}

static void run_owner(void *owner)
{
	session_run(owner);
}

static bool begin_exchange(struct session *session)
{
	struct exchange_start start = {
	    .service = session->service,
	    .client = &session->client,
	    .peer = &session->peer,
	    .client_ip = session->ip,
	    .timer = &session->timer,
	    .run_owner = run_owner,
	    .owner = session,
	};

	session->exchange = exchange_create(&start);
	return session->exchange != NULL;
}

/* Have bytes of a request come? The empty lines that are forgiven before it are none: a client that
 * sends one too many after its last request waits for no answer. RFC 9112, 2.2. */
static bool has_request(const struct session *session)
{
	return !str_starts_with(STR("\r\n\r\n"), buf_content(&session->client.in));
}

static enum step step_idle(struct session *session)
{
	struct conn *client = &session->client;

	buf_compact(&client->in);
	while (!has_request(session)) {
		enum io io = conn_read(client, ATTEMPT_READ_BYTES);

		if (io == IO_AGAIN)
			return STEP_WAIT;
		if (io != IO_OK)
			return ended(session, false);
	}
	/* What else was pipelined waits for the next turn. */
	if (session->served++ == EXCHANGES_PER_RUN)
		return STEP_WAIT;
	if (!begin_exchange(session))
		return ended(session, true);
	enter(session, SESSION_EXCHANGING);
	return STEP_AGAIN;
}

static int64_t due_idle(const struct session *session)
{
	return has_request(session) ? now_us(session) : session->idle_until_us;
}

static void late_idle(struct session *session)
{
	if (!has_request(session))
		end(session, false);
}

/* ---- exchanging */

/* After an answer that ends the connection. One that is cut off must be seen to be, but a reset would
 * destroy the end of an earlier answer that is still on its way: it waits for that then. */
static enum step linger(struct session *session, bool resets)
{
	session->resets = resets;
	session->linger_until_us =
	    now_us(session) + (session->service->draining ? LINGER_SILENCE_US : LINGER_US);
	session->silent_until_us = now_us(session) + LINGER_SILENCE_US;
	if (!resets)
		conn_end_sending(&session->client);
	enter(session, SESSION_LINGERING);
	return STEP_WAIT;
}

static enum step step_exchanging(struct session *session)
{
	struct conn *client = &session->client;

	if (!exchange_run(session->exchange))
		return STEP_WAIT;
	enum exchange_sequel sequel = session->exchange->sequel;
	bool is_behind_another = exchange_is_behind_another(session->exchange);
	exchange_destroy(session->exchange);
	session->exchange = NULL;
	switch (sequel) {
	case SEQUEL_KEEP:
		limit_idleness(session);
		enter(session, SESSION_IDLE);
		return STEP_AGAIN;
	case SEQUEL_CLOSE:
		/* Where the end was read, nothing is left that a close would answer with a reset. */
		if (client->ended)
			return ended(session, false);
		return linger(session, false);
	case SEQUEL_RESET:
		break;
	}
	return is_behind_another ? linger(session, true) : ended(session, true);
}

static void late_exchanging(struct session *session)
{
	exchange_on_due(session->exchange);
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
		return ended(session, session->resets);
	session->silent_until_us = now_us(session) + LINGER_SILENCE_US;
	return STEP_WAIT;
}

static int64_t due_lingering(const struct session *session)
{
	return session->silent_until_us;
}

static void late_lingering(struct session *session)
{
	end(session, session->resets);
}

/* ---- events */

static void on_event(struct conn *conn, unsigned events)
{
	struct session *session = container_of(conn, struct session, client);

	if ((events & LOOP_BROKEN) && session->state == SESSION_EXCHANGING)
		exchange_on_broken(session->exchange);
	session_run(session);
}

static void on_due(struct timer *timer)
{
	struct session *session = container_of(timer, struct session, timer);

	states[session->state].late(session);
	session_run(session);
}

/* ---- life */

bool session_start(struct service *service, int fd, const struct net_addr *peer)
{
	struct session *session = slab_take(&service->sessions);

	if (!session)
		return false;
	*session = (struct session){.service = service, .state = SESSION_IDLE, .peer = *peer};
	session->client.on_event = on_event;
	if (conn_open(&session->client, service->loop, service->blocks, fd,
		states[SESSION_IDLE].wants) < 0) {
		slab_give(&service->sessions, session);
		return false;
	}
	net_addr_format_ip(peer, session->ip);
	timer_init(&session->timer, on_due);
	DL_APPEND(service->first, session);
	service->counters.connections++;
	limit_idleness(session);
	wait(session);
	return true;
}

void sessions_drain(struct service *service)
{
	struct session *session, *next;

	service->draining = true;
	DL_FOREACH_SAFE (service->first, session, next) {
		if (session->state == SESSION_IDLE) {
			limit_idleness(session);
			wait(session);
		} else if (session->state == SESSION_LINGERING) {
			session->linger_until_us = now_us(session) + LINGER_SILENCE_US;
		}
	}
}

void sessions_abort(struct service *service)
{
	struct session *session, *next;

	DL_FOREACH_SAFE (service->first, session, next) {
		if (session->state == SESSION_EXCHANGING) {
			exchange_abort(session->exchange);
			exchange_destroy(session->exchange);
		}
		end(session, true);
	}
}
