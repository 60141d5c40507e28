/*
 * control - the functions of the daemon that the admin calls.
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
	bool is_passed;      /* by the supervisor: the admin must not remove its path */
};

enum { ADMIN_SOCKETS = 2 };

/* A reload that an admin client has asked for. */
struct admin_reload_request {
	config_say *say; /* called for each change or fault */
	/* Called once at the end. `good`: the new configuration is in effect, with this number of
	 * changes; else the old one stays. */
	void (*end)(void *context, bool good, size_t changes);
	void *context;
};

/* What the daemon does for the admin. */
struct admin_control {
	/* A socket that was passed for this setting or address, or one with fd -1. The admin owns
	 * it then. */
	struct admin_socket (*take_socket)(
	    void *context, const char *setting, const struct net_addr *addr);
	/* Reloads. `end` is called at once, or when the names of new backends were looked up. */
	void (*reload)(void *context, const struct admin_reload_request *request);
	/* The requester with this context is gone: do not call its functions again. */
	void (*forget_reload)(void *context, const void *request_context);
	/* Opens log files again; 0, or a negative errno when the old ones stay. */
	int (*reopen_logs)(void *context);
	void *context;
};

/* Everything here must outlive the admin. */
struct admin_start {
	struct proxy *proxy;
	struct metrics *metrics;
	struct history *history;
	struct admin_control control;
};

#endif
