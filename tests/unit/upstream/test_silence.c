/*
 * Silence: single events first; then whole situations in virtual time. There requests arrive at random, backends have
 * workers and a queue, one or all of them freeze and thaw, and ring and silence decide as they do at work. Each row bounds
 * what clients may notice of it, and what it may cost.
 */
#include "fleet.h"
#include "upstream/verdict.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_MS = 500 }; /* half of max_delay_response */

/* ---- single events */

struct bench {
	struct silence_common common;
	struct silence a, b;
	struct pending pending[8];
};

static void hear(struct bench *bench, struct silence *own, struct pending *pending, int64_t now_us)
{
	const struct silence_sign sign = {pending, MOST_MS * MS, true};

	silence_hears(&bench->common, own, &sign, now_us);
}

/* So many answers, each after a gap. */
static void know_gaps(struct bench *bench, unsigned count, int64_t gap_us, int64_t *now_us)
{
	struct silence other = {0};
	struct pending pending = {0};

	for (unsigned i = 0; i < count; i++) {
		silence_owes(&other, &pending, *now_us);
		*now_us += gap_us;
		hear(bench, &other, &pending, *now_us);
	}
}

static int64_t patience_us(struct bench *bench, int64_t now_us)
{
	return silence_patience_us(&bench->common, MOST_MS * MS, now_us);
}

static void quiet_begins_with_the_debt_or_with_the_last_answer(void **state)
{
	struct bench bench = {0};

	(void)state;
	silence_owes(&bench.a, &bench.pending[0], 10 * S);
	assert_int_equal(bench.a.quiet_us, 10 * S);
	silence_owes(&bench.a, &bench.pending[1], 11 * S);
	assert_int_equal(bench.a.quiet_us, 10 * S);
	hear(&bench, &bench.a, &bench.pending[1], 12 * S);
	assert_int_equal(bench.a.quiet_us, 12 * S);
	assert_int_equal(bench.a.owed_count, 1);
	silence_forget(&bench.a, &bench.pending[0]);
	silence_forget(&bench.a, &bench.pending[0]);
	assert_int_equal(bench.a.owed_count, 0);
	assert_false(silence_is_quiet(&bench.common, &bench.a, MOST_MS * MS, 99 * S));
	silence_owes(&bench.a, &bench.pending[0], 20 * S);
	assert_int_equal(bench.a.quiet_us, 20 * S);
}

static void a_client_that_leaves_clears_nothing(void **state)
{
	struct bench bench = {0};

	(void)state;
	silence_owes(&bench.a, &bench.pending[0], 10 * S);
	silence_owes(&bench.a, &bench.pending[1], 10 * S);
	silence_forget(&bench.a, &bench.pending[0]);
	assert_true(silence_is_quiet(&bench.common, &bench.a, MOST_MS * MS, 11 * S));
}

static void patience_follows_the_gaps(void **state)
{
	struct bench bench = {0};
	int64_t now_us = 10 * S;

	(void)state;
	know_gaps(&bench, 19, 1 * MS, &now_us);
	assert_int_equal(patience_us(&bench, now_us), MOST_MS * MS);
	know_gaps(&bench, 181, 1 * MS, &now_us);
	assert_int_equal(patience_us(&bench, now_us + S), 20 * MS);
	/* Two of 202: one in a hundred is longer than normal. */
	know_gaps(&bench, 2, 100 * MS, &now_us);
	assert_int_equal(patience_us(&bench, now_us + S), 20 * MS);
	know_gaps(&bench, 10, 100 * MS, &now_us);
	assert_in_range(patience_us(&bench, now_us + S), 200 * MS, 230 * MS);
	know_gaps(&bench, 10, 2 * S, &now_us);
	assert_int_equal(patience_us(&bench, now_us + S), MOST_MS * MS);
}

static void patience_is_worked_out_ten_times_a_second(void **state)
{
	struct bench bench = {0};
	int64_t now_us = 10 * S;

	(void)state;
	know_gaps(&bench, 100, 1 * MS, &now_us);
	assert_int_equal(patience_us(&bench, now_us), 20 * MS);
	know_gaps(&bench, 90, 50, &now_us);
	know_gaps(&bench, 3, 30 * MS, &now_us);
	assert_int_equal(patience_us(&bench, now_us), 20 * MS);
	assert_in_range(patience_us(&bench, now_us + 100 * MS), 60 * MS, 70 * MS);
}

static void gaps_of_long_ago_are_forgotten(void **state)
{
	struct bench bench = {0};
	int64_t now_us = 10 * S;

	(void)state;
	know_gaps(&bench, 1000, 100 * MS, &now_us);
	know_gaps(&bench, 990, 1 * MS, &now_us);
	assert_in_range(patience_us(&bench, now_us + S), 200 * MS, 230 * MS);
	now_us += 31 * S;
	know_gaps(&bench, 1000, 1 * MS, &now_us);
	now_us += 31 * S;
	know_gaps(&bench, 1, 1 * MS, &now_us);
	assert_int_equal(patience_us(&bench, now_us + S), 20 * MS);
}

static void patience_may_be_fixed_or_off(void **state)
{
	struct bench bench = {.common.options.after_us = 5 * MS};

	(void)state;
	silence_owes(&bench.a, &bench.pending[0], 10 * S);
	assert_false(silence_is_quiet(&bench.common, &bench.a, MOST_MS * MS, 10 * S + 5 * MS));
	assert_true(silence_is_quiet(&bench.common, &bench.a, MOST_MS * MS, 10 * S + 6 * MS));
	bench.common.options.after_us = SILENCE_OFF;
	assert_false(silence_is_quiet(&bench.common, &bench.a, MOST_MS * MS, 99 * S));
	hear(&bench, &bench.a, &bench.pending[0], 99 * S);
	assert_int_equal(bench.a.woke_us, 0);
}

static void who_has_just_woken_is_no_witness(void **state)
{
	struct bench bench = {.common.options.after_us = 20 * MS};

	(void)state;
	silence_owes(&bench.a, &bench.pending[0], 10 * S);
	silence_owes(&bench.b, &bench.pending[1], 10 * S);
	hear(&bench, &bench.a, &bench.pending[0], 11 * S);
	assert_true(silence_has_just_woken(&bench.common, &bench.a, MOST_MS * MS, 11 * S));
	assert_false(silence_is_noted_by_others(&bench.common, &bench.b));
	silence_owes(&bench.a, &bench.pending[0], 11 * S);
	hear(&bench, &bench.a, &bench.pending[0], 11 * S + 20 * MS);
	assert_false(silence_is_noted_by_others(&bench.common, &bench.b));
	silence_owes(&bench.a, &bench.pending[0], 11 * S + 20 * MS);
	hear(&bench, &bench.a, &bench.pending[0], 11 * S + 21 * MS);
	assert_true(silence_is_noted_by_others(&bench.common, &bench.b));
}

static void a_look_comes_four_times_a_second_or_every_ten_patiences(void **state)
{
	struct bench bench = {.common.options = {20 * MS, 5}};
	struct silence *a = &bench.a;

	(void)state;
	silence_owes(a, &bench.pending[0], 10 * S);
	assert_false(silence_allows_look(&bench.common, a, MOST_MS * MS, 10 * S + 269 * MS));
	assert_true(silence_allows_look(&bench.common, a, MOST_MS * MS, 10 * S + 270 * MS));
	a->looked_us = 11 * S;
	assert_false(silence_allows_look(&bench.common, a, MOST_MS * MS, 11 * S + 249 * MS));
	assert_true(silence_allows_look(&bench.common, a, MOST_MS * MS, 11 * S + 250 * MS));
	bench.common.options.after_us = 100 * MS;
	assert_false(silence_allows_look(&bench.common, a, MOST_MS * MS, 11 * S + 999 * MS));
	assert_true(silence_allows_look(&bench.common, a, MOST_MS * MS, 12 * S));
	bench.common.options.rescue_percent = 0;
	assert_false(silence_allows_look(&bench.common, a, MOST_MS * MS, 99 * S));
}

static void tokens_are_ten_and_a_share_of_the_requests_of_a_second(void **state)
{
	struct silence_common common = {.options.rescue_percent = 5};
	unsigned taken = 0;

	(void)state;
	while (silence_take_token(&common, 10 * S))
		taken++;
	assert_int_equal(taken, 10);
	/* Twenty requests bring one back, and with them two in the second may be spent. */
	for (int i = 0; i < 40; i++)
		silence_request(&common, 10 * S);
	for (taken = 0; silence_take_token(&common, 10 * S); taken++)
		continue;
	assert_int_equal(taken, 4);
	silence_return_token(&common);
	assert_true(silence_take_token(&common, 10 * S));
	assert_false(silence_take_token(&common, 10 * S));
	common.options.rescue_percent = 0;
	assert_false(silence_take_token(&common, 99 * S));
}

/* ---- whole situations */

enum { EVENTS_MAX = 1 << 16, QUEUE_MAX = 1 << 14, BACKENDS = 3, TRIES = 3, LIMIT_MS = 1000 };

struct situation {
	const char *name;
	unsigned per_second, seconds;
	unsigned workers;
	double service_ms, slow_share, slow_ms;
	unsigned frozen; /* bit i: backend i */
	int64_t freeze_us, thaw_us;
	/* At most so many answers later than 60 ms, the slowest so late, so many extra requests in a
	 * hundred; -1: not looked at. */
	double over_60, worst_ms, extra;
};

struct request {
	int64_t began_us;
	struct try_record tries[TRIES];
	struct attempt {
		struct pending pending;
		struct request *request;
		size_t backend;
		bool is_over, is_superseded;
	} attempts[TRIES];
	size_t count, open;
	bool has_answer;
};

enum kind { ARRIVAL, SERVED, LATE, LOOK, FREEZE, THAW };

struct event {
	int64_t at_us;
	uint64_t number; /* equals in order */
	enum kind kind;
	struct attempt *attempt;
};

struct server {
	bool is_frozen;
	unsigned busy;
	struct attempt *queue[QUEUE_MAX]; /* waiting for a worker */
	size_t first, last;
	struct attempt *done[QUEUE_MAX]; /* served while it was frozen */
	size_t done_count;
};

struct run {
	const struct situation *situation;
	struct fleet fleet;
	struct server servers[BACKENDS];
	struct event heap[EVENTS_MAX];
	size_t events;
	uint64_t numbers;
	unsigned random;
	int64_t now_us, began_us;
	struct request *requests;
	size_t request_count, answered, sent, over_60, rescues, turns_off;
	int64_t worst_us;
	size_t last_backend;
};

static double draw(struct run *run)
{
	return (fleet_random(&run->random, 1U << 20) + 0.5) / (double)(1U << 20);
}

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->number < b->number);
}

static void at(struct run *run, int64_t at_us, enum kind kind, struct attempt *attempt)
{
	size_t i = run->events++;

	assert_true(i < EVENTS_MAX);
	const struct event event = {at_us, run->numbers++, kind, attempt};
	for (; i > 0 && is_before(&event, &run->heap[(i - 1) / 2]); i = (i - 1) / 2)
		run->heap[i] = run->heap[(i - 1) / 2];
	run->heap[i] = event;
}

static struct event take_event(struct run *run)
{
	struct event first = run->heap[0];
	const struct event last = run->heap[--run->events];
	size_t i = 0, child;

	for (; (child = 2 * i + 1) < run->events; i = child) {
		if (child + 1 < run->events && is_before(&run->heap[child + 1], &run->heap[child]))
			child++;
		if (!is_before(&run->heap[child], &last))
			break;
		run->heap[i] = run->heap[child];
	}
	run->heap[i] = last;
	return first;
}

/* About normal, by the sum of twelve. */
static double draw_normal(struct run *run)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += draw(run);
	return sum;
}

static int64_t draw_service_us(struct run *run)
{
	const struct situation *situation = run->situation;

	if (draw(run) < situation->slow_share)
		return (int64_t)(situation->slow_ms * (0.8 + 0.4 * draw(run)) * 1000);
	return (int64_t)(situation->service_ms * exp(0.4 * draw_normal(run)) * 1000) + 1;
}

static struct try_record *try_of(struct attempt *attempt)
{
	return &attempt->request->tries[attempt - attempt->request->attempts];
}

/* rondo's own connects work: a frozen process does not accept, but its kernel does. */
static void probe_all(struct run *run)
{
	for (size_t i = 0; i < BACKENDS; i++) {
		const struct try_record good = {.backend = run->fleet.backends[i]};

		if (good.backend->state == BACKEND_DOWN && good.backend->until_us <= run->now_us)
			verdict_probed(&run->fleet.ring, &good, run->now_us);
	}
}

static void serve(struct run *run, struct attempt *attempt)
{
	struct server *server = &run->servers[attempt->backend];

	if (!server->is_frozen && server->busy < run->situation->workers) {
		server->busy++;
		at(run, run->now_us + draw_service_us(run), SERVED, attempt);
		return;
	}
	assert_true(server->last - server->first < QUEUE_MAX);
	server->queue[server->last++ % QUEUE_MAX] = attempt;
}

static struct silence_common *common_of(struct run *run)
{
	return &run->fleet.env.silence;
}

static void begin(struct run *run, struct request *request)
{
	struct attempt *attempt = &request->attempts[request->count];
	struct backend *backend = request->tries[request->count++].backend;

	*attempt =
	    (struct attempt){.request = request, .backend = (size_t)(backend->name[0] - 'a')};
	silence_owes(&backend->silence, &attempt->pending, run->now_us);
	request->open++;
	run->sent++;
	at(run, run->now_us + LIMIT_MS * MS, LATE, attempt);
	at(run, run->now_us + 20 * MS, LOOK, attempt);
	serve(run, attempt);
}

static struct ring_request for_ring(const struct run *run, struct request *request)
{
	return (struct ring_request){.tries = request->tries,
	    .count = request->count,
	    .may_move = true,
	    .now_us = run->now_us,
	    .seen_us = run->now_us};
}

static void pick(struct run *run, struct request *request)
{
	const struct ring_request for_it = for_ring(run, request);

	if (request->count < TRIES && ring_pick(&run->fleet.ring, &for_it) == RING_PICKED)
		begin(run, request);
}

static void arrive(struct run *run)
{
	const struct situation *situation = run->situation;
	struct request *request = &run->requests[run->request_count++];

	request->began_us = run->now_us;
	probe_all(run);
	silence_request(common_of(run), run->now_us);
	pick(run, request);
	run->turns_off += request->attempts[0].backend != (run->last_backend + 1) % BACKENDS;
	run->last_backend = request->attempts[0].backend;
	if (run->now_us < run->began_us + situation->seconds * S)
		at(run, run->now_us + (int64_t)(-log(draw(run)) / situation->per_second * 1e6) + 1,
		    ARRIVAL, NULL);
}

static void answer(struct run *run, struct request *request)
{
	int64_t took_us = run->now_us - request->began_us;

	if (request->has_answer)
		return;
	request->has_answer = true;
	run->answered++;
	run->over_60 += took_us > 60 * MS;
	if (took_us > run->worst_us)
		run->worst_us = took_us;
}

static struct backend *backend_of(struct run *run, const struct attempt *attempt)
{
	return run->fleet.backends[attempt->backend];
}

/* The answer left the backend. */
static void served(struct run *run, struct attempt *attempt)
{
	struct server *server = &run->servers[attempt->backend];
	struct backend *backend = backend_of(run, attempt);
	const struct silence_sign sign = {
	    &attempt->pending, LIMIT_MS / 2 * MS, !attempt->is_superseded};

	if (server->is_frozen) {
		server->done[server->done_count++] = attempt;
		return;
	}
	server->busy--;
	if (server->first < server->last)
		serve(run, server->queue[server->first++ % QUEUE_MAX]);
	if (attempt->is_over)
		return;
	attempt->is_over = true;
	attempt->request->open--;
	silence_hears(common_of(run), &backend->silence, &sign, run->now_us);
	backend->silent_us = 0;
	try_of(attempt)->outcome = OUTCOME_GOOD;
	verdict_straggler(&run->fleet.ring, try_of(attempt), run->now_us);
	answer(run, attempt->request);
}

static void late(struct run *run, struct attempt *attempt)
{
	if (attempt->is_over)
		return;
	attempt->is_over = true;
	try_of(attempt)->outcome = OUTCOME_LATE;
	if (attempt->request->has_answer)
		verdict_straggler(&run->fleet.ring, try_of(attempt), run->now_us);
	silence_forget(&backend_of(run, attempt)->silence, &attempt->pending);
	if (--attempt->request->open == 0 && !attempt->request->has_answer)
		pick(run, attempt->request);
}

/* Is it stuck on a quiet backend? */
static void look(struct run *run, struct attempt *attempt)
{
	struct request *request = attempt->request;
	struct backend *backend = backend_of(run, attempt);
	const struct ring_request for_it = for_ring(run, request);
	int64_t from_us = backend->silence.quiet_us;
	int64_t patience_us = silence_patience_us(common_of(run), LIMIT_MS / 2 * MS, run->now_us);

	if (attempt->is_over || request->has_answer || request->open == 2 ||
	    request->count == TRIES)
		return;
	if (attempt->pending.since_us > from_us)
		from_us = attempt->pending.since_us;
	if (run->now_us - from_us <= patience_us) {
		at(run, from_us + patience_us + 1, LOOK, attempt);
	} else if (ring_pick_second(&run->fleet.ring, &for_it, attempt->pending.since_us) &&
		   silence_take_token(common_of(run), run->now_us)) {
		attempt->is_superseded = true;
		verdict_pass_trial_on(&run->fleet.ring, try_of(attempt));
		run->rescues++;
		begin(run, request);
	} else {
		at(run, run->now_us + 5 * MS, LOOK, attempt);
	}
}

static void freeze(struct run *run, bool is_frozen)
{
	for (size_t i = 0; i < BACKENDS; i++) {
		struct server *server = &run->servers[i];
		size_t done = server->done_count;

		if (!(run->situation->frozen & (1U << i)))
			continue;
		server->is_frozen = is_frozen;
		server->done_count = 0;
		for (size_t j = 0; j < done; j++)
			at(run, run->now_us + 10, SERVED, server->done[j]);
		while (!is_frozen && server->first < server->last &&
		       server->busy < run->situation->workers)
			serve(run, server->queue[server->first++ % QUEUE_MAX]);
	}
}

static void happen(struct run *run, const struct event *event)
{
	run->now_us = event->at_us;
	switch (event->kind) {
	case ARRIVAL:
		arrive(run);
		break;
	case SERVED:
		served(run, event->attempt);
		break;
	case LATE:
		late(run, event->attempt);
		break;
	case LOOK:
		look(run, event->attempt);
		break;
	case FREEZE:
	case THAW:
		freeze(run, event->kind == FREEZE);
		break;
	}
}

static void check_run(const struct run *run)
{
	const struct situation *situation = run->situation;
	double extra =
	    100.0 * (double)(run->sent - run->request_count) / (double)run->request_count;

	print_message(
	    "%-50s %6zu requests, worst %7.1f ms, %3zu over 60 ms, %.2f %% extra, %zu rescues, "
	    "%zu out of turn\n",
	    situation->name, run->request_count, (double)run->worst_us / 1000, run->over_60, extra,
	    run->rescues, run->turns_off);
	assert_int_equal(run->answered, run->request_count);
	if (situation->over_60 >= 0)
		assert_true((double)run->over_60 <= situation->over_60);
	if (situation->worst_ms >= 0)
		assert_true((double)run->worst_us / 1000 <= situation->worst_ms);
	if (situation->extra >= 0)
		assert_true(extra <= situation->extra);
	if (situation->frozen == 0 && situation->extra == 0)
		assert_true(run->turns_off <= 1); /* the first one */
}

static void run_through(const struct situation *situation)
{
	static struct run run;
	size_t most = (size_t)situation->per_second * situation->seconds * 2 + 1000;

	run = (struct run){.situation = situation, .random = 1, .began_us = 1000 * S};
	run.now_us = run.began_us;
	run.requests = calloc(most, sizeof(struct request));
	assert_non_null(run.requests);
	fleet_init(&run.fleet, BACKENDS, NULL);
	for (size_t i = 0; i < BACKENDS; i++)
		run.fleet.backends[i]->options.max_delay_response_us = LIMIT_MS * MS;
	run.fleet.env.silence.options = (struct silence_options){SILENCE_AUTO, 5};
	run.last_backend = BACKENDS - 1;
	at(&run, run.now_us, ARRIVAL, NULL);
	if (situation->frozen) {
		at(&run, run.began_us + situation->freeze_us, FREEZE, NULL);
		at(&run, run.began_us + situation->thaw_us, THAW, NULL);
	}
	while (run.events > 0) {
		const struct event event = take_event(&run);

		happen(&run, &event);
		assert_true(run.request_count < most);
	}
	check_run(&run);
	for (size_t i = 0; i < BACKENDS; i++)
		assert_int_equal(run.fleet.backends[i]->silence.owed_count, 0);
	fleet_finish(&run.fleet);
	free(run.requests);
}

static void situations_cost_clients_little_and_backends_less(void **state)
{
	static const struct situation rows[] = {
	    {"one freezes, 400/s", 400, 20, 16, .8, 0, 0, 2, 5 * S, 12 * S, 0, 60, 1},
	    {"one freezes, 2000/s", 2000, 20, 16, .8, 0, 0, 2, 5 * S, 12 * S, 0, 60, 1},
	    {"one freezes, 2/s", 2, 300, 16, .8, 0, 0, 2, 50 * S, 200 * S, 0, 60, 3},
	    {"two freeze, 2000/s", 2000, 20, 16, .8, 0, 0, 3, 5 * S, 12 * S, 0, 60, 1},
	    {"all freeze for 0.9 s, 2000/s", 2000, 20, 16, .8, 0, 0, 7, 5 * S, 5900 * MS, -1, -1,
		.2},
	    {"one pauses for 120 ms, 400/s", 400, 20, 16, .8, 0, 0, 1, 5 * S, 5120 * MS, 0, 60, 1},
	    {"3 % take 300 ms, all well, 400/s", 400, 20, 64, .8, .03, 300, 0, 0, 0, -1, -1, .5},
	    {"all well, 400/s", 400, 20, 16, .8, 0, 0, 0, 0, 0, 0, 60, 0},
	    {"all well, 2000/s", 2000, 20, 16, .8, 0, 0, 0, 0, 0, 0, 60, 0},
	    {"110 % of what they can do", 3300, 4, 1, 1, 0, 0, 0, 0, 0, -1, -1, .1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		run_through(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(quiet_begins_with_the_debt_or_with_the_last_answer),
	    cmocka_unit_test(a_client_that_leaves_clears_nothing),
	    cmocka_unit_test(patience_follows_the_gaps),
	    cmocka_unit_test(patience_is_worked_out_ten_times_a_second),
	    cmocka_unit_test(gaps_of_long_ago_are_forgotten),
	    cmocka_unit_test(patience_may_be_fixed_or_off),
	    cmocka_unit_test(who_has_just_woken_is_no_witness),
	    cmocka_unit_test(a_look_comes_four_times_a_second_or_every_ten_patiences),
	    cmocka_unit_test(tokens_are_ten_and_a_share_of_the_requests_of_a_second),
	    cmocka_unit_test(situations_cost_clients_little_and_backends_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
