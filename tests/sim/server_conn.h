/*
 * server_conn - a server's end of a connection: what the bodies of server share.
 *
 * server.c keeps connections and takes what rondo sends; server_answer.c makes answers up and gives them.
 */
#ifndef RONDO_SIM_SERVER_CONN_H
#define RONDO_SIM_SERVER_CONN_H

#include "server.h"
#include "text.h"

enum phase {
	TAKING,   /* the request comes */
	THINKING, /* the answer is due at act_us */
	GIVING,   /* the answer goes */
	TUNNEL,
	SILENT /* neither takes nor gives any more, until rondo gives up */
};

struct server_conn {
	struct peer peer;
	struct server *server;
	struct server_conn *prev, *next;
	enum phase phase;
	struct reader reader;
	struct text wire;
	size_t sent, limit; /* of wire: how much was sent, how much will be */
	size_t answer_end;  /* what follows in wire belongs to no answer */
	size_t hold;        /* what follows in wire is kept back until the request is whole */
	enum ending ending;
	int64_t visit; /* -1 between requests */
	int64_t last_visit;
	bool is_probe, is_done, is_stuck, was_decided, is_extra, has_ended;
	bool is_followed;   /* more may come behind an answer that was given */
	bool has_continued; /* said 100 before it had the request */
	bool has_answered;  /* before the request was whole */
	int64_t extra_us;   /* when something was sent that belongs to no answer; 0 = never */
	unsigned served;
	int64_t connected_us;
	size_t piece; /* bytes at once */
	int64_t gap_us, act_us, idle_us;
	int64_t surplus_us; /* when it sends what belongs to no answer, unless it is asked before */
	int64_t leave_us; /* when it has enough of waiting for the rest of the request; 0 = never */
	unsigned pauses;  /* long ones, still to be made */
	size_t pause_at;  /* the next of them; of wire */
	int64_t pause_us;
	uint64_t up; /* bytes taken out of the tunnel */
};

/* Does that vice come through this time? */
static inline bool server_rolls(const struct server *server, enum vice vice)
{
	return dice_chance(&world.dice, server->vices[vice]);
}

/* NULL between requests. */
static inline struct visit *server_visit(const struct server_conn *conn)
{
	return conn->visit < 0 ? NULL : &world.visits[conn->visit];
}

/* ---- server.c */

/* The server ends the connection; whatever was promised on it is lost. */
void server_drop(struct server_conn *conn, bool reset);

/* The answer is given, and another request may come. */
void server_end_visit(struct server_conn *conn);

/* ---- server_answer.c */

/* The request, or enough of it, is here: what now? */
void server_decide(struct server_conn *conn);

void server_answer_probe(struct server_conn *conn);

/* What belongs to no answer follows one. */
void server_give_surplus(struct server_conn *conn);

/* Gives as much of the answer as is due. */
void server_give(struct server_conn *conn);

#endif
