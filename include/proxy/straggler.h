/*
 * straggler - an attempt that goes on without its exchange.
 *
 * The request has its answer from another backend, or its connect took so long that it was sent
 * elsewhere. The attempt still listens, because it tells whether its backend is well: an answer in
 * time is read to its end and dropped, so that its connection can be used again; without one the
 * backend has failed as it would have without a second attempt. A connect that succeeds goes into
 * the pool; one that does not is a failure too.
 *
 * A straggler owns its attempt, with a copy of what that needs to know of the request, and holds
 * its backend and its options. It lasts max_delay_response at most until its answer begins. There
 * are STRAGGLERS_MAX of them; beyond that, attempts end at once.
 */
#ifndef RONDO_PROXY_STRAGGLER_H
#define RONDO_PROXY_STRAGGLER_H

#include "proxy/attempt.h"

enum { STRAGGLERS_MAX = 256 };

struct straggler;

/* For a new proxy. */
void stragglers_init(struct proxy *proxy);

/* Ends all of them at once; nothing is said about their backends. */
void stragglers_abort(struct proxy *proxy);

/* Is there room for one more? */
bool stragglers_have_room(const struct proxy *proxy);

/* Takes over an attempt whose request was answered well by another backend, or which connects only.
 * If it cannot go on (no room, or the request is not wholly sent), it ends. */
void straggler_begin(struct attempt *attempt);

#endif
