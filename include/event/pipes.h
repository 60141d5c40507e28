/*
 * pipes - kernel pipes that carry bytes from socket to socket without a copy to user space.
 *
 * splice(2) needs a pipe between two sockets. Opening one costs more than it saves, so pipes are
 * kept for reuse: the one given back last is taken first. Their number is limited, because pipes
 * cost descriptors and kernel memory. Beyond a limit of its own the kernel gives a user only small
 * pipes. Without a large pipe, bytes are copied.
 *
 * A pipe is taken when there are bytes to move and given back when it is empty, so the number of
 * pipes is the number of receivers that are slower than their senders, not the number of
 * connections. The pool must outlive its pipes.
 */
#ifndef RONDO_EVENT_PIPES_H
#define RONDO_EVENT_PIPES_H

#include "base/slab.h"

enum { PIPES_MAX = 128 }; /* open at the same time */

/* Copying is faster than a pipe that holds less than this. */
enum { PIPES_LEAST_BYTES = 64 * 1024 };

struct pipe {
	int ends[2]; /* to read from, to write to */
	size_t held; /* bytes in it */
	size_t size; /* bytes that it can hold */
	struct pipe *next;
};

struct pipes {
	struct slab slab;
	struct pipe *idle; /* open and empty */
	unsigned skips;    /* opens still to be skipped, after the kernel gave a small pipe */
};

void pipes_init(struct pipes *pipes);

/* Closes all pipes. Each must have been given back. */
void pipes_finish(struct pipes *pipes);

/* An empty pipe, or NULL when the limit is reached or the system gives none that is large
 * enough. */
struct pipe *pipes_take(struct pipes *pipes);

/* Gives a pipe back; bytes that are still in it are lost. NULL is allowed. */
void pipes_give(struct pipes *pipes, struct pipe *pipe);

#endif
