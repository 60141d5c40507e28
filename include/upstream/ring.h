/*
 * ring - whose turn it is.
 *
 * The backends of the configuration, in its order. While all that are up weigh the same they take
 * turns in the order of the list, each pick going on behind the one before. Otherwise smooth
 * weighted round robin: every pick raises each usable backend by its effective weight, takes the
 * highest (the first of equals) and lowers it by the sum, so turns interleave (a a b a, not a a a
 * b). Either way a backend that is skipped gives its turns to all the others evenly, and no backend
 * is ever owed more than one round, however weights change and backends come and go.
 *
 * With RING_LEAST_REQUESTS only those take part that have the fewest requests in flight for their
 * effective weight, and turns decide among these alone: a busy backend is owed nothing. In flight
 * is whatever uses a connection: tunnels, requests that were rescued, connects under way.
 *
 * No sockets and no clock: now is an argument. Nothing but ring_prepare_list can fail.
 *
 * The ring holds its backends (backend_hold). Requests in flight hold theirs, so a ring may change
 * at any time.
 */
#ifndef RONDO_UPSTREAM_RING_H
#define RONDO_UPSTREAM_RING_H

#include "upstream/backend.h"
#include "upstream/budget.h"

enum ring_balance { RING_ROUND_ROBIN, RING_ADAPTIVE, RING_LEAST_REQUESTS, RING_BALANCES };

/* "round_robin", "adaptive", "least_requests", and NULL behind them. */
extern const char *const ring_balance_words[RING_BALANCES + 1];

struct ring_options {
	enum ring_balance balance;
	int64_t retry_window_us;
	int64_t retry_window_max_us;
	int64_t slow_start_us;
};

struct ring {
	struct ring_options options;
	struct backend **backends;
	size_t count;
	struct budget budget;

	bool is_even;      /* all have the same weight */
	size_t next;       /* position behind the last pick, where a round of equals goes on */
	int64_t shares_us; /* when the shares of weight by response time were worked out */
	int64_t *weights;  /* of the pick being made; 0 = not in turn */
	double *averages;  /* room to work in */
};

/* Empty; `options` may be set and changed at any time. */
void ring_init(struct ring *ring);
void ring_finish(struct ring *ring);

/* A prepared list of backends, whose commit cannot fail; it holds its backends. */
struct ring_list {
	struct backend **backends;
	size_t count;
	int64_t *weights; /* as in struct ring */
	double *averages;
};

/* False without memory: it is empty then. */
bool ring_prepare_list(struct ring_list *list, struct backend *const *backends, size_t count);

/* Takes the list over, at once; the round goes on where it was. */
void ring_commit_list(struct ring *ring, struct ring_list *list);

/* Gives it up. Does nothing to an empty one. */
void ring_cancel_list(struct ring_list *list);

/* Sets the weight of one of its backends for the operator. It stays, over reloads too, until a call
 * with 0 gives the backend the weight of its options again. */
void ring_set_weight(struct ring *ring, struct backend *backend, unsigned weight);

enum ring_pick_result {
	RING_PICKED,
	RING_ALL_FULL, /* every usable backend is at max_connections */
	RING_NOBODY    /* no backend is left for the request */
};

/* A request that needs a backend. */
struct ring_request {
	struct try_record *tries; /* those it has made, and room for one more */
	size_t count;
	bool may_move; /* it may go to a second backend while it waits for the first */
	/* If none that is up is left, it may wait for one: a trial under way is waited for. When it has
	 * waited before, it does not try those that are down once more, but waits on. */
	bool may_wait;
	/* It has waited: a backend that has come up since it was tried may be tried again. */
	bool has_waited;
	int64_t now_us;
	int64_t seen_us; /* loop_seen_us */
};

/*
 * Chooses the next backend of a request. In this order:
 * - those that are up, and those on trial whose one request is not under way, by turns; of them the
 *   `backup` ones only when no other is left. Silent ones are passed over, except that a request
 *   that may move is now and then sent to one whose turn it is, to look whether it answers. For
 *   that, and for a trial, it does not matter how many requests are in flight there;
 * - only when none of these is left for the request: a silent one, or one whose connect it gave up;
 *   then one whose trial is under way, then those down for a soft reason, the one whose window ends
 *   first first, then, once in the request, one that is down for a hard reason.
 * Backends that are draining, unresolved, among the tries or at their max_connections are skipped.
 * With RING_PICKED request->tries[count] begins: backend, standing and epoch are set; if the
 * backend was picked in STANDING_TRIAL, this request is its trial.
 */
enum ring_pick_result ring_pick(struct ring *ring, const struct ring_request *request);

/* What ring_pick would return. Takes no turn and begins no trial. */
enum ring_pick_result ring_preview(struct ring *ring, const struct ring_request *request);

/* The same, but only one that is up, or may have its trial, and is not silent. */
bool ring_can_pick_well(struct ring *ring, const struct ring_request *request);

/* Chooses a backend for a request that another one has been silent about since `since_us`: it is up
 * and not silent, has not just woken, and owes no answer or has given one since then. The next of
 * the list; with RING_LEAST_REQUESTS the next of those with the fewest requests. Takes no turn.
 * False when there is none; else request->tries[count] begins. */
bool ring_pick_second(struct ring *ring, const struct ring_request *request, int64_t since_us);

/* Begins a try at this backend, whatever its state, for a request that can go nowhere else. Takes
 * no turn, and is not its trial. */
void ring_pick_bound(const struct ring_request *request, struct backend *backend);

/* The weight a backend is picked with, in thousandths: weight, times slow start (10 % to 100 %),
 * times the latency factor when adaptive, as it was at a pick not long ago. Never 0. */
int64_t ring_effective_weight(
    const struct ring *ring, const struct backend *backend, int64_t now_us);

/* Backends that are up and not draining or unresolved. */
size_t ring_count_up(const struct ring *ring);

/* Is one down, or on trial, for a soft reason, apart from `backend`? */
bool ring_is_another_down_soft(const struct ring *ring, const struct backend *backend);

/* Is there a backend that may answer a request: up, on trial, or down for a soft reason? For
 * readiness. */
bool ring_is_usable(const struct ring *ring);

/* Is there a backend that takes requests when it is up: neither draining nor without address? */
bool ring_is_open(const struct ring *ring);

bool ring_has(const struct ring *ring, const struct backend *backend);
struct backend *ring_find_name(const struct ring *ring, struct str name);

#endif
