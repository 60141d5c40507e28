/*
 * supervisor - what whoever started this process is told of it: systemd, or anybody else at
 * $NOTIFY_SOCKET.
 *
 * The protocol of sd_notify(3): a state is one datagram, which needs no library. A datagram that
 * finds the queue full waits here, in order, and is sent a moment later; nothing is ever waited
 * for. The watchdog is fed by a timer of the loop, so that a loop that does not turn starves it.
 * The status line is composed once a second and sent when it differs.
 *
 * Nothing is said before supervisor_say_ready and nothing after supervisor_hand_over: systemd takes
 * the word of the main process alone. Without $NOTIFY_SOCKET all of this does nothing.
 */
#ifndef RONDO_DAEMON_NOTIFY_H
#define RONDO_DAEMON_NOTIFY_H

#include "proxy/service.h"

enum { SUPERVISOR_TEXT_SIZE = 400, SUPERVISOR_WAITING_SIZE = 4096 };

struct supervisor {
	const struct service *service;
	struct loop *loop;
	struct net_addr address;
	int fd; /* -1: nobody listens */
	struct timer status_timer;
	struct timer watchdog_timer;
	int64_t watchdog_us; /* it must hear from this process that often; 0: there is none */
	bool is_main;        /* this process speaks for the service */
	bool has_failed;     /* and that was logged */
	char loaded[sizeof("23:59:59")];     /* when the running configuration was read */
	char refusal[SUPERVISOR_TEXT_SIZE];  /* why the last reload was refused, or "" */
	char said[2 * SUPERVISOR_TEXT_SIZE]; /* the status line they know */
	/* Datagrams that were not taken yet, each terminated. */
	char waiting[SUPERVISOR_WAITING_SIZE];
	size_t waiting_len;
};

/* Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. What does not work is logged. */
void supervisor_open(
    struct supervisor *supervisor, struct loop *loop, const struct service *service);

/* Sends what still waits, if it is taken at once, and closes. */
void supervisor_close(struct supervisor *supervisor);

/* This process serves and is the main one. The watchdog is fed from here on. */
void supervisor_say_ready(struct supervisor *supervisor);

/* A reload begins; one of the two below must follow. */
void supervisor_say_reloading(struct supervisor *supervisor);
void supervisor_say_reloaded(struct supervisor *supervisor);

/* The old configuration stays. The reason stands in the status line until a reload succeeds. */
void supervisor_say_refused(struct supervisor *supervisor, const char *reason);

/* No new clients; the stop may take this long. */
void supervisor_say_stopping(struct supervisor *supervisor, int64_t limit_us);

/* From now on process `pid` is the main one and this one is silent. */
void supervisor_hand_over(struct supervisor *supervisor, pid_t pid);

#endif
