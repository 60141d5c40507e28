#include "message.h"

#include "trace.h"

/* Keys of content: requests and answers never share one, nor do a request and a tunnel. */
static uint32_t request_key(const struct request *request)
{
	return (uint32_t)world_index(request) * 2 + 1;
}

static uint32_t visit_key(const struct visit *visit)
{
	return (uint32_t)(visit - world.visits) * 2;
}

struct str message_method(enum method method)
{
	static const struct str names[METHODS] = {{"GET", 3}, {"HEAD", 4}, {"POST", 4}, {"PUT", 3},
	    {"DELETE", 6}, {"OPTIONS", 7}, {"PATCH", 5}};

	return names[method];
}

/* A field that must pass, at the other end as it is here. */
static void put_passing(struct text *wire, uint64_t *hash, struct str name, struct str value)
{
	*hash = field_hash(*hash, name, value);
	text_put_field(wire, name, value);
}

static void put_some_passing(struct text *wire, uint64_t *hash)
{
	static const struct {
		struct str name, value;
	} fields[] = {
	    {{"Accept", 6}, {"*/*", 3}},
	    {{"x-lower", 7}, {"a, b;q=0.5", 10}},
	    {{"X-Same", 6}, {"1", 1}},
	    {{"X-Same", 6}, {"2", 1}},
	    {{"Cache-Control", 13}, {"no-store", 8}},
	    {{"X-Quoted", 8}, {"\"a  b\\\"c\"", 9}},
	    {{"X-Empty", 7}, {"", 0}},
	    {{"X-High", 6}, {"\xc3\xa9t\xe9", 4}},
	};
	unsigned roll = (unsigned)dice_roll(&world.dice);

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (roll >> i * 2 & 1 && (roll >> 20 & 3) != 0)
			put_passing(wire, hash, fields[i].name, fields[i].value);
}

/* Fields that belong to one connection. */
static void put_hop_by_hop(struct text *wire, bool closes, bool takes_trailers)
{
	unsigned roll = (unsigned)dice_roll(&world.dice);

	if (takes_trailers)
		text_put(wire, STR("TE: trailers\r\nConnection: TE\r\n"));
	if ((roll & 7) == 0)
		text_put(
		    wire, STR("Connection: X-Hop, Host, content-length, via\r\nX-Hop: secret\r\n"));
	if ((roll >> 3 & 7) == 0)
		text_put(wire, STR("Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\n"));
	if ((roll >> 6 & 15) == 0)
		text_put(wire, STR("Proxy-Authorization: Basic c2VjcmV0\r\nTrailer: X-End\r\n"));
	if (closes)
		text_put(wire, STR("Connection: close\r\n"));
}

bool message_put_content(
    struct text *wire, enum framing framing, uint32_t length, uint32_t key, bool breaks)
{
	uint32_t done = 0;
	bool has_trailers;

	if (framing == FRAMING_LENGTH || framing == FRAMING_CLOSE) {
		text_put_noise(wire, 0, key, length);
		return false;
	}
	if (framing != FRAMING_CHUNKED)
		return false;
	while (done < length) {
		uint32_t n = (uint32_t)dice_skewed(&world.dice, 1, (int64_t)length - done);

		text_put_hex(wire, n);
		if (dice_chance(&world.dice, 300))
			text_put(wire, STR(";name=\"a value\""));
		text_put(wire, STR("\r\n"));
		text_put_noise(wire, done, key, n);
		done += n;
		text_put(wire,
		    breaks && done == length ? STR("\r\nfffffffff0fffffffff\r\n") : STR("\r\n"));
	}
	text_put(wire, breaks ? STR("g\r\n") : STR("0\r\n"));
	has_trailers = dice_chance(&world.dice, 1000);
	if (has_trailers && dice_chance(&world.dice, 3000))
		text_put(wire, STR("Content-Length: 3\r\nHost: b\r\nSet-Cookie: a=b\r\n"));
	text_put(wire, has_trailers ? STR(MESSAGE_TRAILERS) : STR("\r\n"));
	return has_trailers;
}

/* Most names differ in their length already. */
static inline bool is_called(struct str name, struct str wanted)
{
	return name.len == wanted.len && str_equals_nocase(name, wanted);
}

/* ---- requests */

static void put_target(struct text *wire, const struct request *request)
{
	if (dice_chance(&world.dice, 200))
		text_put(wire, STR("http://sim.example"));
	text_put(wire, STR("/r/"));
	text_put_hex(wire, (uint32_t)world_index(request));
	if (request->fault == FAULT_LONG_TARGET)
		for (size_t n = 0; n <= world.rules[0].limits.head.uri_bytes; n += 10)
			text_put(wire, STR("?123456789"));
	else if (dice_chance(&world.dice, 2000))
		text_put(wire, STR("?q=%20a/../b"));
}

static void put_faults(struct text *wire, const struct request *request)
{
	static const struct str long_line =
	    STR("X-Long: 012345678901234567890123456789012345678901234567890123456789\r\n");

	switch (request->fault) {
	case FAULT_TWO_LENGTHS:
		text_put(wire, STR("Content-Length: 1\r\nContent-Length: 2\r\n"));
		break;
	case FAULT_LENGTH_AND_CODING:
		text_put(wire, STR("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"));
		break;
	case FAULT_BARE_LF:
		text_put(wire, STR("X-A: b\n"));
		break;
	case FAULT_LONG_HEAD:
		for (size_t n = 0; n <= world.rules[0].limits.head.header_bytes; n += long_line.len)
			text_put(wire, long_line);
		break;
	case FAULT_EXPECTATION:
		text_put(wire, STR("Expect: something-else\r\n"));
		break;
	case FAULT_CODING:
		text_put(wire, STR("Transfer-Encoding: gzip, chunked\r\n"));
		break;
	case FAULT_NONE:
	case FAULT_NO_HOST:
	case FAULT_VERSION:
	case FAULT_METHOD:
	case FAULT_CONNECT:
	case FAULT_LONG_TARGET:
	case FAULT_CHUNK:
	case FAULT_TOO_MUCH:
	case FAULTS:
		break;
	}
}

static void put_request_line(struct text *wire, const struct request *request)
{
	if (request->fault == FAULT_CONNECT) {
		text_put(wire, STR("CONNECT sim.example:80 HTTP/1.1\r\n"));
		return;
	}
	text_put(
	    wire, request->fault == FAULT_METHOD ? STR("BR(W") : message_method(request->method));
	text_put(wire, STR(" "));
	put_target(wire, request);
	if (request->fault == FAULT_VERSION)
		text_put(wire, STR(" HTTP/2.0\r\n"));
	else
		text_put(wire, request->minor ? STR(" HTTP/1.1\r\n") : STR(" HTTP/1.0\r\n"));
}

void message_compose_request(struct text *wire, struct request *request, bool is_last)
{
	bool keeps_1_0 = request->minor == 0 && !request->closes;

	put_request_line(wire, request);
	if (request->fault != FAULT_NO_HOST)
		text_put(wire, STR("Host: sim.example\r\n"));
	put_faults(wire, request);
	put_some_passing(wire, &request->fields);
	if (request->has_key)
		put_passing(wire, &request->fields, STR("Idempotency-Key"), STR("7"));
	if (request->expects)
		put_passing(wire, &request->fields, STR("Expect"), STR("100-continue"));
	if (keeps_1_0)
		text_put(wire, STR("Connection: keep-alive\r\n"));
	if (request->upgrades)
		text_put(wire, STR("Connection: upgrade\r\nUpgrade: websocket\r\n"));
	put_hop_by_hop(wire, request->closes && request->minor == 1, request->takes_trailers);
	if (request->framing == FRAMING_LENGTH) {
		text_put(wire, STR("Content-Length: "));
		text_add_number(wire, request->length);
		text_put(wire, STR("\r\n"));
	} else if (request->framing == FRAMING_CHUNKED) {
		text_put(wire, STR("transfer-encoding: Chunked\r\n"));
	}
	text_put(wire, STR("\r\n"));
	request->content_at = wire->len;
	message_put_content(wire, request->framing, request->length, request_key(request),
	    request->fault == FAULT_CHUNK);
	(void)is_last;
}

/* Fields that rondo sets itself, whatever came. */
static bool is_added(struct str name)
{
	static const struct str names[] = {{"Host", 4}, {"Via", 3}, {"X-Forwarded-For", 15},
	    {"X-Forwarded-Proto", 17}, {"X-Forwarded-Host", 16}, {"Forwarded", 9},
	    {"X-Request-Id", 12}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (is_called(name, names[i]))
			return true;
	return false;
}

struct framing_fields {
	enum framing framing;
	uint64_t length;
	bool closes, upgrades;
};

/* What frames a message, and may therefore stand in it once. False for any other field. */
static bool take_framing(struct framing_fields *framing, struct str name, struct str value)
{
	if (is_called(name, STR("Content-Length"))) {
		check("messages are framed once", framing->framing == FRAMING_NONE, "%.*s",
		    STR_ARGS(value));
		check("messages are framed once", str_to_number(value, &framing->length), "%.*s",
		    STR_ARGS(value));
		framing->framing = FRAMING_LENGTH;
	} else if (is_called(name, STR("Transfer-Encoding"))) {
		check("messages are framed once",
		    framing->framing == FRAMING_NONE && str_equals(value, STR("chunked")), "%.*s",
		    STR_ARGS(value));
		framing->framing = FRAMING_CHUNKED;
	} else if (is_called(name, STR("Connection"))) {
		framing->closes |= is_called(value, STR("close"));
		framing->upgrades |= is_called(value, STR("upgrade"));
		check("fields of one connection do not pass",
		    is_called(value, STR("close")) || is_called(value, STR("upgrade")) ||
			is_called(value, STR("TE")) || is_called(value, STR("keep-alive")),
		    "Connection: %.*s", STR_ARGS(value));
	} else {
		return is_called(name, STR("TE")) || is_called(name, STR("Upgrade"));
	}
	return true;
}

static void check_request_fields(
    const struct request *request, struct str fields, struct framing_fields *framing)
{
	uint64_t hash = 0;
	struct str name, value;

	while (reader_next_field(&fields, &name, &value)) {
		check("fields of one connection do not pass",
		    !is_called(name, STR("X-Hop")) && !is_called(name, STR("Keep-Alive")) &&
			!is_called(name, STR("Proxy-Authorization")),
		    "%.*s at a server", STR_ARGS(name));
		if (is_called(name, STR("Host")))
			check("fields pass", str_equals(value, STR("sim.example")), "Host: %.*s",
			    STR_ARGS(value));
		if (is_called(name, STR("X-Forwarded-For")))
			check("the client is the one that a proxy names",
			    str_starts_with(
				value, world.has_proxies ? STR("192.0.2.7") : STR("127.0.0.")),
			    "%.*s", STR_ARGS(value));
		if (!take_framing(framing, name, value) && !is_added(name))
			hash = field_hash(hash, name, value);
	}
	check("fields pass", hash == request->fields, "request %lld came with others",
	    (long long)world_index(request));
	check("an upgrade passes where it was asked for", framing->upgrades == request->upgrades,
	    "request %lld", (long long)world_index(request));
}

int64_t message_check_request(const struct reader *reader, bool *is_probe)
{
	struct framing_fields framing = {.framing = FRAMING_NONE};
	struct str fields;
	struct str line = reader_start_line(reader, &fields);
	struct str method = str_split(&line, ' ');
	struct str target = str_split(&line, ' ');
	const struct request *request;
	uint32_t index;

	*is_probe = str_equals(target, STR("/health"));
	if (*is_probe)
		return -1;
	check("requests pass",
	    str_starts_with(target, STR("/r/")) && target.len >= 11 &&
		read_hex((struct str){target.data + 3, 8}, &index) && index < world.request_count,
	    "target %.*s at a server", STR_ARGS(target));
	request = &world.requests[index];
	check("requests pass", request->fault == FAULT_NONE || request->fault >= FAULT_CHUNK,
	    "request %u, with fault %d, at a server", index, (int)request->fault);
	check("requests pass",
	    str_equals(method, message_method(request->method)) &&
		str_equals(line, STR("HTTP/1.1")),
	    "request %u: %.*s", index, STR_ARGS(method));
	check_request_fields(request, fields, &framing);
	check("requests pass",
	    framing.framing == request->framing &&
		(framing.framing != FRAMING_LENGTH || framing.length == request->length),
	    "request %u is framed otherwise", index);
	return index;
}

/* ---- answers */

static void put_status_line(struct text *wire, unsigned status, bool is_old)
{
	text_put(wire, is_old ? STR("HTTP/1.0 ") : STR("HTTP/1.1 "));
	text_add_number(wire, status);
	text_put(wire, STR(" Whatever\r\n"));
}

static void put_interims(struct text *wire, unsigned count)
{
	while (count-- > 0) {
		if (dice_chance(&world.dice, 5000))
			text_put(wire,
			    STR("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"));
		else
			text_put(wire, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	}
}

void message_compose_answer(struct text *wire, struct visit *visit, bool closes)
{
	uint32_t number = (uint32_t)(visit - world.visits);
	const struct request *request = &world.requests[visit->request];

	put_interims(wire, visit->interims);
	visit->final_at = wire->len;
	put_status_line(wire, visit->status, visit->is_old);
	text_put(wire, STR("X-Sim: "));
	text_put_hex(wire, (uint32_t)visit->request);
	text_put(wire, STR(" "));
	text_put_hex(wire, number);
	text_put(wire, STR("\r\n"));
	put_some_passing(wire, &visit->fields);
	if (dice_chance(&world.dice, 3000))
		text_put(wire, STR("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
	if (dice_chance(&world.dice, 500))
		text_put(wire, STR("x-app-url: http://elsewhere\r\n"));
	if (visit->switches) {
		text_put(wire, STR("Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"));
		return;
	}
	if (visit->is_old && !closes)
		text_put(wire, STR("Connection: keep-alive\r\n"));
	put_hop_by_hop(wire, closes && !visit->is_old, false);
	if (visit->framing == FRAMING_LENGTH) {
		text_put(wire, STR("Content-Length: "));
		text_add_number(wire, visit->length);
		text_put(wire, STR("\r\n"));
	} else if (visit->framing == FRAMING_CHUNKED) {
		text_put(wire, STR("Transfer-Encoding: chunked\r\n"));
	}
	text_put(wire, STR("\r\n"));
	visit->content_at = wire->len;
	if (request->method != HEAD && visit->status != 204 && visit->status != 304)
		visit->has_trailers = message_put_content(
		    wire, visit->framing, visit->length, visit_key(visit), visit->is_bad_content);
}

/* Holds what the head of a server's answer says against what that server sent. */
static void check_origin(const struct message_answer *answer, uint64_t fields, struct str url)
{
	const struct visit *visit;

	check("an answer comes from a server", answer->visit < (int64_t)world.visit_count,
	    "visit %lld", (long long)answer->visit);
	visit = &world.visits[answer->visit];
	check("an answer belongs to its request", visit->request == answer->request, "visit %lld",
	    (long long)answer->visit);
	check("statuses pass", visit->status == answer->status, "%u for %u", answer->status,
	    visit->status);
	check("fields pass", visit->fields == fields, "the answer of visit %lld came with others",
	    (long long)answer->visit);
	check("x-app-url names the server that answered",
	    str_equals(url, str_from(world.servers[visit->server].url)), "%.*s for %s",
	    STR_ARGS(url), world.servers[visit->server].url);
}

static bool read_origin(struct message_answer *answer, struct str value)
{
	uint32_t request, visit;

	if (value.len != 17 || !read_hex((struct str){value.data, 8}, &request) ||
	    !read_hex((struct str){value.data + 9, 8}, &visit))
		return false;
	answer->request = request;
	answer->visit = visit;
	return true;
}

/* How the content of this answer is framed; what it claims to have does not count where it cannot have any. */
static void set_framing(struct message_answer *answer, const struct request *request,
    const struct framing_fields *framing)
{
	answer->framing = framing->framing;
	answer->length = framing->length;
	answer->closes = framing->closes;
	if (framing->framing == FRAMING_NONE)
		answer->framing = FRAMING_CLOSE;
	if (request->method == HEAD || answer->status < 200 || answer->status == 204 ||
	    answer->status == 304)
		answer->framing = FRAMING_NONE;
	check("HTTP/1.0 has no chunks", request->minor == 1 || answer->framing != FRAMING_CHUNKED,
	    "status %u", answer->status);
}

void message_check_answer(
    const struct reader *reader, const struct request *request, struct message_answer *answer)
{
	struct framing_fields framing = {.framing = FRAMING_NONE};
	struct str fields, name, value, url = {NULL, 0};
	struct str line = reader_start_line(reader, &fields);
	uint64_t status = 0, hash = 0;
	bool is_own = false;

	*answer = (struct message_answer){.request = -1, .visit = -1};
	check("answers are HTTP",
	    str_starts_with(line, STR("HTTP/1.1 ")) && line.len >= 13 &&
		str_to_number((struct str){line.data + 9, 3}, &status),
	    "%.*s", STR_ARGS(line));
	answer->status = (unsigned)status;
	while (reader_next_field(&fields, &name, &value)) {
		check("fields of one connection do not pass",
		    !is_called(name, STR("X-Hop")) && !is_called(name, STR("Keep-Alive")),
		    "%.*s at a client", STR_ARGS(name));
		if (str_equals(name, STR("X-Sim")) && str_equals(value, STR("what nobody asked")))
			check("answers are whole", world.tainted > 0, "%.*s", STR_ARGS(value));
		else if (str_equals(name, STR("X-Sim")))
			/* What nobody asked may end in the middle, and the answer stand behind it. */
			check("answers are whole", read_origin(answer, value) || world.tainted > 0,
			    "X-Sim: %.*s", STR_ARGS(value));
		else if (is_called(name, STR("x-app-url")))
			url = value;
		else if (is_called(name, STR("Proxy-Status")))
			is_own = true;
		else if (is_called(name, STR("Trailer")))
			check("trailers are announced to those who take them",
			    request->takes_trailers && str_equals(value, STR("X-End")),
			    "request %lld: %.*s", (long long)world_index(request), STR_ARGS(value));
		else if (!take_framing(&framing, name, value) && !is_called(name, STR("Date")) &&
			 !is_called(name, STR("x-attempts")) &&
			 !is_called(name, STR("X-Request-Id")))
			hash = field_hash(hash, name, value);
	}
	answer->is_own = is_own && answer->visit < 0;
	if (request->is_tainted)
		answer->request = answer->visit = -1;
	if (answer->visit >= 0)
		check_origin(answer, hash, url);
	set_framing(answer, request, &framing);
}
