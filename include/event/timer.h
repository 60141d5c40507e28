/*
 * timer - deadlines embedded in their owners.
 *
 * A binary heap of timers by due time. Pushing a deadline further away, and cancelling one, cost
 * nothing but a store: the heap learns of it when the old time comes. So a deadline that moves with
 * every byte is free as long as it moves forward. Times are microseconds of the loop's monotonic
 * clock. Due timers are gathered first and run then, so one that is armed again while timers run
 * waits for the next round. Nothing here knows what time it is: now is an argument.
 */
#ifndef RONDO_EVENT_TIMER_H
#define RONDO_EVENT_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Later than any time. */
#define TIMER_NEVER INT64_MAX

struct timer {
	int64_t due_us;            /* what the owner wants; TIMER_NEVER when cancelled */
	int64_t heap_us;           /* what the heap was told; never later than due_us */
	size_t position;           /* in the heap, counted from 1; 0 when it is not there */
	struct timer *next, *prev; /* among the gathered; null when it is not */
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
 * memory. Whoever creates timed objects reserves for as many as its slab allows. Beyond what was
 * reserved the heap grows by itself, and to be out of memory then is a broken promise.
 */
bool timers_reserve(struct timers *timers, size_t count);

/* Not armed. The callback finds its owner from the timer (container_of). */
void timer_init(struct timer *timer, void (*on_due)(struct timer *timer));

/* (Re)arms: on_due is called once, not before `due_us`; TIMER_NEVER cancels. */
void timer_arm(struct timers *timers, struct timer *timer, int64_t due_us);

/* The timer will not run. It may stay known to the heap: before its memory goes, timer_remove
 * it. */
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

/* The time at which timers_run has something to look at, or TIMER_NEVER. May be early, never
 * late. */
int64_t timers_next(const struct timers *timers);

/* Runs every timer due at `now_us`. A callback may arm, cancel or remove any timer, itself too, and
 * may give its own memory away: when it runs, its timer is neither armed nor in the heap. */
void timers_run(struct timers *timers, int64_t now_us);

#endif
