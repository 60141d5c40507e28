#include "event/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { LOOP_EVENTS = 512 };

static const int64_t LOOP_LAG_WINDOW_US = 1000000;

/* A process may wake so much later than it asked for, and a turn may take so long: that is no
 * standstill. */
static const int64_t WAKE_US = 2000, BUSY_US = 10000;

/* In watch->registered: the descriptor is not in epoll until the owner wants something again. */
enum { LOOP_PARKED = 16 };

static const unsigned LOOP_WANTABLE = LOOP_READ | LOOP_WRITE | LOOP_END;

struct loop {
	int epoll_fd;
	bool stopping;
	int64_t now_us;
	int64_t stood_us; /* how long it stood still, in all */
	int64_t seen_us;
	struct timers timers;
	struct task_queue tasks;
	struct task_queue free_tasks;
	size_t watches;

	/* A round lasts until every descriptor that was watched at its beginning, round_us, has
	 * been looked at. */
	size_t round_turns; /* so far */
	size_t round_watches;
	int64_t round_us;

	/* The longest turn of the window that began at window_us, and of the one before it. */
	int64_t window_us;
	int64_t longest_us;
	int64_t longest_before_us;

	/* Events that the running turn has not delivered yet; those of a stopped watch are
	 * removed. */
	int next;
	int ready;
	struct epoll_event events[LOOP_EVENTS];
};

static int64_t read_clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- watches */

static int tell_kernel(struct loop *loop, struct watch *watch, int operation, unsigned wanted)
{
	struct epoll_event event = {.data.ptr = watch};

	if (wanted & LOOP_READ)
		event.events |= EPOLLIN;
	if (wanted & LOOP_WRITE)
		event.events |= EPOLLOUT;
	if (wanted & LOOP_END)
		event.events |= EPOLLRDHUP;
	if (epoll_ctl(loop->epoll_fd, operation, watch->fd, &event))
		return -errno;
	watch->registered = wanted;
	return 0;
}

int loop_watch(struct loop *loop, struct watch *watch, int fd, unsigned wanted)
{
	int error;

	assert(fd >= 0 && watch->on_event && !(wanted & ~LOOP_WANTABLE));
	watch->fd = fd;
	watch->wanted = wanted;
	error = tell_kernel(loop, watch, EPOLL_CTL_ADD, wanted);
	if (error) {
		watch->fd = -1;
		return error;
	}
	loop->watches++;
	return 0;
}

int loop_want(struct loop *loop, struct watch *watch, unsigned wanted)
{
	assert(watch->fd >= 0 && !(wanted & ~LOOP_WANTABLE));
	if (wanted & ~watch->registered) {
		bool parked = watch->registered == LOOP_PARKED;
		int error =
		    tell_kernel(loop, watch, parked ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, wanted);

		if (error)
			return error;
	}
	watch->wanted = wanted;
	return 0;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
	watch->wanted = watch->registered = 0;
	loop->watches--;
	/* The watch may be started again for another descriptor within this turn, and must not get
	 * events of the old one. */
	for (int i = loop->next; i < loop->ready; i++)
		if (loop->events[i].data.ptr == watch)
			loop->events[i].data.ptr = NULL;
}

/* epoll cannot mask errors and hang-ups: where nothing is wanted, every wait would report them. */
static void park(struct loop *loop, struct watch *watch)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->registered = LOOP_PARKED;
}

static void dispatch(struct loop *loop, struct watch *watch, uint32_t arrived)
{
	unsigned events = 0;
	bool broken = arrived & (EPOLLERR | EPOLLHUP);

	if (arrived & EPOLLIN)
		events |= LOOP_READ;
	if (arrived & EPOLLOUT)
		events |= LOOP_WRITE;
	if (arrived & EPOLLRDHUP)
		events |= LOOP_END;
	if (broken)
		events |= LOOP_BROKEN | LOOP_READ;
	events &= watch->wanted | LOOP_BROKEN;
	if (broken && watch->wanted == 0)
		park(loop, watch);
	if (events) {
		watch->on_event(watch, events);
		return;
	}
	/* If this fails, the same event comes again, and it is tried again. */
	tell_kernel(loop, watch, EPOLL_CTL_MOD, watch->wanted);
}

/* ---- tasks */

static void run_tasks(struct loop *loop)
{
	do {
		while (task_queue_run_first(&loop->tasks))
			continue;
	} while (task_queue_run_first(&loop->free_tasks));
}

void loop_at_end_of_turn(struct loop *loop, struct loop_task *task)
{
	task_queue_put(&loop->tasks, task);
}

void loop_free_later(struct loop *loop, struct loop_task *task)
{
	assert(!task_is_queued(task));
	task_queue_put(&loop->free_tasks, task);
}

/* ---- time */

int64_t loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

int64_t loop_refresh_us(struct loop *loop)
{
	loop->now_us = read_clock_us(CLOCK_MONOTONIC);
	return loop->now_us;
}

int64_t loop_attentive_us(const struct loop *loop)
{
	return loop->now_us - loop->stood_us;
}

int64_t loop_seen_us(const struct loop *loop)
{
	return loop->seen_us;
}

int64_t loop_unix_us(void)
{
	return read_clock_us(CLOCK_REALTIME);
}

struct timers *loop_timers(struct loop *loop)
{
	return &loop->timers;
}

static void note_turn(struct loop *loop, int64_t began_us)
{
	int64_t took_us = loop->now_us - began_us;
	int64_t age_us = loop->now_us - loop->window_us;

	if (age_us >= LOOP_LAG_WINDOW_US) {
		loop->longest_before_us = age_us < 2 * LOOP_LAG_WINDOW_US ? loop->longest_us : 0;
		loop->longest_us = 0;
		loop->window_us = loop->now_us;
	}
	if (took_us > loop->longest_us)
		loop->longest_us = took_us;
}

int64_t loop_lag_us(const struct loop *loop)
{
	int64_t age_us = loop->now_us - loop->window_us;

	if (age_us >= 2 * LOOP_LAG_WINDOW_US)
		return 0;
	if (age_us >= LOOP_LAG_WINDOW_US || loop->longest_us > loop->longest_before_us)
		return loop->longest_us;
	return loop->longest_before_us;
}

/* Milliseconds until the next timer, rounded up; -1 when there is nothing to wake up for. */
static int wait_ms(const struct loop *loop)
{
	int64_t next_us = timers_next(&loop->timers);
	int64_t ms;

	if (loop->tasks.first || loop->free_tasks.first)
		return 0;
	if (next_us == TIMER_NEVER)
		return -1;
	if (next_us <= loop->now_us)
		return 0;
	ms = (next_us - loop->now_us - 1) / 1000 + 1;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* ---- turns */

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		free(loop);
		return NULL;
	}
	timers_init(&loop->timers);
	task_queue_init(&loop->tasks);
	task_queue_init(&loop->free_tasks);
	loop->window_us = loop_refresh_us(loop);
	return loop;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	run_tasks(loop);
	timers_finish(&loop->timers);
	close(loop->epoll_fd);
	free(loop);
}

static void round_begin(struct loop *loop, int64_t waited_us)
{
	if (loop->round_turns++ > 0)
		return;
	loop->round_us = waited_us;
	loop->round_watches = loop->watches;
}

/*
 * All input that arrived before the returned time has been delivered, so deadlines up to it count.
 * If the wait returned fewer events than fit, this is the time before the wait. If so many
 * descriptors are busy that the list is always full, it is the first wait of a round in which the
 * kernel has reported each of them (epoll goes round, and newly ready descriptors go to the end).
 */
static int64_t input_seen_until_us(struct loop *loop, int64_t waited_us)
{
	bool is_full = loop->ready == LOOP_EVENTS;

	if (is_full && loop->round_turns <= loop->round_watches / LOOP_EVENTS)
		return 0;
	loop->round_turns = 0;
	return is_full ? loop->round_us : waited_us;
}

/* Reads the clock; `most_us` is how long it may be since `from_us`: more is a standstill. */
static int64_t refresh_since(struct loop *loop, int64_t from_us, int64_t most_us)
{
	int64_t until_us = from_us + most_us;

	/* The clock was read since then: it must not go back. */
	if (until_us < loop->now_us)
		until_us = loop->now_us;
	if (loop_refresh_us(loop) > until_us)
		loop->stood_us += loop->now_us - until_us;
	return loop->now_us;
}

static int turn(struct loop *loop)
{
	int64_t waited_us = loop_refresh_us(loop);
	int64_t stood_us = loop->stood_us;
	int64_t began_us;
	int timeout_ms = wait_ms(loop);

	round_begin(loop, waited_us);
	loop->next = 0;
	loop->ready = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS, timeout_ms);
	if (loop->ready < 0) {
		loop->ready = 0;
		if (errno != EINTR)
			return -errno;
	}
	began_us = refresh_since(
	    loop, waited_us, timeout_ms < 0 ? INT64_MAX / 2 : timeout_ms * INT64_C(1000) + WAKE_US);
	while (loop->next < loop->ready) {
		struct epoll_event *event = &loop->events[loop->next++];

		if (event->data.ptr)
			dispatch(loop, event->data.ptr, event->events);
	}
	/* Deadlines are compared with the time before the wait: a process that was stopped since
	 * then must read its input first. A deadline that passed during the wait is handled in the
	 * next turn. */
	int64_t seen_us = input_seen_until_us(loop, waited_us);
	if (seen_us - stood_us > loop->seen_us)
		loop->seen_us = seen_us - stood_us;
	timers_run(&loop->timers, seen_us);
	run_tasks(loop);
	refresh_since(loop, began_us, BUSY_US);
	note_turn(loop, began_us);
	return 0;
}

int loop_run(struct loop *loop)
{
	int error = 0;

	while (!error && !loop->stopping)
		error = turn(loop);
	loop->stopping = false;
	return error;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
