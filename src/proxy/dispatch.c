#include "proxy/dispatch.h"

#include "base/log.h"
#include "proxy/rescue.h"
#include "proxy/straggler.h"

/* A full accept queue is tried again after this time. */
static const int64_t BUSY_US = 20000;

static int64_t now_us(const struct dispatch *dispatch)
{
	return loop_now_us(dispatch->with->proxy->loop);
}

/* ---- what the request may do */

/* May it be rescued, if the next backend is silent? Not while content is still to come from the
 * client: more of it than is kept may follow. */
static bool may_move(const struct dispatch *dispatch)
{
	return dispatch->with->may_repeat && !dispatch->with->stays &&
	       content_has_all(dispatch->with->up) && content_can_repeat(dispatch->with->up) &&
	       !dispatch->with->head->upgrades && dispatch->with->rules->retry.tries > 1;
}

/* May it wait for a backend, if none is left? Also when nothing but a failing answer is there. One
 * that belongs to a connection of its client waits for no other. */
static bool may_wait(const struct dispatch *dispatch)
{
	const struct waiter *waiter = &dispatch->waiter;
	int64_t wait_us = dispatch->with->rules->queue.wait_us;

	return wait_us > 0 && !binding_backend(dispatch->with->binding) &&
	       now_us(dispatch) < dispatch->with->deadline_us &&
	       (waiter->ticket == 0 || now_us(dispatch) - waiter->first_us < wait_us);
}

/* The request, for the ring. */
static struct ring_request for_ring(struct dispatch *dispatch)
{
	struct loop *loop = dispatch->with->proxy->loop;

	return (struct ring_request){
	    .tries = dispatch->tries,
	    .count = dispatch->try_count,
	    .may_move = may_move(dispatch),
	    .may_wait = may_wait(dispatch),
	    .has_waited = dispatch->waiter.ticket > 0,
	    .now_us = loop_now_us(loop),
	    .seen_us = loop_seen_us(loop),
	};
}

bool dispatch_has_two(const struct dispatch *dispatch)
{
	return dispatch->other && dispatch->other->state != ATTEMPT_ANSWERED;
}

void dispatch_drop_other(struct dispatch *dispatch)
{
	attempt_destroy(dispatch->other);
	dispatch->other = NULL;
}

static void swap_attempts(struct dispatch *dispatch)
{
	struct attempt *attempt = dispatch->attempt;

	dispatch->attempt = dispatch->other;
	dispatch->other = attempt;
}

/* Of two attempts one is over; the other, now the current one, may again be helped by a second one,
 * or be given up while it connects: if it has sent nothing. */
static void let_it_move(struct dispatch *dispatch)
{
	struct attempt *attempt = dispatch->attempt;

	attempt->pending.may_move = attempt->pending.is_owed || !attempt->was_sent;
}

/* Have all tries been made that retry.tries allows? */
static bool has_no_try_left(const struct dispatch *dispatch)
{
	return dispatch->try_count == VERDICT_MAX_TRIES ||
	       dispatch->try_count - dispatch->free_tries >= dispatch->with->rules->retry.tries;
}

/* May the request go to yet another backend, after one that got bytes of it (`sent`) or not? Call
 * it once for each retry: it takes the retry from the budget. */
static enum retry_refusal refuse_retry(struct dispatch *dispatch, bool sent)
{
	struct proxy *proxy = dispatch->with->proxy;
	const struct proxy_retry_options *rules = &dispatch->with->rules->retry;

	const struct ring_request request = for_ring(dispatch);

	if (has_no_try_left(dispatch))
		return RETRY_REFUSED_TRIES;
	if (now_us(dispatch) >= dispatch->with->deadline_us)
		return RETRY_REFUSED_DEADLINE;
	if (!sent)
		return RETRY_ALLOWED;
	if (!dispatch->with->may_repeat || dispatch->with->stays)
		return RETRY_REFUSED_METHOD;
	if (!content_can_repeat(dispatch->with->up))
		return RETRY_REFUSED_BODY;
	if (ring_preview(proxy->ring, &request) != RING_PICKED)
		return RETRY_REFUSED_NOBODY;
	if (!budget_take_retry(&proxy->ring->budget, rules->budget_percent, now_us(dispatch)))
		return RETRY_REFUSED_BUDGET;
	return RETRY_ALLOWED;
}

static enum retry_refusal take_retry(struct dispatch *dispatch, bool sent)
{
	enum retry_refusal refusal = refuse_retry(dispatch, sent);

	if (refusal == RETRY_ALLOWED)
		return refusal;
	dispatch->with->proxy->counters.retries_refused[refusal]++;
	log_debug("no retry: %s", retry_refusal_word(refusal));
	return refusal;
}

void dispatch_record(struct dispatch *dispatch, enum outcome outcome, int64_t silent_us)
{
	struct try_record *try = dispatch->attempt->record;

	try->outcome = outcome;
	try->took_us = now_us(dispatch) - dispatch->attempt->began_us;
	if (outcome == OUTCOME_GOOD)
		return;
	struct backend_failure failure = {
	    .outcome = outcome,
	    .status = outcome == OUTCOME_STATUS ? try->status : 0,
	    .fault = try->fault,
	    .after_us = try->took_us,
	    .silent_us = silent_us,
	};
	backend_note_failure(try->backend, &failure);
	if (outcome_blame(outcome) == BLAME_HARD)
		verdict_hard(dispatch->with->proxy->ring, try, now_us(dispatch));
}

static void record(struct dispatch *dispatch, enum outcome outcome)
{
	dispatch_record(dispatch, outcome, attempt_silent_us(dispatch->attempt));
}

/* An answer that fell through before is better than none; false when there is none, or its content
 * turns out to be broken. */
static bool take_kept(struct dispatch *dispatch)
{
	struct attempt *kept = dispatch->other;

	if (!kept)
		return false;
	attempt_destroy(dispatch->attempt);
	dispatch->attempt = kept;
	dispatch->other = NULL;
	/* It is no longer known whether that backend got the whole request: do not use its
	 * connection again. */
	kept->was_kept = true;
	kept->upload = content_has_all(dispatch->with->up) ? UPLOAD_DONE : UPLOAD_BROKEN;
	return answer_prepare(dispatch->answer, kept);
}

/* Nothing is left to try. */
static enum dispatch_result give_up(struct dispatch *dispatch, enum ring_pick_result picked)
{
	dispatch->last_pick = picked;
	return take_kept(dispatch) ? DISPATCH_ANSWERED : DISPATCH_NO_ANSWER;
}

/* ---- waiting for a backend */

/* Is it worth waiting: are all that could be asked full, or is none up? If one is up, and was asked
 * already, its answer was final. */
static bool is_worth_waiting(const struct dispatch *dispatch, enum ring_pick_result picked)
{
	const struct ring *ring = dispatch->with->proxy->ring;

	return may_wait(dispatch) && ring_is_open(ring) &&
	       (picked == RING_ALL_FULL || ring_count_up(ring) == 0);
}

/* The wait begins, or goes on; false when too many wait already. */
static bool begin_wait(struct dispatch *dispatch)
{
	struct waiter *waiter = &dispatch->waiter;

	attempt_destroy(dispatch->attempt);
	dispatch->attempt = NULL;
	waiter->request = for_ring(dispatch);
	waiter->request.has_waited = true;
	waiter->on_over = dispatch->with->on_event;
	waiter->owner = dispatch->with->owner;
	return queue_join(
	    &dispatch->with->proxy->queue, waiter, dispatch->with->rules->queue.length);
}

static enum dispatch_result wait_or_give_up(struct dispatch *dispatch, enum ring_pick_result picked)
{
	if (is_worth_waiting(dispatch, picked) && begin_wait(dispatch))
		return DISPATCH_AGAIN;
	return give_up(dispatch, picked);
}

/* A retry because of the last try; counted once, whatever becomes of it. */
static void count_retry(struct dispatch *dispatch)
{
	if (dispatch->try_count <= dispatch->counted_tries)
		return;
	const struct try_record *failed = &dispatch->tries[dispatch->try_count - 1];
	dispatch->counted_tries = dispatch->try_count;
	dispatch->with->proxy->counters.retries[failed->outcome]++;
	failed->backend->counters.retries++;
}

/* ---- attempts, one after the other */

/* Begins an attempt at the backend of the next try, in place of the current one; false without
 * memory. */
static bool begin_attempt(struct dispatch *dispatch)
{
	struct try_record *try = &dispatch->tries[dispatch->try_count++];

	backend_hold(try->backend);
	try->outcome = OUTCOME_CLIENT;
	attempt_destroy(dispatch->attempt);
	dispatch->attempt = attempt_create(dispatch->with, try);
	if (!dispatch->attempt)
		try->outcome = OUTCOME_SHORTAGE;
	return dispatch->attempt != NULL;
}

/* Those that wait come first, unless it comes from among them. */
static bool is_behind_others(const struct dispatch *dispatch)
{
	const struct proxy *proxy = dispatch->with->proxy;

	return proxy->queue.count > 0 && !dispatch->is_let_in && may_wait(dispatch) &&
	       ring_is_open(proxy->ring);
}

/* Begins an attempt at the backend whose connection belongs to the client, or else at the next one;
 * or waits for one, or gives up. */
static enum dispatch_result pick(struct dispatch *dispatch)
{
	const struct ring_request request = for_ring(dispatch);
	struct backend *bound = binding_backend(dispatch->with->binding);
	enum ring_pick_result picked = RING_PICKED;

	if (bound)
		ring_pick_bound(&request, bound);
	else if (is_behind_others(dispatch))
		return begin_wait(dispatch) ? DISPATCH_AGAIN : give_up(dispatch, RING_ALL_FULL);
	else
		picked = ring_pick(dispatch->with->proxy->ring, &request);

	dispatch->is_let_in = false;
	if (picked != RING_PICKED)
		return wait_or_give_up(dispatch, picked);
	count_retry(dispatch);
	return begin_attempt(dispatch) ? DISPATCH_AGAIN : give_up(dispatch, RING_NOBODY);
}

/* Bytes of the request reached a backend, and no other one is left to take it: it may wait, and
 * takes the retry from the budget when a backend is found. */
static enum dispatch_result wait_for_retry(struct dispatch *dispatch)
{
	const struct ring_request request = for_ring(dispatch);

	dispatch->owes_retry = true;
	return wait_or_give_up(dispatch, ring_preview(dispatch->with->proxy->ring, &request));
}

/* The accept queue of the backend is full: it was not tried, and takes part again a moment
 * later. */
static enum dispatch_result pass_busy(struct dispatch *dispatch)
{
	struct try_record *try = dispatch->attempt->record;

	try->backend->busy_until_us = now_us(dispatch) + BUSY_US;
	attempt_destroy(dispatch->attempt);
	dispatch->attempt = NULL;
	verdict_pass_trial_on(dispatch->with->proxy->ring, try);
	backend_drop(try->backend);
	dispatch->try_count--;
	return pick(dispatch);
}

/* May the whole request be sent on another connection to the same backend? */
static bool may_begin_again(const struct dispatch *dispatch)
{
	return !dispatch->attempt->was_sent ||
	       (dispatch->with->may_repeat && content_can_repeat(dispatch->with->up));
}

/* The current attempt is over; the other one is still under way. */
static enum dispatch_result go_on_with_other(struct dispatch *dispatch)
{
	swap_attempts(dispatch);
	dispatch_drop_other(dispatch);
	let_it_move(dispatch);
	return DISPATCH_AGAIN;
}

/* The one place that decides about an attempt that ended without an answer: again, elsewhere, or no
 * more. */
static enum dispatch_result attempt_failed(struct dispatch *dispatch)
{
	struct attempt *attempt = dispatch->attempt;
	enum outcome outcome = attempt->outcome;

	if (outcome == OUTCOME_CLIENT) {
		attempt->record->outcome = OUTCOME_CLIENT;
		return DISPATCH_CLIENT_FAULT;
	}
	/* While there are two, the request is with the later one. An earlier one may have been a second
	 * one itself. */
	bool has_request = !dispatch_has_two(dispatch) || !attempt->is_superseded;
	if (outcome == OUTCOME_STALE && has_request && may_begin_again(dispatch)) {
		dispatch->with->proxy->counters.retries[OUTCOME_STALE]++;
		attempt_begin_again(attempt);
		return DISPATCH_AGAIN;
	}
	record(dispatch, outcome);
	if (dispatch_has_two(dispatch))
		return go_on_with_other(dispatch);
	if (outcome == OUTCOME_BUSY && may_wait(dispatch))
		return pass_busy(dispatch);
	enum retry_refusal refusal = take_retry(dispatch, attempt->was_sent);
	if (refusal == RETRY_ALLOWED)
		return pick(dispatch);
	if (refusal == RETRY_REFUSED_NOBODY)
		return wait_for_retry(dispatch);
	return give_up(dispatch, RING_NOBODY);
}

static enum dispatch_result fail_attempt(struct dispatch *dispatch, enum outcome outcome)
{
	attempt_fail(dispatch->attempt, outcome);
	return attempt_failed(dispatch);
}

/* A backend that closes an idle connection may send 408 first. On a fresh connection a 408 is the
 * answer to this request. RFC 9110, 15.5.9. */
static bool has_crossed(const struct dispatch *dispatch)
{
	const struct attempt *attempt = dispatch->attempt;

	return attempt->record->status == 408 && attempt->upload == UPLOAD_DONE &&
	       dispatch->with->may_repeat && content_can_repeat(dispatch->with->up) &&
	       attempt_is_first_of_reused(attempt);
}

/* It falls through: kept in case no other backend has a better one. An attempt that still waits for
 * a silent backend may be rescued once more. */
static void keep_answer(struct dispatch *dispatch)
{
	conn_want(&dispatch->attempt->link->conn, 0);
	if (dispatch_has_two(dispatch)) {
		swap_attempts(dispatch);
		let_it_move(dispatch);
		return;
	}
	dispatch_drop_other(dispatch);
	dispatch->other = dispatch->attempt;
	dispatch->attempt = NULL;
}

/* The answer is good: an attempt that is still under way goes on without the request. */
static void release_loser(struct dispatch *dispatch)
{
	struct attempt *loser = dispatch->other;

	if (!dispatch_has_two(dispatch))
		return;
	dispatch->other = NULL;
	if (loser->is_superseded) {
		loser->record->outcome = OUTCOME_SILENT;
	} else {
		loser->record->outcome = OUTCOME_LOST;
		loser->record->took_us = now_us(dispatch) - loser->began_us;
	}
	straggler_begin(loser);
}

/* After a failing answer: may the request go to another backend, now or after a wait? */
static bool may_go_on(struct dispatch *dispatch)
{
	const struct ring_request request = for_ring(dispatch);
	enum retry_refusal refusal = take_retry(dispatch, true);

	if (refusal == RETRY_REFUSED_NOBODY)
		dispatch->owes_retry =
		    is_worth_waiting(dispatch, ring_preview(dispatch->with->proxy->ring, &request));
	return refusal == RETRY_ALLOWED || dispatch->owes_retry;
}

static enum dispatch_result answer_came(struct dispatch *dispatch)
{
	struct attempt *attempt = dispatch->attempt;
	struct try_record *try = attempt->record;

	if (try->status == 101)
		return DISPATCH_SWITCHES;
	if (has_crossed(dispatch))
		return fail_attempt(dispatch, OUTCOME_STALE);
	try->backend->counters.answers[http_status_class(try->status)]++;
	bool is_good = !retry_is_status(&dispatch->with->rules->retry, try->status);
	if (!is_good && dispatch_has_two(dispatch)) {
		record(dispatch, OUTCOME_STATUS);
		keep_answer(dispatch);
		return DISPATCH_AGAIN;
	}
	if (!is_good && may_go_on(dispatch)) {
		record(dispatch, OUTCOME_STATUS);
		keep_answer(dispatch);
		return dispatch->owes_retry ? wait_for_retry(dispatch) : pick(dispatch);
	}
	if (!answer_prepare(dispatch->answer, attempt)) {
		try->fault = dispatch->answer->down.body.fault;
		return fail_attempt(dispatch, OUTCOME_BAD_RESPONSE);
	}
	record(dispatch, is_good ? OUTCOME_GOOD : OUTCOME_STATUS);
	/* The time that the client took to send says nothing about the backend. */
	if (is_good && attempt->upload != UPLOAD_RUNNING)
		backend_note_latency(try->backend, attempt->first_byte_us);
	release_loser(dispatch);
	return DISPATCH_ANSWERED;
}

/* ---- a backend that is silent */

/* Takes a token, and a retry from the budget; false when one of the two is missing. */
static bool take_rescue(struct dispatch *dispatch)
{
	struct proxy *proxy = dispatch->with->proxy;

	if (!silence_take_token(&proxy->env->silence, now_us(dispatch)))
		return false;
	if (budget_take_retry(&proxy->ring->budget, dispatch->with->rules->retry.budget_percent,
		now_us(dispatch)))
		return true;
	silence_return_token(&proxy->env->silence);
	return false;
}

/* The request is stuck: it also goes to a second backend, one that is expected to answer. An answer
 * that was kept gives way: no more than two are open. */
static enum dispatch_result rescue(struct dispatch *dispatch)
{
	struct proxy *proxy = dispatch->with->proxy;
	struct attempt *first = dispatch->attempt;
	const struct ring_request request = for_ring(dispatch);

	if (dispatch_has_two(dispatch) || has_no_try_left(dispatch)) {
		/* Those behind it are looked at instead, until one of the two is over. */
		first->pending.may_move = false;
		return DISPATCH_WAITS;
	}
	if (now_us(dispatch) >= dispatch->with->deadline_us)
		return DISPATCH_WAITS;
	if (!stragglers_have_room(proxy) ||
	    !ring_pick_second(proxy->ring, &request, first->pending.since_us) ||
	    !take_rescue(dispatch)) {
		dispatch->rescue_refused = true;
		return DISPATCH_WAITS;
	}
	dispatch_drop_other(dispatch);
	first->record->took_us = now_us(dispatch) - first->began_us;
	first->is_superseded = true;
	first->pending.may_move = false;
	dispatch->other = first;
	dispatch->attempt = NULL;
	dispatch->rescues++;
	proxy->moves++;
	if (begin_attempt(dispatch))
		dispatch->attempt->is_second = true;
	else
		swap_attempts(dispatch);
	return DISPATCH_AGAIN;
}

/* Nothing was sent, and another backend can take the request: it goes there, and the connect goes
 * on without it. */
static enum dispatch_result give_up_connect(struct dispatch *dispatch)
{
	struct attempt *attempt = dispatch->attempt;
	const struct ring_request request = for_ring(dispatch);

	if (now_us(dispatch) >= dispatch->with->deadline_us ||
	    (!dispatch_has_two(dispatch) &&
		(dispatch->try_count == VERDICT_MAX_TRIES ||
		    !ring_can_pick_well(dispatch->with->proxy->ring, &request))))
		return DISPATCH_WAITS;
	/* The next request may be the trial, or this one when it comes back. */
	verdict_pass_trial_on(dispatch->with->proxy->ring, attempt->record);
	attempt->record->outcome = OUTCOME_GIVEN_UP;
	attempt->record->took_us = now_us(dispatch) - attempt->began_us;
	dispatch->free_tries++;
	dispatch->with->proxy->moves++;
	dispatch->attempt = NULL;
	straggler_begin(attempt);
	if (!dispatch_has_two(dispatch))
		return pick(dispatch);
	swap_attempts(dispatch);
	let_it_move(dispatch);
	return DISPATCH_AGAIN;
}

/* While rondo waits for the client, none of its tries is a trial: neither the current one nor an
 * earlier one that proved nothing. */
static enum dispatch_result attempt_waits(struct dispatch *dispatch)
{
	struct attempt *attempt = dispatch->attempt;

	if (attempt_awaits_content(attempt))
		for (size_t i = 0; i < dispatch->try_count; i++)
			verdict_pass_trial_on(dispatch->with->proxy->ring, &dispatch->tries[i]);
	if (!attempt_is_overdue(attempt))
		return DISPATCH_WAITS;
	return attempt->pending.is_owed ? rescue(dispatch) : give_up_connect(dispatch);
}

/* Of two attempts the first that has something to report becomes the current one. */
static enum attempt_result run_attempts(struct dispatch *dispatch)
{
	if (dispatch_has_two(dispatch)) {
		enum attempt_result result = attempt_run(dispatch->other);

		if (result != ATTEMPT_WAITS) {
			swap_attempts(dispatch);
			return result;
		}
	}
	return attempt_run(dispatch->attempt);
}

/* After a wait, or as the first one. */
static enum dispatch_result next_attempt(struct dispatch *dispatch)
{
	const struct waiter *waiter = &dispatch->waiter;
	bool owes_retry = dispatch->owes_retry;

	dispatch->owes_retry = false;
	dispatch->is_let_in = waiter->ticket > 0 && waiter->result == QUEUE_SERVED;
	if (now_us(dispatch) >= dispatch->with->deadline_us ||
	    (owes_retry && take_retry(dispatch, true) != RETRY_ALLOWED))
		return give_up(dispatch, RING_NOBODY);
	return pick(dispatch);
}

/* ---- running and waiting */

enum dispatch_result dispatch_run(struct dispatch *dispatch)
{
	if (dispatch->waiter.is_waiting)
		return DISPATCH_WAITS;
	if (!dispatch->attempt)
		return next_attempt(dispatch);
	switch (run_attempts(dispatch)) {
	case ATTEMPT_INTERIM:
		return DISPATCH_INTERIM;
	case ATTEMPT_HAS_HEAD:
		return answer_came(dispatch);
	case ATTEMPT_HAS_FAILED:
		return attempt_failed(dispatch);
	case ATTEMPT_IS_CONNECTED: /* not while it has a request */
	case ATTEMPT_WAITS:
	case ATTEMPT_AGAIN:
		break;
	}
	return attempt_waits(dispatch);
}

/* While it waits for a backend, bytes that the client sends stay where they are. */
struct attempt_wants dispatch_wants(const struct dispatch *dispatch)
{
	return dispatch->waiter.is_waiting ? (struct attempt_wants){0, 0}
					   : attempt_wants(dispatch->attempt);
}

static int64_t wait_ends_us(const struct dispatch *dispatch)
{
	int64_t due_us = dispatch->waiter.first_us + dispatch->with->rules->queue.wait_us;

	return due_us < dispatch->with->deadline_us ? due_us : dispatch->with->deadline_us;
}

int64_t dispatch_due_us(const struct dispatch *dispatch)
{
	if (dispatch->waiter.is_waiting)
		return wait_ends_us(dispatch);
	int64_t due_us = attempt_due_us(dispatch->attempt);
	int64_t other_us =
	    dispatch_has_two(dispatch) ? attempt_due_us(dispatch->other) : TIMER_NEVER;

	return due_us < other_us ? due_us : other_us;
}

void dispatch_on_due(struct dispatch *dispatch)
{
	if (dispatch->waiter.is_waiting) {
		queue_leave(&dispatch->with->proxy->queue, &dispatch->waiter, QUEUE_TIMEOUT);
		return;
	}
	bool is_attempt = attempt_due_us(dispatch->attempt) <= now_us(dispatch);

	/* Both may be due, by retry.deadline or after a pause. */
	if (dispatch_has_two(dispatch) && attempt_due_us(dispatch->other) <= now_us(dispatch))
		attempt_on_due(dispatch->other);
	if (is_attempt)
		attempt_on_due(dispatch->attempt);
}

/* ---- the end */

void dispatch_settle(struct dispatch *dispatch)
{
	const struct attempt_request *with = dispatch->with;

	if (dispatch->is_settled)
		return;
	dispatch->is_settled = true;
	dispatch->was_repeatable = with->may_repeat && !with->stays &&
				   with->rules->retry.tries > 1 && content_can_repeat(with->up);
	struct verdict_case request = {
	    .tries = dispatch->tries,
	    .count = dispatch->try_count,
	    .is_repeatable = dispatch->was_repeatable,
	};
	verdict_settle(with->proxy->ring, &request, now_us(dispatch));
}

/* Counts what became of its second attempts. */
static void count_rescues(const struct dispatch *dispatch)
{
	struct proxy_counters *counters = &dispatch->with->proxy->counters;
	const struct attempt *last = dispatch->attempt;
	bool is_won = last && last->is_second && last->state == ATTEMPT_ANSWERED;

	counters->rescues[RESCUE_WON] += is_won;
	counters->rescues[RESCUE_LOST] += dispatch->rescues - is_won;
	counters->rescues[RESCUE_REFUSED] += dispatch->rescue_refused && dispatch->rescues == 0;
}

void dispatch_blame_client(struct dispatch *dispatch)
{
	const struct attempt *attempt = dispatch->attempt;

	if (attempt && attempt->link && !dispatch->is_settled)
		attempt->record->outcome = OUTCOME_CLIENT;
}

void dispatch_end(struct dispatch *dispatch)
{
	queue_leave(&dispatch->with->proxy->queue, &dispatch->waiter, QUEUE_LEFT);
	dispatch_settle(dispatch);
	count_rescues(dispatch);
}

void dispatch_disconnect(struct dispatch *dispatch)
{
	struct attempt *attempt = dispatch->attempt;

	if (attempt && attempt->link)
		attempt_fail(attempt, attempt->record->outcome);
	dispatch_drop_other(dispatch);
}

void dispatch_finish(struct dispatch *dispatch)
{
	attempt_destroy(dispatch->attempt);
	dispatch->attempt = NULL;
	dispatch_drop_other(dispatch);
	while (dispatch->try_count > 0)
		backend_drop(dispatch->tries[--dispatch->try_count].backend);
}
