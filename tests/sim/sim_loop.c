#include "sim_loop.h"

#include "dice.h"
#include "sim_net.h"
#include "trace.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { EVENTS = 512, IDLE_TURNS_MAX = 3000 };

/* Every world begins in the same moment. */
static const int64_t BEGIN_UNIX_US = INT64_C(1800000000) * 1000000;

static const unsigned WANTABLE = LOOP_READ | LOOP_WRITE | LOOP_END;

struct loop {
	bool stopping;
	int64_t now_us;
	int64_t judged_us;
	int64_t stood_us, seen_us;
	struct timers timers;
	struct task_queue tasks, free_tasks;
	size_t watches;
	size_t round_turns, round_watches; /* as in the real one */
	int64_t round_us;
	struct sim_pace pace;
	struct dice *dice;
	uint64_t progress;
	size_t idle_turns; /* in a row */
	size_t next, ready;
	struct net_ready events[EVENTS];
};

void sim_loop_set_pace(struct loop *loop, struct dice *dice, const struct sim_pace *pace)
{
	loop->dice = dice;
	loop->pace = *pace;
}

int64_t sim_loop_judged_us(const struct loop *loop)
{
	return loop->judged_us;
}

/* ---- watches */

int loop_watch(struct loop *loop, struct watch *watch, int fd, unsigned wanted)
{
	assert(watch->on_event && !(wanted & ~WANTABLE));
	check("descriptors are used while they are open", net_is_open(fd), "watch of descriptor %d",
	    fd);
	watch->fd = -1;
	watch->registered = 0;
	if (net_is_short(net_world.faults.watch))
		return dice_chance(loop->dice, 5000) ? -ENOSPC : -ENOMEM;
	watch->fd = fd;
	watch->wanted = wanted;
	loop->watches++;
	net_set_watch(fd, watch);
	return 0;
}

int loop_want(struct loop *loop, struct watch *watch, unsigned wanted)
{
	assert(watch->fd >= 0 && !(wanted & ~WANTABLE));
	check("descriptors are used while they are open", net_is_open(watch->fd),
	    "watch of descriptor %d", watch->fd);
	if ((wanted & ~watch->wanted) && net_is_short(net_world.faults.watch))
		return dice_chance(loop->dice, 5000) ? -ENOSPC : -ENOMEM;
	watch->wanted = wanted;
	if (wanted) {
		watch->registered = 0;
		net_touch_fd(watch->fd);
	}
	return 0;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	check("descriptors are used while they are open", net_is_open(watch->fd),
	    "watch of descriptor %d", watch->fd);
	net_set_watch(watch->fd, NULL);
	watch->fd = -1;
	watch->wanted = watch->registered = 0;
	loop->watches--;
	for (size_t i = loop->next; i < loop->ready; i++)
		if (loop->events[i].watch == watch)
			loop->events[i].watch = NULL;
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

static void set_clock(struct loop *loop, int64_t now_us)
{
	loop->now_us = now_us;
	trace_clock(now_us);
}

int64_t loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

int64_t loop_refresh_us(struct loop *loop)
{
	set_clock(loop, trace_now_us() + 1);
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
	return BEGIN_UNIX_US + trace_now_us();
}

struct timers *loop_timers(struct loop *loop)
{
	return &loop->timers;
}

int64_t loop_lag_us(const struct loop *loop)
{
	(void)loop;
	return 0;
}

/* ---- turns */

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	timers_init(&loop->timers);
	task_queue_init(&loop->tasks);
	task_queue_init(&loop->free_tasks);
	/* A clock that had been running for a while. */
	set_clock(loop, 1000000000);
	return loop;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	run_tasks(loop);
	check("nothing is left", loop->watches == 0, "%zu watches", loop->watches);
	check("nothing is left", loop->timers.count == 0, "%zu timers", loop->timers.count);
	timers_finish(&loop->timers);
	free(loop);
}

static void run_peers_until(int64_t now_us)
{
	if (timers_next(channel_peers()) <= now_us)
		timers_run(channel_peers(), now_us);
}

/* The kernel waits whole milliseconds, and never too short. */
static int64_t wake_us(const struct loop *loop)
{
	int64_t next_us = timers_next(&loop->timers);

	if (loop->tasks.first || loop->free_tasks.first || next_us <= loop->now_us)
		return loop->now_us;
	if (next_us == TIMER_NEVER)
		return TIMER_NEVER;
	return loop->now_us + ((next_us - loop->now_us - 1) / 1000 + 1) * 1000;
}

/* The process stands still; the world does not. */
static void stand_still(struct loop *loop, int64_t until_us)
{
	int64_t next_us;

	while ((next_us = timers_next(channel_peers())) < until_us && !loop->stopping) {
		if (next_us > loop->now_us)
			set_clock(loop, next_us);
		run_peers_until(loop->now_us);
	}
	set_clock(loop, until_us);
}

/* Lets the world go on until something is ready or the time is up. */
static void wait(struct loop *loop)
{
	int64_t until_us = wake_us(loop);

	run_peers_until(loop->now_us);
	while (!net_has_ready() && loop->now_us < until_us && !loop->stopping) {
		int64_t next_us = timers_next(channel_peers());

		if (next_us > until_us)
			next_us = until_us;
		check("the world goes on", next_us != TIMER_NEVER, "nothing will ever happen");
		if (next_us > loop->now_us)
			set_clock(loop, next_us);
		run_peers_until(loop->now_us);
	}
	if (dice_chance(loop->dice, loop->pace.slow)) {
		trace("the process pauses", 0, 0, 0);
		int64_t before_us = loop->now_us;
		stand_still(loop, loop->now_us + dice_skewed(loop->dice, 0, loop->pace.slow_us));
		loop->stood_us += loop->now_us - before_us;
	}
	run_peers_until(loop->now_us);
}

/* What one event takes; the world does not stand still meanwhile. */
static void take_time(struct loop *loop)
{
	trace_clock(trace_now_us() + dice_below(loop->dice, (unsigned)loop->pace.event_us));
	if (dice_chance(loop->dice, 1000))
		run_peers_until(trace_now_us());
}

static void round_begin(struct loop *loop, int64_t waited_us)
{
	if (loop->round_turns++ > 0)
		return;
	loop->round_us = waited_us;
	loop->round_watches = loop->watches;
}

/* As the real one: what came before this clock has had its turn. */
static int64_t judge_until_us(struct loop *loop, int64_t waited_us)
{
	bool full = loop->ready == loop->pace.events;

	if (full && loop->round_turns <= loop->round_watches / loop->pace.events)
		return 0;
	loop->round_turns = 0;
	return full ? loop->round_us : waited_us;
}

static void look_for_spinning(struct loop *loop)
{
	if (loop->progress != net_progress()) {
		loop->progress = net_progress();
		loop->idle_turns = 0;
	}
	check("the loop does not spin", ++loop->idle_turns < IDLE_TURNS_MAX,
	    "%d turns without effect", IDLE_TURNS_MAX);
}

static void dispatch(struct loop *loop)
{
	loop->next = 0;
	loop->ready =
	    net_gather(loop->events, loop->pace.events < EVENTS ? loop->pace.events : EVENTS);
	while (loop->next < loop->ready) {
		struct net_ready *event = &loop->events[loop->next++];
		unsigned events;

		if (!event->watch)
			continue;
		/* What is not wanted any more is not told. */
		events = event->events & (event->watch->wanted | LOOP_BROKEN);
		if (events) {
			trace("event # for descriptor #", (int64_t)events, event->watch->fd, 0);
			event->watch->on_event(event->watch, events);
		}
		take_time(loop);
	}
}

static void turn(struct loop *loop)
{
	int64_t waited_us = loop_refresh_us(loop);
	int64_t stood_us = loop->stood_us;
	int64_t judge_us;

	wait(loop);
	round_begin(loop, waited_us);
	/* The clock of a turn stands still but for those who read it anew. */
	dispatch(loop);
	judge_us = judge_until_us(loop, waited_us);
	if (timers_next(&loop->timers) <= judge_us)
		loop->idle_turns = 0;
	if (judge_us - stood_us > loop->seen_us)
		loop->seen_us = judge_us - stood_us;
	timers_run(&loop->timers, judge_us);
	if (judge_us > 0)
		loop->judged_us = judge_us;
	run_tasks(loop);
	look_for_spinning(loop);
}

int loop_run(struct loop *loop)
{
	while (!loop->stopping)
		turn(loop);
	loop->stopping = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
