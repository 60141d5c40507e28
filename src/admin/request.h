/*
 * request - one request to the admin, from its first byte to the last byte of its answer.
 *
 * It is the request of a session, of admin.http or of admin.socket: request_handler has all that
 * the session calls. Whenever bytes have come, `answer` of the listener looks for a request in
 * client->in. If one is complete, it puts the answer into client->out and `content` and enters
 * ADMIN_ANSWERING. If more is to come, it changes nothing. If the answer will come later, it enters
 * ADMIN_WAITING.
 */
#ifndef RONDO_ADMIN_REQUEST_H
#define RONDO_ADMIN_REQUEST_H

#include "admin/control.h"
#include "config/config.h"
#include "proxy/listener.h"

#include <jansson.h>

/* Text that may be on its way to several clients. */
struct admin_text {
	char *data;
	size_t len;
	unsigned holders;
	int64_t made_us;
};

enum admin_state {
	ADMIN_READING,
	ADMIN_WAITING, /* for the end of its reload; then its session runs */
	ADMIN_ANSWERING,
	ADMIN_ENDED,
	ADMIN_STATES
};

struct admin_request {
	struct admin *admin;
	struct session *session;
	struct conn *client; /* the session's */
	enum admin_state state;
	bool keep; /* another request may follow this answer */
	struct parse parse;
	json_t *lines;              /* the messages of its reload; NULL: there is none */
	struct admin_text *content; /* held; NULL: all is in client->out */
	size_t content_sent;
	int64_t since_us;       /* in this state; ADMIN_ANSWERING: bytes were sent */
	enum session_next next; /* ADMIN_ENDED */
};

/* A listening socket of the admin. */
struct admin_place {
	struct listener listener;
	struct net_addr addr; /* as configured */
	bool is_passed;       /* the path is not the admin's to remove */
};

/* One setting for a socket, and the sessions of its clients. */
struct admin_listener {
	struct sessions sessions;
	struct admin_place places[2]; /* a reload prepares the one that is closed */
	struct admin_place *place;    /* where clients connect */
	bool has_prepared;            /* the other place is open too */
	struct admin *admin;
	const char *setting; /* "admin.http" or "admin.socket" */
	/* Answers the request that `in` of its client begins with, if it is complete. */
	void (*answer)(struct admin_request *request);
};

enum { ADMIN_HTTP, ADMIN_SOCKET, ADMIN_LISTENERS = ADMIN_SOCKETS };

enum { ADMIN_ENDPOINTS = 4 };

struct admin {
	struct admin_start with;
	const struct config *config; /* in effect; held by the daemon */
	struct loop *loop;
	struct slab blocks;
	struct slab requests;
	struct admin_listener listeners[ADMIN_LISTENERS];
	struct http_head head; /* of the request being looked at */
	struct admin_text *fresh[ADMIN_ENDPOINTS];
	bool is_handed_over;
};

/* Held by the caller. NULL without memory; `data` is freed then. */
struct admin_text *admin_text_create(char *data, size_t len);
void admin_text_drop(struct admin_text *text);

/* The one place that changes the state; it asserts that `next` may follow. */
void request_enter(struct admin_request *request, enum admin_state next);

/* For the `sessions` of an admin_listener: each client has one request a turn. */
extern const struct session_handler request_handler;

#endif
