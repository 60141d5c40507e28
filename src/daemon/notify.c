#include "notify.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_US = 1000 * 1000, STOP_MARGIN_US = 5 * 1000 * 1000 };

/* ---- datagrams */

/* Sends the waiting datagrams in order. Some are left only when the socket's queue is full. */
static void flush(struct notify *notify)
{
	while (notify->waiting_len > 0) {
		struct str first = str_from(notify->waiting);
		int error = net_datagram_send(notify->fd, &notify->address, first);

		if (error == -EAGAIN)
			return;
		if (error < 0 && !notify->has_failed)
			log_warning("cannot send to the supervisor: %s", strerror(-error));
		notify->has_failed = error < 0;
		notify->waiting_len -= first.len + 1;
		memmove(notify->waiting, first.data + first.len + 1, notify->waiting_len);
	}
}

__attribute__((format(printf, 2, 3))) static void tell(
    struct notify *notify, const char *format, ...)
{
	va_list args;

	if (notify->fd < 0 || !notify->is_main)
		return;
	size_t room = sizeof(notify->waiting) - notify->waiting_len;
	va_start(args, format);
	int len = vsnprintf(notify->waiting + notify->waiting_len, room, format, args);
	va_end(args);
	/* The supervisor has not read for so long that one more datagram would not help: drop
	 * it. */
	if (len < 0 || (size_t)len >= room)
		return;
	notify->waiting_len += (size_t)len + 1;
	flush(notify);
}

/* ---- the status line */

static void compose_status(const struct notify *notify, char *text, size_t size)
{
	const struct proxy *proxy = notify->proxy;
	size_t clients = proxy->sessions.slab.in_use;

	if (proxy->draining) {
		snprintf(
		    text, size, "draining: %zu client%s left", clients, clients == 1 ? "" : "s");
		return;
	}
	snprintf(text, size, "%s%sserving %zu/%zu backends, %zu client%s; config %s",
	    notify->refusal, notify->refusal[0] ? "; " : "", ring_count_up(proxy->ring),
	    proxy->ring->count, clients, clients == 1 ? "" : "s", notify->loaded);
}

/* Composes the status line again. True when it differs from `said`, which it replaces. */
static bool renew_status(struct notify *notify)
{
	char text[sizeof(notify->said)];

	compose_status(notify, text, sizeof(text));
	if (strcmp(text, notify->said) == 0)
		return false;
	memcpy(notify->said, text, sizeof(text));
	return true;
}

static void on_status_due(struct timer *timer)
{
	struct notify *notify = container_of(timer, struct notify, status_timer);

	flush(notify);
	if (renew_status(notify))
		tell(notify, "STATUS=%s", notify->said);
	timer_arm(loop_timers(notify->loop), timer, loop_now_us(notify->loop) + STATUS_US);
}

static void note_loaded(struct notify *notify)
{
	time_t now = time(NULL);
	struct tm parts;

	notify->refusal[0] = '\0';
	strftime(notify->loaded, sizeof(notify->loaded), "%H:%M:%S", localtime_r(&now, &parts));
}

/* ---- the watchdog */

static void on_watchdog_due(struct timer *timer)
{
	struct notify *notify = container_of(timer, struct notify, watchdog_timer);

	tell(notify, "WATCHDOG=1");
	timer_arm(
	    loop_timers(notify->loop), timer, loop_now_us(notify->loop) + notify->watchdog_us / 2);
}

/* The watchdog limit for this process, read as sd_watchdog_enabled(3) does. */
static int64_t read_watchdog_us(void)
{
	uint64_t us, pid;
	const char *wanted_pid = getenv("WATCHDOG_PID");

	if (!str_to_number(str_from(getenv("WATCHDOG_USEC")), &us))
		return 0;
	if (wanted_pid && (!str_to_number(str_from(wanted_pid), &pid) || pid != (uint64_t)getpid()))
		return 0;
	return (int64_t)us;
}

/* ---- life */

/* A path, or a name in the abstract namespace with an @ in front. unix(7). */
static bool read_address(struct net_addr *address, struct str text)
{
	*address = (struct net_addr){0};
	if (text.len < 2 || text.len > sizeof(address->path.sun_path) ||
	    (text.data[0] != '/' && text.data[0] != '@'))
		return false;
	address->path.sun_family = AF_UNIX;
	memcpy(address->path.sun_path, text.data, text.len);
	if (text.data[0] == '@')
		address->path.sun_path[0] = '\0';
	address->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + text.len);
	return true;
}

void notify_open(struct notify *notify, struct loop *loop, const struct proxy *proxy)
{
	const char *path = getenv("NOTIFY_SOCKET");

	*notify = (struct notify){.loop = loop, .proxy = proxy, .fd = -1};
	timer_init(&notify->status_timer, on_status_due);
	timer_init(&notify->watchdog_timer, on_watchdog_due);
	note_loaded(notify);
	if (!path)
		return;
	int fd = read_address(&notify->address, str_from(path)) ? net_datagram_open() : -EINVAL;
	if (fd < 0) {
		log_error("NOTIFY_SOCKET=%s cannot be used: %s", path, strerror(-fd));
		return;
	}
	notify->fd = fd;
	notify->watchdog_us = read_watchdog_us();
}

void notify_close(struct notify *notify)
{
	if (notify->fd < 0)
		return;
	timer_remove(loop_timers(notify->loop), &notify->status_timer);
	timer_remove(loop_timers(notify->loop), &notify->watchdog_timer);
	flush(notify);
	net_close(notify->fd, false);
	notify->fd = -1;
}

/* ---- what is said */

void notify_say_ready(struct notify *notify)
{
	if (notify->fd < 0)
		return;
	notify->is_main = true;
	renew_status(notify);
	tell(notify, "READY=1\nSTATUS=%s", notify->said);
	on_status_due(&notify->status_timer);
	if (notify->watchdog_us > 0)
		on_watchdog_due(&notify->watchdog_timer);
}

void notify_say_reloading(struct notify *notify)
{
	/* Read the clock again: the time must not be earlier than the request, and the turn may
	 * have begun before it. */
	tell(notify, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the configuration",
	    (long long)loop_refresh_us(notify->loop));
}

void notify_say_reloaded(struct notify *notify)
{
	note_loaded(notify);
	renew_status(notify);
	tell(notify, "READY=1\nSTATUS=%s", notify->said);
}

void notify_say_refused(struct notify *notify, const char *reason)
{
	char *refusal = notify->refusal;

	snprintf(refusal, sizeof(notify->refusal), "reload refused: %s", reason);
	/* systemd drops a datagram with bytes that are not text, and a line feed would begin
	 * another state. */
	for (; *refusal; refusal++)
		if (*refusal < ' ' || *refusal > '~')
			*refusal = '?';
	renew_status(notify);
	tell(notify, "READY=1\nSTATUS=%s", notify->said);
}

void notify_say_stopping(struct notify *notify, int64_t limit_us)
{
	long long extend_us = limit_us + STOP_MARGIN_US;

	renew_status(notify);
	tell(notify, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\nSTATUS=%s", extend_us, notify->said);
}

void notify_hand_over(struct notify *notify, pid_t pid)
{
	/* The new process must serve the watchdog for the first time within half a period from
	 * now. */
	tell(notify, "MAINPID=%lld%s\nSTATUS=handed over to process %lld", (long long)pid,
	    notify->watchdog_us > 0 ? "\nWATCHDOG=1" : "", (long long)pid);
	notify->is_main = false;
	timer_cancel(&notify->status_timer);
	timer_cancel(&notify->watchdog_timer);
}
