/*
 * waiting - how long a server is kept waiting for the client.
 *
 * Of the time that a visit takes, some is the client's: it sends the rest of its request late, or takes the answer late. How much
 * cannot be told to the microsecond from outside, but no less than one bound and no more than another.
 */
#ifndef RONDO_SIM_WAITING_H
#define RONDO_SIM_WAITING_H

#include "world.h"

/* Since when nothing of the request is on its way, all that the client sent is with the server, and more is to come; 0: that is
 * not so, or cannot be told. */
int64_t waiting_since(const struct visit *visit);

/* The client sends something: should that be waited for, the wait is over. */
void waiting_ends(struct visit *visit);

/* The answer was given, or one of them closes the connection: nobody waits any more. */
void waiting_is_over(struct visit *visit);

/* It is known whose request it is; the answer begins. */
void waiting_begins(struct visit *visit);
void waiting_answer_begins(struct visit *visit);

/* How long it has waited for the client so far, in all; while the request is being served, or just over. */
int64_t waiting_least_us(const struct visit *visit);
int64_t waiting_most_us(const struct visit *visit);

#endif
