/*
 * admin - the read-only page over HTTP, and the socket for rondoctl.
 *
 * admin.http answers GET and HEAD for a Host that is an address or localhost, so that no web site
 * can read it through a browser (DNS rebinding). Expensive answers are made at most ten times a
 * second and shared by all clients that ask meanwhile. The number of connections is small, and each
 * gets one request a turn, so monitoring does not slow down the proxy. admin.socket reads one line
 * and answers with one JSON object; a user who may open the socket (mode 0660) may change things.
 * Both use the parser and the limits of the proxy, but slabs of their own.
 */
#ifndef RONDO_ADMIN_ADMIN_H
#define RONDO_ADMIN_ADMIN_H

#include "admin/control.h"

struct admin;

/* Opens no socket yet. NULL without memory. */
struct admin *admin_create(const struct admin_start *start);

/* Opens and closes sockets so that admin.http and admin.socket are as configured. If a socket
 * cannot be opened, that is logged, the old one stays, and the result is false. */
bool admin_apply(struct admin *admin, const struct config *config);

/* Lists the listening sockets for a successor. Returns their number. */
size_t admin_list(const struct admin *admin, struct admin_socket sockets[static ADMIN_SOCKETS]);

/* A successor listens on the same sockets: it serves all new clients from now on. */
void admin_hand_over(struct admin *admin);

/* Ends all connections and closes the sockets. Destroy the loop next, then call admin_destroy. */
void admin_close(struct admin *admin);
void admin_destroy(struct admin *admin);

#endif
