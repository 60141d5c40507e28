#include "event/task.h"

void task_queue_init(struct task_queue *queue)
{
	*queue = (struct task_queue){0};
}

void task_queue_put(struct task_queue *queue, struct loop_task *task)
{
	if (task_is_queued(task))
		return;
	task->next = task;
	if (queue->last)
		queue->last->next = task;
	else
		queue->first = task;
	queue->last = task;
}

bool task_queue_run_first(struct task_queue *queue)
{
	struct loop_task *task = queue->first;

	if (!task)
		return false;
	if (task == queue->last)
		task_queue_init(queue);
	else
		queue->first = task->next;
	task->next = NULL;
	task->run(task);
	return true;
}
