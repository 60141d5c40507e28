/*
 * session - the life of an HTTP connection that was accepted: introduced, idle, serving, lingering.
 *
 * A session owns the connection and its one timer, and between requests nothing else: an idle one
 * has no buffer, but for empty lines that came before a request. With the first byte of a request
 * its handler begins to serve it, and session_run goes on from there until everything waits: the
 * one way in for events of the client, of the other connections of the request, and of the clock.
 * Requests that were pipelined are served one after the other.
 *
 * Introduced: where the listener expects a PROXY header, the proxy in front says first who the
 * client is. No byte of a request is looked at before that header is whole and good; anything else,
 * and silence, end the connection.
 *
 * Lingering: after an answer to a client that may still be sending, rondo ends its own side, and
 * for a while reads and drops all bytes that come, so that a reset does not destroy the answer on
 * its way. RFC 9112, 9.6.
 *
 * `struct sessions` is a set of sessions that are served alike: the clients of the proxy, and those
 * of each socket of the admin. Its slab is the admission control.
 */
#ifndef RONDO_PROXY_SESSION_H
#define RONDO_PROXY_SESSION_H

#include "base/slab.h"
#include "http/conn.h"
#include "proxy/reports.h"
#include "proxy/binding.h"

/* How the connection goes on. */
enum session_next {
	NEXT_WAIT,      /* the request is not over */
	NEXT_KEEP,      /* another request may follow */
	NEXT_CLOSE,     /* once the client has read the answer, whatever it still sends */
	NEXT_RESET,     /* the client must notice that the answer is not whole */
	NEXT_LATE_RESET /* the same, but an earlier answer is still on its way; own_bytes is set */
};

enum session_state {
	SESSION_INTRODUCED, /* its PROXY header is awaited */
	SESSION_IDLE,       /* between requests */
	SESSION_SERVING,    /* the request says what it waits for, and arms the timer */
	SESSION_LINGERING,  /* the last answer is sent; bytes that still come are dropped */
	SESSION_RESETTING,  /* it is to be reset when earlier answers have arrived */
	SESSION_ENDED,
	SESSION_STATES
};

/* Who sends the requests. */
struct session_client {
	struct net_addr addr; /* the connection's other end, or who its PROXY header names */
	char ip[NET_IP_TEXT_SIZE];
	char peer_ip[NET_IP_TEXT_SIZE]; /* the connection's other end */
	bool is_https;                  /* by its listener, or by its PROXY header */
};

struct session {
	struct conn client;
	struct sessions *sessions;
	struct session *prev, *next; /* in sessions->first */
	void *request;               /* SESSION_SERVING: the handler's */
	struct binding binding;      /* kept from request to request by the handler */
	struct timer timer;
	enum session_state state;
	unsigned served;         /* requests in this run */
	uint64_t received, sent; /* bytes of the connection that its sessions have counted */
	int64_t began_us;
	int64_t due_us; /* of all states but SESSION_SERVING */
	int64_t
	    linger_until_us; /* SESSION_LINGERING: and not later than then, even if bytes come */
	/* SESSION_RESETTING: bytes of the answer that was cut off, all that have not arrived, and
	 * until when fewer of them must be left. */
	uint64_t own_bytes;
	size_t unsent;
	int64_t stalled_us;
	struct session_client from;
	struct loop_task free_task;
};

/* The handler that serves the requests. `request` is the object that `begin` returned; a session
 * has one at most. */
struct session_handler {
	/* The first bytes of a request are in session->client.in. NULL without memory. */
	void *(*begin)(struct session *session);
	/* Goes on until it waits: then it has said so to the connection (conn_want) and the timer.
	 * All other answers mean that the request is over, and freed. */
	enum session_next (*run)(void *request);
	/* The timer is due; `run` follows. */
	void (*on_due)(void *request);
	/* The connection is broken; `run` follows. */
	void (*on_broken)(void *request);
	/* Ends and frees it. */
	void (*abort)(void *request);
	/* Requests of one client that are served before others have their turn. */
	unsigned turn;
};

struct sessions {
	const struct session_handler *handler;
	struct loop *loop;
	struct reports *reports; /* of connections that are closed for what came; NULL: says all */
	struct slab *blocks;     /* for the buffers of connections */
	struct slab slab;        /* its limit is that of new sessions, and may be changed */
	struct session *first;   /* utlist DL, the oldest first */
	int64_t idle_us;         /* how long a client may take to begin a request; may be changed */
	int64_t
	    introduce_us;  /* how long it may take from the accept to the end of a PROXY header */
	int64_t linger_us; /* how long it may go on sending after the last answer */
	/* Where there is no room, the oldest idle session ends; where none is idle, the oldest, if
	 * it is older than this. 0 = they stay. */
	int64_t gives_way_us;
	uint64_t accepted;       /* since the start */
	uint64_t received, sent; /* bytes, since the start */
	uint64_t accept_pauses;  /* times accepting paused for want of descriptors or memory */
	/* A session ended: there is room for another one. May be NULL. */
	void (*on_room)(struct sessions *sessions);
};

/* No session, and no room for one: the caller sets the members that may be changed. */
void sessions_init(struct sessions *sessions, const struct session_handler *handler,
    struct loop *loop, struct slab *blocks);

/* Gives the memory back, after the end of the loop. */
void sessions_finish(struct sessions *sessions);

static inline bool sessions_are_full(const struct sessions *sessions)
{
	return sessions->slab.in_use >= sessions->slab.limit;
}

/* Ends a session, where they give way; on_room tells when its place is free. */
void sessions_make_room(struct sessions *sessions);

/* A connection that was accepted. */
struct session_origin {
	const struct net_addr *peer;
	bool is_introduced; /* a PROXY header comes first */
	bool is_https;
};

/* May the log say that a connection is closed for this reason? */
bool sessions_may_say(struct sessions *sessions, const char *why);

/* Takes over its descriptor. False, and it is still the caller's, when there is no room. */
bool session_start(struct sessions *sessions, int fd, const struct session_origin *origin);

/* Goes on: an event came that the request waits for. The session may be over then. */
void session_run(struct session *session);

/* The process stops: idle clients have a moment left for a request that is already on its way, and
 * clients that go on sending after their last answer have little more. Answers must close their
 * connections from now on. */
void sessions_drain(struct sessions *sessions);

/* Ends all of them at once. */
void sessions_abort(struct sessions *sessions);

#endif
