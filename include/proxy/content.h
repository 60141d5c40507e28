/*
 * content - one direction of one exchange, from conn to conn.
 *
 * Content is read into the sender's receive buffer, its framing taken off in place, and sent on
 * from there with the framing of the other side, together with a head that may wait in the
 * receiver's `out`. Nothing is copied, and of a message that is not short nothing more is read
 * while payload waits to be sent, so a slow receiver slows the sender down.
 *
 *      in.begin      base        sent          ready        raw         in.end
 *         |  a head   |  kept or  |  payload to  | (trailers) |  not yet   |
 *         |  in use   |   gone    |    be sent   |            |  decoded   |
 *
 * Long content goes through a pipe instead, without touching user space, once the buffer has
 * nothing more to send; what is in the pipe follows `ready`.
 *
 * Up and down are this same code with the ends exchanged. Content that is kept (the way up, as long
 * as it fits) can be rewound and sent again to another receiver. A struct content owns neither
 * conn.
 */
#ifndef RONDO_PROXY_CONTENT_H
#define RONDO_PROXY_CONTENT_H

#include "http/body.h"
#include "http/conn.h"
#include "http/write.h"

enum content_result {
	CONTENT_WAITS,       /* for one of the ends: see content_wants_read, content_wants_write */
	CONTENT_DONE,        /* the whole message was accepted by the receiver's kernel */
	CONTENT_ENDED,       /* the sender's stream ended inside the message, or broke */
	CONTENT_BAD,         /* the sender's framing is broken */
	CONTENT_TOO_LARGE,   /* more content than allowed */
	CONTENT_SEND_FAILED, /* the receiver's connection is broken */
	CONTENT_SHORTAGE     /* no memory for it */
};

struct content {
	struct conn *from;
	struct conn *to; /* NULL until content_aim */
	const struct http_limits *limits;
	struct body body;
	enum http_framing framing;             /* towards the receiver */
	const struct write_trailers *trailers; /* that pass; NULL: none */
	bool keeps;                            /* everything since `base` is still there */
	bool last_composed;                    /* the end of the chunked message is on its way */
	struct pipes *pipes;                   /* NULL: nothing is spliced */
	struct pipe *pipe;                     /* payload that follows `ready`; NULL = none */
	size_t last_read;                      /* bytes that came at once */
	size_t base, sent, ready, raw;         /* positions in from->in.data */
	size_t keep_bytes;                     /* payload that may be kept */
	uint64_t chunk_left;                   /* payload of the announced chunk still to be sent */
	uint64_t passed;                       /* payload bytes accepted by the receiver */
	int64_t moved_us;                      /* when it last read or sent, or was aimed */
};

struct content_start {
	struct conn *from;
	const struct http_head *head; /* framing of the message; classified */
	const struct http_limits *limits;
	size_t base;                           /* where the content begins in from->in.data */
	uint64_t max_bytes;                    /* 0 = no limit */
	size_t keep_bytes;                     /* 0: nothing is kept */
	const struct write_trailers *trailers; /* that pass; NULL: none. Not copied */
	struct pipes *pipes;                   /* NULL: nothing is to be spliced */
};

/* Content bytes that already arrived stay where they are. */
void content_start(struct content *content, const struct content_start *start);

/* Sends to `to` from now on, from the first byte of the content: only at the start, or while it
 * keeps. */
void content_aim(struct content *content, struct conn *to, enum http_framing framing);

/* Takes the framing off the bytes that already arrived, to the end if the message is short; false
 * when it is broken, before anything was sent. */
bool content_look(struct content *content);

/* Reads until the whole content is in the sender's buffer, before content_aim: CONTENT_DONE. Here
 * CONTENT_WAITS means a wait for the sender, and CONTENT_SHORTAGE also that the buffer has no
 * room. */
enum content_result content_gather(struct content *content);

/* Takes the framing off the bytes that already arrived, and reads nothing; true when the message is
 * whole. A zeroed content has no message. */
bool content_take_in(struct content *content);

/* Can the content be sent to another receiver from its first byte? */
static inline bool content_can_repeat(const struct content *content)
{
	return content->keeps || content->passed == 0;
}

/* Moves what can be moved now, within a bound of work for one event. */
enum content_result content_run(struct content *content);

/* No more of it will be moved: gives its pipe back. A zeroed content is allowed. */
void content_stop(struct content *content);

/* Is the next thing to happen a byte from the sender? */
bool content_wants_read(const struct content *content);

/* Is the next thing to happen room at the receiver? */
bool content_wants_write(const struct content *content);

/* Has the sender's message been received to its end? (Not: sent.) */
static inline bool content_has_all(const struct content *content)
{
	return content->body.done;
}

#endif
