#include "server_conn.h"

#include "message.h"
#include "oracle.h"
#include "sim_loop.h"
#include "sim_net.h"
#include "trace.h"
#include "waiting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

static struct server_conn *spare;

static void run(struct peer *peer);

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
	conn->hold = SIZE_MAX;
	conn->visit = conn->last_visit = -1;
	conn->is_probe = conn->is_done = conn->is_stuck = conn->was_decided = conn->is_extra =
	    conn->is_followed = false;
	conn->has_ended = conn->has_answered = conn->has_continued = false;
	conn->served = 0;
	conn->act_us = conn->gap_us = conn->extra_us = conn->leave_us = 0;
	conn->pauses = 0;
	conn->idle_us = conn->surplus_us = TIMER_NEVER;
	conn->up = 0;
	reader_start(&conn->reader);
	DL_APPEND(server->connections, conn);
	return conn;
}

/* A connect that went on without its request left a connection that has carried nothing yet. Who connects for a request sends it as
 * soon as the connection is there; reading the clock moves it by one. */
static bool is_from_pool(const struct server_conn *conn)
{
	int64_t told_us = conn->peer.channel->told_us, now_us = trace_now_us();

	return conn->served > 0 || now_us > conn->connected_us + 1000 ||
	       (told_us > 0 && now_us > told_us + 1);
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
	struct visit *visit = server_visit(conn);
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
void server_drop(struct server_conn *conn, bool reset)
{
	struct visit *visit = server_visit(conn);

	identify_partly(conn);
	if (visit)
		waiting_is_over(visit);
	if (visit && visit->is_open) {
		visit->is_lost = true;
		/* An orderly end would be the end of the answer. */
		reset |= visit->framing == FRAMING_CLOSE;
	}
	/* What rondo has not read of the answer before may be lost with a reset. */
	if (conn->last_visit >= 0 && conn->peer.channel->in.data)
		world.visits[conn->last_visit].is_lost = true;
	conn->server->lost_in_head |= visit && visit->request < 0;
	if (!visit || visit->request < 0) {
		conn->server->outcomes[OUTCOME_STALE] += is_from_pool(conn);
		conn->server->outcomes[OUTCOME_RESET] += conn->served == 0;
	}
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
		server_drop(conn, reset);
}

/* ---- the request, as rondo hands it to the kernel */

/* In the turn in which the connection becomes idle rondo need not know yet of what came in that turn. What came before is
 * known, though rondo may not have waited for it. */
static void check_nothing_extra(const struct server_conn *conn)
{
	int64_t judged_us = sim_loop_judged_us(world.loop);
	const struct visit *last = conn->last_visit < 0 ? NULL : &world.visits[conn->last_visit];
	const struct request *request;

	/* After one answer that belonged to another, what is whose is not known. */
	if (conn->extra_us == 0 || !last || last->request < 0 || last->is_tainted)
		return;
	request = &world.requests[last->request];
	check("what a backend sends beyond its answer is never interpreted",
	    conn->extra_us >= judged_us || conn->peer.channel->read_us >= judged_us ||
		(request->logged_us >= judged_us && conn->extra_us >= request->logged_judged_us),
	    "server %d sent it %lld us ago", conn->server->index,
	    (long long)(trace_now_us() - conn->extra_us));
}

/* It went to the pool when its last request was logged, at the latest. */
static void check_rest(const struct server_conn *conn)
{
	const struct visit *last = conn->last_visit < 0 ? NULL : &world.visits[conn->last_visit];
	int64_t most_us = 0, from_us;

	if (!last || last->request < 0 || world.requests[last->request].logged_us == 0)
		return;
	from_us = world.requests[last->request].logged_us;
	for (size_t i = 0; i <= world.rules_now; i++)
		if (world.rules[i].timeouts.backend_idle_us > most_us)
			most_us = world.rules[i].timeouts.backend_idle_us;
	/* The answer of one that nobody waited for any more may have come later. */
	if (conn->peer.channel->read_us > from_us)
		from_us = conn->peer.channel->read_us;
	check("no connection is used after timeouts.backend_idle",
	    sim_loop_judged_us(world.loop) <= from_us + most_us + 1000, "server %d",
	    conn->server->index);
}

static struct visit *begin_visit(struct server_conn *conn)
{
	struct visit *visit = world_add_visit();

	*visit = (struct visit){
	    .request = -1,
	    .server = conn->server->index,
	    .is_reused = conn->served > 0,
	    .has_rested = is_from_pool(conn),
	    .is_open = true,
	    .is_stuck = conn->is_stuck,
	    .began_us = trace_now_us(),
	    .read_before = conn->peer.channel->read,
	    .is_tainted = conn->extra_us > 0,
	    .blocked_before_us = -1,
	    .peer = &conn->peer,
	};
	check("what may be followed by more is not used again", !conn->is_followed, "server %d",
	    conn->server->index);
	check_nothing_extra(conn);
	check_rest(conn);
	world.tainted += visit->is_tainted;
	conn->server->tainted += visit->is_tainted;
	conn->visit = visit - world.visits;
	conn->surplus_us = TIMER_NEVER;
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
	const struct visit *visit = server_visit(conn);

	/* Who left the configuration and came again is somebody new to rondo. A request from before
	 * may belong to the one who left, and even get its free second try there. */
	return visit && visit->request >= 0 &&
	       world.requests[visit->request].began_us >= conn->server->configured_us &&
	       !conn->is_probe && !conn->peer.channel->proxy_gone && !has_given_all(conn);
}

/* Its last request is answered, and another may come. */
static bool is_idle(const struct server_conn *conn)
{
	return conn->visit < 0 && conn->last_visit >= 0 && !conn->peer.channel->proxy_gone &&
	       world.visits[conn->last_visit].began_us >= conn->server->configured_us;
}

static void check_room(const struct server *server)
{
	unsigned most = server->options.max_connections;
	const struct server_conn *conn;
	unsigned busy = 0, idle = 0;

	DL_FOREACH (server->connections, conn) {
		busy += is_busy(conn);
		idle += is_idle(conn);
	}
	check("max_connections holds", most == 0 || busy <= most,
	    "%u connections to server %d are busy", busy, server->index);
	check("an idle connection gives way", most == 0 || busy + idle <= most,
	    "%u connections to server %d are busy, %u idle", busy, server->index, idle);
}

/* The head is there: whose is it? */
static enum reader_result identify(struct server_conn *conn)
{
	struct visit *visit = server_visit(conn);
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

void server_end_visit(struct server_conn *conn)
{
	server_visit(conn)->is_open = false;
	waiting_is_over(server_visit(conn));
	conn->leave_us = 0;
	if (conn->phase != SILENT)
		conn->phase = TAKING;
	conn->has_answered = conn->has_continued = false;
	/* What it had sent before was taken for its answer: the answer is now what belongs to nobody. */
	if (server_visit(conn)->is_tainted)
		conn->extra_us = trace_now_us();
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
		server_end_visit(conn);
	if (conn->visit < 0)
		begin_visit(conn);
	while (bytes.len > 0) {
		size_t used;
		enum reader_result result;

		check("a backend's connection carries one request at a time", !conn->is_done,
		    "more than request %lld at server %d (phase %d, ending %d, %zu of %zu)",
		    (long long)server_visit(conn)->request, conn->server->index, (int)conn->phase,
		    (int)conn->ending, conn->sent, conn->answer_end);
		result = reader_feed(&conn->reader, bytes, &used);
		check("requests are HTTP", result != READER_BAD, "server %d cannot read it",
		    conn->server->index);
		if (result == READER_HEAD)
			result = identify(conn);
		check("content is the same at both ends", !conn->reader.differs,
		    "at byte %llu of request %lld", (unsigned long long)conn->reader.content,
		    (long long)server_visit(conn)->request);
		if (result == READER_DONE) {
			conn->is_done = true;
			server_visit(conn)->sent_us = trace_now_us();
			server_visit(conn)->is_whole = true;
			if (!conn->is_probe)
				oracle_request_is_whole(server_visit(conn), &conn->reader);
		}
		bytes.data += used;
		bytes.len -= used;
	}
}

static void note_taken(struct server_conn *conn)
{
	struct visit *visit = server_visit(conn);
	const struct channel *channel = conn->peer.channel;

	visit->taken = channel->read - visit->read_before;
	visit->read_us = channel->read_us;
	visit->got_bytes = channel->read > visit->read_before;
	visit->got_final =
	    visit->is_answered && channel->read > visit->read_before + visit->final_at;
}

static void on_read(struct peer *peer)
{
	struct server_conn *conn = container_of(peer, struct server_conn, peer);
	struct visit *visit = server_visit(conn);

	if (visit && visit->is_answered && visit->heading_us == 0 &&
	    peer->channel->read > visit->read_before + visit->final_at) {
		visit->heading_us = trace_now_us();
		if (visit->request >= 0)
			waiting_answer_begins(visit);
	}
}

static void on_closed(struct peer *peer, bool reset)
{
	struct server_conn *conn = container_of(peer, struct server_conn, peer);
	struct visit *visit = server_visit(conn);

	(void)reset;
	identify_partly(conn);
	/* The next request may have waited for it to take the end of this one. */
	conn->server->outcomes[OUTCOME_STALLED] += conn->phase == SILENT && !conn->has_ended;
	if (!visit)
		return;
	if (visit->request < 0)
		conn->server->outcomes[OUTCOME_STALLED]++;
	note_taken(conn);
	waiting_is_over(visit);
	visit->closed_us = trace_now_us();
	visit->judged_us = sim_loop_judged_us(world.loop);
	oracle_visit_ends(visit);
}

/* ---- taking */

static void take_tunnel(struct server_conn *conn)
{
	struct str bytes = peer_content(&conn->peer);
	size_t used;

	reader_feed(&conn->reader, bytes, &used);
	check("a tunnel changes nothing", !conn->reader.differs, "at byte %llu of request %lld",
	    (unsigned long long)conn->reader.content, (long long)server_visit(conn)->request);
	peer_take(&conn->peer, bytes.len);
}

static void run_tunnel(struct server_conn *conn)
{
	struct visit *visit = server_visit(conn);
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
			server_drop(conn, false);
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

/* It has waited long enough for the rest of the request. */
static bool is_impatient(struct server_conn *conn)
{
	if (conn->leave_us == 0 && server_rolls(conn->server, VICE_IMPATIENT)) {
		conn->leave_us = trace_now_us() + dice_skewed(&world.dice, 0, 4000000);
		peer_wake(&conn->peer, conn->leave_us);
	}
	return conn->leave_us > 0 && trace_now_us() >= conn->leave_us;
}

static void run_taking(struct server_conn *conn)
{
	struct visit *visit = server_visit(conn);

	if (!visit) {
		if (trace_now_us() >= conn->surplus_us)
			server_give_surplus(conn);
		else if (conn->surplus_us != TIMER_NEVER)
			peer_wake(&conn->peer, conn->surplus_us);
		if (trace_now_us() >= conn->idle_us)
			server_drop(conn, false);
		else if (conn->idle_us != TIMER_NEVER)
			peer_wake(&conn->peer, conn->idle_us);
		return;
	}
	if (conn->was_decided)
		return;
	if (conn->is_probe && conn->is_done) {
		server_answer_probe(conn);
		return;
	}
	if (visit->request < 0 || conn->is_probe)
		return;
	if (!conn->is_done && is_impatient(conn)) {
		server_drop(conn, dice_chance(&world.dice, 5000));
		return;
	}
	if (conn->is_done || server_rolls(conn->server, VICE_EARLY) ||
	    dice_chance(&world.dice, world.profile.early))
		server_decide(conn);
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

	if (trace_now_us() < conn->server->thaws_us) {
		if (conn->visit >= 0)
			server_visit(conn)->was_frozen = true;
		peer_wake(peer, conn->server->thaws_us);
		return;
	}
	if (conn->phase == TUNNEL) {
		run_tunnel(conn);
		return;
	}
	if (!conn->is_stuck && conn->phase != SILENT)
		peer_take(peer, peer_content(peer).len);
	if (is_forsaken(conn)) {
		server_drop(conn, false);
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
		server_give(conn);
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
	case LINK_BUSY:
		route->error_now = -EAGAIN;
		break;
	case LINK_UNREACHABLE:
		route->error_later = dice_chance(&world.dice, 5000) ? EHOSTUNREACH : ENETUNREACH;
		break;
	case LINK_SILENT:
		route->after_us = TIMER_NEVER;
		break;
	}
	if (route->error_later && (server->is_near || dice_chance(&world.dice, 1000)))
		route->error_now = -route->error_later;
}

void server_on_connected(struct channel *channel)
{
	struct server *server = &world.servers[channel->server];
	struct server_conn *conn = create(server);

	conn->connected_us = trace_now_us();
	channel_join(channel, &conn->peer);
	conn->peer.on_written = on_written;
	conn->peer.on_read = on_read;
	conn->peer.on_closed = on_closed;
	conn->is_stuck = server_rolls(server, VICE_STUCK);
	if (server->links[channel->address] == LINK_RESETS) {
		conn->idle_us = trace_now_us() + dice_skewed(&world.dice, 0, 2000);
		peer_wake(&conn->peer, conn->idle_us);
	}
}

/* What a connect that ended so says of the server. */
static enum outcome outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
		return OUTCOME_REFUSED;
	case EAGAIN:
		return OUTCOME_BUSY;
	case ETIMEDOUT:
		return OUTCOME_CONNECT_TIMEOUT;
	default:
		return OUTCOME_UNREACHABLE;
	}
}

void server_on_refused(const struct channel *channel, int error)
{
	if (channel->connecting)
		check("no connect takes longer than it may",
		    sim_loop_judged_us(world.loop) <
			channel->began_us + world.connect_most_us + 1000,
		    "to server %d", channel->server);
	world.servers[channel->server].outcomes[outcome_of(error)]++;
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

void server_freeze(struct server *server)
{
	struct server_conn *conn;

	DL_FOREACH (server->connections, conn)
		if (conn->visit >= 0)
			server_visit(conn)->was_frozen = true;
	server->thaws_us = trace_now_us() + dice_skewed(&world.dice, 1000, 5 * 1000 * 1000);
	trace("server # is frozen for # us", server->index, server->thaws_us - trace_now_us(), 0);
}

void server_change(struct server *server)
{
	static const unsigned rates[] = {300, 2000, 10000};

	server_reform(server);
	if (!dice_chance(&world.dice, world.profile.server))
		return;
	if (dice_chance(&world.dice, 3500)) {
		server->is_near = dice_chance(&world.dice, 5000);
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
