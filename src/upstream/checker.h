/*
 * checker - decides when backends are checked, and reports the results.
 *
 * One checker for each ring. It looks at backends whose window is over, so that no client is the
 * first to find out, and, when health.path is set, checks every backend that is not draining each
 * health.interval, spread over it. While health.path is set, a backend that failed its checks comes
 * back by checks alone; all others, and all without it, come back by one good check and a client's
 * request on trial.
 *
 * There is at most one check at a time for each backend. The resolver looks up the names: a backend
 * without address is not checked. If rondo itself is short of resources there is no result, and the
 * check is made again.
 */
#ifndef RONDO_UPSTREAM_CHECKER_H
#define RONDO_UPSTREAM_CHECKER_H

#include "upstream/check.h"

struct checker;

/* `ring` and `env` must outlive it. NULL without memory. Until checker_configure it does
 * nothing. */
struct checker *checker_create(struct ring *ring, struct backend_env *env);
void checker_destroy(struct checker *checker);

/* Takes over options, and `path` and `host`, which are theirs, as strings from malloc. Checks are
 * spread anew only over another interval, for another path or, at the next look, over other
 * backends. */
void checker_configure(
    struct checker *checker, const struct check_options *options, char *path, char *host);

/* Looks at the ring's backends anew, in the next turn: after start, reload and every change of
 * state. May be called from within backend_env.on_change. */
void checker_wake(struct checker *checker);

#endif
