/*
 * listener - accepts connections for a set of sessions, within its limit.
 *
 * One for each address. If the set is full it stops accepting until a session ends: clients wait in
 * the kernel's queue, they are not refused. Out of descriptors or memory it pauses the same way,
 * and tries again when a session ends or after a moment. A bounded number is accepted for one
 * event, so that established connections have their turn. Where only certain proxies may connect,
 * all other peers are closed at once, without a session.
 *
 * When it is to end, it lets nobody more in and accepts those that wait, a few each turn. It closes
 * when none is left and the handshakes under way had a moment to end.
 */
#ifndef RONDO_PROXY_LISTENER_H
#define RONDO_PROXY_LISTENER_H

#include "proxy/options.h"
#include "proxy/session.h"

struct listener {
	struct watch watch; /* fd -1: closed */
	struct sessions *sessions;
	struct listener_options options; /* of those it accepts from now on; may be changed */
	struct timer timer; /* the end of the pause, at the latest; when ending, the next look */
	struct net_addr addr;
	struct net_file file; /* of a Unix socket; while this is open no other can have its inode */
	bool paused;
	bool is_ending;
	int64_t ends_us; /* when ending: not before */
	/* When ending: it has closed by itself, and may be freed. Set by listener_end. */
	void (*on_end)(struct listener *listener);
	int64_t warned_us; /* the last line about a shortage; one in ten seconds is enough */
};

/* Takes over a listening descriptor. Negative errno when the loop has no room: `fd` is the caller's
 * then, and the listener is closed. */
int listener_open(struct listener *listener, struct sessions *sessions, int fd);

static inline bool listener_is_open(const struct listener *listener)
{
	return listener->watch.fd >= 0;
}

/* Lets nobody more in, accepts those that wait as far as there is room, and calls `on_end` when it
 * has closed. `is_shared`: others listen on the same port (net_listen_end). Never calls it before
 * it returns. */
void listener_end(
    struct listener *listener, bool is_shared, void (*on_end)(struct listener *listener));

/* Stops accepting and closes the descriptor. Clients in the queue are refused, unless another
 * process has the socket too. Does nothing to a closed one. */
void listener_close(struct listener *listener);

/* There is room again: accepts on. */
void listener_resume(struct listener *listener);

#endif
