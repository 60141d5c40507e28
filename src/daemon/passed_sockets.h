/*
 * passed_sockets - the descriptors that this process got at its start.
 *
 * They are passed as in sd_listen_fds(3), by systemd (socket activation) or by the predecessor of
 * this process: only their names differ. This module owns every socket until a caller takes it.
 * Children do not inherit the sockets, and their variables are removed from the environment.
 */
#ifndef RONDO_DAEMON_PASSED_SOCKETS_H
#define RONDO_DAEMON_PASSED_SOCKETS_H

#include "event/net.h"

/* The first passed descriptor. sd_listen_fds(3). */
enum { PASSED_FIRST_FD = 3 };

/* Names with a meaning; a socket with any other name is for `listen`. */
#define PASSED_ADMIN        "admin."         /* followed by the rest of the setting's name */
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
	/* The pipe to a predecessor that waits until this process is ready; else -1. */
	int upgrade_fd;
};

/* Reads $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES. A descriptor that is not a listening socket
 * is logged and closed. */
void passed_sockets_collect(struct passed_sockets *passed);

/*
 * The socket that a predecessor opened for a setting with this address (port 0 matches any port),
 * or -1. The caller owns it then.
 */
int passed_sockets_take_own(struct passed_sockets *passed, const struct net_addr *addr);

/* The socket that was passed for the setting with this name, or -1. The caller owns it then. */
int passed_sockets_take_named(struct passed_sockets *passed, const char *name);

/* Closes the sockets that were not taken: clients would wait in their queues without an answer.
 * Names stay valid. */
void passed_sockets_close_rest(struct passed_sockets *passed);

void passed_sockets_finish(struct passed_sockets *passed);

/* A socket to pass to the successor. */
struct socket_to_pass {
	int fd;
	const char *name;
};

#endif
