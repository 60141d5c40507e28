/*
 * session - the life of a client's connection: idle, exchanging, lingering.
 *
 * Owns the connection and its one timer, and between requests nothing else: an idle session has no
 * buffer, but for empty lines that came before a request. The first byte of a request begins an
 * exchange, and session_run goes on from there until everything waits: the one way in for events of
 * the client, of the backend and of the clock. Requests that were pipelined are served one after
 * the other.
 *
 * Lingering: after an answer to a client that may still be sending, rondo ends its own side, and
 * reads and drops for a while what comes, so that a reset does not destroy the answer on its way.
 * RFC 9112, 9.6.
 */
#ifndef RONDO_PROXY_SESSION_H
#define RONDO_PROXY_SESSION_H

#include "proxy/exchange.h"

/* Bytes of a session, for the slab. */
size_t session_size(void);

/* Takes over an accepted descriptor. False, and it is still the caller's, when there is no room. */
bool session_start(struct service *service, int fd, const struct net_addr *peer);

/* The daemon stops: answers close their connections, idle clients have a moment left for a request
 * that is already on its way, and who goes on sending after its last answer has little more. */
void sessions_drain(struct service *service);

/* Ends all of them at once. */
void sessions_abort(struct service *service);

#endif
