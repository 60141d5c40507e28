#include "listeners.h"

#include "base/log.h"
#include "config/load.h"
#include "config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

enum { BACKLOG = 4096 };

struct listeners_entry {
	struct listener listener;
	struct listeners *listeners;
	struct net_addr addr; /* as configured; of an adopted one, as bound */
	/* Of the configuration that its options come from, which it holds, and of the one being
	 * applied; NULL: it does not name it. */
	const struct config_listen *listen, *coming;
	struct config *config;
	const char *adopted; /* the name of a supervisor's socket; NULL: rondo opened it */
	bool is_wanted;      /* by the configuration being applied */
	bool is_new;         /* opened for it */
	struct listeners_entry *next;
};

void listeners_init(
    struct listeners *listeners, struct sessions *sessions, struct passed_sockets *passed)
{
	const char *shared = getenv("RONDO_REUSE_PORT");

	*listeners = (struct listeners){
	    .sessions = sessions,
	    .passed = passed,
	    .share_port = shared && strcmp(shared, "1") == 0,
	};
}

/* ---- one listener */

/* Takes over a listening socket; negative errno, and then it is closed. */
static int add(
    struct listeners *listeners, int fd, const struct net_addr *addr, const char *adopted)
{
	struct listeners_entry *entry = calloc(1, sizeof(*entry));
	int error = entry ? listener_open(&entry->listener, listeners->sessions, fd) : -ENOMEM;

	if (error) {
		net_close(fd, false);
		free(entry);
		return error;
	}
	entry->listeners = listeners;
	entry->addr = *addr;
	entry->adopted = adopted;
	entry->is_wanted = entry->is_new = true;
	LL_APPEND(listeners->first, entry);
	return 0;
}

static void free_entry(struct listeners_entry *entry)
{
	if (entry->config)
		config_drop(entry->config);
	free(entry);
}

/* From now on, new connections are treated as `listen` says; NULL: like those of an address that
 * stands alone. */
static void follow(
    struct listeners_entry *entry, struct config *config, const struct config_listen *listen)
{
	struct config *former = entry->config;

	if (listen)
		proxy_options_hold(&config->rules);
	entry->config = listen ? config : NULL;
	entry->listen = listen;
	entry->listener.options = listen ? listen->options : (struct listener_options){0};
	if (former)
		config_drop(former);
}

static void on_end(struct listener *listener)
{
	struct listeners_entry *entry = container_of(listener, struct listeners_entry, listener);
	struct listeners *listeners = entry->listeners;

	LL_DELETE(listeners->ending, entry);
	free_entry(entry);
	if (!listeners->ending)
		listeners->on_ended(listeners);
}

static void end_entry(struct listeners *listeners, struct listeners_entry *entry)
{
	LL_DELETE(listeners->first, entry);
	/* Other processes go on accepting from the same queue, if there are any; else the queue is
	 * lost with the socket. */
	if (entry->adopted || listeners->is_handed_over) {
		listener_close(&entry->listener);
		free_entry(entry);
		return;
	}
	LL_APPEND(listeners->ending, entry);
	listener_end(&entry->listener, listeners->share_port, on_end);
	if (entry->addr.any.sa_family == AF_UNIX)
		net_remove_stale(&entry->addr);
}

/* ---- sockets of a supervisor */

static bool is_any(const struct net_addr *addr)
{
	if (addr->any.sa_family == AF_INET)
		return addr->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return addr->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr);
}

/* Would a socket on one of them prevent a socket on the other? */
static bool overlap(const struct net_addr *a, const struct net_addr *b)
{
	if (net_addr_equals(a, b))
		return true;
	if (a->any.sa_family == AF_UNIX || b->any.sa_family == AF_UNIX)
		return false;
	return net_addr_port(a) == net_addr_port(b) && (is_any(a) || is_any(b));
}

/* Opens a listener for each socket the supervisor passed for `listen`. */
static bool adopt(struct listeners *listeners)
{
	struct passed_sockets *passed = listeners->passed;

	listeners->has_adopted = true;
	for (size_t i = 0; i < passed->count; i++) {
		struct passed_socket *item = &passed->items[i];
		bool is_other = strcmp(item->name, PASSED_OWN) == 0 ||
				str_starts_with(str_from(item->name), STR(PASSED_ADMIN));

		if (item->fd < 0 || is_other)
			continue;
		int error = add(listeners, item->fd, &item->addr, item->name);
		item->fd = -1;
		if (error) {
			log_error("cannot listen on the supervisor's socket %s: %s", item->name,
			    strerror(-error));
			return false;
		}
	}
	return true;
}

/* The configuration has no `listen`, and the supervisor passed sockets: use these sockets. */
static bool is_superseded(const struct listeners *listeners, const struct config *config)
{
	const struct listeners_entry *entry;

	if (!config->values[settings_row("listen")].is_default)
		return false;
	LL_FOREACH (listeners->first, entry)
		if (entry->adopted)
			return true;
	return false;
}

/* ---- applying a configuration */

static struct listeners_entry *find(const struct listeners *listeners, const struct net_addr *addr)
{
	struct listeners_entry *entry;

	LL_FOREACH (listeners->first, entry) {
		if (entry->adopted ? overlap(&entry->addr, addr)
				   : net_addr_equals(&entry->addr, addr))
			return entry;
	}
	return NULL;
}

/* Lets other sockets bind to the port of this one, or no longer, if it prevents `addr`. */
static size_t share_if_in_the_way(
    const struct listeners_entry *entry, const struct net_addr *addr, bool on)
{
	if (!overlap(&entry->addr, addr))
		return 0;
	net_share_port(entry->listener.watch.fd, on);
	return 1;
}

/* While `on`, the ports of sockets that are about to be closed, and that prevent `addr`, may be
 * bound again. Returns how many such sockets there are. */
static size_t share_unwanted(struct listeners *listeners, const struct net_addr *addr, bool on)
{
	const struct listeners_entry *entry;
	size_t count = 0;

	LL_FOREACH (listeners->first, entry)
		if (!entry->is_wanted)
			count += share_if_in_the_way(entry, addr, on);
	LL_FOREACH (listeners->ending, entry)
		count += share_if_in_the_way(entry, addr, on);
	return count;
}

static bool is_same_access(const struct config_listen *a, const struct config_listen *b)
{
	return a->access.mode == b->access.mode && a->access.owner == b->access.owner &&
	       a->access.group == b->access.group;
}

static bool set_access(const struct config_listen *listen)
{
	int error = net_set_access(&listen->addr, &listen->access);

	if (error)
		log_error(
		    "cannot set mode, owner and group of %s: %s", listen->text, strerror(-error));
	return error == 0;
}

/* Lets those connect to the sockets that stay that the coming configuration wants, or, when it is
 * given up, those that the running one wants. */
static bool change_access(struct listeners *listeners, bool is_given_up)
{
	struct listeners_entry *entry;
	bool good = true;

	LL_FOREACH (listeners->first, entry) {
		if (entry->adopted || !entry->listen || !entry->coming || entry->is_new ||
		    entry->addr.any.sa_family != AF_UNIX ||
		    is_same_access(entry->listen, entry->coming))
			continue;
		good &= set_access(is_given_up ? entry->listen : entry->coming);
	}
	return good;
}

static int listen_on(struct listeners *listeners, const struct config_listen *listen)
{
	struct net_listen_options options = {
	    .backlog = BACKLOG,
	    .access = config_listen_has_access(listen) ? &listen->access : NULL,
	    .dual_stack = listen->dual_stack,
	    .reuse_port = listeners->share_port,
	};
	int fd = passed_sockets_take_own(listeners->passed, &listen->addr);

	if (fd >= 0 && options.access)
		set_access(listen);
	if (fd < 0)
		fd = net_listen(&listen->addr, &options);
	if (fd != -EADDRINUSE || listeners->share_port)
		return fd;
	/* An old socket may prevent a new one ("*:80" becomes "127.0.0.1:80"): for a moment both
	 * have the port, so that no client is refused meanwhile. */
	if (share_unwanted(listeners, &listen->addr, true) == 0)
		return fd;
	options.reuse_port = true;
	fd = net_listen(&listen->addr, &options);
	share_unwanted(listeners, &listen->addr, false);
	if (fd >= 0)
		net_share_port(fd, false);
	return fd;
}

static bool open_missing(struct listeners *listeners, struct config *config)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listen[i];

		if (find(listeners, &listen->addr))
			continue;
		int fd = listen_on(listeners, listen);
		int error = fd < 0 ? fd : add(listeners, fd, &listen->addr, NULL);
		if (error < 0) {
			log_error("cannot listen on %s%s: %s", listen->text,
			    error == -EPERM && config_listen_has_access(listen)
				? " as its owner and group want"
				: "",
			    strerror(-error));
			return false;
		}
		follow(find(listeners, &listen->addr), config, listen);
		if (config_listen_lacks_ipv6(listen))
			log_info("%s is IPv4 alone: this machine has no IPv6", listen->text);
	}
	return true;
}

/* Logs which sockets are served although the configuration does not name them. */
static void say_adopted(const struct listeners *listeners, bool superseded)
{
	char text[NET_ADDR_TEXT_SIZE];
	const struct listeners_entry *entry;

	LL_FOREACH (listeners->first, entry)
		if (entry->adopted && !entry->is_wanted)
			log_info("%s is served because the supervisor passed it (%s), %s",
			    net_addr_format(&entry->addr, text), entry->adopted,
			    superseded ? "instead of the default of `listen`"
				       : "`listen` does not name it");
}

static void close_new(struct listeners *listeners)
{
	struct listeners_entry *entry, *next;

	LL_FOREACH_SAFE (listeners->first, entry, next)
		if (entry->is_new)
			end_entry(listeners, entry);
}

/* Which of the open sockets the configuration wants, and as what. */
static void find_wanted(struct listeners *listeners, const struct config *config, bool superseded)
{
	struct listeners_entry *entry;

	LL_FOREACH (listeners->first, entry) {
		entry->is_wanted = entry->is_new = false;
		entry->coming = NULL;
	}
	for (size_t i = 0; i < config->listen_count && !superseded; i++) {
		entry = find(listeners, &config->listen[i].addr);
		if (!entry)
			continue;
		entry->is_wanted = true;
		entry->coming = &config->listen[i];
	}
}

bool listeners_prepare(struct listeners *listeners, struct config *config)
{
	bool good = listeners->has_adopted || adopt(listeners);
	bool superseded = is_superseded(listeners, config);

	find_wanted(listeners, config, superseded);
	if (good && !superseded)
		good = open_missing(listeners, config) && change_access(listeners, false);
	if (good) {
		say_adopted(listeners, superseded);
		return true;
	}
	change_access(listeners, true);
	close_new(listeners);
	return false;
}

void listeners_commit(struct listeners *listeners, struct config *config)
{
	struct listeners_entry *entry, *next;

	LL_FOREACH_SAFE (listeners->first, entry, next) {
		if (entry->coming || entry->adopted)
			follow(entry, config, entry->coming);
		else if (!entry->is_wanted)
			end_entry(listeners, entry);
	}
}

/* ---- all of them */

void listeners_resume(struct listeners *listeners)
{
	struct listeners_entry *entry;

	LL_FOREACH (listeners->first, entry)
		listener_resume(&entry->listener);
	LL_FOREACH (listeners->ending, entry)
		listener_resume(&entry->listener);
}

void listeners_end(struct listeners *listeners)
{
	while (listeners->first)
		end_entry(listeners, listeners->first);
}

void listeners_close(struct listeners *listeners)
{
	struct listeners_entry *entry, *next;

	listeners_end(listeners);
	LL_FOREACH_SAFE (listeners->ending, entry, next) {
		listener_close(&entry->listener);
		free_entry(entry);
	}
	listeners->ending = NULL;
}

size_t listeners_list(
    const struct listeners *listeners, struct socket_to_pass *sockets, size_t size)
{
	const struct listeners_entry *entry;
	size_t count = 0;

	LL_FOREACH (listeners->first, entry) {
		if (count == size)
			break;
		sockets[count].fd = entry->listener.watch.fd;
		sockets[count++].name = entry->adopted ? entry->adopted : PASSED_OWN;
	}
	return count;
}

void listeners_format(const struct listeners *listeners, char *text, size_t size)
{
	const struct listeners_entry *entry;
	size_t len = 0;

	text[0] = '\0';
	LL_FOREACH (listeners->first, entry) {
		char addr[NET_ADDR_TEXT_SIZE];
		int added = snprintf(text + len, size - len, "%s%s", len ? ", " : "",
		    net_addr_format(&entry->listener.addr, addr));

		if (added < 0 || (size_t)added >= size - len)
			break;
		len += (size_t)added;
	}
}
