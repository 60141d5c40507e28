#include "proxy/relay.h"

#include <assert.h>

/* Rounds of reading and sending for one event: more is reported again by the loop, after everybody
 * else had a turn. */
enum { ROUNDS = 4 };

/* The most that is read at once: two of the usual socket reads, whatever the block size. */
enum { READ_BYTES = 256 * 1024 };

/* Less is copied faster than it goes through a pipe. */
enum { SPLICE_LEAST = 32 * 1024 };

void relay_start(struct relay *relay, const struct relay_start *start)
{
	*relay = (struct relay){
	    .from = start->from,
	    .limits = start->limits,
	    .base = start->base,
	    .sent = start->base,
	    .ready = start->base,
	    .raw = start->base,
	    .keeps = start->keep_bytes > 0,
	    .keep_bytes = start->keep_bytes,
	    .trailers = start->trailers,
	    .pipes = start->pipes,
	    .moved_us = loop_now_us(start->from->loop),
	};
	body_init(&relay->body, start->head, start->max_bytes);
}

void relay_aim(struct relay *relay, struct conn *to, enum http_framing framing)
{
	assert(relay_can_repeat(relay));
	relay->to = to;
	relay->framing = framing;
	relay->sent = relay->base;
	relay->passed = 0;
	relay->chunk_left = 0;
	relay->last_composed = false;
	relay->moved_us = loop_now_us(relay->from->loop);
}

void relay_stop(struct relay *relay)
{
	pipes_give(relay->pipes, relay->pipe);
	relay->pipe = NULL;
}

/* Payload that is here and was not sent yet. */
static size_t unsent(const struct relay *relay)
{
	return relay->ready - relay->sent + (relay->pipe ? relay->pipe->held : 0);
}

/* Removes the bytes from `begin` to `end` of the receive buffer; what follows moves down. */
static void cut(struct buf *in, size_t begin, size_t end)
{
	if (end > begin) {
		assert(in->data);
		memmove(in->data + begin, in->data + end, in->end - end);
		in->end -= end - begin;
	}
}

/* Takes the framing off what is raw, and closes the gap that leaves. */
static enum body_result decode(struct relay *relay)
{
	struct buf *in = &relay->from->in;

	if (relay->body.done)
		return BODY_DONE;
	if (relay->raw == in->end)
		return BODY_MORE;
	/* Payload and raw bytes touch: nothing lies between them until the message is complete. */
	struct body_span span;
	enum body_result result = body_decode(
	    &relay->body, relay->limits, in->data + relay->ready, in->end - relay->ready, &span);
	size_t gap_begin = relay->ready + span.payload;
	relay->ready = gap_begin;
	if (relay->ready - relay->base > relay->keep_bytes)
		relay->keeps = false;
	relay->raw += span.raw;
	if (result == BODY_MORE) {
		cut(in, gap_begin, relay->raw);
		relay->raw = gap_begin;
	}
	return result;
}

/* Makes room behind what is left, and gives up keeping when there is none otherwise. */
static void make_room(struct relay *relay)
{
	struct buf *in = &relay->from->in;
	bool is_full = in->data && buf_room(in) == 0;
	bool all_sent = relay->sent == relay->ready;

	if (is_full && all_sent)
		relay->keeps = false;
	if (relay->keeps || relay->sent == relay->base || !(all_sent || is_full))
		return;
	size_t gone = relay->sent - relay->base;
	cut(in, relay->base, relay->sent);
	relay->sent -= gone;
	relay->ready -= gone;
	relay->raw -= gone;
}

bool relay_wants_read(const struct relay *relay)
{
	return !relay->body.done && unsent(relay) == 0 && !relay->from->ended;
}

bool relay_wants_write(const struct relay *relay)
{
	return relay->to && (buf_len(&relay->to->out) > 0 || unsent(relay) > 0);
}

/* The trailer section of a complete message of which fields may go on, or nothing. */
static struct str trailer_section(const struct relay *relay)
{
	if (!relay->trailers || relay->body.trailer_bytes == 0)
		return (struct str){NULL, 0};
	return (struct str){relay->from->in.data + relay->raw - relay->body.trailer_bytes,
	    relay->body.trailer_bytes};
}

/* Opens a chunk over all the payload there is, or ends the message; true when `out` had room for
 * it. */
static bool compose_chunk(struct relay *relay)
{
	struct buf *out = &relay->to->out;

	if (relay->chunk_left > 0 || relay->last_composed)
		return true;
	if (unsent(relay) > 0) {
		char text[BODY_CHUNK_HEAD_SIZE];
		size_t len = body_chunk_head(text, unsent(relay));

		if (!buf_append(out, (struct str){text, len}))
			return false;
		relay->chunk_left = unsent(relay);
	} else if (relay->body.done) {
		if (!write_last_chunk(out, trailer_section(relay), relay->trailers))
			return false;
		relay->last_composed = true;
	}
	return true;
}

static bool ends_message(const struct relay *relay)
{
	return relay->body.done && relay->chunk_left == unsent(relay) &&
	       trailer_section(relay).len == 0;
}

/* What follows the payload of the chunk in the same write: its CRLF, so that the receiver has it
 * whole before more comes, and the end of the message if this is it. */
static struct str chunk_tail(const struct relay *relay)
{
	if (relay->framing != HTTP_FRAMING_CHUNKED || relay->chunk_left == 0)
		return (struct str){NULL, 0};
	return ends_message(relay) ? STR("\r\n0\r\n\r\n") : STR("\r\n");
}

/* Sends once from the pipe. */
static enum io drain_some(struct relay *relay)
{
	struct str tail = chunk_tail(relay);
	bool ends = ends_message(relay);
	size_t before = relay->pipe->held;
	enum io io = conn_drain(relay->to, relay->pipe);

	if (io != IO_OK)
		return io;
	size_t content = before - relay->pipe->held;
	relay->passed += content;
	relay->moved_us = loop_now_us(relay->from->loop);
	if (relay->framing == HTTP_FRAMING_CHUNKED)
		relay->chunk_left -= content;
	if (relay->pipe->held > 0)
		return IO_OK;
	relay->last_composed = ends;
	relay_stop(relay);
	return buf_append(&relay->to->out, tail) ? IO_OK : IO_SHORTAGE;
}

/* Sends once: what waits in `out`, payload, and the end of the message if this is it. */
static enum io send_some(struct relay *relay)
{
	bool chunked = relay->framing == HTTP_FRAMING_CHUNKED;

	if (chunked && !compose_chunk(relay))
		return IO_SHORTAGE;
	size_t payload = relay->ready - relay->sent;
	if (payload == 0 && buf_len(&relay->to->out) == 0)
		return relay->pipe ? drain_some(relay) : IO_OK;
	struct str tail = relay->pipe ? (struct str){NULL, 0} : chunk_tail(relay);
	struct str pieces[2] = {{NULL, payload}, tail};
	if (payload > 0)
		pieces[0].data = relay->from->in.data + relay->sent;
	size_t taken = 0;
	enum io io = conn_send(relay->to, pieces, &taken);
	if (io != IO_OK)
		return io;
	size_t content = taken < payload ? taken : payload;
	relay->sent += content;
	relay->passed += content;
	relay->moved_us = loop_now_us(relay->from->loop);
	if (chunked)
		relay->chunk_left -= content;
	if (tail.len > 0 && relay->chunk_left == 0) {
		/* The payload is gone; what the kernel left of the tail must follow it. */
		size_t of_tail = taken - content;
		struct str rest = {tail.data + of_tail, tail.len - of_tail};
		relay->last_composed = ends_message(relay);
		if (rest.len > 0 && !buf_append(&relay->to->out, rest))
			return IO_SHORTAGE;
	}
	return IO_OK;
}

static bool is_sent(const struct relay *relay)
{
	return relay->body.done && unsent(relay) == 0 && buf_len(&relay->to->out) == 0 &&
	       (relay->framing != HTTP_FRAMING_CHUNKED || relay->last_composed);
}

/* Sends until nothing is left or the receiver is full. IO_AGAIN: it is full. */
static enum io send_all(struct relay *relay)
{
	while (
	    !is_sent(relay) && (relay_wants_write(relay) ||
				   (relay->framing == HTTP_FRAMING_CHUNKED && relay->body.done))) {
		enum io io = send_some(relay);

		if (io != IO_OK)
			return io;
	}
	return IO_OK;
}

/* Is it worth a pipe? Of content that is not counted it is seen by what came last. */
static bool is_long(const struct relay *relay)
{
	uint64_t more = body_spliceable(&relay->body);

	return more == UINT64_MAX ? relay->last_read >= SPLICE_LEAST : more >= SPLICE_LEAST;
}

/* Reads once into a pipe; false when there is none, or it has to be the buffer. */
static bool fill_pipe(struct relay *relay, enum io *io)
{
	uint64_t more = body_spliceable(&relay->body);

	if (!relay->pipes || relay->keeps || relay->raw < relay->from->in.end || !is_long(relay))
		return false;
	relay->pipe = pipes_take(relay->pipes);
	if (!relay->pipe)
		return false;
	size_t size = relay->pipe->size;
	*io = conn_fill(relay->from, relay->pipe, more < size ? (size_t)more : size);
	if (*io == IO_OK)
		body_skip(&relay->body, relay->pipe->held);
	else
		relay_stop(relay);
	return true;
}

/* Reads once more content. */
static enum io read_some(struct relay *relay)
{
	uint64_t before = relay->from->received;
	enum io io;

	make_room(relay);
	if (!fill_pipe(relay, &io))
		io = conn_read(relay->from, READ_BYTES);
	relay->last_read = (size_t)(relay->from->received - before);
	if (io == IO_OK)
		relay->moved_us = loop_now_us(relay->from->loop);
	return io;
}

/* Heads are read with little of what follows them. What is short leaves with its head: true when
 * more of it came, or its end. What is long does not wait for more. */
static bool read_rest(struct relay *relay)
{
	struct conn *from = relay->from;
	bool is_possible = !relay->body.done && !from->ended && from->readable && !relay->pipe &&
			   buf_room(&from->in) > 0 && (!relay->to || relay->to->writable);

	/* What is announced is sent before anything is put behind it. */
	if (!is_possible || relay->chunk_left > 0 || is_long(relay))
		return false;
	enum io io = read_some(relay);
	/* What is wrong is met again once that which came before is sent. */
	if (io == IO_ERROR || io == IO_SHORTAGE)
		from->readable = true;
	return io == IO_OK || (io == IO_END && body_end(&relay->body));
}

bool relay_look(struct relay *relay)
{
	for (int round = 0; decode(relay) != BODY_BAD; round++)
		if (round == ROUNDS || !read_rest(relay))
			return true;
	return false;
}

bool relay_take_in(struct relay *relay)
{
	return relay->from && decode(relay) == BODY_DONE;
}

enum relay_result relay_gather(struct relay *relay)
{
	for (int round = 0;; round++) {
		switch (decode(relay)) {
		case BODY_BAD:
			return RELAY_BAD;
		case BODY_TOO_LARGE:
			return RELAY_TOO_LARGE;
		case BODY_DONE:
			return RELAY_DONE;
		case BODY_MORE:
			break;
		}
		if (round == ROUNDS)
			return RELAY_WAITS;
		switch (conn_read(relay->from, READ_BYTES)) {
		case IO_OK:
			relay->moved_us = loop_now_us(relay->from->loop);
			break;
		case IO_AGAIN:
			return RELAY_WAITS;
		case IO_SHORTAGE:
		case IO_FULL:
			return RELAY_SHORTAGE;
		case IO_END:
		case IO_ERROR:
			return RELAY_ENDED;
		}
	}
}

enum relay_result relay_run(struct relay *relay)
{
	for (int round = 0;; round++) {
		switch (decode(relay)) {
		case BODY_BAD:
			return RELAY_BAD;
		case BODY_TOO_LARGE:
			return RELAY_TOO_LARGE;
		case BODY_MORE:
		case BODY_DONE:
			break;
		}
		if (round < ROUNDS && read_rest(relay))
			continue;
		enum io io = send_all(relay);
		if (io == IO_ERROR)
			return RELAY_SEND_FAILED;
		if (io == IO_SHORTAGE)
			return RELAY_SHORTAGE;
		if (is_sent(relay))
			return RELAY_DONE;
		if (!relay_wants_read(relay))
			return relay->from->ended && !relay->body.done && unsent(relay) == 0
				   ? RELAY_ENDED
				   : RELAY_WAITS;
		if (round == ROUNDS)
			return RELAY_WAITS;
		switch (read_some(relay)) {
		case IO_OK:
			break;
		case IO_END:
			if (!body_end(&relay->body))
				return RELAY_ENDED;
			break;
		case IO_AGAIN:
			return RELAY_WAITS;
		case IO_SHORTAGE:
		case IO_FULL:
			return RELAY_SHORTAGE;
		case IO_ERROR:
			return RELAY_ENDED;
		}
	}
}
