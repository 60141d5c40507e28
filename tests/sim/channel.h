/*
 * channel - a simulated connection: one end is rondo's descriptor, the other a peer of the simulation.
 *
 *      rondo  <-- in  --  peer          both ways are bounded; an end of stream comes behind the bytes,
 *             --- out -->               a reset may overtake them and destroy what is on its way
 *
 * What rondo does is seen by the peer after the channel's latency, in its on_wake; on_written and on_closed see it at once, for
 * those who keep the books. A channel lives until both ends have let go of it.
 */
#ifndef RONDO_SIM_CHANNEL_H
#define RONDO_SIM_CHANNEL_H

#include "base/str.h"
#include "event/loop.h"

#include <sys/uio.h>

enum { QUEUE_BYTES = 64 * 1024 };

/* How long a turn of rondo's may be. */
enum { TURN_US = 20000 };

struct byte_queue {
	char *data; /* QUEUE_BYTES of it, or NULL while it is empty */
	size_t begin, end;
	size_t capacity;
};

/* Somebody who is not rondo: a client, or a server's end of a connection. Embedded in its owner. */
struct peer {
	struct timer timer;
	struct channel *channel; /* NULL when it has none */
	void (*on_wake)(struct peer *peer);
	void (*on_written)(struct peer *peer, struct str bytes); /* may be NULL */
	void (*on_read)(struct peer *peer);                      /* may be NULL */
	void (*on_closed)(struct peer *peer, bool reset);        /* may be NULL */
};

struct channel {
	int fd; /* rondo's; -1 while it is not accepted and when it was closed */
	bool to_backend;
	bool connecting;
	bool dead;          /* nothing moves any more */
	bool in_ended;      /* the peer sends no more */
	bool out_ended;     /* rondo sends no more */
	bool proxy_gone;    /* rondo closed its descriptor */
	bool peer_gone;     /* the peer closed its end */
	bool peer_is_reset; /* the peer sees an error */
	bool peer_is_full;  /* the peer waits for room */
	bool is_blocked;    /* rondo waits for room */
	int error;          /* for rondo to collect */
	struct byte_queue in, out;
	int64_t latency_us;
	int64_t began_us;   /* when rondo began to connect, or accepted it */
	int64_t told_us;    /* when rondo heard that it is connected; 0 = not yet */
	int64_t written_us; /* when rondo's last byte was accepted */
	uint64_t written;
	uint64_t read;            /* bytes that rondo took */
	int64_t read_us;          /* when it took the last */
	uint64_t partials;        /* how often no more than a part of what rondo wrote was taken */
	int64_t blocked_since_us; /* since when */
	int64_t blocked_us;       /* how long it did so before, in all */
	int server, address;      /* whom it was connected to */
	int connect_error;        /* what a connect will come to */
	struct timer connect_timer;
	struct peer *peer;
	struct channel *next; /* in a queue of those to be accepted, or among the free */
};

/* The clock that peers live by; armed timers run while the loop waits. */
struct timers *channel_peers(void);

struct dice;
void channels_open(struct dice *dice);
/* Every channel must be gone. */
void channels_close(void);
size_t channels_open_count(void);

/* In the way of each byte: of 10000 reads and writes, how many are shorter than they might be. */
void channels_set_short(unsigned chance);

struct channel *channel_create(size_t in_bytes, size_t out_bytes);

/* Takes over the other end. */
void channel_join(struct channel *channel, struct peer *peer);

/* ---- the peer's end */

void peer_init(struct peer *peer, void (*on_wake)(struct peer *peer));
/* Runs it at `when_us` at the latest. */
void peer_wake(struct peer *peer, int64_t when_us);
/* How much was accepted. */
size_t peer_send(struct peer *peer, struct str bytes);
struct str peer_content(const struct peer *peer);
void peer_take(struct peer *peer, size_t len);
/* The proxy ended its side and all bytes before that were taken. */
bool peer_is_at_end(const struct peer *peer);
bool peer_is_reset(const struct peer *peer);
void peer_end(struct peer *peer);
/* An orderly end, or what the kernel makes of it when bytes were not taken. */
void peer_close(struct peer *peer);
void peer_reset(struct peer *peer);
/* Without a word: nobody takes bytes any more, nobody answers. */
void peer_vanish(struct peer *peer);

/* ---- rondo's end: bytes or a negative errno */

ssize_t channel_read(struct channel *channel, char *data, size_t len);
ssize_t channel_peek(const struct channel *channel);
ssize_t channel_write(struct channel *channel, const struct iovec *parts, int count);
void channel_shutdown(struct channel *channel);
void channel_release(struct channel *channel, bool reset);
/* Bytes that the peer has not taken. */
size_t channel_unsent(const struct channel *channel);
/* How long rondo has waited for room, in all; what took no longer than a turn may does not count. */
int64_t channel_blocked_us(const struct channel *channel);
/* What is ready: LOOP_READ, LOOP_WRITE, LOOP_END, LOOP_BROKEN. */
unsigned channel_events(const struct channel *channel);

/* Nothing moves any more; rondo gets `error`. */
void channel_break(struct channel *channel, int error);

#endif
