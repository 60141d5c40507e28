/*
 * load - a client that sends requests, and checks every answer to the last byte.
 *
 * A fixed number of connections, each with one request at a time, each kept for the next one.
 * Everything that a strict client may reject counts as a failure, and nothing is tried again: a
 * connection that breaks during a request fails it, unless the server had announced the close. A
 * connection that the server closes between two requests is only replaced.
 *
 * Exit status: 0 no failure, 1 at least one, 2 bad usage.
 */
#include "load_plan.h"
#include "load_report.h"
#include "load_response.h"
#include "options.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE       (64 << 10)
#define EVENTS_A_TURN   256
#define CHECK_US        20000
#define REFUSED_REST_US 10000
#define TOLD_MAX        10

enum client_state {
	CLIENT_CLOSED, /* no connection, no request */
	CLIENT_IDLE,   /* a connection without a request */
	CLIENT_CONNECTING,
	CLIENT_BUSY,
};

struct client {
	enum client_state state;
	int fd;
	uint32_t interest;
	const struct addrinfo *address;
	struct load_request request;
	struct load_response response;
	size_t sent;
	int64_t started_us;
	struct client *next_free;
};

struct load {
	struct load_plan plan;
	struct report report;
	const char *url;
	const char *report_field;
	int64_t connections;
	int64_t rate; /* requests a second; 0: as fast as possible */
	int64_t requests;
	int64_t duration_ms;
	int64_t timeout_ms;
	int64_t interval_ms;
	int64_t expected_status;
	bool is_timeline;
	bool is_json;
	bool is_showing;

	struct addrinfo *addresses;
	int epoll_fd;
	int signal_fd;
	struct client *clients;
	struct client *free_clients; /* closed or idle */
	uint64_t started;
	uint64_t in_flight;
	uint64_t told; /* failures written to stderr so far */
	bool is_stopping;
	int64_t start_us;
	int64_t rest_until_us; /* wait after a refusal: no busy loop on a closed port */
	int64_t next_check_us;
	int64_t next_interval_us;
};

static int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void watch(struct load *load, struct client *client, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.ptr = client};

	if (client->interest != interest)
		epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
	client->interest = interest;
}

static void disconnect(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->state = CLIENT_CLOSED;
}

static void tell_failure(struct load *load, const struct client *client, enum outcome outcome)
{
	const struct load_request *request = &client->request;

	if (load->told++ >= TOLD_MAX)
		return;
	fprintf(stderr, "load: at %.3f s request %llu %s %s: %s (status %d, %zu bytes)\n",
	    (double)(clock_us() - load->start_us) / 1e6, (unsigned long long)request->number,
	    request->is_post ? "POST" : "GET", request->target, outcome_name(outcome),
	    client->response.status, client->response.in.length);
}

/* The one place where a request ends. */
static void finish_request(struct load *load, struct client *client, enum outcome outcome)
{
	struct bytes head = response_head(&client->response);
	char answered_by[128] = "";
	struct result result = {.outcome = outcome,
	    .status = client->response.status,
	    .latency_us = clock_us() - client->started_us};

	if (outcome == OUTCOME_GOOD || outcome == OUTCOME_STATUS || outcome == OUTCOME_WRONG_BODY ||
	    outcome == OUTCOME_EXTRA) {
		head_find_field(&head, load->report_field, answered_by, sizeof(answered_by));
		result.answered_by = answered_by;
	}
	if (load->is_showing && result.answered_by != NULL) {
		struct bytes content = response_content(&client->response);

		fwrite(head.at, 1, head.length, stdout);
		fwrite(content.at, 1, content.length, stdout);
		printf("\n\n");
	}
	if (outcome != OUTCOME_GOOD)
		tell_failure(load, client, outcome);
	report_add(&load->report, &result);
	if (result.answered_by == NULL || outcome == OUTCOME_EXTRA ||
	    !client->response.keep_alive || client->sent < client->request.out.length) {
		disconnect(client);
	} else {
		client->state = CLIENT_IDLE;
		watch(load, client, EPOLLIN);
	}
	load->in_flight--;
	client->next_free = load->free_clients;
	load->free_clients = client;
}

static enum outcome judge(const struct load *load, const struct client *client)
{
	const struct load_response *response = &client->response;
	struct bytes head = response_head(response);
	struct bytes content = response_content(response);
	char value[8];
	bool is_expected = load->expected_status != 0 ? response->status == load->expected_status
						      : response->status < 400;

	if (response_has_extra(response))
		return OUTCOME_EXTRA;
	if (!is_expected)
		return OUTCOME_STATUS;
	if (response->status == 200 && !plan_is_right(&client->request, &content,
					   head_find_field(&head, "X-Mock", value, sizeof(value))))
		return OUTCOME_WRONG_BODY;
	return OUTCOME_GOOD;
}

/* Reads the bytes that are there; the answer or the connection may end with them. */
static void read_answer(struct load *load, struct client *client)
{
	struct bytes *in = &client->response.in;
	ssize_t count = 0;
	enum message_progress progress = MESSAGE_MORE;

	bytes_reserve(in, READ_SIZE);
	count = read(client->fd, in->at + in->length, in->room - in->length);
	if (count < 0 && errno == EAGAIN)
		return;
	if (count < 0) {
		finish_request(load, client, OUTCOME_RESET);
		return;
	}
	in->length += (size_t)count;
	progress = response_read(&client->response, count == 0);
	if (progress == MESSAGE_BROKEN)
		finish_request(load, client, OUTCOME_MALFORMED);
	else if (progress == MESSAGE_DONE)
		finish_request(load, client, judge(load, client));
	else if (count == 0)
		finish_request(load, client, in->length == 0 ? OUTCOME_CLOSED : OUTCOME_TRUNCATED);
}

static void send_request(struct load *load, struct client *client)
{
	const struct bytes *out = &client->request.out;

	while (client->sent < out->length) {
		ssize_t count = send(
		    client->fd, out->at + client->sent, out->length - client->sent, MSG_NOSIGNAL);

		if (count < 0 && errno == EAGAIN) {
			watch(load, client, EPOLLIN | EPOLLOUT);
			return;
		}
		if (count < 0) {
			/* An answer may have come before the connection broke. */
			read_answer(load, client);
			if (client->state == CLIENT_BUSY && client->response.in.length == 0)
				finish_request(load, client, OUTCOME_RESET);
			return;
		}
		client->sent += (size_t)count;
	}
	watch(load, client, EPOLLIN);
}

/* Begins to connect to the client's address, or to the next one that does not fail at once. */
static void connect_client(struct load *load, struct client *client)
{
	const int on = 1;

	client->state = CLIENT_CONNECTING;
	for (; client->address != NULL; client->address = client->address->ai_next) {
		const struct addrinfo *address = client->address;
		struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};

		client->fd =
		    socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (client->fd < 0)
			continue;
		setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (connect(client->fd, address->ai_addr, address->ai_addrlen) == 0 ||
		    errno == EINPROGRESS) {
			client->interest = event.events;
			epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, client->fd, &event);
			return;
		}
		close(client->fd);
		client->fd = -1;
	}
	load->rest_until_us = clock_us() + REFUSED_REST_US;
	finish_request(load, client, OUTCOME_REFUSED);
}

static void finish_connect(struct load *load, struct client *client)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error == ECONNRESET) { /* it was open for a moment */
		finish_request(load, client, OUTCOME_RESET);
		return;
	}
	if (error != 0) {
		disconnect(client);
		client->address = client->address->ai_next;
		connect_client(load, client);
		return;
	}
	client->state = CLIENT_BUSY;
	send_request(load, client);
}

static void start_request(struct load *load)
{
	struct client *client = load->free_clients;

	load->free_clients = client->next_free;
	plan_compose(&load->plan, load->started++, &client->request);
	response_start(&client->response);
	client->sent = 0;
	client->started_us = clock_us();
	load->in_flight++;
	if (client->state == CLIENT_IDLE) {
		client->state = CLIENT_BUSY;
		send_request(load, client);
	} else {
		client->address = load->addresses;
		connect_client(load, client);
	}
}

/* There is no request: the server may close, but must not send anything. */
static void on_idle_event(struct load *load, struct client *client)
{
	char byte = 0;

	if (read(client->fd, &byte, 1) == 1) {
		tell_failure(load, client, OUTCOME_EXTRA);
		load->report.outcomes[OUTCOME_EXTRA]++;
	} else {
		load->report.idle_closes++;
	}
	disconnect(client);
}

static void on_event(struct load *load, struct client *client, uint32_t events)
{
	switch (client->state) {
	case CLIENT_CONNECTING:
		finish_connect(load, client);
		break;
	case CLIENT_BUSY:
		if ((events & ~(uint32_t)EPOLLOUT) != 0)
			read_answer(load, client);
		if (client->state == CLIENT_BUSY && (events & EPOLLOUT) != 0)
			send_request(load, client);
		break;
	case CLIENT_IDLE:
		on_idle_event(load, client);
		break;
	case CLIENT_CLOSED:
		break;
	}
}

/* How many more requests may begin by now. */
static uint64_t due_requests(const struct load *load, int64_t now)
{
	uint64_t due = UINT64_MAX;

	if (load->is_stopping || now < load->rest_until_us)
		return 0;
	if (load->rate > 0)
		due = (uint64_t)((now - load->start_us) * load->rate / 1000000) + 1;
	if (load->requests > 0 && due > (uint64_t)load->requests)
		due = (uint64_t)load->requests;
	return due > load->started ? due - load->started : 0;
}

static void check_timeouts(struct load *load, int64_t now)
{
	if (now < load->next_check_us)
		return;
	load->next_check_us = now + CHECK_US;
	for (int64_t i = 0; i < load->connections; i++) {
		struct client *client = &load->clients[i];
		bool has_request =
		    client->state == CLIENT_BUSY || client->state == CLIENT_CONNECTING;

		if (has_request && now - client->started_us > load->timeout_ms * 1000)
			finish_request(load, client, OUTCOME_TIMEOUT);
	}
}

/* Milliseconds until run_clock has something to do. */
static int wait_ms(const struct load *load, int64_t now)
{
	int64_t until = load->next_check_us;
	int64_t next_due = load->start_us;

	if (load->rate > 0 && load->free_clients != NULL && !load->is_stopping) {
		next_due += (int64_t)load->started * 1000000 / load->rate;
		until = next_due < until ? next_due : until;
	}
	if (load->is_timeline && load->next_interval_us < until)
		until = load->next_interval_us;
	return until > now ? (int)((until - now + 999) / 1000) : 0;
}

/* Does the work that is due; false when nothing is left to do. */
static bool run_clock(struct load *load)
{
	int64_t now = clock_us();

	load->report.elapsed_us = now - load->start_us;
	if (load->duration_ms > 0 && load->report.elapsed_us >= load->duration_ms * 1000)
		load->is_stopping = true;
	if (load->requests > 0 && load->started == (uint64_t)load->requests)
		load->is_stopping = true;
	for (uint64_t due = due_requests(load, now);
	     due > 0 && load->free_clients != NULL && now >= load->rest_until_us; due--)
		start_request(load);
	check_timeouts(load, now);
	if (load->is_timeline && now >= load->next_interval_us) {
		load->next_interval_us += load->interval_ms * 1000;
		report_print_interval(&load->report, load->is_json);
	}
	return !load->is_stopping || load->in_flight > 0;
}

static void run(struct load *load)
{
	struct epoll_event events[EVENTS_A_TURN];

	load->start_us = clock_us();
	load->next_interval_us = load->start_us + load->interval_ms * 1000;
	while (run_clock(load)) {
		int count =
		    epoll_wait(load->epoll_fd, events, EVENTS_A_TURN, wait_ms(load, clock_us()));

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &load->signal_fd)
				load->is_stopping = true;
			else
				on_event(load, events[i].data.ptr, events[i].events);
		}
	}
	if (load->is_timeline && load->report.interval_answers + load->report.interval_failures > 0)
		report_print_interval(&load->report, load->is_json);
}

static bool prepare(struct load *load)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load->signal_fd};
	struct rlimit files;
	sigset_t signals;
	int error = getaddrinfo(load->plan.host, load->plan.port, &hints, &load->addresses);

	if (error != 0) {
		fprintf(stderr, "load: %s: %s\n", load->plan.host, gai_strerror(error));
		return false;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	load->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	load->clients = calloc((size_t)load->connections, sizeof(*load->clients));
	if (load->signal_fd < 0 || load->epoll_fd < 0 || load->clients == NULL) {
		perror("load");
		return false;
	}
	epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, load->signal_fd, &event);
	for (int64_t i = 0; i < load->connections; i++) {
		load->clients[i].fd = -1;
		load->clients[i].next_free = load->free_clients;
		load->free_clients = &load->clients[i];
	}
	load->plan.process = getpid();
	return true;
}

static void clean_up(struct load *load)
{
	for (int64_t i = 0; load->clients != NULL && i < load->connections; i++) {
		disconnect(&load->clients[i]);
		plan_free_request(&load->clients[i].request);
		bytes_free(&load->clients[i].response.in);
	}
	free(load->clients);
	if (load->addresses != NULL)
		freeaddrinfo(load->addresses);
	report_free(&load->report);
}

static void read_options(struct load *load, int argc, char **argv)
{
	struct load_plan *plan = &load->plan;
	const struct option_row rows[] = {
	    {"url", "URL", OPTION_TEXT, &load->url, "http://HOST[:PORT][/PATH]"},
	    {"connections", "N", OPTION_NUMBER, &load->connections, "at the same time (8)"},
	    {"rate", "R", OPTION_NUMBER, &load->rate, "requests a second (no limit)"},
	    {"requests", "N", OPTION_NUMBER, &load->requests, "stop after this number"},
	    {"duration", "DURATION", OPTION_DURATION, &load->duration_ms, "stop after this time"},
	    {"timeout", "DURATION", OPTION_DURATION, &load->timeout_ms, "of one request (30s)"},
	    {"post", "BYTES", OPTION_NUMBER, &plan->post_bytes, "POST this size, expect it back"},
	    {"chunked", NULL, OPTION_FLAG, &plan->is_chunked, "with --post: send it in chunks"},
	    {"mix", NULL, OPTION_FLAG, &plan->is_mix, "in turn: GET, POST, sizes, chunks"},
	    {"field", "NAME: VALUE", OPTION_TEXT, &plan->field, "one more field of each request"},
	    {"expect", "STATUS", OPTION_NUMBER, &load->expected_status, "the only good status"},
	    {"header-report", "NAME", OPTION_TEXT, &load->report_field,
		"field to count answers by (x-app-url)"},
	    {"timeline", NULL, OPTION_FLAG, &load->is_timeline, "a line of counts as they happen"},
	    {"interval", "DURATION", OPTION_DURATION, &load->interval_ms, "of the timeline (1s)"},
	    {"show", NULL, OPTION_FLAG, &load->is_showing, "print each answer"},
	    {"json", NULL, OPTION_FLAG, &load->is_json, "print one JSON object a line"}, {0}};

	options_parse(
	    &(struct option_tables){"sends requests, checks every answer; exit status 1 if one "
				    "was bad",
		rows, NULL},
	    argc, argv);
	if (load->url == NULL || !plan_parse_url(plan, load->url)) {
		fprintf(stderr, "load: --url http://HOST[:PORT][/PATH] is needed\n");
		exit(2);
	}
	if (load->requests == 0 && load->duration_ms == 0) {
		fprintf(stderr, "load: --requests or --duration is needed\n");
		exit(2);
	}
	if (load->connections == 0 || load->interval_ms == 0) {
		fprintf(stderr, "load: --connections and --interval are at least 1\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct load load = {.connections = 8,
	    .timeout_ms = 30000,
	    .interval_ms = 1000,
	    .report_field = "x-app-url",
	    .plan = {.post_bytes = -1}};
	bool is_good = false;

	read_options(&load, argc, argv);
	if (!prepare(&load)) {
		clean_up(&load);
		return 2;
	}
	run(&load);
	if (!load.is_showing || load.is_json)
		report_print(&load.report, load.is_json);
	is_good = report_failures(&load.report) == 0 && report_requests(&load.report) > 0;
	clean_up(&load);
	return is_good ? 0 : 1;
}
