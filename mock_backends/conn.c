#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX     (64 << 10)
#define BODY_MAX     (64 << 20)
#define READ_SIZE    (16 << 10)
#define REQUEST_LINE 2100
#define LINGER_MS    2000
#define SETTLE_MS    20

/* The result of a step: go on with the next one, wait for the peer or the clock, or close. */
enum step { STEP_ON, STEP_WAIT, STEP_CLOSE };

int64_t conn_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const struct mock_request *mock_request(const struct mock_conn *conn)
{
	return &conn->request;
}

const char *mock_name(const struct mock_conn *conn)
{
	return conn->server->name;
}

struct bytes *mock_out(struct mock_conn *conn)
{
	return &conn->out;
}

void mock_hold(struct mock_conn *conn, int64_t ms)
{
	/* The clock is rounded down to milliseconds: add one, so that the end is never early. */
	conn->hold_until_ms = conn_clock_ms() + ms + (ms > 0);
}

void mock_pace(struct mock_conn *conn, size_t from, int64_t ms)
{
	conn->pace_from = from;
	conn->pace_ms = ms;
}

void mock_end(struct mock_conn *conn, enum mock_ending ending)
{
	conn->is_ended = true;
	if (ending != MOCK_KEEP)
		conn->ending = ending;
}

void mock_set_idle(struct mock_conn *conn, int64_t ms)
{
	conn->idle_ms = ms;
}

/* Calls a hook; true if it composed an answer. */
static bool call_hook(struct mock_conn *conn, void (*hook)(struct mock_conn *, void *))
{
	if (hook != NULL)
		hook(conn, conn->server->behaviour->own);
	return conn->out.length > 0 || conn->is_ended;
}

void conn_arm_timer(struct mock_conn *conn, int64_t at_ms)
{
	conn->timer_ms = at_ms;
	if (at_ms < conn->server->next_timer_ms)
		conn->server->next_timer_ms = at_ms;
}

/* Fills the request from the head; false if the head is not an HTTP/1 request. */
static bool parse_head(struct mock_conn *conn)
{
	struct mock_request *request = &conn->request;
	const struct bytes *head = &request->head;
	char line[REQUEST_LINE];
	char value[64];
	char *end = NULL;
	char minor[2] = "";

	snprintf(line, sizeof(line), "%.*s", (int)head->length, head->at);
	if (sscanf(line, "%15[^ \r\n] %2047[^ \r\n] HTTP/1.%1[01]\r", request->method,
		request->target, minor) != 3)
		return false;
	request->is_http_1_0 = minor[0] == '0';
	request->keep_alive = request->is_http_1_0 ? head_has_word(head, "Connection", "keep-alive")
						   : !head_has_word(head, "Connection", "close");
	head_find_field(head, "Content-Type", request->content_type, sizeof(request->content_type));
	conn->is_chunked = head_has_word(head, "Transfer-Encoding", "chunked");
	conn->content_length = 0;
	if (!head_find_field(head, "Content-Length", value, sizeof(value)))
		return true;
	conn->content_length = strtoul(value, &end, 10);
	return value[0] >= '0' && value[0] <= '9' && *end == '\0' && !conn->is_chunked;
}

/* The server's own answer to a broken request; no hook is called. */
static enum step refuse(struct mock_conn *conn, const char *status)
{
	bytes_addf(
	    &conn->out, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status);
	mock_end(conn, MOCK_LINGER);
	conn->state = ANSWERING;
	return STEP_ON;
}

/* Clears the last exchange; bytes behind its request stay. */
static void start_request(struct mock_conn *conn, size_t used)
{
	bytes_drop(&conn->in, used);
	bytes_clear(&conn->out);
	conn->sent = 0;
	conn->is_ended = false;
	conn->is_settled = false;
	conn->ending = MOCK_KEEP;
	conn->hold_until_ms = 0;
	conn->pace_ms = 0;
	conn->chunks = (struct chunks){0};
	conn->state = READING_HEAD;
	if (conn->idle_ms > 0)
		conn_arm_timer(conn, conn_clock_ms() + conn->idle_ms + 1);
	conn->idle_ms = 0;
}

static enum step step_head(struct mock_conn *conn)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	size_t length = bytes_find_end(&conn->in, "\r\n\r\n");

	if (conn->in.length > 0)
		conn->timer_ms = 0;
	if (length == 0 && conn->in.length > HEAD_MAX)
		return refuse(conn, "431 Request Header Fields Too Large");
	if (length == 0)
		return STEP_WAIT;
	conn->request.head = (struct bytes){.at = conn->in.at, .length = length};
	conn->chunks = (struct chunks){.body_end = length, .next = length};
	if (!parse_head(conn))
		return refuse(conn, "400 Bad Request");
	conn->server->served++;
	conn->ending = conn->request.keep_alive ? MOCK_KEEP : MOCK_LINGER;
	conn->state = ANSWERING;
	if (call_hook(conn, conn->server->behaviour->on_head))
		return STEP_ON;
	conn->state = READING_BODY;
	if (conn->in.length == length && head_has_word(&conn->request.head, "Expect", "100-"))
		send(conn->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL);
	return STEP_ON;
}

/* The progress of the body; `chunks` keeps where it ends and where the next request begins. */
static enum message_progress read_body(struct mock_conn *conn)
{
	size_t end = conn->request.head.length + conn->content_length;

	if (conn->is_chunked)
		return chunks_undo(&conn->chunks, &conn->in);
	if (conn->in.length < end)
		return MESSAGE_MORE;
	conn->chunks = (struct chunks){.body_end = end, .next = end};
	return MESSAGE_DONE;
}

static enum step step_body(struct mock_conn *conn)
{
	struct mock_request *request = &conn->request;

	if (conn->content_length > BODY_MAX || conn->chunks.body_end > BODY_MAX)
		return refuse(conn, "413 Content Too Large");
	switch (read_body(conn)) {
	case MESSAGE_MORE:
		return STEP_WAIT;
	case MESSAGE_BROKEN:
		return refuse(conn, "400 Bad Request");
	case MESSAGE_DONE:
		break;
	}
	request->head.at = conn->in.at; /* it may have moved while the body came */
	request->body.at = conn->in.at + request->head.length;
	request->body.length = conn->chunks.body_end - request->head.length;
	conn->state = ANSWERING;
	call_hook(conn, conn->server->behaviour->on_request);
	return STEP_ON;
}

/* How many of the composed bytes may be sent by now; arms the timer for the next one. */
static size_t due_bytes(struct mock_conn *conn)
{
	size_t due = conn->out.length;
	int64_t now = conn_clock_ms();

	if (now < conn->hold_until_ms) {
		conn_arm_timer(conn, conn->hold_until_ms);
		return 0;
	}
	if (conn->pace_ms > 0 && conn->pace_from < due) {
		int64_t steps = 0;

		if (conn->hold_until_ms == 0)
			conn->hold_until_ms = now;
		steps = (now - conn->hold_until_ms) / conn->pace_ms + 1;
		if ((uint64_t)steps < due - conn->pace_from) {
			due = conn->pace_from + (size_t)steps;
			conn_arm_timer(conn, conn->hold_until_ms + steps * conn->pace_ms);
		}
	}
	return due;
}

/* The last byte was sent (or there was none): does what the behaviour chose with mock_end. */
static enum step finish_answer(struct mock_conn *conn)
{
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};

	switch (conn->ending) {
	case MOCK_KEEP:
		start_request(conn, conn->chunks.next);
		return STEP_ON;
	case MOCK_LINGER:
		shutdown(conn->fd, SHUT_WR);
		bytes_clear(&conn->in);
		conn_arm_timer(conn, conn_clock_ms() + LINGER_MS);
		conn->state = LINGERING;
		return STEP_ON;
	case MOCK_RESET:
		if (conn->sent > 0 && !conn->is_settled) {
			/* Wait: a reset discards bytes that the client has not read yet. */
			conn->is_settled = true;
			mock_hold(conn, SETTLE_MS);
			return STEP_ON;
		}
		setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		return STEP_CLOSE;
	case MOCK_CLOSE:
		break;
	}
	return STEP_CLOSE;
}

static enum step step_answer(struct mock_conn *conn)
{
	size_t due = due_bytes(conn);

	if (conn->out.length == 0 && !conn->is_ended)
		return STEP_WAIT;
	while (conn->sent < due) {
		ssize_t count =
		    send(conn->fd, conn->out.at + conn->sent, due - conn->sent, MSG_NOSIGNAL);

		if (count < 0)
			return errno == EAGAIN ? STEP_WAIT : STEP_CLOSE;
		conn->sent += (size_t)count;
	}
	if (conn->sent < conn->out.length || conn_clock_ms() < conn->hold_until_ms)
		return STEP_WAIT;
	return finish_answer(conn);
}

static uint32_t wanted_events(struct mock_conn *conn)
{
	bool is_waiting_for_clock = conn->timer_ms != 0;

	if (conn->state != ANSWERING)
		return EPOLLIN;
	return (conn->is_peer_finished ? 0 : EPOLLRDHUP) |
	       (conn->sent < conn->out.length && !is_waiting_for_clock ? EPOLLOUT : 0);
}

void conn_close(struct mock_conn *conn)
{
	struct mock_server *server = conn->server;

	if (conn->next != NULL)
		conn->next->previous = conn->previous;
	if (conn->previous != NULL)
		conn->previous->next = conn->next;
	else
		server->conns = conn->next;
	server->conn_count--;
	close(conn->fd);
	bytes_free(&conn->in);
	bytes_free(&conn->out);
	free(conn);
}

/* Runs the steps until one has to wait, then watches for the events that it waits for. */
static void run_conn(struct mock_conn *conn)
{
	enum step step = STEP_ON;
	struct epoll_event event = {.data.ptr = conn};

	while (step == STEP_ON) {
		switch (conn->state) {
		case READING_HEAD:
			step = step_head(conn);
			break;
		case READING_BODY:
			step = step_body(conn);
			break;
		case ANSWERING:
			step = step_answer(conn);
			break;
		case LINGERING:
			step = STEP_WAIT;
			break;
		}
	}
	if (step == STEP_CLOSE) {
		conn_close(conn);
		return;
	}
	event.events = wanted_events(conn);
	if (event.events != conn->interest)
		epoll_ctl(conn->server->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
	conn->interest = event.events;
}

void conn_start(struct mock_server *server, int fd)
{
	struct mock_conn *conn = calloc(1, sizeof(*conn));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
	const int on = 1;

	if (conn == NULL || epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		close(fd);
		free(conn);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->server = server;
	conn->fd = fd;
	conn->interest = event.events;
	conn->next = server->conns;
	if (conn->next != NULL)
		conn->next->previous = conn;
	server->conns = conn;
	server->conn_count++;
	if (call_hook(conn, server->behaviour->on_accept))
		conn->state = ANSWERING;
	run_conn(conn);
}

/* Reads the bytes that have arrived; false if the client has finished or is gone. */
static bool read_more(struct mock_conn *conn)
{
	size_t wish = conn->in.length > READ_SIZE ? conn->in.length : READ_SIZE;
	ssize_t count = 0;

	if (conn->state == LINGERING)
		conn->in.length = 0;
	bytes_reserve(&conn->in, wish);
	count = read(conn->fd, conn->in.at + conn->in.length, conn->in.room - conn->in.length);
	if (count < 0)
		return errno == EAGAIN;
	conn->in.length += (size_t)count;
	return count > 0;
}

void conn_on_event(struct mock_conn *conn, uint32_t events)
{
	bool is_gone = (events & (EPOLLERR | EPOLLHUP)) != 0;

	if (!is_gone && conn->state != ANSWERING)
		is_gone = !read_more(conn);
	if (!is_gone && conn->state == ANSWERING && (events & EPOLLRDHUP) != 0) {
		/* A client may finish sending and still wait for its answer. */
		conn->is_peer_finished = true;
		is_gone = conn->out.length == 0 && !conn->is_ended;
	}
	if (is_gone)
		conn_close(conn);
	else
		run_conn(conn);
}

void conn_on_timer(struct mock_conn *conn)
{
	conn->timer_ms = 0;
	if (conn->state == LINGERING) {
		conn_close(conn);
		return;
	}
	if (conn->state == READING_HEAD && call_hook(conn, conn->server->behaviour->on_idle))
		conn->state = ANSWERING;
	run_conn(conn);
}
