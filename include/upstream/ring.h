/*
 * ring - whose turn it is.
 *
 * The backends of the configuration, in its order. Smooth weighted round robin: every pick raises each usable
 * backend by its effective weight, takes the highest (the first of equals) and lowers it by the sum, so turns interleave
 * (a a b a, not a a a b). A backend that is skipped gives its turns to all the others evenly. With equal weights and all up
 * the order is that of the list, from the first. No sockets and no clock: now is an argument. Nothing can fail; NULL
 * means nobody is left.
 *
 * The ring holds its backends (backend_hold). Requests in flight hold theirs, so a ring may change at any time.
 */
#ifndef RONDO_UPSTREAM_RING_H
#define RONDO_UPSTREAM_RING_H

#include "upstream/backend.h"
#include "upstream/budget.h"

enum ring_balance { RING_ROUND_ROBIN, RING_ADAPTIVE };

struct ring_options {
	enum ring_balance balance;
	int64_t retry_window_us;
	int64_t retry_window_max_us;
	int64_t slow_start_us;
	unsigned retry_budget_percent;
};

struct ring {
	struct ring_options options;
	struct backend **backends;
	size_t count;
	struct budget budget;
	uint64_t picks;
};

void ring_init(struct ring *ring);
void ring_finish(struct ring *ring);

/* Replaces the list, at once. Holds the new ones first, then drops the old. False without memory: nothing changed. */
bool ring_set(struct ring *ring, struct backend *const *backends, size_t count);

/* Backends somebody must not get again: those a request was at already. */
struct ring_tried {
	struct backend *const *backends;
	size_t count;
};

enum ring_pick_result {
	RING_PICKED,
	RING_ALL_FULL, /* everybody usable is at max_connections */
	RING_NOBODY    /* nobody is usable, or all were tried */
};

/*
 * Chooses the next backend. In this order: those that are up (and one on trial whose one request is not under way),
 * by turns; of them the primaries before the `backup` ones; when none is up, those down for a soft reason, the
 * one whose window ends first first; then, when no refusal was met yet in this request (`refused_before`), one that
 * is down for a hard reason. Draining and unresolved ones and those in `tried` are passed over, as are those at their
 * max_connections. Sets on_trial on a backend picked in BACKEND_TRIAL.
 */
enum ring_pick_result ring_pick(struct ring *ring, const struct ring_tried *tried,
    bool refused_before, int64_t now_us, struct backend **picked);

/* The weight a backend is picked with, in thousandths: weight, times slow start (10 % to 100 %), times the latency
 * factor when adaptive. Never 0. */
int64_t ring_effective_weight(
    const struct ring *ring, const struct backend *backend, int64_t now_us);

/* Backends that are up and not draining or unresolved. */
size_t ring_count_up(const struct ring *ring);

/* Is there anybody at all a request could be sent to? For readiness. */
bool ring_is_usable(const struct ring *ring);

struct backend *ring_find_name(const struct ring *ring, struct str name);
struct backend *ring_find_url(const struct ring *ring, struct str url);

#endif
