/*
 * probe - connects or GETs on rondo's own account.
 *
 * One prober for each ring. It looks at backends whose window is over (TCP connect, or GET
 * health.path when one is configured), so that no client is the first to find out, and, when
 * health.path is set, checks every backend that is not draining each health.interval, spread over
 * it. What a result means is verdict's business. While health.path is set, a backend that failed
 * its checks comes back by checks alone; all others, and all without it, come back by one good
 * probe and a client's request on trial.
 *
 * A probe is one connection of its own, never one of the pool and not counted among the active
 * ones; there is at most one at a time for each backend. It is over within health.timeout
 * (timeouts.connect when it only connects), in which all addresses of the backend are tried, each
 * for an equal part of what is left. The head of an answer decides; its content is read, within the
 * same time, so that the backend is not cut off in its answer. Names are the resolver's business: a backend without address is left alone. A shortage of rondo's own is no
 * result; the probe is made again.
 *
 * What a probe sends, reads and takes for good is the same for everybody who makes one (rondo -P
 * does too): the functions in front of the prober's.
 */
#ifndef RONDO_UPSTREAM_PROBE_H
#define RONDO_UPSTREAM_PROBE_H

#include "http/body.h"
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

/* Their answers' heads have no more bytes and fields; a larger one is a broken one. Of the content so
 * much is read before the connection is closed. */
enum { PROBE_HEAD_BYTES = 16384, PROBE_FIELDS = 100, PROBE_CONTENT_BYTES = 64 * 1024 };

/* Whether it GETs, or only connects. */
bool probe_gets(const struct probe_options *options);

/* What one probe may take, with all addresses of the backend. */
int64_t probe_limit_us(const struct probe_options *options);

/* Puts the request into `out`; `authority` as from backend_authority. False without memory. */
bool probe_put_request(const struct probe_options *options, const char *authority, struct buf *out);

/* What comes back: interim answers, then the one that counts. */
struct probe_answer {
	struct parse parse;
	unsigned interims;
};

void probe_answer_init(struct probe_answer *answer);

/* Looks at what was read so far. PARSE_DONE when `head`, which has room for PROBE_FIELDS fields, is
 * that of the final answer. */
enum parse_result probe_answer_look(
    struct probe_answer *answer, struct buf *in, struct http_head *head);

/* Is the status one that counts as healthy? */
bool probe_expects(const struct probe_options *options, unsigned status);

struct prober;

/* `ring` and `env` must outlive it. NULL without memory. Until prober_configure it does nothing. */
struct prober *prober_create(struct ring *ring, struct backend_env *env);
void prober_destroy(struct prober *prober);

/* Takes over options, and `path`, which is theirs, as a string from malloc. Checks are spread anew
 * only over another interval, for another path or, at the next look, over other backends. */
void prober_configure(struct prober *prober, const struct probe_options *options, char *path);

/* Looks at the ring's backends anew, in the next turn: after start, reload and every change of
 * state. May be called from within backend_env.on_change. */
void prober_wake(struct prober *prober);

#endif
