/*
 * oracle - what must hold in every world.
 *
 * Servers and clients report what they see, and some of rondo's own calls are listened to (ld --wrap): which server is picked, how
 * the tries of a request are judged, what is logged of it. Each is held against what the network and the servers really did, and
 * against the law as it stands in words, never against rondo's own reasoning.
 */
#ifndef RONDO_SIM_ORACLE_H
#define RONDO_SIM_ORACLE_H

#include "message.h"

void oracle_start(void);

/* Everything is over. */
void oracle_finish(void);

/* The request that a target names, or NULL. */
struct request *oracle_find_request(struct str target);

/* May it be sent to another server, by these rules, although one got bytes of it? Only if its content is still there, and it is
 * for certain where it must. */
bool oracle_may_repeat(const struct request *request, const struct proxy_retry_options *rules);
bool oracle_must_repeat(const struct request *request, const struct proxy_retry_options *rules);

/* Does no server see anything of it before rondo has all of it? */
bool oracle_is_gathered(const struct request *request, const struct proxy_retry_options *rules);

/* Its client has gone, and what it asked for is of no use: rondo must know that, or may. */
bool oracle_has_lost_client(const struct request *request);
bool oracle_may_have_lost_client(const struct request *request);

/* Was rondo short of anything that this request may have to bear? */
bool oracle_was_short(const struct request *request);

/* ---- at the servers */

/* A server got bytes of a request that it can tell. */
void oracle_visited(struct visit *visit);

/* All of a request's bytes were accepted by the kernel. */
void oracle_request_is_whole(const struct visit *visit, const struct reader *reader);

/* rondo closed the connection while the visit lasted. */
void oracle_visit_ends(const struct visit *visit);

/* ---- at the clients */

void oracle_answer_begins(struct request *request, const struct message_answer *answer);
void oracle_answered(
    struct request *request, const struct message_answer *answer, const struct reader *reader);

/* Its connection ended before its answer was whole; `visit` is whose answer had begun, or -1. */
void oracle_unanswered(const struct request *request, int64_t visit);

/* rondo closed a connection on which nothing was asked since then; so many shortages there were by then. */
void oracle_idle_client_ends(int64_t idle_us, uint64_t shortages_before);

/* One end of a tunnel did not get all that the other end put into it. */
void oracle_tunnel_broke(const struct request *request, const struct visit *visit);

/* For backend_env.on_change. */
void oracle_state_changed(struct backend *backend);

#endif
