#include "event/resolve.h"

#include <ares.h>
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <utlist.h>

enum {
	RESOLVE_NAME_BYTES = 256, /* RFC 1035, 2.3.4: 255 octets */
	RESOLVE_TRIES = 2,
	/* In one turn of the loop. To ask may mean to read the whole hosts file at once. */
	RESOLVE_ASKED_A_TURN = 5,
	RESOLVE_TOLD_A_TURN = 50,
	RESOLVE_BUCKETS = 1024
};

/* Later versions of c-ares remember answers unless they are told not to. */
#ifdef ARES_OPT_QUERY_CACHE
enum { RESOLVE_OPTIONS = ARES_OPT_QUERY_CACHE };
#else
enum { RESOLVE_OPTIONS = 0 };
#endif

static const char RESOLV_CONF[] = "/etc/resolv.conf";

struct resolver {
	struct loop *loop;
	ares_channel channel; /* NULL when destroyed and not yet freed */
	char *servers;
	int timeout_ms;
	struct stat resolv_conf; /* as it was when the channel was opened */
	struct timer timer;
	struct loop_task free_task;
	struct resolve_lookup *waiting; /* for their turn, oldest first */
	struct resolve_lookup *asked;   /* in c-ares, oldest first */
	struct resolve_lookup *done;    /* answered; their queries are to be told */
	struct resolve_lookup *telling; /* out of all lists while its queries are told */
	size_t asked_count;
	bool is_asking; /* c-ares may answer at once, from a hosts file */
	/* Those that wait or are asked, by name. */
	struct resolve_lookup *buckets[RESOLVE_BUCKETS];
	struct resolve_socket *sockets;
};

enum lookup_place { LOOKUP_WAITS, LOOKUP_ASKED, LOOKUP_DONE };

/* Separate from the queries, because c-ares keeps it longer than the owners may keep them. */
struct resolve_lookup {
	struct resolve_lookup *prev, *next;
	struct resolve_lookup *before, *after; /* in its bucket */
	struct resolver *resolver;
	struct resolve_query *queries; /* none: they were cancelled, or told that time is over */
	enum lookup_place place;
	int64_t due_us; /* since it is asked */
	struct resolve_answer answer;
	struct net_addr *addrs; /* RESOLVE_ADDRS_MAX, from the first one on */
	char name[];
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
	struct resolve_answer *answer = &lookup->answer;

	if (!lookup->addrs)
		lookup->addrs = calloc(RESOLVE_ADDRS_MAX, sizeof(addr));
	if (!lookup->addrs)
		return;
	for (size_t i = 0; i < answer->count; i++)
		if (net_addr_equals(&lookup->addrs[i], &addr))
			return;
	if (answer->count == RESOLVE_ADDRS_MAX) {
		answer->left_out++;
		return;
	}
	lookup->addrs[answer->count++] = addr;
	answer->addrs = lookup->addrs;
}

static void add_node(struct resolve_lookup *lookup, const struct ares_addrinfo_node *node)
{
	struct net_addr addr = {.len = (socklen_t)node->ai_addrlen};

	if (node->ai_family == AF_INET && node->ai_addrlen == sizeof(addr.v4)) {
		memcpy(&addr.v4, node->ai_addr, sizeof(addr.v4));
	} else if (node->ai_family == AF_INET6 && node->ai_addrlen == sizeof(addr.v6)) {
		memcpy(&addr.v6, node->ai_addr, sizeof(addr.v6));
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
	lookup->answer.ttl_seconds = answer_ttl(info);
	/* Only a server can say that an answer must not be kept. */
	if (lookup->resolver->is_asking && lookup->answer.ttl_seconds == 0)
		lookup->answer.ttl_seconds = RESOLVE_TTL_UNKNOWN;
	if (lookup->answer.count == 0)
		lookup->answer.error = error_words(info->nodes ? ARES_ENOMEM : ARES_ENODATA);
}

/* ---- lookups, from place to place */

static struct resolve_lookup **bucket_of(struct resolver *resolver, const char *name)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)tolower((unsigned char)*name)) * 16777619U;
	return &resolver->buckets[hash % RESOLVE_BUCKETS];
}

static void enter_done(struct resolve_lookup *lookup)
{
	lookup->place = LOOKUP_DONE;
	DL_APPEND(lookup->resolver->done, lookup);
}

static void leave_bucket(struct resolve_lookup *lookup)
{
	struct resolve_lookup **bucket = bucket_of(lookup->resolver, lookup->name);

	DL_DELETE2(*bucket, lookup, before, after);
}

static void lookup_free(struct resolve_lookup *lookup)
{
	free(lookup->addrs);
	free(lookup);
}

static void free_all(struct resolve_lookup **list)
{
	while (*list) {
		struct resolve_lookup *lookup = *list;

		DL_DELETE(*list, lookup);
		lookup_free(lookup);
	}
}

/* Called by c-ares in the middle of its own work: do not call the owner from here. */
static void on_answer(void *argument, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolve_lookup *lookup = argument;
	struct resolver *resolver = lookup->resolver;

	(void)timeouts;
	leave_bucket(lookup);
	DL_DELETE(resolver->asked, lookup);
	resolver->asked_count--;
	enter_done(lookup);
	if (status == ARES_SUCCESS)
		read_info(lookup, info);
	else
		lookup->answer.error = error_words(status);
	ares_freeaddrinfo(info);
}

/* Tells the first of its queries, which may start and cancel others, and destroy the resolver. */
static void tell(struct resolve_lookup *lookup, const struct resolve_answer *answer)
{
	struct resolve_query *query = lookup->queries;

	DL_DELETE(lookup->queries, query);
	query->lookup = NULL;
	for (size_t i = 0; i < answer->count; i++)
		net_addr_set_port(&lookup->addrs[i], query->port);
	query->on_done(query, answer);
}

static void tell_done(struct resolver *resolver)
{
	for (size_t told = 0; resolver->done && told < RESOLVE_TOLD_A_TURN; told++) {
		struct resolve_lookup *lookup = resolver->done;

		DL_DELETE(resolver->done, lookup);
		resolver->telling = lookup;
		while (lookup->queries)
			tell(lookup, &lookup->answer);
		resolver->telling = NULL;
		lookup_free(lookup);
	}
}

static struct resolve_lookup *find_late(const struct resolver *resolver)
{
	struct resolve_lookup *lookup;

	DL_FOREACH (resolver->asked, lookup)
		if (lookup->queries && lookup->due_us <= loop_now_us(resolver->loop))
			return lookup;
	return NULL;
}

/* Answers the queries that have timed out; c-ares may go on for a while. */
static void tell_late(struct resolver *resolver)
{
	const struct resolve_answer late = {.error = error_words(ARES_ETIMEOUT)};
	struct resolve_lookup *lookup;

	while ((lookup = find_late(resolver)))
		tell(lookup, &late);
}

static bool may_ask(const struct resolver *resolver)
{
	return resolver->waiting && resolver->asked_count < RESOLVE_LOOKUPS_MAX;
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
		if (lookup->queries && lookup->due_us < due_us)
			due_us = lookup->due_us;
	if (resolver->done || may_ask(resolver))
		due_us = now_us;
	timer_arm(loop_timers(resolver->loop), &resolver->timer, due_us);
}

static void ask_waiting(struct resolver *resolver);

static void settle(struct resolver *resolver)
{
	tell_done(resolver);
	tell_late(resolver);
	if (!resolver->channel)
		return;
	ask_waiting(resolver);
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
		ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS | ARES_OPT_SOCK_STATE_CB | RESOLVE_OPTIONS) !=
	    ARES_SUCCESS)
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

static void ask_next(struct resolver *resolver)
{
	const struct ares_addrinfo_hints hints = {.ai_socktype = SOCK_STREAM};
	struct resolve_lookup *lookup = resolver->waiting;

	follow_resolv_conf(resolver);
	DL_DELETE(resolver->waiting, lookup);
	DL_APPEND(resolver->asked, lookup);
	resolver->asked_count++;
	lookup->place = LOOKUP_ASKED;
	lookup->due_us = loop_now_us(resolver->loop) + resolver->timeout_ms * INT64_C(1000);
	resolver->is_asking = true;
	ares_getaddrinfo(resolver->channel, lookup->name, NULL, &hints, on_answer, lookup);
	resolver->is_asking = false;
}

static void ask_waiting(struct resolver *resolver)
{
	for (size_t asked = 0; may_ask(resolver) && asked < RESOLVE_ASKED_A_TURN; asked++)
		ask_next(resolver);
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
	struct resolve_query *query, *next;

	DL_FOREACH (lookups, lookup) {
		DL_FOREACH_SAFE (lookup->queries, query, next)
			query->lookup = NULL;
		lookup->queries = NULL;
	}
}

void resolver_destroy(struct resolver *resolver)
{
	if (!resolver)
		return;
	detach_all(resolver->waiting);
	detach_all(resolver->asked);
	detach_all(resolver->done);
	detach_all(resolver->telling);
	ares_destroy(resolver->channel); /* this answers all open queries */
	resolver->channel = NULL;
	free_all(&resolver->waiting);
	free_all(&resolver->done);
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
		if (net_addr_from_ip(&addr, ips[i], 0))
			add_addr(lookup, addr);
	}
}

static bool is_name(struct str host)
{
	return host.len > 0 && host.len < RESOLVE_NAME_BYTES && str_find(host, '\0') == host.len;
}

/* An answer that nobody has to be asked for; false when there is none. */
static bool answer_at_once(struct resolve_lookup *lookup, struct str host)
{
	struct net_addr addr;

	if (net_addr_from_ip(&addr, host, 0))
		add_addr(lookup, addr);
	else if (is_localhost(host))
		add_loopback(lookup);
	else if (!is_name(host))
		lookup->answer.error = error_words(ARES_EBADNAME);
	else
		return false;
	lookup->answer.ttl_seconds = RESOLVE_TTL_UNKNOWN;
	if (lookup->answer.count == 0 && !lookup->answer.error)
		lookup->answer.error = error_words(ARES_ENOMEM);
	return true;
}

/* A lookup that the query can share; NULL when there is none. */
static struct resolve_lookup *find_lookup(struct resolver *resolver, const char *name)
{
	struct resolve_lookup *lookup;

	DL_FOREACH2(*bucket_of(resolver, name), lookup, after)
	{
		bool is_late =
		    lookup->place == LOOKUP_ASKED && lookup->due_us <= loop_now_us(resolver->loop);

		if (!is_late && strcasecmp(lookup->name, name) == 0)
			return lookup;
	}
	return NULL;
}

static struct resolve_lookup *lookup_create(struct resolver *resolver, struct str host)
{
	struct resolve_lookup *lookup = calloc(1, sizeof(*lookup) + host.len + 1);

	if (!lookup)
		return NULL;
	lookup->resolver = resolver;
	memcpy(lookup->name, host.data, host.len);
	if (answer_at_once(lookup, host)) {
		enter_done(lookup);
		return lookup;
	}
	struct resolve_lookup *same = find_lookup(resolver, lookup->name);
	if (same) {
		lookup_free(lookup);
		return same;
	}
	struct resolve_lookup **bucket = bucket_of(resolver, lookup->name);
	DL_APPEND2(*bucket, lookup, before, after);
	DL_APPEND(resolver->waiting, lookup);
	return lookup;
}

bool resolve_start(
    struct resolver *resolver, struct resolve_query *query, struct str host, uint16_t port)
{
	assert(!query->lookup && resolver->channel);
	query->lookup = lookup_create(resolver, host);
	if (!query->lookup)
		return false;
	query->port = port;
	DL_APPEND(query->lookup->queries, query);
	arm_timer(resolver);
	return true;
}

void resolve_cancel(struct resolve_query *query)
{
	if (!query || !query->lookup)
		return;
	struct resolve_lookup *lookup = query->lookup;
	query->lookup = NULL;
	DL_DELETE(lookup->queries, query);
	if (lookup->queries || lookup->place != LOOKUP_WAITS)
		return;
	leave_bucket(lookup);
	DL_DELETE(lookup->resolver->waiting, lookup);
	lookup_free(lookup);
}
