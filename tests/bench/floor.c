/*
 * floor - a relay that parses nothing: what a proxy would cost if HTTP cost nothing.
 *
 * Usage: floor BACKEND_PORT. Prints the port of 127.0.0.1 it listens on. Every client connection gets one backend
 * connection of its own; bytes go through one buffer of 256 KiB: two recv, two send and a share of one epoll_wait for a
 * small request. What a receiver does not take waits, and its sender with it.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRATCH = 256 * 1024, EVENTS = 512 };

/* One end of a pair: what is read here is sent to `other`. */
struct end {
	int fd;
	struct end *other;
	char *waiting; /* bytes for this end that its kernel did not take yet */
	size_t waiting_from, waiting_len;
};

struct pair {
	struct end client, backend;
	bool over;
	struct pair *next_over;
};

static char scratch[SCRATCH];
static int epoll_fd;
static struct sockaddr_in backend_addr;
static struct pair *over;

static void want(struct end *end, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = end};
	epoll_ctl(epoll_fd, operation, end->fd, &event);
}

/* Which events are due follows from what waits. */
static void choose_events(struct end *end)
{
	bool reads = end->other->waiting_len == 0, writes = end->waiting_len > 0;
	want(end, EPOLL_CTL_MOD, (reads ? EPOLLIN : 0U) | (writes ? EPOLLOUT : 0U));
}

static void end_pair(struct end *end)
{
	struct end *client = end->other < end ? end->other : end;
	struct pair *pair = (struct pair *)client;
	if (pair->over)
		return;
	pair->over = true;
	pair->next_over = over;
	over = pair;
}

static void bury(void)
{
	while (over) {
		struct pair *pair = over;
		over = pair->next_over;
		close(pair->client.fd);
		close(pair->backend.fd);
		free(pair->client.waiting);
		free(pair->backend.waiting);
		free(pair);
	}
}

static void keep(struct end *end, const char *bytes, size_t len)
{
	if (!end->waiting)
		end->waiting = malloc(SCRATCH);
	assert(end->waiting);
	memcpy(end->waiting, bytes, len);
	end->waiting_from = 0;
	end->waiting_len = len;
	choose_events(end);
	choose_events(end->other);
}

static void on_readable(struct end *end)
{
	ssize_t got = recv(end->fd, scratch, sizeof(scratch), 0);
	if (got < 0 && errno == EAGAIN)
		return;
	ssize_t put = got > 0 ? send(end->other->fd, scratch, (size_t)got, MSG_NOSIGNAL) : -1;
	if (got <= 0 || (put < 0 && errno != EAGAIN)) {
		end_pair(end);
		return;
	}
	if (put < 0)
		put = 0;
	if (put < got)
		keep(end->other, scratch + put, (size_t)(got - put));
}

static void on_writable(struct end *end)
{
	ssize_t put =
	    send(end->fd, end->waiting + end->waiting_from, end->waiting_len, MSG_NOSIGNAL);
	if (put < 0 && errno == EAGAIN)
		return;
	if (put < 0) {
		end_pair(end);
		return;
	}
	end->waiting_from += (size_t)put;
	end->waiting_len -= (size_t)put;
	if (end->waiting_len > 0)
		return;
	choose_events(end);
	choose_events(end->other);
}

static void on_event(struct end *end, uint32_t events)
{
	struct pair *pair = (struct pair *)(end->other < end ? end->other : end);
	if (!pair->over && (events & EPOLLOUT))
		on_writable(end);
	if (!pair->over && (events & ~(uint32_t)EPOLLOUT) && end->other->waiting_len == 0)
		on_readable(end);
}

static int connect_backend(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	if (connect(fd, (struct sockaddr *)&backend_addr, sizeof(backend_addr))) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void accept_all(int listener)
{
	int fd, on = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		int backend = connect_backend();
		struct pair *pair = calloc(1, sizeof(*pair));
		assert(pair);
		if (backend < 0) {
			free(pair);
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		pair->client = (struct end){.fd = fd, .other = &pair->backend};
		pair->backend = (struct end){.fd = backend, .other = &pair->client};
		want(&pair->client, EPOLL_CTL_ADD, EPOLLIN);
		want(&pair->backend, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static int open_listener(void)
{
	struct sockaddr_in addr = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	struct epoll_event event = {.events = EPOLLIN};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		perror("floor");
		exit(1);
	}
	printf("%u\n", ntohs(addr.sin_port));
	fflush(stdout);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	return fd;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	if (argc != 2) {
		fprintf(stderr, "usage: floor BACKEND_PORT\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	backend_addr = (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)atoi(argv[1])),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	epoll_fd = epoll_create1(0);
	int listener = open_listener();
	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(epoll_fd, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				on_event(events[i].data.ptr, events[i].events);
			else
				accept_all(listener);
		}
		bury();
	}
}
