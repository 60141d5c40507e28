/*
 * verdict - what each outcome means for a backend, and who is convicted.
 *
 * Hard outcomes (refused, unreachable, no connection in time, checks) take a backend down at once.
 * Soft ones are compared: when another backend then gave the same request a good answer, all that
 * failed it are down at once; when none did, the request is to blame and nobody is marked. A soft
 * failure of a request that no other backend got is a suspicion, and so is an answer cut off, for
 * it had begun to reach the client; three in a row from different requests, with no whole good
 * answer between, mark. Soft marks never take out the last backend that is up. The rest (a stale
 * connection, the client's or rondo's own fault) means nothing.
 *
 * Down lasts a window; then a probe of rondo's own must succeed (verdict_probed), then one client
 * request is the trial: its success brings the backend back, its failure doubles the window, up to
 * a maximum. A trial that proves nothing leaves it on trial, for the next request; one whose answer
 * is cut off has failed after all. What else is sent there because nobody was up decides the trial
 * where it proves something, and does not end it otherwise. What a backend does while it is down
 * changes nothing, but a good answer to a request that went there because nobody was up brings it
 * back, unless it is down for its checks. A window begins anew at its shortest after each success.
 * What a try that began in an earlier state of its backend has to say is of no interest any more,
 * nor what is said of a backend that is not in the ring.
 *
 * Functions of state, event and now; they change a backend only through backend_set_state and count
 * suspicions and checks.
 */
#ifndef RONDO_UPSTREAM_VERDICT_H
#define RONDO_UPSTREAM_VERDICT_H

#include "upstream/ring.h"

enum { VERDICT_MAX_TRIES = 16, VERDICT_SUSPICIONS = 3 };

/* A try that failed hard: called when it happens, while the request goes on elsewhere. Other
 * outcomes are left to verdict_settle. */
void verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us);

/*
 * The request is decided, by an answer or by having none: judges all its tries, but for what
 * verdict_hard did already. An answer is judged by its head; should it be cut off later, that is
 * another case of one try under the same request_id, which is unique to the request. Also ends the
 * trials among them.
 */
struct verdict_case {
	const struct try_record *tries;
	size_t count;
	uint64_t request_id;
};
void verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us);

/* A good answer of this backend has come to its end: suspicions are dispelled. */
void verdict_completed(struct backend *backend);

/* rondo's own connect or GET to a backend that is down: when it was good it may have its trial,
 * when it failed it waits twice as long, now for this reason. A shortage of rondo's own changes
 * nothing. */
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
