/*
 * daemon - the process: everything is made here, wired together, and taken apart.
 *
 * Owns the loop, the slabs, the ring and its backends, the checker, the service and the listeners.
 * Answers signals: TERM and INT drain and stop (a second one stops at once), HUP reloads, USR1
 * opens log files again, USR2 starts a successor, hands it the sockets and drains. A new
 * configuration takes effect between two turns of the loop, whole or not at all, once the names of
 * its new backends were looked up; requests in flight finish under the one they began with.
 */
#ifndef RONDO_DAEMON_DAEMON_H
#define RONDO_DAEMON_DAEMON_H

#include "daemon/options.h"

/* Serves until it is told to stop. Answers the exit status; what went wrong is logged. */
int daemon_run(const struct options *options);

#endif
