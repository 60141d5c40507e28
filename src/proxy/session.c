#include "proxy/session.h"

#include <utlist.h>

/* How long a client may go on sending after an answer that ends its connection: between two reads,
 * and in all; when the daemon stops, no longer than the first. */
enum { LINGER_SILENCE_US = 2 * 1000 * 1000, LINGER_US = 15 * 1000 * 1000 };

/* What an idle client has left to send its next request when the daemon stops. */
enum { DRAIN_IDLE_US = 1000 * 1000 };

/* Requests of one client that are answered before others have their turn. */
enum { EXCHANGES_PER_RUN = 16 };

enum { LINGER_READ_BYTES = 64 * 1024 };

enum session_state { SESSION_IDLE, SESSION_EXCHANGING, SESSION_LINGERING, SESSION_ENDED };

struct session {
	struct conn client;
	struct service *service;
	struct session *prev, *next; /* in service->first */
	struct exchange *exchange;   /* in SESSION_EXCHANGING */
	struct timer timer;
	int64_t linger_until_us;
	bool resets; /* when it has lingered */
	enum session_state state;
	struct net_addr peer;
	char ip[NET_IP_TEXT_SIZE];
	struct loop_task grave;
};

static void session_run(struct session *session);

size_t session_size(void)
{
	return sizeof(struct session);
}

static int64_t now_us(const struct session *session)
{
	return loop_now_us(session->service->loop);
}

static void arm(struct session *session, int64_t due_us)
{
	timer_arm(loop_timers(session->service->loop), &session->timer, due_us);
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
	session->state = SESSION_ENDED;
	conn_close(&session->client, reset);
	timer_remove(loop_timers(session->service->loop), &session->timer);
	DL_DELETE(session->service->first, session);
	session->grave.run = free_session;
	loop_bury(session->service->loop, &session->grave);
}

/* ---- between requests */

static void become_idle(struct session *session)
{
	const struct service *service = session->service;

	session->state = SESSION_IDLE;
	conn_want(&session->client, LOOP_READ | LOOP_END);
	arm(session,
	    now_us(session) +
		(service->draining ? DRAIN_IDLE_US : service->rules->timeouts.keep_alive_us));
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
	if (!session->exchange)
		return false;
	session->state = SESSION_EXCHANGING;
	return true;
}

/* Have bytes of a request come? The empty lines that are forgiven before it are none: whoever sends
 * one too many after its last request waits for no answer. RFC 9112, 2.2. */
static bool has_request(const struct session *session)
{
	return !str_starts_with(STR("\r\n\r\n"), buf_content(&session->client.in));
}

/* The first bytes of a request begin an exchange; true when one was begun. */
static bool run_idle(struct session *session)
{
	struct conn *client = &session->client;

	buf_compact(&client->in);
	while (!has_request(session)) {
		enum io io = conn_read(client, EXCHANGE_READ_BYTES);

		if (io == IO_AGAIN) {
			become_idle(session);
			return false;
		}
		if (io != IO_OK) {
			end(session, false);
			return false;
		}
	}
	if (begin_exchange(session))
		return true;
	end(session, true);
	return false;
}

/* ---- after the last answer */

static void linger(struct session *session, bool resets)
{
	session->state = SESSION_LINGERING;
	session->resets = resets;
	session->linger_until_us =
	    now_us(session) + (session->service->draining ? LINGER_SILENCE_US : LINGER_US);
	if (!resets)
		net_shutdown_write(session->client.watch.fd);
	conn_want(&session->client, LOOP_READ);
	arm(session, now_us(session) + LINGER_SILENCE_US);
}

/* Reads and drops. */
static void run_lingering(struct session *session)
{
	struct conn *client = &session->client;

	buf_release(&client->in);
	enum io io = conn_read(client, LINGER_READ_BYTES);
	buf_release(&client->in);
	if (io == IO_AGAIN) {
		/* The kernel may have had no room to be told at first. */
		conn_want(client, LOOP_READ);
		return;
	}
	if (io != IO_OK || now_us(session) >= session->linger_until_us)
		end(session, session->resets);
	else
		arm(session, now_us(session) + LINGER_SILENCE_US);
}

/* Goes on with the client as the exchange left it; true when it may send another request. */
static bool follow_sequel(struct session *session)
{
	enum exchange_sequel sequel = session->exchange->sequel;
	bool is_late = exchange_is_behind_another(session->exchange);

	exchange_destroy(session->exchange);
	session->exchange = NULL;
	switch (sequel) {
	case SEQUEL_KEEP:
		session->state = SESSION_IDLE;
		return true;
	case SEQUEL_CLOSE:
		/* Where the end was read, nothing is left that a close would answer with a reset. */
		if (session->client.ended)
			end(session, false);
		else
			linger(session, false);
		break;
	case SEQUEL_RESET:
		/* A reset would destroy the end of an earlier answer that is still on its way. */
		if (is_late)
			linger(session, true);
		else
			end(session, true);
		break;
	}
	return false;
}

/* ---- events */

static void session_run(struct session *session)
{
	switch (session->state) {
	case SESSION_IDLE:
		if (!run_idle(session))
			return;
		break;
	case SESSION_EXCHANGING:
		break;
	case SESSION_LINGERING:
		run_lingering(session);
		return;
	case SESSION_ENDED:
		return;
	}
	for (int served = 1; exchange_run(session->exchange) && follow_sequel(session); served++) {
		if (served == EXCHANGES_PER_RUN) {
			/* What else was pipelined waits for the next turn, or for its event. */
			become_idle(session);
			if (has_request(session))
				arm(session, now_us(session));
			return;
		}
		if (!run_idle(session))
			return;
	}
}

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
	bool has_next = session->state == SESSION_IDLE && has_request(session);

	if (session->state != SESSION_EXCHANGING && !has_next) {
		end(session, session->state == SESSION_LINGERING && session->resets);
		return;
	}
	if (!has_next)
		exchange_on_due(session->exchange);
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
	if (conn_open(&session->client, service->loop, service->blocks, fd, LOOP_READ | LOOP_END) <
	    0) {
		slab_give(&service->sessions, session);
		return false;
	}
	net_addr_format_ip(peer, session->ip);
	timer_init(&session->timer, on_due);
	DL_APPEND(service->first, session);
	service->counters.connections++;
	become_idle(session);
	return true;
}

void sessions_drain(struct service *service)
{
	struct session *session, *next;

	service->draining = true;
	DL_FOREACH_SAFE (service->first, session, next) {
		if (session->state == SESSION_IDLE && !has_request(session))
			become_idle(session);
		else if (session->state == SESSION_LINGERING)
			session->linger_until_us = now_us(session) + LINGER_SILENCE_US;
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
