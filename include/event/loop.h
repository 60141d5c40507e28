/*
 * loop - waits for descriptors and for time; the only file that knows epoll.
 *
 * One turn: wait, read the clock, call the watch of each ready descriptor, then run the timers that
 * are due, then the end-of-turn work, then the tasks that free memory. Input is handled before deadlines, so
 * that a process that was stopped for a while does not take its own absence for its peers' silence.
 *
 * Readiness is level-triggered and interest is lazy: wanting less is only noted, and the kernel is
 * told when an event comes that nobody wants; wanting more is told at once. A small request on warm
 * connections thus costs no epoll_ctl. Errors and hang-ups are always reported, wanted or not.
 *
 * Who wants something and gets LOOP_BROKEN must read on to the end or the error, or stop the watch:
 * until then every turn brings it again. Who wants nothing gets it once, and again only after
 * wanting something.
 *
 * LOOP_END is as level-triggered as the others: once it came it is not to be wanted any more.
 *
 * Memory of a watch must stay valid until the end of the turn in which it was stopped: objects that
 * hold one die through loop_free_later. The simulator in tests/sim has another body for this header.
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
	/* Error or full hang-up; with LOOP_READ, where that is wanted, for what is left. */
	LOOP_BROKEN = 4,
	LOOP_END = 8 /* the peer has ended its sending side; bytes may wait before the end */
};

/* A descriptor somebody waits for. Embedded in its owner. */
struct watch {
	int fd;              /* -1 when stopped */
	unsigned wanted;     /* what the owner wants: LOOP_READ, LOOP_WRITE, LOOP_END */
	unsigned registered; /* what the kernel was told */
	void (*on_event)(struct watch *watch, unsigned events);
};

struct loop;

/* NULL with errno set when epoll or memory is not to be had. */
struct loop *loop_create(void);

/* Runs what is queued for the end of the turn, then frees. No watch may be left. NULL is
 * allowed. */
void loop_destroy(struct loop *loop);

/* Microseconds of the monotonic clock, read once a turn. */
int64_t loop_now_us(const struct loop *loop);

/* Reads the clock anew, for the few places where a turn's length matters (the start of a limit). */
int64_t loop_refresh_us(struct loop *loop);

/* Microseconds of Unix time, for what people are told. It may jump: no limit is ever measured by
 * it. */
int64_t loop_unix_us(void);

struct timers *loop_timers(struct loop *loop);

/*
 * Starts watching `fd`, which stays the caller's. Answers 0 or a negative errno (ENOSPC, ENOMEM),
 * and then the watch is stopped. Only on_event needs to be set before.
 */
int loop_watch(struct loop *loop, struct watch *watch, int fd, unsigned wanted);

/* Says what is wanted from now on. Answers 0, or a negative errno and nothing has changed. */
int loop_want(struct loop *loop, struct watch *watch, unsigned wanted);

/* Stops watching; must come before the descriptor is closed. No event is delivered afterwards, not
 * even one of this turn. Does nothing when it is stopped already. */
void loop_unwatch(struct loop *loop, struct watch *watch);

/* Runs `task` once when all events and timers of this turn are done. A task queued while tasks run
 * belongs to the same turn; one that waits already is not queued again. */
void loop_at_end_of_turn(struct loop *loop, struct loop_task *task);

/* The same, after all tasks of loop_at_end_of_turn and once for each task: `run` may free its
 * owner. */
void loop_free_later(struct loop *loop, struct loop_task *task);

/* How late the loop comes to events: the longest turn of the last second, in microseconds. */
int64_t loop_lag_us(const struct loop *loop);

/* Turns until loop_stop. 0, or a negative errno when waiting itself failed. */
int loop_run(struct loop *loop);

/* The running turn, or else the next loop_run, is finished and not followed by another. */
void loop_stop(struct loop *loop);

#endif
