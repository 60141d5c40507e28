/*
 * resolve - names to addresses without waiting; the only file that knows c-ares.
 *
 * A resolver reads the hosts file and asks the name servers, as the system is configured; when
 * resolv.conf changes it is read again. localhost and the names below it are always ::1 and
 * 127.0.0.1, without a query (RFC 6761, 6.3). Its sockets and deadlines are in the loop like all
 * others.
 *
 * A query is embedded in its owner. It is idle until resolve_start, and again when on_done is
 * called, exactly once and never from within resolve_start, or when it is cancelled. Queries for
 * the same name share one lookup. At most RESOLVE_LOOKUPS_MAX are under way; the others wait, first
 * come, first served, and few are begun or answered in one turn of the loop. A lookup that is under
 * way ends after RESOLVE_TIMEOUT_MS at the latest. It fails with a few words for the log. Nothing
 * is remembered between lookups: the owner decides whether and how long to keep the last good
 * answer.
 */
#ifndef RONDO_EVENT_RESOLVE_H
#define RONDO_EVENT_RESOLVE_H

#include "base/str.h"
#include "event/loop.h"
#include "event/net.h"

enum { RESOLVE_ADDRS_MAX = 64, RESOLVE_TIMEOUT_MS = 5000, RESOLVE_LOOKUPS_MAX = 50 };

/* The source of the answer has none: a hosts file, or an address. */
#define RESOLVE_TTL_UNKNOWN UINT32_MAX

struct resolver;
struct resolve_lookup;

struct resolver_options {
	/* Name servers to use, "127.0.0.1:5353,[::1]:53"; NULL: those of the system. */
	const char *servers;
	int timeout_ms; /* for one query, at most RESOLVE_TIMEOUT_MS; 0 means that */
};

/* Valid until on_done returns. */
struct resolve_answer {
	const struct net_addr
	    *addrs;           /* without duplicates, in the order in which to try them (RFC 6724) */
	size_t count;         /* at most RESOLVE_ADDRS_MAX; 0 only with an error */
	size_t left_out;      /* addresses beyond that */
	uint32_t ttl_seconds; /* how long they are valid, or RESOLVE_TTL_UNKNOWN */
	const char *error;    /* the reason of a failure, a literal; NULL on success */
};

struct resolve_query {
	/* Set by the owner. It may start or cancel queries and destroy the resolver. */
	void (*on_done)(struct resolve_query *query, const struct resolve_answer *answer);
	struct resolve_lookup *lookup; /* NULL when idle */
	struct resolve_query *prev, *next;
	uint16_t port;
};

/* NULL when there is no memory or `servers` cannot be read. The options are copied. */
struct resolver *resolver_create(struct loop *loop, const struct resolver_options *options);

/* Cancels all queries. Must come before the loop is destroyed; NULL is allowed. */
void resolver_destroy(struct resolver *resolver);

/* Makes the query idle. */
void resolve_init(struct resolve_query *query,
    void (*on_done)(struct resolve_query *query, const struct resolve_answer *answer));

/* Looks `host` up, a name or an address; `port` goes into every address of the answer. The query
 * must be idle. False when there is no memory: on_done will not be called then. */
bool resolve_start(
    struct resolver *resolver, struct resolve_query *query, struct str host, uint16_t port);

/* Cancels the query: on_done will not be called. Does nothing when it is idle. */
void resolve_cancel(struct resolve_query *query);

#endif
