/*
 * conn - one client's connection to a mock backend. Only mock.c (the server) and conn.c use this
 * header; behaviours use mock.h.
 *
 * Its state is its place in the cycle: reading a head, reading a body, answering, and at the end
 * perhaps lingering. Every event and timer runs the steps of the states until one has to wait. A
 * connection closes itself only inside its own event or timer.
 */
#ifndef MOCK_CONN_H
#define MOCK_CONN_H

#include "mock.h"

enum conn_state { READING_HEAD, READING_BODY, ANSWERING, LINGERING };

struct mock_server {
	const struct mock_behaviour *behaviour;
	const char *host; /* NULL: both loopback addresses */
	const char *name; /* NULL: none */
	int64_t port;
	bool is_verbose;
	int epoll_fd;
	int signal_fd;
	int listen_fds[2]; /* -1: not in use */
	struct mock_conn *conns;
	size_t conn_count;
	size_t conn_limit;     /* at this number accepting pauses until a connection ends */
	int64_t next_timer_ms; /* no connection's timer is earlier */
	uint64_t served;
};

struct mock_conn {
	struct mock_conn *next;
	struct mock_conn *previous;
	struct mock_server *server;
	int fd;
	enum conn_state state;
	uint32_t interest;     /* what epoll was told to watch for */
	int64_t timer_ms;      /* 0: none */
	bool is_peer_finished; /* the client's FIN came while it was being answered */

	struct bytes in; /* the head, the body and the bytes behind it */
	struct mock_request request;
	bool is_chunked;
	size_t content_length;
	struct chunks chunks; /* of any body: where it ends, where the next request begins */

	struct bytes out;
	size_t sent;
	bool is_ended;   /* a hook has called mock_end */
	bool is_settled; /* the bytes before a reset have had time to arrive */
	enum mock_ending ending;
	int64_t hold_until_ms;
	int64_t pace_ms; /* 0: as fast as possible */
	size_t pace_from;
	int64_t idle_ms;
};

/* The monotonic clock. */
int64_t conn_clock_ms(void);

/* Takes the descriptor and serves it. */
void conn_start(struct mock_server *server, int fd);

void conn_on_event(struct mock_conn *conn, uint32_t events);

/* Due at `timer_ms`. */
void conn_on_timer(struct mock_conn *conn);

/* The server calls conn_on_timer() at `at_ms`; there is one timer, and the last call sets it. */
void conn_arm_timer(struct mock_conn *conn, int64_t at_ms);

void conn_close(struct mock_conn *conn);

#endif
