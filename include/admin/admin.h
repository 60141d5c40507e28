/*
 * admin - the side door: the read-only page over HTTP, and the socket for rondoctl.
 *
 * admin.http answers GET and HEAD, for a Host that is an address or localhost, so that no web site
 * can look in through a browser (DNS rebinding). Answers that cost something are made at most every
 * ADMIN_FRESH_MS and serve all who ask within that time, there are few connections at most, and
 * each has one request a turn: whoever watches does not slow down what is watched. admin.socket
 * takes one line and answers one JSON object; who may open the socket (mode 0660) may change
 * things. Both use the parser and the limits that clients are served by, but slabs of their own.
 */
#ifndef RONDO_ADMIN_ADMIN_H
#define RONDO_ADMIN_ADMIN_H

#include "admin/history.h"
#include "admin/metrics.h"
#include "config/changes.h"

enum { ADMIN_FRESH_MS = 100, ADMIN_HTTP_CLIENTS = 32, ADMIN_SOCKET_CLIENTS = 16 };

/* A listening socket of the admin. */
struct admin_socket {
	int fd;              /* -1: there is none */
	const char *setting; /* "admin.http" or "admin.socket" */
	bool is_passed;      /* by the supervisor: its path is not the admin's to remove */
};

enum { ADMIN_SOCKETS = 2 };

/* A reload that somebody has asked for. */
struct admin_reload_request {
	config_say *say; /* what differs, or what is wrong */
	/* The new configuration is in effect, with so many changes, or the old one stays. Called
	 * once. */
	void (*end)(void *context, bool good, size_t changes);
	void *context;
};

/* What the daemon does for the admin. */
struct admin_control {
	/* Is there a socket already, for the setting of this name or with this address? It is the
	 * admin's then. */
	struct admin_socket (*take_socket)(
	    void *context, const char *setting, const struct net_addr *addr);
	/* Reloads. The end comes at once, or when the names of new backends were looked up. */
	void (*reload)(void *context, const struct admin_reload_request *request);
	/* Whoever made the request with this context is gone: its functions are not called again. */
	void (*forget_reload)(void *context, const void *request_context);
	/* Opens log files again; a negative errno when the old ones stay. */
	int (*reopen_logs)(void *context);
	void *context;
};

/* What all of it must outlive the admin. */
struct admin_start {
	struct service *service;
	struct metrics *metrics;
	struct history *history;
	struct admin_control control;
};

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
