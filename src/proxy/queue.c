#include "proxy/queue.h"

#include <assert.h>
#include <utlist.h>

/* So many are let in at once, beyond the places that were given back. */
enum { LET_IN_AT_ONCE = 16 };

/* Places that are given back let in more than they are, so that a long queue grows short. */
enum { LET_IN_FOR_A_PLACE = 2 };

/* When so many with tries find no backend, the others with tries hardly find one either. */
enum { REFUSALS_MAX = 16 };

static const int64_t LET_IN_AGAIN_US = 10000; /* others could have been let in */
static const int64_t BUSY_AGAIN_US = 20000;   /* a Unix socket's accept queue was full */
static const int64_t LOOK_AGAIN_US = 100000;

const char *const queue_result_words[QUEUE_RESULTS] = {
    [QUEUE_SERVED] = "served",
    [QUEUE_TIMEOUT] = "timeout",
    [QUEUE_LEFT] = "left",
    [QUEUE_FULL] = "full",
};

const int64_t queue_wait_bounds_us[HISTOGRAM_BUCKETS - 1] = {500, 1000, 2500, 5000, 10000, 25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

static int64_t now_us(const struct queue *queue)
{
	return loop_now_us(queue->loop);
}

static void look_at(struct queue *queue, int64_t when_us)
{
	if (when_us < queue->timer.due_us)
		timer_arm(loop_timers(queue->loop), &queue->timer, when_us);
}

static void allow(struct queue *queue, unsigned more)
{
	if (queue->count == 0)
		return;
	queue->allowed += more;
	look_at(queue, now_us(queue));
}

static void on_room(void *context, bool is_place)
{
	allow(context, is_place ? LET_IN_FOR_A_PLACE : LET_IN_AT_ONCE);
}

/* ---- waiters */

static bool comes_before(const struct waiter *waiter, const struct waiter *other)
{
	return waiter->ticket < other->ticket;
}

static struct waiter **list_of(struct queue *queue, const struct waiter *waiter)
{
	return waiter->request.count == 0 ? &queue->fresh : &queue->tried;
}

/* At the end, but for one that comes back to its old place. */
static void enlist(struct queue *queue, struct waiter *waiter)
{
	struct waiter **list = list_of(queue, waiter);
	struct waiter *behind = *list;

	if (behind && comes_before(waiter, behind->prev)) {
		while (comes_before(behind, waiter))
			behind = behind->next;
		DL_PREPEND_ELEM(*list, behind, waiter);
	} else {
		DL_APPEND(*list, waiter);
	}
	queue->count++;
}

static struct waiter *first_of(struct waiter *fresh, struct waiter *tried)
{
	return !tried || (fresh && comes_before(fresh, tried)) ? fresh : tried;
}

const struct waiter *queue_first(const struct queue *queue)
{
	return first_of(queue->fresh, queue->tried);
}

static bool is_backend_sought(const struct queue *queue)
{
	return queue->count > 0 && ring_count_up(queue->ring) == 0;
}

static void seek(struct queue *queue)
{
	struct backend_env *env = queue->env;
	bool was_sought = env->is_sought;

	env->is_sought = is_backend_sought(queue);
	if (env->is_sought && !was_sought && env->on_sought)
		env->on_sought(env->context);
}

bool queue_join(struct queue *queue, struct waiter *waiter, unsigned length)
{
	assert(!waiter->is_waiting);
	if (queue->count >= length) {
		queue->counters.results[QUEUE_FULL]++;
		return false;
	}
	waiter->since_us = now_us(queue);
	if (waiter->ticket == 0) {
		waiter->ticket = ++queue->tickets;
		waiter->first_us = waiter->since_us;
	}
	waiter->is_waiting = true;
	enlist(queue, waiter);
	/* The place that it did not find may be given back in this very turn. */
	look_at(queue, now_us(queue));
	seek(queue);
	return true;
}

void queue_leave(struct queue *queue, struct waiter *waiter, enum queue_result result)
{
	if (!waiter->is_waiting)
		return;
	int64_t took_us = now_us(queue) - waiter->since_us;
	DL_DELETE(*list_of(queue, waiter), waiter);
	queue->count--;
	waiter->is_waiting = false;
	waiter->result = result;
	waiter->waited_us += took_us;
	queue->counters.results[result]++;
	histogram_note(&queue->counters.waits, queue_wait_bounds_us, took_us, now_us(queue));
	if (queue->count == 0)
		seek(queue);
}

static void end_wait(struct queue *queue, struct waiter *waiter, enum queue_result result)
{
	queue_leave(queue, waiter, result);
	waiter->on_over(waiter->owner);
}

/* ---- looking for backends */

static bool can_be_served(const struct queue *queue, struct waiter *waiter)
{
	waiter->request.now_us = now_us(queue);
	waiter->request.seen_us = loop_seen_us(queue->loop);
	return ring_preview(queue->ring, &waiter->request) == RING_PICKED;
}

/* Lets in those that can be served, in their order. When one without tries cannot, no other
 * without can. */
static void let_in(struct queue *queue)
{
	struct waiter *fresh = queue->fresh, *tried = queue->tried, *waiter;
	unsigned refusals = 0;

	while (queue->allowed > 0 && (waiter = first_of(fresh, tried))) {
		bool is_fresh = waiter == fresh;
		struct waiter **cursor = is_fresh ? &fresh : &tried;

		*cursor = waiter->next;
		if (can_be_served(queue, waiter)) {
			queue->allowed--;
			end_wait(queue, waiter, QUEUE_SERVED);
		} else if (is_fresh || ++refusals == REFUSALS_MAX) {
			*cursor = NULL;
		}
	}
}

/* All backends are draining, or have no address: nobody is going to be served. */
static void send_away(struct queue *queue)
{
	struct waiter *waiter;

	while ((waiter = first_of(queue->fresh, queue->tried)))
		end_wait(queue, waiter, QUEUE_TIMEOUT);
}

static bool is_one_busy(const struct queue *queue)
{
	for (size_t i = 0; i < queue->ring->count; i++)
		if (queue->ring->backends[i]->busy_until_us > now_us(queue))
			return true;
	return false;
}

static void on_due(struct timer *timer)
{
	struct queue *queue = container_of(timer, struct queue, timer);

	if (!ring_is_open(queue->ring)) {
		send_away(queue);
		return;
	}
	if (queue->allowed == 0)
		queue->allowed = LET_IN_AT_ONCE;
	let_in(queue);
	bool was_limited = queue->allowed == 0;
	queue->allowed = 0;
	seek(queue);
	if (queue->count == 0)
		return;
	int64_t pause_us = is_one_busy(queue) ? BUSY_AGAIN_US : LOOK_AGAIN_US;
	look_at(queue, now_us(queue) + (was_limited ? LET_IN_AGAIN_US : pause_us));
}

/* ---- life */

void queue_init(struct queue *queue, struct loop *loop, struct ring *ring, struct backend_env *env)
{
	*queue = (struct queue){.loop = loop, .ring = ring, .env = env};
	timer_init(&queue->timer, on_due);
	env->on_room = on_room;
	env->waiting_room = queue;
}

void queue_finish(struct queue *queue)
{
	assert(queue->count == 0);
	timer_remove(loop_timers(queue->loop), &queue->timer);
	queue->env->on_room = NULL;
}

int64_t queue_longest_us(const struct queue *queue)
{
	const struct waiter *first = queue_first(queue);

	return first ? now_us(queue) - first->first_us : 0;
}
