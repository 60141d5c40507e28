#include "upstream/names.h"

#include "base/arena.h"
#include "base/table.h"

#include <stdlib.h>
#include <utlist.h>

enum {
	SECOND_US = 1000 * 1000,
	SHORTEST_US = 5 * SECOND_US, /* between two lookups of a name, and after one that failed */
	LONGEST_US = 60 * SECOND_US,
	REFRESH_US = SECOND_US /* for which a refresh waits, and with it a start */
};

/* One backend with a host name. */
struct name {
	struct resolve_query query;
	struct timer timer; /* to the next lookup */
	struct names *names;
	struct backend *backend; /* held */
	bool is_wanted;          /* seen by the refresh under way */
	bool is_unsettled;       /* its lookup of the last refresh has not ended */
	struct name *prev, *next;
	struct loop_task free_task;
};

struct names {
	struct names_start with;
	struct name *first;
	struct table by_backend;
	size_t unsettled;      /* lookups of the last refresh that have not ended */
	struct timer patience; /* with those */
	struct loop_task task;
	struct loop_task free_task;
};

/* ---- the end of a refresh */

static void on_end_of_turn(struct loop_task *task)
{
	struct names *names = container_of(task, struct names, task);

	if (names->unsettled == 0 && names->with.on_settled)
		names->with.on_settled(names->with.context);
}

/* At the end of the turn: then the caller of the refresh has finished its own work. */
static void check_settled(struct names *names)
{
	names->task.run = on_end_of_turn;
	if (names->unsettled == 0)
		loop_at_end_of_turn(names->with.loop, &names->task);
}

static void stop_waiting(struct names *names)
{
	struct name *name;

	DL_FOREACH (names->first, name)
		name->is_unsettled = false;
	names->unsettled = 0;
	timer_cancel(&names->patience);
}

static void on_late(struct timer *timer)
{
	struct names *names = container_of(timer, struct names, patience);

	stop_waiting(names);
	check_settled(names);
}

static void be_patient(struct names *names, int64_t wait_us)
{
	struct loop *loop = names->with.loop;

	if (names->unsettled > 0)
		timer_arm(loop_timers(loop), &names->patience, loop_now_us(loop) + wait_us);
}

/* ---- one name */

static int64_t next_lookup_us(const struct resolve_answer *answer)
{
	if (answer->count == 0)
		return SHORTEST_US;
	int64_t ttl_us = (int64_t)answer->ttl_seconds * SECOND_US;
	if (ttl_us > LONGEST_US)
		return LONGEST_US;
	return ttl_us < SHORTEST_US ? SHORTEST_US : ttl_us;
}

/* Name servers turn the records round from answer to answer, so their order says nothing. */
static bool same_addrs(const struct backend *backend, const struct resolve_answer *answer)
{
	if (backend->addr_count != answer->count)
		return false;
	for (size_t i = 0; i < answer->count; i++)
		if (!backend_has_address(backend, &answer->addrs[i]))
			return false;
	return true;
}

static void settle(struct name *name)
{
	if (!name->is_unsettled)
		return;
	name->is_unsettled = false;
	if (--name->names->unsettled == 0)
		timer_cancel(&name->names->patience);
	check_settled(name->names);
}

static void arm(struct name *name, int64_t wait_us)
{
	struct loop *loop = name->names->with.loop;

	timer_arm(loop_timers(loop), &name->timer, loop_now_us(loop) + wait_us);
}

static void on_done(struct resolve_query *query, const struct resolve_answer *answer)
{
	struct name *name = container_of(query, struct name, query);
	const struct names_start *with = &name->names->with;

	arm(name, next_lookup_us(answer));
	bool changed = answer->count > 0 && !same_addrs(name->backend, answer) &&
		       backend_set_addrs(name->backend, answer->addrs, answer->count);
	settle(name);
	if (changed && with->on_change)
		with->on_change(name->backend, with->context);
}

static void ask(struct name *name)
{
	if (name->query.lookup)
		return;
	if (resolve_start(name->names->with.resolver, &name->query, str_from(name->backend->host),
		name->backend->port))
		return;
	arm(name, SHORTEST_US);
	settle(name);
}

static void on_due(struct timer *timer)
{
	ask(container_of(timer, struct name, timer));
}

static void on_name_free(struct loop_task *task)
{
	free(container_of(task, struct name, free_task));
}

static struct str key_of(struct backend *const *backend)
{
	return (struct str){(const char *)backend, sizeof(*backend)};
}

static void forget(struct names *names, struct name *name)
{
	settle(name);
	resolve_cancel(&name->query);
	timer_remove(loop_timers(names->with.loop), &name->timer);
	table_remove(&names->by_backend, key_of(&name->backend));
	backend_drop(name->backend);
	DL_DELETE(names->first, name);
	name->free_task.run = on_name_free;
	loop_free_later(names->with.loop, &name->free_task);
}

static struct name *find(const struct names *names, struct backend *backend)
{
	return table_find(&names->by_backend, key_of(&backend));
}

/* Without memory for it the backend stays unresolved until the next refresh. */
static struct name *add(struct names *names, struct backend *backend)
{
	struct name *name = calloc(1, sizeof(*name));

	if (!name)
		return NULL;
	name->names = names;
	name->backend = backend;
	if (!table_add(&names->by_backend, key_of(&name->backend), name)) {
		free(name);
		return NULL;
	}
	backend_hold(backend);
	resolve_init(&name->query, on_done);
	timer_init(&name->timer, on_due);
	DL_APPEND(names->first, name);
	return name;
}

/* ---- all of them */

static bool has_name(const struct backend *backend)
{
	struct net_addr literal;

	return backend->host && !net_addr_from_ip(&literal, str_from(backend->host), 0);
}

/* The entry of a backend with a name; NULL for others, and without memory. */
static struct name *want(struct names *names, struct backend *backend)
{
	struct name *name = find(names, backend);

	if (!name && has_name(backend))
		name = add(names, backend);
	if (name)
		name->is_wanted = true;
	return name;
}

static void forget_unwanted(struct names *names)
{
	struct name *name, *next;

	DL_FOREACH_SAFE (names->first, name, next) {
		if (!name->is_wanted)
			forget(names, name);
		else
			name->is_wanted = false;
	}
}

static void await(struct name *name)
{
	if (name->is_unsettled)
		return;
	name->is_unsettled = true;
	name->names->unsettled++;
}

void names_refresh(struct names *names)
{
	const struct ring *ring = names->with.ring;
	struct name *name;

	for (size_t i = 0; i < ring->count; i++)
		want(names, ring->backends[i]);
	forget_unwanted(names);
	DL_FOREACH (names->first, name)
		await(name);
	DL_FOREACH (names->first, name)
		ask(name);
	be_patient(names, REFRESH_US);
	check_settled(names);
}

/* ---- names of the set that comes next */

/* The hosts of the ring, in small letters, and a backend of each that has addresses. */
struct hosts {
	struct table table;
	struct arena arena;
};

/* A host for which there is no memory is left out; its name is then looked up once more. */
static void list_hosts(const struct names *names, struct hosts *hosts)
{
	const struct name *name;

	DL_FOREACH (names->first, name) {
		const struct backend *backend = name->backend;
		const char *host;

		if (!name->is_wanted || backend->addr_count == 0 ||
		    backend->addr_count > RESOLVE_ADDRS_MAX)
			continue;
		host = arena_copy_lower(&hosts->arena, str_from(backend->host));
		if (host)
			table_add(&hosts->table, str_from(host), backend);
	}
}

static void forget_hosts(struct hosts *hosts)
{
	table_finish(&hosts->table);
	arena_finish(&hosts->arena);
}

/* A host that the ring knows under another url has the same addresses; the refresh will show if
 * they are still valid. */
static bool borrow_addrs(struct hosts *hosts, struct backend *backend)
{
	const char *host = arena_copy_lower(&hosts->arena, str_from(backend->host));
	const struct backend *known = host ? table_find(&hosts->table, str_from(host)) : NULL;
	struct net_addr addrs[RESOLVE_ADDRS_MAX];

	if (!known)
		return false;
	for (size_t i = 0; i < known->addr_count; i++) {
		addrs[i] = known->addrs[i];
		net_addr_set_port(&addrs[i], backend->port);
	}
	return backend_set_addrs(backend, addrs, known->addr_count);
}

bool names_prepare(struct names *names, struct backend *const *backends, size_t count)
{
	const struct ring *ring = names->with.ring;
	struct hosts hosts = {0};
	struct name *name;

	for (size_t i = 0; i < ring->count; i++)
		want(names, ring->backends[i]);
	list_hosts(names, &hosts);
	stop_waiting(names);
	for (size_t i = 0; i < count; i++) {
		if (!has_name(backends[i]) || find(names, backends[i]))
			continue;
		name = want(names, backends[i]);
		if (!name || borrow_addrs(&hosts, backends[i]))
			continue;
		await(name);
		ask(name);
	}
	forget_hosts(&hosts);
	forget_unwanted(names);
	be_patient(names, RESOLVE_TIMEOUT_MS * INT64_C(1000));
	return names->unsettled > 0;
}

struct names *names_create(const struct names_start *start)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	names->with = *start;
	timer_init(&names->patience, on_late);
	return names;
}

static void on_free(struct loop_task *task)
{
	free(container_of(task, struct names, free_task));
}

void names_destroy(struct names *names)
{
	struct name *name, *next;

	if (!names)
		return;
	DL_FOREACH_SAFE (names->first, name, next)
		forget(names, name);
	timer_remove(loop_timers(names->with.loop), &names->patience);
	names->with.on_settled = NULL;
	names->free_task.run = on_free;
	loop_free_later(names->with.loop, &names->free_task);
}
