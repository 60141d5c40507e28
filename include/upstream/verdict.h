/*
 * verdict - what each outcome means for a backend, and when it leaves the ring.
 *
 * Hard outcomes (refused, unreachable, no connection in time, checks) take a backend down at once.
 * A soft failure needs a comparison, which shows that another backend could do what this one failed
 * at:
 * - by the request, when another backend then gave the same request a good answer;
 * - by the ring, for requests that cannot be sent again (they may not be repeated, or their answer
 *   was cut off): three such failures in a row, while the others, taken together, did the same at
 *   least three times since the first of them, and failed at most once in ten.
 * If a request failed at every backend, the request is to blame, and no backend is. The same holds
 * if it could have been repeated but was not, for lack of budget, tries or time.
 *
 * A comparison alone is not enough: the record of the last sixteen answers of the same kind (enum
 * backend_record) must be bad. Half of it failed: the backend goes down. While no other backend is
 * down for a soft reason, three failures are enough, and so is one silence past max_delay_response.
 * Soft failures never take down the last backend that is up.
 *
 * Down lasts a window; then a probe of rondo's own must succeed (verdict_probed), then one client
 * request is the trial: its success brings the backend back, its failure doubles the window, up to
 * a maximum. A trial that proves nothing leaves it on trial, for the next request; if the answer is
 * cut off, the trial has failed after all. Other requests may be sent there, because no backend
 * that is up was left for them or because they passed the trial on: they decide the trial by a good
 * answer, or by a failure where another backend then succeeded. Answers and failures of a backend
 * that is down change nothing, except that a good answer to a request that went there because no
 * backend was up brings it back. A window begins anew at its shortest after each success. A try
 * that began in an earlier state of its backend changes nothing. Neither does one at a backend that
 * has left the ring.
 *
 * Functions of state, event and now; they change a backend only through backend_set_state, and its
 * records, its trial and its count of checks.
 */
#ifndef RONDO_UPSTREAM_VERDICT_H
#define RONDO_UPSTREAM_VERDICT_H

#include "upstream/ring.h"

enum { VERDICT_MAX_TRIES = 16 };

/* A try that failed hard: called when it happens, while the request goes on elsewhere. Other
 * outcomes are left to verdict_settle. */
void verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us);

/*
 * The request is decided: it has an answer, or gets none. Evaluates all its tries, except those
 * that verdict_hard has handled. The head decides about an answer; verdict_completed or
 * verdict_cut_off then reports the end of its content. Also ends the trials among the tries.
 */
struct verdict_case {
	const struct try_record *tries;
	size_t count;
	bool is_repeatable; /* by the request itself, it may be sent to a second backend */
};
void verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us);

/* An attempt ended whose request has a good answer of another backend, or was never sent to this
 * one: a failure is compared with that answer, and a good answer of its own proves nothing unless
 * it was the trial. */
void verdict_straggler(struct ring *ring, const struct try_record *try, int64_t now_us);

/* A good answer is complete; the request was repeatable or not. */
void verdict_completed(const struct try_record *try, bool is_repeatable, int64_t now_us);

/* The backend cut the answer off: the outcome of the try is OUTCOME_CUT_OFF now. */
void verdict_cut_off(
    struct ring *ring, const struct try_record *try, bool is_repeatable, int64_t now_us);

/* The request on trial waits for its client: the next request is the trial. Does nothing if the try
 * is not a trial. */
void verdict_pass_trial_on(struct ring *ring, struct try_record *try);

/* rondo's own connect or GET to a backend that is down: when it was good the backend may have its
 * trial. When it failed, rondo looks again a second later, or a retry_window later where that is
 * shorter, and the backend is down for this reason now; its window stays as it is. An
 * outcome without blame changes nothing. */
void verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us);

/* A periodic check: `fall` failures in a row take it down (hard), `rise` good ones bring it back,
 * unless it is down for a soft reason: a server that passes its checks and fails its requests needs
 * a trial. */
struct verdict_check_rules {
	unsigned fall, rise;
};
void verdict_checked(struct ring *ring, struct backend *backend,
    const struct verdict_check_rules *rules, bool good, int64_t now_us);

#endif
