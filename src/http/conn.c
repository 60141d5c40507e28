#include "http/conn.h"

#include <assert.h>
#include <errno.h>

enum { MAX_PIECES = 2 };

static void conn_on_watch(struct watch *watch, unsigned events)
{
	struct conn *conn = container_of(watch, struct conn, watch);

	if (events & (LOOP_READ | LOOP_BROKEN))
		conn->readable = true;
	if (events & (LOOP_WRITE | LOOP_BROKEN))
		conn->writable = true;
	if (events & LOOP_END)
		conn->finished = true;
	conn->on_event(conn, events);
}

int conn_open(struct conn *conn, struct loop *loop, struct slab *blocks, int fd, unsigned wanted)
{
	conn->loop = NULL;
	conn->error = 0;
	conn->ended = false;
	conn->finished = false;
	conn->readable = false;
	conn->writable = true;
	conn->received = 0;
	conn->sent = 0;
	buf_init(&conn->in, blocks);
	buf_init(&conn->out, blocks);
	conn->watch.on_event = conn_on_watch;

	int error = loop_watch(loop, &conn->watch, fd, wanted);
	if (error == 0)
		conn->loop = loop;
	return error;
}

void conn_close(struct conn *conn, bool reset)
{
	if (!conn_is_open(conn))
		return;
	int fd = conn->watch.fd;

	loop_unwatch(conn->loop, &conn->watch);
	net_close(fd, reset);
	buf_release(&conn->in);
	buf_release(&conn->out);
	conn->loop = NULL;
}

int conn_connect_result(const struct conn *conn)
{
	return net_connect_result(conn->watch.fd);
}

bool conn_is_quiet(const struct conn *conn)
{
	return net_is_quiet(conn->watch.fd);
}

size_t conn_unacknowledged(const struct conn *conn)
{
	return net_unsent(conn->watch.fd);
}

void conn_end_sending(const struct conn *conn)
{
	net_shutdown_write(conn->watch.fd);
}

static void conn_note_error(struct conn *conn, ssize_t negative)
{
	if (conn->error == 0)
		conn->error = (int)-negative;
}

void conn_want(struct conn *conn, unsigned wanted)
{
	assert(conn_is_open(conn));
	if (conn->finished)
		wanted &= ~(unsigned)LOOP_END;
	if (wanted == conn->watch.wanted)
		return;
	int error = loop_want(conn->loop, &conn->watch, wanted);
	if (error != 0)
		conn_note_error(conn, error);
}

static enum io conn_failed(struct conn *conn, ssize_t negative)
{
	if (negative == -EAGAIN)
		return IO_AGAIN;
	conn_note_error(conn, negative);
	return negative == -ENOMEM || negative == -ENOBUFS ? IO_SHORTAGE : IO_ERROR;
}

/* Keep the error of reading, whatever error sending had before: the next read must not report an
 * end of the stream. */
static enum io conn_read_failed(struct conn *conn, ssize_t negative)
{
	enum io result = conn_failed(conn, negative);

	if (result == IO_ERROR)
		conn->error = (int)-negative;
	return result;
}

/* A failed send clears the socket error, so a later read returns 0. That is not the end of the
 * stream. EPIPE means that the peer had ended before. */
static enum io conn_end(struct conn *conn)
{
	switch (conn->error) {
	case 0:
	case EPIPE:
	case ENOBUFS:
	case ENOMEM:
	case ENOSPC:
		conn->ended = true;
		return IO_END;
	default:
		return IO_ERROR;
	}
}

enum io conn_read(struct conn *conn, size_t limit)
{
	struct buf *in = &conn->in;

	assert(conn_is_open(conn) && limit > 0);
	if (conn->ended)
		return IO_END;
	if (!conn->readable)
		return IO_AGAIN;
	if (!in->data && !buf_reserve(in))
		return IO_SHORTAGE;
	size_t room = buf_room(in) < limit ? buf_room(in) : limit;
	if (room == 0)
		return IO_FULL;

	ssize_t len = net_read(conn->watch.fd, in->data + in->end, room);
	conn->readable = len == (ssize_t)room;
	if (len > 0) {
		buf_filled(in, (size_t)len);
		conn->received += (uint64_t)len;
		return IO_OK;
	}
	if (buf_len(in) == 0)
		buf_release(in);
	if (len < 0)
		return conn_read_failed(conn, len);
	return conn_end(conn);
}

enum io conn_fill(struct conn *conn, struct pipe *pipe, size_t limit)
{
	assert(conn_is_open(conn) && limit > 0 && pipe->held == 0);
	if (conn->ended)
		return IO_END;
	if (!conn->readable)
		return IO_AGAIN;

	ssize_t len = net_splice(conn->watch.fd, pipe->ends[1], limit);
	conn->readable = len == (ssize_t)limit;
	if (len > 0) {
		pipe->held = (size_t)len;
		conn->received += (uint64_t)len;
		return IO_OK;
	}
	if (len < 0)
		return conn_read_failed(conn, len);
	return conn_end(conn);
}

enum io conn_drain(struct conn *conn, struct pipe *pipe)
{
	assert(conn_is_open(conn) && pipe->held > 0 && buf_len(&conn->out) == 0);
	if (!conn->writable)
		return IO_AGAIN;

	ssize_t len = net_splice(pipe->ends[0], conn->watch.fd, pipe->held);
	conn->writable = len == (ssize_t)pipe->held;
	if (len < 0)
		return conn_failed(conn, len);
	pipe->held -= (size_t)len;
	conn->sent += (uint64_t)len;
	return IO_OK;
}

static struct iovec conn_part(struct str bytes)
{
	/* iovec is used for reading too and so has no const. */
	union {
		const char *from;
		void *to;
	} data = {.from = bytes.data};

	return (struct iovec){.iov_base = data.to, .iov_len = bytes.len};
}

enum io conn_send(struct conn *conn, const struct str pieces[2], size_t *taken)
{
	struct iovec parts[1 + MAX_PIECES];
	size_t composed = buf_len(&conn->out);
	int count = 0;

	assert(conn_is_open(conn));
	*taken = 0;
	if (composed > 0)
		parts[count++] = conn_part(buf_content(&conn->out));
	for (int i = 0; i < MAX_PIECES; i++) {
		if (pieces[i].len > 0)
			parts[count++] = conn_part(pieces[i]);
	}
	if (count == 0) {
		buf_release(&conn->out);
		return IO_OK;
	}

	if (!conn->writable)
		return IO_AGAIN;
	ssize_t len = net_write(conn->watch.fd, parts, count);
	conn->writable = len == (ssize_t)(composed + pieces[0].len + pieces[1].len);
	if (len < 0)
		return conn_failed(conn, len);
	size_t accepted = (size_t)len;
	conn->sent += accepted;
	if (accepted < composed) {
		buf_consume(&conn->out, accepted);
		return IO_OK;
	}
	buf_release(&conn->out);
	*taken = accepted - composed;
	return IO_OK;
}

enum io conn_flush(struct conn *conn)
{
	static const struct str nothing[MAX_PIECES];
	size_t taken;

	enum io result = conn_send(conn, nothing, &taken);
	if (result == IO_OK && buf_len(&conn->out) > 0)
		return IO_AGAIN;
	return result;
}
