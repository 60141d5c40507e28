/*
 * binding - the backend connection that belongs to one client.
 *
 * Some authentication holds for a connection (http/auth): what comes on it later is taken for
 * requests of the same user. Such a connection to a backend is bound to the client's connection,
 * until one of the two ends. While the client sends nothing it is set aside: beside the pool, not
 * among the active ones, and closed when the backend ends it or says something, or when its place
 * is needed for a request and no connection of the pool is left to close. Then, or when its
 * backend drains or was removed by a reload, the next request is sent like any other, and the
 * client has to authenticate again; but not between the steps of one authentication.
 *
 * It is embedded in the session. The exchange keeps and takes; the session ends it.
 */
#ifndef RONDO_PROXY_BINDING_H
#define RONDO_PROXY_BINDING_H

#include "upstream/backend.h"

struct binding {
	struct backend_conn *link; /* set aside, and its backend held; NULL: none */
};

/* The next request of the client goes to this one: connected, its answer read to the end. */
void binding_keep(struct binding *binding, struct backend_conn *link);

/* The backend of the next request, with a connection that was verified to be alive; or NULL, and
 * then there is no binding any more. */
struct backend *binding_backend(struct binding *binding);

/* The connection, for the next request; the caller holds its backend. */
struct backend_conn *binding_take(struct binding *binding);

/* Closes the connection, if there is one. */
void binding_end(struct binding *binding);

#endif
