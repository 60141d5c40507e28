#include "../ratio.h"
#include "upstream/names.h"
#include "ring_list.h"
#include "world.h"

/* ---- a resolver that answers when it is told to */

enum { QUERIES = 8 };

static struct {
	struct resolve_query
	    *queries[QUERIES]; /* in the order of their start; NULL when they ended */
	char hosts[QUERIES][32];
	size_t started, cancelled;
	bool refuses;
} resolver;

static bool out_of_memory;
static bool hurried;        /* deadlines come at once */
static int64_t last_due_us; /* of any timer */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __real_timer_arm(struct timers *timers, struct timer *timer, int64_t due_us);
void __wrap_timer_arm(struct timers *timers, struct timer *timer, int64_t due_us);
bool __wrap_resolve_start(
    struct resolver *of, struct resolve_query *query, struct str host, uint16_t port);
void __wrap_resolve_cancel(struct resolve_query *query);

void *__wrap_calloc(size_t count, size_t size)
{
	return out_of_memory ? NULL : __real_calloc(count, size);
}

void __wrap_timer_arm(struct timers *timers, struct timer *timer, int64_t due_us)
{
	last_due_us = due_us;
	__real_timer_arm(timers, timer, hurried ? 0 : due_us);
}

bool __wrap_resolve_start(
    struct resolver *of, struct resolve_query *query, struct str host, uint16_t port)
{
	assert_null(of);
	assert_null(query->lookup);
	assert_int_equal(port, 80);
	if (resolver.refuses)
		return false;
	assert_true(resolver.started < QUERIES);
	snprintf(resolver.hosts[resolver.started], sizeof(*resolver.hosts), "%.*s", STR_ARGS(host));
	resolver.queries[resolver.started++] = query;
	query->lookup = (struct resolve_lookup *)&resolver;
	return true;
}

void __wrap_resolve_cancel(struct resolve_query *query)
{
	for (size_t i = 0; i < resolver.started; i++)
		if (resolver.queries[i] == query && query->lookup) {
			resolver.queries[i] = NULL;
			resolver.cancelled++;
		}
	query->lookup = NULL;
}

static void answer_with(size_t i, const struct net_addr *addrs, size_t count)
{
	struct resolve_query *query = resolver.queries[i];

	resolver.queries[i] = NULL;
	query->lookup = NULL;
	query->on_done(
	    query, &(struct resolve_answer){.addrs = addrs, .count = count, .ttl_seconds = 30});
}

/* The query that was started as number `i` gets its answer: the address, or an error for none. */
static void answer(size_t i, const char *ip, uint32_t ttl_seconds)
{
	struct resolve_query *query = resolver.queries[i];
	struct resolve_answer words = {.error = "no such name"};
	struct net_addr addr;

	assert_non_null(query);
	if (ip) {
		assert_true(net_addr_from_ip(&addr, str_from(ip), 80));
		words =
		    (struct resolve_answer){.addrs = &addr, .count = 1, .ttl_seconds = ttl_seconds};
	}
	resolver.queries[i] = NULL;
	query->lookup = NULL;
	query->on_done(query, &words);
}

/* ---- names of a ring */

struct stage {
	struct world world;
	struct ring ring;
	struct names *names;
	struct backend *backends[3];
	size_t count;
	unsigned settled, changes;
	struct backend *changed;
};

static void on_settled(void *context)
{
	((struct stage *)context)->settled++;
}

static void on_change(struct backend *backend, void *context)
{
	struct stage *stage = context;

	stage->changes++;
	stage->changed = backend;
}

/* A ring of backends with these hosts, and their names. */
static void open_stage(struct stage *stage, size_t count, const char *const *hosts)
{
	*stage = (struct stage){.count = count};
	memset(&resolver, 0, sizeof(resolver));
	hurried = false;
	world_init(&stage->world);
	ring_init(&stage->ring);
	for (size_t i = 0; i < count; i++) {
		char url[64];

		snprintf(url, sizeof(url), "http://%s", hosts[i]);
		const struct backend_options options = {
		    .url = url, .name = hosts[i], .host = hosts[i], .port = 80, .weight = 1};

		stage->backends[i] = backend_create(&stage->world.env, &options);
		assert_non_null(stage->backends[i]);
	}
	ring_take_list(&stage->ring, stage->backends, count);
	stage->names = names_create(&(struct names_start){.loop = stage->world.loop,
	    .ring = &stage->ring,
	    .on_settled = on_settled,
	    .on_change = on_change,
	    .context = stage});
	assert_non_null(stage->names);
}

static void close_stage(struct stage *stage)
{
	names_destroy(stage->names);
	for (size_t i = 0; i < resolver.started; i++)
		assert_null(resolver.queries[i]);
	ring_finish(&stage->ring);
	for (size_t i = 0; i < stage->count; i++) {
		assert_int_equal(stage->backends[i]->holders, 1);
		backend_drop(stage->backends[i]);
	}
	world_finish(&stage->world);
}

static const char *const two[] = {"a.test", "b.test"};

/* ---- tests */

static struct backend *newcomer(struct stage *stage, const char *host, uint16_t port)
{
	char url[64];

	snprintf(url, sizeof(url), "http://%s:%u", host, port);
	struct backend *backend = backend_create(&stage->world.env,
	    &(struct backend_options){
		.url = url, .name = url, .host = host, .port = port, .weight = 1});
	assert_non_null(backend);
	return backend;
}

static void the_next_lookup_follows_the_time_to_live(void **state)
{
	static const struct {
		const char *ip;
		uint32_t ttl_seconds;
		int64_t wait_s;
	} rows[] = {
	    {NULL, 0, 5}, {"127.0.0.2", 0, 5}, {"127.0.0.2", 1, 5}, {"127.0.0.2", 5, 5},
	    {"127.0.0.2", 30, 30}, {"127.0.0.2", 60, 60}, {"127.0.0.2", 61, 60},
	    {"127.0.0.2", RESOLVE_TTL_UNKNOWN, 60}, /* from a hosts file */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct stage stage;

		open_stage(&stage, 1, two);
		names_refresh(stage.names);
		answer(0, rows[i].ip, rows[i].ttl_seconds);
		assert_int_equal(last_due_us - loop_now_us(stage.world.loop), rows[i].wait_s * S);
		close_stage(&stage);
	}
}

static void it_is_looked_up_again_when_that_ends(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 1, two);
	names_refresh(stage.names);
	hurried = true;
	answer(0, "127.0.0.2", 30);
	world_turn(&stage.world);
	assert_int_equal(resolver.started, 2);
	assert_string_equal(resolver.hosts[1], "a.test");
	world_turn(&stage.world); /* under way: not asked once more */
	assert_int_equal(resolver.started, 2);
	close_stage(&stage);
	assert_int_equal(resolver.cancelled, 1);
}

static void a_refresh_is_settled_once_when_all_lookups_have_ended(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 2, two);
	names_refresh(stage.names);
	answer(0, "127.0.0.2", 30);
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 0);
	answer(1, NULL, 0);
	assert_int_equal(stage.settled, 0);
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 1);

	/* A second one while the first is under way: nobody is asked twice. */
	names_refresh(stage.names);
	names_refresh(stage.names);
	assert_int_equal(resolver.started, 4);
	answer(2, "127.0.0.2", 30);
	answer(3, "127.0.0.3", 30);
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 2);
	close_stage(&stage);
}

static void a_refresh_waits_no_longer_than_a_second(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 2, two);
	names_refresh(stage.names);
	assert_int_equal(last_due_us - loop_now_us(stage.world.loop), 1 * S);
	answer(0, "127.0.0.2", 30);
	hurried = true;
	names_refresh(stage.names); /* its second ends at once */
	world_turn(&stage.world);
	assert_int_equal(stage.settled, 1);
	hurried = false;
	/* What comes later is used all the same, and is no second end. */
	answer(1, "127.0.0.3", 30);
	assert_false(stage.backends[1]->unresolved);
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 1);
	/* So is a preparation, after the time of one lookup. */
	struct backend *coming = newcomer(&stage, "c.test", 80);
	assert_true(names_prepare(stage.names, &coming, 1));
	assert_int_equal(
	    last_due_us - loop_now_us(stage.world.loop), RESOLVE_TIMEOUT_MS * INT64_C(1000));
	assert_false(names_prepare(stage.names, NULL, 0));
	backend_drop(coming);
	close_stage(&stage);
}

static void the_order_of_addresses_is_no_change(void **state)
{
	struct net_addr turned[2], addrs[2];
	struct stage stage;

	(void)state;
	open_stage(&stage, 1, two);
	for (size_t i = 0; i < COUNT(addrs); i++) {
		assert_true(
		    net_addr_from_ip(&addrs[i], i ? STR("127.0.0.3") : STR("127.0.0.2"), 80));
		turned[1 - i] = addrs[i];
	}
	names_refresh(stage.names);
	answer_with(0, addrs, 2);
	assert_int_equal(stage.changes, 1);
	names_refresh(stage.names);
	answer_with(1, turned, 2);
	assert_int_equal(stage.changes, 1);
	assert_true(net_addr_equals(&stage.backends[0]->addrs[0], &addrs[0]));
	close_stage(&stage);
}

static void without_names_a_refresh_is_settled_too(void **state)
{
	static const char *const literals[] = {"127.0.0.1", "::1"};
	struct stage stage;

	(void)state;
	open_stage(&stage, 2, literals);
	names_refresh(stage.names);
	assert_int_equal(stage.settled, 0);
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 1);
	assert_int_equal(resolver.started, 0);
	close_stage(&stage);
}

static void only_other_addresses_are_a_change(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 1, two);
	hurried = true;
	assert_true(stage.backends[0]->unresolved);
	names_refresh(stage.names);
	static const struct {
		const char *ip;
		unsigned changes;
	} rows[] = {{NULL, 0}, {"127.0.0.2", 1}, {"127.0.0.2", 1}, {NULL, 1}, {"::1", 2}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		answer(i, rows[i].ip, 30);
		assert_int_equal(stage.changes, rows[i].changes);
		assert_int_equal(stage.backends[0]->addr_count, rows[i].changes > 0);
		world_turn(&stage.world);
	}
	assert_ptr_equal(stage.changed, stage.backends[0]);
	close_stage(&stage);
}

static void who_leaves_the_ring_is_forgotten(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 2, two);
	names_refresh(stage.names);
	answer(0, "127.0.0.2", 30);
	ring_take_list(&stage.ring, stage.backends, 1);
	assert_int_equal(stage.backends[1]->holders, 2);
	names_refresh(stage.names);
	assert_int_equal(resolver.cancelled, 1);
	assert_int_equal(stage.backends[1]->holders, 1);
	assert_int_equal(resolver.started, 3);
	assert_string_equal(resolver.hosts[2], "a.test");
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 0);
	answer(2, NULL, 0);
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 1);
	close_stage(&stage);
}

static void who_shall_come_into_the_ring_is_waited_for(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 2, two);
	names_refresh(stage.names);
	answer(0, "127.0.0.2", 30);
	answer(1, NULL, 0); /* who is in the ring already is not, whatever became of its name */
	world_finish_turn(&stage.world);
	struct backend *coming[] = {
	    stage.backends[0], stage.backends[1], newcomer(&stage, "c.test", 80)};
	assert_false(names_prepare(stage.names, coming, 2));
	assert_true(names_prepare(stage.names, coming, COUNT(coming)));
	assert_int_equal(resolver.started, 3);
	assert_string_equal(resolver.hosts[2], "c.test");
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 1);
	answer(2, "127.0.0.3", 30);
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 2);
	assert_false(coming[2]->unresolved);
	ring_take_list(&stage.ring, coming, COUNT(coming));
	names_refresh(stage.names);
	assert_string_equal(resolver.hosts[5], "c.test");
	ring_take_list(&stage.ring, coming, 2);
	names_refresh(stage.names);
	assert_int_equal(coming[2]->holders, 1);
	backend_drop(coming[2]);
	close_stage(&stage);
}

static void of_several_preparations_only_the_last_one_counts(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 1, two);
	names_refresh(stage.names);
	answer(0, "127.0.0.2", 30);
	world_finish_turn(&stage.world);
	struct backend *first = newcomer(&stage, "c.test", 80);
	struct backend *second = newcomer(&stage, "d.test", 80);
	assert_true(names_prepare(stage.names, &first, 1));
	assert_true(names_prepare(stage.names, &second, 1));
	assert_int_equal(resolver.cancelled, 1);
	assert_int_equal(first->holders, 1);
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 1);
	assert_false(names_prepare(stage.names, NULL, 0));
	assert_int_equal(resolver.cancelled, 2);
	assert_int_equal(second->holders, 1);
	assert_int_equal(stage.backends[0]->holders, 3);
	backend_drop(first);
	backend_drop(second);
	close_stage(&stage);
}

static void a_host_that_is_known_lends_its_addresses(void **state)
{
	struct stage stage;
	char text[NET_ADDR_TEXT_SIZE];

	(void)state;
	open_stage(&stage, 1, two);
	names_refresh(stage.names);
	answer(0, "127.0.0.2", 30);
	struct backend *backend = newcomer(&stage, "A.test", 81);
	assert_false(names_prepare(stage.names, &backend, 1));
	assert_int_equal(resolver.started, 1);
	assert_false(backend->unresolved);
	assert_int_equal(backend->addr_count, 1);
	assert_string_equal(net_addr_format(&backend->addrs[0], text), "127.0.0.2:81");
	assert_false(names_prepare(stage.names, NULL, 0));
	backend_drop(backend);
	close_stage(&stage);
}

static void without_memory_for_a_lookup_it_is_tried_again_after_five_seconds(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 1, two);
	resolver.refuses = true;
	names_refresh(stage.names);
	assert_int_equal(last_due_us - loop_now_us(stage.world.loop), 5 * S);
	hurried = true;
	names_refresh(stage.names);
	resolver.refuses = false;
	world_turn(&stage.world);
	assert_int_equal(stage.settled, 1);
	assert_int_equal(resolver.started, 1);
	close_stage(&stage);
}

static void without_memory_for_a_name_it_waits_for_the_next_refresh(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 1, two);
	out_of_memory = true;
	assert_null(names_create(&(struct names_start){.loop = stage.world.loop}));
	names_refresh(stage.names);
	out_of_memory = false;
	world_finish_turn(&stage.world);
	assert_int_equal(stage.settled, 1);
	assert_int_equal(resolver.started, 0);
	names_refresh(stage.names);
	assert_int_equal(resolver.started, 1);
	close_stage(&stage);
	names_destroy(NULL);
}

static void the_end_in_the_middle_is_silent(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, 2, two);
	names_refresh(stage.names);
	answer(0, "127.0.0.2", 30);
	close_stage(&stage);
	assert_int_equal(resolver.cancelled, 1);
	assert_int_equal(stage.settled, 0);
}

/* ---- thousands */

struct crowd {
	struct stage stage;
	struct backend *in_ring[RATIO_MANY], *coming[RATIO_MANY];
	size_t count;
};

static struct crowd crowd;

static struct backend *create_numbered(const char *word, size_t number)
{
	char host[48], url[64];

	snprintf(host, sizeof(host), "%s%zu.example.org", word, number);
	snprintf(url, sizeof(url), "http://%s", host);
	struct backend *backend = backend_create(&crowd.stage.world.env,
	    &(struct backend_options){
		.url = url, .name = host, .host = host, .port = 80, .weight = 1});
	assert_non_null(backend);
	return backend;
}

static void run_refresh_and_prepare(void *context)
{
	(void)context;
	names_refresh(crowd.stage.names);
	assert_false(names_prepare(crowd.stage.names, crowd.coming, crowd.count));
	names_prepare(crowd.stage.names, NULL, 0);
}

/* All hosts that come are known to the ring, in capital letters. */
static double time_names(size_t count)
{
	static const char *const hosts[] = {"first"};
	struct net_addr addr;

	crowd.count = count;
	open_stage(&crowd.stage, 1, hosts);
	resolver.refuses = true;
	assert_true(net_addr_from_ip(&addr, STR("127.0.0.1"), 80));
	for (size_t i = 0; i < count; i++) {
		crowd.in_ring[i] = create_numbered("APP", i);
		crowd.coming[i] = create_numbered("app", i);
		assert_true(backend_set_addrs(crowd.in_ring[i], &addr, 1));
	}
	ring_take_list(&crowd.stage.ring, crowd.in_ring, count);
	double took = ratio_time(run_refresh_and_prepare, NULL);
	assert_int_equal(crowd.coming[count - 1]->addr_count, 1);
	for (size_t i = 0; i < count; i++) {
		backend_drop(crowd.in_ring[i]);
		backend_drop(crowd.coming[i]);
	}
	close_stage(&crowd.stage);
	return took;
}

static void thousands_of_names_are_kept(void **state)
{
	(void)state;
	ratio_assert("names", time_names(RATIO_FEW), time_names(RATIO_MANY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_next_lookup_follows_the_time_to_live),
	    cmocka_unit_test(it_is_looked_up_again_when_that_ends),
	    cmocka_unit_test(a_refresh_is_settled_once_when_all_lookups_have_ended),
	    cmocka_unit_test(a_refresh_waits_no_longer_than_a_second),
	    cmocka_unit_test(the_order_of_addresses_is_no_change),
	    cmocka_unit_test(without_names_a_refresh_is_settled_too),
	    cmocka_unit_test(only_other_addresses_are_a_change),
	    cmocka_unit_test(who_leaves_the_ring_is_forgotten),
	    cmocka_unit_test(who_shall_come_into_the_ring_is_waited_for),
	    cmocka_unit_test(of_several_preparations_only_the_last_one_counts),
	    cmocka_unit_test(a_host_that_is_known_lends_its_addresses),
	    cmocka_unit_test(without_memory_for_a_lookup_it_is_tried_again_after_five_seconds),
	    cmocka_unit_test(without_memory_for_a_name_it_waits_for_the_next_refresh),
	    cmocka_unit_test(the_end_in_the_middle_is_silent),
	    cmocka_unit_test(thousands_of_names_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
