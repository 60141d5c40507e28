/*
 * queue - requests that wait for a backend: the waiting room.
 *
 * A request waits when all usable backends are full or none is up, if nothing of it has reached a
 * backend or it may be sent again. First come, first served: a place that becomes free goes to the
 * one that has waited longest and can use it. A request that was let in, and found no backend after
 * all, comes back to its old place. After a backend has come up, those that wait are not let in all
 * at once: some at a time, and two more for each place that is given back.
 *
 * While requests wait and no backend is up, the checks look for one (backend_env.is_sought). A
 * waiter holds no backend's connection, and no memory beside its exchange. Whoever embeds a waiter
 * takes it out (queue_leave) before its memory goes. Nothing can fail but queue_join.
 */
#ifndef RONDO_PROXY_QUEUE_H
#define RONDO_PROXY_QUEUE_H

#include "base/histogram.h"
#include "event/loop.h"
#include "upstream/ring.h"

/* The settings. */
struct queue_options {
	int64_t wait_us; /* queue.wait; 0 = nobody waits */
	unsigned length; /* queue.length: so many wait at the same time */
};

/* How a wait ended. */
enum queue_result {
	QUEUE_SERVED,  /* a backend was found */
	QUEUE_TIMEOUT, /* none in time */
	QUEUE_LEFT,    /* the client left */
	QUEUE_FULL,    /* there was no wait: queue.length */
	QUEUE_RESULTS
};

/* "served", "timeout", "left", "full". */
extern const char *const queue_result_words[QUEUE_RESULTS];

extern const int64_t queue_wait_bounds_us[HISTOGRAM_BUCKETS - 1];

struct queue_counters {
	uint64_t results[QUEUE_RESULTS];
	struct histogram waits; /* by queue_wait_bounds_us; QUEUE_FULL is not among them */
};

/* A request that may wait. Zeroed, it has not waited. */
struct waiter {
	/* The owner sets these before queue_join. */
	struct ring_request request;  /* now_us and seen_us are the queue's */
	void (*on_over)(void *owner); /* the wait is over: `result` */
	void *owner;

	bool is_waiting;
	enum queue_result result; /* of the last wait that is over */
	uint64_t ticket;          /* its place; 0 = it has never waited */
	int64_t first_us;         /* its first wait began */
	int64_t since_us;         /* the wait that is under way */
	int64_t waited_us;        /* in all waits before */
	struct waiter *prev, *next;
};

struct queue {
	struct loop *loop;
	struct ring *ring;
	struct backend_env *env;
	/* utlist DL, in the order of tickets: those without tries, who can all be served by the
	 * same backends, and the others. */
	struct waiter *fresh, *tried;
	size_t count;
	uint64_t tickets; /* given out so far */
	unsigned allowed; /* so many are let in at the next look */
	struct timer timer;
	struct queue_counters counters;
};

/* Follows the backends of `env`: sets its on_room. */
void queue_init(struct queue *queue, struct loop *loop, struct ring *ring, struct backend_env *env);
void queue_finish(struct queue *queue);

/* The wait begins, or goes on at the old place. False when `length` others wait: counted. */
bool queue_join(struct queue *queue, struct waiter *waiter, unsigned length);

/* The wait is over, before on_over was called, for this reason. Does nothing to one that does not
 * wait. */
void queue_leave(struct queue *queue, struct waiter *waiter, enum queue_result result);

/* The one that has waited longest; NULL when nobody waits. */
const struct waiter *queue_first(const struct queue *queue);

/* How long the first one has waited, in microseconds; 0 when nobody waits. */
int64_t queue_longest_us(const struct queue *queue);

#endif
