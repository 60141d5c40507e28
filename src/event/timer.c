#include "event/timer.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

enum { TIMERS_FIRST_CAPACITY = 64 };

void timers_init(struct timers *timers)
{
	*timers = (struct timers){0};
}

void timers_finish(struct timers *timers)
{
	free(timers->heap);
	timers_init(timers);
}

bool timers_reserve(struct timers *timers, size_t count)
{
	struct timer **heap;

	if (count <= timers->capacity)
		return true;
	heap = reallocarray(timers->heap, count, sizeof(*heap));
	if (!heap)
		return false;
	timers->heap = heap;
	timers->capacity = count;
	return true;
}

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer))
{
	*timer = (struct timer){.due_us = TIMER_NEVER, .heap_us = TIMER_NEVER, .on_due = on_due};
}

static void place(struct timers *timers, struct timer *timer, size_t position)
{
	timers->heap[position - 1] = timer;
	timer->position = position;
}

static void sift_up(struct timers *timers, struct timer *timer)
{
	size_t position = timer->position;

	while (position > 1) {
		struct timer *parent = timers->heap[position / 2 - 1];

		if (parent->heap_us <= timer->heap_us)
			break;
		place(timers, parent, position);
		position /= 2;
	}
	place(timers, timer, position);
}

static void sift_down(struct timers *timers, struct timer *timer)
{
	size_t position = timer->position;

	for (size_t child; (child = position * 2) <= timers->count; position = child) {
		if (child < timers->count &&
		    timers->heap[child]->heap_us < timers->heap[child - 1]->heap_us)
			child++;
		if (timer->heap_us <= timers->heap[child - 1]->heap_us)
			break;
		place(timers, timers->heap[child - 1], position);
	}
	place(timers, timer, position);
}

static void heap_push(struct timers *timers, struct timer *timer)
{
	if (timers->count == timers->capacity) {
		size_t more = timers->capacity ? timers->capacity * 2 : TIMERS_FIRST_CAPACITY;
		bool grown = timers_reserve(timers, more);

		assert(grown);
	}
	timer->position = ++timers->count;
	sift_up(timers, timer);
}

static void heap_take(struct timers *timers, struct timer *timer)
{
	struct timer *last = timers->heap[timers->count - 1];
	size_t position = timer->position;

	timers->count--;
	timer->position = 0;
	if (last == timer)
		return;
	place(timers, last, position);
	sift_up(timers, last);
	sift_down(timers, last);
}

/* Is it in the list of gathered timers, with its callback still to run? */
static bool is_gathered(const struct timer *timer)
{
	return timer->prev != NULL;
}

static void ungather(struct timers *timers, struct timer *timer)
{
	DL_DELETE(timers->gathered, timer);
	timer->prev = timer->next = NULL;
}

void timer_arm(struct timers *timers, struct timer *timer, int64_t due_us)
{
	timer->due_us = due_us;
	if (is_gathered(timer))
		ungather(timers, timer);
	if (timer->position && due_us >= timer->heap_us)
		return;
	timer->heap_us = due_us;
	if (timer->position)
		sift_up(timers, timer);
	else if (due_us != TIMER_NEVER)
		heap_push(timers, timer);
}

void timer_remove(struct timers *timers, struct timer *timer)
{
	timer_cancel(timer);
	if (is_gathered(timer))
		ungather(timers, timer);
	if (timer->position)
		heap_take(timers, timer);
}

int64_t timers_next(const struct timers *timers)
{
	return timers->count ? timers->heap[0]->heap_us : TIMER_NEVER;
}

static void gather(struct timers *timers, int64_t now_us)
{
	while (timers_next(timers) <= now_us) {
		struct timer *timer = timers->heap[0];

		if (timer->due_us <= now_us) {
			heap_take(timers, timer);
			DL_APPEND(timers->gathered, timer);
		} else if (timer->due_us == TIMER_NEVER) {
			heap_take(timers, timer);
		} else {
			timer->heap_us = timer->due_us;
			sift_down(timers, timer);
		}
	}
}

void timers_run(struct timers *timers, int64_t now_us)
{
	assert(!timers->gathered && now_us < TIMER_NEVER);
	gather(timers, now_us);
	while (timers->gathered) {
		struct timer *timer = timers->gathered;

		ungather(timers, timer);
		if (!timer_is_armed(timer))
			continue;
		timer_cancel(timer);
		timer->on_due(timer);
	}
}
