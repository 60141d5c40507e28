#include "proxy/binding.h"

#include <assert.h>

void binding_end(struct binding *binding)
{
	struct backend_conn *link = binding->link;

	if (!link)
		return;
	struct backend *backend = link->backend;

	binding->link = NULL;
	backend_close(link, false);
	backend_drop(backend);
}

/* It ended, said something that nobody asked for, or must give way. */
static void on_event(struct conn *conn, unsigned events)
{
	(void)events;
	binding_end(container_of(conn, struct backend_conn, conn)->holder);
}

/* Does its backend get no new requests? An authentication that has begun still ends there. */
static bool is_over(const struct backend_conn *link)
{
	return (link->backend->draining || link->backend->removed) && !link->is_challenged;
}

void binding_keep(struct binding *binding, struct backend_conn *link)
{
	assert(!binding->link && link->is_bound);
	backend_set_aside(link);
	backend_hold(link->backend);
	link->holder = binding;
	link->conn.on_event = on_event;
	binding->link = link;
	if (link->conn.ended || link->conn.error != 0 || is_over(link))
		binding_end(binding);
}

struct backend *binding_backend(struct binding *binding)
{
	const struct backend_conn *link = binding->link;

	if (link && (is_over(link) || !conn_is_quiet(&link->conn)))
		binding_end(binding);
	return binding->link ? binding->link->backend : NULL;
}

struct backend_conn *binding_take(struct binding *binding)
{
	struct backend_conn *link = binding->link;

	binding->link = NULL;
	backend_take_back(link);
	backend_drop(link->backend);
	return link;
}
