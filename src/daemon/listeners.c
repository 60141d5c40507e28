#include "listeners.h"

#include "base/log.h"
#include "config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

enum { BACKLOG = 4096 };

struct entrance {
	struct listener listener;
	struct net_addr addr; /* as configured; of an adopted one, as bound */
	const char *adopted;  /* the name of a supervisor's socket; NULL: rondo opened it */
	bool is_wanted;       /* by the configuration being applied */
	bool is_new;          /* opened for it */
	struct entrance *next;
};

void entrances_init(
    struct entrances *entrances, struct service *service, struct passed_sockets *passed)
{
	const char *shared = getenv("RONDO_REUSE_PORT");

	*entrances = (struct entrances){
	    .service = service,
	    .passed = passed,
	    .share_port = shared && strcmp(shared, "1") == 0,
	};
}

/* ---- one entrance */

/* Takes over a listening socket; negative errno, and then it is closed. */
static int add(
    struct entrances *entrances, int fd, const struct net_addr *addr, const char *adopted)
{
	struct entrance *entrance = calloc(1, sizeof(*entrance));
	int error = entrance ? listener_open(&entrance->listener, entrances->service, fd) : -ENOMEM;

	if (error) {
		net_close(fd, false);
		free(entrance);
		return error;
	}
	entrance->addr = *addr;
	entrance->adopted = adopted;
	entrance->is_wanted = entrance->is_new = true;
	LL_APPEND(entrances->first, entrance);
	return 0;
}

static void close_entrance(struct entrances *entrances, struct entrance *entrance)
{
	bool is_last = !entrance->adopted && !entrances->is_handed_over;

	LL_DELETE(entrances->first, entrance);
	/* Others go on accepting from the same queue, if there are others; else it dies with the
	 * socket. */
	if (is_last)
		listener_accept_all(&entrance->listener);
	listener_close(&entrance->listener);
	if (is_last && entrance->addr.any.sa_family == AF_UNIX)
		unlink(entrance->addr.path.sun_path);
	free(entrance);
}

/* ---- sockets of a supervisor */

static bool is_any(const struct net_addr *addr)
{
	if (addr->any.sa_family == AF_INET)
		return addr->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return addr->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr);
}

/* Would the one be in the way of the other? */
static bool overlap(const struct net_addr *a, const struct net_addr *b)
{
	if (net_addr_equals(a, b))
		return true;
	if (a->any.sa_family == AF_UNIX || b->any.sa_family == AF_UNIX)
		return false;
	return net_addr_port(a) == net_addr_port(b) && (is_any(a) || is_any(b));
}

/* Opens an entrance for each socket the supervisor passed for `listen`. */
static bool adopt(struct entrances *entrances)
{
	struct passed_sockets *passed = entrances->passed;

	entrances->has_adopted = true;
	for (size_t i = 0; i < passed->count; i++) {
		struct passed_socket *item = &passed->items[i];
		bool is_other = strcmp(item->name, PASSED_OWN) == 0 ||
				str_starts_with(str_from(item->name), STR(PASSED_ADMIN));

		if (item->fd < 0 || is_other)
			continue;
		int error = add(entrances, item->fd, &item->addr, item->name);
		item->fd = -1;
		if (error) {
			log_error("cannot listen on the supervisor's socket %s: %s", item->name,
			    strerror(-error));
			return false;
		}
	}
	return true;
}

/* Nobody wrote a `listen`, and the supervisor passed sockets: they are what is meant. */
static bool is_superseded(const struct entrances *entrances, const struct config *config)
{
	const struct entrance *entrance;

	if (!config->values[settings_row("listen")].is_default)
		return false;
	LL_FOREACH (entrances->first, entrance)
		if (entrance->adopted)
			return true;
	return false;
}

/* ---- applying a configuration */

static struct entrance *find(const struct entrances *entrances, const struct net_addr *addr)
{
	struct entrance *entrance;

	LL_FOREACH (entrances->first, entrance) {
		if (entrance->adopted ? overlap(&entrance->addr, addr)
				      : net_addr_equals(&entrance->addr, addr))
			return entrance;
	}
	return NULL;
}

/* While `on`, the ports of sockets that are about to be closed, and in the way of `addr`, may be
 * bound again. Answers how many there are. */
static size_t share_unwanted(struct entrances *entrances, const struct net_addr *addr, bool on)
{
	struct entrance *entrance;
	size_t count = 0;

	LL_FOREACH (entrances->first, entrance) {
		if (entrance->is_wanted || !overlap(&entrance->addr, addr))
			continue;
		net_share_port(entrance->listener.watch.fd, on);
		count++;
	}
	return count;
}

static int listen_on(struct entrances *entrances, const struct config_listen *listen)
{
	struct net_listen_options options = {
	    .backlog = BACKLOG,
	    .dual_stack = listen->dual_stack,
	    .reuse_port = entrances->share_port,
	};
	int fd = passed_sockets_take_own(entrances->passed, &listen->addr);

	if (fd < 0)
		fd = net_listen(&listen->addr, &options);
	if (fd != -EADDRINUSE || entrances->share_port)
		return fd;
	/* One that goes may be in the way of one that comes ("*:80" becomes "127.0.0.1:80"): for a
	 * moment both have the port, so that nobody is refused between them. */
	if (share_unwanted(entrances, &listen->addr, true) == 0)
		return fd;
	options.reuse_port = true;
	fd = net_listen(&listen->addr, &options);
	share_unwanted(entrances, &listen->addr, false);
	if (fd >= 0)
		net_share_port(fd, false);
	return fd;
}

static bool open_missing(struct entrances *entrances, const struct config *config)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listen[i];

		if (find(entrances, &listen->addr))
			continue;
		int fd = listen_on(entrances, listen);
		int error = fd < 0 ? fd : add(entrances, fd, &listen->addr, NULL);
		if (error < 0) {
			log_error("cannot listen on %s: %s", listen->text, strerror(-error));
			return false;
		}
	}
	return true;
}

/* Tells of sockets that are served although nobody configured them. */
static void say_adopted(const struct entrances *entrances, bool superseded)
{
	char text[NET_ADDR_TEXT_SIZE];
	const struct entrance *entrance;

	LL_FOREACH (entrances->first, entrance)
		if (entrance->adopted && !entrance->is_wanted)
			log_info("%s is served because the supervisor passed it (%s), %s",
			    net_addr_format(&entrance->addr, text), entrance->adopted,
			    superseded ? "instead of the default of `listen`"
				       : "`listen` does not name it");
}

bool entrances_prepare(struct entrances *entrances, const struct config *config)
{
	struct entrance *entrance;
	bool good = entrances->has_adopted || adopt(entrances);
	bool superseded = is_superseded(entrances, config);

	LL_FOREACH (entrances->first, entrance)
		entrance->is_wanted = entrance->is_new = false;
	for (size_t i = 0; i < config->listen_count && !superseded; i++) {
		entrance = find(entrances, &config->listen[i].addr);
		if (entrance)
			entrance->is_wanted = true;
	}
	if (good && !superseded)
		good = open_missing(entrances, config);
	if (!good)
		entrances_revert(entrances);
	else
		say_adopted(entrances, superseded);
	return good;
}

void entrances_commit(struct entrances *entrances)
{
	struct entrance *entrance, *next;

	LL_FOREACH_SAFE (entrances->first, entrance, next)
		if (!entrance->is_wanted && !entrance->adopted)
			close_entrance(entrances, entrance);
}

void entrances_revert(struct entrances *entrances)
{
	struct entrance *entrance, *next;

	LL_FOREACH_SAFE (entrances->first, entrance, next)
		if (entrance->is_new)
			close_entrance(entrances, entrance);
}

/* ---- all of them */

void entrances_resume(struct entrances *entrances)
{
	struct entrance *entrance;

	LL_FOREACH (entrances->first, entrance)
		listener_resume(&entrance->listener);
}

void entrances_close(struct entrances *entrances)
{
	while (entrances->first)
		close_entrance(entrances, entrances->first);
}

size_t entrances_list(
    const struct entrances *entrances, struct socket_to_pass *sockets, size_t size)
{
	const struct entrance *entrance;
	size_t count = 0;

	LL_FOREACH (entrances->first, entrance) {
		if (count == size)
			break;
		sockets[count].fd = entrance->listener.watch.fd;
		sockets[count++].name = entrance->adopted ? entrance->adopted : PASSED_OWN;
	}
	return count;
}

void entrances_format(const struct entrances *entrances, char *text, size_t size)
{
	const struct entrance *entrance;
	size_t len = 0;

	text[0] = '\0';
	LL_FOREACH (entrances->first, entrance) {
		char addr[NET_ADDR_TEXT_SIZE];
		int added = snprintf(text + len, size - len, "%s%s", len ? ", " : "",
		    net_addr_format(&entrance->listener.addr, addr));

		if (added < 0 || (size_t)added >= size - len)
			break;
		len += (size_t)added;
	}
}
