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

static const struct net_access owner_and_group = {
    .mode = 0660, .owner = (uid_t)-1, .group = (gid_t)-1};

/* ---- listening */

/* A socket that is there already, or a new one; else `fd` is a negative errno. */
static struct admin_socket find_socket(
    const struct admin_listener *listener, const struct config_listen *listen)
{
	const struct admin_control *control = &listener->admin->with.control;
	const struct net_listen_options options = {
	    .backlog = BACKLOG,
	    .dual_stack = listen->dual_stack,
	    .access = &owner_and_group,
	};
	struct admin_socket socket =
	    control->take_socket(control->context, listener->setting, &listen->addr);

	if (socket.fd >= 0)
		return socket;
	socket.fd = net_listen(&listen->addr, &options);
	return socket;
}

/* Accepts clients from the socket, which it owns from here on. Negative errno when it cannot be
 * watched: it is closed then. */
static int take_socket(
    struct admin_listener *listener, struct admin_socket socket, const struct net_addr *addr)
{
	int error = listener_open(&listener->listener, &listener->sessions, socket.fd);

	if (error < 0) {
		net_close(socket.fd, false);
		return error;
	}
	listener->addr = *addr;
	listener->is_passed = socket.is_passed;
	return 0;
}

/* Its clients go on. */
static void close_socket(struct admin_listener *listener)
{
	bool has_file = listener->addr.any.sa_family == AF_UNIX && !listener->is_passed &&
			!listener->admin->is_handed_over;

	if (!listener_is_open(&listener->listener))
		return;
	if (has_file)
		net_listen_end(listener->listener.watch.fd, false);
	listener_close(&listener->listener);
	/* The path may be another process's by now. */
	if (has_file)
		net_remove_stale(&listener->addr);
}

/* Opens, closes or leaves it, so that it is as `listen` says (NULL: closed). */
static bool apply(struct admin_listener *listener, const struct config_listen *listen)
{
	if (!listen) {
		close_socket(listener);
		return true;
	}
	if (listener_is_open(&listener->listener) &&
	    net_addr_equals(&listener->addr, &listen->addr))
		return true;
	struct admin_socket socket = find_socket(listener, listen);
	int error = socket.fd;
	if (error >= 0) {
		close_socket(listener);
		error = take_socket(listener, socket, &listen->addr);
	}
	if (error < 0) {
		log_error("%s: cannot listen on %s: %s", listener->setting, listen->text,
		    strerror(-error));
		return false;
	}
	char text[NET_ADDR_TEXT_SIZE];
	log_info("%s: listening on %s%s", listener->setting,
	    net_addr_format(&listener->listener.addr, text),
	    config_listen_lacks_ipv6(listen) ? ": this machine has no IPv6" : "");
	return true;
}

/* A client that is silent between requests is not kept for long: there are few places. */
static void limit_idleness(struct admin *admin, const struct proxy_timeouts_options *timeouts)
{
	int64_t idle_us = timeouts->keep_alive_us < IDLE_US ? timeouts->keep_alive_us : IDLE_US;

	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		admin->listeners[i].sessions.idle_us = idle_us;
}

bool admin_apply(struct admin *admin, const struct config *config)
{
	struct config_listen socket = {.text = config->admin_socket};
	bool has_socket = net_addr_from_path(&socket.addr, str_from(config->admin_socket));

	limit_idleness(admin, &config->rules.timeouts);
	bool good = apply(&admin->listeners[ADMIN_HTTP], config->admin_http);
	return apply(&admin->listeners[ADMIN_SOCKET], has_socket ? &socket : NULL) && good;
}

size_t admin_list(const struct admin *admin, struct admin_socket sockets[static ADMIN_SOCKETS])
{
	size_t count = 0;

	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		const struct admin_listener *listener = &admin->listeners[i];

		if (listener_is_open(&listener->listener))
			sockets[count++] = (struct admin_socket){
			    listener->listener.watch.fd, listener->setting, listener->is_passed};
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
	listener_resume(&container_of(sessions, struct admin_listener, sessions)->listener);
}

static void init_listener(
    struct admin_listener *listener, struct admin *admin, const struct kind *kind)
{
	listener->admin = admin;
	listener->setting = kind->setting;
	listener->answer = kind->answer;
	listener->listener.watch.fd = -1;
	sessions_init(&listener->sessions, &request_handler, admin->loop, &admin->blocks);
	listener->sessions.slab.limit = kind->clients;
	listener->sessions.linger_us = LINGER_US;
	listener->sessions.idle_gives_way = true;
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
		close_socket(&admin->listeners[i]);
}

void admin_close(struct admin *admin)
{
	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		close_socket(&admin->listeners[i]);
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
