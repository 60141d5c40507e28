#include "proxy/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { CACHE_LINE = 64 };

const int64_t proxy_duration_bounds_us[HISTOGRAM_BUCKETS - 1] = {500, 1000, 2500, 5000, 10000,
    25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

const char *const proxy_rescue_words[RESCUE_RESULTS] = {
    [RESCUE_WON] = "won",
    [RESCUE_LOST] = "lost",
    [RESCUE_REFUSED] = "refused",
};

static void take_rules(struct proxy *proxy, struct proxy_options *rules)
{
	proxy->rules = proxy_options_hold(rules);
	proxy->sessions.idle_us = rules->timeouts.keep_alive_us;
	proxy->sessions.introduce_us = rules->timeouts.request_head_us;
}

bool proxy_init(struct proxy *proxy, const struct proxy_start *start)
{
	const struct proxy_limits_options *limits = &start->rules->limits;

	*proxy = (struct proxy){
	    .loop = start->loop,
	    .ring = start->ring,
	    .env = start->env,
	    .access_log = start->access_log,
	    .date_seconds = -1,
	};
	if (getrandom(&proxy->random, sizeof(proxy->random), GRND_NONBLOCK) < 0)
		proxy->random = (uint64_t)loop_now_us(start->loop);
	proxy->response.field_limit = limits->head.headers;
	proxy->response.fields = calloc(limits->head.headers, sizeof(struct http_field));
	if (!proxy->response.fields)
		return false;
	pipes_init(&proxy->pipes);
	sessions_init(&proxy->sessions, start->handler, start->loop, start->blocks);
	proxy->sessions.slab.limit = limits->connections;
	reports_init(&proxy->reports, start->loop);
	proxy->sessions.reports = &proxy->reports;
	/* Each session has one at most, and a reload may leave more sessions than are let in from
	 * then on: a limit of their own would only break connections. */
	slab_init(&proxy->exchanges, start->exchange_size, SIZE_MAX);
	slab_init(&proxy->attempts, start->attempt_size, SIZE_MAX);
	take_rules(proxy, start->rules);
	return true;
}

void proxy_finish(struct proxy *proxy)
{
	free(proxy->response.fields);
	pipes_finish(&proxy->pipes);
	slab_finish(&proxy->exchanges);
	slab_finish(&proxy->attempts);
	slab_finish(&proxy->stragglers);
	sessions_finish(&proxy->sessions);
	proxy_options_drop(proxy->rules);
}

bool proxy_is_ready(const struct proxy *proxy)
{
	return !proxy->draining && ring_is_usable(proxy->ring);
}

void proxy_set_options(struct proxy *proxy, struct proxy_options *rules)
{
	struct proxy_options *former = proxy->rules;

	take_rules(proxy, rules);
	proxy_options_drop(former);
}

void proxy_leave(struct proxy *proxy)
{
	proxy->draining = true;
}

void proxy_drain(struct proxy *proxy)
{
	proxy_leave(proxy);
	sessions_drain(&proxy->sessions);
}

size_t proxy_block_size(const struct proxy_options *rules)
{
	/* Even if little of each request is kept: long content that cannot go through a pipe takes
	 * few steps. */
	size_t least = 128 * 1024;
	size_t content = rules->retry.body_bytes > least ? rules->retry.body_bytes : least;
	size_t lines = (content + 2 * rules->limits.head.header_bytes) / CACHE_LINE;
	/* An odd number of cache lines apart, the fronts of blocks, which are used most, are spread
	 * over the processor's caches; a power of two apart they would push each other out. */
	return (lines + 1) / 2 * 2 * CACHE_LINE + CACHE_LINE;
}

struct str proxy_date(struct proxy *proxy)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != proxy->date_seconds) {
		write_date(proxy->date, now.tv_sec);
		proxy->date_seconds = now.tv_sec;
	}
	return (struct str){proxy->date, WRITE_DATE_SIZE - 1};
}

/* splitmix64: every state gives another number. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15U;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
	return mixed ^ (mixed >> 31);
}

void proxy_make_request_id(struct proxy *proxy, char id[static PROXY_REQUEST_ID_SIZE])
{
	unsigned long long high = next_random(&proxy->random);
	unsigned long long low = next_random(&proxy->random);

	snprintf(id, PROXY_REQUEST_ID_SIZE, "%016llx%016llx", high, low);
}
