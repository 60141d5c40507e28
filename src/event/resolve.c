#include "event/resolve.h"

#include <ares.h>
#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <utlist.h>

enum {
	RESOLVE_NAME_BYTES = 256, /* RFC 1035, 2.3.4: 255 octets */
	RESOLVE_TRIES = 2
};

static const char RESOLV_CONF[] = "/etc/resolv.conf";

struct resolver {
	struct loop *loop;
	ares_channel channel; /* NULL when destroyed and not yet freed */
	char *servers;
	int timeout_ms;
	struct stat resolv_conf; /* as it was when the channel was opened */
	struct timer timer;
	struct loop_task free_task;
	struct resolve_lookup *asked; /* in c-ares, oldest first */
	struct resolve_lookup *done;  /* answered; their on_done is to be called */
	struct resolve_socket *sockets;
};

/* Separate from the query, because c-ares keeps it longer than the owner may keep the query. */
struct resolve_lookup {
	struct resolve_lookup *prev, *next;
	struct resolver *resolver;
	struct resolve_query *query; /* NULL when it was cancelled or has timed out */
	int64_t due_us;
	uint16_t port;
	struct resolve_answer answer;
	struct net_addr addrs[RESOLVE_ADDRS_MAX];
};

/* A socket of c-ares. */
struct resolve_socket {
	struct watch watch;
	struct resolve_socket *prev, *next;
	struct resolver *resolver;
	struct loop_task free_task;
};

/* ---- answers */

static const char *error_words(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return "no such name";
	case ARES_ENODATA:
		return "the name has no address";
	case ARES_ETIMEOUT:
		return "name servers do not answer";
	case ARES_ECONNREFUSED:
		return "name servers refuse connections";
	case ARES_ESERVFAIL:
		return "name servers failed";
	case ARES_EREFUSED:
		return "name servers refused to answer";
	case ARES_EBADNAME:
		return "not a name";
	default:
		return ares_strerror(status);
	}
}

static void add_addr(struct resolve_lookup *lookup, struct net_addr addr)
{
	size_t count = lookup->answer.count;

	for (size_t i = 0; i < count; i++)
		if (net_addr_equals(&lookup->addrs[i], &addr))
			return;
	if (count == RESOLVE_ADDRS_MAX)
		return;
	lookup->addrs[count] = addr;
	lookup->answer.addrs = lookup->addrs;
	lookup->answer.count = count + 1;
}

static void add_node(struct resolve_lookup *lookup, const struct ares_addrinfo_node *node)
{
	struct net_addr addr = {.len = (socklen_t)node->ai_addrlen};

	if (node->ai_family == AF_INET && node->ai_addrlen == sizeof(addr.v4)) {
		memcpy(&addr.v4, node->ai_addr, sizeof(addr.v4));
		addr.v4.sin_port = htons(lookup->port);
	} else if (node->ai_family == AF_INET6 && node->ai_addrlen == sizeof(addr.v6)) {
		memcpy(&addr.v6, node->ai_addr, sizeof(addr.v6));
		addr.v6.sin6_port = htons(lookup->port);
	} else {
		return;
	}
	add_addr(lookup, addr);
}

/* An answer is valid as long as its shortest-lived record. */
static uint32_t answer_ttl(const struct ares_addrinfo *info)
{
	int ttl = INT32_MAX;

	for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
		if (node->ai_ttl < ttl)
			ttl = node->ai_ttl;
	for (const struct ares_addrinfo_cname *cname = info->cnames; cname; cname = cname->next)
		if (cname->ttl < ttl)
			ttl = cname->ttl;
	return ttl > 0 ? (uint32_t)ttl : 0;
}

static void read_info(struct resolve_lookup *lookup, const struct ares_addrinfo *info)
{
	for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
		add_node(lookup, node);
	if (lookup->answer.count == 0)
		lookup->answer.error = error_words(ARES_ENODATA);
	else
		lookup->answer.ttl_seconds = answer_ttl(info);
}

/* Called by c-ares in the middle of its own work: do not call the owner from here. */
static void on_answer(void *argument, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolve_lookup *lookup = argument;
	struct resolver *resolver = lookup->resolver;

	(void)timeouts;
	DL_DELETE(resolver->asked, lookup);
	DL_APPEND(resolver->done, lookup);
	if (status == ARES_SUCCESS)
		read_info(lookup, info);
	else
		lookup->answer.error = error_words(status);
	ares_freeaddrinfo(info);
}

static void tell(struct resolve_lookup *lookup, const struct resolve_answer *answer)
{
	struct resolve_query *query = lookup->query;

	if (!query)
		return;
	lookup->query = NULL;
	query->lookup = NULL;
	query->on_done(query, answer);
}

static void tell_done(struct resolver *resolver)
{
	while (resolver->done) {
		struct resolve_lookup *lookup = resolver->done;

		DL_DELETE(resolver->done, lookup);
		tell(lookup, &lookup->answer);
		free(lookup);
	}
}

/* Answers the queries that have timed out; c-ares may go on for a while. An owner may change the
 * list, so start again from its head after each call. */
static void tell_late(struct resolver *resolver)
{
	const struct resolve_answer late = {.error = error_words(ARES_ETIMEOUT)};
	struct resolve_lookup *lookup = resolver->asked;

	while (lookup && lookup->due_us <= loop_now_us(resolver->loop)) {
		bool told = lookup->query != NULL;

		tell(lookup, &late);
		lookup = told ? resolver->asked : lookup->next;
	}
}

/* ---- the loop */

static void arm_timer(struct resolver *resolver)
{
	int64_t now_us = loop_now_us(resolver->loop);
	int64_t due_us = TIMER_NEVER;
	struct timeval left;
	struct resolve_lookup *lookup;

	/* c-ares reads a clock of its own; with one more millisecond both agree that the time has
	 * come. */
	if (ares_timeout(resolver->channel, NULL, &left))
		due_us = now_us + left.tv_sec * 1000000 + left.tv_usec + 1000;
	DL_FOREACH (resolver->asked, lookup)
		if (lookup->query && lookup->due_us < due_us)
			due_us = lookup->due_us;
	if (resolver->done)
		due_us = now_us;
	timer_arm(loop_timers(resolver->loop), &resolver->timer, due_us);
}

static void settle(struct resolver *resolver)
{
	tell_done(resolver);
	tell_late(resolver);
	if (resolver->channel)
		arm_timer(resolver);
}

static void on_timer(struct timer *timer)
{
	struct resolver *resolver = container_of(timer, struct resolver, timer);

	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	settle(resolver);
}

static void on_socket_event(struct watch *watch, unsigned events)
{
	struct resolve_socket *sock = container_of(watch, struct resolve_socket, watch);
	struct resolver *resolver = sock->resolver;
	int fd = watch->fd;

	ares_process_fd(resolver->channel,
	    events & (LOOP_READ | LOOP_BROKEN) ? fd : ARES_SOCKET_BAD,
	    events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
	settle(resolver);
}

static void on_socket_free(struct loop_task *task)
{
	free(container_of(task, struct resolve_socket, free_task));
}

static void forget_socket(struct resolver *resolver, struct resolve_socket *sock)
{
	loop_unwatch(resolver->loop, &sock->watch);
	DL_DELETE(resolver->sockets, sock);
	sock->free_task.run = on_socket_free;
	loop_free_later(resolver->loop, &sock->free_task);
}

/* If a socket cannot be watched, ignore it: c-ares sends the question again, or it times out. */
static void add_socket(struct resolver *resolver, int fd, unsigned wanted)
{
	struct resolve_socket *sock = calloc(1, sizeof(*sock));

	if (!sock)
		return;
	sock->resolver = resolver;
	sock->watch.on_event = on_socket_event;
	if (loop_watch(resolver->loop, &sock->watch, fd, wanted)) {
		free(sock);
		return;
	}
	DL_APPEND(resolver->sockets, sock);
}

/* Called by c-ares when the events that it wants of a socket change; none when it will close it. */
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = data;
	unsigned wanted = (readable ? LOOP_READ : 0U) | (writable ? LOOP_WRITE : 0U);
	struct resolve_socket *sock;

	DL_SEARCH_SCALAR(resolver->sockets, sock, watch.fd, fd);
	if (!wanted && sock)
		forget_socket(resolver, sock);
	else if (wanted && sock)
		loop_want(resolver->loop, &sock->watch, wanted);
	else if (wanted)
		add_socket(resolver, fd, wanted);
}

/* ---- the resolver */

static bool open_channel(struct resolver *resolver, ares_channel *channel)
{
	struct ares_options options = {
	    .tries = RESOLVE_TRIES,
	    /* Each try waits twice as long as the one before: two servers that are silent twice fit
	     * into the time of a query. */
	    .timeout = resolver->timeout_ms / 6 + 1,
	    .sock_state_cb = on_socket_state,
	    .sock_state_cb_data = resolver,
	};

	if (ares_init_options(channel, &options,
		ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return false;
	if (!resolver->servers ||
	    ares_set_servers_ports_csv(*channel, resolver->servers) == ARES_SUCCESS)
		return true;
	ares_destroy(*channel);
	return false;
}

static void stat_resolv_conf(struct stat *status)
{
	if (stat(RESOLV_CONF, status))
		*status = (struct stat){0};
}

/* A machine often gets its name servers only after its daemons have started. */
static void follow_resolv_conf(struct resolver *resolver)
{
	const struct stat *then = &resolver->resolv_conf;
	struct stat now;
	ares_channel channel;

	if (resolver->servers || resolver->asked)
		return;
	stat_resolv_conf(&now);
	if (now.st_dev == then->st_dev && now.st_ino == then->st_ino &&
	    now.st_size == then->st_size && now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == then->st_mtim.tv_nsec)
		return;
	if (!open_channel(resolver, &channel))
		return;
	ares_destroy(resolver->channel);
	resolver->channel = channel;
	resolver->resolv_conf = now;
}

static void resolver_free(struct resolver *resolver)
{
	free(resolver->servers);
	free(resolver);
	ares_library_cleanup();
}

static void on_free(struct loop_task *task)
{
	resolver_free(container_of(task, struct resolver, free_task));
}

struct resolver *resolver_create(struct loop *loop, const struct resolver_options *options)
{
	struct resolver *resolver;

	assert(options->timeout_ms >= 0 && options->timeout_ms <= RESOLVE_TIMEOUT_MS);
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return NULL;
	resolver = calloc(1, sizeof(*resolver));
	if (!resolver) {
		ares_library_cleanup();
		return NULL;
	}
	resolver->loop = loop;
	resolver->timeout_ms = options->timeout_ms ? options->timeout_ms : RESOLVE_TIMEOUT_MS;
	resolver->free_task.run = on_free;
	timer_init(&resolver->timer, on_timer);
	stat_resolv_conf(&resolver->resolv_conf);
	if (options->servers)
		resolver->servers = strdup(options->servers);
	if ((options->servers && !resolver->servers) ||
	    !open_channel(resolver, &resolver->channel)) {
		resolver_free(resolver);
		return NULL;
	}
	return resolver;
}

static void detach_all(struct resolve_lookup *lookups)
{
	struct resolve_lookup *lookup;

	DL_FOREACH (lookups, lookup)
		resolve_cancel(lookup->query);
}

void resolver_destroy(struct resolver *resolver)
{
	if (!resolver)
		return;
	detach_all(resolver->asked);
	detach_all(resolver->done);
	ares_destroy(resolver->channel); /* this answers all open queries */
	resolver->channel = NULL;
	tell_done(resolver);
	timer_remove(loop_timers(resolver->loop), &resolver->timer);
	/* The caller may be an on_done that this resolver called. */
	loop_free_later(resolver->loop, &resolver->free_task);
}

/* ---- queries */

void resolve_init(struct resolve_query *query,
    void (*on_done)(struct resolve_query *query, const struct resolve_answer *answer))
{
	*query = (struct resolve_query){.on_done = on_done};
}

static void ask(struct resolver *resolver, struct resolve_lookup *lookup, struct str host)
{
	const struct ares_addrinfo_hints hints = {.ai_socktype = SOCK_STREAM};
	char name[RESOLVE_NAME_BYTES];

	if (host.len == 0 || host.len >= sizeof(name) || str_find(host, '\0') != host.len) {
		lookup->answer.error = error_words(ARES_EBADNAME);
		DL_APPEND(resolver->done, lookup);
		return;
	}
	memcpy(name, host.data, host.len);
	name[host.len] = '\0';
	follow_resolv_conf(resolver);
	DL_APPEND(resolver->asked, lookup);
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_answer, lookup);
}

/* localhost and names below it always mean this machine. RFC 6761, 6.3. */
static bool is_localhost(struct str host)
{
	static const struct str name = STR("localhost");

	if (host.len > 0 && host.data[host.len - 1] == '.')
		host.len--;
	if (host.len < name.len)
		return false;
	size_t rest = host.len - name.len;
	return str_equals_nocase((struct str){host.data + rest, name.len}, name) &&
	       (rest == 0 || host.data[rest - 1] == '.');
}

static void add_loopback(struct resolve_lookup *lookup)
{
	static const struct str ips[] = {STR("::1"), STR("127.0.0.1")};
	struct net_addr addr;

	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
		if (net_addr_from_ip(&addr, ips[i], lookup->port))
			add_addr(lookup, addr);
	}
}

bool resolve_start(
    struct resolver *resolver, struct resolve_query *query, struct str host, uint16_t port)
{
	struct resolve_lookup *lookup = calloc(1, sizeof(*lookup));
	struct net_addr addr;

	assert(!query->lookup && resolver->channel);
	if (!lookup)
		return false;
	lookup->resolver = resolver;
	lookup->query = query;
	lookup->port = port;
	lookup->due_us = loop_now_us(resolver->loop) + resolver->timeout_ms * INT64_C(1000);
	query->lookup = lookup;
	if (net_addr_from_ip(&addr, host, port)) {
		add_addr(lookup, addr);
		DL_APPEND(resolver->done, lookup);
	} else if (is_localhost(host)) {
		add_loopback(lookup);
		DL_APPEND(resolver->done, lookup);
	} else {
		ask(resolver, lookup, host);
	}
	arm_timer(resolver);
	return true;
}

void resolve_cancel(struct resolve_query *query)
{
	if (!query || !query->lookup)
		return;
	query->lookup->query = NULL;
	query->lookup = NULL;
}
