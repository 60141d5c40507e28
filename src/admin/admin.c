#include "admin/admin.h"

#include "admin_impl.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

enum {
	ACCEPTS_PER_EVENT = 8,
	BACKLOG = 128,
	/* What is composed in place: heads, error answers. */
	COMPOSED_BYTES = 4096
};

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
static void door_resume(struct admin_door *door);

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

void admin_enter(struct admin_client *client, enum admin_state next)
{
	assert(states[client->state].next & (1U << next));
	client->state = next;
}

/* ---- clients */

static const struct rules_timeouts *timeouts(const struct admin_client *client)
{
	return &client->door->admin->with.service->rules->timeouts;
}

static void client_arm(struct admin_client *client, int64_t after_us)
{
	struct loop *loop = client->door->admin->loop;

	timer_arm(loop_timers(loop), &client->timer, loop_now_us(loop) + after_us);
}

static void client_on_burial(struct loop_task *task)
{
	struct admin_client *client = container_of(task, struct admin_client, grave);
	struct admin_door *door = client->door;

	slab_give(&door->slab, client);
	door_resume(door);
}

/* The one end of every client. */
static void client_end(struct admin_client *client)
{
	struct admin_door *door = client->door;
	const struct admin_control *control = &door->admin->with.control;

	if (client->state == ADMIN_WAITING)
		control->forget_reload(control->context, client);
	json_decref(client->lines);
	conn_close(&client->conn, false);
	admin_text_drop(client->content);
	timer_remove(loop_timers(door->admin->loop), &client->timer);
	DL_DELETE(door->clients, client);
	admin_enter(client, ADMIN_ENDED);
	client->grave.run = client_on_burial;
	loop_bury(door->admin->loop, &client->grave);
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
	case IO_FULL:
		admin_http_overflow(client);
		return true;
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
	admin_enter(client, ADMIN_LINGERING);
	net_shutdown_write(client->conn.watch.fd);
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
		admin_enter(client, ADMIN_PAUSING);
		conn_want(&client->conn, 0);
		client_arm(client, 0);
		return;
	}
	admin_enter(client, ADMIN_READING);
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
			client->door->run_request(client);
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
	admin_enter(client, ADMIN_READING);
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

static bool client_start(struct admin_door *door, int fd)
{
	struct admin *admin = door->admin;
	struct admin_client *client = slab_take(&door->slab);

	if (!client)
		return false;
	*client = (struct admin_client){.door = door};
	client->conn.on_event = client_on_event;
	if (conn_open(&client->conn, admin->loop, &admin->blocks, fd, LOOP_READ) < 0) {
		slab_give(&door->slab, client);
		return false;
	}
	parse_init(&client->parse, GUARD_REQUEST);
	timer_init(&client->timer, client_on_due);
	client_arm(client, timeouts(client)->request_head_us);
	DL_APPEND(door->clients, client);
	return true;
}

/* ---- doors */

/* Accepting waits until a client ends, or a moment has passed. */
static void door_pause(struct admin_door *door)
{
	struct loop *loop = door->admin->loop;

	door->is_full = true;
	loop_want(loop, &door->watch, 0);
	timer_arm(loop_timers(loop), &door->timer, loop_now_us(loop) + PAUSE_US);
}

/* No place is left: the one that is idle for the longest time makes room, when the turn is over. */
static void door_make_room(struct admin_door *door)
{
	struct admin_client *client, *next;

	door_pause(door);
	DL_FOREACH_SAFE (door->clients, client, next) {
		if (client_is_idle(client)) {
			client_end(client);
			return;
		}
	}
}

static void door_resume(struct admin_door *door)
{
	if (!door->is_full || door->watch.fd < 0)
		return;
	timer_cancel(&door->timer);
	door->is_full = false;
	/* Should the kernel have no room for it, the pause goes on. */
	if (loop_want(door->admin->loop, &door->watch, LOOP_READ) < 0)
		door_pause(door);
}

static void door_on_due(struct timer *timer)
{
	door_resume(container_of(timer, struct admin_door, timer));
}

static void door_on_event(struct watch *watch, unsigned events)
{
	struct admin_door *door = container_of(watch, struct admin_door, watch);
	struct net_addr peer;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		if (door->slab.in_use == door->slab.limit) {
			door_make_room(door);
			return;
		}
		int fd = net_accept(watch->fd, &peer);
		if (fd < 0) {
			/* What is short, descriptors or memory, will not come back in this
			 * moment. */
			if (fd != -EAGAIN)
				door_pause(door);
			return;
		}
		if (!client_start(door, fd))
			net_close(fd, true);
	}
}

static bool door_is_open(const struct admin_door *door)
{
	return door->watch.fd >= 0;
}

static void door_close(struct admin_door *door)
{
	int fd = door->watch.fd;

	if (fd < 0)
		return;
	timer_cancel(&door->timer);
	loop_unwatch(door->admin->loop, &door->watch);
	net_close(fd, false);
	if (door->addr.any.sa_family == AF_UNIX && !door->is_passed && !door->admin->is_handed_over)
		unlink(door->addr.path.sun_path);
}

static const char *const names[ADMIN_DOORS] = {
    [ADMIN_DOOR_HTTP] = "admin.http",
    [ADMIN_DOOR_SOCKET] = "admin.socket",
};

/* A socket that is there already, or a new one; else `fd` is a negative errno. */
static struct admin_socket door_listen(
    struct admin_door *door, enum admin_door_kind kind, const struct config_listen *listen)
{
	const struct admin_control *control = &door->admin->with.control;
	const struct net_listen_options options = {
	    .backlog = BACKLOG,
	    .dual_stack = listen->dual_stack,
	};
	struct admin_socket socket =
	    control->take_socket(control->context, names[kind], &listen->addr);

	if (socket.fd >= 0)
		return socket;
	/* Owner and group may open it, and there is no moment in which others may. */
	mode_t mask = umask(0117);
	socket.fd = net_listen(&listen->addr, &options);
	umask(mask);
	return socket;
}

/* Opens, closes or leaves it, so that it is as `listen` says (NULL: closed). */
static bool door_apply(
    struct admin_door *door, enum admin_door_kind kind, const struct config_listen *listen)
{
	if (!listen) {
		door_close(door);
		return true;
	}
	if (door_is_open(door) && net_addr_equals(&door->addr, &listen->addr))
		return true;
	struct watch watch = {.on_event = door_on_event, .fd = -1};
	struct admin_socket socket = door_listen(door, kind, listen);
	if (socket.fd < 0) {
		log_error(
		    "%s: cannot listen on %s: %s", names[kind], listen->text, strerror(-socket.fd));
		return false;
	}
	door_close(door);
	door->watch = watch;
	door->addr = listen->addr;
	door->is_passed = socket.is_passed;
	door->is_full = false;
	int error = loop_watch(door->admin->loop, &door->watch, socket.fd, LOOP_READ);
	if (error < 0) {
		log_error(
		    "%s: cannot listen on %s: %s", names[kind], listen->text, strerror(-error));
		net_close(socket.fd, false);
		return false;
	}
	struct net_addr bound;
	char text[NET_ADDR_TEXT_SIZE];
	if (net_local_addr(socket.fd, &bound) == 0)
		log_info("%s: listening on %s", names[kind], net_addr_format(&bound, text));
	return true;
}

bool admin_apply(struct admin *admin, const struct config *config)
{
	struct config_listen socket = {.text = config->admin_socket};
	bool has_socket = net_addr_from_path(&socket.addr, str_from(config->admin_socket));
	bool good = door_apply(&admin->doors[ADMIN_DOOR_HTTP], ADMIN_DOOR_HTTP, config->admin_http);

	return door_apply(&admin->doors[ADMIN_DOOR_SOCKET], ADMIN_DOOR_SOCKET,
		   has_socket ? &socket : NULL) &&
	       good;
}

size_t admin_list(const struct admin *admin, struct admin_socket sockets[static ADMIN_SOCKETS])
{
	size_t count = 0;

	for (size_t i = 0; i < ADMIN_DOORS; i++) {
		const struct admin_door *door = &admin->doors[i];

		if (door_is_open(door))
			sockets[count++] =
			    (struct admin_socket){door->watch.fd, names[i], door->is_passed};
	}
	return count;
}

/* ---- life */

struct admin *admin_create(const struct admin_start *start)
{
	static const size_t limits[ADMIN_DOORS] = {ADMIN_HTTP_CLIENTS, ADMIN_SOCKET_CLIENTS};
	static void (*const runners[ADMIN_DOORS])(struct admin_client *) = {
	    admin_http_run, admin_command_run};
	const struct http_limits *head = &start->service->rules->limits.head;
	struct admin *admin = calloc(1, sizeof(*admin));

	if (!admin)
		return NULL;
	admin->with = *start;
	admin->loop = start->service->loop;
	admin->head.field_limit = head->headers;
	admin->head.fields = calloc(head->headers, sizeof(struct http_field));
	if (!admin->head.fields) {
		free(admin);
		return NULL;
	}
	slab_init(&admin->blocks, head->header_bytes + COMPOSED_BYTES,
	    2 * (ADMIN_HTTP_CLIENTS + ADMIN_SOCKET_CLIENTS));
	for (size_t i = 0; i < ADMIN_DOORS; i++) {
		struct admin_door *door = &admin->doors[i];

		door->admin = admin;
		door->watch.fd = -1;
		door->run_request = runners[i];
		timer_init(&door->timer, door_on_due);
		slab_init(&door->slab, sizeof(struct admin_client), limits[i]);
	}
	return admin;
}

void admin_hand_over(struct admin *admin)
{
	admin->is_handed_over = true;
	for (size_t i = 0; i < ADMIN_DOORS; i++)
		door_close(&admin->doors[i]);
}

void admin_close(struct admin *admin)
{
	for (size_t i = 0; i < ADMIN_DOORS; i++) {
		door_close(&admin->doors[i]);
		timer_remove(loop_timers(admin->loop), &admin->doors[i].timer);
		while (admin->doors[i].clients)
			client_end(admin->doors[i].clients);
	}
}

void admin_destroy(struct admin *admin)
{
	if (!admin)
		return;
	for (size_t i = 0; i < ADMIN_ENDPOINTS; i++)
		admin_text_drop(admin->fresh[i]);
	for (size_t i = 0; i < ADMIN_DOORS; i++)
		slab_finish(&admin->doors[i].slab);
	slab_finish(&admin->blocks);
	free(admin->head.fields);
	free(admin);
}
