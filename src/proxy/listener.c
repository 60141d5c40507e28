#include "proxy/listener.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

enum {
	ACCEPTS_PER_EVENT = 64,
	PAUSE_US = 100 * 1000,
	ROOM_US = 20 * 1000,
	WARN_US = 10 * 1000 * 1000
};

/* How long a listener that ends waits for handshakes under way. */
enum { HANDSHAKE_US = 50 * 1000 };

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

/* If sessions give way, one that becomes idle or old makes room although none has ended. */
static void pause_for_room(struct listener *listener)
{
	struct sessions *sessions = listener->sessions;

	sessions_make_room(sessions);
	if (sessions->gives_way_us > 0)
		pause_until(listener, loop_now_us(sessions->loop) + ROOM_US);
	else
		pause_until(listener, listener->is_ending ? after_pause_us(listener) : TIMER_NEVER);
}

static bool is_welcome(const struct listener *listener, const struct net_addr *peer)
{
	const struct listener_options *options = &listener->options;
	char ip[NET_IP_TEXT_SIZE], addr[NET_ADDR_TEXT_SIZE];

	if (options->proxy_from_count == 0 ||
	    net_blocks_contain(options->proxy_from, options->proxy_from_count, peer))
		return true;
	if (sessions_may_say(listener->sessions, "it is not in proxy_from"))
		log_info("connection from %s closed: it is not in proxy_from of %s",
		    net_addr_format_ip(peer, ip), net_addr_format(&listener->addr, addr));
	return false;
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
	if (!is_welcome(listener, &peer)) {
		net_close(fd, false);
		return true;
	}
	const struct session_origin origin = {
	    .peer = &peer,
	    .is_introduced = listener->options.proxy_from_count > 0,
	    .is_https = listener->options.is_https,
	};
	if (!session_start(listener->sessions, fd, &origin)) {
		net_close(fd, true);
		pause_for_shortage(listener, ENOMEM);
		return false;
	}
	return true;
}

/* True when nobody waits any more. */
static bool accept_some(struct listener *listener)
{
	/* Only here: that another client waits is known. */
	if (sessions_are_full(listener->sessions)) {
		pause_for_room(listener);
		return false;
	}
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++)
		if (!accept_one(listener))
			return !listener->paused && !sessions_are_full(listener->sessions);
	return false;
}

/* The listener may be freed then. */
static void go_on_ending(struct listener *listener)
{
	int64_t now_us = loop_now_us(listener->sessions->loop);

	if (accept_some(listener) && now_us >= listener->ends_us) {
		listener_close(listener);
		listener->on_end(listener);
	} else if (!listener->paused) {
		timer_arm(loop_timers(listener->sessions->loop), &listener->timer,
		    listener->ends_us > now_us ? listener->ends_us : now_us);
	}
}

static void on_event(struct watch *watch, unsigned events)
{
	struct listener *listener = container_of(watch, struct listener, watch);

	(void)events;
	if (listener->is_ending)
		go_on_ending(listener);
	else
		accept_some(listener);
}

static void on_due(struct timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, timer);

	listener_resume(listener);
	if (listener->is_ending)
		go_on_ending(listener);
}

int listener_open(struct listener *listener, struct sessions *sessions, int fd)
{
	*listener =
	    (struct listener){.sessions = sessions, .watch = {.on_event = on_event, .fd = -1}};
	timer_init(&listener->timer, on_due);
	int error = net_local_addr(fd, &listener->addr);
	if (!error)
		listener->file = net_file_of(&listener->addr);
	return error ? error : loop_watch(sessions->loop, &listener->watch, fd, LOOP_READ);
}

void listener_end(
    struct listener *listener, bool is_shared, void (*on_end)(struct listener *listener))
{
	int64_t now_us = loop_now_us(listener->sessions->loop);
	bool has_handshakes = listener->addr.any.sa_family != AF_UNIX;

	listener_resume(listener);
	/* Should the kernel refuse this, clients are let in until it closes. */
	net_listen_end(listener->watch.fd, is_shared);
	listener->is_ending = true;
	listener->on_end = on_end;
	listener->ends_us = now_us + (has_handshakes ? HANDSHAKE_US : 0);
	if (!accept_some(listener) && listener->paused)
		return;
	timer_arm(loop_timers(listener->sessions->loop), &listener->timer, listener->ends_us);
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
	if (listener->is_ending)
		timer_arm(loop_timers(listener->sessions->loop), &listener->timer,
		    loop_now_us(listener->sessions->loop));
	/* Should the kernel have no room for it, the pause goes on. */
	if (loop_want(listener->sessions->loop, &listener->watch, LOOP_READ) < 0)
		pause_until(listener, after_pause_us(listener));
}
