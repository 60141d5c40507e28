#include "server.h"

#include "message.h"
#include "oracle.h"
#include "sim_loop.h"
#include "sim_net.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

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
	enum ending ending;
	int64_t visit; /* -1 between requests */
	int64_t last_visit;
	bool is_probe, is_done, is_stuck, was_decided, is_extra, has_ended;
	bool has_continued; /* said 100 before it had the request */
	bool has_answered;  /* before the request was whole */
	int64_t extra_us;   /* when something was sent that belongs to no answer; 0 = never */
	unsigned served;
	size_t piece; /* bytes at once */
	int64_t gap_us, act_us, idle_us;
	uint64_t up; /* bytes taken out of the tunnel */
};

static struct server_conn *spare;

static void run(struct peer *peer);

static bool rolls(const struct server *server, enum vice vice)
{
	return dice_chance(&world.dice, server->vices[vice]);
}

static struct visit *visit_of(const struct server_conn *conn)
{
	return conn->visit < 0 ? NULL : &world.visits[conn->visit];
}

/* ---- life of a connection */

static struct server_conn *create(struct server *server)
{
	struct server_conn *conn = spare;
	struct text wire = {0};

	if (conn) {
		spare = conn->next;
		wire = conn->wire;
	} else {
		conn = malloc(sizeof(*conn));
	}
	if (!conn)
		abort();
	wire.len = 0;
	peer_init(&conn->peer, run);
	conn->server = server;
	conn->phase = TAKING;
	conn->wire = wire;
	conn->sent = conn->limit = 0;
	conn->visit = conn->last_visit = -1;
	conn->is_probe = conn->is_done = conn->is_stuck = conn->was_decided = conn->is_extra =
	    false;
	conn->has_ended = conn->has_answered = conn->has_continued = false;
	conn->served = 0;
	conn->act_us = conn->gap_us = conn->extra_us = 0;
	conn->idle_us = TIMER_NEVER;
	conn->up = 0;
	reader_start(&conn->reader);
	DL_APPEND(server->connections, conn);
	return conn;
}

static void forget(struct server_conn *conn)
{
	DL_DELETE(conn->server->connections, conn);
	timer_remove(channel_peers(), &conn->peer.timer);
	conn->next = spare;
	spare = conn;
}

/* What of a request came before its head was whole. */
static void identify_partly(struct server_conn *conn)
{
	struct visit *visit = visit_of(conn);
	struct str text = {conn->reader.text, conn->reader.len < 64 ? conn->reader.len : 64};
	uint32_t index;
	size_t at;

	if (!visit || visit->request >= 0 || conn->is_probe)
		return;
	at = str_find(text, '/');
	if (at + 11 > text.len || !str_starts_with((struct str){text.data + at, 3}, STR("/r/")) ||
	    !read_hex((struct str){text.data + at + 3, 8}, &index) || index >= world.request_count)
		return;
	visit->request = index;
	oracle_visited(visit);
}

/* The server ends the connection; whatever was promised on it is lost. */
static void drop(struct server_conn *conn, bool reset)
{
	struct visit *visit = visit_of(conn);

	identify_partly(conn);
	if (visit && visit->is_open) {
		visit->is_lost = true;
		/* An orderly end would be the end of the answer. */
		reset |= visit->framing == FRAMING_CLOSE;
	}
	/* What rondo has not read of the answer before may be lost with a reset. */
	if (conn->last_visit >= 0 && conn->peer.channel->in.data)
		world.visits[conn->last_visit].is_lost = true;
	conn->server->lost_in_head |= visit && visit->request < 0;
	if (!visit || visit->request < 0)
		conn->server->outcomes[conn->served > 0 ? OUTCOME_STALE : OUTCOME_RESET]++;
	trace("server # drops a connection (reset #)", conn->server->index, reset, 0);
	if (reset)
		peer_reset(&conn->peer);
	else
		peer_close(&conn->peer);
	forget(conn);
}

void server_close_all(struct server *server, bool reset)
{
	struct server_conn *conn, *next;

	DL_FOREACH_SAFE (server->connections, conn, next)
		drop(conn, reset);
}

/* ---- the request, as rondo hands it to the kernel */

/* In the turn in which the connection becomes idle nobody may know yet of what else came. */
static void check_nothing_extra(const struct server_conn *conn)
{
	int64_t judged_us = sim_loop_judged_us(world.loop);
	const struct visit *last = conn->last_visit < 0 ? NULL : &world.visits[conn->last_visit];

	if (conn->extra_us == 0 || !last || last->request < 0)
		return;
	check("what a backend sends beyond its answer is never interpreted",
	    conn->extra_us >= judged_us || world.requests[last->request].logged_us >= judged_us,
	    "server %d sent it %lld us ago", conn->server->index,
	    (long long)(trace_now_us() - conn->extra_us));
}

/* It went to the pool when its last request was logged, at the latest. */
static void check_rest(const struct server_conn *conn)
{
	const struct visit *last = conn->last_visit < 0 ? NULL : &world.visits[conn->last_visit];
	int64_t most_us = 0;

	if (!last || last->request < 0 || world.requests[last->request].logged_us == 0)
		return;
	for (size_t i = 0; i <= world.rules_now; i++)
		if (world.rules[i].timeouts.backend_idle_us > most_us)
			most_us = world.rules[i].timeouts.backend_idle_us;
	check("no connection is used after timeouts.backend_idle",
	    sim_loop_judged_us(world.loop) <=
		world.requests[last->request].logged_us + most_us + 1000,
	    "server %d", conn->server->index);
}

static struct visit *begin_visit(struct server_conn *conn)
{
	struct visit *visit = world_add_visit();

	*visit = (struct visit){
	    .request = -1,
	    .server = conn->server->index,
	    .is_reused = conn->served > 0,
	    .is_open = true,
	    .is_stuck = conn->is_stuck,
	    .began_us = trace_now_us(),
	    .read_before = conn->peer.channel->read,
	    .is_tainted = conn->extra_us > 0,
	};
	check_nothing_extra(conn);
	check_rest(conn);
	world.tainted += visit->is_tainted;
	conn->visit = visit - world.visits;
	return visit;
}

/* What the server was about to send beyond its answer comes too late. */
static bool has_given_all(const struct server_conn *conn)
{
	return conn->has_answered || (conn->phase == GIVING && conn->ending == ENDING_KEEP &&
					 conn->sent >= conn->answer_end);
}

static bool is_busy(const struct server_conn *conn)
{
	const struct visit *visit = visit_of(conn);

	/* Who left the configuration and came again is somebody new to rondo. */
	return visit && visit->request >= 0 && visit->began_us >= conn->server->configured_us &&
	       !conn->is_probe && !conn->peer.channel->proxy_gone && !has_given_all(conn);
}

static void check_room(const struct server *server)
{
	const struct server_conn *conn;
	unsigned busy = 0;

	DL_FOREACH (server->connections, conn)
		busy += is_busy(conn);
	check("max_connections holds",
	    server->options.max_connections == 0 || busy <= server->options.max_connections,
	    "%u connections to server %d are busy", busy, server->index);
}

/* The head is there: whose is it? */
static enum reader_result identify(struct server_conn *conn)
{
	struct visit *visit = visit_of(conn);
	int64_t index = message_check_request(&conn->reader, &conn->is_probe);
	const struct request *request;

	if (conn->is_probe)
		return reader_expect(&conn->reader, FRAMING_NONE, 0, 0);
	visit->request = index;
	request = &world.requests[index];
	trace("server # gets request # (visit #)", conn->server->index, index, conn->visit);
	check_room(conn->server);
	oracle_visited(visit);
	return reader_expect(
	    &conn->reader, request->framing, request->length, (uint32_t)index * 2 + 1);
}

static void end_visit(struct server_conn *conn)
{
	visit_of(conn)->is_open = false;
	if (conn->phase != SILENT)
		conn->phase = TAKING;
	conn->has_answered = conn->has_continued = false;
	if (visit_of(conn)->is_tainted)
		conn->extra_us = 0;
	conn->last_visit = conn->visit;
	conn->visit = -1;
	conn->served++;
	conn->is_done = conn->was_decided = false;
	reader_start(&conn->reader);
}

static void on_written(struct peer *peer, struct str bytes)
{
	struct server_conn *conn = container_of(peer, struct server_conn, peer);

	if (conn->phase == TUNNEL)
		return;
	/* Who sent something else before may be thought to have answered already. */
	if (conn->is_done && (has_given_all(conn) || conn->extra_us > 0))
		end_visit(conn);
	if (conn->visit < 0)
		begin_visit(conn);
	while (bytes.len > 0) {
		size_t used;
		enum reader_result result;

		check("a backend's connection carries one request at a time", !conn->is_done,
		    "more than request %lld at server %d (phase %d, ending %d, %zu of %zu)",
		    (long long)visit_of(conn)->request, conn->server->index, (int)conn->phase,
		    (int)conn->ending, conn->sent, conn->answer_end);
		result = reader_feed(&conn->reader, bytes, &used);
		check("requests are HTTP", result != READER_BAD, "server %d cannot read it",
		    conn->server->index);
		if (result == READER_HEAD)
			result = identify(conn);
		check("content is the same at both ends", !conn->reader.differs,
		    "at byte %llu of request %lld", (unsigned long long)conn->reader.content,
		    (long long)visit_of(conn)->request);
		if (result == READER_DONE) {
			conn->is_done = true;
			visit_of(conn)->sent_us = trace_now_us();
			visit_of(conn)->is_whole = true;
			if (!conn->is_probe)
				oracle_request_is_whole(visit_of(conn), &conn->reader);
		}
		bytes.data += used;
		bytes.len -= used;
	}
}

static void note_taken(struct server_conn *conn)
{
	struct visit *visit = visit_of(conn);
	const struct channel *channel = conn->peer.channel;

	visit->got_bytes = channel->read > visit->read_before;
	visit->got_final =
	    visit->is_answered && channel->read > visit->read_before + visit->final_at;
}

static void on_closed(struct peer *peer, bool reset)
{
	struct server_conn *conn = container_of(peer, struct server_conn, peer);
	struct visit *visit = visit_of(conn);

	(void)reset;
	identify_partly(conn);
	/* The next request may have waited for it to take the end of this one. */
	conn->server->outcomes[OUTCOME_STALLED] += conn->phase == SILENT;
	if (!visit)
		return;
	if (visit->request < 0)
		conn->server->outcomes[visit->is_tainted ? OUTCOME_GOOD : OUTCOME_STALLED]++;
	note_taken(conn);
	visit->closed_us = trace_now_us();
	visit->judged_us = sim_loop_judged_us(world.loop);
	oracle_visit_ends(visit);
}

/* ---- the answer */

static int64_t max_delay_us(const struct server *server)
{
	return server->options.max_delay_response_us;
}

static void choose_pace(struct server_conn *conn)
{
	conn->piece = SIZE_MAX;
	conn->gap_us = 0;
	if (dice_chance(&world.dice, 1500)) {
		conn->piece = (size_t)dice_skewed(&world.dice, 1, 2000);
		conn->gap_us = dice_skewed(&world.dice, 10, 2000);
	}
}

static unsigned any_good_status(void)
{
	static const unsigned statuses[16] = {
	    200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 201, 204, 304, 404, 301, 403};

	return statuses[dice_below(&world.dice, 16)];
}

static unsigned any_bad_status(void)
{
	const struct rules_retry *rules = &world.rules[world.rules_now].retry;

	return rules->status_count > 0
		   ? rules->statuses[dice_below(&world.dice, (unsigned)rules->status_count)]
		   : 500;
}

static void choose_content(struct visit *visit, const struct request *request)
{
	unsigned roll = dice_below(&world.dice, 10);

	visit->framing = roll < 6 ? FRAMING_LENGTH : roll < 9 ? FRAMING_CHUNKED : FRAMING_CLOSE;
	visit->length =
	    (uint32_t)dice_skewed(&world.dice, 0, dice_chance(&world.dice, 300) ? 100000 : 1500);
	if (request->method == HEAD || visit->status == 204 || visit->status == 304) {
		if (visit->framing == FRAMING_CLOSE)
			visit->framing = FRAMING_NONE;
		if (visit->status == 204)
			visit->framing = FRAMING_NONE;
	}
}

/* What kind of answer this request gets from such a server. */
static void choose_status(
    struct server_conn *conn, struct visit *visit, const struct request *request)
{
	struct server *server = conn->server;

	visit->status = any_good_status();
	server->fails_next = !server->fails_next;
	if (rolls(server, VICE_STATUS) || (server->fails_next && rolls(server, VICE_ALTERNATE)))
		visit->status = any_bad_status();
	if (request->is_poison)
		visit->status = any_bad_status();
	if (request->upgrades && visit->status == 200) {
		visit->status = 101;
		visit->switches = true;
		visit->tunnel_down = (uint32_t)dice_skewed(&world.dice, 0, 5000);
	}
	if (!visit->switches && rolls(server, VICE_UNASKED_101)) {
		visit->switches = true;
		visit->status = 101;
		visit->is_bad = !request->upgrades;
	}
}

/* A head that is none. */
static void compose_garbage(struct server_conn *conn, struct visit *visit)
{
	static const struct str heads[] = {{"SSH-2.0-OpenSSH_9\r\n", 19},
	    {"HTTP/1.1 2000 Much\r\n\r\n", 22}, {"HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n", 28},
	    {"HTTP/1.1 200 OK\nX-A: b\n\n", 24},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 61},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		72},
	    {"HTTP/2.0 200 OK\r\n\r\n", 19}};
	struct str head = heads[dice_below(&world.dice, sizeof(heads) / sizeof(*heads))];

	visit->is_bad = true;
	visit->final_at = 0;
	text_put(&conn->wire, head);
}

/* Where the answer stops, and what happens then. */
static void choose_ending(struct server_conn *conn, struct visit *visit)
{
	struct server *server = conn->server;
	bool closes = conn->ending == ENDING_CLOSE;

	conn->limit = conn->answer_end = conn->wire.len;
	conn->is_extra = false;
	if (rolls(server, VICE_CUT) || (visit->is_bad && dice_chance(&world.dice, 3000))) {
		static const enum ending endings[] = {ENDING_FIN, ENDING_RESET, ENDING_SILENCE};

		conn->limit = (size_t)dice_skewed(&world.dice, 0, (int64_t)conn->wire.len);
		conn->ending = endings[dice_below(&world.dice, 3)];
		if (visit->framing == FRAMING_CLOSE && conn->ending == ENDING_FIN &&
		    conn->limit > visit->final_at)
			conn->ending = ENDING_RESET;
		visit->is_cut = conn->limit < conn->wire.len ||
				(visit->framing == FRAMING_CLOSE && !visit->is_bad);
		if (!visit->is_cut)
			conn->ending = closes ? ENDING_CLOSE : ENDING_KEEP;
	} else if (rolls(server, VICE_EXTRA) && !visit->switches &&
		   visit->framing != FRAMING_CLOSE && !visit->is_bad) {
		text_put(&conn->wire, STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Sim: what "
					  "nobody asked\r\n\r\nextra"));
		if (dice_chance(&world.dice, 5000))
			conn->limit = conn->wire.len;
		else
			conn->is_extra = true;
	}
}

static void compose(struct server_conn *conn)
{
	struct visit *visit = visit_of(conn);
	const struct request *request = &world.requests[visit->request];
	bool closes = dice_chance(&world.dice, world.profile.calm ? 100 : 400);

	conn->wire.len = conn->sent = 0;
	choose_status(conn, visit, request);
	choose_content(visit, request);
	visit->interims = dice_chance(&world.dice, 200) ? 1 + dice_below(&world.dice, 3) : 0;
	if (rolls(conn->server, VICE_INTERIMS))
		visit->interims = 14 + dice_below(&world.dice, 6);
	visit->is_bad_content = visit->framing == FRAMING_CHUNKED && request->method != HEAD &&
				visit->status != 204 && visit->status != 304 && !visit->switches &&
				rolls(conn->server, VICE_FRAMING);
	visit->is_bad |= visit->interims + conn->has_continued > 16;
	closes = !visit->switches && (closes || visit->framing == FRAMING_CLOSE);
	conn->ending = closes ? ENDING_CLOSE : ENDING_KEEP;
	if (rolls(conn->server, VICE_GARBAGE))
		compose_garbage(conn, visit);
	else
		message_compose_answer(&conn->wire, visit, closes);
	visit->is_answered = true;
	choose_ending(conn, visit);
}

static int64_t any_delay_us(struct server_conn *conn)
{
	const struct server *server = conn->server;

	if (rolls(server, VICE_SLOW))
		return dice_between(
		    &world.dice, max_delay_us(server) / 2, max_delay_us(server) * 2);
	return dice_skewed(&world.dice, 0, world.profile.calm ? 20000 : 8000);
}

/* The request, or enough of it, is here: what now? */
static void decide(struct server_conn *conn)
{
	conn->was_decided = true;
	choose_pace(conn);
	if (rolls(conn->server, VICE_NEVER)) {
		conn->phase = SILENT;
		return;
	}
	if (rolls(conn->server, VICE_RESET)) {
		drop(conn, dice_chance(&world.dice, 5000));
		return;
	}
	compose(conn);
	conn->phase = THINKING;
	conn->act_us = trace_now_us() + any_delay_us(conn);
	if (dice_chance(&world.dice, 4000))
		conn->act_us = trace_now_us();
}

static void answer_probe(struct server_conn *conn)
{
	bool good = !rolls(conn->server, VICE_STATUS) && !rolls(conn->server, VICE_GARBAGE) &&
		    !rolls(conn->server, VICE_NEVER);

	conn->wire.len = conn->sent = 0;
	text_put(&conn->wire,
	    good ? STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		 : STR("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
	conn->limit = conn->answer_end = conn->wire.len;
	conn->ending = ENDING_CLOSE;
	conn->phase = GIVING;
	conn->piece = SIZE_MAX;
	conn->gap_us = conn->act_us = 0;
	conn->was_decided = true;
	conn->is_extra = false;
	visit_of(conn)->is_answered = true;
}

static void answer_is_given(struct server_conn *conn)
{
	struct server *server = conn->server;
	struct visit *visit = visit_of(conn);

	switch (conn->ending) {
	case ENDING_KEEP:
		break;
	case ENDING_CLOSE:
		/* Before it has read all, the end becomes a reset. */
		visit->is_open = !conn->is_done;
		drop(conn, false);
		return;
	case ENDING_FIN:
		drop(conn, false);
		return;
	case ENDING_RESET:
		drop(conn, true);
		return;
	case ENDING_SILENCE:
		conn->phase = SILENT;
		return;
	}
	if (visit->switches && !visit->is_bad) {
		conn->phase = TUNNEL;
		conn->wire.len = conn->sent = 0;
		text_put_noise(&conn->wire, 0, (uint32_t)conn->visit * 2, visit->tunnel_down);
		reader_start(&conn->reader);
		reader_expect(&conn->reader, FRAMING_CLOSE, 0, (uint32_t)visit->request * 2 + 1);
		return;
	}
	if (!conn->is_done) {
		/* Answered before the request was whole: what comes of it is still read, and then it is over. */
		conn->phase = dice_chance(&world.dice, 5000) ? SILENT : TAKING;
		conn->has_answered = true;
		return;
	}
	if (conn->is_extra && peer_send(&conn->peer, (struct str){conn->wire.data + conn->limit,
							 conn->wire.len - conn->limit}) > 0)
		conn->extra_us = trace_now_us();
	end_visit(conn);
	if (dice_chance(&world.dice, server->stale))
		conn->idle_us = trace_now_us() + dice_skewed(&world.dice, 0, 20000);
}

static void give(struct server_conn *conn)
{
	size_t left = conn->limit - conn->sent;
	size_t n = left < conn->piece ? left : conn->piece;

	if (trace_now_us() < conn->act_us) {
		peer_wake(&conn->peer, conn->act_us);
		return;
	}
	conn->sent += peer_send(&conn->peer, (struct str){conn->wire.data + conn->sent, n});
	trace("server # has sent # of #", conn->server->index, (int64_t)conn->sent,
	    (int64_t)conn->limit);
	if (conn->sent > conn->answer_end && conn->extra_us == 0)
		conn->extra_us = trace_now_us();
	conn->act_us = trace_now_us() + conn->gap_us;
	if (conn->sent == conn->limit)
		answer_is_given(conn);
	else if (!conn->peer.channel->peer_is_full)
		peer_wake(&conn->peer, conn->act_us);
}

/* ---- taking */

static void take_tunnel(struct server_conn *conn)
{
	struct str bytes = peer_content(&conn->peer);
	size_t used;

	reader_feed(&conn->reader, bytes, &used);
	check("a tunnel changes nothing", !conn->reader.differs, "at byte %llu of request %lld",
	    (unsigned long long)conn->reader.content, (long long)visit_of(conn)->request);
	peer_take(&conn->peer, bytes.len);
}

static void run_tunnel(struct server_conn *conn)
{
	struct visit *visit = visit_of(conn);
	const struct request *request = &world.requests[visit->request];
	size_t left = conn->wire.len - conn->sent;

	take_tunnel(conn);
	if (peer_is_reset(&conn->peer) || peer_is_at_end(&conn->peer)) {
		bool whole =
		    !peer_is_reset(&conn->peer) && conn->reader.content == request->tunnel_up;

		if (!whole && visit->got_final)
			oracle_tunnel_broke(request, visit);
		if (!whole || conn->has_ended || conn->peer.channel->proxy_gone) {
			visit->is_open = false;
			drop(conn, false);
			return;
		}
	}
	conn->sent += peer_send(&conn->peer, (struct str){conn->wire.data + conn->sent, left});
	if (conn->sent == conn->wire.len && !conn->has_ended) {
		conn->has_ended = true;
		peer_end(&conn->peer);
	}
}

/* rondo has closed, or broken off. */
static bool is_forsaken(struct server_conn *conn)
{
	return conn->peer.channel->proxy_gone &&
	       (peer_is_reset(&conn->peer) || peer_is_at_end(&conn->peer) || conn->is_stuck ||
		   conn->phase == SILENT);
}

static void run_taking(struct server_conn *conn)
{
	struct visit *visit = visit_of(conn);

	if (!visit) {
		if (trace_now_us() >= conn->idle_us)
			drop(conn, false);
		else if (conn->idle_us != TIMER_NEVER)
			peer_wake(&conn->peer, conn->idle_us);
		return;
	}
	if (conn->was_decided)
		return;
	if (conn->is_probe && conn->is_done) {
		answer_probe(conn);
		return;
	}
	if (visit->request < 0 || conn->is_probe)
		return;
	if (conn->is_done || rolls(conn->server, VICE_EARLY))
		decide(conn);
	else if (world.requests[visit->request].expects && !conn->has_continued &&
		 dice_chance(&world.dice, 5000)) {
		conn->has_continued = true;
		peer_send(&conn->peer, STR("HTTP/1.1 100 Continue\r\n\r\n"));
		visit->read_before += 25;
	}
}

static void run(struct peer *peer)
{
	struct server_conn *conn = container_of(peer, struct server_conn, peer);

	if (conn->phase == TUNNEL) {
		run_tunnel(conn);
		return;
	}
	if (!conn->is_stuck && conn->phase != SILENT)
		peer_take(peer, peer_content(peer).len);
	if (is_forsaken(conn)) {
		drop(conn, false);
		return;
	}
	if (conn->phase == TAKING && !conn->is_stuck)
		run_taking(conn);
	/* Deciding may have ended it: then another has its memory, or nobody. */
	if (conn->peer.channel != NULL && conn->phase == THINKING) {
		if (trace_now_us() >= conn->act_us)
			conn->phase = GIVING;
		else
			peer_wake(peer, conn->act_us);
	}
	if (conn->peer.channel != NULL && conn->phase == GIVING)
		give(conn);
}

/* ---- connecting */

void server_route(uint32_t ip, struct net_route *route)
{
	const struct server *server = &world.servers[(ip >> 8 & 255) - 1];
	int address = (int)(ip & 255) - 1;

	*route = (struct net_route){
	    .server = server->index,
	    .address = address,
	    .in_bytes = (size_t)dice_skewed(&world.dice, 64, QUEUE_BYTES),
	    .out_bytes = (size_t)dice_skewed(&world.dice, 64, QUEUE_BYTES),
	    .latency_us = dice_skewed(&world.dice, 0, 500),
	    .after_us = dice_chance(&world.dice, 2000) ? 0 : dice_skewed(&world.dice, 1, 1000),
	};
	switch (server->links[address]) {
	case LINK_UP:
	case LINK_RESETS:
		break;
	case LINK_REFUSES:
		route->error_later = ECONNREFUSED;
		break;
	case LINK_UNREACHABLE:
		route->error_later = dice_chance(&world.dice, 5000) ? EHOSTUNREACH : ENETUNREACH;
		break;
	case LINK_SILENT:
		route->after_us = TIMER_NEVER;
		break;
	}
	if (route->error_later && dice_chance(&world.dice, 3000))
		route->error_now = -route->error_later;
}

void server_on_connected(struct channel *channel)
{
	struct server *server = &world.servers[channel->server];
	struct server_conn *conn = create(server);

	channel_join(channel, &conn->peer);
	conn->peer.on_written = on_written;
	conn->peer.on_closed = on_closed;
	conn->is_stuck = rolls(server, VICE_STUCK);
	if (server->links[channel->address] == LINK_RESETS) {
		conn->idle_us = trace_now_us() + dice_skewed(&world.dice, 0, 2000);
		peer_wake(&conn->peer, conn->idle_us);
	}
}

void server_on_refused(const struct channel *channel, int error)
{
	enum outcome outcome = backend_connect_outcome(error);

	if (channel->connecting)
		check("no connect takes longer than it may",
		    sim_loop_judged_us(world.loop) <
			channel->began_us + world.connect_most_us + 1000,
		    "to server %d", channel->server);
	world.servers[channel->server].outcomes[outcome]++;
}

size_t server_addresses(const struct server *server, struct net_addr addrs[ADDRESSES])
{
	for (size_t i = 0; i < server->addresses; i++) {
		char text[64];

		snprintf(text, sizeof(text), "10.0.%d.%zu", server->index + 1, i + 1);
		net_addr_from_ip(&addrs[i], str_from(text), 80);
	}
	return server->addresses;
}

/* ---- changes */

void server_init(struct server *server, int index)
{
	*server =
	    (struct server){.index = index, .addresses = dice_chance(&world.dice, 2000) ? 2 : 1};
	snprintf(server->url, sizeof(server->url), "http://10.0.%d.1:80", index + 1);
	snprintf(server->name, sizeof(server->name), "b%d", index + 1);
}

void server_reform(struct server *server)
{
	memset(server->vices, 0, sizeof(server->vices));
	memset(server->links, 0, sizeof(server->links));
	server->stale = dice_chance(&world.dice, 3000) ? 2000 : 0;
}

void server_change(struct server *server)
{
	static const unsigned rates[] = {300, 2000, 10000};

	server_reform(server);
	if (!dice_chance(&world.dice, world.profile.server))
		return;
	if (dice_chance(&world.dice, 3500)) {
		for (size_t i = 0; i < ADDRESSES; i++)
			server->links[i] = 1 + (enum link)dice_below(&world.dice, LINK_RESETS);
		if (dice_chance(&world.dice, 3000))
			server->links[0] = LINK_UP;
		if (dice_chance(&world.dice, 5000))
			server_close_all(server, dice_chance(&world.dice, 5000));
	} else {
		for (unsigned count = 1 + dice_below(&world.dice, 2); count > 0; count--) {
			unsigned rate = rates[dice_below(&world.dice, 3)];

			server->vices[dice_below(&world.dice, VICES)] = rate;
		}
	}
	trace("server # changes", server->index, 0, 0);
}
