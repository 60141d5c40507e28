/*
 * passed_sockets - the descriptors this process was given at its start.
 *
 * They come the way of sd_listen_fds(3), from systemd (socket activation) or from the process that
 * this one succeeds: both are the same here, but for their names. Every socket is owned by this
 * module until somebody takes it. No child inherits it, and the environment has no trace of it
 * afterwards.
 */
#ifndef RONDO_DAEMON_PASSED_SOCKETS_H
#define RONDO_DAEMON_PASSED_SOCKETS_H

#include "event/net.h"

/* The first descriptor that is passed on. sd_listen_fds(3). */
enum { PASSED_FIRST_FD = 3 };

/* Names with a meaning; a socket of any other name is one of `listen`. */
#define PASSED_ADMIN        "admin."         /* with the rest of the setting's name */
#define PASSED_OWN          "rondo.own"      /* opened by a rondo, for a setting */
#define PASSED_UPGRADE_PIPE "rondo.handover" /* the pipe to the predecessor */

struct passed_socket {
	int fd; /* listening, non-blocking, close-on-exec; -1: taken */
	struct net_addr addr;
	const char *name; /* "" when it has none */
};

struct passed_sockets {
	struct passed_socket *items;
	size_t count;
	char *names; /* the storage of the items' names */
	/* The pipe to a predecessor who waits until this process is ready; else -1. */
	int upgrade_fd;
};

/* Looks at $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES. What is no listening socket is logged and
 * closed. */
void passed_sockets_collect(struct passed_sockets *passed);

/*
 * The socket a predecessor had opened for a setting with this address (port 0 fits any port), or
 * -1. It is the caller's then.
 */
int passed_sockets_take_own(struct passed_sockets *passed, const struct net_addr *addr);

/* The socket that was passed for the setting of this name, or -1. It is the caller's then. */
int passed_sockets_take_named(struct passed_sockets *passed, const char *name);

/* Closes what nobody took: clients would wait in its queue for nothing. Names stay valid. */
void passed_sockets_close_rest(struct passed_sockets *passed);

void passed_sockets_finish(struct passed_sockets *passed);

/* A socket that this process passes to its successor. */
struct socket_to_pass {
	int fd;
	const char *name;
};

#endif
