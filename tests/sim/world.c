#include "world.h"

#include "base/log.h"
#include "client.h"
#include "judge.h"
#include "oracle.h"
#include "proxy/rescue.h"
#include "proxy/straggler.h"
#include "server.h"
#include "sim_loop.h"
#include "sim_net.h"
#include "trace.h"

#include <stdlib.h>

static const int64_t HOUR = 3600 * INT64_C(1000000);

enum { MS = 1000, SECOND = 1000 * 1000, HEADERS = 60, ENDS = 1000 };
enum { CONNECTIONS = 64, BACKEND_CONNECTIONS = 4 * CONNECTIONS };

struct world world;
struct totals totals;

struct request *world_add_request(void)
{
	struct request *request = &world.requests[world.request_count++];

	*request = (struct request){.rules_first = world.rules_now, .began_us = trace_now_us()};
	return request;
}

struct visit *world_add_visit(void)
{
	if (world.visit_count == world.visit_room) {
		world.visit_room = world.visit_room ? world.visit_room * 2 : 4096;
		world.visits = realloc(world.visits, world.visit_room * sizeof(*world.visits));
		if (!world.visits)
			abort();
	}
	return &world.visits[world.visit_count++];
}

static void make_room_for_requests(void)
{
	if (world.request_room >= world.profile.requests)
		return;
	world.request_room = world.profile.requests;
	world.requests = realloc(world.requests, world.request_room * sizeof(*world.requests));
	if (!world.requests)
		abort();
}

/* ---- what kind of world */

static void choose_profile(void)
{
	struct profile *profile = &world.profile;
	struct dice *dice = &world.dice;

	*profile = (struct profile){
	    .calm = dice_chance(dice, 1500),
	    .requests = (size_t)dice_skewed(dice, 50, 1500),
	    .clients = (size_t)dice_skewed(dice, 1, 24),
	    .servers = 1 + dice_below(dice, SERVERS),
	    .change_us = dice_skewed(dice, 10 * MS, 10 * SECOND),
	    .halts = 500,
	};
	profile->weighs = dice_chance(dice, 5000);
	profile->half_close = dice_chance(dice, 5000);
	if (profile->calm)
		return;
	profile->client = dice_chance(dice, 5000) ? (unsigned)dice_skewed(dice, 10, 3000) : 0;
	profile->broken = dice_chance(dice, 5000) ? (unsigned)dice_skewed(dice, 10, 2000) : 0;
	profile->server = dice_chance(dice, 8000) ? (unsigned)dice_between(dice, 500, 7000) : 0;
	profile->poison = dice_chance(dice, 3000) ? (unsigned)dice_skewed(dice, 1, 9000) : 0;
	profile->early = dice_chance(dice, 3000) ? (unsigned)dice_skewed(dice, 10, 9000) : 0;
	profile->breaks = dice_chance(dice, 3000) ? (unsigned)dice_skewed(dice, 10, 9000) : 0;
	profile->halts = dice_chance(dice, 3000) ? (unsigned)dice_between(dice, 1000, 9000) : 500;
	profile->halves = dice_chance(dice, 3000) ? (unsigned)dice_skewed(dice, 10, 9000) : 0;
	profile->shortages = dice_chance(dice, 2500);
	profile->reloads = dice_chance(dice, 3000);
	profile->pauses = dice_chance(dice, 2000);
	profile->drain = dice_chance(dice, 2000);
	profile->operator= dice_chance(dice, 2000);
}

static void choose_retry(struct proxy_retry_options *retry)
{
	static const unsigned statuses[] = {500, 502, 503, 504, 429};
	struct dice *dice = &world.dice;

	*retry = (struct proxy_retry_options){
	    .tries = dice_chance(dice, 7000) ? 3 : 1 + dice_below(dice, 6),
	    .methods = dice_chance(dice, 7000) ? RETRY_IDEMPOTENT : dice_below(dice, 3),
	    .status_count = dice_chance(dice, 7000) ? 4 : dice_below(dice, 6),
	    .body_bytes = dice_chance(dice, 2000) ? 0 : (size_t)dice_skewed(dice, 16, 64 * 1024),
	    .deadline_us = dice_skewed(dice, 50 * MS, 30 * SECOND),
	    .budget_percent = dice_chance(dice, 5000) ? 20 : dice_below(dice, 101),
	    .idempotency_header = dice_chance(dice, 8000) ? "Idempotency-Key" : "",
	};
	for (size_t i = 0; i < retry->status_count; i++)
		retry->statuses[i] = statuses[i];
}

static void choose_timeouts(struct proxy_timeouts_options *timeouts)
{
	struct dice *dice = &world.dice;

	*timeouts = (struct proxy_timeouts_options){
	    .connect_us = dice_skewed(dice, 10 * MS, SECOND),
	    .request_head_us = dice_skewed(dice, SECOND, 10 * SECOND),
	    .request_body_us = dice_skewed(dice, SECOND, 30 * SECOND),
	    .response_us = dice_skewed(dice, SECOND, 60 * SECOND),
	    .send_us = dice_skewed(dice, SECOND, 60 * SECOND),
	    .keep_alive_us = dice_skewed(dice, SECOND, 75 * SECOND),
	    .backend_idle_us = dice_chance(dice, 1000) ? 0 : dice_skewed(dice, 5 * MS, 4 * SECOND),
	    .tunnel_us = dice_skewed(dice, 10 * SECOND, 3600 * (int64_t)SECOND),
	    .drain_us = dice_skewed(dice, 10 * MS, 30 * SECOND),
	};
}

static void choose_rules(struct proxy_options *rules)
{
	static const char *upgrades[] = {"websocket"};
	struct dice *dice = &world.dice;

	*rules = (struct proxy_options){
	    .limits.connections = dice_chance(dice, 2000) ? 1 + dice_below(dice, 20) : CONNECTIONS,
	    .limits.body_bytes =
		dice_chance(dice, 3000) ? (uint64_t)dice_between(dice, 60000, 61000) : 0,
	    .clients.half_close = world.profile.half_close,
	    .upgrades = {upgrades, 1},
	    .headers.app_url = "x-app-url",
	    .headers.attempts = dice_chance(dice, 3000) ? "x-attempts" : "",
	    .headers.request_id = dice_chance(dice, 3000) ? "X-Request-Id" : "",
	    .headers.forwarded = dice_below(dice, 3),
	};
	choose_retry(&rules->retry);
	choose_timeouts(&rules->timeouts);
	if (dice_chance(dice, 1000))
		rules->clients.half_close = !rules->clients.half_close;
	if (!world.profile.calm)
		return;
	rules->retry.deadline_us = 30 * (int64_t)SECOND;
	rules->timeouts.keep_alive_us = 75 * (int64_t)SECOND;
	rules->limits.connections = CONNECTIONS;
}

static void choose_all_rules(void)
{
	struct dice *dice = &world.dice;
	size_t header_bytes = (size_t)dice_skewed(dice, 2048, 16 * 1024);
	size_t body_bytes = 0;

	for (size_t i = 0; i < RULES; i++) {
		choose_rules(&world.rules[i]);
		world.rules[i].limits.head =
		    (struct http_limits){header_bytes, HEADERS, header_bytes / 2};
		/* What a restart is needed for stays. */
		if (i == 0)
			body_bytes = world.rules[0].retry.body_bytes;
		else if (world.rules[i].retry.body_bytes > body_bytes)
			world.rules[i].retry.body_bytes = body_bytes;
	}
}

static void choose_ring_options(void)
{
	struct dice *dice = &world.dice;

	world.ring.options = (struct ring_options){
	    .balance = dice_chance(dice, 5000) ? RING_ROUND_ROBIN : dice_below(dice, RING_BALANCES),
	    .retry_window_us = dice_skewed(dice, 10 * MS, 10 * SECOND),
	    .slow_start_us = dice_chance(dice, 7000) ? 0 : dice_skewed(dice, 10 * MS, 5 * SECOND),
	};
	world.ring.options.retry_window_max_us =
	    world.ring.options.retry_window_us * (1 + dice_below(dice, 8));
}

static void choose_silence(void)
{
	struct dice *dice = &world.dice;
	static const unsigned percents[] = {0, 1, 100};

	world.env.silence.options = (struct silence_options){
	    .after_us =
		dice_chance(dice, 5000) ? SILENCE_AUTO : dice_skewed(dice, 2 * MS, 200 * MS),
	    .rescue_percent = percents[dice_below(dice, 3)],
	};
	if (world.profile.calm || dice_chance(dice, 3000))
		world.env.silence.options.after_us = SILENCE_OFF;
}

static void choose_backend(struct server *server)
{
	struct dice *dice = &world.dice;
	bool plain = world.profile.calm || dice_chance(dice, 5000);

	server->options = (struct backend_options){
	    .url = server->url,
	    .name = server->name,
	    .host = "sim.example",
	    .port = 80,
	    .weight = plain && !world.profile.weighs ? 1 : 1 + dice_below(dice, 5),
	    .max_connections = plain || dice_chance(dice, 5000) ? 0 : 1 + dice_below(dice, 6),
	    .max_delay_response_us =
		dice_skewed(dice, world.profile.calm ? SECOND : 20 * MS, 5 * SECOND),
	    .backup = !plain && dice_chance(dice, 1500),
	};
}

/* ---- building */

static void run_check_task(struct loop_task *task)
{
	(void)task;
	world.check_is_due = false;
	checker_wake(world.checker);
}

static void on_backend_change(struct backend *backend, void *context)
{
	(void)context;
	oracle_state_changed(backend);
	if (world.check_is_due)
		return;
	world.check_is_due = true;
	world.check_task.run = run_check_task;
	loop_at_end_of_turn(world.loop, &world.check_task);
}

static bool is_drained(void)
{
	return world.is_draining && world.proxy.sessions.slab.in_use == 0 &&
	       !listener_is_open(&world.listener);
}

static void on_session_end(struct sessions *sessions)
{
	(void)sessions;
	if (is_drained())
		timer_arm(channel_peers(), &world.end, trace_now_us());
	else
		listener_resume(&world.listener);
}

static void on_listener_end(struct listener *listener)
{
	(void)listener;
	if (is_drained())
		timer_arm(channel_peers(), &world.end, trace_now_us());
}

static struct backend *create_backend(struct server *server)
{
	char host[] = "10.0.0.1";
	struct backend_options options = server->options;
	struct net_addr addrs[ADDRESSES];
	struct backend *backend;

	host[5] = (char)('1' + server->index);
	if (server->addresses == 1)
		options.host = host;
	backend = backend_create(&world.env, &options);
	if (!backend)
		abort();
	if (server->addresses > 1)
		backend_set_addrs(backend, addrs, server_addresses(server, addrs));
	return backend;
}

static struct backend *find_backend(const struct server *server)
{
	for (size_t i = 0; i < world.ring.count; i++)
		if (strcmp(world.ring.backends[i]->url, server->url) == 0)
			return world.ring.backends[i];
	return NULL;
}

/* The ring as a configuration with some of the servers has it. */
static void configure_ring(void)
{
	struct backend *list[SERVERS] = {NULL};
	struct ring_list prepared;
	size_t count = 0;

	for (size_t i = 0; i < world.profile.servers; i++) {
		struct server *server = &world.servers[i];
		struct backend *backend = find_backend(server);

		if (!server->is_configured)
			continue;
		if (backend) {
			backend_hold(backend);
		} else {
			backend = create_backend(server);
			server->configured_us = trace_now_us();
			judge_backend_is_new(server);
		}
		list[count++] = backend;
	}
	if (!ring_prepare_list(&prepared, list, count))
		abort();
	ring_commit_list(&world.ring, &prepared);
	for (size_t i = 0; i < count; i++)
		backend_drop(list[i]);
}

static void configure_checker(void)
{
	struct dice *dice = &world.dice;

	world.check = (struct check_options){
	    .path = dice_chance(dice, 7000) || world.profile.calm ? "" : "/health",
	    .host = "",
	    .interval_us = dice_skewed(dice, 500 * MS, 10 * SECOND),
	    .timeout_us = dice_skewed(dice, 10 * MS, SECOND),
	    .connect_timeout_us = world.rules[world.rules_now].timeouts.connect_us,
	    .rules = {1 + dice_below(dice, 3), 1 + dice_below(dice, 3)},
	    .expect = {{200, 399}},
	    .expect_count = 1,
	};
	checker_configure(world.checker, &world.check, strdup(world.check.path), strdup(""));
	if (world.connect_most_us < world.check.timeout_us)
		world.connect_most_us = world.check.timeout_us;
	for (size_t i = 0; i < RULES; i++)
		if (world.connect_most_us < world.rules[i].timeouts.connect_us)
			world.connect_most_us = world.rules[i].timeouts.connect_us;
}

static void build_service(void)
{
	const struct proxy_options *rules = &world.rules[0];
	struct proxy_start start = {
	    .loop = world.loop,
	    .ring = &world.ring,
	    .env = &world.env,
	    .rules = &world.rules[0],
	    .access_log = world.access_log,
	    .blocks = &world.blocks,
	    .handler = &exchange_handler,
	    .attempt_size = sizeof(struct attempt),
	    .exchange_size = exchange_size(rules),
	};

	if (!proxy_init(&world.proxy, &start))
		abort();
	stragglers_init(&world.proxy);
	rescue_init(&world.proxy);
	queue_init(&world.proxy.queue, world.loop, &world.ring, &world.env);
	world.proxy.random = world.seed;
	world.proxy.sessions.on_room = on_session_end;
	world.listening_fd = net_listen_virtually((size_t)dice_between(&world.dice, 1, 100));
	if (listener_open(&world.listener, &world.proxy.sessions, world.listening_fd) != 0)
		abort();
	if (world.has_proxies && net_block_parse(&world.proxies, STR("127.0.0.0/8")))
		world.listener.options = (struct listener_options){
		    .proxy_from = &world.proxies, .proxy_from_count = 1, .is_https = true};
}

static void build_proxy(void)
{
	const struct proxy_options *rules = &world.rules[0];
	size_t least = rules->retry.body_bytes + 2 * rules->limits.head.header_bytes;
	size_t block = dice_chance(&world.dice, 5000) ? proxy_block_size(rules) : least;

	slab_init(&world.blocks, block, 4 * CONNECTIONS + 64);
	/* Half of them may be dying. */
	slab_init(&world.connections, sizeof(struct backend_conn), 2 * BACKEND_CONNECTIONS);
	ring_init(&world.ring);
	choose_ring_options();
	world.env = (struct backend_env){
	    .loop = world.loop,
	    .blocks = &world.blocks,
	    .connections = &world.connections,
	    /* Two for each client and for one that has just gone, and the stragglers. */
	    .connection_limit = dice_chance(&world.dice, 5000)
				    ? BACKEND_CONNECTIONS
				    : 2 * world.profile.clients + 2 + STRAGGLERS_MAX,
	    .idle_timeout_us = rules->timeouts.backend_idle_us,
	    .on_change = on_backend_change,
	};
	choose_silence();
	world.checker = checker_create(&world.ring, &world.env);
	world.access_log =
	    access_log_create(world.loop, &(struct access_log_options){.path = "off"});
	if (!world.checker || !world.access_log || !timers_reserve(loop_timers(world.loop), 1024))
		abort();
	for (size_t i = 0; i < world.profile.servers; i++)
		choose_backend(&world.servers[i]);
	configure_ring();
	configure_checker();
	build_service();
}

static void choose_pace(void)
{
	struct dice *dice = &world.dice;
	struct sim_pace pace = {.events = 512, .event_us = 30};

	if (dice_chance(dice, 2000))
		pace.events = (size_t)dice_between(dice, 1, 8);
	if (world.profile.pauses) {
		pace.slow = (unsigned)dice_skewed(dice, 1, 200);
		pace.slow_us = dice_skewed(dice, 10 * MS, 5 * SECOND);
	}
	sim_loop_set_pace(world.loop, dice, &pace);
	if (dice_chance(dice, 5000))
		channels_set_short((unsigned)dice_skewed(dice, 10, 5000));
	if (dice_chance(dice, 3000))
		net_world.faults.spurious = (unsigned)dice_skewed(dice, 10, 3000);
}

/* ---- what happens to it */

static void change_shortages(void)
{
	struct net_faults *faults = &net_world.faults;
	struct dice *dice = &world.dice;
	unsigned spurious = faults->spurious;
	unsigned *rates[] = {&faults->accept, &faults->connect, &faults->read, &faults->write,
	    &faults->watch, &faults->pipe, &faults->memory};

	*faults = (struct net_faults){.spurious = spurious};
	if (!world.profile.shortages || dice_chance(dice, 5000))
		return;
	for (unsigned count = 1 + dice_below(dice, 3); count > 0; count--) {
		unsigned rate = (unsigned)dice_skewed(dice, 10, 5000);

		*rates[dice_below(dice, 7)] = rate;
	}
	trace("there are shortages", 0, 0, 0);
}

static void reload(void)
{
	struct dice *dice = &world.dice;

	if (!world.profile.reloads || !dice_chance(dice, 3000) || world.is_draining)
		return;
	if (world.rules_now + 1 < RULES)
		world.rules_now++;
	trace("reload: rules #", (int64_t)world.rules_now, 0, 0);
	for (size_t i = 0; i < world.profile.servers; i++)
		world.servers[i].is_configured = i == 0 || !dice_chance(dice, 2000);
	configure_ring();
	choose_ring_options();
	world.env.idle_timeout_us = world.rules[world.rules_now].timeouts.backend_idle_us;
	proxy_set_options(&world.proxy, &world.rules[world.rules_now]);
	world.proxy.sessions.slab.limit = world.rules[world.rules_now].limits.connections;
	listener_resume(&world.listener);
	configure_checker();
}

/* Somebody drains a server, or no longer; and the resolver has another answer. */
static void operate(void)
{
	struct dice *dice = &world.dice;
	struct backend *backend = world.ring.backends[dice_below(dice, (unsigned)world.ring.count)];
	struct server *server = &world.servers[backend->name[1] - '1'];
	struct net_addr addrs[ADDRESSES];

	if (!world.profile.operator)
		return;
	if (dice_chance(dice, 5000)) {
		backend->draining = !backend->draining && dice_chance(dice, 5000);
		trace("server # is drained: #", server->index, backend->draining, 0);
	} else {
		backend->weight = 1 + dice_below(dice, 5);
	}
	if (server->addresses == 1 || !server_addresses(server, addrs))
		return;
	if (dice_chance(dice, 5000))
		addrs[0] = addrs[1];
	if (!backend_set_addrs(backend, addrs, 1 + dice_below(dice, ADDRESSES)))
		abort();
}

static void drain(void)
{
	world.is_draining = true;
	trace("rondo drains", 0, 0, 0);
	if (dice_chance(&world.dice, 5000))
		listener_end(&world.listener, false, on_listener_end);
	else
		listener_close(&world.listener);
	proxy_drain(&world.proxy);
	timer_arm(channel_peers(), &world.end,
	    trace_now_us() + (is_drained() ? 0 : world.rules[world.rules_now].timeouts.drain_us));
}

/* One freezes, or all at the same time, which thaw together or one after the other. */
static void freeze(size_t which)
{
	struct dice *dice = &world.dice;
	int64_t thaws_us;

	if (!dice_chance(dice, 2000))
		return;
	server_freeze(&world.servers[which]);
	thaws_us = world.servers[which].thaws_us;
	if (!dice_chance(dice, 2000))
		return;
	for (size_t i = 0; i < world.profile.servers; i++) {
		server_freeze(&world.servers[i]);
		if (dice_chance(dice, 5000))
			world.servers[i].thaws_us = thaws_us;
	}
}

static void on_change_due(struct timer *timer)
{
	size_t which = dice_below(&world.dice, (unsigned)world.profile.servers);

	judge_look_around();
	if (!world.profile.calm) {
		server_change(&world.servers[which]);
		freeze(which);
		change_shortages();
		reload();
		operate();
		if (world.profile.drain && !world.is_draining &&
		    world.request_count > world.profile.requests / 2)
			drain();
	}
	if (world.clients_alive == 0 && !world.is_draining) {
		trace("all clients are done", 0, 0, 0);
		timer_arm(channel_peers(), &world.end, trace_now_us());
		return;
	}
	/* While nobody asks anything, nothing needs to change soon. */
	world.quiet_changes =
	    world.request_count > world.requests_before ? 0 : world.quiet_changes + 1;
	world.requests_before = world.request_count;
	/* Longer than the longest of all limits. */
	if (world.quiet_changes == 0)
		world.quiet_us = trace_now_us();
	check("every request gets an answer", trace_now_us() - world.quiet_us < 3 * HOUR,
	    "%zu clients wait for ever", world.clients_alive);
	timer_arm(channel_peers(), timer,
	    trace_now_us() + (dice_skewed(&world.dice, MS, world.profile.change_us)
				 << (world.quiet_changes < 12 ? world.quiet_changes : 12)));
}

/* ---- the end */

/* Takes what is still there down, in three steps that need turns between them. */
static void on_end_due(struct timer *timer)
{
	timer_cancel(&world.change);
	net_world.faults = (struct net_faults){.spurious = net_world.faults.spurious};
	if (!world.is_ending) {
		world.is_ending = true;
		trace("the world ends", 0, 0, 0);
		listener_close(&world.listener);
		clients_dismiss();
		sessions_abort(&world.proxy.sessions);
		timer_arm(channel_peers(), timer, trace_now_us() + 1);
		return;
	}
	for (size_t i = 0; i < world.profile.servers; i++)
		server_close_all(&world.servers[i], false);
	if (++world.ends < ENDS &&
	    (world.connections.in_use > 0 || world.proxy.sessions.slab.in_use > 0 ||
		world.proxy.exchanges.in_use > 0)) {
		timer_arm(channel_peers(), timer, trace_now_us() + 10 * MS);
		return;
	}
	loop_stop(world.loop);
}

static void check_nobody_is_left(void)
{
	check("nothing is left", world.proxy.sessions.slab.in_use == 0, "%zu sessions",
	    world.proxy.sessions.slab.in_use);
	check("nothing is left", world.proxy.exchanges.in_use == 0, "%zu exchanges",
	    world.proxy.exchanges.in_use);
}

static void check_nothing_is_left(void)
{
	check("nothing is left", world.connections.in_use == 0, "%zu connections",
	    world.connections.in_use);
	check("nothing is left", world.blocks.in_use == 0, "%zu blocks", world.blocks.in_use);
	for (size_t i = 0; i < RULES; i++)
		check("nothing is left", world.rules[i].holders == 0, "%u holders of rules %zu",
		    world.rules[i].holders, i);
}

static void take_down(void)
{
	stragglers_abort(&world.proxy);
	rescue_finish(&world.proxy);
	reports_finish(&world.proxy.reports);
	queue_finish(&world.proxy.queue);
	for (size_t i = 0; i < world.ring.count; i++) {
		const struct backend *backend = world.ring.backends[i];

		check("nothing is left", backend->active == 0 && backend->idle_count == 0,
		    "connections to %s", backend->name);
		check("a trial ends with its request", !backend->on_trial, "%s", backend->name);
	}
	checker_destroy(world.checker);
	ring_finish(&world.ring);
	access_log_destroy(world.access_log);
	loop_destroy(world.loop);
	check_nobody_is_left();
	proxy_finish(&world.proxy);
	check_nothing_is_left();
	slab_finish(&world.connections);
	slab_finish(&world.blocks);
	clients_finish();
	for (size_t i = 0; i < world.profile.servers; i++)
		server_close_all(&world.servers[i], false);
	timer_remove(channel_peers(), &world.change);
	timer_remove(channel_peers(), &world.end);
	net_finish();
	channels_close();
}

static void start(uint64_t seed)
{
	struct request *requests = world.requests;
	struct visit *visits = world.visits;
	size_t request_room = world.request_room, visit_room = world.visit_room;

	world = (struct world){.seed = seed,
	    .has_proxies = seed % 7 == 6,
	    .dice = {seed},
	    .requests = requests,
	    .visits = visits,
	    .request_room = request_room,
	    .visit_room = visit_room};
	log_set_level(LOG_LEVEL_ERROR);
	trace_begin(seed, totals.requests);
	net_open(&world.dice);
	channels_open(&world.dice);
	world.loop = loop_create();
	if (!world.loop)
		abort();
	choose_profile();
	make_room_for_requests();
	net_world.route = server_route;
	net_world.on_connected = server_on_connected;
	net_world.on_refused = server_on_refused;
}

uint64_t world_run(uint64_t seed)
{
	start(seed);
	for (size_t i = 0; i < world.profile.servers; i++) {
		server_init(&world.servers[i], (int)i);
		server_reform(&world.servers[i]);
		world.servers[i].is_configured = true;
	}
	choose_all_rules();
	choose_pace();
	build_proxy();
	oracle_start();
	timer_init(&world.change, on_change_due);
	timer_init(&world.end, on_end_due);
	timer_arm(channel_peers(), &world.change,
	    trace_now_us() + dice_skewed(&world.dice, MS, world.profile.change_us));
	clients_start(world.profile.clients);
	loop_run(world.loop);
	oracle_finish();
	take_down();
	totals.worlds++;
	totals.requests += world.request_count;
	totals.visits += world.visit_count;
	totals.answered += world.answered;
	totals.own_answers += world.own_answers;
	totals.cut += world.cut;
	return dice_roll(&world.dice) ^ world.visit_count << 32 ^ (uint64_t)trace_now_us();
}
