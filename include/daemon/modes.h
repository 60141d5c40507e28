/*
 * modes - the modes that do not serve: -t, -T, -P, -E, -V and -h.
 */
#ifndef RONDO_DAEMON_MODES_H
#define RONDO_DAEMON_MODES_H

#include "daemon/options.h"

/* Runs any mode except OPTIONS_RUN and returns the exit status. Results go to stdout, errors to
 * stderr. */
int modes_run(const struct options *options);

#endif
