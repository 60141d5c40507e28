/*
 * control - what the admin needs of the daemon, and what it can tell it to do.
 */
#ifndef RONDO_ADMIN_CONTROL_H
#define RONDO_ADMIN_CONTROL_H

#include "admin/history.h"
#include "admin/metrics.h"
#include "config/changes.h"

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

#endif
