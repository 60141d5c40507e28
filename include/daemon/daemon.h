/*
 * daemon - the process: creates all objects, connects them, and destroys them.
 *
 * Owns the loop, the slabs, the ring and its backends, the prober, the service and the listeners.
 * Handles signals: TERM and INT drain and stop (a second one stops at once), HUP reloads, USR1
 * opens log files again, USR2 starts a successor, hands it the sockets and drains. A new
 * configuration takes effect as a whole or not at all, between two turns of the loop, when the
 * names of its new backends were looked up. Requests in flight keep the configuration with which
 * they began.
 */
#ifndef RONDO_DAEMON_DAEMON_H
#define RONDO_DAEMON_DAEMON_H

#include "daemon/options.h"

/* Serves until it must stop. Returns the exit status; errors are logged. */
int daemon_run(const struct options *options);

#endif
