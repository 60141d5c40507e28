/*
 * server - those who answer.
 *
 * A server has addresses that take, refuse or ignore connections, and vices that change with time: it fails, is slow or silent,
 * resets, cuts its answers off, talks nonsense, answers too early, closes what is kept alive, sends more than it should. What it did
 * to each visit stands in the visit, so that whatever rondo says of it can be held against the truth. All bytes rondo hands to the
 * kernel for it are read strictly, at once.
 */
#ifndef RONDO_SIM_SERVER_H
#define RONDO_SIM_SERVER_H

#include "world.h"

void server_init(struct server *server, int index);

/* Becomes something else, for better or worse. */
void server_change(struct server *server);

/* Neither takes nor gives anything for a while; then it goes on where it was. */
void server_freeze(struct server *server);

/* Becomes good. */
void server_reform(struct server *server);

/* Closes all its connections, orderly or not. */
void server_close_all(struct server *server, bool reset);

/* For struct net_world. */
struct net_route;
void server_route(uint32_t ip, struct net_route *route);
void server_on_connected(struct channel *channel);
void server_on_refused(const struct channel *channel, int error);

/* The addresses of a server, as a resolver would answer. */
size_t server_addresses(const struct server *server, struct net_addr addrs[ADDRESSES]);

#endif
