/*
 * proxy - what the requests of all clients share.
 *
 * One for the process. The daemon fills it and swaps `rules` at a reload; sessions and exchanges
 * read it and count in it. Each session has one exchange while it serves a request. Counters only
 * grow; metrics reads them.
 */
#ifndef RONDO_PROXY_PROXY_H
#define RONDO_PROXY_PROXY_H

#include "event/pipes.h"
#include "proxy/access_log.h"
#include "proxy/queue.h"
#include "proxy/retry.h"
#include "proxy/session.h"
#include "upstream/ring.h"

enum { PROXY_STATUSES = 1000 };

/* Upper bounds of the buckets of proxy_counters.duration; the last bucket has none. */
extern const int64_t proxy_duration_bounds_us[HISTOGRAM_BUCKETS - 1];

/* What became of requests that were stuck on a silent backend. */
enum rescue_result {
	RESCUE_WON,     /* the second backend's answer was passed on */
	RESCUE_LOST,    /* it was asked in vain */
	RESCUE_REFUSED, /* for want of budget, or of a backend */
	RESCUE_RESULTS
};

/* "won", "lost", "refused". */
extern const char *const proxy_rescue_words[RESCUE_RESULTS];

struct proxy_counters {
	uint64_t requests[PROXY_STATUSES]; /* finished, by the status sent; [0]: none was */
	/* From the first byte of the head to the last byte of the answer. */
	struct histogram duration;
	uint64_t retries[OUTCOMES]; /* tries after one that ended so */
	uint64_t retries_refused[RETRY_REFUSALS];
	uint64_t rescues[RESCUE_RESULTS];
};

struct attempt;

struct proxy {
	struct loop *loop;
	struct ring *ring;
	struct backend_env *env;     /* of its backends */
	struct proxy_options *rules; /* of new requests; held */
	struct access_log *access_log;
	struct pipes pipes;       /* for long content */
	struct sessions sessions; /* of clients */
	struct slab exchanges;
	size_t tunnels; /* exchanges that have become one */
	struct slab attempts;
	struct slab stragglers;
	struct straggler *first_straggler; /* utlist DL, the oldest first */
	struct reports reports;
	struct queue queue; /* requests that wait for a backend */
	struct timer rescue_timer;
	uint64_t moves; /* requests that left a silent backend, or were sent to a second one */
	bool draining;  /* the process stops, soon or now: answers close their connections */
	struct proxy_counters counters;
	uint64_t random; /* state of the request id generator */
	/* The response head being looked at. Its slices are used up before another is parsed. */
	struct http_head response;
	const struct attempt *response_of; /* the attempt that it belongs to; NULL: none */
	char date[WRITE_DATE_SIZE];
	int64_t date_seconds;
};

struct proxy_start {
	struct loop *loop;
	struct ring *ring;
	struct backend_env *env;
	struct proxy_options *rules;
	struct access_log *access_log;
	struct slab *blocks;                   /* buffers of clients' connections */
	const struct session_handler *handler; /* exchange_handler */
	size_t exchange_size;                  /* bytes of the objects in the slabs */
	size_t attempt_size;
};

/* False without memory. Holds the options. */
bool proxy_init(struct proxy *proxy, const struct proxy_start *start);
void proxy_finish(struct proxy *proxy);

/* Would a new request be served? Not while the process stops, or no backend is usable. */
bool proxy_is_ready(const struct proxy *proxy);

/* Requests from now on are served by `rules` (a reload); not once the process stops. How many
 * sessions there may be is set in sessions.slab.limit. */
void proxy_set_options(struct proxy *proxy, struct proxy_options *rules);

/* The process is going to stop: answers close their connections, and it is ready no more. */
void proxy_leave(struct proxy *proxy);

/* The process stops: as proxy_leave, and so on (sessions_drain). */
void proxy_drain(struct proxy *proxy);

/* The size of a buffer block that these options need: a head, its kept content, and a trailer
 * section. */
size_t proxy_block_size(const struct proxy_options *rules);

/* The Date of now, made once a second. */
struct str proxy_date(struct proxy *proxy);

/* Room for an id that a client chose; a UUID has 36 bytes. */
enum { PROXY_REQUEST_ID_SIZE = 129 };

/* A new request id: 32 hexadecimal digits, unlike any other. */
void proxy_make_request_id(struct proxy *proxy, char id[static PROXY_REQUEST_ID_SIZE]);

#endif
