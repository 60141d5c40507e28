/*
 * listeners - the addresses that clients connect to.
 *
 * One listener for each `listen` of the running configuration. A new configuration is applied in
 * two steps: first everything it adds is opened, which can fail and then leaves all as it was; then
 * what it does not list is closed. Before a socket closes, the connections in its queue are
 * accepted.
 *
 * Sockets that a supervisor passed at the start (passed_sockets) stay open for the life of the
 * process, whatever `listen` says, since clients can connect to them as long as the supervisor
 * holds them. A `listen` for the same port uses them; when there are some, the default of `listen`
 * is not opened. Sockets of a predecessor are used where `listen` names their address, else closed.
 */
#ifndef RONDO_DAEMON_LISTENERS_H
#define RONDO_DAEMON_LISTENERS_H

#include "config/config.h"
#include "passed_sockets.h"
#include "proxy/listener.h"

struct listeners_entry;

struct listeners {
	struct sessions *sessions; /* of the clients */
	struct passed_sockets *passed;
	struct listeners_entry *first;
	bool share_port;     /* other processes listen on the same ports (RONDO_REUSE_PORT=1) */
	bool has_adopted;    /* the supervisor's sockets were taken over */
	bool is_handed_over; /* a successor listens on the same sockets */
};

/* Empty. Reads $RONDO_REUSE_PORT. */
void listeners_init(
    struct listeners *listeners, struct sessions *sessions, struct passed_sockets *passed);

/* Opens the sockets that `config` adds. On failure it logs, changes nothing and returns false. Call
 * one of the next two functions in the same turn of the loop. */
bool listeners_prepare(struct listeners *listeners, const struct config *config);

/* Closes the sockets that `config` does not list. */
void listeners_commit(struct listeners *listeners);

/* There is room for connections again. */
void listeners_resume(struct listeners *listeners);

/* Accepts the waiting connections, if no other process will do it, and closes all sockets. */
void listeners_close(struct listeners *listeners);

/* Lists the sockets for a successor, at most `size`. Returns their number. */
size_t listeners_list(
    const struct listeners *listeners, struct socket_to_pass *sockets, size_t size);

/* Writes the addresses, separated by commas, as many as fit. */
void listeners_format(const struct listeners *listeners, char *text, size_t size);

#endif
