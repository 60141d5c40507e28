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

/* Sends what waits, in order. Only a full queue leaves something behind. */
static void flush(struct supervisor *supervisor)
{
	while (supervisor->waiting_len > 0) {
		struct str first = str_from(supervisor->waiting);
		int error = net_datagram_send(supervisor->fd, &supervisor->address, first);

		if (error == -EAGAIN)
			return;
		if (error < 0 && !supervisor->has_failed)
			log_warning("the supervisor cannot be told anything: %s", strerror(-error));
		supervisor->has_failed = error < 0;
		supervisor->waiting_len -= first.len + 1;
		memmove(supervisor->waiting, first.data + first.len + 1, supervisor->waiting_len);
	}
}

__attribute__((format(printf, 2, 3))) static void tell(
    struct supervisor *supervisor, const char *format, ...)
{
	va_list args;

	if (supervisor->fd < 0 || !supervisor->is_main)
		return;
	size_t room = sizeof(supervisor->waiting) - supervisor->waiting_len;
	va_start(args, format);
	int len = vsnprintf(supervisor->waiting + supervisor->waiting_len, room, format, args);
	va_end(args);
	/* It did not read for so long that one more would not help it. */
	if (len < 0 || (size_t)len >= room)
		return;
	supervisor->waiting_len += (size_t)len + 1;
	flush(supervisor);
}

/* ---- the status line */

static void compose_status(const struct supervisor *supervisor, char *text, size_t size)
{
	const struct service *service = supervisor->service;
	size_t clients = service->sessions.in_use;

	if (service->draining) {
		snprintf(text, size, "draining: %zu clients left", clients);
		return;
	}
	snprintf(text, size, "%s%sserving %zu/%zu backends, %zu clients; config %s",
	    supervisor->refusal, supervisor->refusal[0] ? "; " : "", ring_count_up(service->ring),
	    service->ring->count, clients, supervisor->loaded);
}

/* True when the line that is known is not the right one any more; `said` is the right one then. */
static bool renew_status(struct supervisor *supervisor)
{
	char text[sizeof(supervisor->said)];

	compose_status(supervisor, text, sizeof(text));
	if (strcmp(text, supervisor->said) == 0)
		return false;
	memcpy(supervisor->said, text, sizeof(text));
	return true;
}

static void on_status_due(struct timer *timer)
{
	struct supervisor *supervisor = container_of(timer, struct supervisor, status_timer);

	flush(supervisor);
	if (renew_status(supervisor))
		tell(supervisor, "STATUS=%s", supervisor->said);
	timer_arm(loop_timers(supervisor->loop), timer, loop_now_us(supervisor->loop) + STATUS_US);
}

static void note_loaded(struct supervisor *supervisor)
{
	time_t now = time(NULL);
	struct tm parts;

	supervisor->refusal[0] = '\0';
	strftime(
	    supervisor->loaded, sizeof(supervisor->loaded), "%H:%M:%S", localtime_r(&now, &parts));
}

/* ---- the watchdog */

static void on_watchdog_due(struct timer *timer)
{
	struct supervisor *supervisor = container_of(timer, struct supervisor, watchdog_timer);

	tell(supervisor, "WATCHDOG=1");
	timer_arm(loop_timers(supervisor->loop), timer,
	    loop_now_us(supervisor->loop) + supervisor->watchdog_us / 2);
}

/* How often the watchdog wants to hear from this very process, as sd_watchdog_enabled(3) reads
 * it. */
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

/* A path, or a name in the abstract namespace, written with an @ in front. unix(7). */
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

void supervisor_open(
    struct supervisor *supervisor, struct loop *loop, const struct service *service)
{
	const char *path = getenv("NOTIFY_SOCKET");

	*supervisor = (struct supervisor){.loop = loop, .service = service, .fd = -1};
	timer_init(&supervisor->status_timer, on_status_due);
	timer_init(&supervisor->watchdog_timer, on_watchdog_due);
	note_loaded(supervisor);
	if (!path)
		return;
	int fd = read_address(&supervisor->address, str_from(path)) ? net_datagram_open() : -EINVAL;
	if (fd < 0) {
		log_error("NOTIFY_SOCKET=%s cannot be used: %s", path, strerror(-fd));
		return;
	}
	supervisor->fd = fd;
	supervisor->watchdog_us = read_watchdog_us();
}

void supervisor_close(struct supervisor *supervisor)
{
	if (supervisor->fd < 0)
		return;
	timer_remove(loop_timers(supervisor->loop), &supervisor->status_timer);
	timer_remove(loop_timers(supervisor->loop), &supervisor->watchdog_timer);
	flush(supervisor);
	net_close(supervisor->fd, false);
	supervisor->fd = -1;
}

/* ---- what is said */

void supervisor_say_ready(struct supervisor *supervisor)
{
	if (supervisor->fd < 0)
		return;
	supervisor->is_main = true;
	renew_status(supervisor);
	tell(supervisor, "READY=1\nSTATUS=%s", supervisor->said);
	on_status_due(&supervisor->status_timer);
	if (supervisor->watchdog_us > 0)
		on_watchdog_due(&supervisor->watchdog_timer);
}

void supervisor_say_reloading(struct supervisor *supervisor)
{
	/* The time must not be before the request was made; the turn may have begun earlier. */
	tell(supervisor, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the configuration",
	    (long long)loop_refresh_us(supervisor->loop));
}

void supervisor_say_reloaded(struct supervisor *supervisor)
{
	note_loaded(supervisor);
	renew_status(supervisor);
	tell(supervisor, "READY=1\nSTATUS=%s", supervisor->said);
}

void supervisor_say_refused(struct supervisor *supervisor, const char *reason)
{
	char *refusal = supervisor->refusal;

	snprintf(refusal, sizeof(supervisor->refusal), "reload refused: %s", reason);
	/* A datagram with bytes that are no text is dropped by systemd, and a new line would begin
	 * another state. */
	for (; *refusal; refusal++)
		if (*refusal < ' ' || *refusal > '~')
			*refusal = '?';
	renew_status(supervisor);
	tell(supervisor, "READY=1\nSTATUS=%s", supervisor->said);
}

void supervisor_say_stopping(struct supervisor *supervisor, int64_t limit_us)
{
	long long extend_us = limit_us + STOP_MARGIN_US;

	renew_status(supervisor);
	tell(supervisor, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\nSTATUS=%s", extend_us,
	    supervisor->said);
}

void supervisor_hand_over(struct supervisor *supervisor, pid_t pid)
{
	/* The new one must feed the watchdog for the first time in half a period, counted from
	 * now. */
	tell(supervisor, "MAINPID=%lld%s\nSTATUS=handed over to process %lld", (long long)pid,
	    supervisor->watchdog_us > 0 ? "\nWATCHDOG=1" : "", (long long)pid);
	supervisor->is_main = false;
	timer_cancel(&supervisor->status_timer);
	timer_cancel(&supervisor->watchdog_timer);
}
