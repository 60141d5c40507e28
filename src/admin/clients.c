#include "clients.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

enum { ACCEPTS_PER_EVENT = 8 };

/* Who is silent between requests is not kept for long: there are few places. */
static const int64_t IDLE_US = 30 * 1000 * 1000;
static const int64_t LINGER_US = 2 * 1000 * 1000;
/* A reload takes no longer than a lookup of names, if the loop turns at all. */
static const int64_t RELOAD_US = 60 * 1000 * 1000;
static const int64_t PAUSE_US = 100 * 1000;

static void client_run_reading(struct admin_client *client);
static void client_send(struct admin_client *client);
static void client_run_lingering(struct admin_client *client);
static void client_go_on_reading(struct admin_client *client);
static void client_end(struct admin_client *client);
static void listener_resume(struct admin_listener *listener);

/* ---- texts */

struct admin_text *admin_text_create(char *data, size_t len)
{
	struct admin_text *text = malloc(sizeof(*text));

	if (text)
		*text = (struct admin_text){.data = data, .len = len, .holders = 1};
	else
		free(data);
	return text;
}

void admin_text_drop(struct admin_text *text)
{
	if (!text || --text->holders > 0)
		return;
	free(text->data);
	free(text);
}

/* ---- states */

#define TO(state) (1U << ADMIN_##state)

/* What to do when something comes (NULL: only a broken connection matters), what when the time is
 * over, and what may follow. */
static const struct state {
	void (*run)(struct admin_client *client);
	void (*late)(struct admin_client *client);
	unsigned next;
} states[ADMIN_STATES] = {
    [ADMIN_READING] = {client_run_reading, client_end, TO(WAITING) | TO(ANSWERING) | TO(ENDED)},
    [ADMIN_PAUSING] = {NULL, client_go_on_reading, TO(READING) | TO(ENDED)},
    [ADMIN_WAITING] = {NULL, client_end, TO(ANSWERING) | TO(ENDED)},
    [ADMIN_ANSWERING] = {client_send, client_end,
	TO(READING) | TO(PAUSING) | TO(LINGERING) | TO(ENDED)},
    [ADMIN_LINGERING] = {client_run_lingering, client_end, TO(ENDED)},
    [ADMIN_ENDED] = {NULL, NULL, 0},
};

void admin_client_enter(struct admin_client *client, enum admin_state next)
{
	assert(states[client->state].next & (1U << next));
	client->state = next;
}

/* ---- clients */

static const struct rules_timeouts *timeouts(const struct admin_client *client)
{
	return &client->listener->admin->with.service->rules->timeouts;
}

static void client_arm(struct admin_client *client, int64_t after_us)
{
	struct loop *loop = client->listener->admin->loop;

	timer_arm(loop_timers(loop), &client->timer, loop_now_us(loop) + after_us);
}

static void client_free(struct loop_task *task)
{
	struct admin_client *client = container_of(task, struct admin_client, free_task);
	struct admin_listener *listener = client->listener;

	slab_give(&listener->slab, client);
	listener_resume(listener);
}

/* The one end of every client. */
static void client_end(struct admin_client *client)
{
	struct admin_listener *listener = client->listener;
	const struct admin_control *control = &listener->admin->with.control;

	if (client->state == ADMIN_WAITING)
		control->forget_reload(control->context, client);
	json_decref(client->lines);
	conn_close(&client->conn, false);
	admin_text_drop(client->content);
	timer_remove(loop_timers(listener->admin->loop), &client->timer);
	DL_DELETE(listener->clients, client);
	admin_client_enter(client, ADMIN_ENDED);
	client->free_task.run = client_free;
	loop_bury(listener->admin->loop, &client->free_task);
}

static bool client_is_idle(const struct admin_client *client)
{
	return client->state == ADMIN_READING && client->has_served &&
	       buf_len(&client->conn.in) == 0;
}

static void client_wait_for_request(struct admin_client *client)
{
	int64_t idle_us = timeouts(client)->keep_alive_us;

	conn_want(&client->conn, LOOP_READ);
	if (client_is_idle(client))
		client_arm(client, idle_us < IDLE_US ? idle_us : IDLE_US);
}

/* Reads on. False when the client waits, or is over. */
static bool client_read(struct admin_client *client)
{
	struct conn *conn = &client->conn;
	bool was_idle = client_is_idle(client);

	buf_compact(&conn->in);
	switch (conn_read(conn, conn->in.blocks->object_size)) {
	case IO_OK:
		/* The first byte begins a request; its time runs from here. */
		if (was_idle)
			client_arm(client, timeouts(client)->request_head_us);
		return true;
	case IO_AGAIN:
		client_wait_for_request(client);
		return false;
	case IO_FULL: /* a request is refused before: a block is larger than the limits */
	case IO_END:
	case IO_SHORTAGE:
	case IO_ERROR:
		break;
	}
	client_end(client);
	return false;
}

static void client_linger(struct admin_client *client)
{
	admin_client_enter(client, ADMIN_LINGERING);
	conn_end_sending(&client->conn);
	conn_want(&client->conn, LOOP_READ);
	client_arm(client, LINGER_US);
}

/* The answer is on its way. What came behind the request waits for the next turn. */
static void client_answered(struct admin_client *client)
{
	admin_text_drop(client->content);
	client->content = NULL;
	client->has_served = true;
	if (!client->keep) {
		client_linger(client);
		return;
	}
	parse_init(&client->parse, GUARD_REQUEST);
	if (buf_len(&client->conn.in) > 0) {
		admin_client_enter(client, ADMIN_PAUSING);
		conn_want(&client->conn, 0);
		client_arm(client, 0);
		return;
	}
	admin_client_enter(client, ADMIN_READING);
	buf_release(&client->conn.in);
	client_wait_for_request(client);
}

static void client_send(struct admin_client *client)
{
	const struct admin_text *content = client->content;

	for (;;) {
		struct str pieces[2] = {{NULL, 0}, {NULL, 0}};
		size_t taken = 0;

		if (content)
			pieces[0] = (struct str){content->data + client->content_sent,
			    content->len - client->content_sent};
		enum io io = conn_send(&client->conn, pieces, &taken);
		client->content_sent += taken;
		if (io == IO_AGAIN) {
			conn_want(&client->conn, LOOP_WRITE);
			client_arm(client, timeouts(client)->send_us);
			return;
		}
		if (io != IO_OK) {
			client_end(client);
			return;
		}
		if (buf_len(&client->conn.out) == 0 &&
		    (!content || client->content_sent == content->len))
			break;
	}
	client_answered(client);
}

/* Reads and drops, so that the answer is not destroyed by what the client still sends. RFC 9112,
 * 9.6. */
static void client_run_lingering(struct admin_client *client)
{
	buf_release(&client->conn.in);
	enum io io = conn_read(&client->conn, client->conn.in.blocks->object_size);
	buf_release(&client->conn.in);
	if (io != IO_OK && io != IO_AGAIN)
		client_end(client);
}

/* Reads until there is a request, and begins with its answer. */
static void client_run_reading(struct admin_client *client)
{
	while (client->state == ADMIN_READING) {
		if (buf_len(&client->conn.in) > 0)
			client->listener->run_request(client);
		if (client->state == ADMIN_READING && !client_read(client))
			return;
	}
	if (client->state == ADMIN_ANSWERING) {
		client_send(client);
	} else {
		conn_want(&client->conn, 0);
		client_arm(client, RELOAD_US);
	}
}

static void client_go_on_reading(struct admin_client *client)
{
	admin_client_enter(client, ADMIN_READING);
	client_arm(client, timeouts(client)->request_head_us);
	client_run_reading(client);
}

void admin_client_go_on(struct admin_client *client)
{
	client_send(client);
}

static void client_on_event(struct conn *conn, unsigned events)
{
	struct admin_client *client = container_of(conn, struct admin_client, conn);

	if (states[client->state].run)
		states[client->state].run(client);
	else if (events & LOOP_BROKEN)
		client_end(client);
}

static void client_on_due(struct timer *timer)
{
	struct admin_client *client = container_of(timer, struct admin_client, timer);

	states[client->state].late(client);
}

static bool client_start(struct admin_listener *listener, int fd)
{
	struct admin *admin = listener->admin;
	struct admin_client *client = slab_take(&listener->slab);

	if (!client)
		return false;
	*client = (struct admin_client){.listener = listener};
	client->conn.on_event = client_on_event;
	if (conn_open(&client->conn, admin->loop, &admin->blocks, fd, LOOP_READ) < 0) {
		slab_give(&listener->slab, client);
		return false;
	}
	parse_init(&client->parse, GUARD_REQUEST);
	timer_init(&client->timer, client_on_due);
	client_arm(client, timeouts(client)->request_head_us);
	DL_APPEND(listener->clients, client);
	return true;
}

/* ---- listeners */

/* Accepting waits until a client ends, or a moment has passed. */
static void listener_pause(struct admin_listener *listener)
{
	struct loop *loop = listener->admin->loop;

	listener->is_full = true;
	loop_want(loop, &listener->watch, 0);
	timer_arm(loop_timers(loop), &listener->timer, loop_now_us(loop) + PAUSE_US);
}

/* No place is left: the one that is idle for the longest time makes room, when the turn is over. */
static void listener_make_room(struct admin_listener *listener)
{
	struct admin_client *client, *next;

	listener_pause(listener);
	DL_FOREACH_SAFE (listener->clients, client, next) {
		if (client_is_idle(client)) {
			client_end(client);
			return;
		}
	}
}

static void listener_resume(struct admin_listener *listener)
{
	if (!listener->is_full || listener->watch.fd < 0)
		return;
	timer_cancel(&listener->timer);
	listener->is_full = false;
	/* Should the kernel have no room for it, the pause goes on. */
	if (loop_want(listener->admin->loop, &listener->watch, LOOP_READ) < 0)
		listener_pause(listener);
}

static void listener_on_due(struct timer *timer)
{
	listener_resume(container_of(timer, struct admin_listener, timer));
}

static void listener_on_event(struct watch *watch, unsigned events)
{
	struct admin_listener *listener = container_of(watch, struct admin_listener, watch);
	struct net_addr peer;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		if (listener->slab.in_use == listener->slab.limit) {
			listener_make_room(listener);
			return;
		}
		int fd = net_accept(watch->fd, &peer);
		if (fd < 0) {
			/* What is short, descriptors or memory, will not come back in this
			 * moment. */
			if (fd != -EAGAIN)
				listener_pause(listener);
			return;
		}
		if (!client_start(listener, fd))
			net_close(fd, true);
	}
}

void admin_listener_init(struct admin_listener *listener, struct admin *admin, size_t limit)
{
	*listener = (struct admin_listener){.admin = admin, .watch = {.fd = -1}};
	timer_init(&listener->timer, listener_on_due);
	slab_init(&listener->slab, sizeof(struct admin_client), limit);
}

bool admin_listener_is_open(const struct admin_listener *listener)
{
	return listener->watch.fd >= 0;
}

int admin_listener_open(
    struct admin_listener *listener, struct admin_socket socket, const struct net_addr *addr)
{
	admin_listener_close(listener);
	listener->watch = (struct watch){.on_event = listener_on_event, .fd = -1};
	listener->addr = *addr;
	listener->is_passed = socket.is_passed;
	listener->is_full = false;
	int error = loop_watch(listener->admin->loop, &listener->watch, socket.fd, LOOP_READ);
	if (error < 0)
		net_close(socket.fd, false);
	return error;
}

void admin_listener_close(struct admin_listener *listener)
{
	int fd = listener->watch.fd;

	if (fd < 0)
		return;
	timer_cancel(&listener->timer);
	loop_unwatch(listener->admin->loop, &listener->watch);
	net_close(fd, false);
	if (listener->addr.any.sa_family == AF_UNIX && !listener->is_passed &&
	    !listener->admin->is_handed_over)
		unlink(listener->addr.path.sun_path);
}

void admin_listener_end(struct admin_listener *listener)
{
	admin_listener_close(listener);
	timer_remove(loop_timers(listener->admin->loop), &listener->timer);
	while (listener->clients)
		client_end(listener->clients);
}
