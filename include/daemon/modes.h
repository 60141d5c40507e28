/*
 * modes - what rondo does instead of serving: -t, -T, -P, -E, -V and -h.
 */
#ifndef RONDO_DAEMON_MODES_H
#define RONDO_DAEMON_MODES_H

#include "daemon/options.h"

/* Does what any mode but OPTIONS_RUN asks for, and answers the exit status. Answers go to stdout,
 * complaints to stderr. */
int modes_run(const struct options *options);

#endif
