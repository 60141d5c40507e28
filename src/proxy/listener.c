#include "proxy/listener.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

enum { ACCEPTS_PER_EVENT = 64, PAUSE_US = 100 * 1000, WARN_US = 10 * 1000 * 1000 };

/* How long a listener that is to be closed waits for handshakes under way. Everything else waits as
 * long. */
enum { HANDSHAKE_MS = 20 };

static void pause_accepting(struct listener *listener)
{
	listener->paused = true;
	loop_want(listener->service->loop, &listener->watch, 0);
}

/* rondo's own trouble: clients wait in the queue meanwhile. */
static void pause_for_shortage(struct listener *listener, int error)
{
	struct loop *loop = listener->service->loop;
	int64_t now_us = loop_now_us(loop);

	listener->service->counters.accept_pauses++;
	if (listener->warned_us == 0 || now_us - listener->warned_us >= WARN_US) {
		log_warning("accepting pauses: %s", strerror(error));
		listener->warned_us = now_us;
	}
	pause_accepting(listener);
	timer_arm(loop_timers(loop), &listener->timer, now_us + PAUSE_US);
}

/* False when no more can be accepted now. */
static bool accept_one(struct listener *listener)
{
	struct service *service = listener->service;

	if (service->sessions.in_use >= service->sessions.limit) {
		pause_accepting(listener);
		return false;
	}
	struct net_addr peer;
	int fd = net_accept(listener->watch.fd, &peer);
	if (fd == -EAGAIN)
		return false;
	if (fd < 0) {
		pause_for_shortage(listener, -fd);
		return false;
	}
	if (!session_start(service, fd, &peer)) {
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
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++)
		if (!accept_one(listener))
			return;
}

static void on_due(struct timer *timer)
{
	listener_resume(container_of(timer, struct listener, timer));
}

int listener_open(struct listener *listener, struct service *service, int fd)
{
	*listener = (struct listener){.service = service, .watch = {.on_event = on_event}};
	timer_init(&listener->timer, on_due);
	int error = net_local_addr(fd, &listener->addr);
	return error ? error : loop_watch(service->loop, &listener->watch, fd, LOOP_READ);
}

void listener_accept_all(struct listener *listener)
{
	/* Else one who comes between the last accept and the close would be turned away, or whose
	 * handshake ends then. */
	net_listen_hold(listener->watch.fd);
	for (size_t room = listener->service->sessions.limit; room > 0; room--)
		if (!accept_one(listener) &&
		    (listener->paused || !net_listen_wait(listener->watch.fd, HANDSHAKE_MS)))
			return;
}

void listener_close(struct listener *listener)
{
	int fd = listener->watch.fd;

	if (fd < 0)
		return;
	timer_remove(loop_timers(listener->service->loop), &listener->timer);
	loop_unwatch(listener->service->loop, &listener->watch);
	net_close(fd, false);
}

void listener_resume(struct listener *listener)
{
	if (!listener->paused || listener->watch.fd < 0)
		return;
	listener->paused = false;
	timer_cancel(&listener->timer);
	/* Should the kernel have no room for it, the pause goes on. */
	if (loop_want(listener->service->loop, &listener->watch, LOOP_READ) < 0) {
		listener->paused = true;
		timer_arm(loop_timers(listener->service->loop), &listener->timer,
		    loop_now_us(listener->service->loop) + PAUSE_US);
	}
}
