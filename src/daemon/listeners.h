/*
 * listeners - the addresses that clients connect to.
 *
 * One listener for each `listen` of the running configuration. A new configuration is applied in
 * two steps: first everything it adds is opened, which can fail and then leaves all as it was; then
 * what it does not list is closed. A socket that closes refuses new connections at once, and stays
 * for the moment that it takes to accept those in its queue; nothing waits for that.
 *
 * Sockets that a supervisor passed at the start (passed_sockets) stay open for the life of the
 * process, whatever `listen` says, since clients can connect to them as long as the supervisor
 * holds them. A `listen` for the same port uses them; when there are some, the default of `listen`
 * is not opened. Sockets of a predecessor are used where `listen` names their address, else closed.
 */
#ifndef RONDO_DAEMON_LISTENERS_H
#define RONDO_DAEMON_LISTENERS_H

#include "config/config.h"
#include "config/errors.h"
#include "passed_sockets.h"
#include "proxy/listener.h"

struct listeners_entry;

struct listeners {
	struct sessions *sessions; /* of the clients */
	struct passed_sockets *passed;
	struct listeners_entry *first;
	struct listeners_entry *ending; /* closed as soon as their queues are empty */
	/* The last one of those that were ending has closed. */
	void (*on_ended)(struct listeners *listeners);
	bool share_port;  /* other processes listen on the same ports (RONDO_REUSE_PORT=1) */
	bool has_adopted; /* the supervisor's sockets were taken over */
	bool has_replaced_default; /* these are served instead of the default of `listen` */
	bool is_handed_over;       /* a successor listens on the same sockets */
};

/* Empty. Reads $RONDO_REUSE_PORT. */
void listeners_init(
    struct listeners *listeners, struct sessions *sessions, struct passed_sockets *passed);

/* How many sockets there are, those that are ending included. */
size_t listeners_count(const struct listeners *listeners);

/* Appends the sockets that are open now and will not be with `config`; there is room for all. */
void listeners_list_leaving(
    struct listeners *listeners, const struct config *config, struct net_leaving *leaving);

/* Opens the sockets that `config` adds, beside those that leave. On failure it changes nothing and
 * returns false. Call one of the next two functions in the same turn of the loop. */
bool listeners_prepare(struct listeners *listeners, struct config *config,
    const struct net_leaving *leaving, struct config_refusal *refusal);

/* Closes the sockets that `config` does not list, and treats new connections of the others as it
 * says. */
void listeners_commit(struct listeners *listeners, struct config *config);

/* Closes the sockets that were opened for it. */
void listeners_cancel(struct listeners *listeners);

/* There is room for connections again. */
void listeners_resume(struct listeners *listeners);

/* Lets nobody more in, and closes each socket when the connections in its queue are accepted; at
 * once where another process accepts them. */
void listeners_end(struct listeners *listeners);

static inline bool listeners_have_ended(const struct listeners *listeners)
{
	return !listeners->first && !listeners->ending;
}

/* Closes all sockets, whoever waits. */
void listeners_close(struct listeners *listeners);

/* Lists the sockets for a successor, at most `size`. Returns their number. */
size_t listeners_list(
    const struct listeners *listeners, struct socket_to_pass *sockets, size_t size);

/* Writes the addresses, separated by commas, as many as fit. */
void listeners_format(const struct listeners *listeners, char *text, size_t size);

#endif
