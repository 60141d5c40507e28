/*
 * inheritance - the descriptors this process was given at its start.
 *
 * They come the way of sd_listen_fds(3), from systemd (socket activation) or from the process that
 * this one succeeds: both are the same here, but for their names. Every socket is owned by the
 * inheritance until somebody takes it; nothing is inherited twice, and the environment has no trace
 * of it afterwards.
 */
#ifndef RONDO_DAEMON_PASSED_SOCKETS_H
#define RONDO_DAEMON_PASSED_SOCKETS_H

#include "event/net.h"

/* The first descriptor that is passed on. sd_listen_fds(3). */
enum { INHERITANCE_FIRST_FD = 3 };

/* Names with a meaning; a socket of any other name is one of `listen`. */
#define INHERITANCE_ADMIN    "admin."         /* with the rest of the setting's name */
#define INHERITANCE_OWN      "rondo.own"      /* opened by a rondo, for a setting */
#define INHERITANCE_HANDOVER "rondo.handover" /* the pipe to the predecessor */

struct inherited {
	int fd; /* listening, non-blocking, close-on-exec; -1: taken */
	struct net_addr addr;
	const char *name; /* "" when it has none */
};

struct inheritance {
	struct inherited *items;
	size_t count;
	char *names; /* the storage of the items' names */
	/* The pipe to a predecessor who waits until this process is ready; else -1. */
	int handover_fd;
};

/* Looks at $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES. What is no listening socket is logged and
 * closed. */
void inheritance_collect(struct inheritance *inheritance);

/*
 * The socket a predecessor had opened for a setting with this address (port 0 fits any port), or
 * -1. It is the caller's then.
 */
int inheritance_take_own(struct inheritance *inheritance, const struct net_addr *addr);

/* The socket that was passed for the setting of this name, or -1. It is the caller's then. */
int inheritance_take_named(struct inheritance *inheritance, const char *name);

/* Closes what nobody took: clients would wait in its queue for nothing. Names stay valid. */
void inheritance_close_rest(struct inheritance *inheritance);

void inheritance_finish(struct inheritance *inheritance);

#endif
