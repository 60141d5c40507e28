/*
 * admin - the read-only page over HTTP, and the socket for rondoctl.
 *
 * admin.http answers GET and HEAD. Page and JSON need a Host that is an address, localhost or one
 * of admin.hosts, so that no web site can read them through a browser (DNS rebinding). Expensive
 * answers are made at most ten times a second and shared by all clients that ask meanwhile. The
 * number of connections is small, and each gets one request a turn, so monitoring does not slow
 * down the proxy. admin.socket reads one line and answers with one JSON object; a user who may open
 * the socket (mode 0660) may change things.
 * Both use the parser and the limits of the proxy, but slabs of their own.
 */
#ifndef RONDO_ADMIN_ADMIN_H
#define RONDO_ADMIN_ADMIN_H

#include "admin/control.h"
#include "config/errors.h"

struct admin;

/* Opens no socket yet. NULL without memory. */
struct admin *admin_create(const struct admin_start *start);

/* Appends the sockets that are open now and will not be with `config`; there is room for
 * ADMIN_SOCKETS. */
void admin_list_leaving(
    const struct admin *admin, const struct config *config, struct net_leaving *leaving);

/* Opens what admin.http and admin.socket name, beside the sockets that leave. On failure it changes
 * nothing and returns false. Call one of the next two functions in the same turn of the loop. */
bool admin_prepare(struct admin *admin, const struct config *config,
    const struct net_leaving *leaving, struct config_refusal *refusal);

/* The sockets are as configured from now on. The configuration must last until the next call, or
 * until admin_close. */
void admin_commit(struct admin *admin, const struct config *config);

/* Closes the sockets that were opened for it. */
void admin_cancel(struct admin *admin);

/* Lists the listening sockets for a successor. Returns their number. */
size_t admin_list(const struct admin *admin, struct admin_socket sockets[static ADMIN_SOCKETS]);

/* A successor listens on the same sockets: it serves all new clients from now on. */
void admin_hand_over(struct admin *admin);

/* Ends all connections and closes the sockets. Destroy the loop next, then call admin_destroy. */
void admin_close(struct admin *admin);
void admin_destroy(struct admin *admin);

#endif
