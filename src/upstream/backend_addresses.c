#include "upstream/backend.h"

#include <stdlib.h>
#include <utlist.h>

/* Where `addr` stands among the addresses; their count when it is none of them. */
static size_t backend_find_address(const struct backend *backend, const struct net_addr *addr)
{
	size_t i = 0;

	while (i < backend->addr_count && !net_addr_equals(&backend->addrs[i], addr))
		i++;
	return i;
}

bool backend_has_address(const struct backend *backend, const struct net_addr *addr)
{
	return backend_find_address(backend, addr) < backend->addr_count;
}

static void backend_close_elsewhere(struct backend *backend)
{
	struct backend_conn *connection, *next;

	DL_FOREACH_SAFE (backend->idle, connection, next)
		if (!backend_has_address(backend, &connection->addr))
			backend_close(connection, false);
}

bool backend_set_addrs(struct backend *backend, const struct net_addr *addrs, size_t count)
{
	if (count == 0)
		return true;
	struct net_addr *copy = malloc(count * sizeof(*copy));
	if (!copy)
		return false;
	memcpy(copy, addrs, count * sizeof(*copy));

	struct net_addr first = {0};
	if (backend->addr_count > 0)
		first = backend->addrs[backend->addr_first];
	free(backend->addrs);
	backend->addrs = copy;
	backend->addr_count = count;
	backend->addr_first = 0;
	backend->unresolved = false;
	backend_prefer_address(backend, backend_find_address(backend, &first));
	backend_close_elsewhere(backend);
	return true;
}

size_t backend_address_count(const struct backend *backend)
{
	return backend->addr_count;
}

void backend_prefer_address(struct backend *backend, size_t number)
{
	/* The resolver may have shortened the list since the connect began. */
	if (number < backend->addr_count)
		backend->addr_first = number;
}

void backend_connected(struct backend_conn *connection)
{
	struct backend *backend = connection->backend;

	backend_prefer_address(backend, backend_find_address(backend, &connection->addr));
}
