/*
 * descriptors - as many connections as there are descriptors for.
 */
#ifndef RONDO_DAEMON_FD_LIMIT_H
#define RONDO_DAEMON_FD_LIMIT_H

#include "config/config.h"

/*
 * Two descriptors for each connection, those of the pipes, and some for everything else. Where so
 * many are not allowed fewer connections are: those who are inside would otherwise get 503, because
 * nothing is left to reach a backend with.
 */
void descriptors_fit(struct config *config);

#endif
