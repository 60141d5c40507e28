#include "event/task.h"

#include <stddef.h>

void task_queue_init(struct task_queue *queue)
{
	queue->first = NULL;
	queue->end = &queue->first;
}

void task_queue_put(struct task_queue *queue, struct loop_task *task)
{
	if (task->is_queued)
		return;
	task->is_queued = true;
	task->next = NULL;
	*queue->end = task;
	queue->end = &task->next;
}

bool task_queue_run_first(struct task_queue *queue)
{
	struct loop_task *task = queue->first;

	if (!task)
		return false;
	queue->first = task->next;
	if (!queue->first)
		queue->end = &queue->first;
	task->is_queued = false;
	task->run(task);
	return true;
}
