#include "proxy/content.h"

#include <assert.h>

/* Rounds of reading and sending for one event: more is reported again by the loop, after all other
 * connections had a turn. */
enum { ROUNDS = 4 };

/* The most that is read at once: two of the usual socket reads, whatever the block size. */
enum { READ_BYTES = 256 * 1024 };

/* Less is copied faster than it goes through a pipe. */
enum { SPLICE_LEAST = 32 * 1024 };

void content_start(struct content *content, const struct content_start *start)
{
	*content = (struct content){
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
	body_init(&content->body, start->head, start->max_bytes);
}

void content_aim(struct content *content, struct conn *to, enum http_framing framing)
{
	assert(content_can_repeat(content));
	content->to = to;
	content->framing = framing;
	content->sent = content->base;
	content->passed = 0;
	content->chunk_left = 0;
	content->last_composed = false;
	content->moved_us = loop_now_us(content->from->loop);
}

void content_stop(struct content *content)
{
	pipes_give(content->pipes, content->pipe);
	content->pipe = NULL;
}

/* Payload that is here and was not sent yet. */
static size_t unsent(const struct content *content)
{
	return content->ready - content->sent + (content->pipe ? content->pipe->held : 0);
}

/* Removes the bytes from `begin` to `end` of the receive buffer; the bytes behind them move
 * down. */
static void cut(struct buf *in, size_t begin, size_t end)
{
	if (end > begin) {
		assert(in->data);
		memmove(in->data + begin, in->data + end, in->end - end);
		in->end -= end - begin;
	}
}

/* Takes the framing off the raw bytes, and closes the gap that this leaves. */
static enum body_result decode(struct content *content)
{
	struct buf *in = &content->from->in;

	if (content->body.done)
		return BODY_DONE;
	if (content->raw == in->end)
		return BODY_MORE;
	/* Payload and raw bytes touch: nothing lies between them until the message is complete. */
	struct body_span span;
	enum body_result result = body_decode(&content->body, content->limits,
	    in->data + content->ready, in->end - content->ready, &span);
	size_t gap_begin = content->ready + span.payload;
	content->ready = gap_begin;
	if (content->ready - content->base > content->keep_bytes)
		content->keeps = false;
	content->raw += span.raw;
	if (result == BODY_MORE) {
		cut(in, gap_begin, content->raw);
		content->raw = gap_begin;
	}
	return result;
}

/* Makes room behind the bytes that are left, and gives up keeping when there is none otherwise. */
static void make_room(struct content *content)
{
	struct buf *in = &content->from->in;
	bool is_full = in->data && buf_room(in) == 0;
	bool all_sent = content->sent == content->ready;

	if (is_full && all_sent)
		content->keeps = false;
	if (content->keeps || content->sent == content->base || !(all_sent || is_full))
		return;
	size_t gone = content->sent - content->base;
	cut(in, content->base, content->sent);
	content->sent -= gone;
	content->ready -= gone;
	content->raw -= gone;
}

bool content_wants_read(const struct content *content)
{
	return !content->body.done && unsent(content) == 0 && !content->from->ended;
}

bool content_wants_write(const struct content *content)
{
	return content->to && (buf_len(&content->to->out) > 0 || unsent(content) > 0);
}

/* The trailer section of a complete message of which fields may go on, or nothing. */
static struct str trailer_section(const struct content *content)
{
	if (!content->trailers || content->body.trailer_bytes == 0)
		return (struct str){NULL, 0};
	return (struct str){content->from->in.data + content->raw - content->body.trailer_bytes,
	    content->body.trailer_bytes};
}

/* Opens a chunk over all the payload there is, or ends the message; true when `out` had room for
 * it. */
static bool compose_chunk(struct content *content)
{
	struct buf *out = &content->to->out;

	if (content->chunk_left > 0 || content->last_composed)
		return true;
	if (unsent(content) > 0) {
		char text[BODY_CHUNK_HEAD_SIZE];
		size_t len = body_chunk_head(text, unsent(content));

		if (!buf_append(out, (struct str){text, len}))
			return false;
		content->chunk_left = unsent(content);
	} else if (content->body.done) {
		if (!write_last_chunk(out, trailer_section(content), content->trailers))
			return false;
		content->last_composed = true;
	}
	return true;
}

static bool ends_message(const struct content *content)
{
	return content->body.done && content->chunk_left == unsent(content) &&
	       trailer_section(content).len == 0;
}

/* The bytes that follow the payload of the chunk in the same write: its CRLF, so that the receiver
 * has the chunk whole before more comes, and the end of the message if it is the last. */
static struct str chunk_tail(const struct content *content)
{
	if (content->framing != HTTP_FRAMING_CHUNKED || content->chunk_left == 0)
		return (struct str){NULL, 0};
	return ends_message(content) ? STR("\r\n0\r\n\r\n") : STR("\r\n");
}

/* Sends once from the pipe. */
static enum io drain_some(struct content *content)
{
	struct str tail = chunk_tail(content);
	bool ends = ends_message(content);
	size_t before = content->pipe->held;
	enum io io = conn_drain(content->to, content->pipe);

	if (io != IO_OK)
		return io;
	size_t moved = before - content->pipe->held;
	content->passed += moved;
	content->moved_us = loop_now_us(content->from->loop);
	if (content->framing == HTTP_FRAMING_CHUNKED)
		content->chunk_left -= moved;
	if (content->pipe->held > 0)
		return IO_OK;
	content->last_composed = ends;
	content_stop(content);
	return buf_append(&content->to->out, tail) ? IO_OK : IO_SHORTAGE;
}

/* Sends once: the bytes that wait in `out`, payload, and the end of the message if it is
 * reached. */
static enum io send_some(struct content *content)
{
	bool chunked = content->framing == HTTP_FRAMING_CHUNKED;

	if (chunked && !compose_chunk(content))
		return IO_SHORTAGE;
	size_t payload = content->ready - content->sent;
	if (payload == 0 && buf_len(&content->to->out) == 0)
		return content->pipe ? drain_some(content) : IO_OK;
	struct str tail = content->pipe ? (struct str){NULL, 0} : chunk_tail(content);
	struct str pieces[2] = {{NULL, payload}, tail};
	if (payload > 0)
		pieces[0].data = content->from->in.data + content->sent;
	size_t taken = 0;
	enum io io = conn_send(content->to, pieces, &taken);
	if (io != IO_OK)
		return io;
	size_t moved = taken < payload ? taken : payload;
	content->sent += moved;
	content->passed += moved;
	content->moved_us = loop_now_us(content->from->loop);
	if (chunked)
		content->chunk_left -= moved;
	if (tail.len > 0 && content->chunk_left == 0) {
		/* The payload is sent; the rest of the tail, which the kernel did not take, must
		 * follow it. */
		size_t of_tail = taken - moved;
		struct str rest = {tail.data + of_tail, tail.len - of_tail};
		content->last_composed = ends_message(content);
		if (rest.len > 0 && !buf_append(&content->to->out, rest))
			return IO_SHORTAGE;
	}
	return IO_OK;
}

static bool is_sent(const struct content *content)
{
	return content->body.done && unsent(content) == 0 && buf_len(&content->to->out) == 0 &&
	       (content->framing != HTTP_FRAMING_CHUNKED || content->last_composed);
}

/* Sends until nothing is left or the receiver is full. IO_AGAIN: it is full. */
static enum io send_all(struct content *content)
{
	while (!is_sent(content) &&
	       (content_wants_write(content) ||
		   (content->framing == HTTP_FRAMING_CHUNKED && content->body.done))) {
		enum io io = send_some(content);

		if (io != IO_OK)
			return io;
	}
	return IO_OK;
}

/* Is it worth a pipe? If the length of the content is not known, the size of the last read
 * decides. */
static bool is_long(const struct content *content)
{
	uint64_t more = body_spliceable(&content->body);

	return more == UINT64_MAX ? content->last_read >= SPLICE_LEAST : more >= SPLICE_LEAST;
}

/* Reads once into a pipe; false when there is none, or it has to be the buffer. */
static bool fill_pipe(struct content *content, enum io *io)
{
	uint64_t more = body_spliceable(&content->body);

	if (!content->pipes || content->keeps || content->raw < content->from->in.end ||
	    !is_long(content))
		return false;
	content->pipe = pipes_take(content->pipes);
	if (!content->pipe)
		return false;
	size_t size = content->pipe->size;
	*io = conn_fill(content->from, content->pipe, more < size ? (size_t)more : size);
	if (*io == IO_OK)
		body_skip(&content->body, content->pipe->held);
	else
		content_stop(content);
	return true;
}

/* Reads once more content. */
static enum io read_some(struct content *content)
{
	uint64_t before = content->from->received;
	enum io io;

	make_room(content);
	if (!fill_pipe(content, &io))
		io = conn_read(content->from, READ_BYTES);
	content->last_read = (size_t)(content->from->received - before);
	if (io == IO_OK)
		content->moved_us = loop_now_us(content->from->loop);
	return io;
}

/* Heads are read with little of the content behind them. Short content leaves with its head: true
 * when more of it came, or its end. Long content does not wait for more. */
static bool read_rest(struct content *content)
{
	struct conn *from = content->from;
	bool is_possible = !content->body.done && !from->ended && from->readable &&
			   !content->pipe && buf_room(&from->in) > 0 &&
			   (!content->to || content->to->writable);

	/* An announced chunk is sent before anything is put behind it. */
	if (!is_possible || content->chunk_left > 0 || is_long(content))
		return false;
	enum io io = read_some(content);
	/* The error is met again once the bytes that came before it are sent. */
	if (io == IO_ERROR || io == IO_SHORTAGE)
		from->readable = true;
	return io == IO_OK || (io == IO_END && body_end(&content->body));
}

bool content_look(struct content *content)
{
	for (int round = 0; decode(content) != BODY_BAD; round++)
		if (round == ROUNDS || !read_rest(content))
			return true;
	return false;
}

bool content_take_in(struct content *content)
{
	return content->from && decode(content) == BODY_DONE;
}

enum content_result content_gather(struct content *content)
{
	for (int round = 0;; round++) {
		switch (decode(content)) {
		case BODY_BAD:
			return CONTENT_BAD;
		case BODY_TOO_LARGE:
			return CONTENT_TOO_LARGE;
		case BODY_DONE:
			return CONTENT_DONE;
		case BODY_MORE:
			break;
		}
		if (round == ROUNDS)
			return CONTENT_WAITS;
		switch (conn_read(content->from, READ_BYTES)) {
		case IO_OK:
			content->moved_us = loop_now_us(content->from->loop);
			break;
		case IO_AGAIN:
			return CONTENT_WAITS;
		case IO_SHORTAGE:
		case IO_FULL:
			return CONTENT_SHORTAGE;
		case IO_END:
		case IO_ERROR:
			return CONTENT_ENDED;
		}
	}
}

enum content_result content_run(struct content *content)
{
	for (int round = 0;; round++) {
		switch (decode(content)) {
		case BODY_BAD:
			return CONTENT_BAD;
		case BODY_TOO_LARGE:
			return CONTENT_TOO_LARGE;
		case BODY_MORE:
		case BODY_DONE:
			break;
		}
		if (round < ROUNDS && read_rest(content))
			continue;
		enum io io = send_all(content);
		if (io == IO_ERROR)
			return CONTENT_SEND_FAILED;
		if (io == IO_SHORTAGE)
			return CONTENT_SHORTAGE;
		if (is_sent(content))
			return CONTENT_DONE;
		if (!content_wants_read(content))
			return content->from->ended && !content->body.done && unsent(content) == 0
				   ? CONTENT_ENDED
				   : CONTENT_WAITS;
		if (round == ROUNDS)
			return CONTENT_WAITS;
		switch (read_some(content)) {
		case IO_OK:
			break;
		case IO_END:
			if (!body_end(&content->body))
				return CONTENT_ENDED;
			break;
		case IO_AGAIN:
			return CONTENT_WAITS;
		case IO_SHORTAGE:
		case IO_FULL:
			return CONTENT_SHORTAGE;
		case IO_ERROR:
			return CONTENT_ENDED;
		}
	}
}
