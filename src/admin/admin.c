#include "admin/admin.h"

#include "base/log.h"
#include "commands.h"
#include "endpoints.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
	HTTP_CLIENTS = 32,
	SOCKET_CLIENTS = 16,
	BACKLOG = 128,
	/* What is composed in place: heads, error answers. */
	COMPOSED_BYTES = 4096
};

/* ---- listening */

/* A socket that is there already, or a new one; else `fd` is a negative errno. */
static struct admin_socket find_socket(
    const struct admin_listener *listener, const struct config_listen *listen)
{
	const struct admin_control *control = &listener->admin->with.control;
	const struct net_listen_options options = {
	    .backlog = BACKLOG,
	    .dual_stack = listen->dual_stack,
	};
	struct admin_socket socket =
	    control->take_socket(control->context, listener->setting, &listen->addr);

	if (socket.fd >= 0)
		return socket;
	/* Owner and group may open it, and there is no moment in which others may. */
	mode_t mask = umask(0117);
	socket.fd = net_listen(&listen->addr, &options);
	umask(mask);
	return socket;
}

/* Opens, closes or leaves it, so that it is as `listen` says (NULL: closed). */
static bool apply(struct admin_listener *listener, const struct config_listen *listen)
{
	if (!listen) {
		admin_listener_close(listener);
		return true;
	}
	if (admin_listener_is_open(listener) && net_addr_equals(&listener->addr, &listen->addr))
		return true;
	struct admin_socket socket = find_socket(listener, listen);
	int error =
	    socket.fd < 0 ? socket.fd : admin_listener_open(listener, socket, &listen->addr);
	if (error < 0) {
		log_error("%s: cannot listen on %s: %s", listener->setting, listen->text,
		    strerror(-error));
		return false;
	}
	struct net_addr bound;
	char text[NET_ADDR_TEXT_SIZE];
	if (net_local_addr(socket.fd, &bound) == 0)
		log_info("%s: listening on %s", listener->setting, net_addr_format(&bound, text));
	return true;
}

bool admin_apply(struct admin *admin, const struct config *config)
{
	struct config_listen socket = {.text = config->admin_socket};
	bool has_socket = net_addr_from_path(&socket.addr, str_from(config->admin_socket));
	bool good = apply(&admin->listeners[ADMIN_HTTP], config->admin_http);

	return apply(&admin->listeners[ADMIN_SOCKET], has_socket ? &socket : NULL) && good;
}

size_t admin_list(const struct admin *admin, struct admin_socket sockets[static ADMIN_SOCKETS])
{
	size_t count = 0;

	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		const struct admin_listener *listener = &admin->listeners[i];

		if (admin_listener_is_open(listener))
			sockets[count++] = (struct admin_socket){
			    listener->watch.fd, listener->setting, listener->is_passed};
	}
	return count;
}

/* ---- life */

struct admin *admin_create(const struct admin_start *start)
{
	static const struct {
		const char *setting;
		size_t clients;
		void (*run_request)(struct admin_client *client);
	} kinds[ADMIN_LISTENERS] = {
	    [ADMIN_HTTP] = {"admin.http", HTTP_CLIENTS, endpoints_run},
	    [ADMIN_SOCKET] = {"admin.socket", SOCKET_CLIENTS, commands_run},
	};
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
	    2 * (HTTP_CLIENTS + SOCKET_CLIENTS));
	for (size_t i = 0; i < ADMIN_LISTENERS; i++) {
		admin_listener_init(&admin->listeners[i], admin, kinds[i].clients);
		admin->listeners[i].setting = kinds[i].setting;
		admin->listeners[i].run_request = kinds[i].run_request;
	}
	return admin;
}

void admin_hand_over(struct admin *admin)
{
	admin->is_handed_over = true;
	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		admin_listener_close(&admin->listeners[i]);
}

void admin_close(struct admin *admin)
{
	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		admin_listener_end(&admin->listeners[i]);
}

void admin_destroy(struct admin *admin)
{
	if (!admin)
		return;
	for (size_t i = 0; i < ADMIN_ENDPOINTS; i++)
		admin_text_drop(admin->fresh[i]);
	for (size_t i = 0; i < ADMIN_LISTENERS; i++)
		slab_finish(&admin->listeners[i].slab);
	slab_finish(&admin->blocks);
	free(admin->head.fields);
	free(admin);
}
