/*
 * world - a loop, slabs and listening sockets for tests of backends that are really there.
 */
#ifndef RONDO_TESTS_UPSTREAM_WORLD_H
#define RONDO_TESTS_UPSTREAM_WORLD_H

#include "base/log.h"
#include "upstream/backend.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { WORLD_CONNECTIONS = 16, WORLD_BLOCKS = 32, WORLD_BLOCK_SIZE = 4096, WORLD_PATIENCE = 20000 };

static const int64_t MS = 1000;
static const int64_t S = 1000000;

struct world {
	struct loop *loop;
	struct slab blocks, connections;
	struct backend_env env;
	struct timer tick;
	struct loop_task turn_end;
};

static inline void world_on_tick(struct timer *timer)
{
	loop_stop(container_of(timer, struct world, tick)->loop);
}

static inline void world_init(struct world *world)
{
	*world = (struct world){.loop = loop_create()};
	assert_non_null(world->loop);
	log_set_level(LOG_LEVEL_ERROR);
	slab_init(&world->blocks, WORLD_BLOCK_SIZE, WORLD_BLOCKS);
	slab_init(&world->connections, sizeof(struct backend_conn), WORLD_CONNECTIONS);
	timer_init(&world->tick, world_on_tick);
	world->env = (struct backend_env){
	    .loop = world->loop,
	    .blocks = &world->blocks,
	    .connections = &world->connections,
	    .connection_limit = WORLD_CONNECTIONS,
	    .idle_timeout_us = 60 * S,
	};
}

static inline void world_end_turn(struct loop_task *task)
{
	loop_stop(container_of(task, struct world, turn_end)->loop);
}

/* One turn, in which what is closed already dies. */
static inline void world_finish_turn(struct world *world)
{
	world->turn_end.run = world_end_turn;
	loop_at_end_of_turn(world->loop, &world->turn_end);
	assert_int_equal(loop_run(world->loop), 0);
}

/* Everything must have been given back. */
static inline void world_finish(struct world *world)
{
	timer_remove(loop_timers(world->loop), &world->tick);
	world_finish_turn(world);
	assert_int_equal(loop_timers(world->loop)->count, 0);
	loop_destroy(world->loop);
	assert_int_equal(world->blocks.in_use, 0);
	assert_int_equal(world->connections.in_use, 0);
	slab_finish(&world->blocks);
	slab_finish(&world->connections);
}

/* Lets the loop turn for a millisecond. */
static inline void world_turn(struct world *world)
{
	timer_arm(loop_timers(world->loop), &world->tick, loop_refresh_us(world->loop) + 1 * MS);
	assert_int_equal(loop_run(world->loop), 0);
}

/* Lets the loop turn until `condition`. */
#define WORLD_UNTIL(world, condition)                                                              \
	do {                                                                                       \
		int patience_ = WORLD_PATIENCE;                                                    \
		while (!(condition)) {                                                             \
			if (patience_-- == 0)                                                      \
				fail_msg("never: %s", #condition);                                 \
			world_turn(world);                                                         \
		}                                                                                  \
	} while (0)

/* A listening socket on a port of the kernel's choice. */
static inline int world_listen(const char *ip, struct net_addr *addr)
{
	const struct net_listen_options options = {.backlog = 16};

	assert_true(net_addr_from_ip(addr, str_from(ip), 0));
	int listener = net_listen(addr, &options);
	assert_true(listener >= 0);
	assert_int_equal(net_local_addr(listener, addr), 0);
	return listener;
}

static inline int world_accept(struct world *world, int listener)
{
	struct net_addr peer;
	int fd;

	WORLD_UNTIL(world, (fd = net_accept(listener, &peer)) != -EAGAIN);
	assert_true(fd >= 0);
	return fd;
}

/* A port where nobody listens, kept from others as long as the descriptor is open. */
static inline int world_reserve(struct net_addr *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_true(net_addr_from_ip(addr, STR("127.0.0.1"), 0));
	assert_int_equal(bind(fd, &addr->any, addr->len), 0);
	assert_int_equal(net_local_addr(fd, addr), 0);
	return fd;
}

/* "app" at an address. */
static inline struct backend *world_backend(struct world *world, const struct net_addr *addr)
{
	const struct backend_options options = {
	    .url = "http://app.example:80",
	    .name = "app",
	    .host = "app.example",
	    .port = 80,
	    .weight = 1,
	};
	struct backend *backend = backend_create(&world->env, &options);

	assert_non_null(backend);
	assert_true(backend_set_addrs(backend, addr, addr ? 1 : 0));
	return backend;
}

#endif
