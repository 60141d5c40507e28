/*
 * rescue - looks for requests that are stuck on a silent backend.
 *
 * One timer for all requests: it is due when the first of those that wait for a backend has waited
 * for longer than is normal (silence). The owner of each attempt that is overdue then runs, and
 * decides whether another backend gets the request. While some are overdue and nothing can be done
 * for them, they are asked again every few milliseconds; a request that is answered in time costs
 * no timer.
 */
#ifndef RONDO_PROXY_RESCUE_H
#define RONDO_PROXY_RESCUE_H

#include "proxy/attempt.h"

/* For a new proxy; and before its end. */
void rescue_init(struct proxy *proxy);
void rescue_finish(struct proxy *proxy);

/* The attempt waits: looks after it in time. */
void rescue_watch(const struct attempt *attempt);

#endif
