#include "upstream/pool.h"

#include "base/table.h"
#include "checker.h"

#include <stdlib.h>

/* ---- life */

static void on_state(struct backend *backend, void *context)
{
	struct pool *pool = context;

	if (pool->with.on_state)
		pool->with.on_state(backend, pool->with.context);
	checker_wake(pool->checker);
}

static void on_settled(void *context)
{
	const struct pool *pool = context;

	if (pool->with.on_settled)
		pool->with.on_settled(pool->with.context);
}

static void on_addresses(struct backend *backend, void *context)
{
	struct pool *pool = context;

	if (pool->with.on_addresses)
		pool->with.on_addresses(backend, pool->with.context);
	backend_tell_room(&pool->env, false);
}

static void on_sought(void *context)
{
	const struct pool *pool = context;

	checker_wake(pool->checker);
}

static void on_silence(struct backend *backend, void *context)
{
	struct pool *pool = context;

	if (pool->with.on_silence)
		pool->with.on_silence(backend, pool->with.context);
}

bool pool_init(struct pool *pool, const struct pool_start *start)
{
	*pool = (struct pool){
	    .with = *start,
	    .env = {.loop = start->loop,
		.blocks = start->blocks,
		.connections = start->connections,
		.on_change = on_state,
		.on_silence = on_silence,
		.on_sought = on_sought,
		.context = pool},
	};
	ring_init(&pool->ring);
	pool->resolver = resolver_create(start->loop, &(struct resolver_options){0});
	if (!pool->resolver)
		return false;
	const struct names_start names = {
	    .loop = start->loop,
	    .resolver = pool->resolver,
	    .ring = &pool->ring,
	    .on_settled = on_settled,
	    .on_change = on_addresses,
	    .context = pool,
	};
	pool->names = names_create(&names);
	pool->checker = checker_create(&pool->ring, &pool->env);
	return pool->names && pool->checker;
}

void pool_finish(struct pool *pool)
{
	pool_cancel(pool);
	names_destroy(pool->names);
	resolver_destroy(pool->resolver);
	checker_destroy(pool->checker);
	ring_finish(&pool->ring);
}

/* ---- the set that comes next */

static void forget_next(struct pool *pool)
{
	for (size_t i = 0; pool->updates && i < pool->next.count; i++)
		backend_cancel_update(pool->updates[i]);
	free(pool->updates);
	free(pool->next_path);
	free(pool->next_host);
	ring_cancel_list(&pool->next);
	pool->updates = NULL;
	pool->next_path = pool->next_host = NULL;
}

void pool_cancel(struct pool *pool)
{
	if (!pool->updates)
		return;
	names_prepare(pool->names, NULL, 0);
	forget_next(pool);
}

/* The backends of the ring by their urls. False without memory. */
static bool list_urls(const struct ring *ring, struct table *urls)
{
	for (size_t i = 0; i < ring->count; i++)
		if (!table_add(urls, str_from(ring->backends[i]->url), ring->backends[i]))
			return false;
	return true;
}

/* One of those that are there, with the update that it needs, or a new one; held. NULL without
 * memory. */
static struct backend *find_or_create(struct backend_env *env, const struct table *urls,
    const struct backend_options *options, struct backend_update **update)
{
	struct backend *backend = table_find(urls, str_from(options->url));

	*update = NULL;
	if (!backend)
		return backend_create(env, options);
	*update = backend_prepare_update(backend, options);
	if (!*update)
		return NULL;
	backend_hold(backend);
	return backend;
}

/* Fills pool->updates and pool->next. */
static bool prepare_backends(struct pool *pool, const struct pool_options *options)
{
	size_t count = options->backend_count, made = 0;
	struct backend **backends = calloc(count + 1, sizeof(struct backend *));
	struct table urls = {0};

	pool->updates = calloc(count + 1, sizeof(struct backend_update *));
	bool good = backends && pool->updates && list_urls(&pool->ring, &urls);
	while (good && made < count) {
		backends[made] = find_or_create(
		    &pool->env, &urls, options->backends[made], &pool->updates[made]);
		good = backends[made] != NULL;
		made += good;
	}
	good = good && ring_prepare_list(&pool->next, backends, count);
	/* Either the list holds them now, or they are freed. */
	for (size_t i = 0; i < made; i++) {
		if (!good)
			backend_cancel_update(pool->updates[i]);
		backend_drop(backends[i]);
	}
	free(backends);
	table_finish(&urls);
	return good;
}

enum pool_preparation pool_prepare(struct pool *pool, const struct pool_options *options)
{
	pool_cancel(pool);
	pool->next_options = *options;
	pool->next_options.backends = NULL;
	pool->next_path = strdup(options->check.path);
	pool->next_host = strdup(options->check.host);
	if (!pool->next_path || !pool->next_host || !prepare_backends(pool, options)) {
		forget_next(pool);
		return POOL_NO_MEMORY;
	}
	return names_prepare(pool->names, pool->next.backends, pool->next.count) ? POOL_WAITS
										 : POOL_PREPARED;
}

void pool_commit(struct pool *pool)
{
	const struct pool_options *options = &pool->next_options;

	for (size_t i = 0; i < pool->next.count; i++)
		if (pool->updates[i])
			backend_commit_update(pool->next.backends[i], pool->updates[i]);
	free(pool->updates);
	pool->updates = NULL;
	pool->ring.options = options->ring;
	pool->env.idle_timeout_us = options->idle_timeout_us;
	pool->env.age_limit_us = options->age_limit_us;
	pool->env.silence.options = options->silence;
	ring_commit_list(&pool->ring, &pool->next);
	checker_configure(pool->checker, &options->check, pool->next_path, pool->next_host);
	pool->next_path = pool->next_host = NULL;
	names_refresh(pool->names);
	backend_tell_room(&pool->env, false);
}
