/*
 * task - work for the end of a turn.
 *
 * Tasks are embedded in their owners and run in the order in which they were queued. One that waits
 * already is not queued again, so that whoever has a reason to do something at the end of the turn
 * need not remember whether somebody had one before. Nothing can fail.
 */
#ifndef RONDO_EVENT_TASK_H
#define RONDO_EVENT_TASK_H

#include <stdbool.h>
#include <stddef.h>

/* All zeroes but for `run`. */
struct loop_task {
	struct loop_task *next; /* the last of a queue is its own next; NULL: in none */
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

/* Does nothing when the task is in a queue. */
void task_queue_put(struct task_queue *queue, struct loop_task *task);

/* Takes the first one off the queue and runs it; it may be queued again, or be freed, by its `run`.
 * False when there is none. */
bool task_queue_run_first(struct task_queue *queue);

#endif
