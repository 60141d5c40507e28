/*
 * timer - deadlines embedded in their owners.
 *
 * A binary heap of timers by due time. Postponing or cancelling a deadline costs one store: the
 * heap is updated when the old time comes. So a deadline may move forward with every byte at no
 * cost. Times are microseconds of the loop's monotonic clock. Due timers are gathered first and
 * then run, so a timer that is armed again meanwhile waits for the next round. No clock is read
 * here: the current time is an argument.
 */
#ifndef RONDO_EVENT_TIMER_H
#define RONDO_EVENT_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Later than any time. */
#define TIMER_NEVER INT64_MAX

struct timer {
	int64_t due_us;  /* what the owner wants; TIMER_NEVER when cancelled */
	int64_t heap_us; /* the time by which the heap is ordered; never later than due_us */
	size_t position; /* in the heap, counted from 1; 0 when it is not there */
	struct timer *next, *prev; /* in the list of gathered timers; else null */
	void (*on_due)(struct timer *timer);
};

struct timers {
	struct timer **heap;
	size_t count;
	size_t capacity;
	struct timer *gathered; /* due in the round that is running, not called yet */
};

void timers_init(struct timers *timers);
void timers_finish(struct timers *timers);

/*
 * Makes room for `count` timers in all, so that timer_arm cannot fail. False when there is no
 * memory. A module that creates objects with timers reserves as many as its slab allows. Beyond the
 * reserved count the heap grows by itself, and asserts that there is memory.
 */
bool timers_reserve(struct timers *timers, size_t count);

/* The timer is not armed. The callback finds its owner with container_of. */
void timer_init(struct timer *timer, void (*on_due)(struct timer *timer));

/* (Re)arms: on_due is called once, not before `due_us`; TIMER_NEVER cancels. */
void timer_arm(struct timers *timers, struct timer *timer, int64_t due_us);

/* The timer will not run, but it may stay in the heap: call timer_remove before its memory is
 * freed. */
static inline void timer_cancel(struct timer *timer)
{
	timer->due_us = TIMER_NEVER;
}

/* Cancels and takes it out of the heap: its memory may be reused. */
void timer_remove(struct timers *timers, struct timer *timer);

static inline bool timer_is_armed(const struct timer *timer)
{
	return timer->due_us != TIMER_NEVER;
}

/* The time of the next call of timers_run, or TIMER_NEVER. It may be too early, never too late. */
int64_t timers_next(const struct timers *timers);

/* Runs every timer due at `now_us`. A callback may arm, cancel or remove any timer, its own too,
 * and may free its own timer: when it runs, that timer is neither armed nor in the heap. */
void timers_run(struct timers *timers, int64_t now_us);

#endif
