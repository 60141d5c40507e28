/*
 * admin - the read-only page over HTTP, and the socket for rondoctl.
 *
 * admin.http answers GET and HEAD, for a Host that is an address or localhost, so that no web site
 * can look in through a browser (DNS rebinding). Answers that cost something are made at most ten
 * times a second and serve all who ask meanwhile, there are few connections at most, and each has
 * one request a turn: watching does not slow down what is watched. admin.socket takes one line and
 * answers one JSON object; who may open the socket (mode 0660) may change things. Both use the
 * parser and the limits that clients are served by, but slabs of their own.
 */
#ifndef RONDO_ADMIN_ADMIN_H
#define RONDO_ADMIN_ADMIN_H

#include "admin/control.h"

struct admin;

/* Nothing is open yet. NULL without memory. */
struct admin *admin_create(const struct admin_start *start);

/* Opens and closes so that admin.http and admin.socket are as configured. What cannot be opened is
 * logged and stays as it was; then the answer is false. */
bool admin_apply(struct admin *admin, const struct config *config);

/* Its listening sockets, for a successor. Returns how many there are. */
size_t admin_list(const struct admin *admin, struct admin_socket sockets[static ADMIN_SOCKETS]);

/* A successor listens on the same sockets: who comes from now on is its client. */
void admin_hand_over(struct admin *admin);

/* Ends all connections and closes; to be followed by the end of the loop, then by admin_destroy. */
void admin_close(struct admin *admin);
void admin_destroy(struct admin *admin);

#endif
