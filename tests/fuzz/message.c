#include "message.h"
#include "http/write.h"

#include <assert.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>

/* ---- bytes that come in pieces */

struct stream {
	char bytes[MESSAGE_ROOM]; /* decoding happens in place */
	size_t end;               /* what has come */
	size_t len;
	enum message_pace pace;
	unsigned seed;
};

static void stream_open(struct stream *stream, struct message_bytes bytes)
{
	stream->len = bytes.all.len < MESSAGE_ROOM ? bytes.all.len : MESSAGE_ROOM;
	if (stream->len)
		memcpy(stream->bytes, bytes.all.data, stream->len);
	stream->end = 0;
	stream->pace = bytes.pace;
	stream->seed = (unsigned)stream->len;
}

/* The next piece; empty at the end. Its size hangs on the bytes before it, so a run repeats exactly. */
static struct str stream_next(struct stream *stream)
{
	size_t left = stream->len - stream->end, n = left;
	struct str piece = {stream->bytes + stream->end, 0};

	if (stream->pace != MESSAGE_WHOLE && left) {
		stream->seed = stream->seed * 1664525 + 1013904223 + (unsigned char)*piece.data;
		n = 1 + (stream->seed >> 16) % (unsigned)stream->pace;
	}
	piece.len = n < left ? n : left;
	stream->end += piece.len;
	return piece;
}

/* ---- content */

/* Decodes what has come behind `begin`, in memory that ends where the bytes do; returns what is used up. */
static size_t decode(struct message_content *content, struct body *body,
    const struct message_rules *rules, struct str raw)
{
	char *memory = malloc(raw.len + 1);
	struct body_span span;

	assert(memory);
	memcpy(memory, raw.data, raw.len);
	ASAN_POISON_MEMORY_REGION(memory + raw.len, 1);
	content->result = body_decode(body, &rules->limits, memory, raw.len, &span);
	ASAN_UNPOISON_MEMORY_REGION(memory + raw.len, 1);
	assert(span.payload <= span.raw && span.raw <= raw.len);
	assert(content->payload_len + span.payload <= MESSAGE_ROOM);
	memcpy(content->payload + content->payload_len, memory, span.payload);
	content->payload_len += span.payload;
	if (content->result == BODY_DONE && body->trailer_bytes) {
		assert(span.payload + body->trailer_bytes <= span.raw);
		content->trailers_len = body->trailer_bytes;
		memcpy(content->trailers, memory + span.raw - body->trailer_bytes,
		    body->trailer_bytes);
	}
	/* What stays raw is given again, as the scan has left it. */
	memcpy((char *)(uintptr_t)raw.data, memory, raw.len);
	free(memory);
	return span.raw;
}

/* Reads from `begin` on; what stream->end counts has come already. */
static void read_content(struct message_content *content, const struct message_rules *rules,
    const struct http_head *head, struct stream *stream)
{
	size_t start = content->consumed, begin = start;
	struct body body;

	content->payload_len = content->trailers_len = 0;
	content->ends = false;
	body_init(&body, head, rules->max_bytes);
	content->result = BODY_MORE;
	do {
		struct str raw = {stream->bytes + begin, stream->end - begin};
		uint64_t spliceable = body_spliceable(&body);

		begin += decode(content, &body, rules, raw);
		assert(spliceable != 0 || body.framing != HTTP_FRAMING_LENGTH ||
		       content->result != BODY_MORE);
	} while (content->result == BODY_MORE && stream_next(stream).len);
	content->consumed = begin - start;
	assert(content->result != BODY_DONE || body.done);
	assert(content->result > BODY_DONE || body.received == content->payload_len);
	assert(!rules->max_bytes || content->payload_len <= rules->max_bytes);
	if (content->result == BODY_MORE)
		content->ends = body_end(&body);
}

void message_read_content(struct message_content *content, const struct message_rules *rules,
    const struct http_head *head, struct message_bytes bytes)
{
	struct stream stream;

	stream_open(&stream, bytes);
	stream_next(&stream);
	content->consumed = 0;
	read_content(content, rules, head, &stream);
}

void message_assert_same_content(const struct message_content *a, const struct message_content *b)
{
	assert(a->result == b->result);
	assert(a->payload_len == b->payload_len || a->result == BODY_TOO_LARGE);
	if (a->result == BODY_TOO_LARGE)
		return;
	assert(memcmp(a->payload, b->payload, a->payload_len) == 0);
	if (a->result == BODY_BAD)
		return;
	assert(a->consumed == b->consumed || a->result == BODY_MORE);
	assert(a->ends == b->ends);
	assert(a->trailers_len == b->trailers_len);
	assert(memcmp(a->trailers, b->trailers, a->trailers_len) == 0);
}

/* ---- a whole message */

static struct slab blocks = {.object_size = sizeof(((struct message *)0)->forwarded), .limit = 4};

static void keep(char *text, struct str s)
{
	assert(s.len < MESSAGE_ROOM);
	if (s.len)
		memcpy(text, s.data, s.len);
	text[s.len] = '\0';
}

static void forward(
    struct message *message, const struct message_rules *rules, const struct http_head *head)
{
	struct write_request request = {.head = head,
	    .client_ip = STR("192.0.2.1"),
	    .backend_host = STR("backend:8001"),
	    .request_id_name = STR("x-request-id"),
	    .request_id = STR("1")};
	struct write_response response = {.head = head,
	    .request = rules->request,
	    .framing = head->framing == HTTP_FRAMING_CLOSE ? HTTP_FRAMING_CHUNKED : head->framing,
	    .keep_alive = true,
	    .app_url_name = STR("x-app-url"),
	    .app_url = STR("http://backend:8001"),
	    .date = STR("Sun, 06 Nov 1994 08:49:37 GMT")};
	struct buf out;
	bool written;

	buf_init(&out, &blocks);
	if (!rules->request)
		written = write_request_head(&out, &request);
	else if (head->status < 200 && head->status != 101)
		written = write_interim_head(&out, &response);
	else
		written = write_response_head(&out, &response);
	assert(written);
	message->forwarded_len = buf_len(&out);
	memcpy(message->forwarded, buf_content(&out).data, buf_len(&out));
	buf_release(&out);
}

static void learn(
    struct message *message, const struct message_rules *rules, const struct http_head *head)
{
	message->facts = (struct message_facts){.method = head->method,
	    .status = head->status,
	    .minor = head->minor,
	    .framing = head->framing,
	    .has_host = head->has_host,
	    .content_length = head->content_length,
	    .has_content_length = head->has_content_length,
	    .keep_alive = head->keep_alive,
	    .expects_continue = head->expects_continue,
	    .accepts_trailers = head->accepts_trailers,
	    .upgrades = head->upgrades || head->status == 101};
	keep(message->method, head->method_text);
	keep(message->host, head->host);
	keep(message->path, head->path);
	message->head_length = head->length;
	forward(message, rules, head);
}

/* Bytes behind those that have come, which nobody may look at. */
enum { FENCE = 64 };

static enum parse_result read_head(
    struct parse *parse, const struct message_rules *rules, struct buf *in, struct http_head *head)
{
	struct parse_response_rules response = {.limits = rules->limits, .request = rules->request};
	enum parse_result result;
	size_t fence = buf_room(in) < FENCE ? buf_room(in) : FENCE;

	ASAN_POISON_MEMORY_REGION(in->data + in->end, fence);
	result = rules->request ? parse_response(parse, &response, in, head)
				: parse_request(parse, &rules->limits, in, head);
	ASAN_UNPOISON_MEMORY_REGION(in->data + in->end, fence);
	return result;
}

static const char *names[] = {"websocket", "SPDY"};
static const struct http_upgrades protocols = {names, 2};

void message_read(
    struct message *message, const struct message_rules *rules, struct message_bytes bytes)
{
	struct http_field fields[MESSAGE_FIELDS];
	struct http_head head = {.fields = fields, .field_limit = MESSAGE_FIELDS};
	struct stream stream;
	struct parse parse;
	struct str piece;
	struct buf in;

	/* Not all of it: most is room. */
	memset(&message->facts, 0, sizeof(message->facts));
	message->method[0] = message->host[0] = message->path[0] = '\0';
	message->head_length = message->forwarded_len = 0;
	stream_open(&stream, bytes);
	buf_init(&in, &blocks);
	parse_init(&parse, rules->request ? GUARD_RESPONSE : GUARD_REQUEST);
	message->result = PARSE_MORE;
	while (message->result == PARSE_MORE && (piece = stream_next(&stream)).len) {
		bool appended = buf_append(&in, piece);

		assert(appended);
		message->result = read_head(&parse, rules, &in, &head);
		assert(parse.scanned <= buf_len(&in));
	}
	message->fault = parse.fault;
	assert((message->result == PARSE_BAD) == (parse.fault != HTTP_FAULT_NONE));
	if (message->result == PARSE_DONE) {
		if (!rules->request)
			http_upgrade_choose(&head, &protocols);
		assert(head.length <= rules->limits.header_bytes);
		assert(head.field_count <= rules->limits.headers);
		learn(message, rules, &head);
		message->content.consumed = stream.end - buf_len(&in) + head.length;
		read_content(&message->content, rules, &head, &stream);
	}
	buf_release(&in);
}

void message_assert_same(const struct message *a, const struct message *b)
{
	assert(a->result == b->result);
	assert(a->fault == b->fault);
	assert(a->head_length == b->head_length);
	assert(memcmp(&a->facts, &b->facts, sizeof(a->facts)) == 0);
	assert(strcmp(a->method, b->method) == 0 && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->path, b->path) == 0);
	assert(a->forwarded_len == b->forwarded_len);
	assert(memcmp(a->forwarded, b->forwarded, a->forwarded_len) == 0);
	if (a->result == PARSE_DONE)
		message_assert_same_content(&a->content, &b->content);
}

/* ---- there and back again */

/* Payload and trailers in chunks, the last of them as rondo writes it. */
static void encode(struct buf *out, const struct message_content *content)
{
	static const struct write_trailers trailers = {.app_url_name = {"x-app-url", 9}};
	struct str section = {content->trailers, content->trailers_len};
	size_t at = 0;
	bool written = true;

	while (at < content->payload_len) {
		size_t left = content->payload_len - at;
		size_t n = 1 + (unsigned char)content->payload[at] * (at % 3);
		char line[BODY_CHUNK_HEAD_SIZE];

		n = n < left ? n : left;
		written = written &&
			  buf_append(out, (struct str){line, body_chunk_head(line, n)}) &&
			  buf_append(out, (struct str){content->payload + at, n}) &&
			  buf_append(out, STR("\r\n"));
		at += n;
	}
	written = written && write_last_chunk(out, section, &trailers);
	assert(written);
}

void message_assert_round_trip(
    const struct message_content *content, const struct message_rules *rules)
{
	static const struct http_head chunked = {.framing = HTTP_FRAMING_CHUNKED};
	static struct slab room = {.object_size = 10 * (size_t)MESSAGE_ROOM, .limit = 2};
	struct message_rules wide = *rules;
	struct message_content *again = malloc(sizeof(*again));
	struct buf first, second;

	assert(again);
	wide.limits.header_bytes *= 2; /* ": " where there was ":" */
	buf_init(&first, &room);
	buf_init(&second, &room);
	encode(&first, content);
	if (buf_len(&first) <= MESSAGE_ROOM) {
		message_read_content(again, &wide, &chunked,
		    (struct message_bytes){buf_content(&first), MESSAGE_CRUMBS});
		assert(again->result == BODY_DONE && again->consumed == buf_len(&first));
		assert(again->payload_len == content->payload_len);
		assert(memcmp(again->payload, content->payload, content->payload_len) == 0);
		encode(&second, again);
		assert(str_equals(buf_content(&first), buf_content(&second)));
	}
	buf_release(&first);
	buf_release(&second);
	free(again);
}
