/*
 * options - the settings that one request is served by.
 *
 * Immutable once made. A reload makes another set; a request finishes under the options it began
 * with, so their users are counted: each user calls proxy_options_hold, and proxy_options_drop at
 * its end; the last one frees them through `release`.
 */
#ifndef RONDO_PROXY_OPTIONS_H
#define RONDO_PROXY_OPTIONS_H

#include "event/net.h"
#include "http/guard.h"
#include "http/upgrade.h"
#include "http/write.h"
#include "proxy/queue.h"

enum retry_methods { RETRY_IDEMPOTENT, RETRY_ALL, RETRY_NONE };

enum { RETRY_STATUSES_MAX = 32 };

struct proxy_retry_options {
	unsigned tries; /* backends for one request, at most VERDICT_MAX_TRIES */
	enum retry_methods methods;
	unsigned statuses[RETRY_STATUSES_MAX]; /* answers that fall through */
	size_t status_count;
	size_t body_bytes; /* content kept for a second try */
	int64_t deadline_us;
	unsigned budget_percent;
	const char *idempotency_header; /* "" = none */
};

struct proxy_timeouts_options {
	int64_t connect_us;
	int64_t request_head_us;
	int64_t request_body_us;
	int64_t response_us;
	int64_t send_us;
	int64_t keep_alive_us;
	int64_t backend_idle_us;
	int64_t backend_age_us;
	int64_t tunnel_us;
	int64_t drain_us;
	int64_t drain_delay_us; /* before that; 0 = none */
};

struct proxy_limits_options {
	unsigned connections;
	struct http_limits head;
	uint64_t body_bytes; /* 0 = no limit */
};

struct proxy_clients_options {
	bool half_close; /* a client that has ended its sending side still waits for its answer */
};

struct proxy_headers_options {
	const char *app_url; /* names; "" = none */
	const char *attempts;
	const char *request_id;
	enum write_forwarded forwarded;
	const struct net_block *trusted;
	size_t trusted_count;
};

/* What holds for the connections of one address that is listened on. */
struct listener_options {
	/* The only peers from which it takes connections, each of which has to begin with a PROXY
	 * header; none: all peers, without one. */
	const struct net_block *proxy_from;
	size_t proxy_from_count;
	bool is_https; /* whoever stands in front has it from clients over TLS */
};

struct proxy_options {
	struct proxy_retry_options retry;
	struct queue_options queue;
	struct proxy_timeouts_options timeouts;
	struct proxy_limits_options limits;
	struct proxy_clients_options clients;
	struct proxy_headers_options headers;
	struct http_upgrades upgrades; /* that clients may ask for */
	unsigned holders;
	void (*release)(struct proxy_options *rules); /* NULL: nothing to do */
};

static inline struct proxy_options *proxy_options_hold(struct proxy_options *rules)
{
	rules->holders++;
	return rules;
}

static inline void proxy_options_drop(struct proxy_options *rules)
{
	if (--rules->holders == 0 && rules->release)
		rules->release(rules);
}

#endif
