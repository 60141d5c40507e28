/*
 * upgrade - one process takes over from another.
 *
 * The old process starts the program again, from its own path, with its own arguments and
 * environment, as a child of its own parent. It passes the listening sockets as passed_sockets
 * expects them, and one end of a pipe. The new process writes one byte when it serves; the old one
 * closes its end when it has handed over. Both listen meanwhile, so no connection is refused. A
 * successor that exits, or is silent for UPGRADE_LIMIT_S, is logged and ended, and the old process
 * goes on.
 */
#ifndef RONDO_DAEMON_UPGRADE_H
#define RONDO_DAEMON_UPGRADE_H

#include "event/loop.h"
#include "passed_sockets.h"

#include <sys/types.h>

enum { UPGRADE_LIMIT_S = 30 };

struct upgrade {
	struct loop *loop;
	struct watch watch; /* this process's end of the pipe */
	struct timer timer;
	pid_t successor; /* being started; 0: none */
	/* In the old process: the successor serves. When this returns the pipe is closed, and the
	 * successor knows that it has taken over. */
	void (*on_ready)(struct upgrade *upgrade, pid_t successor);
	/* In the new process: the predecessor has handed over. */
	void (*on_released)(struct upgrade *upgrade);
};

void upgrade_init(struct upgrade *upgrade, struct loop *loop);

/* Starts a successor with the arguments `argv`. On failure it logs and returns false. */
bool upgrade_start(
    struct upgrade *upgrade, char *const *argv, const struct socket_to_pass *sockets, size_t count);

/* A successor that has become ready, which nobody was told of yet; 0: there is none. */
pid_t upgrade_take_ready(struct upgrade *upgrade);

/* Ends a successor that is not ready yet; closes the pipe. */
void upgrade_finish(struct upgrade *upgrade);

/* In the new process: reports through the pipe `fd` that it serves. Takes over `fd`. */
void upgrade_say_ready(struct upgrade *upgrade, int fd);

#endif
