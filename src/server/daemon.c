#include "server/daemon.h"

#include "base/log.h"
#include "proxy/listener.h"
#include "upstream/names.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utlist.h>

/* A listening address of the running configuration. */
struct entrance {
	struct listener listener;
	struct net_addr addr; /* as configured */
	bool is_wanted;       /* by the configuration being applied */
	bool is_new;          /* opened for it */
	struct entrance *next;
};

struct daemon {
	const struct options *options;
	struct config *config; /* the running one; held */
	struct loop *loop;
	struct slab blocks;
	struct slab connections;
	struct backend_env backends;
	struct ring ring;
	struct prober *prober;
	struct resolver *resolver;
	struct names *names;
	struct access_log *access_log;
	struct service service;
	struct entrance *entrances;
	sigset_t signals;
	struct watch signal_watch;
	struct timer stop_timer;
	struct loop_task probe_task; /* a change of state is looked at when the turn is over */
	bool probe_is_due;
	bool is_ready;
	bool is_stopping;
	int status;
};

/* ---- listening ------------------------------------------------------------------------------------- */

static struct entrance *find_entrance(struct daemon *daemon, const struct net_addr *addr)
{
	struct entrance *entrance;
	LL_FOREACH (daemon->entrances, entrance)
		if (net_addr_equals(&entrance->addr, addr))
			return entrance;
	return NULL;
}

static void close_entrance(struct daemon *daemon, struct entrance *entrance)
{
	LL_DELETE(daemon->entrances, entrance);
	listener_close(&entrance->listener);
	if (entrance->addr.any.sa_family == AF_UNIX)
		unlink(entrance->addr.path.sun_path);
	free(entrance);
}

static bool open_entrance(struct daemon *daemon, const struct config_listen *listen)
{
	struct net_listen_options options = {.backlog = 4096, .dual_stack = listen->dual_stack};
	struct entrance *entrance = calloc(1, sizeof(*entrance));
	int fd = entrance ? net_listen(&listen->addr, &options) : -ENOMEM;
	int error = fd < 0 ? fd : listener_open(&entrance->listener, &daemon->service, fd);
	if (error < 0) {
		log_error("cannot listen on %s: %s", listen->text, strerror(-error));
		if (fd >= 0)
			net_close(fd, false);
		free(entrance);
		return false;
	}
	entrance->addr = listen->addr;
	entrance->is_wanted = entrance->is_new = true;
	LL_APPEND(daemon->entrances, entrance);
	return true;
}

/* Opens what `config` adds, then closes what it no longer lists. On failure what was opened is closed again. */
static bool apply_listen(struct daemon *daemon, const struct config *config)
{
	struct entrance *entrance, *next;
	bool good = true;
	LL_FOREACH (daemon->entrances, entrance)
		entrance->is_wanted = entrance->is_new = false;
	for (size_t i = 0; i < config->listen_count && good; i++) {
		entrance = find_entrance(daemon, &config->listen[i].addr);
		if (entrance)
			entrance->is_wanted = true;
		else
			good = open_entrance(daemon, &config->listen[i]);
	}
	LL_FOREACH_SAFE (daemon->entrances, entrance, next) {
		if (good ? !entrance->is_wanted : entrance->is_new)
			close_entrance(daemon, entrance);
	}
	return good;
}

static void on_room(struct service *service)
{
	struct daemon *daemon = service->owner;
	struct entrance *entrance;
	LL_FOREACH (daemon->entrances, entrance)
		listener_resume(&entrance->listener);
}

/* ---- applying a configuration ----------------------------------------------------------------------- */

/* The backends of `config`: those already known by their url, and new ones. */
static bool apply_backends(struct daemon *daemon, const struct config *config)
{
	struct backend **list = calloc(config->backend_count, sizeof(struct backend *));
	bool good = list != NULL;
	for (size_t i = 0; i < config->backend_count && good; i++) {
		const struct backend_options *options = &config->backends[i].options;
		list[i] = ring_find_url(&daemon->ring, str_from(options->url));
		if (list[i]) {
			backend_hold(list[i]);
			good = backend_update(list[i], options);
		} else {
			list[i] = backend_create(&daemon->backends, options);
			good = list[i] != NULL;
		}
	}
	good = good && ring_set(&daemon->ring, list, config->backend_count);
	for (size_t i = 0; list && i < config->backend_count; i++)
		if (list[i])
			backend_drop(list[i]);
	free(list);
	return good;
}

/* From here on `config` is the one that counts. What can fail comes first, and then nothing has changed. */
static bool apply(struct daemon *daemon, struct config *config)
{
	if (!apply_listen(daemon, config))
		return false;
	int error =
	    daemon->config ? access_log_configure(daemon->access_log, &config->access_log) : 0;
	if (error)
		log_error(
		    "access log %s stays as it was: %s", config->access_log.path, strerror(-error));
	if (!apply_backends(daemon, config)) {
		log_error("no memory for the backends");
		return false;
	}
	daemon->ring.options = config->ring;
	daemon->backends.idle_timeout_us = config->rules.timeouts.backend_idle_us;
	log_set_level(daemon->options->quiet ? LOG_LEVEL_WARNING : config->log_level);
	service_set_rules(&daemon->service, &config->rules);
	if (daemon->config)
		config_drop(daemon->config);
	daemon->config = config;
	prober_configure(daemon->prober, &config->probe);
	names_refresh(daemon->names);
	return true;
}

static void say_change(void *context, const char *line)
{
	(void)context;
	log_info("reload: %s", line);
}

static void reload(struct daemon *daemon)
{
	struct config_errors errors = {0};
	struct config *config = config_load(&daemon->options->source, &errors);
	for (size_t i = 0; i < errors.count; i++)
		log_error("%s", errors.items[i].message);
	config_errors_finish(&errors);
	if (!config) {
		log_error("reload refused: the configuration has errors, the old one stays");
		return;
	}
	size_t changes = config_describe_changes(daemon->config, config, say_change, NULL);
	config_keep_sizes(config, daemon->config);
	if (apply(daemon, config)) {
		log_info("reloaded: %zu changes", changes);
		return;
	}
	config_drop(config);
	log_error("reload failed, the old configuration stays");
}

/* ---- stopping ---------------------------------------------------------------------------------------- */

static void stop_now(struct daemon *daemon)
{
	sessions_abort(&daemon->service);
	loop_stop(daemon->loop);
}

static void on_stop_due(struct timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, stop_timer);
	log_warning("drain: %zu connections did not end in time", daemon->service.sessions.in_use);
	stop_now(daemon);
}

static void on_session_end(struct service *service)
{
	struct daemon *daemon = service->owner;
	if (daemon->is_stopping && service->sessions.in_use == 0)
		loop_stop(daemon->loop);
	else
		on_room(service);
}

static void drain(struct daemon *daemon)
{
	if (daemon->is_stopping) {
		stop_now(daemon);
		return;
	}
	daemon->is_stopping = true;
	log_info("stopping: %zu connections to finish", daemon->service.sessions.in_use);
	while (daemon->entrances)
		close_entrance(daemon, daemon->entrances);
	sessions_drain(&daemon->service);
	timer_arm(loop_timers(daemon->loop), &daemon->stop_timer,
	    loop_now_us(daemon->loop) + daemon->config->rules.timeouts.drain_us);
	if (daemon->service.sessions.in_use == 0)
		loop_stop(daemon->loop);
}

/* ---- signals ----------------------------------------------------------------------------------------- */

static void on_signal(struct watch *watch, unsigned events)
{
	struct daemon *daemon = container_of(watch, struct daemon, signal_watch);
	struct signalfd_siginfo info;
	(void)events;
	while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			drain(daemon);
			break;
		case SIGHUP:
			reload(daemon);
			break;
		case SIGUSR1:
			if (access_log_reopen(daemon->access_log) < 0)
				log_error("the access log could not be opened again");
			break;
		default:
			break;
		}
	}
}

static bool watch_signals(struct daemon *daemon)
{
	sigemptyset(&daemon->signals);
	sigaddset(&daemon->signals, SIGTERM);
	sigaddset(&daemon->signals, SIGINT);
	sigaddset(&daemon->signals, SIGHUP);
	sigaddset(&daemon->signals, SIGUSR1);
	sigaddset(&daemon->signals, SIGUSR2);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_SETMASK, &daemon->signals, NULL) < 0)
		return false;
	int fd = signalfd(-1, &daemon->signals, SFD_NONBLOCK | SFD_CLOEXEC);
	daemon->signal_watch.on_event = on_signal;
	return fd >= 0 && loop_watch(daemon->loop, &daemon->signal_watch, fd, LOOP_READ) == 0;
}

/* ---- start ------------------------------------------------------------------------------------------- */

/* Descriptors 0 to 2 exist, so that no socket is ever taken for stderr. */
static void open_standard_streams(void)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Two descriptors for each connection, and some for everything else. */
static void raise_descriptor_limit(const struct config *config)
{
	struct rlimit limit;
	rlim_t needed =
	    2 * (rlim_t)config->rules.limits.connections + 64 + 2 * config->backend_count;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
		return;
	limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < needed)
		log_warning(
		    "limits.connections = %u needs %llu descriptors, but only %llu are allowed: "
		    "accepting will pause when they are used up (LimitNOFILE= of the unit raises "
		    "it)",
		    config->rules.limits.connections, (unsigned long long)needed,
		    (unsigned long long)limit.rlim_cur);
}

static void run_probe_task(struct loop_task *task)
{
	struct daemon *daemon = container_of(task, struct daemon, probe_task);
	daemon->probe_is_due = false;
	prober_wake(daemon->prober);
}

static void on_backend_change(struct backend *backend, void *context)
{
	struct daemon *daemon = context;
	(void)backend;
	if (daemon->probe_is_due)
		return;
	daemon->probe_is_due = true;
	daemon->probe_task.run = run_probe_task;
	loop_at_end_of_turn(daemon->loop, &daemon->probe_task);
}

static void say_ready(struct daemon *daemon)
{
	char line[1024];
	size_t len = 0;
	struct entrance *entrance;
	LL_FOREACH (daemon->entrances, entrance) {
		char text[NET_ADDR_TEXT_SIZE];
		int written = snprintf(line + len, sizeof(line) - len, "%s%s", len ? ", " : "",
		    net_addr_format(&entrance->listener.addr, text));
		if (written < 0 || (size_t)written >= sizeof(line) - len)
			break;
		len += (size_t)written;
	}
	log_info("ready: listening on %s", line);
}

/* The names of the backends are known, or known to be unknown: serving may begin. */
static void on_names_settled(void *context)
{
	struct daemon *daemon = context;
	if (daemon->is_ready || daemon->is_stopping)
		return;
	daemon->is_ready = true;
	for (size_t i = 0; i < daemon->ring.count; i++)
		if (daemon->ring.backends[i]->unresolved)
			log_warning("backend %s is unresolved: no address for %s",
			    daemon->ring.backends[i]->name, daemon->ring.backends[i]->host);
	if (apply_listen(daemon, daemon->config)) {
		say_ready(daemon);
		return;
	}
	daemon->status = EXIT_CANNOT_RUN;
	loop_stop(daemon->loop);
}

static bool start_modules(struct daemon *daemon, struct config *config)
{
	size_t connections = config->rules.limits.connections;
	slab_init(
	    &daemon->blocks, "blocks", service_block_size(&config->rules), 4 * connections + 64);
	slab_init(&daemon->connections, "backend connections", sizeof(struct backend_conn),
	    4 * connections);
	ring_init(&daemon->ring);
	daemon->loop = loop_create();
	if (!daemon->loop || !timers_reserve(loop_timers(daemon->loop), 6 * connections + 1024))
		return false;
	daemon->backends = (struct backend_env){
	    .loop = daemon->loop,
	    .blocks = &daemon->blocks,
	    .connections = &daemon->connections,
	    .on_change = on_backend_change,
	    .context = daemon,
	};
	timer_init(&daemon->stop_timer, on_stop_due);
	struct names_start names = {
	    .loop = daemon->loop,
	    .ring = &daemon->ring,
	    .on_settled = on_names_settled,
	    .context = daemon,
	};
	names.resolver = daemon->resolver = resolver_create(daemon->loop, &(struct resolver_options){0});
	daemon->names = daemon->resolver ? names_create(&names) : NULL;
	daemon->prober = prober_create(&daemon->ring, &daemon->backends);
	daemon->access_log = access_log_create(daemon->loop, &config->access_log);
	if (!daemon->access_log)
		log_error(
		    "cannot open the access log %s: %s", config->access_log.path, strerror(errno));
	if (!daemon->names || !daemon->prober || !daemon->access_log || !watch_signals(daemon))
		return false;
	struct service_start start = {
	    .loop = daemon->loop,
	    .ring = &daemon->ring,
	    .rules = &config->rules,
	    .access_log = daemon->access_log,
	    .blocks = &daemon->blocks,
	    .session_size = session_size(),
	    .exchange_size = exchange_size(&config->rules),
	};
	if (!service_init(&daemon->service, &start))
		return false;
	daemon->service.on_room = on_session_end;
	daemon->service.owner = daemon;
	return true;
}

static void finish(struct daemon *daemon)
{
	while (daemon->entrances)
		close_entrance(daemon, daemon->entrances);
	names_destroy(daemon->names);
	resolver_destroy(daemon->resolver);
	prober_destroy(daemon->prober);
	ring_finish(&daemon->ring);
	access_log_destroy(daemon->access_log);
	loop_destroy(daemon->loop);
	log_debug(
	    "in use at the end: sessions %zu, exchanges %zu, backend connections %zu, blocks %zu",
	    daemon->service.sessions.in_use, daemon->service.exchanges.in_use,
	    daemon->connections.in_use, daemon->blocks.in_use);
	service_finish(&daemon->service);
	slab_finish(&daemon->connections);
	slab_finish(&daemon->blocks);
	config_drop(daemon->config);
}

int daemon_run(const struct options *options)
{
	struct daemon daemon = {.options = options};
	struct config_errors errors = {0};
	open_standard_streams();
	log_open();
	struct config *config = config_load(&options->source, &errors);
	config_errors_write(&errors, stderr);
	config_errors_finish(&errors);
	if (!config)
		return EXIT_BAD_CONFIG;
	log_set_level(options->quiet ? LOG_LEVEL_WARNING : config->log_level);
	raise_descriptor_limit(config);
	/* What could not be made at the start is the process's end: the system takes everything back. */
	if (!start_modules(&daemon, config)) {
		log_error("cannot start: %s", strerror(errno));
		return EXIT_CANNOT_RUN;
	}
	daemon.config = config;
	if (!apply_backends(&daemon, config))
		return EXIT_CANNOT_RUN;
	daemon.ring.options = config->ring;
	daemon.backends.idle_timeout_us = config->rules.timeouts.backend_idle_us;
	prober_configure(daemon.prober, &config->probe);
	names_refresh(daemon.names);
	int error = loop_run(daemon.loop);
	if (error) {
		log_error("the event loop failed: %s", strerror(-error));
		return EXIT_CANNOT_RUN;
	}
	log_info("stopped");
	finish(&daemon);
	return daemon.status;
}
