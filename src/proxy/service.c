#include "proxy/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { CACHE_LINE = 64 };

const int64_t service_duration_bounds_us[SERVICE_LATENCY_BUCKETS - 1] = {500, 1000, 2500, 5000,
    10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

static void take_rules(struct service *service, struct rules *rules)
{
	service->rules = rules_hold(rules);
	service->sessions.idle_us = rules->timeouts.keep_alive_us;
}

bool service_init(struct service *service, const struct service_start *start)
{
	const struct rules_limits *limits = &start->rules->limits;

	*service = (struct service){
	    .loop = start->loop,
	    .ring = start->ring,
	    .access_log = start->access_log,
	    .date_seconds = -1,
	};
	if (getrandom(&service->random, sizeof(service->random), GRND_NONBLOCK) < 0)
		service->random = (uint64_t)loop_now_us(start->loop);
	service->response.field_limit = limits->head.headers;
	service->response.fields = calloc(limits->head.headers, sizeof(struct http_field));
	if (!service->response.fields)
		return false;
	pipes_init(&service->pipes);
	sessions_init(&service->sessions, start->handler, start->loop, start->blocks);
	service->sessions.slab.limit = limits->connections;
	/* Each session has one at most, and a reload may leave more sessions than are let in from
	 * then on: a limit of their own would only break connections. */
	slab_init(&service->exchanges, start->exchange_size, SIZE_MAX);
	slab_init(&service->attempts, start->attempt_size, SIZE_MAX);
	take_rules(service, start->rules);
	return true;
}

void service_finish(struct service *service)
{
	free(service->response.fields);
	pipes_finish(&service->pipes);
	slab_finish(&service->exchanges);
	slab_finish(&service->attempts);
	sessions_finish(&service->sessions);
	rules_drop(service->rules);
}

void service_set_rules(struct service *service, struct rules *rules)
{
	struct rules *former = service->rules;

	take_rules(service, rules);
	rules_drop(former);
}

void service_drain(struct service *service)
{
	service->draining = true;
	sessions_drain(&service->sessions);
}

size_t service_block_size(const struct rules *rules)
{
	/* However little is kept of requests: long content that cannot go through a pipe takes few
	 * steps. */
	size_t least = 128 * 1024;
	size_t content = rules->retry.body_bytes > least ? rules->retry.body_bytes : least;
	size_t lines = (content + 2 * rules->limits.head.header_bytes) / CACHE_LINE;
	/* An odd number of cache lines apart, the fronts of blocks, which are used most, are spread
	 * over the processor's caches; a power of two apart they would push each other out. */
	return (lines + 1) / 2 * 2 * CACHE_LINE + CACHE_LINE;
}

struct str service_date(struct service *service)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != service->date_seconds) {
		write_date(service->date, now.tv_sec);
		service->date_seconds = now.tv_sec;
	}
	return (struct str){service->date, WRITE_DATE_SIZE - 1};
}

/* splitmix64: every state gives another number. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15U;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
	return mixed ^ (mixed >> 31);
}

void service_make_request_id(struct service *service, char id[static SERVICE_REQUEST_ID_SIZE])
{
	unsigned long long high = next_random(&service->random);
	unsigned long long low = next_random(&service->random);

	snprintf(id, SERVICE_REQUEST_ID_SIZE, "%016llx%016llx", high, low);
}
