#include "admin/admin.h"

#include "base/log.h"
#include "commands.h"
#include "endpoints.h"

#include <stdlib.h>

enum {
	HTTP_CLIENTS = 32,
	SOCKET_CLIENTS = 16,
	BACKLOG = 128,
	/* Room for the text that is composed in place: heads, error answers. */
	COMPOSED_BYTES = 4096
};

static const int64_t IDLE_US = 30 * 1000 * 1000;
static const int64_t LINGER_US = 2 * 1000 * 1000;
/* Where others wait for a place, a client has this long to be answered. */
static const int64_t GIVES_WAY_US = 50 * 1000;

static const struct net_access owner_and_group = {
    .mode = 0660, .owner = (uid_t)-1, .group = (gid_t)-1};

/* ---- listening */

/* A socket that is there already, or a new one; else `fd` is a negative errno. */
static struct admin_socket find_socket(const struct admin_listener *listener,
    const struct config_listen *listen, const struct net_leaving *leaving)
{
	const struct admin_control *control = &listener->admin->with.control;
	const struct net_listen_options options = {
	    .backlog = BACKLOG,
	    .dual_stack = listen->dual_stack,
	    .access = &owner_and_group,
	};
	struct admin_socket socket =
	    control->take_socket(control->context, listener->setting, &listen->addr);

	if (socket.fd < 0)
		socket.fd = net_listen_instead(&listen->addr, &options, leaving);
	return socket;
}

/* Its clients go on. */
static void close_place(const struct admin *admin, struct admin_place *place)
{
	bool has_file =
	    place->addr.any.sa_family == AF_UNIX && !place->is_passed && !admin->is_handed_over;

	if (!listener_is_open(&place->listener))
		return;
	if (has_file) {
		net_listen_end(place->listener.watch.fd, false);
		net_remove_file(&place->addr, &place->listener.file);
	}
	listener_close(&place->listener);
}

static struct admin_place *other_place(struct admin_listener *listener)
{
	return &listener->places[listener->place == &listener->places[0]];
}

/* Is it as `listen` says (NULL: closed)? */
static bool is_as(const struct admin_listener *listener, const struct config_listen *listen)
{
	bool is_open = listener_is_open(&listener->place->listener);

	return listen ? is_open && net_addr_equals(&listener->place->addr, &listen->addr)
		      : !is_open;
}

static bool prepare(struct admin_listener *listener, const struct config_listen *listen,
    const struct net_leaving *leaving, struct config_refusal *refusal)
{
	struct admin_place *place = other_place(listener);

	if (!listen || is_as(listener, listen))
		return true;
	struct admin_socket socket = find_socket(listener, listen, leaving);
	int error = socket.fd;
	if (error >= 0) {
		error = listener_open(&place->listener, &listener->sessions, socket.fd);
		if (error < 0)
			net_close(socket.fd, false);
	}
	if (error < 0)
		return config_refuse(refusal, "%s: cannot listen on %s: %s", listener->setting,
		    listen->text, strerror(-error));
	place->addr = listen->addr;
	place->is_passed = socket.is_passed;
	listener->has_prepared = true;
	return true;
}

static void commit(struct admin_listener *listener, const struct config_listen *listen)
{
	char text[NET_ADDR_TEXT_SIZE];

	if (is_as(listener, listen))
		return;
	close_place(listener->admin, listener->place);
	if (!listen)
		return;
	listener->place = other_place(listener);
	listener->has_prepared = false;
	log_info("%s: listening on %s%s", listener->setting,
	    net_addr_format(&listener->place->listener.addr, text),
	    config_listen_lacks_ipv6(listen) ? ": this machine has no IPv6" : "");
}

/* A client that is silent between requests is not kept for long: there are few places. */
static void limit_idleness(struct admin *admin, const struct proxy_timeouts_options *timeouts)
{
	int64_t idle_us = timeouts->keep_alive_us < IDLE_US ? timeouts->keep_alive_us : IDLE_US;

	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		admin->listeners[i].sessions.idle_us = idle_us;
}

/* What a configuration says about both; an address is NULL where it wants no socket. */
struct wanted {
	const struct config_listen *listens[ADMIN_LISTENERS];
	struct config_listen socket;
};

static void find_wanted(struct wanted *wanted, const struct config *config)
{
	*wanted = (struct wanted){.socket = {.text = config->admin_socket_path}};
	wanted->listens[ADMIN_HTTP] = config->admin_http;
	if (net_addr_from_path(&wanted->socket.addr, str_from(config->admin_socket_path)))
		wanted->listens[ADMIN_SOCKET] = &wanted->socket;
}

void admin_list_leaving(
    const struct admin *admin, const struct config *config, struct net_leaving *leaving)
{
	struct wanted wanted;

	find_wanted(&wanted, config);
	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		const struct admin_place *place = admin->listeners[i].place;

		if (listener_is_open(&place->listener) &&
		    !is_as(&admin->listeners[i], wanted.listens[i]))
			leaving->sockets[leaving->count++] =
			    (struct net_leaving_socket){place->listener.watch.fd, place->addr};
	}
}

bool admin_prepare(struct admin *admin, const struct config *config,
    const struct net_leaving *leaving, struct config_refusal *refusal)
{
	struct wanted wanted;

	find_wanted(&wanted, config);
	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		if (!prepare(&admin->listeners[i], wanted.listens[i], leaving, refusal)) {
			admin_cancel(admin);
			return false;
		}
	}
	return true;
}

void admin_commit(struct admin *admin, const struct config *config)
{
	struct wanted wanted;

	admin->config = config;
	find_wanted(&wanted, config);
	limit_idleness(admin, &config->rules.timeouts);
	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		commit(&admin->listeners[i], wanted.listens[i]);
}

void admin_cancel(struct admin *admin)
{
	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		struct admin_listener *listener = &admin->listeners[i];

		if (listener->has_prepared)
			close_place(admin, other_place(listener));
		listener->has_prepared = false;
	}
}

size_t admin_list(const struct admin *admin, struct admin_socket sockets[static ADMIN_SOCKETS])
{
	size_t count = 0;

	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		const struct admin_place *place = admin->listeners[i].place;

		if (listener_is_open(&place->listener))
			sockets[count++] = (struct admin_socket){place->listener.watch.fd,
			    admin->listeners[i].setting, place->is_passed};
	}
	return count;
}

/* ---- life */

static const struct kind {
	const char *setting;
	size_t clients;
	void (*answer)(struct admin_request *request);
} kinds[ADMIN_LISTENERS] = {
    [ADMIN_HTTP] = {"admin.http", HTTP_CLIENTS, endpoints_answer},
    [ADMIN_SOCKET] = {"admin.socket", SOCKET_CLIENTS, commands_answer},
};

static void on_room(struct sessions *sessions)
{
	listener_resume(&container_of(sessions, struct admin_listener, sessions)->place->listener);
}

static void init_listener(
    struct admin_listener *listener, struct admin *admin, const struct kind *kind)
{
	listener->admin = admin;
	listener->setting = kind->setting;
	listener->answer = kind->answer;
	listener->place = &listener->places[0];
	for (size_t i = 0; i < 2; i++)
		listener->places[i].listener.watch.fd = -1;
	sessions_init(&listener->sessions, &request_handler, admin->loop, &admin->blocks);
	listener->sessions.slab.limit = kind->clients;
	listener->sessions.linger_us = LINGER_US;
	listener->sessions.gives_way_us = GIVES_WAY_US;
	listener->sessions.on_room = on_room;
}

struct admin *admin_create(const struct admin_start *start)
{
	const struct http_limits *head = &start->proxy->rules->limits.head;
	struct admin *admin = calloc(1, sizeof(*admin));

	if (!admin)
		return NULL;
	admin->with = *start;
	admin->loop = start->proxy->loop;
	admin->head.field_limit = head->headers;
	admin->head.fields = calloc(head->headers, sizeof(struct http_field));
	if (!admin->head.fields) {
		free(admin);
		return NULL;
	}
	slab_init(&admin->blocks, head->header_bytes + COMPOSED_BYTES,
	    2 * (HTTP_CLIENTS + SOCKET_CLIENTS));
	slab_init(&admin->requests, sizeof(struct admin_request), HTTP_CLIENTS + SOCKET_CLIENTS);
	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		init_listener(&admin->listeners[i], admin, &kinds[i]);
	return admin;
}

void admin_hand_over(struct admin *admin)
{
	admin->is_handed_over = true;
	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		close_place(admin, admin->listeners[i].place);
}

void admin_close(struct admin *admin)
{
	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		close_place(admin, admin->listeners[i].place);
		sessions_abort(&admin->listeners[i].sessions);
	}
}

void admin_destroy(struct admin *admin)
{
	if (!admin)
		return;
	for (size_t i = 0; i < ADMIN_ENDPOINTS; i++)
		admin_text_drop(admin->fresh[i]);
	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		sessions_finish(&admin->listeners[i].sessions);
	slab_finish(&admin->requests);
	slab_finish(&admin->blocks);
	free(admin->head.fields);
	free(admin);
}
