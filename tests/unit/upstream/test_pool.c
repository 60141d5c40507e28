#include "../ratio.h"
#include "upstream/pool.h"
#include "world.h"

#include <stdlib.h>

/* A pool over addresses that are literal, so that no lookup is needed. */
struct place {
	struct world world;
	struct pool pool;
	struct backend_options options[4];
	const struct backend_options *list[4];
	unsigned settled;
};

static void on_settled(void *context)
{
	((struct place *)context)->settled++;
}

static void place_init(struct place *place)
{
	static const char *const urls[] = {
	    "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:4"};
	static const char *const names[] = {"a", "b", "c", "d"};

	*place = (struct place){.settled = 0};
	world_init(&place->world);
	const struct pool_start start = {
	    .loop = place->world.loop,
	    .blocks = &place->world.blocks,
	    .connections = &place->world.connections,
	    .on_settled = on_settled,
	    .context = place,
	};
	assert_true(pool_init(&place->pool, &start));
	for (size_t i = 0; i < 4; i++)
		place->options[i] = (struct backend_options){
		    .url = urls[i],
		    .name = names[i],
		    .host = "127.0.0.1",
		    .port = (uint16_t)(i + 1),
		    .weight = 1,
		};
}

static void place_finish(struct place *place)
{
	pool_finish(&place->pool);
	world_finish_turn(&place->world);
	world_finish(&place->world);
}

/* Those of these letters. */
static enum pool_preparation prepare(struct place *place, const char *letters)
{
	struct pool_options options = {
	    .backends = place->list,
	    .backend_count = strlen(letters),
	    .ring = {.retry_window_us = 7},
	    .check = {.path = "", .host = "", .interval_us = 3600 * S},
	    .idle_timeout_us = 5 * S,
	    .age_limit_us = 7 * S,
	};

	for (size_t i = 0; letters[i]; i++)
		place->list[i] = &place->options[letters[i] - 'a'];
	return pool_prepare(&place->pool, &options);
}

static void expect_ring(const struct place *place, const char *letters)
{
	const struct ring *ring = &place->pool.ring;

	assert_int_equal(ring->count, strlen(letters));
	for (size_t i = 0; letters[i]; i++)
		assert_int_equal(ring->backends[i]->name[0], letters[i]);
}

static void a_set_takes_effect_when_it_is_committed(void **state)
{
	struct place place;

	(void)state;
	place_init(&place);
	assert_int_equal(prepare(&place, "abc"), POOL_PREPARED);
	expect_ring(&place, "");
	pool_commit(&place.pool);
	expect_ring(&place, "abc");
	assert_int_equal(place.pool.ring.options.retry_window_us, 7);
	assert_int_equal(place.pool.env.idle_timeout_us, 5 * S);
	assert_int_equal(place.pool.env.age_limit_us, 7 * S);
	WORLD_UNTIL(&place.world, place.settled > 0);
	place_finish(&place);
}

static void backends_of_both_sets_are_the_same_with_new_options(void **state)
{
	struct place place;

	(void)state;
	place_init(&place);
	prepare(&place, "abc");
	pool_commit(&place.pool);
	struct backend *b = place.pool.ring.backends[1];
	const struct backend_change down = {.state = BACKEND_DOWN, .reason = OUTCOME_REFUSED};
	backend_set_state(b, &down);
	b->counters.requests = 42;
	place.options[1].weight = 3;
	assert_int_equal(prepare(&place, "db"), POOL_PREPARED);
	assert_int_equal(b->weight, 1);
	pool_commit(&place.pool);
	expect_ring(&place, "db");
	assert_ptr_equal(place.pool.ring.backends[1], b);
	assert_int_equal(b->weight, 3);
	assert_int_equal(b->state, BACKEND_DOWN);
	assert_int_equal(b->counters.requests, 42);
	assert_int_equal(place.pool.ring.backends[0]->state, BACKEND_UP);
	place_finish(&place);
}

static void a_set_that_is_given_up_leaves_no_trace(void **state)
{
	struct place place;

	(void)state;
	place_init(&place);
	prepare(&place, "ab");
	pool_commit(&place.pool);
	place.options[0].weight = 9;
	prepare(&place, "acd");
	pool_cancel(&place.pool);
	pool_cancel(&place.pool);
	expect_ring(&place, "ab");
	assert_int_equal(place.pool.ring.backends[0]->weight, 1);
	assert_int_equal(place.pool.ring.backends[0]->holders, 1);
	/* The next one takes the place of one that was only prepared. */
	prepare(&place, "abcd");
	prepare(&place, "c");
	pool_commit(&place.pool);
	expect_ring(&place, "c");
	place_finish(&place);
}

/* ---- thousands */

enum { SETS = 2 };

struct crowd {
	struct place place;
	size_t count;
	char urls[SETS][RATIO_MANY][64], hosts[SETS][RATIO_MANY][32];
	struct backend_options options[SETS][RATIO_MANY];
	const struct backend_options
	    *lists[SETS + 1][RATIO_MANY]; /* the last one is turned round */
};

static struct crowd crowd;

static void fill_crowd(size_t count)
{
	crowd.count = count;
	for (size_t set = 0; set < SETS; set++)
		for (size_t i = 0; i < count; i++) {
			char *url = crowd.urls[set][i], *host = crowd.hosts[set][i];

			snprintf(host, 32, "127.%zu.%zu.%zu", set, i / 256, i % 256);
			snprintf(url, 64, "http://%s:80", host);
			crowd.options[set][i] = (struct backend_options){
			    .url = url, .name = url, .host = host, .port = 80, .weight = 1};
			crowd.lists[set][i] = &crowd.options[set][i];
			crowd.lists[SETS][count - 1 - i] = &crowd.options[SETS - 1][i];
		}
}

static void change_to(const struct backend_options *const *list)
{
	const struct pool_options options = {.backends = list,
	    .backend_count = crowd.count,
	    .check = {.path = "", .host = "", .interval_us = 3600 * S}};

	assert_int_equal(pool_prepare(&crowd.place.pool, &options), POOL_PREPARED);
	pool_commit(&crowd.place.pool);
	/* The checker follows. */
	for (size_t i = 0; i < 3; i++)
		world_finish_turn(&crowd.place.world);
}

/* The same backends again, others, and others in another order. */
static void run_changes(void *context)
{
	(void)context;
	place_init(&crowd.place);
	change_to(crowd.lists[0]);
	change_to(crowd.lists[0]);
	change_to(crowd.lists[1]);
	change_to(crowd.lists[2]);
	assert_string_equal(
	    crowd.place.pool.ring.backends[0]->url, crowd.urls[SETS - 1][crowd.count - 1]);
	place_finish(&crowd.place);
}

static double time_changes(size_t count)
{
	fill_crowd(count);
	return ratio_time(run_changes, NULL);
}

static void thousands_of_backends_come_and_go(void **state)
{
	(void)state;
	ratio_assert("changes", time_changes(RATIO_FEW), time_changes(RATIO_MANY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_set_takes_effect_when_it_is_committed),
	    cmocka_unit_test(backends_of_both_sets_are_the_same_with_new_options),
	    cmocka_unit_test(a_set_that_is_given_up_leaves_no_trace),
	    cmocka_unit_test(thousands_of_backends_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
