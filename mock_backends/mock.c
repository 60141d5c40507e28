#include "mock.h"
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPARE_FDS     16
#define BIND_TRIES    20
#define EVENTS_A_TURN 256

/* Watches for new connections (`on`), or leaves them in the kernel's queue. */
static void watch_listeners(struct mock_server *server, bool on)
{
	for (size_t i = 0; i < 2; i++) {
		struct epoll_event event = {
		    .events = on ? EPOLLIN : 0, .data.ptr = &server->listen_fds[i]};

		if (server->listen_fds[i] >= 0)
			epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, server->listen_fds[i], &event);
	}
}

static void accept_all(struct mock_server *server, int listen_fd)
{
	while (server->conn_count < server->conn_limit) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		conn_start(server, fd);
	}
	watch_listeners(server, false);
}

static void run_timers(struct mock_server *server)
{
	int64_t now = conn_clock_ms();

	if (now < server->next_timer_ms)
		return;
	server->next_timer_ms = INT64_MAX;
	for (struct mock_conn *conn = server->conns, *next = NULL; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->timer_ms > now)
			conn_arm_timer(conn, conn->timer_ms);
		else if (conn->timer_ms != 0)
			conn_on_timer(conn);
	}
}

/* One turn; false when a signal ended the program. */
static bool run_turn(struct mock_server *server)
{
	struct epoll_event events[EVENTS_A_TURN];
	int64_t wait_ms = server->next_timer_ms - conn_clock_ms();
	bool was_full = server->conn_count >= server->conn_limit;
	int count = 0;

	if (wait_ms < 0)
		wait_ms = 0;
	else if (wait_ms > 60000)
		wait_ms = 60000;
	count = epoll_wait(server->epoll_fd, events, EVENTS_A_TURN, (int)wait_ms);
	for (int i = 0; i < count; i++) {
		void *who = events[i].data.ptr;

		if (who == &server->signal_fd)
			return false;
		if (who == &server->listen_fds[0] || who == &server->listen_fds[1])
			accept_all(server, *(int *)who);
		else
			conn_on_event(who, events[i].events);
	}
	run_timers(server);
	if (was_full && server->conn_count < server->conn_limit)
		watch_listeners(server, true);
	return true;
}

/* A listening socket on this numeric address, or -1; port 0 becomes the one the kernel chose. */
static int listen_on(const char *host, int64_t *port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)*port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
	bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
	struct sockaddr *address = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t length = is_v6 ? sizeof(v6) : sizeof(v4);
	const int on = 1;
	int fd = -1;

	if (!is_v6 && inet_pton(AF_INET, host, &v4.sin_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is_v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, address, length) != 0 || listen(fd, SOMAXCONN) != 0 ||
	    getsockname(fd, address, &length) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	*port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
	return fd;
}

/* Both loopback addresses on one port; a machine without IPv6 gets the one. */
static bool listen_on_loopback(struct mock_server *server)
{
	for (int i = 0; i < BIND_TRIES; i++) {
		int64_t port = server->port;

		server->listen_fds[0] = listen_on("127.0.0.1", &port);
		if (server->listen_fds[0] < 0)
			return false;
		server->listen_fds[1] = listen_on("::1", &port);
		if (server->listen_fds[1] >= 0 || errno != EADDRINUSE) {
			server->port = port;
			return true;
		}
		close(server->listen_fds[0]);
		if (server->port != 0)
			break;
	}
	errno = EADDRINUSE;
	return false;
}

static bool start_server(struct mock_server *server)
{
	struct rlimit files;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &server->signal_fd};
	sigset_t signals;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	server->conn_limit = files.rlim_cur - SPARE_FDS;
	if (server->host != NULL)
		server->listen_fds[0] = listen_on(server->host, &server->port);
	else
		listen_on_loopback(server);
	if (server->listen_fds[0] < 0)
		return false;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	server->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (server->signal_fd < 0 || server->epoll_fd < 0)
		return false;
	epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->signal_fd, &event);
	for (size_t i = 0; i < 2 && server->listen_fds[i] >= 0; i++) {
		event.data.ptr = &server->listen_fds[i];
		epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->listen_fds[i], &event);
	}
	return true;
}

int mock_run(const struct mock_behaviour *behaviour, int argc, char **argv)
{
	struct mock_server server = {
	    .behaviour = behaviour, .listen_fds = {-1, -1}, .next_timer_ms = INT64_MAX};
	const struct option_row shared[] = {
	    {"port", "N", OPTION_NUMBER, &server.port, "port; 0 (default) takes a free one"},
	    {"host", "ADDR", OPTION_TEXT, &server.host, "default: both 127.0.0.1 and ::1"},
	    {"name", "NAME", OPTION_TEXT, &server.name, "sent in the response field X-Mock"},
	    {"verbose", NULL, OPTION_FLAG, &server.is_verbose,
		"print the number of requests at the end"},
	    {0}};

	options_parse(
	    &(struct option_tables){behaviour->about, behaviour->options, shared}, argc, argv);
	if (server.port > 65535) {
		fprintf(stderr, "%s: --port is 0 to 65535\n", argv[0]);
		return 2;
	}
	if (!start_server(&server)) {
		fprintf(stderr, "%s: cannot listen on %s port %d: %s\n", argv[0],
		    server.host != NULL ? server.host : "localhost", (int)server.port,
		    strerror(errno));
		return 1;
	}
	printf("listening on %d\n", (int)server.port);
	fflush(stdout);
	while (run_turn(&server))
		continue;
	while (server.conns != NULL)
		conn_close(server.conns);
	if (server.is_verbose)
		fprintf(stderr, "served %llu requests\n", (unsigned long long)server.served);
	return 0;
}
