/*
 * law - what must hold of choosing, retrying and running short, in every world.
 *
 * Calls of rondo's own are listened to (ld --wrap): ring_pick, budget_*, slab_take. What they leave behind is held against the
 * law in words: who may be asked and for whom, how many requests may be sent again and until when, and when a request must be.
 * Memory runs out here as well.
 */
#ifndef RONDO_SIM_LAW_H
#define RONDO_SIM_LAW_H

#include "world.h"

void law_start(void);

/* Everything is over: nothing is pending. */
void law_finish(void);

/* An exchange is logged, and so over. */
void law_exchange_ends(const struct access_record *record);

/* It was sent to a second server while the first was silent. There is a try in the record. */
bool law_was_rescued(const struct access_record *record);

/* ---- for judge */

/* A backend's name tells its server. */
struct server *law_server_of(const struct backend *backend);

/* Neither draining nor without address. */
bool law_is_open(const struct backend *backend);

/* The tries that are judged are those that were made. */
void law_check_tries(const struct verdict_case *request);

/* The content of this good answer came to its end, or did not: it is judged once. */
void law_check_ending(const struct try_record *try, bool is_repeatable);

/* Is the trial that is under way there one of these tries? */
bool law_is_trial(const struct server *server, const struct try_record *tries);

/* Whatever trial was under way there is over. */
void law_trial_ends(const struct server *server);

#endif
