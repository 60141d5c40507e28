/*
 * lineup - the backends of a configuration that is about to take effect.
 *
 * Backends that the ring knows by their url are the same ones, all others are new and up. Nothing
 * has changed for anybody until lineup_apply: a lineup that is given up leaves no trace. It holds
 * its backends.
 */
#ifndef RONDO_DAEMON_LINEUP_H
#define RONDO_DAEMON_LINEUP_H

#include "config/config.h"
#include "upstream/ring.h"

struct lineup {
	const struct config *config; /* the caller's; NULL: nothing is about to happen */
	struct backend **backends;   /* in the order of the configuration */
};

/* False without memory: it is empty then. */
bool lineup_prepare(
    struct lineup *lineup, const struct config *config, struct ring *ring, struct backend_env *env);

/* They become the ring's, with the settings of the configuration. False without memory. */
bool lineup_apply(struct lineup *lineup, struct ring *ring);

/* Lets go of the backends; it is empty afterwards. Does nothing when it is empty. */
void lineup_finish(struct lineup *lineup);

#endif
