/*
 * fd_limit - as many connections as there are descriptors for.
 */
#ifndef RONDO_DAEMON_FD_LIMIT_H
#define RONDO_DAEMON_FD_LIMIT_H

#include "config/config.h"

/*
 * Two descriptors for each connection, those of the pipes, and some for everything else. The
 * limit of the process is raised to that. If it cannot be, limits.connections is lowered: clients
 * would otherwise get 503, because no descriptor is left for a backend.
 */
void fd_limit_apply(struct config *config);

#endif
