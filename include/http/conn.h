/*
 * conn - one connection, to a client or to a backend.
 *
 * A descriptor with its watch, a receive buffer and a send buffer. It lives inside its holder
 * (session, backend connection, check, admin request) and is the same for all of them. Whoever
 * holds it sets on_event and receives its events. Bytes from the peer are read straight into a
 * block of `in`, where heads are parsed and content is decoded in place, and from where it is sent
 * on; bytes that rondo composes gather in `out`. Neither has storage while there is nothing in it.
 *
 * Nothing here logs, decides or closes by itself: results are returned and the holder decides. An
 * error on sending does not stop reading: the answer may be waiting already. After conn_close the
 * struct may be opened again, but its memory must last until the end of the turn. A zeroed conn is
 * closed.
 */
#ifndef RONDO_HTTP_CONN_H
#define RONDO_HTTP_CONN_H

#include "base/buf.h"
#include "event/loop.h"
#include "event/net.h"
#include "event/pipes.h"

enum io {
	IO_OK,       /* something moved */
	IO_AGAIN,    /* nothing to move now; wait for the event */
	IO_END,      /* the peer sends no more */
	IO_FULL,     /* the receive buffer has no room left */
	IO_SHORTAGE, /* no block, or the kernel has no memory; our own trouble */
	IO_ERROR     /* the connection is broken; conn->error tells */
};

/* The most that is read at once where a head is expected: a head and a little content. How the rest
 * is best moved is known when the head is. */
enum { CONN_HEAD_BYTES = 4 * 1024 };

struct conn {
	struct watch watch;
	struct loop *loop;                                    /* NULL when closed */
	void (*on_event)(struct conn *conn, unsigned events); /* the holder's; kept by conn_open */
	struct buf in;
	struct buf out;
	int error;     /* errno of the first error */
	bool ended;    /* the peer's end of stream was read */
	bool finished; /* LOOP_END came: the peer sends no more, but bytes may wait to be read */
	bool readable; /* there may be bytes in the kernel */
	bool writable; /* there may be room in the kernel; false while it connects */
	uint64_t received; /* bytes, since it was opened */
	uint64_t sent;
};

/* Takes over `fd` and waits for what is `wanted` (enum loop_event). Negative errno when the loop has
 * no room: then `fd` is still the caller's and the conn is closed. `blocks` feeds both buffers. */
int conn_open(struct conn *conn, struct loop *loop, struct slab *blocks, int fd, unsigned wanted);

/* Closes the descriptor and gives the buffers back; with `reset` the peer sees a RST. Does nothing
 * to a closed conn. */
void conn_close(struct conn *conn, bool reset);

static inline bool conn_is_open(const struct conn *conn)
{
	return conn->loop != NULL;
}

/* How the connect that this conn was opened with has ended: 0, or a negative errno. Asked once
 * LOOP_WRITE came. */
int conn_connect_result(const struct conn *conn);

/* Is nothing waiting to be read: no byte, no end, no error? One system call. */
bool conn_is_quiet(const struct conn *conn);

/* Bytes that were sent and that the peer has not acknowledged. One system call. */
size_t conn_unacknowledged(const struct conn *conn);

/* Ends the sending side: the peer reads to the end of what was sent. */
void conn_end_sending(const struct conn *conn);

/* Says which events are wanted (enum loop_event); LOOP_END comes once at most. Costs a system call only when more is wanted than
 * before. Should the kernel refuse, conn->error tells and the holder's deadline ends it. */
void conn_want(struct conn *conn, unsigned wanted);

/*
 * Reads once, at most `limit` bytes, behind what is in `in`, taking a block when there is none.
 * IO_AGAIN costs no system call when the last read took all there was and no event came since.
 * IO_FULL when the block has no room behind its content: the caller makes room and tries again.
 */
enum io conn_read(struct conn *conn, size_t limit);

/*
 * Moves at most `limit` bytes from the kernel into an empty pipe; they count as received, but never
 * are in `in`. Answers as conn_read does.
 */
enum io conn_fill(struct conn *conn, struct pipe *pipe, size_t limit);

/* Sends what is in the pipe, behind an empty `out`. IO_OK: something was accepted (maybe not
 * all). */
enum io conn_drain(struct conn *conn, struct pipe *pipe);

/* Sends what is in `out`, and gives its block back when all of it is gone. IO_OK: all gone.
 * IO_AGAIN: the rest waits for LOOP_WRITE. */
enum io conn_flush(struct conn *conn);

/*
 * Sends `out` followed by two more pieces (either may be empty) in one system call, and reports in
 * *taken how many bytes of the pieces the kernel accepted. IO_OK: something was accepted (maybe not
 * all), or there was nothing to send. IO_AGAIN: nothing was accepted, or the last call filled the
 * kernel and no event came since, which costs no system call.
 */
enum io conn_send(struct conn *conn, const struct str pieces[2], size_t *taken);

#endif
