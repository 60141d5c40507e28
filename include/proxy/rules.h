/*
 * rules - the settings one request is served by.
 *
 * Immutable once made. A reload makes another set; a request finishes under the rules it began
 * with, so they are counted: whoever serves by them holds them (rules_hold) and lets go at the end
 * (rules_drop); the last one frees them through `release`.
 */
#ifndef RONDO_PROXY_RULES_H
#define RONDO_PROXY_RULES_H

#include "event/net.h"
#include "http/guard.h"
#include "http/write.h"

enum retry_methods { RETRY_IDEMPOTENT, RETRY_ALL, RETRY_NONE };

enum { RULES_STATUSES = 32 };

struct rules_retry {
	unsigned tries; /* backends for one request, at most VERDICT_MAX_TRIES */
	enum retry_methods methods;
	unsigned statuses[RULES_STATUSES]; /* answers that fall through */
	size_t status_count;
	size_t body_bytes; /* content kept for a second try */
	int64_t deadline_us;
	unsigned budget_percent;
	const char *idempotency_header; /* "" = none */
};

struct rules_timeouts {
	int64_t connect_us;
	int64_t request_head_us;
	int64_t request_body_us;
	int64_t response_us;
	int64_t send_us;
	int64_t keep_alive_us;
	int64_t backend_idle_us;
	int64_t tunnel_us;
	int64_t drain_us;
};

struct rules_limits {
	unsigned connections;
	struct http_limits head;
	uint64_t body_bytes; /* 0 = no limit */
};

struct rules_clients {
	bool half_close; /* a client that has ended its sending side still waits for its answer */
};

struct rules_headers {
	const char *app_url; /* names; "" = none */
	const char *attempts;
	const char *request_id;
	enum write_forwarded forwarded;
	const struct net_block *trusted;
	size_t trusted_count;
};

struct rules {
	struct rules_retry retry;
	struct rules_timeouts timeouts;
	struct rules_limits limits;
	struct rules_clients clients;
	struct rules_headers headers;
	unsigned holders;
	void (*release)(struct rules *rules); /* NULL: nothing to do */
};

static inline struct rules *rules_hold(struct rules *rules)
{
	rules->holders++;
	return rules;
}

static inline void rules_drop(struct rules *rules)
{
	if (--rules->holders == 0 && rules->release)
		rules->release(rules);
}

#endif
