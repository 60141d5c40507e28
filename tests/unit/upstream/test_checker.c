#include "checker.h"
#include "ring_list.h"
#include "world.h"

#include <errno.h>
#include <stdlib.h>

/* Some servers, a ring of backends over them, and a checker. */
enum { SITES = 2 };

/* The one that is looked at; the first is checked at once when there are periodic checks. */
enum { IT = 1 };

struct town {
	struct world world;
	struct ring ring;
	struct checker *checker;
	struct check_options options;
	int listeners[SITES];
	struct net_addr addrs[SITES];
	struct backend *backends[SITES];
};

static void on_change(struct backend *backend, void *context)
{
	struct town *town = context;

	(void)backend;
	checker_wake(town->checker);
}

static void town_init(struct town *town)
{
	*town = (struct town){.options = {
				  .path = "",
				  .host = "",
				  .interval_us = 3600 * S,
				  .timeout_us = 20 * S,
				  .connect_timeout_us = 20 * S,
				  .rules = {.fall = 3, .rise = 2},
				  .expect = {{200, 299}, {404, 404}},
				  .expect_count = 2,
			      }};
	world_init(&town->world);
	ring_init(&town->ring);
	town->ring.options.retry_window_us = 1 * MS;
	town->ring.options.retry_window_max_us = 3600 * S;
	town->checker = checker_create(&town->ring, &town->world.env);
	assert_non_null(town->checker);
	town->world.env.on_change = on_change;
	town->world.env.context = town;
	for (size_t i = 0; i < SITES; i++) {
		town->listeners[i] = world_listen("127.0.0.1", &town->addrs[i]);
		town->backends[i] = world_backend(&town->world, &town->addrs[i]);
	}
	ring_take_list(&town->ring, town->backends, SITES);
}

static void town_start(struct town *town, const char *path)
{
	town->options.path = path;
	checker_configure(
	    town->checker, &town->options, strdup(town->options.path), strdup(town->options.host));
}

static void town_finish(struct town *town)
{
	checker_destroy(town->checker);
	ring_finish(&town->ring);
	for (size_t i = 0; i < SITES; i++) {
		assert_int_equal(town->backends[i]->holders, 1);
		assert_int_equal(town->backends[i]->active, 0);
		backend_drop(town->backends[i]);
		if (town->listeners[i] >= 0)
			close(town->listeners[i]);
	}
	world_finish(&town->world);
}

/* Down since now, for `window_us`. */
static void town_down(struct town *town, size_t i, enum outcome reason, int64_t window_us)
{
	const struct backend_change change = {
	    .state = BACKEND_DOWN,
	    .reason = reason,
	    .window_us = window_us,
	    .now_us = loop_refresh_us(town->world.loop),
	};

	backend_set_state(town->backends[i], &change);
}

static bool somebody_came(struct town *town, size_t i)
{
	struct net_addr peer;
	int fd = net_accept(town->listeners[i], &peer);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Turns for a while in which nothing is expected to happen. */
static void town_idle(struct town *town)
{
	for (int i = 0; i < 10; i++)
		world_turn(&town->world);
}

/* ---- connects */

static void a_window_that_ends_is_followed_by_a_connect(void **state)
{
	struct town town;

	(void)state;
	town_init(&town);
	town_start(&town, "");
	town_idle(&town);
	town_down(&town, 0, OUTCOME_LATE, 1 * MS);
	WORLD_UNTIL(&town.world, town.backends[0]->state == BACKEND_TRIAL);
	assert_true(somebody_came(&town, 0));
	/* Once, and only to the one that was down. */
	town_idle(&town);
	assert_false(somebody_came(&town, 0));
	assert_false(somebody_came(&town, 1));
	assert_int_equal(town.backends[0]->counters.connects, 0);
	town_finish(&town);
}

static void nothing_happens_within_the_window(void **state)
{
	struct town town;

	(void)state;
	town_init(&town);
	town_start(&town, "");
	town_down(&town, 0, OUTCOME_LATE, 3600 * S);
	town_idle(&town);
	assert_int_equal(town.backends[0]->state, BACKEND_DOWN);
	assert_false(somebody_came(&town, 0));
	town_finish(&town);
}

static void a_refused_connect_is_made_again(void **state)
{
	struct town town;
	struct net_addr addr;

	(void)state;
	town_init(&town);
	int reserved = world_reserve(&addr);
	assert_true(backend_set_addrs(town.backends[0], &addr, 1));
	town_start(&town, "");
	town_down(&town, 0, OUTCOME_LATE, 1 * MS);
	struct backend *backend = town.backends[0];
	WORLD_UNTIL(&town.world, backend->counters.failures[OUTCOME_REFUSED] >= 3);
	assert_int_equal(backend->state, BACKEND_DOWN);
	assert_int_equal(backend->reason, OUTCOME_REFUSED);
	assert_int_equal(backend->window_us, 1 * MS);
	/* It is there again. */
	assert_true(backend_set_addrs(backend, &town.addrs[0], 1));
	WORLD_UNTIL(&town.world, backend->state == BACKEND_TRIAL);
	close(reserved);
	town_finish(&town);
}

static void all_addresses_are_tried(void **state)
{
	struct town town;
	struct net_addr addrs[3];

	(void)state;
	town_init(&town);
	int reserved[] = {world_reserve(&addrs[0]), world_reserve(&addrs[2])};
	addrs[1] = town.addrs[0];
	assert_true(backend_set_addrs(town.backends[0], addrs, 3));
	backend_prefer_address(town.backends[0], 2);
	town_start(&town, "");
	town_down(&town, 0, OUTCOME_LATE, 1 * MS);
	WORLD_UNTIL(&town.world, town.backends[0]->state == BACKEND_TRIAL);
	assert_int_equal(town.backends[0]->addr_first, 1);
	assert_int_equal(town.backends[0]->window_us, 1 * MS);
	close(reserved[0]);
	close(reserved[1]);
	town_finish(&town);
}

/* A listener whose queue is full: the kernel drops what comes, as a host that is gone would. */
struct pit {
	int listener;
	int fillers[8];
};

static void pit_open(struct pit *pit, struct net_addr *addr)
{
	const struct net_listen_options options = {.backlog = 0};
	bool connecting;

	assert_true(net_addr_from_ip(addr, STR("127.0.0.1"), 0));
	pit->listener = net_listen(addr, &options);
	assert_true(pit->listener >= 0);
	assert_int_equal(net_local_addr(pit->listener, addr), 0);
	for (size_t i = 0; i < COUNT(pit->fillers); i++) {
		pit->fillers[i] = net_connect(addr, &connecting);
		assert_true(pit->fillers[i] >= 0);
	}
}

static void pit_close(struct pit *pit)
{
	for (size_t i = 0; i < COUNT(pit->fillers); i++)
		close(pit->fillers[i]);
	close(pit->listener);
}

static void silence_is_a_connect_timeout(void **state)
{
	struct town town;
	struct net_addr addr;
	struct pit pit;

	(void)state;
	town_init(&town);
	pit_open(&pit, &addr);
	assert_true(backend_set_addrs(town.backends[0], &addr, 1));
	town.options.connect_timeout_us = 5 * MS;
	town_start(&town, "");
	town_down(&town, 0, OUTCOME_LATE, 1 * MS);
	WORLD_UNTIL(&town.world, town.backends[0]->reason == OUTCOME_CONNECT_TIMEOUT);
	assert_int_equal(town.backends[0]->state, BACKEND_DOWN);
	pit_close(&pit);
	town_finish(&town);
}

static void who_is_out_of_service_is_left_alone(void **state)
{
	enum { DRAINING, UNRESOLVED, WAYS };

	(void)state;
	for (int way = DRAINING; way < WAYS; way++) {
		struct town town;

		town_init(&town);
		struct backend *backend = town.backends[0];
		backend->draining = way == DRAINING;
		backend->addr_count = way == UNRESOLVED ? 0 : 1;
		town_start(&town, "/health");
		town_down(&town, 0, OUTCOME_LATE, 0);
		town_idle(&town);
		assert_int_equal(backend->state, BACKEND_DOWN);
		assert_int_equal(backend->window_us, 0);
		assert_false(somebody_came(&town, 0));
		town_finish(&town);
	}
}

/* ---- GETs */

enum { REQUEST_SIZE = 512 };

/* Accepts one connection and reads a whole request head. */
static int town_hear(struct town *town, size_t i, char request[static REQUEST_SIZE])
{
	int fd = world_accept(&town->world, town->listeners[i]);
	size_t len = 0;

	request[0] = '\0';
	while (!strstr(request, "\r\n\r\n")) {
		ssize_t got = net_read(fd, request + len, REQUEST_SIZE - 1 - len);

		assert_true(got > 0 || got == -EAGAIN);
		len += got > 0 ? (size_t)got : 0;
		request[len] = '\0';
		world_turn(&town->world);
	}
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* The checker hangs up when it knows what it wanted to know. */
static void town_await_judgement(struct town *town, int fd)
{
	char byte;

	/* The answer ends here. */
	net_shutdown_write(fd);
	WORLD_UNTIL(&town->world, net_read(fd, &byte, 1) != -EAGAIN);
	close(fd);
}

static void expect_get(struct town *town, const char *host)
{
	char request[REQUEST_SIZE], expected[REQUEST_SIZE];

	town_down(town, IT, OUTCOME_REFUSED, 1 * MS);
	town_start(town, "/health?deep=1");
	int fd = town_hear(town, IT, request);
	snprintf(expected, sizeof(expected),
	    "GET /health?deep=1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: rondo\r\n"
	    "Connection: close\r\n\r\n",
	    host);
	assert_string_equal(request, expected);
	close(fd);
}

static void a_get_names_the_backend_as_it_is_configured(void **state)
{
	static const struct {
		const char *host, *ip, *written;
	} cases[] = {
	    {"app.example", "127.0.0.1", "app.example"},
	    {"127.0.0.1", "127.0.0.1", "127.0.0.1"},
	    {"::1", "::1", "[::1]"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct town town;
		char host[64];

		town_init(&town);
		close(town.listeners[IT]);
		town.listeners[IT] = world_listen(cases[i].ip, &town.addrs[IT]);
		const struct backend_options options = {
		    .url = town.backends[IT]->url,
		    .name = "app",
		    .host = cases[i].host,
		    .port = net_addr_port(&town.addrs[IT]),
		};
		backend_commit_update(
		    town.backends[IT], backend_prepare_update(town.backends[IT], &options));
		assert_true(backend_set_addrs(town.backends[IT], &town.addrs[IT], 1));
		snprintf(host, sizeof(host), "%s:%u", cases[i].written, options.port);
		expect_get(&town, host);
		town_finish(&town);
	}
}

static void a_get_goes_where_health_host_and_port_say(void **state)
{
	struct town town;
	struct net_addr elsewhere;

	(void)state;
	town_init(&town);
	int traffic = town.listeners[IT];
	town.listeners[IT] = world_listen("127.0.0.1", &elsewhere);
	town.options.host = "app.example";
	town.options.port = net_addr_port(&elsewhere);
	expect_get(&town, "app.example");
	close(town.listeners[IT]);
	town.listeners[IT] = traffic;
	assert_false(somebody_came(&town, IT));
	town_finish(&town);
}

static void a_connect_goes_to_the_port_of_the_traffic(void **state)
{
	struct town town;

	(void)state;
	town_init(&town);
	town.options.port = 9; /* nobody is there */
	town_start(&town, "");
	town_down(&town, IT, OUTCOME_LATE, 1 * MS);
	WORLD_UNTIL(&town.world, town.backends[IT]->state == BACKEND_TRIAL);
	assert_true(somebody_came(&town, IT));
	town_finish(&town);
}

static void a_socket_in_the_file_system_is_localhost(void **state)
{
	const struct net_listen_options listen_options = {.backlog = 4};
	char directory[] = "/tmp/rondo-check-XXXXXX", path[64];
	struct town town;

	(void)state;
	town_init(&town);
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/app.sock", directory);
	const struct backend_options options = {.url = "unix:", .name = "app", .path = path};
	backend_drop(town.backends[IT]);
	town.backends[IT] = backend_create(&town.world.env, &options);
	assert_non_null(town.backends[IT]);
	ring_take_list(&town.ring, town.backends, SITES);
	close(town.listeners[IT]);
	town.listeners[IT] = net_listen(&town.backends[IT]->addrs[0], &listen_options);
	assert_true(town.listeners[IT] >= 0);
	expect_get(&town, "localhost");
	town_finish(&town);
	unlink(path);
	rmdir(directory);
}

enum after { STAY, CLOSE, RESET };

struct answer {
	const char *text;
	enum after after;
	enum outcome outcome;
	unsigned status;
};

#define HEAD_100  "HTTP/1.1 100 Continue\r\n\r\n"
#define HEAD_103  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
#define HEAD_200  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define TEN(text) text text text text text text text text text text

static const struct answer answers[] = {
    {HEAD_200, STAY, OUTCOME_GOOD, 0},
    {HEAD_200 "ok", CLOSE, OUTCOME_GOOD, 0},
    {"HTTP/1.0 204 No Content\r\n\r\n", CLOSE, OUTCOME_GOOD, 0},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", STAY, OUTCOME_GOOD, 0},
    {HEAD_100 HEAD_103 HEAD_200, STAY, OUTCOME_GOOD, 0},
    {TEN(TEN(HEAD_100)) HEAD_200, STAY, OUTCOME_GOOD, 0},
    {TEN(TEN(HEAD_100)) HEAD_100 HEAD_200, STAY, OUTCOME_BAD_RESPONSE, 0},
    {"HTTP/1.1 503 Service Unavailable\r\n\r\n", CLOSE, OUTCOME_STATUS, 503},
    {"HTTP/1.1 300 Multiple Choices\r\n\r\n", STAY, OUTCOME_STATUS, 300},
    {"HTTP/1.1 405 Method Not Allowed\r\n\r\n", STAY, OUTCOME_STATUS, 405},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", STAY,
	OUTCOME_BAD_RESPONSE, 0},
    {"SSH-2.0-OpenSSH_9.2p1\r\n", STAY, OUTCOME_BAD_RESPONSE, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", CLOSE, OUTCOME_RESET, 0},
    {HEAD_100, CLOSE, OUTCOME_RESET, 0},
    {"", CLOSE, OUTCOME_RESET, 0},
    {"", RESET, OUTCOME_RESET, 0},
    {"", STAY, OUTCOME_LATE, 0},
    {"HTTP/1.1 200 OK\r\n", STAY, OUTCOME_LATE, 0},
};

static void expect_result(struct town *town, const struct answer *answer)
{
	struct backend *backend = town->backends[IT];

	WORLD_UNTIL(&town->world,
	    backend->state != BACKEND_DOWN || backend->counters.failures[answer->outcome] > 0);
	if (answer->outcome == OUTCOME_GOOD) {
		assert_int_equal(backend->state, BACKEND_TRIAL);
		return;
	}
	assert_int_equal(backend->state, BACKEND_DOWN);
	assert_int_equal(backend->reason, answer->outcome);
	assert_int_equal(backend->reason_status, answer->status);
}

static void an_answer_decides_over_the_return(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(answers); i++) {
		const struct answer *answer = &answers[i];
		struct town town;
		char request[REQUEST_SIZE];

		town_init(&town);
		if (answer->outcome == OUTCOME_LATE)
			town.options.timeout_us = 50 * MS;
		town_down(&town, IT, OUTCOME_REFUSED, 1 * MS);
		town_start(&town, "/health");
		int fd = town_hear(&town, IT, request);
		say(fd, answer->text);
		if (answer->after != STAY)
			net_close(fd, answer->after == RESET);
		expect_result(&town, answer);
		if (answer->after == STAY)
			close(fd);
		town_finish(&town);
	}
}

static void an_answer_may_come_byte_by_byte(void **state)
{
	const char *text = HEAD_103 HEAD_200;
	struct town town;
	char request[REQUEST_SIZE];

	(void)state;
	town_init(&town);
	town_down(&town, IT, OUTCOME_REFUSED, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	for (const char *at = text; *at; at++) {
		assert_int_equal(town.backends[IT]->state, BACKEND_DOWN);
		assert_int_equal(write(fd, at, 1), 1);
		if (at[4] == '\0')
			break; /* the content is nobody's business */
		world_turn(&town.world);
	}
	say(fd, text + strlen(text) - 3);
	WORLD_UNTIL(&town.world, town.backends[IT]->state == BACKEND_TRIAL);
	close(fd);
	town_finish(&town);
}

static void a_head_larger_than_a_block_is_broken(void **state)
{
	struct town town;
	char request[REQUEST_SIZE];
	static char field[WORLD_BLOCK_SIZE + 1];

	(void)state;
	town_init(&town);
	town_down(&town, IT, OUTCOME_REFUSED, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	memset(field, 'x', WORLD_BLOCK_SIZE);
	say(fd, "HTTP/1.1 200 OK\r\nX: ");
	say(fd, field);
	expect_result(&town, &(struct answer){.outcome = OUTCOME_BAD_RESPONSE});
	close(fd);
	town_finish(&town);
}

/* Of two addresses the first takes half of the time, not all of it. */
static void a_silent_address_leaves_time_for_the_others(void **state)
{
	struct town town;
	struct net_addr addrs[2];
	struct pit pit;
	char request[REQUEST_SIZE];

	(void)state;
	town_init(&town);
	pit_open(&pit, &addrs[0]);
	addrs[1] = town.addrs[IT];
	assert_true(backend_set_addrs(town.backends[IT], addrs, 2));
	backend_prefer_address(town.backends[IT], 0);
	town.options.timeout_us = 1 * S;
	town_down(&town, IT, OUTCOME_LATE, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	say(fd, HEAD_200);
	town_await_judgement(&town, fd);
	assert_int_equal(town.backends[IT]->state, BACKEND_TRIAL);
	assert_int_equal(town.backends[IT]->addr_first, 1);
	pit_close(&pit);
	town_finish(&town);
}

/* What was read of it does not stand in the way of the final one. */
static void an_interim_head_may_fill_most_of_a_block(void **state)
{
	struct town town;
	static char request[REQUEST_SIZE], field[WORLD_BLOCK_SIZE], text[3 * WORLD_BLOCK_SIZE];

	(void)state;
	town_init(&town);
	memset(field, 'x', WORLD_BLOCK_SIZE * 3 / 4);
	snprintf(text, sizeof(text),
	    "HTTP/1.1 103 Early Hints\r\nX: %s\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %s\r\n\r\n",
	    field, field);
	town_down(&town, IT, OUTCOME_LATE, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	say(fd, text);
	town_await_judgement(&town, fd);
	assert_int_equal(town.backends[IT]->state, BACKEND_TRIAL);
	town_finish(&town);
}

/* The head decides at once; a server is not cut off in its content for all that. */
static void the_content_of_an_answer_is_read_to_its_end(void **state)
{
	enum { CONTENT = 60000 };
	struct town town;
	static char request[REQUEST_SIZE], content[CONTENT + 1];
	char byte;

	(void)state;
	town_init(&town);
	town_down(&town, IT, OUTCOME_LATE, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
	WORLD_UNTIL(&town.world, town.backends[IT]->state == BACKEND_TRIAL);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	memset(content, 'x', CONTENT);
	say(fd, content);
	WORLD_UNTIL(&town.world, recv(fd, &byte, 1, MSG_DONTWAIT) == 0);
	close(fd);
	town_finish(&town);
}

/* But not without end. */
static void of_long_content_only_the_begin_is_read(void **state)
{
	enum { CONTENT = 128 * 1024 };
	struct town town;
	static char request[REQUEST_SIZE], content[CONTENT];
	char byte;

	(void)state;
	town_init(&town);
	town_down(&town, IT, OUTCOME_LATE, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	memset(content, 'x', CONTENT);
	WORLD_UNTIL(&town.world,
	    send(fd, content, CONTENT, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0, 1);
	close(fd);
	town_finish(&town);
}

static void a_shortage_is_no_result(void **state)
{
	struct town town;
	struct net_addr peer;

	(void)state;
	town_init(&town);
	town.world.blocks.limit = 0;
	town_down(&town, IT, OUTCOME_REFUSED, 1 * MS);
	town_start(&town, "/health");
	int fd = world_accept(&town.world, town.listeners[IT]);
	town_idle(&town);
	assert_int_equal(town.backends[IT]->state, BACKEND_DOWN);
	assert_int_equal(town.backends[IT]->window_us, 1 * MS);
	assert_int_equal(town.backends[IT]->reason, OUTCOME_REFUSED);
	/* Nor is it tried again and again. */
	assert_int_equal(net_accept(town.listeners[IT], &peer), -EAGAIN);
	close(fd);
	town_finish(&town);
}

/* ---- checks */

static void answer_one(struct town *town, size_t i, const char *answer)
{
	char request[REQUEST_SIZE];
	int fd = town_hear(town, i, request);

	say(fd, answer);
	town_await_judgement(town, fd);
}

static void checks_take_down_and_bring_back(void **state)
{
	const char *bad = "HTTP/1.1 500 Internal Server Error\r\n\r\n";
	struct town town;

	(void)state;
	town_init(&town);
	ring_take_list(&town.ring, town.backends, 1);
	town.options.interval_us = 30 * MS;
	town_start(&town, "/health");
	struct backend *backend = town.backends[0];
	answer_one(&town, 0, HEAD_200);
	answer_one(&town, 0, bad);
	answer_one(&town, 0, bad);
	assert_int_equal(backend->checks_failed, 2);
	assert_int_equal(backend->state, BACKEND_UP);
	answer_one(&town, 0, bad);
	assert_int_equal(backend->state, BACKEND_DOWN);
	assert_int_equal(backend->reason, OUTCOME_CHECK);
	/* Its window has long been over, but it comes back by checks. */
	answer_one(&town, 0, HEAD_200);
	assert_int_equal(backend->state, BACKEND_DOWN);
	assert_int_equal(backend->checks_good, 1);
	answer_one(&town, 0, HEAD_200);
	assert_int_equal(backend->state, BACKEND_UP);
	town_finish(&town);
}

static void every_backend_is_checked(void **state)
{
	struct town town;

	(void)state;
	town_init(&town);
	town.options.interval_us = 40 * MS;
	town_start(&town, "/health");
	for (unsigned round = 1; round <= 2; round++) {
		for (size_t i = 0; i < SITES; i++) {
			answer_one(&town, i, HEAD_200);
			assert_int_equal(town.backends[i]->checks_good, round);
		}
	}
	town_finish(&town);
}

/* The first backend is checked at once when checks are spread. */
static void checks_are_spread_anew_only_for_another_schedule(void **state)
{
	struct backend *turned[SITES];
	struct town town;

	(void)state;
	town_init(&town);
	town_start(&town, "/health");
	answer_one(&town, 0, HEAD_200);

	town_start(&town, "/health");
	town_idle(&town);
	assert_false(somebody_came(&town, 0));
	turned[0] = town.backends[1];
	turned[1] = town.backends[0];
	ring_take_list(&town.ring, turned, SITES);
	town_start(&town, "/health");
	town_idle(&town);
	assert_false(somebody_came(&town, 0));
	assert_false(somebody_came(&town, 1));

	ring_take_list(&town.ring, turned, 1);
	town_start(&town, "/health");
	answer_one(&town, 1, HEAD_200);
	ring_take_list(&town.ring, town.backends, SITES);
	town_start(&town, "/health");
	answer_one(&town, 0, HEAD_200);
	town_start(&town, "/other");
	answer_one(&town, 0, HEAD_200);
	town.options.interval_us += 1 * S;
	town_start(&town, "/other");
	answer_one(&town, 0, HEAD_200);
	assert_int_equal(town.backends[0]->checks_good, 4);
	town_finish(&town);
}

/* However long one check takes, the next one waits for it. */
static void there_is_one_check_at_a_time(void **state)
{
	struct town town;
	char request[REQUEST_SIZE];

	(void)state;
	town_init(&town);
	ring_take_list(&town.ring, town.backends, 1);
	town.options.interval_us = 1 * MS;
	town_start(&town, "/health");
	int fd = town_hear(&town, 0, request);
	town_idle(&town);
	assert_false(somebody_came(&town, 0));
	say(fd, HEAD_200);
	net_shutdown_write(fd);
	int next = town_hear(&town, 0, request);
	close(fd);
	close(next);
	town_finish(&town);
}

static void without_a_path_a_failed_check_is_a_failure_like_others(void **state)
{
	struct town town;

	(void)state;
	town_init(&town);
	town_start(&town, "");
	town_down(&town, 0, OUTCOME_CHECK, 1 * MS);
	WORLD_UNTIL(&town.world, town.backends[0]->state == BACKEND_TRIAL);
	town_finish(&town);
}

/* ---- changes while a check is under way */

static void a_backend_may_leave_the_ring_while_it_is_checked(void **state)
{
	struct town town;
	char request[REQUEST_SIZE], byte;

	(void)state;
	town_init(&town);
	town_down(&town, IT, OUTCOME_REFUSED, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	assert_int_equal(town.backends[IT]->holders, 3);
	ring_take_list(&town.ring, &town.backends[0], 1);
	assert_int_equal(town.backends[IT]->holders, 2);
	checker_wake(town.checker);
	WORLD_UNTIL(&town.world, net_read(fd, &byte, 1) == 0);
	assert_int_equal(town.backends[IT]->holders, 1);
	assert_int_equal(town.backends[IT]->state, BACKEND_DOWN);
	/* And come again. */
	ring_take_list(&town.ring, town.backends, SITES);
	checker_wake(town.checker);
	close(fd);
	fd = town_hear(&town, IT, request);
	say(fd, HEAD_200);
	WORLD_UNTIL(&town.world, town.backends[IT]->state == BACKEND_TRIAL);
	close(fd);
	town_finish(&town);
}

static void a_check_survives_a_change_of_the_ring(void **state)
{
	struct backend *turned[SITES];
	struct town town;
	char request[REQUEST_SIZE];

	(void)state;
	town_init(&town);
	town_down(&town, IT, OUTCOME_REFUSED, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	turned[0] = town.backends[IT];
	turned[1] = town.backends[0];
	ring_take_list(&town.ring, turned, SITES);
	checker_wake(town.checker);
	world_turn(&town.world);
	say(fd, HEAD_200);
	WORLD_UNTIL(&town.world, town.backends[IT]->state == BACKEND_TRIAL);
	close(fd);
	town_finish(&town);
}

/* It answered a request meanwhile: what the check finds is of no interest any more. */
static void a_result_that_comes_too_late_changes_nothing(void **state)
{
	struct town town;
	char request[REQUEST_SIZE];

	(void)state;
	town_init(&town);
	town_down(&town, IT, OUTCOME_REFUSED, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	backend_set_state(town.backends[IT], &(struct backend_change){.state = BACKEND_UP});
	say(fd, "HTTP/1.1 500 Internal Server Error\r\n\r\n");
	town_await_judgement(&town, fd);
	assert_int_equal(town.backends[IT]->state, BACKEND_UP);
	town_finish(&town);
}

static void a_checker_may_end_in_the_middle(void **state)
{
	struct town town;
	char request[REQUEST_SIZE];

	(void)state;
	town_init(&town);
	town_down(&town, IT, OUTCOME_REFUSED, 1 * MS);
	town_start(&town, "/health");
	int fd = town_hear(&town, IT, request);
	town_finish(&town);
	close(fd);
}

static void a_checker_without_configuration_does_nothing(void **state)
{
	struct town town;

	(void)state;
	town_init(&town);
	town_idle(&town);
	assert_false(somebody_came(&town, IT));
	town_finish(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_window_that_ends_is_followed_by_a_connect),
	    cmocka_unit_test(nothing_happens_within_the_window),
	    cmocka_unit_test(a_refused_connect_is_made_again),
	    cmocka_unit_test(all_addresses_are_tried),
	    cmocka_unit_test(silence_is_a_connect_timeout),
	    cmocka_unit_test(who_is_out_of_service_is_left_alone),
	    cmocka_unit_test(a_get_names_the_backend_as_it_is_configured),
	    cmocka_unit_test(a_get_goes_where_health_host_and_port_say),
	    cmocka_unit_test(a_connect_goes_to_the_port_of_the_traffic),
	    cmocka_unit_test(a_socket_in_the_file_system_is_localhost),
	    cmocka_unit_test(an_answer_decides_over_the_return),
	    cmocka_unit_test(an_answer_may_come_byte_by_byte),
	    cmocka_unit_test(a_head_larger_than_a_block_is_broken),
	    cmocka_unit_test(a_silent_address_leaves_time_for_the_others),
	    cmocka_unit_test(an_interim_head_may_fill_most_of_a_block),
	    cmocka_unit_test(the_content_of_an_answer_is_read_to_its_end),
	    cmocka_unit_test(of_long_content_only_the_begin_is_read),
	    cmocka_unit_test(a_shortage_is_no_result),
	    cmocka_unit_test(checks_take_down_and_bring_back),
	    cmocka_unit_test(every_backend_is_checked),
	    cmocka_unit_test(checks_are_spread_anew_only_for_another_schedule),
	    cmocka_unit_test(there_is_one_check_at_a_time),
	    cmocka_unit_test(without_a_path_a_failed_check_is_a_failure_like_others),
	    cmocka_unit_test(a_backend_may_leave_the_ring_while_it_is_checked),
	    cmocka_unit_test(a_check_survives_a_change_of_the_ring),
	    cmocka_unit_test(a_result_that_comes_too_late_changes_nothing),
	    cmocka_unit_test(a_checker_may_end_in_the_middle),
	    cmocka_unit_test(a_checker_without_configuration_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
