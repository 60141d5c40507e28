#include "event/pipes.h"

#include "event/net.h"

/* After the kernel gave a small pipe, this many opens are skipped: it would give small ones
 * again. */
enum { SKIPS = 1000 };

void pipes_init(struct pipes *pipes)
{
	slab_init(&pipes->slab, sizeof(struct pipe), PIPES_MAX);
	pipes->idle = NULL;
	pipes->skips = 0;
}

static void close_pipe(struct pipes *pipes, struct pipe *pipe)
{
	net_pipe_close(pipe->ends);
	slab_give(&pipes->slab, pipe);
}

void pipes_finish(struct pipes *pipes)
{
	while (pipes->idle) {
		struct pipe *pipe = pipes->idle;

		pipes->idle = pipe->next;
		close_pipe(pipes, pipe);
	}
	slab_finish(&pipes->slab);
}

struct pipe *pipes_take(struct pipes *pipes)
{
	struct pipe *pipe = pipes->idle;

	if (pipe) {
		pipes->idle = pipe->next;
		return pipe;
	}
	if (pipes->skips > 0) {
		pipes->skips--;
		return NULL;
	}
	pipe = slab_take(&pipes->slab);
	if (!pipe)
		return NULL;
	pipe->held = 0;
	int size = net_pipe_open(pipe->ends);
	if (size < 0) {
		slab_give(&pipes->slab, pipe);
		return NULL;
	}
	if (size < PIPES_LEAST_BYTES) {
		close_pipe(pipes, pipe);
		pipes->skips = SKIPS;
		return NULL;
	}
	pipe->size = (size_t)size;
	return pipe;
}

void pipes_give(struct pipes *pipes, struct pipe *pipe)
{
	if (!pipe)
		return;
	if (pipe->held > 0) {
		close_pipe(pipes, pipe);
		return;
	}
	pipe->next = pipes->idle;
	pipes->idle = pipe;
}
