#include "upstream/verdict.h"

/* ---- sentences */

static void verdict_take_down(const struct try_record *try, int64_t window_us, int64_t now_us)
{
	const struct backend_change change = {
	    .state = BACKEND_DOWN,
	    .reason = try->outcome,
	    .status = try->status,
	    .window_us = window_us,
	    .now_us = now_us,
	};

	backend_set_state(try->backend, &change);
}

static void verdict_convict(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	verdict_take_down(try, ring->options.retry_window_us, now_us);
}

/* Its return failed: down again, for twice as long as before. */
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

/* ---- what happened to requests */

/* Soft marks never take out the last one. */
static void verdict_convict_soft(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	if (ring_count_up(ring) > 1)
		verdict_convict(ring, try, now_us);
}

/* Is the backend still what it was when it was picked? */
static bool verdict_is_current(const struct ring *ring, const struct try_record *try)
{
	return try->epoch == try->backend->epoch && ring_has(ring, try->backend);
}

void verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	if (outcome_blame(try->outcome) != BLAME_HARD || !verdict_is_current(ring, try))
		return;
	switch (try->backend->state) {
	case BACKEND_UP:
		verdict_convict(ring, try, now_us);
		break;
	case BACKEND_TRIAL:
		verdict_turn_back(ring, try, now_us);
		break;
	case BACKEND_DOWN:
	case BACKEND_STATES:
		break;
	}
}

static void verdict_good(const struct ring *ring, const struct try_record *try, int64_t now_us)
{
	struct backend *backend = try->backend;
	bool waits_for_checks = backend->state == BACKEND_DOWN && backend->reason == OUTCOME_CHECK;

	/* Nearly always it is up, and then nothing is looked for. */
	if (backend->state != BACKEND_UP && !waits_for_checks && verdict_is_current(ring, try))
		verdict_bring_back(backend, OUTCOME_GOOD, now_us);
}

void verdict_completed(struct backend *backend)
{
	backend->suspicions = 0;
}

struct hearing {
	struct ring *ring;
	const struct verdict_case *request;
	const struct backend *answerer; /* NULL when nobody gave a good answer */
	size_t receivers; /* tries in which a backend got the request, for all we know */
	int64_t now_us;
};

/* How a soft failure is to be read. */
enum reading {
	READING_CONVICTED,  /* another backend could do it */
	READING_SUSPICIOUS, /* nobody else was asked */
	READING_POISON      /* nobody could do it: the request is to blame */
};

static enum reading verdict_read(const struct hearing *hearing, const struct try_record *try)
{
	if (hearing->answerer && hearing->answerer != try->backend)
		return READING_CONVICTED;
	if (try->outcome == OUTCOME_CUT_OFF || hearing->receivers <= 1)
		return READING_SUSPICIOUS;
	return READING_POISON;
}

static void verdict_suspect(const struct hearing *hearing, const struct try_record *try)
{
	struct backend *backend = try->backend;
	uint64_t request_id = hearing->request->request_id;

	if (backend->suspicions > 0 && backend->suspect_request == request_id)
		return;
	backend->suspect_request = request_id;
	if (backend->suspicions < VERDICT_SUSPICIONS)
		backend->suspicions++;
	if (backend->suspicions == VERDICT_SUSPICIONS)
		verdict_convict_soft(hearing->ring, try, hearing->now_us);
}

static void verdict_soft_while_up(const struct hearing *hearing, const struct try_record *try)
{
	switch (verdict_read(hearing, try)) {
	case READING_CONVICTED:
		verdict_convict_soft(hearing->ring, try, hearing->now_us);
		break;
	case READING_SUSPICIOUS:
		verdict_suspect(hearing, try);
		break;
	case READING_POISON:
		break;
	}
}

/* The trial that brought it back, and then was cut off. */
static bool verdict_is_undone_trial(const struct try_record *try)
{
	return try->outcome == OUTCOME_CUT_OFF && try->standing != STANDING_UP &&
	       try->backend->state == BACKEND_UP && try->backend->epoch == try->epoch + 1;
}

static void verdict_try(const struct hearing *hearing, const struct try_record *try)
{
	struct backend *backend = try->backend;
	bool is_soft = outcome_blame(try->outcome) == BLAME_SOFT;

	if (verdict_is_undone_trial(try) && ring_has(hearing->ring, backend) &&
	    ring_count_up(hearing->ring) > 1)
		verdict_turn_back(hearing->ring, try, hearing->now_us);
	if (!verdict_is_current(hearing->ring, try))
		return;
	if (backend->state == BACKEND_UP && is_soft)
		verdict_soft_while_up(hearing, try);
	if (backend->state != BACKEND_TRIAL || try->standing == STANDING_UP)
		return;
	if (is_soft && verdict_read(hearing, try) != READING_POISON)
		verdict_turn_back(hearing->ring, try, hearing->now_us);
	else if (try->standing == STANDING_TRIAL)
		/* It proved nothing: the next request is its trial. */
		backend->on_trial = false;
}

/* Who did not get the request compares with nobody. */
static bool verdict_is_receiver(const struct try_record *try)
{
	return outcome_blame(try->outcome) != BLAME_HARD && try->outcome != OUTCOME_SHORTAGE &&
	       try->outcome != OUTCOME_STALE;
}

void verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us)
{
	struct hearing hearing = {.ring = ring, .request = request, .now_us = now_us};

	/* The answer first: whoever it brings back counts as up for the others. */
	for (size_t i = 0; i < request->count; i++) {
		hearing.receivers += verdict_is_receiver(&request->tries[i]);
		if (request->tries[i].outcome == OUTCOME_GOOD) {
			hearing.answerer = request->tries[i].backend;
			verdict_good(ring, &request->tries[i], now_us);
		}
	}
	for (size_t i = 0; i < request->count; i++) {
		if (request->tries[i].outcome != OUTCOME_GOOD)
			verdict_try(&hearing, &request->tries[i]);
	}
}

/* ---- what rondo found out itself */

void verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us)
{
	const struct backend_change trial = {.state = BACKEND_TRIAL, .now_us = now_us};

	if (probe->backend->state != BACKEND_DOWN)
		return;
	if (probe->outcome == OUTCOME_GOOD)
		backend_set_state(probe->backend, &trial);
	else if (outcome_blame(probe->outcome) != BLAME_NONE)
		verdict_turn_back(ring, probe, now_us);
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
