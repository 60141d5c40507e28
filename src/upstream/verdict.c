#include "upstream/verdict.h"

/* The number of failures in a row that lead to a comparison by the ring, and the number of answers
 * of other backends that it needs. */
enum { STREAK = 3, COMPARISONS = 3 };

/* The number of failures of a record that are enough while no other backend is down for a soft
 * reason. */
enum { FAILURES = 3 };

/* The time after which rondo looks again after a failed probe. */
static const int64_t PROBE_PAUSE_US = 1000000;

/* ---- states */

static void verdict_take_down(const struct try_record *try, int64_t window_us, int64_t now_us)
{
	const struct backend_change change = {
	    .state = BACKEND_DOWN,
	    .reason = try->outcome,
	    .status = try->status,
	    .fault = try->fault,
	    .window_us = window_us,
	    .now_us = now_us,
	};

	backend_set_state(try->backend, &change);
}

static void verdict_mark_down(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	verdict_take_down(try, ring->options.retry_window_us, now_us);
}

/* Its trial failed: down again, for twice as long as before. */
static void verdict_turn_back(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	int64_t window_us = try->backend->window_us;
	int64_t max_us = ring->options.retry_window_max_us;

	if (max_us < ring->options.retry_window_us)
		max_us = ring->options.retry_window_us;
	window_us = window_us < max_us / 2 ? 2 * window_us : max_us;
	verdict_take_down(try, window_us, now_us);
}

static void verdict_bring_back(struct backend *backend, enum outcome reason, int64_t now_us)
{
	const struct backend_change change = {
	    .state = BACKEND_UP,
	    .reason = reason,
	    .now_us = now_us,
	};

	backend_set_state(backend, &change);
}

/* ---- evidence */

/* Is the backend still in the same state as when it was picked? */
static bool verdict_is_current(const struct ring *ring, const struct try_record *try)
{
	return try->epoch == try->backend->epoch && ring_has(ring, try->backend);
}

static bool verdict_is_soft(const struct try_record *try)
{
	return outcome_blame(try->outcome) == BLAME_SOFT;
}

/* At most one in ten failed. */
static bool verdict_is_sound(struct record_sum sum)
{
	return sum.failed * 10 <= sum.good + sum.failed;
}

/* Comparison by the ring: did the other backends succeed at this kind of request since the streak
 * began? Only backends that are up count. */
static bool verdict_others_can(
    const struct ring *ring, const struct backend *backend, enum backend_record kind)
{
	int64_t from_us = backend->records[kind].streak_us;
	struct record_sum since = {0}, all = {0};

	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *other = ring->backends[i];

		if (other == backend || !backend_is_up(other))
			continue;
		struct record_sum of_other = record_sum_since(&other->records[kind], from_us);
		since.good += of_other.good;
		since.failed += of_other.failed;
		of_other = record_sum(&other->records[kind]);
		all.good += of_other.good;
		all.failed += of_other.failed;
	}
	return since.good >= COMPARISONS && verdict_is_sound(since) && verdict_is_sound(all);
}

/* Another backend succeeded where this one failed; is its record bad enough to take it down? */
static bool verdict_is_enough(
    const struct ring *ring, const struct try_record *try, enum backend_record kind)
{
	struct record_sum sum = record_sum(&try->backend->records[kind]);

	if (ring_count_up(ring) <= 1)
		return false;
	if (sum.failed >= sum.good)
		return true;
	return !ring_is_another_down_soft(ring, try->backend) &&
	       (sum.failed >= FAILURES || try->outcome == OUTCOME_LATE);
}

/* A failure of a backend that is up, where another backend then succeeded for the same request. */
static void verdict_weigh(
    struct ring *ring, const struct try_record *try, enum backend_record kind, int64_t now_us)
{
	record_add(&try->backend->records[kind], true, now_us);
	if (verdict_is_enough(ring, try, kind))
		verdict_mark_down(ring, try, now_us);
}

/* A failure of a request that could not be sent to another backend: only a streak of them is
 * compared. */
static void verdict_weigh_by_ring(
    struct ring *ring, const struct try_record *try, enum backend_record kind, int64_t now_us)
{
	struct record *record = &try->backend->records[kind];

	record_add(record, true, now_us);
	if (record->streak >= STREAK && verdict_others_can(ring, try->backend, kind) &&
	    verdict_is_enough(ring, try, kind))
		verdict_mark_down(ring, try, now_us);
}

/* ---- results of requests */

void verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	if (outcome_blame(try->outcome) != BLAME_HARD || !verdict_is_current(ring, try))
		return;
	switch (try->backend->state) {
	case BACKEND_UP:
		verdict_mark_down(ring, try, now_us);
		break;
	case BACKEND_TRIAL:
		verdict_turn_back(ring, try, now_us);
		break;
	case BACKEND_DOWN:
	case BACKEND_STATES:
		break;
	}
}

/* Does a good answer bring its backend back? Also if the request was sent there as a last resort
 * and rondo's own connect has put the backend on trial since. */
static bool verdict_brings_back(const struct ring *ring, const struct try_record *try)
{
	const struct backend *backend = try->backend;
	bool was_down = try->standing == STANDING_SOFT || try->standing == STANDING_HARD;
	bool is_on_trial_since =
	    was_down && backend->state == BACKEND_TRIAL && backend->epoch == try->epoch + 1;

	return backend->state != BACKEND_UP && ring_has(ring, backend) &&
	       (backend->epoch == try->epoch || is_on_trial_since);
}

static void verdict_good(
    const struct ring *ring, const struct try_record *try, bool is_repeatable, int64_t now_us)
{
	struct backend *backend = try->backend;

	/* Nearly always it is up, and then there is nothing to do. */
	if (verdict_brings_back(ring, try))
		verdict_bring_back(backend, OUTCOME_GOOD, now_us);
	if (backend->state == BACKEND_UP && is_repeatable)
		record_add(&backend->records[RECORD_COMPARED], false, now_us);
}

/* How a soft failure is compared. */
enum comparison {
	COMPARED_BY_REQUEST, /* another backend gave it a good answer */
	/* The same, but by the time of that answer it could not be repeated any more: its content
	 * had outgrown what is kept, so it counts among the requests of that kind. */
	COMPARED_BY_REQUEST_ONCE,
	COMPARED_BY_RING,   /* it could not be sent to another */
	COMPARED_BY_NOTHING /* the request is to blame, or nothing is known */
};

/* The result of all tries of a request together. */
struct result {
	const struct backend *answerer; /* of the good answer; NULL: there was none */
	unsigned soft_failures;
	bool is_repeatable;
};

static enum comparison verdict_compare(const struct result *result, const struct try_record *try)
{
	if (!verdict_is_soft(try) || result->answerer == try->backend)
		return COMPARED_BY_NOTHING;
	if (result->answerer)
		return result->is_repeatable ? COMPARED_BY_REQUEST : COMPARED_BY_REQUEST_ONCE;
	if (result->is_repeatable || result->soft_failures > 1)
		return COMPARED_BY_NOTHING;
	return COMPARED_BY_RING;
}

static void verdict_failed_while_up(
    struct ring *ring, const struct try_record *try, enum comparison comparison, int64_t now_us)
{
	switch (comparison) {
	case COMPARED_BY_REQUEST:
		verdict_weigh(ring, try, RECORD_COMPARED, now_us);
		break;
	case COMPARED_BY_REQUEST_ONCE:
		verdict_weigh(ring, try, RECORD_ONCE, now_us);
		break;
	case COMPARED_BY_RING:
		verdict_weigh_by_ring(ring, try, RECORD_ONCE, now_us);
		break;
	case COMPARED_BY_NOTHING:
		break;
	}
}

static void verdict_failed_on_trial(
    struct ring *ring, const struct try_record *try, enum comparison comparison, int64_t now_us)
{
	bool is_trial = try->standing == STANDING_TRIAL;
	bool was_bettered =
	    comparison == COMPARED_BY_REQUEST || comparison == COMPARED_BY_REQUEST_ONCE;

	if (try->standing == STANDING_UP)
		return;
	if (was_bettered || (is_trial && comparison == COMPARED_BY_RING))
		verdict_turn_back(ring, try, now_us);
	else if (is_trial)
		/* It proved nothing: the next request is its trial. */
		try->backend->on_trial = false;
}

static void verdict_try(
    struct ring *ring, const struct try_record *try, enum comparison comparison, int64_t now_us)
{
	if (!verdict_is_current(ring, try))
		return;
	switch (try->backend->state) {
	case BACKEND_UP:
		verdict_failed_while_up(ring, try, comparison, now_us);
		break;
	case BACKEND_TRIAL:
		verdict_failed_on_trial(ring, try, comparison, now_us);
		break;
	case BACKEND_DOWN:
	case BACKEND_STATES:
		break;
	}
}

void verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us)
{
	struct result result = {.is_repeatable = request->is_repeatable};

	/* The answer first: a backend that it brings back counts as up for the others. */
	for (size_t i = 0; i < request->count; i++) {
		const struct try_record *try = &request->tries[i];

		result.soft_failures += verdict_is_soft(try);
		if (try->outcome == OUTCOME_GOOD) {
			result.answerer = try->backend;
			verdict_good(ring, try, request->is_repeatable, now_us);
		}
	}
	for (size_t i = 0; i < request->count; i++) {
		const struct try_record *try = &request->tries[i];

		if (try->outcome != OUTCOME_GOOD)
			verdict_try(ring, try, verdict_compare(&result, try), now_us);
	}
}

void verdict_straggler(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	if (try->outcome == OUTCOME_GOOD)
		verdict_good(ring, try, false, now_us);
	else if (outcome_blame(try->outcome) == BLAME_HARD)
		verdict_hard(ring, try, now_us);
	else if (verdict_is_soft(try))
		verdict_try(ring, try, COMPARED_BY_REQUEST, now_us);
}

/* ---- the end of the content */

static enum backend_record verdict_record_of_content(bool is_repeatable)
{
	return is_repeatable ? RECORD_CONTENT : RECORD_ONCE;
}

/* Was it up when it was picked, or did this answer bring it back, and is it up still? */
static bool verdict_is_up_since(const struct try_record *try)
{
	unsigned changes = try->standing == STANDING_UP ? 0 : 1;

	return try->backend->state == BACKEND_UP && try->backend->epoch == try->epoch + changes;
}

void verdict_completed(const struct try_record *try, bool is_repeatable, int64_t now_us)
{
	if (verdict_is_up_since(try))
		record_add(&try->backend->records[verdict_record_of_content(is_repeatable)], false,
		    now_us);
}

void verdict_cut_off(
    struct ring *ring, const struct try_record *try, bool is_repeatable, int64_t now_us)
{
	if (!verdict_is_up_since(try) || !ring_has(ring, try->backend))
		return;
	if (try->standing == STANDING_UP)
		verdict_weigh_by_ring(ring, try, verdict_record_of_content(is_repeatable), now_us);
	else if (ring_count_up(ring) > 1)
		/* The trial that brought it back has failed after all. */
		verdict_turn_back(ring, try, now_us);
}

void verdict_pass_trial_on(struct ring *ring, struct try_record *try)
{
	if (try->standing != STANDING_TRIAL || try->backend->state != BACKEND_TRIAL ||
	    !verdict_is_current(ring, try))
		return;
	try->standing = STANDING_BUSY;
	try->backend->on_trial = false;
}

/* ---- probes and checks */

void verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us)
{
	struct backend *backend = probe->backend;
	int64_t pause_us = ring->options.retry_window_us;
	const struct backend_change trial = {.state = BACKEND_TRIAL, .now_us = now_us};

	if (backend->state != BACKEND_DOWN)
		return;
	if (probe->outcome == OUTCOME_GOOD) {
		backend_set_state(backend, &trial);
	} else if (outcome_blame(probe->outcome) != BLAME_NONE) {
		if (pause_us > PROBE_PAUSE_US)
			pause_us = PROBE_PAUSE_US;
		verdict_take_down(probe, backend->window_us, now_us);
		backend_look_again_at(backend, now_us + pause_us);
	}
}

static void verdict_check_failed(
    struct ring *ring, struct backend *backend, unsigned fall, int64_t now_us)
{
	const struct try_record try = {
	    .backend = backend, .outcome = OUTCOME_CHECK, .epoch = backend->epoch};

	backend->checks_good = 0;
	if (++backend->checks_failed >= fall)
		verdict_hard(ring, &try, now_us);
}

void verdict_checked(struct ring *ring, struct backend *backend,
    const struct verdict_check_rules *rules, bool good, int64_t now_us)
{
	if (!good) {
		verdict_check_failed(ring, backend, rules->fall, now_us);
		return;
	}
	backend->checks_failed = 0;
	if (++backend->checks_good < rules->rise || backend->state == BACKEND_UP)
		return;
	if (outcome_blame(backend->reason) == BLAME_HARD)
		verdict_bring_back(backend, OUTCOME_CHECK, now_us);
}
