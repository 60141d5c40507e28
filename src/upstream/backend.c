#include "upstream/backend.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* ---- identity */

/* The copies that a backend makes of its options. */
struct backend_update {
	char *url, *name, *host, *path, *authority;
	struct backend_options options; /* strings point at the copies */
};

char *backend_authority(const struct backend_options *options)
{
	bool is_v6 = options->host && strchr(options->host, ':');
	char *authority = NULL;

	if (!options->host)
		return strdup("localhost");
	if (asprintf(&authority, "%s%s%s:%u", is_v6 ? "[" : "", options->host, is_v6 ? "]" : "",
		options->port) < 0)
		return NULL;
	return authority;
}

void backend_cancel_update(struct backend_update *update)
{
	if (!update)
		return;
	free(update->url);
	free(update->name);
	free(update->host);
	free(update->path);
	free(update->authority);
	free(update);
}

static struct backend_update *backend_copy_options(const struct backend_options *options)
{
	struct backend_update *update = calloc(1, sizeof(*update));

	if (!update)
		return NULL;
	update->url = strdup(options->url);
	update->name = strdup(options->name);
	update->host = options->host ? strdup(options->host) : NULL;
	update->path = options->path ? strdup(options->path) : NULL;
	update->authority = backend_authority(options);
	if (!update->url || !update->name || !update->authority ||
	    (options->host && !update->host) || (options->path && !update->path)) {
		backend_cancel_update(update);
		return NULL;
	}
	update->options = *options;
	update->options.url = update->url;
	update->options.name = update->name;
	update->options.host = update->host;
	update->options.path = update->path;
	return update;
}

static void backend_free_strings(struct backend *backend)
{
	free(backend->url);
	free(backend->name);
	free(backend->host);
	free(backend->path);
	free(backend->authority);
}

struct backend_update *backend_prepare_update(
    const struct backend *backend, const struct backend_options *options)
{
	assert(strcmp(backend->url, options->url) == 0);
	return backend_copy_options(options);
}

static void backend_adopt(struct backend *backend, struct backend_update *update)
{
	backend_free_strings(backend);
	backend->url = update->url;
	backend->name = update->name;
	backend->host = update->host;
	backend->path = update->path;
	backend->authority = update->authority;
	backend->port = update->options.port;
	backend->options = update->options;
	free(update);
}

void backend_commit_update(struct backend *backend, struct backend_update *update)
{
	backend_adopt(backend, update);
	if (!backend->weight_is_override)
		backend->weight = backend->options.weight;
}

/* A path or a literal address needs no resolver. False without memory. */
static bool backend_resolve_literal(struct backend *backend)
{
	struct net_addr addr = {0};

	if (backend->path) {
		bool is_path = net_addr_from_path(&addr, str_from(backend->path));

		assert(is_path);
	} else if (!net_addr_from_ip(&addr, str_from(backend->host), backend->port)) {
		backend->unresolved = true;
		return true;
	}
	return backend_set_addrs(backend, &addr, 1);
}

static void backend_free(struct backend *backend)
{
	backend_free_strings(backend);
	free(backend->addrs);
	DL_DELETE2(backend->env->backends, backend, before, after);
	free(backend);
}

struct backend *backend_create(struct backend_env *env, const struct backend_options *options)
{
	struct backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return NULL;
	backend->env = env;
	DL_APPEND2(env->backends, backend, before, after);
	backend->holders = 1;
	backend->since_unix_us = loop_unix_us();
	backend->weight = options->weight;
	backend->latency_share = BACKEND_WHOLE_SHARE;
	struct backend_update *update = backend_copy_options(options);
	if (update)
		backend_adopt(backend, update);
	if (!update || !backend_resolve_literal(backend)) {
		backend_free(backend);
		return NULL;
	}
	return backend;
}

void backend_close_idle(struct backend *backend)
{
	while (backend->idle)
		backend_close(backend->idle, false);
}

void backend_hold(struct backend *backend)
{
	backend->holders++;
}

void backend_drop(struct backend *backend)
{
	assert(backend->holders > 0);
	if (--backend->holders > 0)
		return;
	assert(backend->active == 0);
	backend_close_idle(backend);
	backend_free(backend);
}

/* ---- state */

static void backend_go_down(struct backend *backend, const struct backend_change *change)
{
	assert(outcome_blame(change->reason) != BLAME_NONE);
	backend->reason = change->reason;
	backend->reason_status = change->status;
	backend->reason_fault = change->fault;
	backend->window_us = change->window_us;
	backend->until_us = change->now_us + change->window_us;
	backend_close_idle(backend);
}

static enum backend_return how_it_returned(enum backend_state from, enum outcome reason)
{
	if (reason == OUTCOME_CHECK)
		return RETURN_BY_CHECKS;
	return from == BACKEND_TRIAL ? RETURN_BY_TRIAL : RETURN_BY_ANSWER;
}

static void backend_come_up(struct backend *backend, const struct backend_change *change)
{
	backend->returned = how_it_returned(backend->state, change->reason);
	backend->reason = OUTCOME_GOOD;
	backend->reason_status = 0;
	backend->reason_fault = HTTP_FAULT_NONE;
	memset(backend->records, 0, sizeof(backend->records));
	backend->ramp_from_us = change->now_us;
}

static void backend_log_state(const struct backend *backend)
{
	char text[BACKEND_TEXT_SIZE];

	log_line(backend->state == BACKEND_DOWN ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
	    "backend %s is %s%s: %s", backend->name, backend->state == BACKEND_TRIAL ? "on " : "",
	    backend_state_words[backend->state], backend_describe_change(backend, text));
}

void backend_tell_room(struct backend_env *env, bool is_place)
{
	if (env->on_room)
		env->on_room(env->waiting_room, is_place);
}

/* The newest failure for this reason; the newest at all, where checks were the reason. */
static unsigned find_decisive(const struct backend *backend, enum outcome reason)
{
	unsigned newest = backend->failure_next + BACKEND_FAILURE_HISTORY - 1;

	for (unsigned i = 0; i < BACKEND_FAILURE_HISTORY; i++) {
		unsigned place = (newest - i) % BACKEND_FAILURE_HISTORY;

		if (backend->failures[place].when_unix_us > 0 &&
		    backend->failures[place].outcome == reason)
			return place;
	}
	return newest % BACKEND_FAILURE_HISTORY;
}

void backend_set_state(struct backend *backend, const struct backend_change *change)
{
	enum backend_state from = backend->state;

	assert(change->state < BACKEND_STATES);
	if (change->state == BACKEND_DOWN)
		backend_go_down(backend, change);
	if (change->state == from)
		return;
	if (change->state == BACKEND_UP)
		backend_come_up(backend, change);
	if (from == BACKEND_UP) {
		backend->left_up_us = change->now_us;
		backend->failure_decisive = find_decisive(backend, change->reason);
	}
	backend->state = change->state;
	backend->since_us = change->now_us;
	backend->since_unix_us = loop_unix_us();
	backend->on_trial = false;
	backend->epoch++;
	backend->checks_failed = 0;
	backend->checks_good = 0;
	backend_log_state(backend);
	if (backend->env->on_change)
		backend->env->on_change(backend, backend->env->context);
	backend_tell_room(backend->env, false);
}

void backend_look_again_at(struct backend *backend, int64_t when_us)
{
	assert(backend->state == BACKEND_DOWN);
	backend->until_us = when_us;
}

void backend_set_draining(struct backend *backend, bool draining)
{
	backend->draining = draining;
	backend->drained_unix_us = draining ? loop_unix_us() : 0;
	backend_tell_room(backend->env, false);
}

enum { WORD_DRAINING = BACKEND_STATES, WORD_UNRESOLVED };

const char *const backend_state_words[BACKEND_STATE_WORDS] = {
    [BACKEND_UP] = "up",
    [BACKEND_DOWN] = "down",
    [BACKEND_TRIAL] = "trial",
    [WORD_DRAINING] = "draining",
    [WORD_UNRESOLVED] = "unresolved",
};

enum standing backend_standing(const struct backend *backend)
{
	if (backend->state == BACKEND_UP)
		return STANDING_UP;
	if (backend->state == BACKEND_TRIAL)
		return backend->on_trial ? STANDING_BUSY : STANDING_TRIAL;
	return outcome_blame(backend->reason) == BLAME_HARD ? STANDING_HARD : STANDING_SOFT;
}

bool backend_is_up(const struct backend *backend)
{
	return backend->state == BACKEND_UP && !backend->draining && !backend->unresolved;
}

unsigned backend_suspicions(const struct backend *backend)
{
	unsigned once = backend->records[RECORD_ONCE].streak;
	unsigned content = backend->records[RECORD_CONTENT].streak;

	return once > content ? once : content;
}

const char *backend_state_word(const struct backend *backend)
{
	if (backend->draining)
		return backend_state_words[WORD_DRAINING];
	if (backend->unresolved)
		return backend_state_words[WORD_UNRESOLVED];
	return backend_state_words[backend->state];
}

/* ---- failures and response times */

const int64_t backend_latency_bounds_us[HISTOGRAM_BUCKETS - 1] = {
    1000,
    2000,
    5000,
    10000,
    20000,
    50000,
    100000,
    200000,
    500000,
    1000000,
    2000000,
    5000000,
    10000000,
    30000000,
};

/* The newest failure has no place of its own yet: the oldest gives its place. The one that took the
 * backend down stays the oldest instead, and the second oldest goes. */
static struct backend_failure *make_place(struct backend *backend)
{
	unsigned place = backend->failure_next;

	backend->failure_next = (place + 1) % BACKEND_FAILURE_HISTORY;
	if (backend->state != BACKEND_UP && place == backend->failure_decisive) {
		backend->failures[backend->failure_next] = backend->failures[place];
		backend->failure_decisive = backend->failure_next;
	}
	return &backend->failures[place];
}

void backend_note_failure(struct backend *backend, const struct backend_failure *failure)
{
	bool is_check = failure->source == FAILURE_OF_CHECK;
	struct backend_failure *kept = make_place(backend);

	backend->counters.failures[is_check ? OUTCOME_CHECK : failure->outcome]++;
	*kept = *failure;
	if (kept->when_unix_us == 0)
		kept->when_unix_us = loop_unix_us();
	if (failure->source == FAILURE_OF_REQUEST && outcome_blame(failure->outcome) != BLAME_NONE)
		latency_fail(
		    &backend->latency, failure->silent_us, loop_now_us(backend->env->loop));
}

void backend_note_latency(struct backend *backend, int64_t took_us)
{
	int64_t now_us = loop_now_us(backend->env->loop);

	histogram_note(&backend->counters.latency, backend_latency_bounds_us, took_us, now_us);
	latency_sample(&backend->latency, took_us, now_us);
}

/* ---- connections */

static void backend_conn_on_idle_event(struct conn *conn, unsigned events)
{
	/* An end, an error or unexpected bytes: in each case the connection cannot be used
	 * again. */
	(void)events;
	backend_close(container_of(conn, struct backend_conn, conn), false);
}

static void backend_conn_on_idle_limit(struct timer *timer)
{
	backend_close(container_of(timer, struct backend_conn, timer), false);
}

static void backend_conn_on_free(struct loop_task *task)
{
	struct backend_conn *connection = container_of(task, struct backend_conn, free_task);
	struct backend_env *env = connection->env;

	timer_remove(loop_timers(env->loop), &connection->timer);
	slab_give(env->connections, connection);
}

/* Closes the connection that was idle longest, or that was set aside first; false when there is
 * none. */
static bool backend_close_oldest(struct backend_env *env)
{
	if (!env->idle)
		return backend_give_way_anywhere(env);
	backend_close(env->idle->newer, false); /* the head's `newer` is the end of the list */
	return true;
}

/* Opens an empty connection over a descriptor. Negative errno, and nothing taken over. */
static int backend_open(
    struct backend *backend, int fd, bool connecting, struct backend_conn **opened)
{
	struct backend_env *env = backend->env;

	if (env->open >= env->connection_limit && !backend_close_oldest(env))
		return -ENOMEM;
	struct backend_conn *connection = slab_take(env->connections);
	if (!connection)
		return -ENOMEM;
	*connection = (struct backend_conn){
	    .backend = backend, .env = env, .opened_us = loop_now_us(env->loop)};
	int error = conn_open(
	    &connection->conn, env->loop, env->blocks, fd, connecting ? LOOP_WRITE : LOOP_READ);
	if (error != 0) {
		slab_give(env->connections, connection);
		return error;
	}
	timer_init(&connection->timer, backend_conn_on_idle_limit);
	connection->free_task.run = backend_conn_on_free;
	env->open++;
	*opened = connection;
	return 0;
}

/* A descriptor that connects, or a negative errno. */
static int backend_dial(struct backend *backend, const struct net_addr *addr, bool *connecting)
{
	unsigned most = backend->options.max_connections;

	while (most > 0 && backend->active + backend->idle_count + backend->bound_count >= most) {
		if (backend->idle)
			backend_close(backend->idle->prev, false);
		else if (!backend_give_way(backend))
			break;
	}
	int fd = net_connect(addr, connecting);
	if ((fd == -EMFILE || fd == -ENFILE) && backend_close_oldest(backend->env))
		fd = net_connect(addr, connecting);
	return fd;
}

struct backend_conn *backend_connect(
    struct backend *backend, size_t number, int *error, bool *connecting)
{
	struct backend_conn *connection = NULL;

	*connecting = false;
	if (backend->addr_count == 0) {
		*error = -EHOSTUNREACH;
		return NULL;
	}
	const struct net_addr *addr = &backend->addrs[number % backend->addr_count];
	int fd = backend_dial(backend, addr, connecting);
	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	*error = backend_open(backend, fd, *connecting, &connection);
	if (*error != 0) {
		net_close(fd, false);
		return NULL;
	}
	connection->addr = *addr;
	connection->conn.writable = !*connecting;
	backend->active++;
	backend->counters.connects++;
	return connection;
}

/* A request is done with one of its connections. */
static void backend_give_place(struct backend *backend)
{
	backend->active--;
	backend_tell_room(backend->env, true);
}

static void backend_enter_pool(struct backend_conn *connection)
{
	struct backend *backend = connection->backend;

	DL_PREPEND(backend->idle, connection);
	DL_PREPEND2(connection->env->idle, connection, newer, older);
	backend->idle_count++;
	connection->is_idle = true;
}

static void backend_leave_pool(struct backend_conn *connection)
{
	struct backend *backend = connection->backend;

	DL_DELETE(backend->idle, connection);
	DL_DELETE2(connection->env->idle, connection, newer, older);
	backend->idle_count--;
	connection->is_idle = false;
}

/* It may serve no further request. */
static bool backend_conn_is_spent(const struct backend_conn *connection)
{
	const struct backend_env *env = connection->env;

	return env->idle_timeout_us == 0 ||
	       (env->age_limit_us > 0 &&
		   loop_now_us(env->loop) - connection->opened_us >= env->age_limit_us);
}

struct backend_conn *backend_take(struct backend *backend)
{
	struct backend_conn *connection;

	while ((connection = backend->idle) && backend_conn_is_spent(connection))
		backend_close(connection, false);
	if (!connection)
		return NULL;
	backend_leave_pool(connection);
	backend->active++;
	connection->conn.sent = 0;
	connection->conn.received = 0;
	timer_cancel(&connection->timer);
	return connection;
}

static bool backend_may_pool(const struct backend_conn *connection)
{
	const struct backend *backend = connection->backend;
	const struct conn *conn = &connection->conn;

	return backend->state != BACKEND_DOWN && !backend->draining && !backend->removed &&
	       !connection->is_bound && !backend_conn_is_spent(connection) &&
	       backend_has_address(backend, &connection->addr) && !conn->ended && conn->error == 0;
}

void backend_give(struct backend_conn *connection)
{
	struct backend *backend = connection->backend;
	struct backend_env *env = connection->env;

	assert(!connection->is_idle);
	assert(buf_len(&connection->conn.in) == 0 && buf_len(&connection->conn.out) == 0);
	/* Do not pool a connection that cannot be watched while idle: it might end unnoticed. */
	conn_want(&connection->conn, LOOP_READ);
	if (!backend_may_pool(connection)) {
		backend_close(connection, false);
		return;
	}
	buf_release(&connection->conn.in);
	buf_release(&connection->conn.out);
	connection->exchanges++;
	connection->holder = NULL;
	connection->conn.on_event = backend_conn_on_idle_event;
	timer_arm(loop_timers(env->loop), &connection->timer,
	    loop_now_us(env->loop) + env->idle_timeout_us);
	backend_give_place(backend);
	backend_enter_pool(connection);
}

void backend_close(struct backend_conn *connection, bool reset)
{
	struct backend *backend = connection->backend;

	assert(conn_is_open(&connection->conn));
	if (connection->is_aside)
		backend_take_back(connection);
	if (connection->is_idle)
		backend_leave_pool(connection);
	else
		backend_give_place(backend);
	connection->env->open--;
	conn_close(&connection->conn, reset);
	timer_cancel(&connection->timer);
	loop_free_later(connection->env->loop, &connection->free_task);
}
