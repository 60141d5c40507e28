/*
 * conn - one connection, to a client or to a backend.
 *
 * A descriptor with its watch, a receive buffer and a send buffer. It is embedded in its holder
 * (session, backend connection, probe, admin client) and is the same for all of them. The holder
 * sets on_event and receives the events. Bytes from the peer are read into a block of `in`; heads
 * are parsed there, and content is decoded in place and sent on from there. Bytes that rondo
 * composes are collected in `out`. An empty buffer has no storage.
 *
 * Nothing here logs or closes by itself: functions return results and the holder decides. An error
 * on sending does not stop reading: the answer may be waiting already. After conn_close the struct
 * may be opened again, but its memory must last until the end of the turn. A zeroed conn is closed.
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
	IO_SHORTAGE, /* no block, or the kernel has no memory; not the peer's fault */
	IO_ERROR     /* the connection is broken; conn->error says why */
};

/* The most that is read at once where a head is expected: a head and a little content. How the rest
 * is best moved is known when the head is. */
enum { CONN_HEAD_BYTES = 4 * 1024 };

struct conn {
	struct watch watch;
	struct loop *loop; /* NULL when closed */
	void (*on_event)(struct conn *conn,
	    unsigned events); /* set by the holder; conn_open does not change it */
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

/* Takes over `fd` and waits for the `wanted` events (enum loop_event). Negative errno when the loop
 * cannot watch it: the conn is closed then, and the caller still owns `fd`. Both buffers take their
 * storage from `blocks`. */
int conn_open(struct conn *conn, struct loop *loop, struct slab *blocks, int fd, unsigned wanted);

/* Closes the descriptor and gives the buffers back; with `reset` the peer sees a RST. Does nothing
 * to a closed conn. */
void conn_close(struct conn *conn, bool reset);

static inline bool conn_is_open(const struct conn *conn)
{
	return conn->loop != NULL;
}

/* The result of the connect with which this conn was opened: 0, or a negative errno. To be called
 * when LOOP_WRITE came. */
int conn_connect_result(const struct conn *conn);

/* Is there nothing to read: no byte, no end, no error? One system call. */
bool conn_is_quiet(const struct conn *conn);

/* Bytes that were sent and that the peer has not acknowledged. One system call. */
size_t conn_unacknowledged(const struct conn *conn);

/* Ends the sending side: the peer sees the end of the stream after the last byte. */
void conn_end_sending(const struct conn *conn);

/* Sets the wanted events (enum loop_event); LOOP_END comes at most once. Costs a system call only
 * when more is wanted than before. If the kernel refuses, conn->error is set, and the deadline of
 * the holder ends the connection. */
void conn_want(struct conn *conn, unsigned wanted);

/*
 * Reads once, at most `limit` bytes, to the end of `in`, and takes a block when it has none.
 * IO_AGAIN costs no system call when the last read emptied the kernel's buffer and no event came
 * since. IO_FULL when the block has no room behind its content: the caller makes room and tries
 * again.
 */
enum io conn_read(struct conn *conn, size_t limit);

/*
 * Moves at most `limit` bytes from the kernel into an empty pipe; they count as received, but are
 * never in `in`. Returns the same results as conn_read.
 */
enum io conn_fill(struct conn *conn, struct pipe *pipe, size_t limit);

/* Sends the bytes of the pipe; `out` must be empty. IO_OK: some bytes were accepted, maybe not
 * all. */
enum io conn_drain(struct conn *conn, struct pipe *pipe);

/* Sends `out`, and gives its block back when all bytes were sent. IO_OK: all sent. IO_AGAIN: the
 * rest waits for LOOP_WRITE. */
enum io conn_flush(struct conn *conn);

/*
 * Sends `out` followed by two more pieces (either may be empty) in one system call. *taken becomes
 * the number of bytes of the pieces that the kernel accepted. IO_OK: some bytes were accepted,
 * maybe not all, or there was nothing to send. IO_AGAIN: nothing was accepted. It costs no system
 * call when the last call filled the kernel's buffer and no event came since.
 */
enum io conn_send(struct conn *conn, const struct str pieces[2], size_t *taken);

#endif
