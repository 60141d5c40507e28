#include "message.h"
#include "server_conn.h"
#include "trace.h"

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
	const struct proxy_retry_options *rules = &world.rules[world.rules_now].retry;

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

/* Announces content, or a coding, where none may be. */
static void announce_too_much(
    struct server_conn *conn, struct visit *visit, const struct request *request)
{
	bool is_bodiless = request->method == HEAD || visit->status == 204 || visit->status == 304;

	if (is_bodiless && server_rolls(conn->server, VICE_FOLLOWED)) {
		visit->framing = FRAMING_CHUNKED;
		if (visit->status == 204 && dice_chance(&world.dice, 5000))
			visit->framing = FRAMING_LENGTH;
		visit->length = 5;
	}
	visit->is_followed =
	    is_bodiless && (visit->framing == FRAMING_CHUNKED ||
			       (visit->status == 204 && visit->framing == FRAMING_LENGTH));
}

/* What kind of answer this request gets from such a server. */
static void choose_status(
    struct server_conn *conn, struct visit *visit, const struct request *request)
{
	struct server *server = conn->server;

	visit->status = any_good_status();
	server->fails_next = !server->fails_next;
	if (server_rolls(server, VICE_STATUS) ||
	    (server->fails_next && server_rolls(server, VICE_ALTERNATE)))
		visit->status = any_bad_status();
	if ((request->method == POST || request->method == PATCH) &&
	    server_rolls(server, VICE_ONCE))
		visit->status = any_bad_status();
	if (request->is_poison)
		visit->status = any_bad_status();
	if (request->upgrades && visit->status == 200) {
		visit->status = 101;
		visit->switches = true;
		visit->tunnel_down = (uint32_t)dice_skewed(&world.dice, 0, 5000);
	}
	if (!visit->switches && server_rolls(server, VICE_UNASKED_101)) {
		visit->switches = true;
		visit->status = 101;
		visit->is_bad = !request->upgrades;
	}
}

/* What is left from before the request: no head at all, or that of a server that closes an idle connection. On a fresh one it is
 * the answer. */
static void compose_stray(struct server_conn *conn, struct visit *visit)
{
	static const struct str bytes[] = {{"SSH-2.0-OpenSSH_9\r\n", 19},
	    {"\x15\x03\x01\x00\x02\x02\x46", 7}, {"HTTX/1.1 200 OK\r\n\r\n", 19}, {"1f\r\n", 4}};

	visit->is_stray = !conn->has_continued;
	visit->is_bad = dice_chance(&world.dice, 5000);
	visit->is_bad_content = visit->is_old = visit->is_followed = false;
	visit->interims = 0;
	if (visit->is_bad) {
		visit->final_at = 0;
		text_put(&conn->wire, bytes[dice_below(&world.dice, 4)]);
		return;
	}
	visit->status = 408;
	visit->framing = FRAMING_LENGTH;
	visit->length = (uint32_t)dice_skewed(&world.dice, 0, 100);
	conn->ending = ENDING_CLOSE;
	message_compose_answer(&conn->wire, visit, true);
}

/* A head that is none. */
static void compose_garbage(struct server_conn *conn, struct visit *visit)
{
	static const struct str heads[] = {{"SSH-2.0-OpenSSH_9\r\n", 19},
	    {"HTTP/1.1 2000 Much\r\n\r\n", 22}, {"HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n", 28},
	    {"HTTP/1.1 200 OK\nX-A : b\n\n", 25},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 61},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		72},
	    {"HTTP/2.0 200 OK\r\n\r\n", 19}};
	struct str head = heads[dice_below(&world.dice, sizeof(heads) / sizeof(*heads))];

	visit->is_bad = true;
	visit->is_stray = !conn->has_continued && !str_starts_with(head, STR("HTTP/"));
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
	if (server_rolls(server, VICE_CUT) || (visit->is_bad && dice_chance(&world.dice, 3000))) {
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
	} else if (visit->is_followed && !visit->is_bad && dice_chance(&world.dice, 5000)) {
		text_put(&conn->wire, STR("hello"));
		if (dice_chance(&world.dice, 5000))
			conn->limit = conn->wire.len;
		else
			conn->is_extra = true;
	} else if (server_rolls(server, VICE_EXTRA) && !visit->switches &&
		   visit->framing != FRAMING_CLOSE && !visit->is_bad) {
		text_put(&conn->wire, STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Sim: what "
					  "nobody asked\r\n\r\nextra"));
		if (dice_chance(&world.dice, 5000))
			conn->limit = conn->wire.len;
		else
			conn->is_extra = true;
	}
}

/* Now and then, for most of the time that rondo would wait. */
static void choose_pauses(struct server_conn *conn, const struct visit *visit)
{
	int64_t least_us = INT64_MAX;

	conn->pauses = 0;
	if (visit->is_bad || visit->switches || visit->content_at + 1 >= conn->limit ||
	    !dice_chance(&world.dice, 150))
		return;
	for (size_t i = 0; i <= world.rules_now; i++)
		if (world.rules[i].timeouts.response_us < least_us)
			least_us = world.rules[i].timeouts.response_us;
	conn->pauses = 1 + dice_below(&world.dice, 3);
	conn->pause_us = least_us / 100 * dice_between(&world.dice, 10, 90);
	conn->pause_at =
	    (size_t)dice_between(&world.dice, (int64_t)visit->content_at, (int64_t)conn->limit - 1);
}

/* An answer that falls through is kept for later, and its server gets no more of the request. */
static bool may_fall_through(unsigned status)
{
	for (size_t i = 0; i <= world.rules_now; i++)
		if (retry_is_status(&world.rules[i].retry, status))
			return true;
	return false;
}

/* Who answers before it has the request may need all of it to come to an end. */
static void choose_hold(struct server_conn *conn)
{
	const struct visit *visit = server_visit(conn);

	conn->hold = SIZE_MAX;
	if (!conn->is_done && !visit->switches && !may_fall_through(visit->status) &&
	    dice_chance(&world.dice, 5000))
		conn->hold =
		    conn->limit - (size_t)dice_skewed(&world.dice, 0, (int64_t)conn->limit);
}

static void compose(struct server_conn *conn)
{
	struct visit *visit = server_visit(conn);
	const struct request *request = &world.requests[visit->request];
	bool closes = dice_chance(&world.dice, world.profile.calm ? 100 : 400);

	conn->wire.len = conn->sent = 0;
	choose_status(conn, visit, request);
	choose_content(visit, request);
	announce_too_much(conn, visit, request);
	visit->interims = dice_chance(&world.dice, 200) ? 1 + dice_below(&world.dice, 3) : 0;
	if (server_rolls(conn->server, VICE_INTERIMS))
		visit->interims = 98 + dice_below(&world.dice, 6);
	visit->is_bad_content = visit->framing == FRAMING_CHUNKED && request->method != HEAD &&
				visit->status != 204 && visit->status != 304 && !visit->switches &&
				server_rolls(conn->server, VICE_FRAMING);
	visit->is_bad |= visit->interims + conn->has_continued > 100;
	/* It knows no chunks, and closes where it does not say otherwise. */
	if (!visit->switches && visit->interims == 0 && visit->framing != FRAMING_CHUNKED)
		visit->is_old = dice_chance(&world.dice, 300);
	closes |= visit->is_old && dice_chance(&world.dice, 5000);
	closes = !visit->switches && (closes || visit->framing == FRAMING_CLOSE);
	conn->ending = closes ? ENDING_CLOSE : ENDING_KEEP;
	if (!visit->switches && server_rolls(conn->server, VICE_STRAY))
		compose_stray(conn, visit);
	else if (server_rolls(conn->server, VICE_GARBAGE))
		compose_garbage(conn, visit);
	else
		message_compose_answer(&conn->wire, visit, closes);
	visit->is_answered = true;
	/* rondo may have taken something else for its answer. */
	conn->is_followed |= visit->is_followed && !visit->is_tainted;
	choose_ending(conn, visit);
	visit->answer_end = conn->answer_end;
	choose_pauses(conn, visit);
	choose_hold(conn);
}

static int64_t any_delay_us(struct server_conn *conn)
{
	const struct server *server = conn->server;

	if (server_rolls(server, VICE_SLOW))
		return dice_between(
		    &world.dice, max_delay_us(server) / 2, max_delay_us(server) * 2);
	return dice_skewed(&world.dice, 0, world.profile.calm ? 20000 : 8000);
}

/* The request, or enough of it, is here: what now? */
void server_decide(struct server_conn *conn)
{
	conn->was_decided = true;
	choose_pace(conn);
	if (server_rolls(conn->server, VICE_NEVER)) {
		conn->phase = SILENT;
		return;
	}
	if (server_rolls(conn->server, VICE_RESET)) {
		server_drop(conn, dice_chance(&world.dice, 5000));
		return;
	}
	compose(conn);
	conn->phase = THINKING;
	conn->act_us = trace_now_us() + any_delay_us(conn);
	if (dice_chance(&world.dice, 4000))
		conn->act_us = trace_now_us();
}

void server_answer_probe(struct server_conn *conn)
{
	bool good = !server_rolls(conn->server, VICE_STATUS) &&
		    !server_rolls(conn->server, VICE_GARBAGE) &&
		    !server_rolls(conn->server, VICE_NEVER);

	static const char *const bad[] = {
	    "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	    "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n",
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
	    "HTTP/1.1 100 Continue\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-",
	    "SSH-2.0-OpenSSH_9\r\n",
	};

	conn->server->has_passed = good;
	if (!good && dice_chance(&world.dice, 2000)) {
		conn->phase = SILENT;
		return;
	}
	conn->wire.len = conn->sent = 0;
	text_put(&conn->wire,
	    good ? STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		 : str_from(bad[dice_below(&world.dice, sizeof(bad) / sizeof(*bad))]));
	conn->limit = conn->answer_end = conn->wire.len;
	conn->ending = good || dice_chance(&world.dice, 5000) ? ENDING_CLOSE : ENDING_SILENCE;
	conn->hold = SIZE_MAX;
	conn->phase = GIVING;
	conn->piece = SIZE_MAX;
	conn->gap_us = conn->act_us = 0;
	conn->was_decided = true;
	conn->is_extra = false;
	server_visit(conn)->is_answered = true;
}

void server_give_surplus(struct server_conn *conn)
{
	conn->surplus_us = TIMER_NEVER;
	conn->is_extra = false;
	if (peer_send(&conn->peer,
		(struct str){conn->wire.data + conn->limit, conn->wire.len - conn->limit}) > 0)
		conn->extra_us = trace_now_us();
}

static void answer_is_given(struct server_conn *conn)
{
	struct server *server = conn->server;
	struct visit *visit = server_visit(conn);

	switch (conn->ending) {
	case ENDING_KEEP:
		break;
	case ENDING_CLOSE:
		if (dice_chance(&world.dice, 2000)) {
			/* Its side only: the other waits for rondo. */
			visit->is_open = !conn->is_done;
			conn->has_ended = true;
			conn->phase = SILENT;
			peer_end(&conn->peer);
			return;
		}
		/* Before it has read all, the end becomes a reset. */
		visit->is_open = !conn->is_done;
		server_drop(conn, false);
		return;
	case ENDING_FIN:
		server_drop(conn, false);
		return;
	case ENDING_RESET:
		server_drop(conn, true);
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
	if (conn->is_extra && dice_chance(&world.dice, 2000))
		server_give_surplus(conn);
	server_end_visit(conn);
	/* Or later: rondo may have read the answer, and wait for a client that takes it slowly. */
	if (conn->is_extra) {
		conn->surplus_us = trace_now_us() + dice_skewed(&world.dice, 1, 20000);
		peer_wake(&conn->peer, conn->surplus_us);
	} else if (dice_chance(&world.dice, server->stale))
		conn->idle_us = trace_now_us() + dice_skewed(&world.dice, 0, 20000);
}

/* How much more goes before the next long pause. */
static size_t until_pause(const struct server_conn *conn, size_t n)
{
	return conn->pauses > 0 && conn->sent < conn->pause_at && n > conn->pause_at - conn->sent
		   ? conn->pause_at - conn->sent
		   : n;
}

static void pause(struct server_conn *conn)
{
	conn->act_us = trace_now_us() + conn->pause_us;
	conn->pauses--;
	conn->pause_at += dice_below(&world.dice, (unsigned)(conn->limit - conn->pause_at));
}

/* The rest of the request will not come, nor will that of the answer. */
static void give_up(struct server_conn *conn)
{
	server_visit(conn)->is_forlorn = true;
	if (dice_chance(&world.dice, 5000))
		conn->phase = SILENT;
	else
		server_drop(conn, dice_chance(&world.dice, 5000));
}

void server_give(struct server_conn *conn)
{
	bool holds = !conn->is_done && conn->hold < conn->limit;
	size_t end = holds ? conn->hold : conn->limit;
	size_t left = end > conn->sent ? end - conn->sent : 0;
	size_t piece = dice_piece(conn->piece, conn->wire.len);
	size_t n = left < piece ? left : piece;

	if (holds && left == 0) {
		if (peer_is_at_end(&conn->peer))
			give_up(conn);
		return;
	}
	if (trace_now_us() < conn->act_us) {
		peer_wake(&conn->peer, conn->act_us);
		return;
	}
	n = until_pause(conn, n);
	conn->sent += peer_send(&conn->peer, (struct str){conn->wire.data + conn->sent, n});
	trace("server # has sent # of #", conn->server->index, (int64_t)conn->sent,
	    (int64_t)conn->limit);
	if (conn->sent > conn->answer_end && conn->extra_us == 0)
		conn->extra_us = trace_now_us();
	conn->act_us = trace_now_us() + conn->gap_us;
	if (conn->pauses > 0 && conn->sent == conn->pause_at)
		pause(conn);
	if (conn->sent == conn->limit)
		answer_is_given(conn);
	else if (!conn->peer.channel->peer_is_full)
		peer_wake(&conn->peer, conn->act_us);
}
