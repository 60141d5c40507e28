/*
 * notify - tells the supervisor (systemd, or another one at $NOTIFY_SOCKET) how this process is.
 *
 * The protocol of sd_notify(3): a state is one datagram, which needs no library. A datagram that
 * finds the queue full waits here, in order, and is sent a moment later; nothing is ever waited
 * for. The watchdog is fed by a timer of the loop, so that a loop that does not turn starves it.
 * The status line is composed once a second and sent when it differs.
 *
 * Nothing is sent before notify_say_ready and nothing after notify_hand_over: systemd accepts
 * messages of the main process alone. Without $NOTIFY_SOCKET all of this does nothing.
 */
#ifndef RONDO_DAEMON_NOTIFY_H
#define RONDO_DAEMON_NOTIFY_H

#include "proxy/service.h"

enum { NOTIFY_TEXT_SIZE = 400, NOTIFY_WAITING_SIZE = 4096 };

struct notify {
	const struct service *service;
	struct loop *loop;
	struct net_addr address;
	int fd; /* -1: nobody listens */
	struct timer status_timer;
	struct timer watchdog_timer;
	int64_t watchdog_us;             /* the longest time without a sign of life; 0: no limit */
	bool is_main;                    /* this process speaks for the service */
	bool has_failed;                 /* and that was logged */
	char loaded[sizeof("23:59:59")]; /* when the running configuration was read */
	char refusal[NOTIFY_TEXT_SIZE];  /* why the last reload was refused, or "" */
	char said[2 * NOTIFY_TEXT_SIZE]; /* the status line they know */
	/* Datagrams that were not taken yet, each terminated. */
	char waiting[NOTIFY_WAITING_SIZE];
	size_t waiting_len;
};

/* Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. What does not work is logged. */
void notify_open(struct notify *notify, struct loop *loop, const struct service *service);

/* Sends what still waits, if it is taken at once, and closes. */
void notify_close(struct notify *notify);

/* This process serves and is the main one. The watchdog is fed from here on. */
void notify_say_ready(struct notify *notify);

/* A reload begins; one of the two below must follow. */
void notify_say_reloading(struct notify *notify);
void notify_say_reloaded(struct notify *notify);

/* The old configuration stays. The reason stands in the status line until a reload succeeds. */
void notify_say_refused(struct notify *notify, const char *reason);

/* No new clients; the stop may take this long. */
void notify_say_stopping(struct notify *notify, int64_t limit_us);

/* From now on process `pid` is the main one and this one is silent. */
void notify_hand_over(struct notify *notify, pid_t pid);

#endif
