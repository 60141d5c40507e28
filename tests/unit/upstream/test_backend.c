#include "world.h"

#include <stdlib.h>
#include <sys/socket.h>

/* ---- outcomes */

static bool update(struct backend *backend, const struct backend_options *options)
{
	struct backend_update *prepared = backend_prepare_update(backend, options);

	if (prepared)
		backend_commit_update(backend, prepared);
	return prepared != NULL;
}

static void every_outcome_has_words_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < OUTCOMES; i++) {
		assert_true(strlen(outcome_word((enum outcome)i)) > 0);
		assert_true(strlen(outcome_text((enum outcome)i)) > 0);
		assert_int_equal(strcspn(outcome_word((enum outcome)i), " \"\\,()"),
		    strlen(outcome_word((enum outcome)i)));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(
			    outcome_word((enum outcome)i), outcome_word((enum outcome)j));
	}
}

static void blame_is_as_agreed(void **state)
{
	static const enum blame blames[OUTCOMES] = {
	    [OUTCOME_GOOD] = BLAME_NONE,
	    [OUTCOME_REFUSED] = BLAME_HARD,
	    [OUTCOME_UNREACHABLE] = BLAME_HARD,
	    [OUTCOME_CONNECT_TIMEOUT] = BLAME_HARD,
	    [OUTCOME_CHECK] = BLAME_HARD,
	    [OUTCOME_LATE] = BLAME_SOFT,
	    [OUTCOME_STALLED] = BLAME_SOFT,
	    [OUTCOME_RESET] = BLAME_SOFT,
	    [OUTCOME_BAD_RESPONSE] = BLAME_SOFT,
	    [OUTCOME_STATUS] = BLAME_SOFT,
	    [OUTCOME_CUT_OFF] = BLAME_SOFT,
	    [OUTCOME_STALE] = BLAME_NONE,
	    [OUTCOME_IMPATIENT] = BLAME_NONE,
	    [OUTCOME_SILENT] = BLAME_NONE,
	    [OUTCOME_LOST] = BLAME_NONE,
	    [OUTCOME_GIVEN_UP] = BLAME_NONE,
	    [OUTCOME_CLIENT] = BLAME_NONE,
	    [OUTCOME_SHORTAGE] = BLAME_NONE,
	    [OUTCOME_DEADLINE] = BLAME_NONE,
	};

	(void)state;
	for (int i = 0; i < OUTCOMES; i++)
		assert_int_equal(outcome_blame((enum outcome)i), blames[i]);
}

static void errors_of_connect_have_a_meaning(void **state)
{
	static const struct {
		int error;
		enum outcome outcome;
	} cases[] = {
	    {ECONNREFUSED, OUTCOME_REFUSED}, {ECONNRESET, OUTCOME_REFUSED},
	    {ENOENT, OUTCOME_REFUSED}, {ETIMEDOUT, OUTCOME_CONNECT_TIMEOUT},
	    {EAGAIN, OUTCOME_BUSY}, /* of a Unix socket */
	    {EHOSTUNREACH, OUTCOME_UNREACHABLE}, {ENETUNREACH, OUTCOME_UNREACHABLE},
	    {EHOSTDOWN, OUTCOME_UNREACHABLE}, {ENETDOWN, OUTCOME_UNREACHABLE},
	    {EACCES, OUTCOME_UNREACHABLE}, {EPERM, OUTCOME_UNREACHABLE},
	    {EADDRNOTAVAIL, OUTCOME_SHORTAGE}, {EMFILE, OUTCOME_SHORTAGE},
	    {ENFILE, OUTCOME_SHORTAGE}, {ENOBUFS, OUTCOME_SHORTAGE}, {ENOMEM, OUTCOME_SHORTAGE},
	    {ENOSPC, OUTCOME_SHORTAGE}, /* of epoll */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(outcome_of_connect_error(cases[i].error), cases[i].outcome);
		assert_int_equal(outcome_of_connect_error(-cases[i].error), cases[i].outcome);
	}
}

/* ---- identity and addresses */

static void literal_addresses_need_no_resolver(void **state)
{
	static const struct {
		const char *host, *path, *addr; /* addr: NULL when it is for the resolver */
	} cases[] = {
	    {"127.0.0.1", NULL, "127.0.0.1:81"},
	    {"::1", NULL, "[::1]:81"},
	    {NULL, "/run/app.sock", "unix:/run/app.sock"},
	    {"localhost", NULL, NULL},
	};
	struct world world;

	(void)state;
	world_init(&world);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct backend_options options = {.url = "u",
		    .name = "n",
		    .host = cases[i].host,
		    .path = cases[i].path,
		    .port = 81};
		struct backend *backend = backend_create(&world.env, &options);
		char text[NET_ADDR_TEXT_SIZE];

		assert_non_null(backend);
		assert_int_equal(backend->unresolved, cases[i].addr == NULL);
		assert_int_equal(backend_address_count(backend), cases[i].addr != NULL);
		if (cases[i].addr)
			assert_string_equal(
			    net_addr_format(&backend->addrs[0], text), cases[i].addr);
		assert_string_equal(
		    backend_state_word(backend), cases[i].addr ? "up" : "unresolved");
		backend_drop(backend);
	}
	world_finish(&world);
}

static void options_are_copied_and_replaced(void **state)
{
	char url[] = "http://a", name[] = "old";
	struct backend_options options = {.url = url, .name = name, .host = "h", .weight = 3};
	struct world world;

	(void)state;
	world_init(&world);
	struct backend *backend = backend_create(&world.env, &options);
	assert_non_null(backend);
	name[0] = 'O';
	assert_string_equal(backend->name, "old");
	assert_string_equal(backend->options.name, "old");
	assert_int_equal(backend->weight, 3);

	options.name = "new";
	options.weight = 5;
	options.max_connections = 7;
	assert_true(update(backend, &options));
	assert_string_equal(backend->name, "new");
	assert_int_equal(backend->weight, 5);
	assert_int_equal(backend->options.max_connections, 7);
	/* What the operator set stays. */
	backend->weight = 9;
	backend->weight_is_override = true;
	assert_true(update(backend, &options));
	assert_int_equal(backend->weight, 9);
	/* Its own options are as good as any. */
	assert_true(update(backend, &backend->options));
	assert_string_equal(backend->options.name, "new");
	backend_drop(backend);
	world_finish(&world);
}

static void the_preferred_address_survives_a_new_answer(void **state)
{
	struct net_addr addrs[3];
	struct world world;

	(void)state;
	world_init(&world);
	for (size_t i = 0; i < COUNT(addrs); i++) {
		char ip[] = "127.0.0.1";

		ip[8] = (char)('1' + i);
		assert_true(net_addr_from_ip(&addrs[i], str_from(ip), 80));
	}
	struct backend *backend = world_backend(&world, NULL);
	assert_true(backend->unresolved);
	assert_true(backend_set_addrs(backend, addrs, 2));
	assert_false(backend->unresolved);
	assert_int_equal(backend->addr_first, 0);
	backend_prefer_address(backend, 1);
	/* The same ones in another order. */
	const struct net_addr turned[] = {addrs[1], addrs[2], addrs[0]};
	assert_true(backend_set_addrs(backend, turned, 3));
	assert_int_equal(backend->addr_first, 0);
	backend_prefer_address(backend, 2);
	/* It is gone. */
	assert_true(backend_set_addrs(backend, &addrs[1], 2));
	assert_int_equal(backend->addr_first, 0);
	backend_prefer_address(backend, 2);
	assert_int_equal(backend->addr_first, 0);
	/* A lookup that found nothing. */
	assert_true(backend_set_addrs(backend, NULL, 0));
	assert_int_equal(backend_address_count(backend), 2);
	backend_drop(backend);
	world_finish(&world);
}

/* ---- state */

struct witness {
	unsigned changes;
	enum backend_state last;
};

static void on_change(struct backend *backend, void *context)
{
	struct witness *witness = context;

	witness->changes++;
	witness->last = backend->state;
	assert_int_equal(backend->on_trial, false);
}

/* Runs `change` and returns what it wrote to stderr, without the time. */
static const char *logged(
    struct backend *backend, const struct backend_change *change, char text[static 256])
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);

	assert_non_null(file);
	assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	backend_set_state(backend, change);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	rewind(file);
	text[0] = '\0';
	while (fgets(text, 256, file))
		continue;
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	const char *line = strstr(text, "backend ");
	return line ? line : "";
}

static void each_change_is_logged_once_with_its_reason(void **state)
{
	static const struct {
		struct backend_change change;
		const char *line;
	} steps[] = {
	    {{BACKEND_DOWN, OUTCOME_REFUSED, 0, HTTP_FAULT_NONE, 10000000, 1000000},
		"backend app is down: connection refused (10 s)"},
	    {{BACKEND_DOWN, OUTCOME_REFUSED, 0, HTTP_FAULT_NONE, 20000000, 11000000}, ""},
	    {{BACKEND_TRIAL, OUTCOME_GOOD, 0, HTTP_FAULT_NONE, 0, 12000000},
		"backend app is on trial: a probe succeeded, the next request decides"},
	    {{BACKEND_UP, OUTCOME_GOOD, 0, HTTP_FAULT_NONE, 0, 13000000},
		"backend app is up: trial succeeded, after 12 s"},
	    {{BACKEND_UP, OUTCOME_GOOD, 0, HTTP_FAULT_NONE, 0, 14000000}, ""},
	    {{BACKEND_DOWN, OUTCOME_STATUS, 503, HTTP_FAULT_NONE, 250000, 20000000},
		"backend app is down: status 503 (250 ms)"},
	    {{BACKEND_UP, OUTCOME_GOOD, 0, HTTP_FAULT_NONE, 0, 20400000},
		"backend app is up: it answered, after 400 ms"},
	    {{BACKEND_DOWN, OUTCOME_CHECK, 0, HTTP_FAULT_NONE, 10000000, 30000000},
		"backend app is down: health checks failed"},
	    {{BACKEND_UP, OUTCOME_CHECK, 0, HTTP_FAULT_NONE, 0, 180000000},
		"backend app is up: checks succeeded, after 2 m 30 s"},
	    {{BACKEND_DOWN, OUTCOME_LATE, 0, HTTP_FAULT_NONE, 120000000, 200000000},
		"backend app is down: no answer in time (2 m)"},
	    {{BACKEND_TRIAL, OUTCOME_GOOD, 0, HTTP_FAULT_NONE, 0, 400000000},
		"backend app is on trial: a probe succeeded, the next request decides"},
	    {{BACKEND_DOWN, OUTCOME_UNREACHABLE, 0, HTTP_FAULT_NONE, 7200000000, 400000000},
		"backend app is down: unreachable (2 h)"},
	};
	struct witness witness = {0};
	struct world world;
	char text[256];
	unsigned changes = 0;

	(void)state;
	world_init(&world);
	world.env.on_change = on_change;
	world.env.context = &witness;
	struct backend *backend = world_backend(&world, NULL);
	log_set_level(LOG_LEVEL_INFO);
	for (size_t i = 0; i < COUNT(steps); i++) {
		assert_string_equal(logged(backend, &steps[i].change, text), steps[i].line);
		changes += steps[i].line[0] != '\0';
		assert_int_equal(witness.changes, changes);
		assert_int_equal(backend->state, steps[i].change.state);
		assert_int_equal(witness.last, steps[i].change.state);
	}
	log_set_level(LOG_LEVEL_ERROR);
	backend_drop(backend);
	world_finish(&world);
}

static void a_window_is_logged_as_it_is(void **state)
{
	static const struct {
		int64_t window_us;
		const char *text;
	} cases[] = {
	    {1000, "1 ms"},
	    {999000, "999 ms"},
	    {1000000, "1 s"},
	    {1500000, "1.5 s"},
	    {1250000, "1.25 s"},
	    {10004000, "10 s"},
	    {90000000, "90 s"},
	    {119000000, "119 s"},
	    {120000000, "2 m"},
	    {150000000, "2 m 30 s"},
	    {7100000000, "118 m 20 s"},
	    {7200000000, "2 h"},
	    {9000000000, "2 h 30 m"},
	    {360000000000, "100 h"},
	};
	struct world world;

	(void)state;
	world_init(&world);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct backend *backend = world_backend(&world, NULL);
		const struct backend_change down = {
		    BACKEND_DOWN, OUTCOME_REFUSED, 0, HTTP_FAULT_NONE, cases[i].window_us, 1000000};
		char text[256], expected[256];

		snprintf(expected, sizeof(expected), "backend app is down: connection refused (%s)",
		    cases[i].text);
		log_set_level(LOG_LEVEL_INFO);
		assert_string_equal(logged(backend, &down, text), expected);
		log_set_level(LOG_LEVEL_ERROR);
		backend_drop(backend);
	}
	world_finish(&world);
}

static void a_state_carries_its_times(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	struct backend *backend = world_backend(&world, NULL);
	record_add(&backend->records[RECORD_ONCE], true, 1);
	record_add(&backend->records[RECORD_ONCE], true, 1);
	backend->checks_failed = 3;
	backend_set_state(backend, &(struct backend_change){BACKEND_DOWN, OUTCOME_STATUS, 502,
				       HTTP_FAULT_NONE, 10 * S, 100 * S});
	assert_int_equal(backend->reason, OUTCOME_STATUS);
	assert_int_equal(backend->reason_status, 502);
	assert_int_equal(backend->since_us, 100 * S);
	assert_int_equal(backend->until_us, 110 * S);
	assert_int_equal(backend->left_up_us, 100 * S);
	assert_int_equal(backend->checks_failed, 0);
	assert_true(backend->since_unix_us > 0);
	/* Down again: later, but since the same time. */
	backend_set_state(backend, &(struct backend_change){BACKEND_DOWN, OUTCOME_REFUSED, 0,
				       HTTP_FAULT_NONE, 20 * S, 110 * S});
	assert_int_equal(backend->since_us, 100 * S);
	assert_int_equal(backend->until_us, 130 * S);
	assert_int_equal(backend->reason, OUTCOME_REFUSED);
	backend_set_state(
	    backend, &(struct backend_change){.state = BACKEND_TRIAL, .now_us = 130 * S});
	assert_int_equal(backend->reason, OUTCOME_REFUSED);
	assert_int_equal(backend->window_us, 20 * S);
	backend->on_trial = true;
	backend_set_state(
	    backend, &(struct backend_change){.state = BACKEND_UP, .now_us = 140 * S});
	assert_false(backend->on_trial);
	assert_int_equal(backend_suspicions(backend), 0);
	assert_int_equal(backend->ramp_from_us, 140 * S);
	assert_int_equal(backend->left_up_us, 100 * S);
	backend_drop(backend);
	world_finish(&world);
}

static void people_are_shown_one_word(void **state)
{
	static const struct {
		enum backend_state state;
		bool draining, unresolved;
		const char *word;
	} cases[] = {
	    {BACKEND_UP, false, false, "up"},
	    {BACKEND_DOWN, false, false, "down"},
	    {BACKEND_TRIAL, false, false, "trial"},
	    {BACKEND_UP, true, false, "draining"},
	    {BACKEND_DOWN, true, true, "draining"},
	    {BACKEND_DOWN, false, true, "unresolved"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct backend backend = {
		    .state = cases[i].state,
		    .draining = cases[i].draining,
		    .unresolved = cases[i].unresolved,
		};

		assert_string_equal(backend_state_word(&backend), cases[i].word);
	}
}

/* ---- what it did */

static void failures_are_counted_and_the_last_ones_remembered(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	struct backend *backend = world_backend(&world, NULL);
	for (int64_t i = 0; i < BACKEND_FAILURE_HISTORY + 3; i++)
		backend_note_failure(backend, &(struct backend_failure){
						  .when_unix_us = i,
						  .outcome = OUTCOME_LATE,
						  .after_us = 9 * S,
						  .silent_us = 5 * S,
					      });
	assert_int_equal(backend->counters.failures[OUTCOME_LATE], BACKEND_FAILURE_HISTORY + 3);
	assert_int_equal(backend->failure_next, 3);
	assert_int_equal(backend->failures[backend->failure_next].when_unix_us, 3);
	assert_int_equal(backend->failures[2].when_unix_us, BACKEND_FAILURE_HISTORY + 2);
	assert_true(latency_average_us(&backend->latency, 0) == (double)(5 * S));
	backend_drop(backend);
	world_finish(&world);
}

/* What a history holds, from the oldest on, as the times of its failures. */
static void expect_history(const struct backend *backend, const int64_t *times)
{
	for (unsigned i = 0; i < BACKEND_FAILURE_HISTORY; i++) {
		unsigned place = (backend->failure_next + i) % BACKEND_FAILURE_HISTORY;

		assert_int_equal(backend->failures[place].when_unix_us, times[i]);
	}
}

static void what_took_it_down_is_remembered_until_it_is_up(void **state)
{
	static const int64_t down[] = {
	    7, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119};
	static const int64_t up[] = {
	    105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120};
	struct backend_failure failure = {.outcome = OUTCOME_LATE};
	struct world world;

	(void)state;
	world_init(&world);
	struct backend *backend = world_backend(&world, NULL);
	for (failure.when_unix_us = 1; failure.when_unix_us <= 7; failure.when_unix_us++)
		backend_note_failure(backend, &failure);
	/* Another request of the same time is noted before the state changes. */
	failure.outcome = OUTCOME_RESET;
	backend_note_failure(backend, &failure);
	backend_set_state(backend,
	    &(struct backend_change){
		.state = BACKEND_DOWN, .reason = OUTCOME_LATE, .window_us = S, .now_us = S});
	failure.source = FAILURE_OF_CHECK;
	failure.outcome = OUTCOME_REFUSED;
	for (failure.when_unix_us = 100; failure.when_unix_us < 120; failure.when_unix_us++)
		backend_note_failure(backend, &failure);
	expect_history(backend, down);
	backend_set_state(
	    backend, &(struct backend_change){
			 .state = BACKEND_UP, .reason = OUTCOME_CHECK, .now_us = 2 * S});
	backend_note_failure(backend, &failure);
	expect_history(backend, up);
	backend_drop(backend);
	world_finish(&world);
}

static void only_its_own_failures_make_it_slow(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	for (int i = 0; i < OUTCOMES; i++) {
		struct backend *backend = world_backend(&world, NULL);

		backend_note_failure(
		    backend, &(struct backend_failure){.outcome = (enum outcome)i, .after_us = S});
		assert_int_equal(
		    backend->latency.average_us > 0, outcome_blame((enum outcome)i) != BLAME_NONE);
		backend_drop(backend);
	}
	world_finish(&world);
}

static void latencies_fall_into_buckets(void **state)
{
	static const struct {
		int64_t took_us;
		size_t bucket;
	} cases[] = {
	    {0, 0},
	    {1000, 0},
	    {1001, 1},
	    {30000000, HISTOGRAM_BUCKETS - 2},
	    {30000001, HISTOGRAM_BUCKETS - 1},
	};
	struct world world;

	(void)state;
	world_init(&world);
	for (size_t i = 1; i < HISTOGRAM_BUCKETS - 1; i++)
		assert_true(backend_latency_bounds_us[i - 1] < backend_latency_bounds_us[i]);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct backend *backend = world_backend(&world, NULL);

		backend_note_latency(backend, cases[i].took_us);
		assert_int_equal(backend->counters.latency.counts[cases[i].bucket], 1);
		assert_int_equal(backend->counters.latency.sum_us, cases[i].took_us);
		assert_true(backend->latency.average_us > 0);
		backend_drop(backend);
	}
	world_finish(&world);
}

/* ---- connections */

/* One backend with a listener behind it. */
struct site {
	struct world world;
	struct net_addr addr;
	int listener;
	struct backend *backend;
};

static void site_init(struct site *site)
{
	world_init(&site->world);
	site->listener = world_listen("127.0.0.1", &site->addr);
	site->backend = world_backend(&site->world, &site->addr);
}

static void site_finish(struct site *site)
{
	backend_drop(site->backend);
	close(site->listener);
	world_finish(&site->world);
}

static void on_nothing(struct conn *conn, unsigned events)
{
	(void)conn;
	(void)events;
}

/* A connection of the backend and, in *peer, its other end. */
static struct backend_conn *site_connect(struct site *site, int *peer)
{
	bool connecting;
	int error;
	struct backend_conn *connection =
	    backend_connect(site->backend, site->backend->addr_first, &error, &connecting);

	assert_non_null(connection);
	assert_int_equal(connection->conn.writable, !connecting);
	connection->conn.on_event = on_nothing;
	*peer = world_accept(&site->world, site->listener);
	conn_want(&connection->conn, LOOP_WRITE);
	WORLD_UNTIL(&site->world, connection->conn.writable);
	assert_int_equal(net_connect_result(connection->conn.watch.fd), 0);
	backend_connected(connection);
	return connection;
}

static void expect_pool(const struct backend *backend, unsigned idle, unsigned active)
{
	assert_int_equal(backend->idle_count, idle);
	assert_int_equal(backend->active, active);
}

static void the_freshest_connection_is_taken_first(void **state)
{
	struct backend_conn *connections[3];
	struct site site;
	int peers[3];

	(void)state;
	site_init(&site);
	assert_null(backend_take(site.backend));
	for (size_t i = 0; i < 3; i++) {
		connections[i] = site_connect(&site, &peers[i]);
		assert_int_equal(connections[i]->exchanges, 0);
		expect_pool(site.backend, 0, (unsigned)i + 1);
	}
	assert_int_equal(site.backend->counters.connects, 3);
	for (size_t i = 0; i < 3; i++)
		backend_give(connections[i]);
	expect_pool(site.backend, 3, 0);
	for (size_t i = 3; i-- > 0;) {
		struct backend_conn *taken = backend_take(site.backend);

		assert_ptr_equal(taken, connections[i]);
		assert_int_equal(taken->exchanges, 1);
		assert_null(taken->holder);
	}
	assert_null(backend_take(site.backend));
	expect_pool(site.backend, 0, 3);
	for (size_t i = 0; i < 3; i++) {
		backend_close(connections[i], false);
		close(peers[i]);
	}
	expect_pool(site.backend, 0, 0);
	site_finish(&site);
}

static void an_idle_connection_that_stirs_is_closed(void **state)
{
	enum { BYTE, END, RESET, WAYS };

	(void)state;
	for (int way = BYTE; way < WAYS; way++) {
		struct site site;
		int peer;

		site_init(&site);
		backend_give(site_connect(&site, &peer));
		world_turn(&site.world);
		expect_pool(site.backend, 1, 0);
		if (way == BYTE)
			assert_int_equal(write(peer, "!", 1), 1);
		else
			net_close(peer, way == RESET);
		WORLD_UNTIL(&site.world, site.backend->idle_count == 0);
		assert_null(backend_take(site.backend));
		world_turn(&site.world);
		assert_int_equal(site.world.connections.in_use, 0);
		if (way == BYTE)
			close(peer);
		site_finish(&site);
	}
}

/* Where an idle one has the last place, the one that was idle longest gives way. */
static void an_idle_connection_gives_way_to_a_new_one(void **state)
{
	enum { OF_ALL, OF_THE_BACKEND, WAYS };

	(void)state;
	for (int way = OF_ALL; way < WAYS; way++) {
		struct backend_conn *connections[3];
		struct site site;
		int peers[3];

		site_init(&site);
		if (way == OF_ALL)
			site.world.env.connection_limit = 2;
		else
			site.backend->options.max_connections = 2;
		for (size_t i = 0; i < 2; i++)
			connections[i] = site_connect(&site, &peers[i]);
		backend_give(connections[1]);
		backend_give(connections[0]);
		assert_ptr_equal(site.world.env.idle, connections[0]);
		connections[2] = site_connect(&site, &peers[2]);
		expect_pool(site.backend, 1, 1);
		assert_ptr_equal(site.backend->idle, connections[0]);
		assert_ptr_equal(site.world.env.idle, connections[0]);
		assert_int_equal(site.world.env.open, 2);
		backend_close(connections[2], false);
		for (size_t i = 0; i < 3; i++)
			close(peers[i]);
		site_finish(&site);
	}
}

/* Nobody gives way where all are in use. */
static void connections_in_use_stay(void **state)
{
	struct site site;
	bool connecting;
	int peer, error = 0;

	(void)state;
	site_init(&site);
	site.world.env.connection_limit = 1;
	struct backend_conn *connection = site_connect(&site, &peer);
	assert_null(backend_connect(site.backend, 0, &error, &connecting));
	assert_int_equal(outcome_of_connect_error(error), OUTCOME_SHORTAGE);
	expect_pool(site.backend, 0, 1);
	backend_close(connection, false);
	close(peer);
	site_finish(&site);
}

static void idle_connections_have_a_limit(void **state)
{
	struct site site;
	int peers[2];

	(void)state;
	site_init(&site);
	site.world.env.idle_timeout_us = 1 * MS;
	struct backend_conn *connections[] = {
	    site_connect(&site, &peers[0]), site_connect(&site, &peers[1])};
	backend_give(connections[0]);
	backend_give(connections[1]);
	/* The one that is taken is nobody's but the taker's. */
	assert_ptr_equal(backend_take(site.backend), connections[1]);
	WORLD_UNTIL(&site.world, site.backend->idle_count == 0);
	for (int i = 0; i < 5; i++)
		world_turn(&site.world);
	expect_pool(site.backend, 0, 1);
	assert_true(conn_is_open(&connections[1]->conn));
	backend_close(connections[1], false);
	close(peers[0]);
	close(peers[1]);
	site_finish(&site);
}

/* Used again and again, it is closed no earlier than its limit after the last use. */
static void the_idle_limit_moves_with_use(void **state)
{
	struct site site;
	int peer;

	(void)state;
	site_init(&site);
	struct backend_conn *connection = site_connect(&site, &peer);
	site.world.env.idle_timeout_us = 2 * S;
	backend_give(connection);
	for (int i = 0; i < 5; i++) {
		assert_ptr_equal(backend_take(site.backend), connection);
		world_turn(&site.world);
		backend_give(connection);
		assert_int_equal(connection->timer.due_us, loop_now_us(site.world.loop) + 2 * S);
	}
	assert_int_equal(connection->exchanges, 6);
	close(peer);
	site_finish(&site);
}

/* Before it is given back, and while it is idle. */
static void old_connections_are_not_used_again(void **state)
{
	struct site site;
	int peers[2];

	(void)state;
	site_init(&site);
	struct backend_conn *connections[] = {
	    site_connect(&site, &peers[0]), site_connect(&site, &peers[1])};
	site.world.env.age_limit_us = 1000 * S;
	backend_give(connections[0]);
	expect_pool(site.backend, 1, 1);
	connections[1]->opened_us -= 1000 * S;
	backend_give(connections[1]);
	expect_pool(site.backend, 1, 0);
	connections[0]->opened_us -= 1000 * S;
	assert_null(backend_take(site.backend));
	expect_pool(site.backend, 0, 0);
	close(peers[0]);
	close(peers[1]);
	site_finish(&site);
}

/* A reload may end the pool while connections are in it. */
static void without_a_pool_nothing_is_taken_from_it(void **state)
{
	struct site site;
	int peer;

	(void)state;
	site_init(&site);
	backend_give(site_connect(&site, &peer));
	expect_pool(site.backend, 1, 0);
	site.world.env.idle_timeout_us = 0;
	assert_null(backend_take(site.backend));
	expect_pool(site.backend, 0, 0);
	close(peer);
	site_finish(&site);
}

static void what_is_given_back_to_who_is_out_of_service_is_closed(void **state)
{
	enum { DOWN, DRAINING, REMOVED, NO_POOL, ENDED, BROKEN, WAYS };

	(void)state;
	for (int way = DOWN; way < WAYS; way++) {
		struct site site;
		char byte;
		int peer;

		site_init(&site);
		struct backend_conn *connection = site_connect(&site, &peer);
		if (way == DOWN)
			backend_set_state(
			    site.backend, &(struct backend_change){
					      .state = BACKEND_DOWN, .reason = OUTCOME_LATE});
		site.backend->draining = way == DRAINING;
		site.backend->removed = way == REMOVED;
		if (way == NO_POOL)
			site.world.env.idle_timeout_us = 0;
		connection->conn.ended = way == ENDED;
		connection->conn.error = way == BROKEN ? EPIPE : 0;
		backend_give(connection);
		expect_pool(site.backend, 0, 0);
		WORLD_UNTIL(&site.world, net_read(peer, &byte, 1) == 0);
		close(peer);
		site_finish(&site);
	}
}

static void going_down_closes_idle_connections_but_not_busy_ones(void **state)
{
	struct site site;
	int peers[3];

	(void)state;
	site_init(&site);
	struct backend_conn *busy = site_connect(&site, &peers[0]);
	struct backend_conn *idle[] = {
	    site_connect(&site, &peers[1]), site_connect(&site, &peers[2])};
	backend_give(idle[0]);
	backend_give(idle[1]);
	expect_pool(site.backend, 2, 1);
	backend_set_state(
	    site.backend, &(struct backend_change){.state = BACKEND_DOWN, .reason = OUTCOME_LATE});
	expect_pool(site.backend, 0, 1);
	assert_true(conn_is_open(&busy->conn));
	backend_set_state(site.backend, &(struct backend_change){.state = BACKEND_TRIAL});
	backend_give(busy);
	expect_pool(site.backend, 1, 0);
	for (size_t i = 0; i < COUNT(peers); i++)
		close(peers[i]);
	site_finish(&site);
}

static void memory_lasts_to_the_end_of_the_turn(void **state)
{
	struct site site;
	int peer;

	(void)state;
	site_init(&site);
	struct backend_conn *connection = site_connect(&site, &peer);
	backend_close(connection, false);
	assert_int_equal(site.world.connections.in_use, 1);
	assert_false(conn_is_open(&connection->conn));
	world_turn(&site.world);
	assert_int_equal(site.world.connections.in_use, 0);
	close(peer);
	site_finish(&site);
}

static void the_last_drop_closes_what_is_idle(void **state)
{
	struct site site;
	char byte;
	int peer;

	(void)state;
	site_init(&site);
	backend_give(site_connect(&site, &peer));
	backend_hold(site.backend);
	backend_drop(site.backend);
	world_turn(&site.world);
	expect_pool(site.backend, 1, 0);
	backend_drop(site.backend);
	WORLD_UNTIL(&site.world, net_read(peer, &byte, 1) == 0);
	close(peer);
	close(site.listener);
	world_finish(&site.world);
}

static void a_connect_that_fails_at_once_tells_why(void **state)
{
	const struct backend_options socket_options = {
	    .url = "unix:/nonexistent/app.sock", .name = "u", .path = "/nonexistent/app.sock"};
	struct site site;
	bool connecting;
	int error = 0;

	(void)state;
	site_init(&site);
	struct backend *nowhere = world_backend(&site.world, NULL);
	assert_null(backend_connect(nowhere, 0, &error, &connecting));
	assert_int_equal(error, -EHOSTUNREACH);
	backend_drop(nowhere);

	struct backend *unix_socket = backend_create(&site.world.env, &socket_options);
	assert_null(backend_connect(unix_socket, 0, &error, &connecting));
	assert_int_equal(error, -ENOENT);
	expect_pool(unix_socket, 0, 0);
	assert_int_equal(unix_socket->counters.connects, 0);
	backend_drop(unix_socket);

	site.world.connections.limit = 0;
	assert_null(backend_connect(site.backend, 0, &error, &connecting));
	assert_int_equal(error, -ENOMEM);
	expect_pool(site.backend, 0, 0);
	assert_int_equal(outcome_of_connect_error(error), OUTCOME_SHORTAGE);
	site_finish(&site);
}

static void a_refusal_comes_as_an_event(void **state)
{
	struct world world;
	struct net_addr addr;
	bool connecting;
	int error = 0;

	(void)state;
	world_init(&world);
	int reserved = world_reserve(&addr);
	struct backend *backend = world_backend(&world, &addr);
	struct backend_conn *connection = backend_connect(backend, 0, &error, &connecting);
	/* The kernel may know it already. */
	if (connection) {
		assert_true(connecting);
		connection->conn.on_event = on_nothing;
		conn_want(&connection->conn, LOOP_WRITE);
		WORLD_UNTIL(&world, connection->conn.writable);
		error = net_connect_result(connection->conn.watch.fd);
		backend_close(connection, false);
	}
	assert_int_equal(error, -ECONNREFUSED);
	expect_pool(backend, 0, 0);
	backend_drop(backend);
	close(reserved);
	world_finish(&world);
}

/* Nothing would tell when there is room: the connect has failed, and not for want of anything of ours. */
static void a_unix_socket_whose_queue_is_full_takes_nobody(void **state)
{
	const struct net_listen_options listen_options = {.backlog = 0};
	char directory[] = "/tmp/rondo-backend-XXXXXX", path[64];
	struct backend_conn *connections[4], *connection;
	struct world world;
	size_t count = 0;
	bool connecting;
	int error = 0;

	(void)state;
	world_init(&world);
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/app.sock", directory);
	const struct backend_options options = {.url = "unix:", .name = "app", .path = path};
	struct backend *backend = backend_create(&world.env, &options);
	assert_non_null(backend);
	int listener = net_listen(&backend->addrs[0], &listen_options);
	assert_true(listener >= 0);
	while ((connection = backend_connect(backend, 0, &error, &connecting))) {
		assert_true(count < COUNT(connections));
		connection->conn.on_event = on_nothing;
		connections[count++] = connection;
	}
	assert_int_equal(outcome_of_connect_error(error), OUTCOME_BUSY);
	while (count > 0)
		backend_close(connections[--count], false);
	backend_drop(backend);
	close(listener);
	unlink(path);
	rmdir(directory);
	world_finish(&world);
}

/* Two requests begin at the first address, which is dead. One of them finds the second and makes it
 * the preferred one; the other must not be led back to the dead one by that. */
static void a_try_goes_through_all_addresses(void **state)
{
	struct net_addr addrs[2];
	struct world world;
	bool connecting;
	int error;

	(void)state;
	world_init(&world);
	int reserved = world_reserve(&addrs[0]);
	int listener = world_listen("127.0.0.1", &addrs[1]);
	struct backend *backend = world_backend(&world, &addrs[0]);
	assert_true(backend_set_addrs(backend, addrs, 2));
	assert_int_equal(backend_address_count(backend), 2);

	size_t first = backend->addr_first, second = backend->addr_first;
	struct backend_conn *found = backend_connect(backend, first + 1, &error, &connecting);
	assert_non_null(found);
	assert_true(net_addr_equals(&found->addr, &addrs[1]));
	backend_connected(found);
	assert_int_equal(backend->addr_first, 1);
	struct backend_conn *other = backend_connect(backend, second + 1, &error, &connecting);
	assert_non_null(other);
	assert_true(net_addr_equals(&other->addr, &addrs[1]));
	/* A new try begins with the one that worked, and wraps around. */
	struct backend_conn *next =
	    backend_connect(backend, backend->addr_first, &error, &connecting);
	assert_non_null(next);
	assert_true(net_addr_equals(&next->addr, &addrs[1]));
	struct backend_conn *wrapped =
	    backend_connect(backend, backend->addr_first + 1, &error, &connecting);
	if (wrapped) {
		assert_true(net_addr_equals(&wrapped->addr, &addrs[0]));
		backend_close(wrapped, false);
	}
	/* The resolver shortens the list while a connect to the second is under way. */
	assert_true(backend_set_addrs(backend, addrs, 1));
	backend_connected(other);
	assert_int_equal(backend->addr_first, 0);
	found->conn.on_event = other->conn.on_event = next->conn.on_event = on_nothing;
	backend_close(found, false);
	backend_close(other, false);
	backend_close(next, false);
	backend_drop(backend);
	close(reserved);
	close(listener);
	world_finish(&world);
}

/* The name moves from one address to another while one connection is idle and one is busy. */
static void connections_follow_the_addresses(void **state)
{
	struct site site;
	struct net_addr addrs[2];
	int peers[3];

	(void)state;
	site_init(&site);
	addrs[0] = site.addr;
	struct backend_conn *idle = site_connect(&site, &peers[0]);
	struct backend_conn *busy = site_connect(&site, &peers[1]);
	backend_give(idle);
	expect_pool(site.backend, 1, 1);
	/* One more address disturbs nobody. */
	int other = world_listen("127.0.0.1", &addrs[1]);
	assert_true(backend_set_addrs(site.backend, addrs, 2));
	expect_pool(site.backend, 1, 1);
	/* The old one is gone. */
	assert_true(backend_set_addrs(site.backend, &addrs[1], 1));
	expect_pool(site.backend, 0, 1);
	backend_give(busy);
	expect_pool(site.backend, 0, 0);
	/* It comes back beside the new one, and a new connection to it is pooled. */
	assert_true(backend_set_addrs(site.backend, addrs, 2));
	site.backend->addr_first = 0;
	struct backend_conn *again = site_connect(&site, &peers[2]);
	backend_give(again);
	expect_pool(site.backend, 1, 0);
	for (size_t i = 0; i < COUNT(peers); i++)
		close(peers[i]);
	close(other);
	site_finish(&site);
}

static void a_wish_of_the_operator_comes_before_what_was_judged(void **state)
{
	static char host[] = "app.example";
	char text[BACKEND_TEXT_SIZE];
	struct backend backend = {
	    .host = host, .state = BACKEND_DOWN, .reason = OUTCOME_STATUS, .reason_status = 503};

	(void)state;
	assert_string_equal(backend_describe_why(&backend, text), "status 503");
	backend.unresolved = true;
	assert_string_equal(
	    backend_describe_why(&backend, text), "no address known for app.example");
	backend.draining = true;
	assert_string_equal(backend_describe_why(&backend, text), "drained by the operator");
	backend = (struct backend){.state = BACKEND_UP, .returned = RETURN_BY_CHECKS};
	assert_string_equal(backend_describe_why(&backend, text), "checks succeeded");
	backend.returned = RETURN_NONE;
	assert_string_equal(backend_describe_why(&backend, text), "has not been down");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_outcome_has_words_of_its_own),
	    cmocka_unit_test(blame_is_as_agreed),
	    cmocka_unit_test(errors_of_connect_have_a_meaning),
	    cmocka_unit_test(literal_addresses_need_no_resolver),
	    cmocka_unit_test(options_are_copied_and_replaced),
	    cmocka_unit_test(the_preferred_address_survives_a_new_answer),
	    cmocka_unit_test(each_change_is_logged_once_with_its_reason),
	    cmocka_unit_test(a_wish_of_the_operator_comes_before_what_was_judged),
	    cmocka_unit_test(a_window_is_logged_as_it_is),
	    cmocka_unit_test(a_state_carries_its_times),
	    cmocka_unit_test(people_are_shown_one_word),
	    cmocka_unit_test(failures_are_counted_and_the_last_ones_remembered),
	    cmocka_unit_test(what_took_it_down_is_remembered_until_it_is_up),
	    cmocka_unit_test(only_its_own_failures_make_it_slow),
	    cmocka_unit_test(latencies_fall_into_buckets),
	    cmocka_unit_test(the_freshest_connection_is_taken_first),
	    cmocka_unit_test(an_idle_connection_that_stirs_is_closed),
	    cmocka_unit_test(an_idle_connection_gives_way_to_a_new_one),
	    cmocka_unit_test(connections_in_use_stay),
	    cmocka_unit_test(idle_connections_have_a_limit),
	    cmocka_unit_test(the_idle_limit_moves_with_use),
	    cmocka_unit_test(old_connections_are_not_used_again),
	    cmocka_unit_test(without_a_pool_nothing_is_taken_from_it),
	    cmocka_unit_test(what_is_given_back_to_who_is_out_of_service_is_closed),
	    cmocka_unit_test(going_down_closes_idle_connections_but_not_busy_ones),
	    cmocka_unit_test(memory_lasts_to_the_end_of_the_turn),
	    cmocka_unit_test(the_last_drop_closes_what_is_idle),
	    cmocka_unit_test(a_connect_that_fails_at_once_tells_why),
	    cmocka_unit_test(a_refusal_comes_as_an_event),
	    cmocka_unit_test(a_unix_socket_whose_queue_is_full_takes_nobody),
	    cmocka_unit_test(a_try_goes_through_all_addresses),
	    cmocka_unit_test(connections_follow_the_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
