#include "proxy/listener.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

enum { ACCEPTS_PER_EVENT = 64, PAUSE_US = 100 * 1000, WARN_US = 10 * 1000 * 1000 };

/* How long a listener that is to be closed waits for handshakes under way. This blocks the whole
 * process. */
enum { HANDSHAKE_MS = 20 };

/* Until there is room again, or `due_us` at the latest. */
static void pause_until(struct listener *listener, int64_t due_us)
{
	struct loop *loop = listener->sessions->loop;

	listener->paused = true;
	loop_want(loop, &listener->watch, 0);
	timer_arm(loop_timers(loop), &listener->timer, due_us);
}

static int64_t after_pause_us(const struct listener *listener)
{
	return loop_now_us(listener->sessions->loop) + PAUSE_US;
}

/* rondo itself is short of resources: clients wait in the queue meanwhile. */
static void pause_for_shortage(struct listener *listener, int error)
{
	int64_t now_us = loop_now_us(listener->sessions->loop);

	listener->sessions->accept_pauses++;
	if (listener->warned_us == 0 || now_us - listener->warned_us >= WARN_US) {
		log_warning("accepting pauses: %s", strerror(error));
		listener->warned_us = now_us;
	}
	pause_until(listener, after_pause_us(listener));
}

/* If idle sessions give way, a session that becomes idle makes room although none has ended. */
static void pause_for_room(struct listener *listener)
{
	struct sessions *sessions = listener->sessions;

	sessions_make_room(sessions);
	pause_until(listener, sessions->idle_gives_way ? after_pause_us(listener) : TIMER_NEVER);
}

/* False when no more can be accepted now. */
static bool accept_one(struct listener *listener)
{
	struct net_addr peer;

	if (sessions_are_full(listener->sessions))
		return false;
	int fd = net_accept(listener->watch.fd, &peer);
	if (fd == -EAGAIN)
		return false;
	if (fd < 0) {
		pause_for_shortage(listener, -fd);
		return false;
	}
	if (!session_start(listener->sessions, fd, &peer)) {
		net_close(fd, true);
		pause_for_shortage(listener, ENOMEM);
		return false;
	}
	return true;
}

static void on_event(struct watch *watch, unsigned events)
{
	struct listener *listener = container_of(watch, struct listener, watch);

	(void)events;
	/* Only here: that another client waits is known. */
	if (sessions_are_full(listener->sessions)) {
		pause_for_room(listener);
		return;
	}
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++)
		if (!accept_one(listener))
			return;
}

static void on_due(struct timer *timer)
{
	listener_resume(container_of(timer, struct listener, timer));
}

int listener_open(struct listener *listener, struct sessions *sessions, int fd)
{
	*listener =
	    (struct listener){.sessions = sessions, .watch = {.on_event = on_event, .fd = -1}};
	timer_init(&listener->timer, on_due);
	int error = net_local_addr(fd, &listener->addr);
	return error ? error : loop_watch(sessions->loop, &listener->watch, fd, LOOP_READ);
}

void listener_accept_all(struct listener *listener)
{
	/* Else a client that connects, or ends its handshake, between the last accept and the close
	 * would be refused. */
	net_listen_hold(listener->watch.fd);
	for (size_t room = listener->sessions->slab.limit; room > 0; room--)
		if (!accept_one(listener) &&
		    (listener->paused || sessions_are_full(listener->sessions) ||
			!net_listen_wait(listener->watch.fd, HANDSHAKE_MS)))
			return;
}

void listener_close(struct listener *listener)
{
	int fd = listener->watch.fd;

	if (fd < 0)
		return;
	timer_remove(loop_timers(listener->sessions->loop), &listener->timer);
	loop_unwatch(listener->sessions->loop, &listener->watch);
	net_close(fd, false);
}

void listener_resume(struct listener *listener)
{
	if (!listener->paused || listener->watch.fd < 0)
		return;
	listener->paused = false;
	timer_cancel(&listener->timer);
	/* Should the kernel have no room for it, the pause goes on. */
	if (loop_want(listener->sessions->loop, &listener->watch, LOOP_READ) < 0)
		pause_until(listener, after_pause_us(listener));
}
