/*
 * judge - what must hold of marks, windows, trials and returns, in every world.
 *
 * Calls of verdict are listened to (ld --wrap). Who is convicted and for how long, who comes back and when, and who is never
 * marked: what they leave behind is held against the law in words, by the judge's own book of suspicions.
 */
#ifndef RONDO_SIM_JUDGE_H
#define RONDO_SIM_JUDGE_H

#include "world.h"

/* A server came into the configuration. */
void judge_backend_is_new(struct server *server);

/* For backend_env.on_change. */
void judge_state_changed(const struct backend *backend);

/* Now and then: is anybody forgotten? */
void judge_look_around(void);

#endif
