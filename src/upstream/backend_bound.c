#include "upstream/backend.h"

#include <assert.h>
#include <utlist.h>

void backend_set_aside(struct backend_conn *connection)
{
	struct backend *backend = connection->backend;

	assert(connection->is_bound && !connection->is_idle && !connection->is_aside);
	assert(buf_len(&connection->conn.in) == 0 && buf_len(&connection->conn.out) == 0);
	conn_want(&connection->conn, LOOP_READ);
	buf_release(&connection->conn.in);
	buf_release(&connection->conn.out);
	connection->exchanges++;
	connection->is_aside = true;
	DL_PREPEND(backend->bound, connection);
	DL_PREPEND2(connection->env->bound, connection, newer, older);
	backend->bound_count++;
	backend->active--;
	backend_tell_room(backend->env, true);
}

void backend_take_back(struct backend_conn *connection)
{
	struct backend *backend = connection->backend;

	assert(connection->is_aside);
	connection->is_aside = false;
	DL_DELETE(backend->bound, connection);
	DL_DELETE2(connection->env->bound, connection, newer, older);
	backend->bound_count--;
	backend->active++;
	connection->conn.sent = 0;
	connection->conn.received = 0;
}

/* Its holder closes it, as when the backend had ended it. */
static bool backend_push_out(struct backend_conn *connection)
{
	if (!connection)
		return false;
	connection->conn.on_event(&connection->conn, LOOP_BROKEN);
	assert(!connection->is_aside);
	return true;
}

bool backend_give_way(struct backend *backend)
{
	/* `prev` of the first is the last of the list. */
	return backend_push_out(backend->bound ? backend->bound->prev : NULL);
}

bool backend_give_way_anywhere(struct backend_env *env)
{
	return backend_push_out(env->bound ? env->bound->newer : NULL);
}

unsigned backend_count_idle(const struct backend *backend)
{
	return backend->idle_count + backend->bound_count;
}
