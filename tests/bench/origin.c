/*
 * origin - the cheapest server that can stand behind a proxy.
 *
 * Usage: origin PORTS [FIRST [PERCENT [SERVICE_US [ADDRESS]]]]. Listens on so many ports of 127.0.0.1 or another IPv4 address,
 * from FIRST on unless that is 0, prints each, and serves until it is ended. So many PERCENT of its answers, at random, are 500. `/n/BYTES` answers that much counted
 * content, `/c/BYTES` the same in chunks of 32 KiB; content of a request is read and dropped. Answers are made once and sent
 * from memory, so what a benchmark measures is somewhere else.
 * `/bad` is answered with 500; `/count` tells how many requests came since the last signal, without those for `/check`, which
 * is for health checks, and `/good` how many of the counted ones were not answered with 500. SIGUSR1 makes it answer everything
 * with 500, SIGUSR2 everything 3 s late, SIGHUP well again.
 * `/slow` is answered 300 ms late. With SERVICE_US it works at one request at a time, and each takes so long: what it can do has a
 * limit.
 * It trusts its peer: one request at a time, heads up to 16 KiB.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 16 * 1024, CHUNK = 32 * 1024, SCRATCH = 256 * 1024, EVENTS = 256, ANSWERS = 64 };

struct answer {
	char target[64];
	char *bytes;
	size_t len;
};

struct peer {
	int fd;
	bool listens;
	bool waits_for_room;
	size_t head_len;
	uint64_t content_left; /* of the request */
	const struct answer *answer;
	size_t sent;
	bool is_late;
	int64_t due_us; /* of a late answer */
	struct peer *next_late;
	char head[HEAD_MAX];
};

static struct answer answers[ANSWERS];
static size_t answer_count;
static char scratch[SCRATCH];
static int epoll_fd;
static volatile sig_atomic_t mode = SIGHUP, counted, good;
static int bad_percent, service_us;
static int64_t busy_until_us;
static struct peer *first_late, **last_late = &first_late;

enum { LATE_US = 3000000, SLOW_US = 300000 };

static int64_t clock_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_signal(int number)
{
	mode = number;
	counted = good = 0;
}

static void compose(struct answer *answer, size_t content, bool chunked)
{
	size_t chunks = content / CHUNK + 1;
	char *at = answer->bytes = malloc(256 + content + chunks * 16);
	assert(at);
	at += sprintf(at, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n");
	if (!chunked) {
		at += sprintf(at, "Content-Length: %zu\r\n\r\n", content);
		memset(at, 'x', content);
		answer->len = (size_t)(at - answer->bytes) + content;
		return;
	}
	at += sprintf(at, "Transfer-Encoding: chunked\r\n\r\n");
	while (content > 0) {
		size_t len = content < CHUNK ? content : CHUNK;
		at += sprintf(at, "%zx\r\n", len);
		memset(at, 'x', len);
		at += len;
		at += sprintf(at, "\r\n");
		content -= len;
	}
	at += sprintf(at, "0\r\n\r\n");
	answer->len = (size_t)(at - answer->bytes);
}

static const struct answer *find_answer(const char *target, size_t len)
{
	for (size_t i = 0; i < answer_count; i++)
		if (strlen(answers[i].target) == len && !memcmp(answers[i].target, target, len))
			return &answers[i];
	assert(answer_count < ANSWERS && len < sizeof(answers[0].target));
	struct answer *answer = &answers[answer_count++];
	memcpy(answer->target, target, len);
	size_t content = len > 3 ? strtoul(target + 3, NULL, 10) : 0;
	compose(answer, content, len > 1 && target[1] == 'c');
	return answer;
}

static void want(struct peer *peer, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = peer};
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, peer->fd, &event);
}

static void drop(struct peer *peer)
{
	close(peer->fd);
	free(peer);
}

/* False when the connection is broken. */
static bool send_answer(struct peer *peer)
{
	const struct answer *answer = peer->answer;
	while (peer->sent < answer->len) {
		ssize_t put = send(
		    peer->fd, answer->bytes + peer->sent, answer->len - peer->sent, MSG_NOSIGNAL);
		if (put < 0 && errno != EAGAIN)
			return false;
		if (put < 0) {
			if (!peer->waits_for_room)
				want(peer, EPOLLOUT);
			peer->waits_for_room = true;
			return true;
		}
		peer->sent += (size_t)put;
	}
	if (peer->waits_for_room)
		want(peer, EPOLLIN);
	peer->waits_for_room = false;
	peer->answer = NULL;
	return true;
}

static const struct answer *bad_answer(void)
{
	static char bytes[] =
	    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nbad\n";
	static const struct answer answer = {.bytes = bytes, .len = sizeof(bytes) - 1};
	return &answer;
}

static const struct answer *count_answer(int count)
{
	static char bytes[128];
	static struct answer answer = {.bytes = bytes};
	answer.len =
	    (size_t)sprintf(bytes, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n%10d", count);
	return &answer;
}

static bool is_target(const char *target, size_t len, const char *wanted)
{
	return strlen(wanted) == len && !memcmp(target, wanted, len);
}

static bool fails(const char *target, size_t len)
{
	return mode == SIGUSR1 || is_target(target, len, "/bad") || rand() % 100 < bad_percent;
}

/* When its answer is due; 0 = at once. In one run all that are late are late in the same way. */
static int64_t due(const char *target, size_t len)
{
	int64_t now_us = clock_us();
	if (mode == SIGUSR2)
		return now_us + LATE_US;
	if (is_target(target, len, "/slow"))
		return now_us + SLOW_US;
	if (service_us == 0)
		return 0;
	busy_until_us = (busy_until_us > now_us ? busy_until_us : now_us) + service_us;
	return busy_until_us;
}

/* Milliseconds until the next late answer is due; -1 when there is none. */
static int wait_ms(void)
{
	if (!first_late)
		return -1;
	int64_t left_us = first_late->due_us - clock_us();
	return left_us <= 0 ? 0 : left_us > 20000 ? 20 : (int)((left_us + 999) / 1000);
}

/* Chooses the answer; false when it has to wait. */
static bool choose_answer(struct peer *peer, const char *target, size_t len)
{
	if (is_target(target, len, "/count")) {
		peer->answer = count_answer(counted);
		return true;
	}
	if (is_target(target, len, "/good")) {
		peer->answer = count_answer(good);
		return true;
	}
	bool is_bad = fails(target, len), counts = !is_target(target, len, "/check");
	counted += counts;
	good += counts && !is_bad;
	peer->answer = is_bad ? bad_answer() : find_answer(target, len);
	int64_t due_us = due(target, len);
	if (due_us == 0)
		return true;
	want(peer, 0);
	peer->is_late = true;
	peer->due_us = due_us;
	peer->next_late = NULL;
	*last_late = peer;
	last_late = &peer->next_late;
	return false;
}

/* Takes a peer out of those that wait for a late answer. */
static void forget_late(struct peer *peer)
{
	struct peer **at = &first_late;
	while (*at != peer)
		at = &(*at)->next_late;
	*at = peer->next_late;
	if (!*at)
		last_late = at;
	peer->is_late = false;
}

static void send_late(void)
{
	while (first_late && first_late->due_us <= clock_us()) {
		struct peer *peer = first_late;
		forget_late(peer);
		want(peer, EPOLLIN);
		if (!send_answer(peer))
			drop(peer);
	}
}

/* A whole head is there, with `extra` bytes of content behind it. */
static bool take_request(struct peer *peer, size_t extra)
{
	char *target = strchr(peer->head, ' ');
	const char *length = strcasestr(peer->head, "\r\nContent-Length:");
	if (!target)
		return false;
	target++;
	bool now = choose_answer(peer, target, strcspn(target, " "));
	peer->sent = 0;
	peer->head_len = 0;
	peer->content_left = (length ? strtoull(length + 17, NULL, 10) : 0) - extra;
	return !now || peer->content_left > 0 || send_answer(peer);
}

static bool read_head(struct peer *peer)
{
	ssize_t got = recv(peer->fd, peer->head + peer->head_len, HEAD_MAX - 1 - peer->head_len, 0);
	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	peer->head_len += (size_t)got;
	peer->head[peer->head_len] = '\0';
	const char *end = strstr(peer->head, "\r\n\r\n");
	if (!end)
		return peer->head_len < HEAD_MAX - 1;
	return take_request(peer, peer->head_len - (size_t)(end + 4 - peer->head));
}

static bool read_content(struct peer *peer)
{
	ssize_t got = recv(peer->fd, scratch, sizeof(scratch), 0);
	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	peer->content_left -= (uint64_t)got;
	return peer->content_left > 0 || send_answer(peer);
}

static void serve(struct peer *peer, uint32_t events)
{
	bool alive = true;
	if (peer->is_late) { /* its proxy gave up */
		forget_late(peer);
		alive = false;
	} else if (events & EPOLLOUT)
		alive = send_answer(peer);
	else if (peer->content_left > 0)
		alive = read_content(peer);
	else
		alive = read_head(peer);
	if (!alive)
		drop(peer);
}

static void watch(int fd, bool listens)
{
	struct peer *peer = malloc(listens ? offsetof(struct peer, head) : sizeof(*peer));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
	assert(peer);
	memset(peer, 0, offsetof(struct peer, head));
	peer->fd = fd;
	peer->listens = listens;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int listener)
{
	int fd, on = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		watch(fd, false);
	}
}

static bool listen_on(struct in_addr address, uint16_t port)
{
	struct sockaddr_in addr = {
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		perror("origin");
		return false;
	}
	printf("%u\n", ntohs(addr.sin_port));
	watch(fd, true);
	return true;
}

int main(int argc, char **argv)
{
	int ports = argc > 1 ? atoi(argv[1]) : 1;
	int first = argc > 2 ? atoi(argv[2]) : 0;
	struct in_addr address;
	struct rlimit files;
	if (ports < 1 || inet_pton(AF_INET, argc > 5 ? argv[5] : "127.0.0.1", &address) != 1) {
		fprintf(stderr, "usage: origin PORTS [FIRST [PERCENT [SERVICE_US [ADDRESS]]]]\n");
		return 2;
	}
	bad_percent = argc > 3 ? atoi(argv[3]) : 0;
	service_us = argc > 4 ? atoi(argv[4]) : 0;
	srand((unsigned)getpid());
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(0);
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	signal(SIGHUP, on_signal);
	for (int i = 0; i < ports; i++)
		if (!listen_on(address, (uint16_t)(first ? first + i : 0)))
			return 1;
	fflush(stdout);
	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(epoll_fd, events, EVENTS, wait_ms());
		for (int i = 0; i < count; i++) {
			struct peer *peer = events[i].data.ptr;
			if (peer->listens)
				accept_all(peer->fd);
			else
				serve(peer, events[i].events);
		}
		/* It may end peers, which an event of this turn may belong to. */
		send_late();
	}
}
