#include "event/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * Time here is what the test says. Waiting takes no time: when nothing is ready the clock is moved
 * on by the timeout. after_wait happens between the end of a wait and the loop's next look at the
 * clock.
 */
static struct {
	int64_t now_us;
	int waits;
	int last_timeout_ms;
	int wait_error; /* once */
	void (*after_wait)(void);

	int controls; /* calls of epoll_ctl */
	int control_error;
	int create_error;
} world;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __real_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms);
int __real_epoll_ctl(int fd, int operation, int target, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int operation, int target, struct epoll_event *event);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	assert_int_equal(clock, CLOCK_MONOTONIC);
	now->tv_sec = (time_t)(world.now_us / 1000000);
	now->tv_nsec = (long)(world.now_us % 1000000 * 1000 + 999);
	return 0;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	int ready;

	world.waits++;
	world.last_timeout_ms = timeout_ms;
	if (world.wait_error) {
		errno = world.wait_error;
		world.wait_error = 0;
		ready = -1;
	} else {
		ready = __real_epoll_wait(fd, events, count, 0);
		if (ready == 0 && timeout_ms < 0)
			fail_msg("the loop would wait for ever");
		if (ready == 0)
			world.now_us += (int64_t)timeout_ms * 1000;
	}
	if (world.after_wait)
		world.after_wait();
	return ready;
}

int __wrap_epoll_ctl(int fd, int operation, int target, struct epoll_event *event)
{
	world.controls++;
	if (world.control_error) {
		errno = world.control_error;
		return -1;
	}
	return __real_epoll_ctl(fd, operation, target, event);
}

int __wrap_epoll_create1(int flags)
{
	assert_int_equal(flags, EPOLL_CLOEXEC);
	if (world.create_error) {
		errno = world.create_error;
		return -1;
	}
	return __real_epoll_create1(flags);
}

/* One end of a socket pair is watched; the test plays the other. */
struct peer {
	struct watch watch;
	struct loop *loop;
	int far;
	int calls;
	unsigned events; /* of the last call */
	void (*act)(struct peer *peer);
	struct peer *other;
};

static void on_peer_event(struct watch *watch, unsigned events)
{
	struct peer *peer = container_of(watch, struct peer, watch);

	peer->calls++;
	peer->events = events;
	if (peer->act)
		peer->act(peer);
}

static void peer_open(struct peer *peer, struct loop *loop, unsigned wanted)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	*peer = (struct peer){.loop = loop, .far = ends[1], .watch.on_event = on_peer_event};
	assert_int_equal(loop_watch(loop, &peer->watch, ends[0], wanted), 0);
}

static void peer_close(struct peer *peer)
{
	int fd = peer->watch.fd;

	loop_unwatch(peer->loop, &peer->watch);
	if (fd >= 0)
		close(fd);
	if (peer->far >= 0)
		close(peer->far);
}

static void peer_sends(struct peer *peer)
{
	assert_int_equal(send(peer->far, "x", 1, 0), 1);
}

static void peer_takes(struct peer *peer)
{
	char bytes[64];

	assert_true(recv(peer->watch.fd, bytes, sizeof(bytes), 0) > 0);
}

/* One turn that does not wait. */
struct stopper {
	struct loop_task task;
	struct loop *loop;
};

static void on_stopper(struct loop_task *task)
{
	loop_stop(container_of(task, struct stopper, task)->loop);
}

static void one_turn(struct loop *loop)
{
	struct stopper stopper = {.task.run = on_stopper, .loop = loop};
	int waits = world.waits;

	loop_at_end_of_turn(loop, &stopper.task);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(world.waits, waits + 1);
	assert_int_equal(world.last_timeout_ms, 0);
}

static int set_up(void **state)
{
	memset(&world, 0, sizeof(world));
	world.now_us = 5000000;
	*state = loop_create();
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	world.control_error = 0;
	loop_destroy(*state);
	return 0;
}

/* ---- watches */

static void only_what_is_wanted_is_told(void **state)
{
	static const struct {
		unsigned wanted;
		bool bytes, gone;
		unsigned told;
	} cases[] = {
	    {0, false, false, 0},
	    {0, true, false, 0},
	    {LOOP_READ, false, false, 0},
	    {LOOP_READ, true, false, LOOP_READ},
	    {LOOP_WRITE, true, false, LOOP_WRITE},
	    {LOOP_READ | LOOP_WRITE, false, false, LOOP_WRITE},
	    {LOOP_READ | LOOP_WRITE, true, false, LOOP_READ | LOOP_WRITE},
	    {0, false, true, LOOP_BROKEN},
	    {LOOP_READ, false, true, LOOP_BROKEN | LOOP_READ},
	    {LOOP_READ, true, true, LOOP_BROKEN | LOOP_READ},
	    {LOOP_WRITE, false, true, LOOP_BROKEN | LOOP_WRITE},
	};
	struct loop *loop = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer peer;

		peer_open(&peer, loop, cases[i].wanted);
		if (cases[i].bytes)
			peer_sends(&peer);
		if (cases[i].gone) {
			close(peer.far);
			peer.far = -1;
		}
		one_turn(loop);
		assert_int_equal(peer.events, cases[i].told);
		assert_int_equal(peer.calls, cases[i].told != 0);
		peer_close(&peer);
	}
}

/* The kernel cannot be told to keep quiet about it. */
static void who_wants_nothing_hears_of_a_break_once(void **state)
{
	struct loop *loop = *state;
	struct peer peer;

	peer_open(&peer, loop, LOOP_READ);
	assert_int_equal(loop_want(loop, &peer.watch, 0), 0);
	close(peer.far);
	peer.far = -1;
	for (int i = 0; i < 3; i++)
		one_turn(loop);
	assert_int_equal(peer.calls, 1);
	assert_int_equal(peer.events, LOOP_BROKEN);

	assert_int_equal(loop_want(loop, &peer.watch, LOOP_READ), 0);
	one_turn(loop);
	one_turn(loop);
	assert_int_equal(peer.calls, 3);
	assert_int_equal(peer.events, LOOP_BROKEN | LOOP_READ);
	assert_int_equal(loop_want(loop, &peer.watch, 0), 0);
	one_turn(loop);
	one_turn(loop);
	assert_int_equal(peer.calls, 4);
	/* The kernel may not take it back. */
	world.control_error = ENOSPC;
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_WRITE), -ENOSPC);
	one_turn(loop);
	assert_int_equal(peer.calls, 4);
	world.control_error = 0;
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_WRITE), 0);
	one_turn(loop);
	assert_int_equal(peer.events, LOOP_BROKEN | LOOP_WRITE);
	peer_close(&peer);

	/* One that rests may be stopped and started again. */
	peer_open(&peer, loop, 0);
	close(peer.far);
	peer.far = -1;
	one_turn(loop);
	assert_int_equal(peer.calls, 1);
	peer_close(&peer);
	one_turn(loop);
	peer_open(&peer, loop, LOOP_READ);
	peer_sends(&peer);
	one_turn(loop);
	assert_int_equal(peer.events, LOOP_READ);
	peer_close(&peer);
}

static void half_a_close_is_the_end_of_the_stream_only(void **state)
{
	struct peer peer;

	peer_open(&peer, *state, LOOP_READ);
	shutdown(peer.far, SHUT_WR);
	one_turn(*state);
	assert_int_equal(peer.events, LOOP_READ);
	peer_close(&peer);
}

/* Without reading, and whatever waits to be read before it; once, when it is no more wanted then. */
static void the_end_of_a_stream_is_told_before_it_is_read(void **state)
{
	struct loop *loop = *state;
	struct peer peer;

	peer_open(&peer, loop, LOOP_END);
	peer_sends(&peer);
	one_turn(loop);
	assert_int_equal(peer.calls, 0);
	shutdown(peer.far, SHUT_WR);
	one_turn(loop);
	assert_int_equal(peer.events, LOOP_END);
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_READ | LOOP_END), 0);
	one_turn(loop);
	assert_int_equal(peer.events, LOOP_READ | LOOP_END);
	assert_int_equal(loop_want(loop, &peer.watch, 0), 0);
	peer.calls = 0;
	one_turn(loop);
	one_turn(loop);
	assert_int_equal(peer.calls, 0);
	peer_close(&peer);
}

static void wanting_less_is_free_until_an_event_comes(void **state)
{
	struct loop *loop = *state;
	struct peer peer;

	peer_open(&peer, loop, LOOP_READ);
	world.controls = 0;
	assert_int_equal(loop_want(loop, &peer.watch, 0), 0);
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_READ), 0);
	assert_int_equal(loop_want(loop, &peer.watch, 0), 0);
	one_turn(loop);
	assert_int_equal(world.controls, 0);
	peer_sends(&peer);
	one_turn(loop);
	assert_int_equal(world.controls, 1);
	one_turn(loop);
	one_turn(loop);
	assert_int_equal(world.controls, 1);
	assert_int_equal(peer.calls, 0);
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_READ), 0);
	assert_int_equal(world.controls, 2);
	one_turn(loop);
	assert_int_equal(peer.calls, 1);
	assert_int_equal(peer.events, LOOP_READ);
	peer_close(&peer);
}

static void wanting_more_is_told_at_once(void **state)
{
	struct loop *loop = *state;
	struct peer peer;

	peer_open(&peer, loop, LOOP_READ);
	world.controls = 0;
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_WRITE), 0);
	assert_int_equal(world.controls, 1);
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_READ | LOOP_WRITE), 0);
	assert_int_equal(world.controls, 2);
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_READ), 0);
	assert_int_equal(world.controls, 2);
	peer_sends(&peer);
	one_turn(loop);
	/* The kernel still reports that there is room; the owner does not hear of it. */
	assert_int_equal(peer.events, LOOP_READ);
	peer_close(&peer);
}

static void errors_of_the_kernel_change_nothing(void **state)
{
	struct loop *loop = *state;
	struct watch watch = {.on_event = on_peer_event};
	struct peer peer;

	peer_open(&peer, loop, LOOP_READ);
	peer_sends(&peer);
	world.control_error = ENOSPC;
	assert_int_equal(loop_watch(loop, &watch, peer.far, LOOP_READ), -ENOSPC);
	assert_int_equal(watch.fd, -1);
	loop_unwatch(loop, &watch);
	assert_int_equal(loop_want(loop, &peer.watch, LOOP_WRITE), -ENOSPC);
	assert_int_equal(peer.watch.wanted, LOOP_READ);
	/* An unwanted event whose interest cannot be dropped comes again, and is not handed on. */
	assert_int_equal(loop_want(loop, &peer.watch, 0), 0);
	one_turn(loop);
	one_turn(loop);
	assert_int_equal(peer.calls, 0);
	assert_int_equal(peer.watch.registered, LOOP_READ);
	world.control_error = 0;
	one_turn(loop);
	assert_int_equal(peer.watch.registered, 0);
	assert_int_equal(loop_watch(loop, &watch, peer.far, 0), 0);
	assert_int_equal(
	    loop_watch(loop, &(struct watch){.on_event = on_peer_event}, peer.far, 0), -EEXIST);
	loop_unwatch(loop, &watch);
	peer_close(&peer);
}

static void stop_both(struct peer *peer)
{
	loop_unwatch(peer->loop, &peer->watch);
	loop_unwatch(peer->loop, &peer->other->watch);
	loop_unwatch(peer->loop, &peer->watch);
}

static void a_stopped_watch_hears_nothing_more_of_the_turn(void **state)
{
	struct loop *loop = *state;
	struct peer a, b;
	int a_fd, b_fd;

	peer_open(&a, loop, LOOP_READ);
	peer_open(&b, loop, LOOP_READ);
	a_fd = a.watch.fd;
	b_fd = b.watch.fd;
	a.act = b.act = stop_both;
	a.other = &b;
	b.other = &a;
	peer_sends(&a);
	peer_sends(&b);
	one_turn(loop);
	one_turn(loop);
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(a.watch.fd, -1);
	assert_int_equal(b.watch.fd, -1);
	close(a_fd);
	close(b_fd);
	peer_close(&a);
	peer_close(&b);
}

/* Stops the other and starts it again for a descriptor that has nothing to tell. */
static void replace_other(struct peer *peer)
{
	struct peer *other = peer->other;
	int old = other->watch.fd;
	int ends[2];

	loop_unwatch(peer->loop, &other->watch);
	close(old);
	close(other->far);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	other->far = ends[1];
	assert_int_equal(loop_watch(peer->loop, &other->watch, ends[0], LOOP_READ), 0);
	peer->act = other->act = NULL;
	peer_takes(peer);
}

static void a_watch_started_again_does_not_hear_of_its_past(void **state)
{
	struct loop *loop = *state;
	struct peer a, b;

	peer_open(&a, loop, LOOP_READ);
	peer_open(&b, loop, LOOP_READ);
	a.act = b.act = replace_other;
	a.other = &b;
	b.other = &a;
	peer_sends(&a);
	peer_sends(&b);
	one_turn(loop);
	assert_int_equal(a.calls + b.calls, 1);
	one_turn(loop);
	assert_int_equal(a.calls + b.calls, 1);
	peer_sends(&a);
	peer_sends(&b);
	one_turn(loop);
	assert_int_equal(a.calls + b.calls, 3);
	peer_close(&a);
	peer_close(&b);
}

/* ---- time */

struct deadline {
	struct timer timer;
	struct loop *loop;
	int runs;
	int64_t ran_us;
	bool stops;
};

static void on_deadline(struct timer *timer)
{
	struct deadline *deadline = container_of(timer, struct deadline, timer);

	deadline->runs++;
	deadline->ran_us = loop_now_us(deadline->loop);
	if (deadline->stops)
		loop_stop(deadline->loop);
}

static void deadline_init(struct deadline *deadline, struct loop *loop, int64_t due_us)
{
	*deadline = (struct deadline){.loop = loop};
	timer_init(&deadline->timer, on_deadline);
	timer_arm(loop_timers(loop), &deadline->timer, due_us);
}

static void timers_are_never_early_and_waits_not_too_short(void **state)
{
	static const struct {
		int64_t in_us;
		int64_t timeout_ms;
	} cases[] = {{1, 1}, {999, 1}, {1000, 1}, {1001, 2}, {250000, 250}, {3600000000, 3600000}};
	struct loop *loop = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct deadline deadline;
		int64_t due_us = loop_refresh_us(loop) + cases[i].in_us;
		int waits = world.waits;

		deadline_init(&deadline, loop, due_us);
		deadline.stops = true;
		world.last_timeout_ms = -1;
		assert_int_equal(loop_run(loop), 0);
		assert_int_equal(deadline.runs, 1);
		assert_true(deadline.ran_us >= due_us);
		assert_in_range(deadline.ran_us, due_us, due_us + 999);
		/* The wait, and a look at what came while it ended. */
		assert_int_equal(world.waits, waits + 2);
		assert_int_equal(world.last_timeout_ms, 0);
		assert_int_equal(
		    deadline.ran_us - due_us, cases[i].timeout_ms * 1000 - cases[i].in_us);
	}
}

static void a_timer_beyond_the_longest_wait_is_waited_for_in_pieces(void **state)
{
	struct loop *loop = *state;
	struct deadline deadline;
	int64_t in_us = (int64_t)INT32_MAX * 1000 + 5000000;

	deadline_init(&deadline, loop, loop_now_us(loop) + in_us);
	deadline.stops = true;
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(world.waits, 3);
	assert_int_equal(world.now_us, 5000000 + in_us);
}

static struct peer *stopped_peer;

/* The process is stopped for a minute just when the wait has ended; meanwhile the peer sends. */
static void be_stopped(void)
{
	if (stopped_peer) {
		world.now_us += 60000000;
		peer_sends(stopped_peer);
		stopped_peer = NULL;
	}
}

struct guarded {
	struct peer peer;
	struct deadline deadline;
};

static void push_deadline_away(struct peer *peer)
{
	struct guarded *guarded = container_of(peer, struct guarded, peer);

	peer_takes(peer);
	timer_arm(
	    loop_timers(peer->loop), &guarded->deadline.timer, loop_now_us(peer->loop) + 10000000);
}

static void absence_is_not_taken_for_silence(void **state)
{
	static const int errors[] = {0, EINTR};
	struct loop *loop = *state;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct guarded guarded;

		peer_open(&guarded.peer, loop, LOOP_READ);
		guarded.peer.act = push_deadline_away;
		deadline_init(&guarded.deadline, loop, loop_refresh_us(loop) + 1000000);
		stopped_peer = &guarded.peer;
		world.after_wait = be_stopped;
		world.wait_error = errors[i];
		one_turn(loop);
		one_turn(loop);
		one_turn(loop);
		assert_int_equal(guarded.peer.calls, 1);
		assert_int_equal(guarded.deadline.runs, 0);
		/* Silence after that does count. */
		guarded.deadline.stops = true;
		assert_int_equal(loop_run(loop), 0);
		assert_int_equal(guarded.deadline.runs, 1);
		peer_close(&guarded.peer);
	}
}

static void interrupted_waits_do_not_matter(void **state)
{
	struct loop *loop = *state;
	struct peer peer;

	peer_open(&peer, loop, LOOP_READ);
	peer_sends(&peer);
	world.wait_error = EINTR;
	one_turn(loop);
	assert_int_equal(peer.calls, 0);
	one_turn(loop);
	assert_int_equal(peer.calls, 1);
	peer_close(&peer);
}

static void failed_waits_end_the_run(void **state)
{
	world.wait_error = EBADF;
	assert_int_equal(loop_run(*state), -EBADF);
}

enum { CROWD = 1100 }; /* more than two turns' worth */

/* Duplicates of one end: all are always ready for writing. */
static void crowd_open(struct peer *crowd, struct loop *loop)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < CROWD + 100) {
		limit.rlim_cur = CROWD + 100;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			skip();
	}
	peer_open(&crowd[0], loop, LOOP_WRITE);
	for (int i = 1; i < CROWD; i++) {
		crowd[i] = (struct peer){.loop = loop, .far = -1, .watch.on_event = on_peer_event};
		assert_int_equal(
		    loop_watch(loop, &crowd[i].watch, dup(crowd[0].watch.fd), LOOP_WRITE), 0);
	}
}

static void crowd_close(struct peer *crowd)
{
	for (int i = 0; i < CROWD; i++)
		peer_close(&crowd[i]);
}

static void with_more_input_than_a_turn_holds_deadlines_wait_but_not_for_ever(void **state)
{
	static struct peer crowd[CROWD];
	struct loop *loop = *state;
	struct deadline deadline;

	crowd_open(crowd, loop);
	deadline_init(&deadline, loop, loop_now_us(loop) - 1);
	one_turn(loop);
	assert_int_equal(deadline.runs, 0);
	one_turn(loop);
	assert_int_equal(deadline.runs, 0);
	one_turn(loop);
	assert_int_equal(deadline.runs, 1);
	for (int i = 0; i < CROWD; i++)
		assert_in_range(crowd[i].calls, 1, 2);
	crowd_close(crowd);
}

/* Takes a second, in which somebody else's byte comes. */
static void be_slow_while_another_sends(struct peer *peer)
{
	peer_sends(peer->other);
	world.now_us += 1000000;
	peer->act = NULL;
}

static void what_came_within_a_round_of_turns_is_heard_before_it_is_judged(void **state)
{
	static struct peer crowd[CROWD];
	struct loop *loop = *state;
	struct guarded guarded;

	peer_open(&guarded.peer, loop, LOOP_READ);
	guarded.peer.act = push_deadline_away;
	crowd_open(crowd, loop);
	crowd[0].act = be_slow_while_another_sends;
	crowd[0].other = &guarded.peer;
	deadline_init(&guarded.deadline, loop, loop_refresh_us(loop) + 500000);
	for (int i = 0; i < 2 * (CROWD / 512 + 1); i++)
		one_turn(loop);
	assert_int_equal(guarded.peer.calls, 1);
	assert_int_equal(guarded.deadline.runs, 0);
	crowd_close(crowd);
	/* Silence after that does count. */
	guarded.deadline.stops = true;
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(guarded.deadline.runs, 1);
	peer_close(&guarded.peer);
}

static void leave(struct peer *peer)
{
	int fd = peer->watch.fd;

	loop_unwatch(peer->loop, &peer->watch);
	close(fd);
}

static void who_leaves_within_a_round_of_turns_does_not_shorten_it(void **state)
{
	static struct peer crowd[CROWD];
	struct loop *loop = *state;
	struct guarded guarded;

	crowd_open(crowd, loop);
	for (int i = 0; i < 512; i++)
		crowd[i].act = leave;
	peer_open(&guarded.peer, loop, LOOP_READ);
	guarded.peer.act = push_deadline_away;
	peer_sends(&guarded.peer);
	deadline_init(&guarded.deadline, loop, loop_refresh_us(loop) - 1);
	for (int i = 0; i < CROWD / 512 + 1; i++)
		one_turn(loop);
	assert_int_equal(guarded.peer.calls, 1);
	assert_int_equal(guarded.deadline.runs, 0);
	timer_remove(loop_timers(loop), &guarded.deadline.timer);
	peer_close(&guarded.peer);
	crowd_close(crowd);
}

static void now_is_read_once_a_turn(void **state)
{
	struct loop *loop = *state;

	assert_int_equal(loop_now_us(loop), 5000000);
	world.now_us = 5000123;
	assert_int_equal(loop_now_us(loop), 5000000);
	assert_int_equal(loop_refresh_us(loop), 5000123);
	assert_int_equal(loop_now_us(loop), 5000123);
	world.now_us = 6000000;
	one_turn(loop);
	assert_int_equal(loop_now_us(loop), 6000000);
}

static void be_slow(struct peer *peer)
{
	world.now_us += 30000;
	peer_takes(peer);
}

static void lag_is_the_longest_turn_of_the_last_second(void **state)
{
	struct loop *loop = *state;
	struct peer peer;

	peer_open(&peer, loop, LOOP_READ);
	peer.act = be_slow;
	one_turn(loop);
	assert_int_equal(loop_lag_us(loop), 0);
	peer_sends(&peer);
	one_turn(loop);
	assert_int_equal(loop_lag_us(loop), 30000);
	for (int i = 0; i < 9; i++) {
		world.now_us += 100000;
		one_turn(loop);
		assert_int_equal(loop_lag_us(loop), 30000);
	}
	for (int i = 0; i < 20; i++) {
		world.now_us += 100000;
		one_turn(loop);
	}
	assert_int_equal(loop_lag_us(loop), 0);
	/* Waiting is no lag, and what was before a long wait is no longer told. */
	peer_sends(&peer);
	one_turn(loop);
	assert_int_equal(loop_lag_us(loop), 30000);
	world.now_us += 10000000;
	loop_refresh_us(loop);
	assert_int_equal(loop_lag_us(loop), 0);
	one_turn(loop);
	assert_int_equal(loop_lag_us(loop), 0);
	peer_close(&peer);
}

/* ---- tasks */

static char done[16];

struct chore {
	struct loop_task task;
	struct loop *loop;
	char name;
	struct chore *then_task;
	struct chore *then_free;
};

static void on_chore(struct loop_task *task)
{
	struct chore *chore = container_of(task, struct chore, task);

	strncat(done, &chore->name, 1);
	if (chore->then_task)
		loop_at_end_of_turn(chore->loop, &chore->then_task->task);
	if (chore->then_free)
		loop_free_later(chore->loop, &chore->then_free->task);
}

static struct chore chore(struct loop *loop, char name)
{
	return (struct chore){.task.run = on_chore, .loop = loop, .name = name};
}

static void tasks_come_in_order_and_free_tasks_last(void **state)
{
	struct loop *loop = *state;
	struct chore a = chore(loop, 'a');
	struct chore b = chore(loop, 'b');
	struct chore c = chore(loop, 'c');
	struct chore x = chore(loop, 'X');
	struct chore y = chore(loop, 'Y');

	a.then_task = &c;
	b.then_free = &y;
	done[0] = '\0';
	loop_free_later(loop, &x.task);
	loop_at_end_of_turn(loop, &a.task);
	loop_at_end_of_turn(loop, &b.task);
	/* Both wait already. */
	loop_at_end_of_turn(loop, &a.task);
	loop_at_end_of_turn(loop, &b.task);
	one_turn(loop);
	assert_string_equal(done, "abcXY");
	a.then_task = NULL;
	loop_at_end_of_turn(loop, &a.task);
	one_turn(loop);
	assert_string_equal(done, "abcXYa");
}

static void a_free_task_may_queue_more_tasks(void **state)
{
	struct loop *loop = *state;
	struct chore a = chore(loop, 'a');
	struct chore x = chore(loop, 'X');
	struct chore y = chore(loop, 'Y');

	x.then_task = &a;
	done[0] = '\0';
	loop_free_later(loop, &x.task);
	loop_free_later(loop, &y.task);
	one_turn(loop);
	assert_string_equal(done, "XaY");
}

static void on_free_task(struct loop_task *task)
{
	free(task);
}

static void free_tasks_may_free_themselves(void **state)
{
	struct loop *loop = *state;

	for (int i = 0; i < 3; i++) {
		struct loop_task *task = calloc(1, sizeof(*task));

		assert_non_null(task);
		task->run = on_free_task;
		loop_free_later(loop, task);
	}
	one_turn(loop);
}

static void destroying_finishes_what_is_queued(void **state)
{
	struct loop *loop = *state;
	struct chore a = chore(loop, 'a');
	struct chore x = chore(loop, 'X');

	done[0] = '\0';
	loop_free_later(loop, &x.task);
	loop_at_end_of_turn(loop, &a.task);
	loop_destroy(loop);
	*state = NULL;
	assert_string_equal(done, "aX");
}

static void a_stop_before_the_run_is_not_lost(void **state)
{
	loop_stop(*state);
	assert_int_equal(loop_run(*state), 0);
	assert_int_equal(world.waits, 0);
	one_turn(*state);
}

static void no_descriptor_is_no_loop(void **state)
{
	(void)state;
	world.create_error = EMFILE;
	assert_null(loop_create());
	assert_int_equal(errno, EMFILE);
}

#define loop_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    loop_test(only_what_is_wanted_is_told),
	    loop_test(who_wants_nothing_hears_of_a_break_once),
	    loop_test(half_a_close_is_the_end_of_the_stream_only),
	    loop_test(the_end_of_a_stream_is_told_before_it_is_read),
	    loop_test(wanting_less_is_free_until_an_event_comes),
	    loop_test(wanting_more_is_told_at_once),
	    loop_test(errors_of_the_kernel_change_nothing),
	    loop_test(a_stopped_watch_hears_nothing_more_of_the_turn),
	    loop_test(a_watch_started_again_does_not_hear_of_its_past),
	    loop_test(timers_are_never_early_and_waits_not_too_short),
	    loop_test(a_timer_beyond_the_longest_wait_is_waited_for_in_pieces),
	    loop_test(absence_is_not_taken_for_silence),
	    loop_test(interrupted_waits_do_not_matter),
	    loop_test(failed_waits_end_the_run),
	    loop_test(with_more_input_than_a_turn_holds_deadlines_wait_but_not_for_ever),
	    loop_test(what_came_within_a_round_of_turns_is_heard_before_it_is_judged),
	    loop_test(who_leaves_within_a_round_of_turns_does_not_shorten_it),
	    loop_test(now_is_read_once_a_turn),
	    loop_test(lag_is_the_longest_turn_of_the_last_second),
	    loop_test(tasks_come_in_order_and_free_tasks_last),
	    loop_test(a_free_task_may_queue_more_tasks),
	    loop_test(free_tasks_may_free_themselves),
	    loop_test(destroying_finishes_what_is_queued),
	    loop_test(a_stop_before_the_run_is_not_lost),
	    loop_test(no_descriptor_is_no_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
