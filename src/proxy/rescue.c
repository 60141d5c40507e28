#include "proxy/rescue.h"

/* Between two looks at attempts that are overdue. */
static const int64_t LOOK_AGAIN_US = 5000;

/* Where so many requests find no backend, those that came later find none either. */
enum { REFUSALS_MAX = 16 };

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When patience is over that began at a time of loop_attentive_us, by the clock of timers. */
static int64_t due_us(const struct proxy *proxy, int64_t from_us, int64_t patience_us)
{
	return from_us + patience_us + 1 + loop_now_us(proxy->loop) -
	       loop_attentive_us(proxy->loop);
}

/* Lets the owners of all overdue attempts of a list run. Returns when to look again. */
static int64_t look_at(
    struct proxy *proxy, struct pending *first, int64_t quiet_us, int64_t patience_us)
{
	int64_t seen_us = loop_seen_us(proxy->loop);
	int64_t again_us = TIMER_NEVER;
	struct pending *pending, *next;
	unsigned refusals = 0;

	for (pending = first; pending; pending = next) {
		struct attempt *attempt = container_of(pending, struct attempt, pending);
		int64_t from_us = pending->since_us > quiet_us ? pending->since_us : quiet_us;

		/* Its owner may take it off the list. */
		next = pending->next;
		/* One whose own time is over fails in this round. */
		if (!pending->may_move || attempt_due_us(attempt) <= loop_now_us(proxy->loop))
			continue;
		/* Those behind it wait for less time. */
		if (seen_us - from_us <= patience_us)
			return earlier(again_us, due_us(proxy, from_us, patience_us));
		again_us = loop_now_us(proxy->loop) + LOOK_AGAIN_US;
		if (refusals == REFUSALS_MAX)
			break;
		uint64_t before = proxy->moves;
		attempt->request->on_event(attempt->request->owner);
		refusals += proxy->moves == before;
	}
	return again_us;
}

static int64_t look_at_backend(struct proxy *proxy, struct backend *backend)
{
	struct silence *silence = &backend->silence;
	int64_t again_us = TIMER_NEVER;

	if (!silence->owed && !silence->connects)
		return again_us;
	int64_t patience_us = backend_patience_us(backend);
	if (patience_us == TIMER_NEVER)
		return again_us;
	if (backend->env->silence.options.rescue_percent > 0)
		again_us = look_at(proxy, silence->owed, silence->quiet_us, patience_us);
	return earlier(again_us, look_at(proxy, silence->connects, 0, patience_us));
}

static void on_due(struct timer *timer)
{
	struct proxy *proxy = container_of(timer, struct proxy, rescue_timer);
	struct backend *backend, *next;
	int64_t again_us = TIMER_NEVER;

	/* A backend that a reload has removed may still have requests. */
	for (backend = proxy->env->backends; backend; backend = next) {
		/* The last request that holds it may end. */
		backend_hold(backend);
		again_us = earlier(again_us, look_at_backend(proxy, backend));
		next = backend->after;
		backend_drop(backend);
	}
	again_us = earlier(again_us, timer->due_us); /* an attempt may have begun meanwhile */
	timer_arm(loop_timers(proxy->loop), timer, again_us);
}

void rescue_init(struct proxy *proxy)
{
	timer_init(&proxy->rescue_timer, on_due);
}

void rescue_finish(struct proxy *proxy)
{
	timer_remove(loop_timers(proxy->loop), &proxy->rescue_timer);
}

void rescue_watch(const struct attempt *attempt)
{
	struct proxy *proxy = attempt->request->proxy;
	const struct backend *backend = attempt->record->backend;

	if (!attempt->pending.is_listed || !attempt->pending.may_move)
		return;
	int64_t now_us = loop_now_us(proxy->loop);
	int64_t patience_us = backend_patience_us(backend);
	if (patience_us == TIMER_NEVER)
		return;
	int64_t look_us = due_us(proxy, attempt->pending.since_us, patience_us);
	if (look_us <= now_us)
		look_us = now_us + LOOK_AGAIN_US;
	if (look_us < proxy->rescue_timer.due_us)
		timer_arm(loop_timers(proxy->loop), &proxy->rescue_timer, look_us);
}
