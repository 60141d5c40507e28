/*
 * clients - the connections of the admin: accepting, reading, sending, ending.
 *
 * A listener is a listening socket with the connections that were accepted from it. Whenever bytes
 * have come it calls run_request, which looks for a request in client->conn.in. If one is complete,
 * run_request puts the answer into client->conn.out and client->content and enters ADMIN_ANSWERING.
 * If more is to come, it changes nothing. If the answer will come later, it enters ADMIN_WAITING.
 */
#ifndef RONDO_ADMIN_CLIENTS_H
#define RONDO_ADMIN_CLIENTS_H

#include "admin/control.h"

#include <jansson.h>

/* Text that may be on its way to several clients. */
struct admin_text {
	char *data;
	size_t len;
	unsigned holders;
	int64_t made_us;
};

enum admin_listener_kind { ADMIN_HTTP, ADMIN_SOCKET, ADMIN_LISTENERS = ADMIN_SOCKETS };

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
	struct admin_listener *listener;
	struct admin_client *prev, *next; /* in listener->clients */
	enum admin_state state;
	bool keep;       /* another request may follow this answer */
	bool has_served; /* an answer was given: it is a connection between requests */
	struct parse parse;
	json_t *lines;              /* what its reload says; NULL: there is none */
	struct admin_text *content; /* held; NULL: all is in conn.out */
	size_t content_sent;
	struct timer timer;
	struct loop_task free_task;
};

struct admin_listener {
	struct watch watch; /* fd -1: closed */
	struct admin *admin;
	const char *setting;  /* "admin.http" or "admin.socket" */
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
	struct admin_listener listeners[ADMIN_LISTENERS];
	struct http_head head; /* of the request being looked at */
	struct admin_text *fresh[ADMIN_ENDPOINTS];
	bool is_handed_over;
};

/* Held by the caller. NULL without memory; `data` is freed then. */
struct admin_text *admin_text_create(char *data, size_t len);
void admin_text_drop(struct admin_text *text);

/* The one place that changes the state; it asserts that `next` may follow. */
void admin_client_enter(struct admin_client *client, enum admin_state next);

/* Its answer is there, for a client that was ADMIN_WAITING. The client may be over then. */
void admin_client_go_on(struct admin_client *client);

/* A closed one, with `limit` clients at most; the caller sets `setting` and `run_request`. */
void admin_listener_init(struct admin_listener *listener, struct admin *admin, size_t limit);

/* Accepts clients from the socket, which it owns from here on, and no longer from the one it had.
 * Negative errno when the socket cannot be watched: it is closed then. */
int admin_listener_open(
    struct admin_listener *listener, struct admin_socket socket, const struct net_addr *addr);
bool admin_listener_is_open(const struct admin_listener *listener);

/* Closes the socket; its clients go on. */
void admin_listener_close(struct admin_listener *listener);

/* Ends its clients and closes. The memory is given back by slab_finish(&listener->slab), after the
 * end of the loop. */
void admin_listener_end(struct admin_listener *listener);

#endif
