/*
 * upgrade - one process takes over from another.
 *
 * The old process starts the program anew, from the path by which it was started itself, with its
 * arguments and environment, as a child of its own parent. It passes the listening sockets the way
 * passed_sockets expects them, together with one end of a pipe. The new one says by one byte that
 * it serves; the old one closes its end when it has handed over. Both listen meanwhile, so no
 * connection is refused. A successor that ends, or is silent for UPGRADE_LIMIT_S, is logged and
 * ended, and nothing has changed.
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
	/* Old process: the successor serves. At the return the pipe is closed, and the successor
	 * knows that it is on its own. */
	void (*on_ready)(struct upgrade *upgrade, pid_t successor);
	/* New process: the predecessor has let go. */
	void (*on_released)(struct upgrade *upgrade);
};

void upgrade_init(struct upgrade *upgrade, struct loop *loop);

/* Starts a successor with the arguments `argv`. False, and logged, when that is not possible
 * now. */
bool upgrade_start(
    struct upgrade *upgrade, char *const *argv, const struct socket_to_pass *sockets, size_t count);

/* Ends a successor that is not ready yet; lets go of the pipe. */
void upgrade_finish(struct upgrade *upgrade);

/* In the new process: says that it serves, through the pipe `fd`, which is taken over. */
void upgrade_say_ready(struct upgrade *upgrade, int fd);

#endif
