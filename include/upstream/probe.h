/*
 * probe - connects or GETs on rondo's own account.
 *
 * One prober for each ring. It looks at backends whose window is over (TCP connect, or GET health.path when one
 * is configured) and, when health.path is set, checks every backend that is not draining each
 * health.interval, spread over it. Each probe is one connection of its own, never one of the pool, with a
 * limit of health.timeout. Answers are read up to their head only. What a result means is verdict's business.
 */
#ifndef RONDO_UPSTREAM_PROBE_H
#define RONDO_UPSTREAM_PROBE_H

#include "upstream/verdict.h"

/* A range of statuses, "200-399". */
struct probe_range {
	unsigned from, to;
};

enum { PROBE_RANGES = 8 };

struct probe_options {
	const char *path; /* "" = connects only */
	int64_t interval_us, timeout_us, connect_timeout_us;
	struct verdict_check_rules rules;
	struct probe_range expect[PROBE_RANGES];
	size_t expect_count;
};

struct prober;

/* `ring` and `env` must outlive it. NULL without memory. */
struct prober *prober_create(struct ring *ring, struct backend_env *env);
void prober_destroy(struct prober *prober);

/* Takes over options (copied) and looks at the ring's backends anew: after start, reload and every change of state. */
void prober_configure(struct prober *prober, const struct probe_options *options);
void prober_wake(struct prober *prober);

#endif
