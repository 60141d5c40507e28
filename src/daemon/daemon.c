#include "daemon/daemon.h"

#include "admin/admin.h"
#include "base/log.h"
#include "base/text.h"
#include "fd_limit.h"
#include "listeners.h"
#include "notify.h"
#include "proxy/exchange.h"
#include "proxy/rescue.h"
#include "proxy/straggler.h"
#include "upgrade.h"
#include "upstream/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { SOCKETS_MAX = 256, ADDRESSES_SIZE = 1024 };

struct daemon {
	const struct options *options;
	struct config *config; /* the running one; held */
	struct loop *loop;
	struct slab blocks;
	struct slab connections;
	struct pool pool;
	struct access_log *access_log;
	struct proxy proxy;
	struct passed_sockets passed;
	struct listeners listeners;
	struct notify notify;
	struct upgrade upgrade;
	struct history history;
	struct metrics metrics;
	struct admin *admin;
	struct config *coming;     /* is good, and shall take effect; NULL: none */
	bool coming_waits;         /* for the names of its prepared backends */
	struct timer coming_timer; /* else: to the next turn, in which it takes effect */
	struct admin_reload_request reload_request; /* for `coming`; zeroes: a signal */
	sigset_t signals;
	struct watch signal_watch;
	struct timer stop_timer;
	bool is_ready;
	bool reload_is_due, successor_is_due; /* as soon as it is ready */
	bool was_told_to_stop;
	bool has_left; /* no more clients are accepted */
	int status;
};

/* ---- limits */

/* For each client connection: a buffer for each direction at both ends, and backend connections
 * (more of them are idle in the pool), with timers for all of these. Closed connections keep their
 * memory until the end of the turn. */
enum {
	BLOCKS_PER_CLIENT = 4,
	BACKEND_CONNECTIONS_PER_CLIENT = 4,
	TIMERS_PER_CLIENT = 6,
	OTHER_BLOCKS = 64 + STRAGGLERS_MAX,
	OTHER_TIMERS = 1024 + 2 * STRAGGLERS_MAX
};

static bool reserve_timers(struct daemon *daemon, const struct config *config)
{
	size_t clients = config->rules.limits.connections;

	return timers_reserve(
	    loop_timers(daemon->loop), TIMERS_PER_CLIENT * clients + OTHER_TIMERS);
}

static void raise_limit(size_t *limit, size_t needed)
{
	if (*limit < needed)
		*limit = needed;
}

/* Sets all limits that follow from limits.connections. Only the limit of new clients can go down:
 * connections that exist go on. */
static void set_limits(struct daemon *daemon, const struct config *config)
{
	size_t clients = config->rules.limits.connections;
	size_t connections = BACKEND_CONNECTIONS_PER_CLIENT * clients + STRAGGLERS_MAX;

	daemon->proxy.sessions.slab.limit = clients;
	raise_limit(&daemon->blocks.limit, BLOCKS_PER_CLIENT * clients + OTHER_BLOCKS);
	raise_limit(&daemon->pool.env.connection_limit, connections);
	raise_limit(&daemon->connections.limit, 2 * connections);
	listeners_resume(&daemon->listeners);
}

/* ---- applying a configuration */

/* The steps that cannot fail; the same at the start and at a reload. */
static void apply_options(struct daemon *daemon, const struct config *config)
{
	set_limits(daemon, config);
	pool_commit(&daemon->pool);
}

static enum pool_preparation prepare_backends(struct daemon *daemon, const struct config *config)
{
	struct pool_options options = {
	    .backend_count = config->backend_count,
	    .ring = config->ring,
	    .silence = config->silence,
	    .check = config->check,
	    .idle_timeout_us = config->rules.timeouts.backend_idle_us,
	    .age_limit_us = config->rules.timeouts.backend_age_us,
	};
	const struct backend_options **list = calloc(config->backend_count, sizeof(*list));

	if (!list)
		return POOL_NO_MEMORY;
	for (size_t i = 0; i < config->backend_count; i++)
		list[i] = &config->backends[i].options;
	options.backends = list;
	enum pool_preparation preparation = pool_prepare(&daemon->pool, &options);
	free(list);
	return preparation;
}

/* Opens the sockets that `config` adds; if one cannot be opened, nothing has changed. */
static bool prepare_sockets(
    struct daemon *daemon, struct config *config, struct config_refusal *refusal)
{
	struct net_leaving leaving = {
	    .sockets = calloc(
		listeners_count(&daemon->listeners) + ADMIN_SOCKETS, sizeof(*leaving.sockets))};

	if (!leaving.sockets)
		return config_refuse(refusal, "no memory");
	listeners_list_leaving(&daemon->listeners, config, &leaving);
	admin_list_leaving(daemon->admin, config, &leaving);
	bool good = listeners_prepare(&daemon->listeners, config, &leaving, refusal);
	if (good && !admin_prepare(daemon->admin, config, &leaving, refusal)) {
		listeners_cancel(&daemon->listeners);
		good = false;
	}
	free(leaving.sockets);
	return good;
}

static void commit_sockets(struct daemon *daemon, struct config *config)
{
	listeners_commit(&daemon->listeners, config);
	admin_commit(daemon->admin, config);
}

/* All that can fail; if one thing fails, nothing has changed. */
static bool prepare(struct daemon *daemon, struct config *config, struct config_refusal *refusal)
{
	if (!reserve_timers(daemon, config))
		return config_refuse(refusal, "no memory for the timers of %u connections",
		    config->rules.limits.connections);
	int error = access_log_prepare(daemon->access_log, &config->access_log);
	if (error)
		return config_refuse(refusal, "cannot open the access log %s: %s",
		    config->access_log.path, strerror(-error));
	if (!prepare_sockets(daemon, config, refusal)) {
		access_log_cancel(daemon->access_log);
		return false;
	}
	return true;
}

/* Makes `config` the running configuration. */
static void commit(struct daemon *daemon, struct config *config)
{
	access_log_commit(daemon->access_log);
	commit_sockets(daemon, config);
	log_set_level(daemon->options->quiet ? LOG_LEVEL_WARNING : config->log_level);
	proxy_set_options(&daemon->proxy, &config->rules);
	config_drop(daemon->config);
	daemon->config = config;
	apply_options(daemon, config);
}

static void say(struct daemon *daemon, const char *line)
{
	if (daemon->reload_request.say)
		daemon->reload_request.say(daemon->reload_request.context, line);
}

static void say_change(void *context, const char *line)
{
	log_info("reload: %s", line);
	say(context, line);
}

static void note_refused(struct daemon *daemon, const char *reason)
{
	notify_say_refused(&daemon->notify, reason);
	metrics_note_reload(&daemon->metrics, reason);
	history_note(&daemon->history, NULL, "reload refused: %s", reason);
}

static void pass_warning(struct daemon *daemon, const struct config *config)
{
	if (!config->warning)
		return;
	log_warning("%s", config->warning);
	say(daemon, config->warning);
}

/* The new configuration, or NULL when it has faults: they are logged and reported to the
 * supervisor. */
static struct config *load(struct daemon *daemon)
{
	struct config_errors errors = {0};
	struct config *config = config_load(&daemon->options->source, &errors);

	for (size_t i = 0; i < errors.count; i++) {
		log_error("%s", errors.items[i].message);
		say(daemon, errors.items[i].message);
	}
	if (!config) {
		log_error("reload refused: the configuration has errors, the old one stays");
		note_refused(daemon, errors.count > 0 ? errors.items[0].message : "no memory");
	}
	config_errors_finish(&errors);
	if (config)
		pass_warning(daemon, config);
	return config;
}

static void warn_unresolved(const struct ring *ring)
{
	for (size_t i = 0; i < ring->count; i++)
		if (ring->backends[i]->unresolved)
			log_warning("backend %s is unresolved: no address for %s",
			    ring->backends[i]->name, ring->backends[i]->host);
}

/* Reports the result to the admin client that asked for the reload. */
static void tell_end(struct daemon *daemon, bool good, size_t changes)
{
	struct admin_reload_request request = daemon->reload_request;

	daemon->reload_request = (struct admin_reload_request){0};
	if (request.end)
		request.end(request.context, good, changes);
}

static void note_reloaded(struct daemon *daemon, size_t changes)
{
	log_info("reloaded: %zu change%s", changes, changes == 1 ? "" : "s");
	warn_unresolved(&daemon->pool.ring);
	notify_say_reloaded(&daemon->notify);
	metrics_note_reload(&daemon->metrics, NULL);
	history_note(
	    &daemon->history, NULL, "reloaded: %zu change%s", changes, changes == 1 ? "" : "s");
}

/* The look-ups of the new backends' names have ended, with or without addresses. */
static void finish_reload(struct daemon *daemon)
{
	struct config *config = daemon->coming;
	struct config_refusal refusal;
	size_t changes = 0;

	daemon->coming = NULL;
	daemon->coming_waits = false;
	bool good = prepare(daemon, config, &refusal);
	if (good) {
		changes = config_describe_changes(daemon->config, config, say_change, daemon);
		config_keep_sizes(config, daemon->config);
		fd_limit_apply(config);
		commit(daemon, config);
		note_reloaded(daemon, changes);
	} else {
		pool_cancel(&daemon->pool);
		config_drop(config);
		log_error("reload failed, the old configuration stays: %s", refusal.text);
		say(daemon, refusal.text);
		note_refused(daemon, refusal.text);
	}
	tell_end(daemon, good, changes);
}

/* Drops a configuration that has not taken effect. */
static void give_up_reload(struct daemon *daemon, const char *why)
{
	if (!daemon->coming)
		return;
	log_info("reload given up: %s", why);
	say(daemon, why);
	timer_cancel(&daemon->coming_timer);
	pool_cancel(&daemon->pool);
	config_drop(daemon->coming);
	daemon->coming = NULL;
	daemon->coming_waits = false;
	tell_end(daemon, false, 0);
}

/* The old configuration serves until the names of new backends are known. */
static void go_on_with_reload(struct daemon *daemon)
{
	timer_cancel(&daemon->coming_timer);
	switch (prepare_backends(daemon, daemon->coming)) {
	case POOL_PREPARED:
		finish_reload(daemon);
		break;
	case POOL_WAITS:
		daemon->coming_waits = true;
		log_info("reload: looking up the names of new backends");
		break;
	case POOL_NO_MEMORY:
		config_drop(daemon->coming);
		daemon->coming = NULL;
		log_error("no memory for the backends, the old configuration stays");
		note_refused(daemon, "no memory");
		tell_end(daemon, false, 0);
		break;
	}
}

static void on_coming_due(struct timer *timer)
{
	go_on_with_reload(container_of(timer, struct daemon, coming_timer));
}

/* False when there is no new configuration, with the reason reported. */
static bool begin_reload(struct daemon *daemon)
{
	if (!daemon->is_ready || daemon->proxy.draining) {
		log_warning("no reload while the process %s",
		    daemon->proxy.draining ? "stops" : "is starting");
		say(daemon, "no reload while the process starts or stops");
		return false;
	}
	notify_say_reloading(&daemon->notify);
	daemon->coming = load(daemon);
	return daemon->coming != NULL;
}

/* Reading a large configuration takes about as long as applying it. The loop has a turn between the
 * two, so that clients wait for one of them at a time. */
static void reload(void *context, const struct admin_reload_request *request)
{
	struct daemon *daemon = context;

	if (daemon->coming && !daemon->coming_waits)
		go_on_with_reload(daemon);
	give_up_reload(daemon, "a later one takes its place");
	daemon->reload_request = *request;
	if (begin_reload(daemon))
		timer_arm(
		    loop_timers(daemon->loop), &daemon->coming_timer, loop_now_us(daemon->loop));
	else
		tell_end(daemon, false, 0);
}

/* ---- what the admin asks for */

static struct admin_socket take_admin_socket(
    void *context, const char *setting, const struct net_addr *addr)
{
	struct daemon *daemon = context;
	struct admin_socket socket = {.fd = passed_sockets_take_named(&daemon->passed, setting)};

	socket.is_passed = socket.fd >= 0;
	if (!socket.is_passed)
		socket.fd = passed_sockets_take_own(&daemon->passed, addr);
	return socket;
}

static void forget_reload(void *context, const void *request_context)
{
	struct daemon *daemon = context;

	if (daemon->reload_request.context == request_context)
		daemon->reload_request = (struct admin_reload_request){0};
}

static int reopen_logs(void *context)
{
	struct daemon *daemon = context;
	int error = access_log_reopen(daemon->access_log);

	if (error < 0)
		log_error("the access log could not be opened again");
	return error;
}

/* ---- stopping */

static void stop_now(struct daemon *daemon)
{
	sessions_abort(&daemon->proxy.sessions);
	loop_stop(daemon->loop);
}

static void drain(struct daemon *daemon);

/* timeouts.drain_delay is over, or timeouts.drain. */
static void on_stop_due(struct timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, stop_timer);
	size_t connections = daemon->proxy.sessions.slab.in_use;

	if (!daemon->has_left) {
		drain(daemon);
		return;
	}
	log_warning("drain: %zu connection%s did not end in time", connections,
	    connections == 1 ? "" : "s");
	stop_now(daemon);
}

static bool is_drained(const struct daemon *daemon)
{
	return daemon->has_left && daemon->proxy.sessions.slab.in_use == 0 &&
	       listeners_have_ended(&daemon->listeners);
}

static void on_session_end(struct sessions *sessions)
{
	struct daemon *daemon = container_of(sessions, struct daemon, proxy.sessions);

	if (is_drained(daemon))
		loop_stop(daemon->loop);
	else
		listeners_resume(&daemon->listeners);
}

static void on_listeners_ended(struct listeners *listeners)
{
	struct daemon *daemon = container_of(listeners, struct daemon, listeners);

	if (is_drained(daemon))
		loop_stop(daemon->loop);
}

/* A successor that serves already has clients: it is told to stop as this process is. */
static void stop_successor(struct daemon *daemon)
{
	pid_t successor = upgrade_take_ready(&daemon->upgrade);

	if (successor > 0) {
		log_info("process %lld was ready, and stops too", (long long)successor);
		notify_hand_over(&daemon->notify, successor);
		daemon->listeners.is_handed_over = true;
		admin_hand_over(daemon->admin);
		kill(successor, SIGTERM);
	}
	upgrade_finish(&daemon->upgrade);
}

/* Accepts no more clients; ends when the present ones are served or the time limit is over. */
static void drain(struct daemon *daemon)
{
	int64_t limit_us = daemon->config->rules.timeouts.drain_us;
	size_t connections;

	give_up_reload(daemon, "the process stops");
	stop_successor(daemon);
	daemon->has_left = true;
	listeners_end(&daemon->listeners);
	connections = daemon->proxy.sessions.slab.in_use;
	log_info("stopping: %zu connection%s to finish", connections, connections == 1 ? "" : "s");
	proxy_drain(&daemon->proxy);
	notify_say_stopping(&daemon->notify, limit_us);
	timer_arm(
	    loop_timers(daemon->loop), &daemon->stop_timer, loop_now_us(daemon->loop) + limit_us);
	if (is_drained(daemon))
		loop_stop(daemon->loop);
}

/* Those in front are told that this process stops, and get the time to notice. */
static void leave(struct daemon *daemon)
{
	const struct proxy_timeouts_options *timeouts = &daemon->config->rules.timeouts;
	char delay[TEXT_DURATION_SIZE];

	give_up_reload(daemon, "the process stops");
	upgrade_finish(&daemon->upgrade);
	proxy_leave(&daemon->proxy);
	log_info("stopping in %s: not ready any more, and still accepting",
	    text_of_duration(timeouts->drain_delay_us, delay));
	notify_say_stopping(&daemon->notify, timeouts->drain_delay_us + timeouts->drain_us);
	timer_arm(loop_timers(daemon->loop), &daemon->stop_timer,
	    loop_now_us(daemon->loop) + timeouts->drain_delay_us);
}

static void stop(struct daemon *daemon)
{
	bool again = daemon->was_told_to_stop;

	daemon->was_told_to_stop = true;
	if (again)
		stop_now(daemon);
	else if (daemon->has_left)
		return;
	else if (daemon->is_ready && daemon->config->rules.timeouts.drain_delay_us > 0)
		leave(daemon);
	else
		drain(daemon);
}

/* ---- the successor */

static void on_successor_ready(struct upgrade *upgrade, pid_t successor)
{
	struct daemon *daemon = container_of(upgrade, struct daemon, upgrade);

	log_info("process %lld is ready and takes over", (long long)successor);
	notify_hand_over(&daemon->notify, successor);
	daemon->listeners.is_handed_over = true;
	admin_hand_over(daemon->admin);
	drain(daemon);
}

/* All listening sockets, with names that tell a successor their purpose. */
static size_t list_sockets(
    const struct daemon *daemon, struct socket_to_pass sockets[static SOCKETS_MAX])
{
	struct admin_socket own[ADMIN_SOCKETS];
	size_t own_count = admin_list(daemon->admin, own);
	size_t count = listeners_list(&daemon->listeners, sockets, SOCKETS_MAX - own_count);

	for (size_t i = 0; i < own_count; i++)
		sockets[count++] = (struct socket_to_pass){
		    own[i].fd, own[i].is_passed ? own[i].setting : PASSED_OWN};
	return count;
}

static void start_successor(struct daemon *daemon)
{
	struct socket_to_pass sockets[SOCKETS_MAX];

	if (!daemon->is_ready || daemon->proxy.draining) {
		log_warning("no successor while the process %s",
		    daemon->proxy.draining ? "stops" : "is starting");
		return;
	}
	size_t count = list_sockets(daemon, sockets);
	if (upgrade_start(&daemon->upgrade, daemon->options->argv, sockets, count))
		log_info(
		    "process %lld starts as the successor", (long long)daemon->upgrade.successor);
}

/* The predecessor has handed over: from now on this process reports to the supervisor. */
static void on_predecessor_gone(struct upgrade *upgrade)
{
	struct daemon *daemon = container_of(upgrade, struct daemon, upgrade);

	notify_say_ready(&daemon->notify);
}

static bool cannot_start(const char *what, const char *why)
{
	log_error("cannot start: %s: %s", what, why);
	return false;
}

/* ---- signals */

/* A process that stops before it is ready does neither. */
static void reload_when_ready(struct daemon *daemon)
{
	if (daemon->is_ready || daemon->proxy.draining)
		reload(daemon, &(struct admin_reload_request){0});
	else
		daemon->reload_is_due = true;
}

static void start_successor_when_ready(struct daemon *daemon)
{
	if (daemon->is_ready || daemon->proxy.draining)
		start_successor(daemon);
	else
		daemon->successor_is_due = true;
}

static void do_what_is_due(struct daemon *daemon)
{
	if (daemon->reload_is_due)
		reload_when_ready(daemon);
	if (daemon->successor_is_due)
		start_successor_when_ready(daemon);
	daemon->reload_is_due = daemon->successor_is_due = false;
}

static void on_signal(struct watch *watch, unsigned events)
{
	struct daemon *daemon = container_of(watch, struct daemon, signal_watch);
	struct signalfd_siginfo info;

	(void)events;
	while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			stop(daemon);
			break;
		case SIGHUP:
			reload_when_ready(daemon);
			break;
		case SIGUSR1:
			reopen_logs(daemon);
			break;
		case SIGUSR2:
			start_successor_when_ready(daemon);
			break;
		default:
			break;
		}
	}
}

/* From here on signals wait until the loop reads them. */
static void hold_signals(struct daemon *daemon)
{
	sigemptyset(&daemon->signals);
	sigaddset(&daemon->signals, SIGTERM);
	sigaddset(&daemon->signals, SIGINT);
	sigaddset(&daemon->signals, SIGHUP);
	sigaddset(&daemon->signals, SIGUSR1);
	sigaddset(&daemon->signals, SIGUSR2);
	/* Get an error from write(2) instead of a signal when a peer is gone or a log file is at
	 * its size limit. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigprocmask(SIG_SETMASK, &daemon->signals, NULL);
}

static bool watch_signals(struct daemon *daemon)
{
	int fd = signalfd(-1, &daemon->signals, SFD_NONBLOCK | SFD_CLOEXEC);
	daemon->signal_watch.on_event = on_signal;
	int error =
	    fd < 0 ? -errno : loop_watch(daemon->loop, &daemon->signal_watch, fd, LOOP_READ);
	return error == 0 || cannot_start("signals", strerror(-error));
}

/* ---- start */

/* Opens descriptors 0 to 2 if they are closed, so that no socket becomes stderr. */
static void open_standard_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void on_backend_change(struct backend *backend, void *context)
{
	struct daemon *daemon = context;

	history_note_state(&daemon->history, backend);
}

static void on_silence_change(struct backend *backend, void *context)
{
	struct daemon *daemon = context;

	history_note_silence(&daemon->history, backend);
}

static void on_addresses_change(struct backend *backend, void *context)
{
	struct daemon *daemon = context;

	history_note(&daemon->history, backend, "%s now has %zu address%s", backend->host,
	    backend->addr_count, backend->addr_count == 1 ? "" : "es");
}

static void say_ready(struct daemon *daemon)
{
	char text[ADDRESSES_SIZE];

	listeners_format(&daemon->listeners, text, sizeof(text));
	log_info("ready: listening on %s", text);
	int fd = daemon->passed.upgrade_fd;
	daemon->passed.upgrade_fd = -1;
	if (fd >= 0)
		upgrade_say_ready(&daemon->upgrade, fd);
	else
		notify_say_ready(&daemon->notify);
}

/* All look-ups of backend names have ended: serving may begin. */
static void on_names_settled(void *context)
{
	struct daemon *daemon = context;
	struct config_refusal refusal;

	if (daemon->coming_waits)
		finish_reload(daemon);
	if (daemon->is_ready || daemon->proxy.draining)
		return;
	warn_unresolved(&daemon->pool.ring);
	if (!prepare_sockets(daemon, daemon->config, &refusal)) {
		log_error("%s", refusal.text);
		daemon->status = EXIT_CANNOT_RUN;
		loop_stop(daemon->loop);
		return;
	}
	commit_sockets(daemon, daemon->config);
	passed_sockets_close_rest(&daemon->passed);
	daemon->is_ready = true;
	say_ready(daemon);
	do_what_is_due(daemon);
}

static bool start_loop(struct daemon *daemon, const struct config *config)
{
	slab_init(&daemon->blocks, proxy_block_size(&config->rules), 0);
	slab_init(&daemon->connections, sizeof(struct backend_conn), 0);
	daemon->loop = loop_create();
	if (!daemon->loop)
		return cannot_start("event loop", strerror(errno));
	if (!reserve_timers(daemon, config))
		return cannot_start("timers", strerror(ENOMEM));
	timer_init(&daemon->stop_timer, on_stop_due);
	timer_init(&daemon->coming_timer, on_coming_due);
	return watch_signals(daemon);
}

static bool start_upstream(struct daemon *daemon)
{
	const struct pool_start start = {
	    .loop = daemon->loop,
	    .blocks = &daemon->blocks,
	    .connections = &daemon->connections,
	    .on_settled = on_names_settled,
	    .on_state = on_backend_change,
	    .on_addresses = on_addresses_change,
	    .on_silence = on_silence_change,
	    .context = daemon,
	};

	return pool_init(&daemon->pool, &start) ||
	       cannot_start("backends", "c-ares refuses, or there is no memory");
}

static bool start_service(struct daemon *daemon, struct config *config)
{
	struct proxy_start start = {
	    .loop = daemon->loop,
	    .ring = &daemon->pool.ring,
	    .env = &daemon->pool.env,
	    .rules = &config->rules,
	    .blocks = &daemon->blocks,
	    .handler = &exchange_handler,
	    .exchange_size = exchange_size(&config->rules),
	    .attempt_size = sizeof(struct attempt),
	};

	start.access_log = daemon->access_log =
	    access_log_create(daemon->loop, &config->access_log);
	if (!daemon->access_log) {
		log_error(
		    "cannot open the access log %s: %s", config->access_log.path, strerror(errno));
		return false;
	}
	if (!proxy_init(&daemon->proxy, &start))
		return cannot_start("service", strerror(ENOMEM));
	stragglers_init(&daemon->proxy);
	rescue_init(&daemon->proxy);
	queue_init(&daemon->proxy.queue, daemon->loop, start.ring, start.env);
	daemon->proxy.sessions.on_room = on_session_end;
	upgrade_init(&daemon->upgrade, daemon->loop);
	daemon->upgrade.on_ready = on_successor_ready;
	daemon->upgrade.on_released = on_predecessor_gone;
	listeners_init(&daemon->listeners, &daemon->proxy.sessions, &daemon->passed);
	daemon->listeners.on_ended = on_listeners_ended;
	return true;
}

static bool start_watching(struct daemon *daemon)
{
	struct admin_start admin = {
	    .proxy = &daemon->proxy,
	    .metrics = &daemon->metrics,
	    .history = &daemon->history,
	    .control = {take_admin_socket, reload, forget_reload, reopen_logs, daemon},
	};

	notify_open(&daemon->notify, daemon->loop, &daemon->proxy);
	metrics_init(&daemon->metrics, &daemon->proxy);
	daemon->admin = admin_create(&admin);
	return daemon->admin || cannot_start("admin", strerror(ENOMEM));
}

/* The first configuration takes effect. */
static bool start_backends(struct daemon *daemon, struct config *config)
{
	daemon->config = config;
	if (prepare_backends(daemon, config) == POOL_NO_MEMORY)
		return cannot_start("backends", strerror(ENOMEM));
	apply_options(daemon, config);
	return true;
}

static void finish(struct daemon *daemon)
{
	listeners_close(&daemon->listeners);
	admin_close(daemon->admin);
	passed_sockets_finish(&daemon->passed);
	upgrade_finish(&daemon->upgrade);
	notify_close(&daemon->notify);
	stragglers_abort(&daemon->proxy);
	rescue_finish(&daemon->proxy);
	reports_finish(&daemon->proxy.reports);
	queue_finish(&daemon->proxy.queue);
	pool_finish(&daemon->pool);
	access_log_destroy(daemon->access_log);
	loop_destroy(daemon->loop);
	admin_destroy(daemon->admin);
	log_debug(
	    "in use at the end: sessions %zu, exchanges %zu, backend connections %zu, blocks %zu",
	    daemon->proxy.sessions.slab.in_use, daemon->proxy.exchanges.in_use,
	    daemon->connections.in_use, daemon->blocks.in_use);
	proxy_finish(&daemon->proxy);
	slab_finish(&daemon->connections);
	slab_finish(&daemon->blocks);
	config_drop(daemon->config);
}

int daemon_run(const struct options *options)
{
	struct daemon daemon = {.options = options};
	struct config_errors errors = {0};

	hold_signals(&daemon);
	open_standard_streams();
	log_open();
	passed_sockets_collect(&daemon.passed);
	struct config *config = config_load(&options->source, &errors);
	config_errors_write(&errors, stderr);
	config_errors_finish(&errors);
	if (!config) {
		passed_sockets_finish(&daemon.passed);
		return EXIT_BAD_CONFIG;
	}
	log_set_level(options->quiet ? LOG_LEVEL_WARNING : config->log_level);
	pass_warning(&daemon, config);
	fd_limit_apply(config);
	/* If a step of the start fails the process exits, and the system frees everything. */
	if (!start_loop(&daemon, config) || !start_upstream(&daemon) ||
	    !start_service(&daemon, config) || !start_watching(&daemon) ||
	    !start_backends(&daemon, config))
		return EXIT_CANNOT_RUN;
	int error = loop_run(daemon.loop);
	if (error) {
		log_error("the event loop failed: %s", strerror(-error));
		return EXIT_CANNOT_RUN;
	}
	log_info("stopped");
	finish(&daemon);
	return daemon.status;
}
