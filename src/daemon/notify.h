/*
 * notify - reports the state of this process to the supervisor (systemd, or another one at
 * $NOTIFY_SOCKET).
 *
 * The protocol of sd_notify(3): a state is one datagram, so no library is needed. If the queue of
 * the socket is full, datagrams are kept here, in order, and sent a moment later; the process never
 * waits. A timer of the loop serves the watchdog, so the watchdog notices when the loop stops
 * turning. The status line is composed once a second and sent when it has changed.
 *
 * Nothing is sent before notify_say_ready and nothing after notify_hand_over: systemd accepts
 * messages only from the main process. Without $NOTIFY_SOCKET all of this does nothing.
 */
#ifndef RONDO_DAEMON_NOTIFY_H
#define RONDO_DAEMON_NOTIFY_H

#include "proxy/proxy.h"

enum { NOTIFY_TEXT_SIZE = 400, NOTIFY_WAITING_SIZE = 4096 };

struct notify {
	const struct proxy *proxy;
	struct loop *loop;
	struct net_addr address;
	int fd; /* -1: no supervisor */
	struct timer status_timer;
	struct timer watchdog_timer;
	int64_t watchdog_us;             /* the longest time without a sign of life; 0: no limit */
	bool is_main;                    /* this process speaks for the service */
	bool has_failed;                 /* a failure to send was logged */
	char loaded[sizeof("23:59:59")]; /* when the running configuration was read */
	char refusal[NOTIFY_TEXT_SIZE];  /* why the last reload was refused, or "" */
	char said[2 * NOTIFY_TEXT_SIZE]; /* the last status line that was sent */
	/* Datagrams that were not sent yet, each terminated. */
	char waiting[NOTIFY_WAITING_SIZE];
	size_t waiting_len;
};

/* Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. Errors are logged. */
void notify_open(struct notify *notify, struct loop *loop, const struct proxy *proxy);

/* Sends the waiting datagrams if the socket takes them at once, and closes. */
void notify_close(struct notify *notify);

/* This process serves and is the main one. From now on the watchdog is served. */
void notify_say_ready(struct notify *notify);

/* A reload begins; call one of the next two functions when it ends. */
void notify_say_reloading(struct notify *notify);
void notify_say_reloaded(struct notify *notify);

/* The old configuration stays. The status line has the reason until a reload succeeds. */
void notify_say_refused(struct notify *notify, const char *reason);

/* No new clients are accepted; stopping may take this long. */
void notify_say_stopping(struct notify *notify, int64_t limit_us);

/* From now on process `pid` is the main one, and this one sends nothing. */
void notify_hand_over(struct notify *notify, pid_t pid);

#endif
