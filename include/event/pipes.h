/*
 * pipes - pipes through which bytes go from socket to socket without touching user space.
 *
 * splice(2) wants a pipe between two sockets. Opening one costs more than it saves, so they are
 * kept: the pool hands out first what was given back last. It has a limit, because pipes cost
 * descriptors and kernel memory, and the kernel gives a user no more than small ones beyond a limit
 * of its own; where there is none, or only a small one, bytes are copied.
 *
 * A pipe is taken when there is something to be moved and given back when that is gone, so their
 * number is that of receivers that are slower than their senders, not that of connections. The pool
 * outlives its pipes.
 */
#ifndef RONDO_EVENT_PIPES_H
#define RONDO_EVENT_PIPES_H

#include "base/slab.h"

enum { PIPES_MAX = 128 }; /* open at the same time */

/* Copying is faster than a pipe that holds less. */
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
	unsigned skips;    /* calls that do not ask the kernel, because it gave a small pipe last */
};

void pipes_init(struct pipes *pipes);

/* Closes them. All must have been given back. */
void pipes_finish(struct pipes *pipes);

/* An empty pipe, or NULL: the limit is reached, or the system has none that is large enough. */
struct pipe *pipes_take(struct pipes *pipes);

/* Gives it back; bytes that are still in it are lost. NULL is allowed. */
void pipes_give(struct pipes *pipes, struct pipe *pipe);

#endif
