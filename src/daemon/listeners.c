#include "listeners.h"

#include "base/log.h"
#include "config/load.h"
#include "config/settings.h"

#include <assert.h>
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
	net_remove_file(&entry->addr, &entry->listener.file);
}

/* ---- sockets of a supervisor */

/* Opens a listener for each socket the supervisor passed for `listen`. */
static bool adopt(struct listeners *listeners, struct config_refusal *refusal)
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
		if (error)
			return config_refuse(refusal,
			    "cannot listen on the supervisor's socket %s: %s", item->name,
			    strerror(-error));
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
		if (entry->adopted ? net_addr_overlaps(&entry->addr, addr)
				   : net_addr_equals(&entry->addr, addr))
			return entry;
	}
	return NULL;
}

static bool is_same_access(const struct config_listen *a, const struct config_listen *b)
{
	return a->access.mode == b->access.mode && a->access.owner == b->access.owner &&
	       a->access.group == b->access.group;
}

static bool set_access(const struct config_listen *listen, struct config_refusal *refusal)
{
	int error = net_set_access(&listen->addr, &listen->access);

	return error == 0 || config_refuse(refusal, "cannot set mode, owner and group of %s: %s",
				 listen->text, strerror(-error));
}

/* Must another configuration change who may connect to this socket? */
static bool has_other_access(const struct listeners_entry *entry)
{
	return entry->addr.any.sa_family == AF_UNIX && !entry->adopted && !entry->is_new &&
	       entry->listen && entry->coming && !is_same_access(entry->listen, entry->coming);
}

/* Lets those connect to the sockets that stay that the coming configuration wants. */
static bool change_access(struct listeners *listeners, struct config_refusal *refusal)
{
	struct listeners_entry *entry;
	bool good = true;

	LL_FOREACH (listeners->first, entry)
		if (has_other_access(entry))
			good &= set_access(entry->coming, refusal);
	return good;
}

/* It is given up: lets those connect that the running one wants. */
static void restore_access(struct listeners *listeners)
{
	struct listeners_entry *entry;
	struct config_refusal refusal;

	LL_FOREACH (listeners->first, entry)
		if (has_other_access(entry) && !set_access(entry->listen, &refusal))
			log_error("%s", refusal.text);
}

/* What to do where rondo itself may not: ports below 1024 are reserved. */
static const char *way_to_listen(const struct net_addr *addr, int error)
{
	return error == -EACCES && addr->any.sa_family != AF_UNIX
		   ? "; systemd can open it for rondo: see rondo.socket in rondo(8)"
		   : "";
}

/* Opens a socket for it, or takes a predecessor's. */
static bool listen_on(struct listeners *listeners, const struct config_listen *listen,
    const struct net_leaving *leaving, struct config_refusal *refusal)
{
	const struct net_listen_options options = {
	    .backlog = BACKLOG,
	    .access = config_listen_has_access(listen) ? &listen->access : NULL,
	    .dual_stack = listen->dual_stack,
	    .reuse_port = listeners->share_port,
	};
	int fd = passed_sockets_take_own(listeners->passed, &listen->addr);

	if (fd >= 0 && options.access && !set_access(listen, refusal))
		log_error("%s", refusal->text);
	if (fd < 0)
		fd = net_listen_instead(&listen->addr, &options, leaving);
	int error = fd < 0 ? fd : add(listeners, fd, &listen->addr, NULL);
	return error == 0 ||
	       config_refuse(refusal, "cannot listen on %s%s: %s%s", listen->text,
		   error == -EPERM && options.access ? " as its owner and group want" : "",
		   strerror(-error), way_to_listen(&listen->addr, error));
}

static bool open_missing(struct listeners *listeners, struct config *config,
    const struct net_leaving *leaving, struct config_refusal *refusal)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listen[i];
		struct listeners_entry *entry;

		if (find(listeners, &listen->addr))
			continue;
		if (!listen_on(listeners, listen, leaving, refusal))
			return false;
		entry = find(listeners, &listen->addr);
		assert(entry);
		follow(entry, config, listen);
		if (config_listen_lacks_ipv6(listen))
			log_info("%s is IPv4 alone: this machine has no IPv6", listen->text);
	}
	return true;
}

/* Logs which sockets are served although the configuration does not name them. */
static void say_adopted(const struct listeners *listeners)
{
	char text[NET_ADDR_TEXT_SIZE];
	const struct listeners_entry *entry;

	LL_FOREACH (listeners->first, entry)
		if (entry->adopted && !entry->is_wanted)
			log_info("%s is served because the supervisor passed it (%s), %s",
			    net_addr_format(&entry->addr, text), entry->adopted,
			    listeners->has_replaced_default ? "instead of the default of `listen`"
							    : "`listen` does not name it");
}

/* Which of the open sockets the configuration wants, and as what. */
static void find_wanted(struct listeners *listeners, const struct config *config)
{
	struct listeners_entry *entry;
	bool superseded = is_superseded(listeners, config);

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

static bool is_treated_alike(const struct listener_options *a, const struct listener_options *b)
{
	if (a->is_https != b->is_https || a->proxy_from_count != b->proxy_from_count)
		return false;
	for (size_t i = 0; i < a->proxy_from_count; i++)
		if (!net_block_equals(&a->proxy_from[i], &b->proxy_from[i]))
			return false;
	return true;
}

/* A socket of the supervisor may serve several addresses of `listen`, but in one way only. */
static bool treats_each_in_one_way(
    const struct listeners *listeners, const struct config *config, struct config_refusal *refusal)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listen[i];
		const struct listeners_entry *entry = find(listeners, &listen->addr);

		if (entry && entry->coming &&
		    !is_treated_alike(&listen->options, &entry->coming->options))
			return config_refuse(refusal,
			    "cannot treat %s and %s in two ways: both are the supervisor's socket "
			    "%s",
			    listen->text, entry->coming->text, entry->adopted);
	}
	return true;
}

size_t listeners_count(const struct listeners *listeners)
{
	const struct listeners_entry *entry;
	size_t count = 0;

	LL_FOREACH (listeners->first, entry)
		count++;
	LL_FOREACH (listeners->ending, entry)
		count++;
	return count;
}

static void add_leaving(struct net_leaving *leaving, const struct listeners_entry *entry)
{
	leaving->sockets[leaving->count++] =
	    (struct net_leaving_socket){entry->listener.watch.fd, entry->addr};
}

void listeners_list_leaving(
    struct listeners *listeners, const struct config *config, struct net_leaving *leaving)
{
	const struct listeners_entry *entry;

	find_wanted(listeners, config);
	LL_FOREACH (listeners->first, entry)
		if (!entry->is_wanted && !entry->adopted)
			add_leaving(leaving, entry);
	LL_FOREACH (listeners->ending, entry)
		add_leaving(leaving, entry);
}

bool listeners_prepare(struct listeners *listeners, struct config *config,
    const struct net_leaving *leaving, struct config_refusal *refusal)
{
	bool good = listeners->has_adopted || adopt(listeners, refusal);

	find_wanted(listeners, config);
	listeners->has_replaced_default = is_superseded(listeners, config);
	if (good && !listeners->has_replaced_default)
		good = treats_each_in_one_way(listeners, config, refusal) &&
		       open_missing(listeners, config, leaving, refusal) &&
		       change_access(listeners, refusal);
	if (!good)
		listeners_cancel(listeners);
	return good;
}

void listeners_cancel(struct listeners *listeners)
{
	struct listeners_entry *entry, *next;

	restore_access(listeners);
	LL_FOREACH_SAFE (listeners->first, entry, next)
		if (entry->is_new)
			end_entry(listeners, entry);
}

void listeners_commit(struct listeners *listeners, struct config *config)
{
	struct listeners_entry *entry, *next;

	say_adopted(listeners);
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
