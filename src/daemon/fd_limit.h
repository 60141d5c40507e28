/*
 * fd_limit - adapts the limit of connections to the limit of descriptors.
 */
#ifndef RONDO_DAEMON_FD_LIMIT_H
#define RONDO_DAEMON_FD_LIMIT_H

#include "config/config.h"

/*
 * Counts two descriptors for each connection, those of the pipes, and some for everything else, and
 * raises the limit of the process to that. If that fails, it lowers limits.connections: otherwise
 * clients would get 503 because no descriptor is left for a backend.
 */
void fd_limit_apply(struct config *config);

#endif
