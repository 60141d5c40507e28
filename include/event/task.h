/*
 * task - work for the end of a turn.
 *
 * Tasks are embedded in their owners and run in the order in which they were queued. A task that is
 * queued already is not queued again, so a caller need not check whether another one has queued it.
 * Nothing can fail.
 */
#ifndef RONDO_EVENT_TASK_H
#define RONDO_EVENT_TASK_H

#include <stdbool.h>
#include <stddef.h>

/* All zeroes except `run`. */
struct loop_task {
	struct loop_task *next; /* the last task of a queue points to itself; NULL: not queued */
	void (*run)(struct loop_task *task);
};

struct task_queue {
	struct loop_task *first, *last;
};

static inline bool task_is_queued(const struct loop_task *task)
{
	return task->next != NULL;
}

void task_queue_init(struct task_queue *queue);

/* Does nothing when the task is in a queue already. */
void task_queue_put(struct task_queue *queue, struct loop_task *task);

/* Takes the first task off the queue and runs it; `run` may queue it again or free it. False when
 * the queue is empty. */
bool task_queue_run_first(struct task_queue *queue);

#endif
