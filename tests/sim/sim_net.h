/*
 * sim_net - the network of a simulated world: another body for event/net.h.
 *
 * Descriptors are numbers of this module's own table, the lowest free one first, as the kernel gives them. A call with one that
 * is not open, or of the wrong kind, breaks a property. Each call may fail as the rates in struct net_faults say; every failure
 * that is rondo's own shortage is counted.
 */
#ifndef RONDO_SIM_NET_H
#define RONDO_SIM_NET_H

#include "channel.h"

struct dice;

/* Of 10000 calls, how many fail so. */
struct net_faults {
	unsigned accept;   /* EMFILE, ENFILE, ENOBUFS, ENOMEM */
	unsigned connect;  /* EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL */
	unsigned read;     /* ENOMEM */
	unsigned write;    /* ENOBUFS, ENOMEM */
	unsigned watch;    /* ENOSPC, ENOMEM of epoll_ctl */
	unsigned pipe;     /* EMFILE, ENFILE, or a small one */
	unsigned memory;   /* slab_take answers NULL */
	unsigned spurious; /* an event that is none */
};

/* What a connect to an address will come to. */
struct net_route {
	int server, address;
	int error_now;    /* negative errno of connect(2), or 0 */
	int error_later;  /* what SO_ERROR will tell */
	int64_t after_us; /* when the connect ends; 0 = at once; TIMER_NEVER = nobody answers */
	size_t in_bytes, out_bytes;
	int64_t latency_us;
};

struct net_world {
	struct dice *dice;
	struct net_faults faults;
	uint64_t shortages;
	uint64_t unheard; /* what the kernel took for servers that were gone */
	/* Where a connect leads. */
	void (*route)(uint32_t ip, struct net_route *route);
	/* A connection to a server is established: somebody must join it. */
	void (*on_connected)(struct channel *channel);
	/* A connect failed, as rondo is about to see. */
	void (*on_refused)(const struct channel *channel, int error);
};

extern struct net_world net_world;

void net_open(struct dice *dice);
/* Every descriptor must be closed. */
void net_finish(void);
size_t net_open_count(void);

/* Counts a shortage where one is due; `rate` is one of net_world.faults. */
bool net_is_short(unsigned rate);

/* A listening socket with a queue of so many. */
int net_listen_virtually(size_t backlog);

/* A client connects; false when the queue is full or nobody listens. */
bool net_dial(int listener, struct channel *channel);

void net_finish_connect(struct channel *channel);

/* What an open descriptor is rondo's end of; NULL for one that is no stream. */
const struct channel *net_channel(int fd);

/* Its readiness may have changed. */
void net_touch(struct channel *channel);

/* ---- for sim_loop */

bool net_is_open(int fd);
void net_set_watch(int fd, struct watch *watch);
void net_touch_fd(int fd);
unsigned net_events(int fd);

struct net_ready {
	struct watch *watch;
	unsigned events;
};

/* What is ready now, at most `room`; who had a turn comes last in the next. */
size_t net_gather(struct net_ready *ready, size_t room);
bool net_has_ready(void);

/* A count that grows with everything that happens. */
uint64_t net_progress(void);

#endif
