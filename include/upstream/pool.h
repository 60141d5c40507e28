/*
 * pool - the backends of the configuration: the ring, their names, their checks, and the set that
 * comes next.
 *
 * A new set is prepared beside the running one: backends that are in both are the same ones, all
 * others are new and up, and their names are looked up. Nothing of the running set changes before
 * pool_commit, which cannot fail; pool_cancel leaves no trace. One set is prepared at a time.
 */
#ifndef RONDO_UPSTREAM_POOL_H
#define RONDO_UPSTREAM_POOL_H

#include "upstream/check.h"
#include "upstream/names.h"

/* The part of the configuration that describes the pool. */
struct pool_options {
	const struct backend_options *const *backends;
	size_t backend_count;
	struct ring_options ring;
	struct silence_options silence;
	struct check_options check;
	int64_t idle_timeout_us; /* timeouts.backend_idle */
	int64_t age_limit_us;    /* timeouts.backend_age */
};

struct pool_start {
	struct loop *loop;
	struct slab *blocks;      /* buffers */
	struct slab *connections; /* struct backend_conn */
	/* The names of the set that is prepared, or was committed, are known, or known to be
	 * unknown, or take too long; never called from within a function of the pool. */
	void (*on_settled)(void *context);
	/* The state of a backend changed, or it got other addresses. */
	void (*on_state)(struct backend *backend, void *context);
	void (*on_addresses)(struct backend *backend, void *context);
	/* It was found silent, or is silent no more (backend->silent_us). */
	void (*on_silence)(struct backend *backend, void *context);
	void *context;
};

struct pool {
	struct ring ring;
	struct backend_env env;
	struct pool_start with;
	struct resolver *resolver;
	struct names *names;
	struct checker *checker;

	/* The set that comes next. */
	struct ring_list next;
	struct backend_update **updates; /* one for each of `next`; NULL: it is new */
	char *next_path, *next_host;     /* of its checks */
	struct pool_options next_options;
};

/* An empty pool. False without memory or without a resolver. */
bool pool_init(struct pool *pool, const struct pool_start *start);

/* The loop must run, or be destroyed, afterwards: memory is freed at the end of the turn. */
void pool_finish(struct pool *pool);

enum pool_preparation {
	POOL_PREPARED, /* pool_commit may follow */
	POOL_WAITS,    /* for names, RESOLVE_TIMEOUT_MS at the longest: on_settled tells */
	POOL_NO_MEMORY /* nothing is prepared */
};

/* Prepares a set; one that was prepared before is given up. `options` are copied, with the strings
 * of the backends and of the path of the checks. */
enum pool_preparation pool_prepare(struct pool *pool, const struct pool_options *options);

/* The prepared set takes effect. */
void pool_commit(struct pool *pool);

/* Gives the prepared set up. Does nothing when none is prepared. */
void pool_cancel(struct pool *pool);

#endif
