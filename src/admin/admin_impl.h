/*
 * admin_impl - what the bodies of admin share.
 *
 * A door is a listening socket; a client is a connection that came in by it, and its life is in
 * admin.c. What a request asks for is answered in admin_http.c, a command in admin_command.c: they
 * fill client->conn.out and client->content and return.
 */
#ifndef RONDO_ADMIN_ADMIN_IMPL_H
#define RONDO_ADMIN_ADMIN_IMPL_H

#include "admin/admin.h"

#include <jansson.h>

/* Text that may be on its way to several clients. */
struct admin_text {
	char *data;
	size_t len;
	unsigned holders;
	int64_t made_us;
};

enum admin_door_kind { ADMIN_DOOR_HTTP, ADMIN_DOOR_SOCKET, ADMIN_DOORS = ADMIN_SOCKETS };

enum admin_state {
	ADMIN_READING,
	ADMIN_PAUSING, /* the next request may be there already; its turn is the next one */
	ADMIN_WAITING, /* for the end of its reload; then for admin_client_go_on */
	ADMIN_ANSWERING,
	ADMIN_LINGERING,
	ADMIN_ENDED, /* until the end of the turn */
	ADMIN_STATES
};

struct admin_client {
	struct conn conn;
	struct admin_door *door;
	struct admin_client *prev, *next; /* in door->clients */
	enum admin_state state;
	bool keep;       /* another request may follow this answer */
	bool has_served; /* an answer was given: it is a connection between requests */
	struct parse parse;
	json_t *lines;              /* what its reload says; NULL: there is none */
	struct admin_text *content; /* held; NULL: all is in conn.out */
	size_t content_sent;
	struct timer timer;
	struct loop_task grave;
};

struct admin_door {
	struct watch watch; /* fd -1: closed */
	struct admin *admin;
	struct net_addr addr; /* as configured */
	bool is_passed;       /* the path is not the admin's to remove */
	bool is_full;         /* accepting pauses */
	struct timer timer;   /* the end of the pause, at the latest */
	struct slab slab;
	struct admin_client *clients; /* utlist DL, the one that came first first */
	void (*run_request)(struct admin_client *client);
};

enum { ADMIN_ENDPOINTS = 4 };

struct admin {
	struct admin_start with;
	struct loop *loop;
	struct slab blocks;
	struct admin_door doors[ADMIN_DOORS];
	struct http_head head; /* of the request being looked at */
	struct admin_text *fresh[ADMIN_ENDPOINTS];
	bool is_handed_over;
};

/* Holds nothing yet: `holders` is 1 for the caller. NULL without memory; `data` is freed then. */
struct admin_text *admin_text_create(char *data, size_t len);
void admin_text_drop(struct admin_text *text);

/* The one place that changes the state; what may follow is in the table of admin.c. */
void admin_enter(struct admin_client *client, enum admin_state next);

/* Looks for a request, or a command, in client->conn.in. When it is complete it is answered and the
 * state is ADMIN_ANSWERING. When there is more to come, nothing changes; when the answer will come
 * later, it is ADMIN_WAITING. */
void admin_http_run(struct admin_client *client);
void admin_command_run(struct admin_client *client);

/* Its answer is there, for a client that was ADMIN_WAITING. The client may be over then. */
void admin_client_go_on(struct admin_client *client);

/* The buffer is full and the request not complete. */
void admin_http_overflow(struct admin_client *client);

#endif
