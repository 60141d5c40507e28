#include "client.h"

#include "message.h"
#include "oracle.h"
#include "sim_net.h"
#include "trace.h"
#include "waiting.h"

enum {
	CLIENTS = 32,
	DEPTH = 40,
	MOST_US = 1000 * 1000,
	PATIENCE_US = 600 * 1000 * 1000,
	AT_ONCE = 16 * 1024
};

enum state { RESTING, CONNECTED, SILENT, RETIRED };

enum leaving { STAYS, RESETS, CLOSES, FALLS_SILENT, HALF_CLOSES, BREAKS_OFF };

/* How fast bytes go one way: so many at once, then a pause. */
struct pace {
	size_t bytes;
	int64_t gap_us;
	int64_t next_us;
};

struct client {
	struct peer peer;
	enum state state;
	struct reader reader;
	struct message_answer answer; /* being read */
	struct text wire;
	size_t sent; /* of wire */
	uint64_t all_sent, all_taken;
	uint32_t asked[DEPTH]; /* the oldest first */
	size_t asked_count;
	unsigned left, depth; /* requests to be asked; of them at once */
	unsigned interims;
	unsigned minor;
	bool is_over; /* rondo said that it closes, or the request was none */
	bool is_slow; /* slower than rondo has to bear */
	bool tunnels, has_ended;
	bool is_early; /* what goes into the tunnel was sent with the request */
	bool
	    is_deaf; /* what was sent early for a tunnel that did not come is taken for a request: no matter what is said */
	struct pace give, take;
	int64_t pause_us; /* in the middle of its contents, within rondo's patience; 0: none */
	size_t pause_at;  /* of wire; 0: none is to come */
	unsigned pauses;  /* that are still to come */
	enum leaving leaving;
	uint64_t leave_sent, leave_taken; /* when so many bytes were sent or taken */
	int64_t leave_us;                 /* and not before */
	int64_t ask_us;
	uint64_t shortages_before;    /* net_world.shortages when it dialled or asked last */
	int64_t dialled_us, first_us; /* since when the first of those asked is the first */
};

static struct client clients[CLIENTS];

static void run(struct peer *peer);

/* ---- asking */

static enum fault any_fault(const struct client *client)
{
	if (client->left > 0 || !dice_chance(&world.dice, world.profile.broken))
		return FAULT_NONE;
	return 1 + (enum fault)dice_below(&world.dice, FAULTS - 1);
}

static void choose_content(struct request *request)
{
	bool has = request->method == POST || request->method == PUT || request->method == PATCH ||
		   dice_chance(&world.dice, 100);

	if (request->fault == FAULT_CHUNK || request->fault == FAULT_TOO_MUCH)
		has = true;
	else if (request->fault != FAULT_NONE || request->upgrades)
		has = false;
	if (!has)
		return;
	request->framing =
	    request->minor && dice_chance(&world.dice, 4000) ? FRAMING_CHUNKED : FRAMING_LENGTH;
	request->length =
	    (uint32_t)dice_skewed(&world.dice, 0, dice_chance(&world.dice, 300) ? 60000 : 2000);
	if (request->fault == FAULT_CHUNK) {
		request->framing = FRAMING_CHUNKED;
		request->minor = 1;
	}
	if (request->fault == FAULT_TOO_MUCH)
		request->length = (uint32_t)world.rules[world.rules_now].limits.body_bytes + 1;
	request->expects =
	    request->minor == 1 && request->length > 0 && dice_chance(&world.dice, 1500);
}

static enum method any_method(void)
{
	static const enum method methods[16] = {GET, GET, GET, GET, GET, GET, GET, HEAD, POST, POST,
	    POST, POST, PUT, DELETE, OPTIONS, PATCH};

	return methods[dice_below(&world.dice, 16)];
}

/* Somewhere behind `from` in what is to be sent. */
static void plan_pause(struct client *client, size_t from)
{
	client->pause_at = 0;
	if (client->pauses == 0 || from >= client->wire.len)
		return;
	client->pauses--;
	client->pause_at = from + dice_below(&world.dice, (unsigned)(client->wire.len - from));
}

static void ask(struct client *client)
{
	struct request *request = world_add_request();

	client->left--;
	/* Its connection may be about to be closed for what happened to the request before. */
	request->shortages_before = client->shortages_before;
	client->shortages_before = net_world.shortages;
	request->begins_at = client->all_sent + client->wire.len - client->sent;
	request->channel = client->peer.channel;
	request->method = client->depth == DEPTH ? GET : any_method();
	request->fault = any_fault(client);
	if (request->fault == FAULT_TOO_MUCH && world.rules[world.rules_now].limits.body_bytes == 0)
		request->fault = FAULT_NONE;
	if (request->fault && request->method == HEAD)
		request->method = GET;
	request->minor = request->fault ? 1 : client->minor;
	request->upgrades = client->left == 0 && client->asked_count == 0 &&
			    request->method == GET && request->minor == 1 && !request->fault &&
			    dice_chance(&world.dice, 1000);
	if (request->upgrades)
		request->tunnel_up = (uint32_t)dice_skewed(&world.dice, 0, 5000);
	request->has_key = dice_chance(&world.dice, 1000);
	request->takes_trailers =
	    request->minor == 1 && !request->upgrades && dice_chance(&world.dice, 700);
	request->is_poison = dice_chance(&world.dice, world.profile.poison);
	request->closes = client->left == 0 && !request->upgrades && dice_chance(&world.dice, 5000);
	request->is_excused = client->is_over || client->is_slow ||
			      (client->leaving != STAYS && client->leaving != HALF_CLOSES);
	choose_content(request);
	message_compose_request(&client->wire, request, client->left == 0);
	request->ends_at = client->all_sent + client->wire.len - client->sent;
	client->pauses =
	    client->pause_us > 0 && request->length > 0 ? 1 + dice_below(&world.dice, 4) : 0;
	plan_pause(client, request->content_at);
	/* Somewhere in that content. */
	if (client->leaving == BREAKS_OFF && client->leave_sent == UINT64_MAX &&
	    request->length > 0)
		client->leave_sent = client->all_sent + client->wire.len - client->sent -
				     (uint64_t)dice_between(&world.dice, 1, request->length);
	client->is_early = request->upgrades && dice_chance(&world.dice, 3000);
	if (client->is_early)
		text_put_noise(
		    &client->wire, 0, (uint32_t)world_index(request) * 2 + 1, request->tunnel_up);
	if (client->asked_count == 0)
		client->first_us = trace_now_us();
	client->asked[client->asked_count++] = (uint32_t)world_index(request);
	trace(
	    "client # asks # (method #)", client - clients, world_index(request), request->method);
}

static bool may_ask(const struct client *client)
{
	return client->left > 0 && client->asked_count < client->depth && !client->is_over &&
	       trace_now_us() >= client->ask_us &&
	       (client->wire.len < AT_ONCE || client->sent == client->wire.len);
}

/* ---- the end of a connection */

static void retire(struct client *client)
{
	client->state = RETIRED;
	world.clients_alive--;
}

static void rest(struct client *client)
{
	client->state = RESTING;
	if (world.request_count >= world.profile.requests || world.is_draining || world.is_ending) {
		retire(client);
		return;
	}
	peer_wake(&client->peer, trace_now_us() + dice_skewed(&world.dice, 1, 3000));
}

/* What was asked and not answered to the end is settled now. */
static void settle(struct client *client)
{
	for (size_t i = 0; i < client->asked_count; i++) {
		struct request *request = &world.requests[client->asked[i]];

		if (i > 0 || client->is_over)
			request->is_excused = true;
		/* A stop answers what it has begun to read. */
		if (world.is_draining && client->peer.channel->read <= request->begins_at)
			request->is_excused = true;
		request->answer =
		    i == 0 && !reader_is_fresh(&client->reader) ? ANSWER_CUT : ANSWER_NONE;
		oracle_unanswered(request, i == 0 ? client->answer.visit : -1);
	}
	client->asked_count = 0;
}

static void excuse_all(struct client *client)
{
	for (size_t i = 0; i < client->asked_count; i++)
		world.requests[client->asked[i]].is_excused = true;
}

/* It sends no more, and rondo may know from now on. */
static void note_end(struct client *client)
{
	for (size_t i = 0; i < client->asked_count; i++) {
		struct request *request = &world.requests[client->asked[i]];

		if (request->ended_us == 0)
			request->ended_us = trace_now_us();
	}
}

static void leave(struct client *client, enum leaving how)
{
	trace("client # leaves (way #)", client - clients, how, 0);
	if (how != STAYS)
		excuse_all(client);
	if (how == RESETS || how == CLOSES)
		note_end(client);
	/* Where rondo has left already nobody would ever end that. */
	if (how == FALLS_SILENT && !client->peer.channel->proxy_gone) {
		client->state = SILENT;
		return;
	}
	settle(client);
	if (how == RESETS)
		peer_reset(&client->peer);
	else
		peer_close(&client->peer);
	rest(client);
}

/* ---- reading */

static void answer_is_whole(struct client *client)
{
	struct request *request = &world.requests[client->asked[0]];
	struct message_answer *answer = &client->answer;

	trace("client # has its answer to # (status #)", client - clients, world_index(request),
	    answer->status);
	request->answer = ANSWER_WHOLE;
	oracle_answered(request, answer, &client->reader);
	client->is_deaf = client->is_early && request->upgrades && !client->tunnels;
	/* Before its method was there, rondo cannot know that this must have no content. */
	client->is_deaf |=
	    request->method == HEAD && answer->is_own &&
	    (answer->status == 408 || client->peer.channel->read < request->begins_at + 5);
	client->is_over |= client->is_deaf || answer->closes || request->fault != FAULT_NONE;
	client->asked_count--;
	client->first_us = trace_now_us();
	memmove(client->asked, client->asked + 1, client->asked_count * sizeof(*client->asked));
	client->ask_us = trace_now_us() +
			 (dice_chance(&world.dice, 7000) ? 0 : dice_skewed(&world.dice, 0, 20000));
	client->interims = 0;
	reader_start(&client->reader);
	client->answer = (struct message_answer){.visit = -1};
}

/* Of what may have got what belongs to another, the answer's own word is not taken. */
static int64_t find_switching(const struct request *request)
{
	for (unsigned i = request->visit_count; i-- > 0;)
		if (world.visits[request->visits[i]].switches)
			return request->visits[i];
	return -1;
}

static void begin_tunnel(struct client *client, struct request *request)
{
	const struct visit *visit;

	if (client->answer.visit < 0)
		client->answer.visit = find_switching(request);
	check("a tunnel begins where it was asked for", client->answer.visit >= 0, "request %lld",
	    (long long)world_index(request));
	visit = &world.visits[client->answer.visit];
	check("a tunnel begins where it was asked for", request->upgrades && visit->switches,
	    "request %lld", (long long)world_index(request));
	client->tunnels = true;
	client->left = 0;
	reader_expect(&client->reader, FRAMING_CLOSE, 0, (uint32_t)client->answer.visit * 2);
	if (!client->is_early)
		text_put_noise(
		    &client->wire, 0, (uint32_t)world_index(request) * 2 + 1, request->tunnel_up);
}

/* Looks at a head that is complete. READER_DONE when the answer is whole with it. */
static enum reader_result look_at_head(struct client *client)
{
	struct message_answer *answer = &client->answer;
	int64_t from_us = client->first_us;
	struct request *request;

	check("nobody answers what was not asked", client->asked_count > 0, "client %td",
	    client - clients);
	request = &world.requests[client->asked[0]];
	message_check_answer(&client->reader, request, answer);
	if (answer->status == 101) {
		begin_tunnel(client, request);
		return READER_MORE;
	}
	if (answer->status < 200) {
		check("interim answers pass to those who know them",
		    request->minor == 1 && ++client->interims <= 100 &&
			(answer->status != 100 || request->expects),
		    "status %u for request %lld", answer->status, (long long)world_index(request));
		reader_start(&client->reader);
		answer->visit = -1;
		return READER_MORE;
	}
	request->answer = ANSWER_BEGUN;
	oracle_answer_begins(request, answer);
	/* At limits.connections it waits to be let in, for as long as those before it stay. */
	if (from_us < client->peer.channel->began_us)
		from_us = client->peer.channel->began_us;
	/* More than all limits of one request together. */
	check("no answer takes for ever",
	    request->is_excused || trace_now_us() - from_us < PATIENCE_US,
	    "request %lld waited %lld us", (long long)world_index(request),
	    (long long)(trace_now_us() - from_us));
	return reader_expect(
	    &client->reader, answer->framing, answer->length, (uint32_t)answer->visit * 2);
}

static void read_bytes(struct client *client, struct str bytes)
{
	while (bytes.len > 0 && !client->is_deaf) {
		size_t used = 0;
		enum reader_result result;

		check("nobody answers what was not asked", client->asked_count > 0, "client %td",
		    client - clients);
		result = reader_feed(&client->reader, bytes, &used);
		check("answers are HTTP", result != READER_BAD, "client %td cannot read it",
		    client - clients);
		if (result == READER_HEAD)
			result = look_at_head(client);
		check("content is the same at both ends",
		    !client->reader.differs || client->answer.visit < 0,
		    "at byte %llu of the answer of visit %lld",
		    (unsigned long long)client->reader.content, (long long)client->answer.visit);
		if (result == READER_DONE)
			answer_is_whole(client);
		bytes.data += used;
		bytes.len -= used;
	}
}

static void take(struct client *client)
{
	struct str bytes = peer_content(&client->peer);
	size_t piece = dice_piece(client->take.bytes, bytes.len);

	if (bytes.len == 0 || trace_now_us() < client->take.next_us)
		return;
	if (bytes.len > piece)
		bytes.len = piece;
	client->take.next_us = trace_now_us() + client->take.gap_us;
	client->all_taken += bytes.len;
	trace("client # takes # bytes", client - clients, (int64_t)bytes.len, 0);
	read_bytes(client, bytes);
	peer_take(&client->peer, bytes.len);
}

/* The tunnel's end as it should be: both sides whole. */
static void tunnel_is_closed(struct client *client, bool reset)
{
	struct request *request = &world.requests[client->asked[0]];
	const struct visit *visit = &world.visits[client->answer.visit];

	if (reset || client->reader.content != visit->tunnel_down) {
		oracle_tunnel_broke(request, visit);
		request->is_excused = true;
	}
	request->answer = ANSWER_WHOLE;
	client->asked_count = 0;
}

/* rondo ended or broke the connection, and all that came before that was read. */
static void stream_ends(struct client *client, bool reset)
{
	int64_t written_us = client->peer.channel->written_us;

	trace("client # sees the end (reset #)", client - clients, reset, 0);
	if (client->asked_count == 0 && !client->is_over && !client->has_ended)
		oracle_idle_client_ends(
		    written_us > 0 ? written_us : client->dialled_us, client->shortages_before);
	if (client->tunnels)
		tunnel_is_closed(client, reset);
	else if (!reset && client->asked_count > 0 && reader_end(&client->reader))
		answer_is_whole(client);
	leave(client, STAYS);
}

/* ---- sending */

static void note_sent(struct client *client)
{
	if (client->sent < client->wire.len)
		return;
	for (size_t i = 0; i < client->asked_count; i++) {
		struct request *request = &world.requests[client->asked[i]];

		if (!request->is_sent)
			request->sent_us = trace_now_us();
		request->is_sent = true;
	}
	client->wire.len = client->sent = 0;
}

/* The server of the first request may have waited for what is sent now. */
static void waits_are_over(const struct client *client)
{
	const struct request *request;

	if (client->asked_count == 0)
		return;
	request = &world.requests[client->asked[0]];
	if (request->visit_count > 0)
		waiting_ends(&world.visits[request->visits[request->visit_count - 1]]);
}

static void give(struct client *client)
{
	struct str bytes = {client->wire.data + client->sent, client->wire.len - client->sent};
	size_t piece = dice_piece(client->give.bytes, client->wire.len);
	size_t n;

	if (bytes.len == 0 || trace_now_us() < client->give.next_us)
		return;
	if (bytes.len > piece)
		bytes.len = piece;
	if (client->pause_at > client->sent && bytes.len > client->pause_at - client->sent)
		bytes.len = client->pause_at - client->sent;
	if (bytes.len > client->leave_sent - client->all_sent && client->leaving == BREAKS_OFF)
		bytes.len = client->leave_sent - client->all_sent;
	/* Too late for an idle connection: the reset that answers it may destroy what was not read yet. */
	if (client->peer.channel->proxy_gone && !client->is_over)
		excuse_all(client);
	waits_are_over(client);
	n = peer_send(&client->peer, bytes);
	client->sent += n;
	client->all_sent += n;
	client->give.next_us = trace_now_us() + client->give.gap_us;
	if (client->pause_at > 0 && client->sent == client->pause_at) {
		client->give.next_us += client->pause_us;
		plan_pause(client, client->pause_at + 1);
	}
	if (client->leaving == BREAKS_OFF && n > 0 && client->all_sent == client->leave_sent)
		client->leave_us = trace_now_us() + dice_skewed(&world.dice, 0, 100000);
	note_sent(client);
}

static void plan_next(struct client *client)
{
	if (client->sent < client->wire.len && !client->peer.channel->peer_is_full &&
	    client->leave_us == 0)
		peer_wake(&client->peer, client->give.next_us);
	if (client->leave_us > trace_now_us())
		peer_wake(&client->peer, client->leave_us);
	if (peer_content(&client->peer).len > 0)
		peer_wake(&client->peer, client->take.next_us);
	if (client->left > 0 && client->asked_count < client->depth && !client->is_over &&
	    client->ask_us > trace_now_us())
		peer_wake(&client->peer, client->ask_us);
}

/* Ends its side in the middle of what it had to say, and waits for what comes of that. */
static void break_off(struct client *client)
{
	trace("client # breaks off", client - clients, 0, 0);
	excuse_all(client);
	note_end(client);
	client->wire.len = client->sent = 0;
	client->left = 0;
	client->is_over = client->has_ended = true;
	peer_end(&client->peer);
	/* It goes on reading, and what it reads may be here already. */
	plan_next(client);
}

/* It has asked all it wanted to know. Who wants a tunnel has more to say. */
static bool has_asked_all(const struct client *client)
{
	return client->left == 0 && client->asked_count > 0 &&
	       !world.requests[client->asked[client->asked_count - 1]].upgrades;
}

static void end_own_side(struct client *client)
{
	if (client->has_ended || client->sent < client->wire.len)
		return;
	if (client->tunnels || (client->leaving == HALF_CLOSES && has_asked_all(client))) {
		client->has_ended = true;
		note_end(client);
		trace("client # ends its side", client - clients, 0, 0);
		peer_end(&client->peer);
	}
}

/* ---- the life of a connection */

static void choose_pace(struct pace *pace, bool slow)
{
	*pace = (struct pace){.bytes = SIZE_MAX};
	if (dice_chance(&world.dice, world.profile.calm ? 500 : 1500)) {
		pace->bytes = (size_t)dice_skewed(&world.dice, 1, 3000);
		pace->gap_us = dice_skewed(&world.dice, 10, slow ? 3000000 : 3000);
	}
}

/* Less than half of what any rules allow that may hold; where it can be, often longer than a server may be silent. */
static int64_t any_pause_us(void)
{
	int64_t most_us = INT64_MAX, silent_us = INT64_MAX, least_us;

	for (size_t i = 0; i < (world.profile.reloads ? RULES : 1); i++) {
		const struct proxy_timeouts_options *timeouts = &world.rules[i].timeouts;

		if (timeouts->request_body_us / 2 < most_us)
			most_us = timeouts->request_body_us / 2;
		if (timeouts->response_us < silent_us)
			silent_us = timeouts->response_us;
	}
	least_us = silent_us < most_us && dice_chance(&world.dice, 5000) ? silent_us : most_us / 5;
	return dice_between(&world.dice, least_us, most_us);
}

static void choose_ways(struct client *client)
{
	bool rude = dice_chance(&world.dice, world.profile.client);

	client->is_slow = rude && dice_chance(&world.dice, 2000);
	choose_pace(&client->give, client->is_slow);
	choose_pace(&client->take, client->is_slow);
	/* The kernel tells of room when a third of it is free: until then such a reader takes nothing. */
	if (client->take.gap_us > 0 &&
	    client->peer.channel->out.capacity / client->take.bytes * (size_t)client->take.gap_us >
		MOST_US) {
		client->is_slow = !world.profile.calm;
		if (world.profile.calm)
			client->take = (struct pace){.bytes = SIZE_MAX};
	}
	client->left = (unsigned)dice_skewed(&world.dice, 1, 40);
	client->depth =
	    dice_chance(&world.dice, 2000) ? (unsigned)dice_skewed(&world.dice, 1, DEPTH) : 1;
	/* More at once than rondo answers in one go. */
	if (dice_chance(&world.dice, 300))
		client->left = client->depth = DEPTH;
	client->minor = dice_chance(&world.dice, 500) ? 0 : 1;
	if (client->minor == 0)
		client->depth = 1;
	client->pause_us = 0;
	client->leaving = STAYS;
	client->leave_sent = client->leave_taken = UINT64_MAX;
	if (!rude && client->depth == 1 && dice_chance(&world.dice, world.profile.halts))
		client->pause_us = any_pause_us();
	client->leave_us = 0;
	if (!rude && dice_chance(&world.dice, world.profile.halves))
		client->leaving = HALF_CLOSES;
	if (!rude && dice_chance(&world.dice, world.profile.breaks))
		client->leaving = BREAKS_OFF;
	if (!rude || client->is_slow)
		return;
	client->leaving = RESETS + (enum leaving)dice_below(&world.dice, 4);
	if (client->leaving == HALF_CLOSES)
		return;
	if (dice_chance(&world.dice, 5000))
		client->leave_sent = (uint64_t)dice_skewed(&world.dice, 0, 3000);
	else
		client->leave_taken = (uint64_t)dice_skewed(&world.dice, 0, 3000);
}

/* What the proxy before this client says. */
static void introduce(struct client *client)
{
	static const struct str headers[] = {
	    {"PROXY TCP4 192.0.2.7 203.0.113.1 4711 80\r\n", 42},
	    {"PROXY TCP4 192.0.2.7 203.0.113.1 65535 65535\r\n", 46},
	    {"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xcb\0\x71\x01\x12\x67\0\x50", 28},
	    {"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x07\xcb\0\x71\x01\x12\x67\0\x50\x01\0"
	     "\x04h2\0\0",
		35},
	};

	if (world.has_proxies)
		text_put(&client->wire,
		    headers[dice_below(&world.dice, sizeof(headers) / sizeof(*headers))]);
}

static void dial(struct client *client)
{
	size_t in_bytes = (size_t)dice_skewed(&world.dice, 64, QUEUE_BYTES);
	size_t out_bytes = (size_t)dice_skewed(&world.dice, 64, QUEUE_BYTES);
	struct channel *channel = channel_create(in_bytes, out_bytes);

	channel->latency_us = dice_skewed(&world.dice, 0, 500);
	if (!net_dial(world.listening_fd, channel)) {
		channel_join(channel, &client->peer);
		channel->proxy_gone = true;
		peer_close(&client->peer);
		rest(client);
		return;
	}
	channel_join(channel, &client->peer);
	reader_start(&client->reader);
	client->state = CONNECTED;
	client->answer = (struct message_answer){.visit = -1};
	client->wire.len = client->sent = 0;
	client->all_sent = client->all_taken = 0;
	client->asked_count = 0;
	client->interims = 0;
	client->is_over = client->tunnels = client->has_ended = client->is_early = client->is_deaf =
	    false;
	client->ask_us = 0;
	client->dialled_us = trace_now_us();
	client->shortages_before = net_world.shortages;
	choose_ways(client);
	introduce(client);
	trace("client # connects", client - clients, 0, 0);
	peer_wake(&client->peer, trace_now_us() + dice_skewed(&world.dice, 0, 200));
}

static bool is_time_to_leave(const struct client *client)
{
	if (client->leaving == STAYS || client->leaving == HALF_CLOSES ||
	    (client->leaving == BREAKS_OFF && client->has_ended) ||
	    trace_now_us() < client->leave_us)
		return false;
	return client->all_sent >= client->leave_sent || client->all_taken >= client->leave_taken;
}

/* Nothing more to ask, or nothing to ask it on. */
static bool is_satisfied(const struct client *client)
{
	return client->asked_count == 0 && client->sent == client->wire.len &&
	       (client->left == 0 || client->is_over ||
		   world.request_count >= world.profile.requests);
}

/* A tunnel whose one way is closed goes on the other way. */
static bool has_tunnel_to_fill(const struct client *client)
{
	return client->tunnels && !client->has_ended && !client->peer.channel->proxy_gone;
}

static void run_connected(struct client *client)
{
	take(client);
	if (peer_is_reset(&client->peer) ||
	    (peer_is_at_end(&client->peer) && !has_tunnel_to_fill(client))) {
		stream_ends(client, peer_is_reset(&client->peer));
		return;
	}
	while (may_ask(client) && world.request_count < world.profile.requests)
		ask(client);
	give(client);
	end_own_side(client);
	if (client->tunnels && client->has_ended && peer_is_at_end(&client->peer))
		stream_ends(client, false);
	else if (is_time_to_leave(client) && client->leaving == BREAKS_OFF)
		break_off(client);
	else if (is_time_to_leave(client))
		leave(client, client->leaving);
	else if (is_satisfied(client) && !client->tunnels &&
		 (client->is_over ? !world.profile.calm : true) && dice_chance(&world.dice, 7000))
		leave(client, STAYS);
	else
		plan_next(client);
}

static void run(struct peer *peer)
{
	struct client *client = container_of(peer, struct client, peer);

	switch (client->state) {
	case RESTING:
		if (world.request_count < world.profile.requests && !world.is_draining &&
		    !world.is_ending)
			dial(client);
		else
			retire(client);
		break;
	case CONNECTED:
		run_connected(client);
		break;
	case SILENT:
		if (client->peer.channel->proxy_gone || world.is_ending)
			leave(client, CLOSES);
		break;
	case RETIRED:
		break;
	}
}

void clients_start(size_t count)
{
	world.clients_alive = count;
	for (size_t i = 0; i < count; i++) {
		struct client *client = &clients[i];

		peer_init(&client->peer, run);
		client->state = RESTING;
		peer_wake(&client->peer, trace_now_us() + dice_skewed(&world.dice, 1, 5000));
	}
}

void clients_dismiss(void)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *client = &clients[i];

		if (client->state == CONNECTED || client->state == SILENT)
			leave(client, CLOSES);
		else if (client->state == RESTING && client->peer.on_wake)
			peer_wake(&client->peer, trace_now_us());
	}
}

void clients_finish(void)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		check(
		    "nothing is left", !clients[i].peer.channel, "the connection of client %zu", i);
		timer_remove(channel_peers(), &clients[i].peer.timer);
	}
}
