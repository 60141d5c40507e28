/*
 * law - what must hold of choosing, judging, retrying and running short, in every world.
 *
 * Calls of rondo's own are listened to (ld --wrap): ring_pick, verdict_*, budget_*, slab_take. What they leave behind is held
 * against the law in words: who may be asked, who is convicted and for how long, who is never marked, how many requests
 * may be sent again. Memory runs out here as well.
 */
#ifndef RONDO_SIM_LAW_H
#define RONDO_SIM_LAW_H

#include "world.h"

void law_start(void);

/* Everything is over: nothing is pending. */
void law_finish(void);

/* An exchange is logged, and so over: `tries` are its own. */
void law_exchange_ends(const struct try_record *tries);

/* A server came into the configuration. */
void law_backend_is_new(struct server *server);

/* For backend_env.on_change. */
void law_state_changed(const struct backend *backend);

#endif
