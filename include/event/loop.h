/*
 * loop - waits for descriptors and for time; the only file that knows epoll.
 *
 * One turn: wait, read the clock, call the watch of each ready descriptor, then run the timers that
 * are due, then the end-of-turn tasks, then the tasks that free memory. Input is handled before
 * deadlines: a process that was stopped for a while must not conclude that its peers were silent.
 *
 * Readiness is level-triggered and interest is lazy: wanting less is only noted, and the kernel is
 * told when an unwanted event comes; wanting more is told at once. A small request on warm
 * connections thus costs no epoll_ctl. Errors and hang-ups are always reported, wanted or not.
 *
 * An owner that wants something and gets LOOP_BROKEN must read on to the end or the error, or stop
 * the watch: until then every turn reports it again. An owner that wants nothing gets it once, and
 * again only after wanting something.
 *
 * LOOP_END is level-triggered like the others: after it came, the owner must not want it again.
 *
 * The memory of a watch must stay valid until the end of the turn in which it was stopped: objects
 * that contain one are freed through loop_free_later. The simulator in tests/sim has its own
 * implementation of this header.
 */
#ifndef RONDO_EVENT_LOOP_H
#define RONDO_EVENT_LOOP_H

#include "event/task.h"
#include "event/timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

enum loop_event {
	LOOP_READ = 1,  /* there are bytes, or the end of the stream */
	LOOP_WRITE = 2, /* there is room, or a connect ended */
	/* Error or full hang-up. It comes with LOOP_READ, where that is wanted, for the bytes that
	 * are left. */
	LOOP_BROKEN = 4,
	LOOP_END = 8 /* the peer has ended its sending side; bytes may wait before the end */
};

/* A descriptor whose events the owner waits for. Embedded in its owner. */
struct watch {
	int fd;              /* -1 when stopped */
	unsigned wanted;     /* what the owner wants: LOOP_READ, LOOP_WRITE, LOOP_END */
	unsigned registered; /* what the kernel was told */
	void (*on_event)(struct watch *watch, unsigned events);
};

struct loop;

/* NULL with errno set when there is no epoll or no memory. */
struct loop *loop_create(void);

/* Runs all queued tasks, then frees the loop. No watch may be left. NULL is allowed. */
void loop_destroy(struct loop *loop);

/* Microseconds of the monotonic clock, read once a turn. */
int64_t loop_now_us(const struct loop *loop);

/* Reads the clock again, for the few places where the length of a turn matters (the start of a
 * limit). */
int64_t loop_refresh_us(struct loop *loop);

/* Now, without the time in which the loop stood still: the process was stopped, had no processor,
 * or was busy for long. The same cause may have kept its peers from working, so their silence is
 * measured with this clock. It never goes back. */
int64_t loop_attentive_us(const struct loop *loop);

/* By the same clock: all input that arrived before this time was read by the end of the last turn.
 * A peer is judged by this time and not by now: its input may wait to be read. */
int64_t loop_seen_us(const struct loop *loop);

/* Microseconds of Unix time, to be shown to people. It may jump: limits never use it. */
int64_t loop_unix_us(void);

struct timers *loop_timers(struct loop *loop);

/*
 * Starts watching `fd`, which the caller still owns. Returns 0 or a negative errno (ENOSPC,
 * ENOMEM); the watch is stopped then. Only on_event needs to be set before.
 */
int loop_watch(struct loop *loop, struct watch *watch, int fd, unsigned wanted);

/* Sets the events that are wanted from now on. Returns 0, or a negative errno and nothing has
 * changed. */
int loop_want(struct loop *loop, struct watch *watch, unsigned wanted);

/* Stops watching; call it before the descriptor is closed. No event is delivered afterwards, not
 * even one of this turn. Does nothing when the watch is stopped already. */
void loop_unwatch(struct loop *loop, struct watch *watch);

/* Runs `task` once when all events and timers of this turn are done. A task that is queued while
 * tasks run belongs to the same turn. A task that is queued already is not queued again. */
void loop_at_end_of_turn(struct loop *loop, struct loop_task *task);

/* Runs `task` after all tasks of loop_at_end_of_turn; `run` may free its owner. The task must not
 * be queued already. */
void loop_free_later(struct loop *loop, struct loop_task *task);

/* How late the loop handles events: the longest turn of the last second, in microseconds. */
int64_t loop_lag_us(const struct loop *loop);

/* Runs turns until loop_stop. 0, or a negative errno when waiting failed. */
int loop_run(struct loop *loop);

/* Ends loop_run after the running turn; outside of loop_run, the next loop_run returns at once. */
void loop_stop(struct loop *loop);

#endif
