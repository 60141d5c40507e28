/*
 * drive - asks a proxy as fast as it goes, or at a fixed rate, and tells what that took.
 *
 * A number of connections with one request each at a time. As fast as it goes: the next request follows the answer.
 * With --rate requests are due by the clock, whether there is a free connection or not, and an answer's time counts
 * from when its request was due: a proxy that stalls cannot hide behind a client that waits for it.
 *
 * With --watch PID the processor time of that process (all threads, from schedstat) is read at the beginning and the end of the
 * measured time; run on the same core, this sees exactly what the process used. With --hold every connection makes one
 * request, a few at a time, "held" is printed, and they stay open until stdin ends.
 *
 * With --bad PERCENT so many of the requests ask for /bad, whose answers are not counted; with --slow PERCENT for /slow,
 * likewise, but one that is lost, or answered with anything but 200, is an error. With a rate, a request without an answer
 * 10 s after the last one was due is an error, and so is one that was due and found no free connection.
 *
 * Prints one JSON object. Exit status: 0; 1 when nothing was answered; 2 bad usage.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	HEAD_MAX = 16 * 1024,
	SCRATCH = 256 * 1024,
	EVENTS = 512,
	HELD_AT_ONCE = 8,
	GRACE_US = 10000000
};

struct options {
	uint16_t port;
	const char *target;
	int connections;
	bool is_new, holds, is_browser;
	size_t post;
	int64_t rate, warm_us, run_us;
	int bad;
	bool is_slow; /* they ask for /slow */
	int watched;
};

/* What of an answer is still to come. */
enum reading { HEAD, COUNTED, CHUNK_LINE, CHUNK_DATA, CHUNK_END, LAST_LINE };

struct client {
	int fd;
	bool busy, waits_for_room, is_bad;
	size_t sent;
	int64_t due_us;
	enum reading reading;
	size_t head_len, line_len;
	uint64_t left;
	bool closes;
	char head[HEAD_MAX];
	struct client *next_free;
};

static struct options options = {
    .target = "/n/64", .connections = 64, .warm_us = 200000, .run_us = 1000000};
static struct sockaddr_in addr = {.sin_family = AF_INET};
static char *request, scratch[SCRATCH];
static size_t request_len;
static const char bad_request[] = "GET /bad HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
static const char slow_request[] = "GET /slow HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
static int epoll_fd, timer_fd;
static struct client *free_clients;
static FILE *trace; /* --trace: when each request was due, and what it took, in microseconds */
static int64_t start_us, measured_us, stop_us; /* measuring begins; nothing is begun any more */
static uint64_t in_time;                       /* answers before nothing was begun any more */
static uint64_t started, in_flight, finished, answered, errors, bytes;
static uint32_t *samples;
static size_t sample_count, sample_room;

static int64_t clock_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Processor time of all threads of the watched process, in nanoseconds. */
static uint64_t watched_ns(void)
{
	char path[300];
	uint64_t sum = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", options.watched);
	DIR *tasks = options.watched ? opendir(path) : NULL;
	if (!tasks)
		return 0;
	for (struct dirent *task; (task = readdir(tasks));) {
		unsigned long long ns = 0;
		/* ".." is the process, which has its first thread's time once more. */
		if (task->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", options.watched,
		    task->d_name);
		FILE *file = fopen(path, "r");
		if (file && fscanf(file, "%llu", &ns) == 1)
			sum += ns;
		if (file)
			fclose(file);
	}
	closedir(tasks);
	return sum;
}

static void want(struct client *client, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};
	epoll_ctl(epoll_fd, operation, client->fd, &event);
}

static void disconnect(struct client *client)
{
	struct linger abort = {.l_onoff = 1}; /* no port waits for stray segments */
	if (client->fd < 0)
		return;
	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	close(client->fd);
	client->fd = -1;
}

static bool connect_client(struct client *client)
{
	int on = 1;
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (client->fd < 0)
		return false;
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(client->fd, (struct sockaddr *)&addr, sizeof(addr)) && errno != EINPROGRESS) {
		disconnect(client);
		return false;
	}
	client->waits_for_room = true;
	want(client, EPOLL_CTL_ADD, EPOLLOUT);
	return true;
}

static void note(struct client *client, bool good)
{
	int64_t now_us = clock_us();
	if (now_us < measured_us)
		return;
	if (!good) {
		errors++;
		return;
	}
	if (client->is_bad)
		return;
	answered++;
	in_time += now_us < stop_us;
	if (sample_count == sample_room) {
		sample_room = sample_room ? 2 * sample_room : 65536;
		samples = realloc(samples, sample_room * sizeof(*samples));
		assert(samples);
	}
	samples[sample_count++] = (uint32_t)(now_us - client->due_us);
	if (trace)
		fprintf(trace, "%lld %lld\n", (long long)(client->due_us - start_us),
		    (long long)(now_us - client->due_us));
}

/* The request is over, well or not. */
static void finish(struct client *client, bool good)
{
	note(client, good);
	client->busy = false;
	in_flight--;
	finished++;
	if (!good || client->closes || options.is_new)
		disconnect(client);
	if (options.holds)
		return;
	client->next_free = free_clients;
	free_clients = client;
}

static void send_request(struct client *client)
{
	const char *odd = options.is_slow ? slow_request : bad_request;
	const char *data = client->is_bad ? odd : request;
	size_t len = client->is_bad ? strlen(odd) : request_len;
	while (client->sent < len) {
		ssize_t put =
		    send(client->fd, data + client->sent, len - client->sent, MSG_NOSIGNAL);
		if (put < 0 && errno != EAGAIN) {
			finish(client, false);
			return;
		}
		if (put < 0) {
			if (!client->waits_for_room)
				want(client, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			client->waits_for_room = true;
			return;
		}
		client->sent += (size_t)put;
	}
	if (client->waits_for_room)
		want(client, EPOLL_CTL_MOD, EPOLLIN);
	client->waits_for_room = false;
}

static void start(struct client *client, int64_t due_us)
{
	client->is_bad = (int)(started * 37 % 100) < options.bad;
	started++;
	in_flight++;
	client->busy = true;
	client->due_us = due_us;
	client->sent = client->head_len = 0;
	client->reading = HEAD;
	client->closes = false;
	if (client->fd >= 0)
		send_request(client);
	else if (!connect_client(client))
		finish(client, false);
}

/* The head is complete; true when it is one of a good answer. */
static bool take_head(struct client *client)
{
	const char *length = strcasestr(client->head, "\r\nContent-Length:");
	client->closes = strcasestr(client->head, "\r\nConnection: close") != NULL;
	client->line_len = 0;
	client->left = length ? strtoull(length + 17, NULL, 10) : 0;
	client->reading = length ? COUNTED : CHUNK_LINE;
	if (!length && !strcasestr(client->head, "\r\nTransfer-Encoding: chunked"))
		return false;
	bool may_fail = client->is_bad && !options.is_slow;
	return may_fail || !strncmp(client->head, "HTTP/1.1 200 ", 13);
}

/* Looks at `len` bytes: how many belonged to the head; 0 with client->reading == HEAD: all of them, and more must come. */
static size_t read_head(struct client *client, const char *data, size_t len)
{
	size_t before = client->head_len;
	size_t room = HEAD_MAX - 1 - before;
	size_t more = len < room ? len : room;
	memcpy(client->head + before, data, more);
	client->head[before + more] = '\0';
	char *end = strstr(client->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
	client->head_len += more;
	if (!end)
		return 0;
	end[4] = '\0';
	return (size_t)(end + 4 - client->head) - before;
}

/* Takes a byte of chunked framing; false when it is wrong. */
static bool take_framing(struct client *client, char byte)
{
	char digit[2] = {byte, '\0'};
	if (byte == '\r')
		return true;
	if (byte != '\n') {
		client->left = client->left * 16 + strtoull(digit, NULL, 16);
		return ++client->line_len <= 16 && client->reading == CHUNK_LINE;
	}
	if (client->reading == CHUNK_END)
		client->reading = CHUNK_LINE;
	else if (client->reading == CHUNK_LINE)
		client->reading = client->left > 0 ? CHUNK_DATA : LAST_LINE;
	else
		client->reading = HEAD;
	client->line_len = 0;
	return true;
}

enum progress { MORE, DONE, BAD };

static enum progress take_content(struct client *client, const char *data, size_t len)
{
	while (len > 0) {
		if (client->reading == COUNTED || client->reading == CHUNK_DATA) {
			size_t n = client->left < len ? (size_t)client->left : len;
			client->left -= n;
			data += n;
			len -= n;
			bytes += n;
			if (client->left == 0 && client->reading == COUNTED)
				return len == 0 ? DONE : BAD;
			if (client->left == 0)
				client->reading = CHUNK_END;
			continue;
		}
		if (!take_framing(client, *data))
			return BAD;
		data++;
		len--;
		if (client->reading == HEAD)
			return len == 0 ? DONE : BAD;
	}
	return client->reading == COUNTED && client->left == 0 ? DONE : MORE;
}

static void read_answer(struct client *client)
{
	ssize_t got = recv(client->fd, scratch, sizeof(scratch), 0);
	size_t used = 0;
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0 || !client->busy) {
		if (client->busy)
			finish(client, false);
		else
			disconnect(client);
		return;
	}
	if (client->reading == HEAD) {
		used = read_head(client, scratch, (size_t)got);
		if (used == 0)
			return;
		if (!take_head(client)) {
			finish(client, false);
			return;
		}
	}
	enum progress progress = take_content(client, scratch + used, (size_t)got - used);
	if (progress != MORE)
		finish(client, progress == DONE);
}

/* Begins what is due; with a rate, sets the timer for what comes next. */
static void begin_due(int64_t now_us)
{
	if (now_us >= stop_us)
		return;
	while (free_clients) {
		int64_t due_us = now_us;
		if (options.rate > 0)
			due_us = start_us + (int64_t)started * 1000000 / options.rate;
		if (options.holds && started - answered - errors >= HELD_AT_ONCE)
			return;
		if (due_us > now_us)
			break;
		struct client *client = free_clients;
		free_clients = client->next_free;
		start(client, due_us);
	}
	if (options.rate > 0 && free_clients) {
		int64_t due_us = start_us + (int64_t)started * 1000000 / options.rate;
		struct itimerspec at = {
		    .it_value = {due_us / 1000000, due_us % 1000000 * 1000 + 1}};
		timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
	}
}

static void turn(int wait_ms)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(epoll_fd, events, EVENTS, wait_ms);
	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;
		uint64_t ticks;
		if (!client) {
			if (read(timer_fd, &ticks, sizeof(ticks)) < 0)
				continue;
		} else if (client->fd >= 0) {
			if (client->busy && (events[i].events & EPOLLOUT))
				send_request(client);
			if (client->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT))
				read_answer(client);
		}
	}
	begin_due(clock_us());
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static uint32_t percentile(double share)
{
	size_t at = (size_t)(share * (double)sample_count);
	return sample_count == 0 ? 0 : samples[at < sample_count ? at : sample_count - 1];
}

static size_t count_over(uint32_t us)
{
	size_t count = 0;
	while (count < sample_count && samples[sample_count - 1 - count] > us)
		count++;
	return count;
}

static void report(int64_t took_us, uint64_t used_ns)
{
	qsort(samples, sample_count, sizeof(*samples), compare);
	printf("{\"requests\": %llu, \"errors\": %llu, \"bytes\": %llu, \"seconds\": %.6f, "
	       "\"cpu_us\": %.3f, \"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u, \"max_us\": "
	       "%u, \"over_60ms\": %zu, \"over_900ms\": %zu, \"began\": %llu, \"in_time\": %llu}\n",
	    (unsigned long long)answered, (unsigned long long)errors, (unsigned long long)bytes,
	    (double)took_us / 1e6, answered > 0 ? (double)used_ns / 1e3 / (double)answered : 0.0,
	    percentile(0.5), percentile(0.99), percentile(0.999), percentile(1), count_over(60000),
	    count_over(900000), (unsigned long long)started, (unsigned long long)in_time);
}

static void compose_request(void)
{
	static const char browser[] =
	    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
	    "Accept: "
	    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;"
	    "q=0.8\r\n"
	    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
	    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
	    "Referer: http://www.example.com/articles/2026/index.html?page=3\r\n"
	    "Cookie: session=9f86d081884c7d659a2feaa0c55ad015; theme=dark; consent=all\r\n"
	    "Upgrade-Insecure-Requests: 1\r\n"
	    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: "
	    "same-origin\r\n"
	    "Priority: u=0, i\r\n";
	request = calloc(1, 4096 + options.post);
	assert(request);
	int len = sprintf(request, "%s %s HTTP/1.1\r\nHost: www.example.com\r\n%s",
	    options.post ? "POST" : "GET", options.target, options.is_browser ? browser : "");
	if (options.is_new)
		len += sprintf(request + len, "Connection: close\r\n");
	if (options.post)
		len += sprintf(request + len, "Content-Length: %zu\r\n", options.post);
	len += sprintf(request + len, "\r\n");
	memset(request + len, 'x', options.post);
	request_len = (size_t)len + options.post;
}

static bool read_options(int argc, char **argv)
{
	static const struct option known[] = {{"port", 1, 0, 'p'}, {"target", 1, 0, 't'},
	    {"connections", 1, 0, 'c'}, {"new", 0, 0, 'n'}, {"hold", 0, 0, 'h'},
	    {"browser", 0, 0, 'b'}, {"post", 1, 0, 'o'}, {"rate", 1, 0, 'r'},
	    {"warm-ms", 1, 0, 'w'}, {"run-ms", 1, 0, 'm'}, {"watch", 1, 0, 'W'}, {"bad", 1, 0, 'B'},
	    {"slow", 1, 0, 'S'}, {"trace", 1, 0, 'T'}, {0}};
	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
		switch (option) {
		case 'p':
			options.port = (uint16_t)atoi(optarg);
			break;
		case 't':
			options.target = optarg;
			break;
		case 'c':
			options.connections = atoi(optarg);
			break;
		case 'n':
			options.is_new = true;
			break;
		case 'h':
			options.holds = true;
			break;
		case 'b':
			options.is_browser = true;
			break;
		case 'o':
			options.post = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			options.rate = atoll(optarg);
			break;
		case 'w':
			options.warm_us = atoll(optarg) * 1000;
			break;
		case 'm':
			options.run_us = atoll(optarg) * 1000;
			break;
		case 'B':
		case 'S':
			options.bad = atoi(optarg);
			options.is_slow = option == 'S';
			break;
		case 'T':
			trace = fopen(optarg, "w");
			assert(trace);
			break;
		case 'W':
			options.watched = atoi(optarg);
			break;
		default:
			return false;
		}
	}
	return options.port > 0 && options.connections > 0 && optind == argc;
}

static void prepare(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	addr.sin_port = htons(options.port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	epoll_fd = epoll_create1(0);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
	struct client *clients = calloc((size_t)options.connections, sizeof(*clients));
	assert(clients);
	for (int i = options.connections - 1; i >= 0; i--) {
		clients[i].fd = -1;
		clients[i].next_free = free_clients;
		free_clients = &clients[i];
	}
	compose_request();
}

static int hold(void)
{
	char byte;
	while (answered + errors < (uint64_t)options.connections)
		turn(100);
	printf("held\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	report(clock_us() - start_us, 0);
	if (trace)
		fclose(trace);
	return errors > 0;
}

int main(int argc, char **argv)
{
	if (!read_options(argc, argv)) {
		fprintf(stderr,
		    "usage: drive --port N [--target PATH] [--connections N] [--new] [--hold] "
		    "[--browser] [--post BYTES] [--rate N] [--warm-ms N] [--run-ms N] "
		    "[--watch PID] [--bad PERCENT] [--slow PERCENT] [--trace FILE]\n");
		return 2;
	}
	prepare();
	start_us = clock_us();
	measured_us = options.holds ? 0 : start_us + options.warm_us;
	stop_us = INT64_MAX;
	begin_due(start_us);
	if (options.holds)
		return hold();
	while (clock_us() < measured_us ||
	       (options.rate == 0 && finished < (uint64_t)options.connections))
		turn(10);
	uint64_t used_ns = watched_ns();
	int64_t began_us = measured_us = clock_us();
	stop_us = began_us + options.run_us;
	while (clock_us() < stop_us)
		turn(10);
	int64_t took_us = clock_us() - began_us;
	used_ns = watched_ns() - used_ns;
	if (options.rate > 0) /* what became due during the last turn */
		begin_due(stop_us - 1);
	while (options.rate > 0 && in_flight > 0 && clock_us() < stop_us + GRACE_US)
		turn(10);
	if (options.rate > 0)
		errors += in_flight;
	/* Some were due, and no connection was free for them. */
	uint64_t due = (uint64_t)(options.rate * (stop_us - start_us) / 1000000);
	if (due > started)
		errors += due - started;
	report(took_us, used_ns);
	return answered == 0;
}
