#include "fleet.h"
#include "upstream/verdict.h"

static const int64_t NOW = 100000000;

static enum outcome outcome_from(const char *word, size_t len)
{
	for (int i = 0; i < OUTCOMES; i++) {
		const char *candidate = outcome_word((enum outcome)i);

		if (strlen(candidate) == len && memcmp(candidate, word, len) == 0)
			return (enum outcome)i;
	}
	fail_msg("no outcome: %s", word);
	return OUTCOMES;
}

/* "a=timeout b=good": one request and its tries; hard ones are told when they happen. */
struct request {
	struct fleet *fleet;
	struct try_record tries[VERDICT_MAX_TRIES];
	size_t count;
	uint64_t id;
	int64_t now_us;
};

static void request_read(struct request *request, const char *script)
{
	for (const char *at = script; *at;) {
		size_t len = strcspn(at, " ");
		struct backend *backend = request->fleet->backends[at[0] - 'a'];

		assert_int_equal(at[1], '=');
		request->tries[request->count++] = (struct try_record){
		    .backend = backend,
		    .outcome = outcome_from(at + 2, len - 2),
		    .status = 500,
		    .standing = backend_standing(backend),
		    .epoch = backend->epoch,
		};
		/* As the ring does. */
		if (backend->state == BACKEND_TRIAL)
			backend->on_trial = true;
		at += len + (at[len] == ' ');
	}
}

static void request_judge(const struct request *request)
{
	const struct verdict_case judged = {
	    .tries = request->tries,
	    .count = request->count,
	    .request_id = request->id,
	};

	for (size_t i = 0; i < request->count; i++)
		verdict_hard(&request->fleet->ring, &request->tries[i], request->now_us);
	verdict_settle(&request->fleet->ring, &judged, request->now_us);
}

/* A request whose answer, if it gets one, comes whole. */
static void ask(struct fleet *fleet, uint64_t id, const char *script, int64_t now_us)
{
	struct request request = {.fleet = fleet, .id = id, .now_us = now_us};

	request_read(&request, script);
	request_judge(&request);
	for (size_t i = 0; i < request.count; i++)
		if (request.tries[i].outcome == OUTCOME_GOOD)
			verdict_completed(request.tries[i].backend);
}

static void expect_states(const struct fleet *fleet, const char *expected, const char *why)
{
	char states[FLEET_LIMIT * 2];

	if (strcmp(fleet_describe(fleet, states), expected) != 0)
		fail_msg("%s: %s, expected %s", why, states, expected);
}

/* ---- what one request does */

struct judgement {
	const char *before;
	const char *tries;
	const char *after;
};

static void expect_judgements(const struct judgement *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct fleet fleet;
		struct request request = {.fleet = &fleet, .id = 1, .now_us = NOW};

		fleet_init(&fleet, 3, NULL);
		fleet_arrange(&fleet, cases[i].before, NULL);
		request_read(&request, cases[i].tries);
		request_judge(&request);
		expect_states(&fleet, cases[i].after, cases[i].tries);
		fleet_finish(&fleet);
	}
}

static void one_request_is_judged(void **state)
{
	static const struct judgement cases[] = {
	    /* hard: at once, whatever comes after, even the last */
	    {"U U U", "a=refused b=good", "H U U"},
	    {"U U U", "a=unreachable b=good", "H U U"},
	    {"U U U", "a=connect_timeout b=good", "H U U"},
	    {"U U U", "a=refused b=status", "H U U"},
	    {"U U U", "a=refused b=refused c=refused", "H H H"},
	    {"U H H", "a=refused", "H H H"},
	    /* soft, and another could do it: all who failed */
	    {"U U U", "a=timeout b=good", "S U U"},
	    {"U U U", "a=stalled b=good", "S U U"},
	    {"U U U", "a=reset b=good", "S U U"},
	    {"U U U", "a=bad_response b=good", "S U U"},
	    {"U U U", "a=status b=good", "S U U"},
	    {"U U U", "a=status b=timeout c=good", "S S U"},
	    {"U U U", "a=refused b=timeout c=good", "H S U"},
	    /* soft, and nobody could: the request is to blame */
	    {"U U U", "a=status b=status c=status", "U U U"},
	    {"U U U", "a=timeout b=reset c=bad_response", "U U U"},
	    {"U U U", "a=status b=refused c=status", "U H U"},
	    {"U U U", "a=timeout b=deadline", "U U U"},
	    {"U U U", "a=timeout b=client", "U U U"},
	    {"U U U", "a=timeout b=shortage", "U U U"},
	    /* nothing at all */
	    {"U U U", "a=good", "U U U"},
	    {"U U U", "a=stale a=good", "U U U"},
	    {"U U U", "a=stale b=good", "U U U"},
	    {"U U U", "a=reset a=good", "U U U"}, /* it could do it itself */
	    {"U U U", "a=client", "U U U"},
	    {"U U U", "a=impatient b=good", "U U U"},
	    {"U U U", "a=shortage b=good", "U U U"},
	    {"U U U", "a=deadline", "U U U"},
	    /* soft marks leave the last one that is up */
	    {"U H H", "a=status b=good", "S U H"}, /* b came back */
	    {"U S D", "a=timeout", "U S U"},
	    /* on trial */
	    {"T U U", "a=good", "U U U"},
	    {"T U U", "a=refused b=good", "H U U"},
	    {"T U U", "a=status b=good", "S U U"},
	    {"T H H", "a=status b=refused", "S H H"}, /* who refuses is nobody to compare with */
	    {"T U U", "a=status b=status", "T U U"},  /* nobody could: it proved nothing */
	    {"T U U", "a=timeout b=client", "T U U"},
	    {"T U U", "a=client", "T U U"},
	    {"T U U", "a=shortage b=good", "T U U"},
	    {"T U U", "a=deadline", "T U U"},
	    {"T U U", "a=impatient b=good", "T U U"},
	    {"T U U", "a=stale a=good", "U U U"},
	    {"T U U", "a=stale b=good", "T U U"},
	    {"T U U", "a=cut_off", "S U U"},
	    /* the trial is another request: this one may decide it too, and does not end it */
	    {"t H H", "a=good", "U H H"},
	    {"t H H", "a=refused", "H H H"},
	    {"t H H", "a=status b=good", "S U H"},
	    {"t S H", "a=status", "S S H"},
	    {"t S H", "a=status b=status", "t S H"},
	    {"t H H", "a=client", "t H H"},
	    {"t H H", "a=shortage", "t H H"},
	    {"t H H", "a=stale b=good", "t U H"},
	    /* down, and asked because nobody is up */
	    {"S S H", "a=good", "U S H"},
	    {"H H H", "a=good", "U H H"},
	    {"S S H", "a=status b=good", "S U H"},
	    {"S S H", "a=refused b=refused", "S S H"},
	    {"H H H", "a=timeout", "H H H"},
	};

	(void)state;
	expect_judgements(cases, COUNT(cases));
}

static void a_request_that_cannot_be_tried_elsewhere_is_no_proof(void **state)
{
	static const struct judgement cases[] = {
	    {"U U U", "a=status", "U U U"},
	    {"U U U", "a=refused", "H U U"},
	    {"T U U", "a=status", "S U U"}, /* but a trial is a trial */
	    {"T H H", "a=timeout", "S H H"},
	    {"T U U", "a=client", "T U U"},
	    {"S H H", "a=status", "S H H"},
	};

	(void)state;
	expect_judgements(cases, COUNT(cases));
}

static void the_last_one_up_is_never_taken_out_by_soft_marks(void **state)
{
	static const struct judgement cases[] = {
	    {"U H H", "a=timeout b=timeout", "U H H"},
	    {"U T H", "a=status b=good", "S U H"}, /* b is up now */
	    {"U H D", "a=status c=good", "U H U"}, /* c is up, but draining */
	    {"U U H", "a=status b=status c=good", "S S U"},
	};

	(void)state;
	expect_judgements(cases, COUNT(cases));
}

/* Three requests that no second backend answers, for whatever reason, until a is down, or not. */
static void a_request_that_was_elsewhere_too_is_no_suspicion(void **state)
{
	static const struct {
		const char *request;
		const char *after;
	} cases[] = {
	    {"a=timeout b=status", "U U"},
	    /* the client, or the request's time, was gone before the second one was through */
	    {"a=timeout b=client", "U U"},
	    {"a=timeout b=deadline", "U U"},
	    /* who did not get the request compares with nobody */
	    {"a=timeout b=shortage", "S U"},
	    {"a=timeout b=stale", "S U"},
	    {"a=timeout", "S U"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;

		fleet_init(&fleet, 2, NULL);
		for (uint64_t id = 1; id <= 3; id++)
			ask(&fleet, id, cases[i].request, NOW);
		expect_states(&fleet, cases[i].after, cases[i].request);
		fleet_finish(&fleet);
	}
}

/* An answer to a request from before it went down says nothing about now. */
static void only_the_trial_ends_the_trial(void **state)
{
	static const char *const words[] = {"good", "status", "timeout", "client", "stale"};

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		struct fleet fleet;
		struct request late = {.fleet = &fleet, .id = 7, .now_us = NOW};
		char script[32];

		fleet_init(&fleet, 2, NULL);
		snprintf(script, sizeof(script), "a=%s", words[i]);
		request_read(&late, script); /* while it is up */
		ask(&fleet, 8, "a=status b=good", NOW);
		request_judge(&late);
		expect_states(&fleet, "S U", script);
		fleet_set(&fleet, 0, BACKEND_TRIAL, OUTCOME_GOOD, NOW);
		fleet.backends[0]->on_trial = true;
		request_judge(&late);
		expect_states(&fleet, "t U", script);
		fleet_finish(&fleet);
	}
}

/* ---- suspicions */

static void three_suspicions_in_a_row_mark(void **state)
{
	/* What is asked, one request each, until a is down. */
	static const struct {
		const char *requests[8];
		const char *after;
	} cases[] = {
	    {{"a=status", "a=status"}, "U U"},
	    {{"a=status", "a=timeout", "a=reset"}, "S U"},
	    {{"a=status", "a=status", "a=good", "a=status", "a=status"}, "U U"},
	    {{"a=status", "b=good", "a=status", "b=good", "a=status"}, "S U"},
	    {{"a=status", "b=status", "a=status", "b=status", "b=status"}, "U S"},
	    /* what means nothing neither counts nor clears */
	    {{"a=status", "a=client", "a=status", "a=stale", "a=status"}, "S U"},
	    /* nor does poison */
	    {{"a=status", "a=status", "a=status b=status"}, "U U"},
	    {{"a=cut_off", "a=cut_off", "a=cut_off"}, "S U"},
	    /* a good answer elsewhere convicts at once */
	    {{"a=status b=good"}, "S U"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;

		fleet_init(&fleet, 2, NULL);
		for (size_t j = 0; j < COUNT(cases[i].requests) && cases[i].requests[j]; j++)
			ask(&fleet, 100 + j, cases[i].requests[j], NOW);
		expect_states(&fleet, cases[i].after, cases[i].requests[0]);
		fleet_finish(&fleet);
	}
}

static void one_request_is_suspected_once(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	for (int i = 0; i < 5; i++)
		ask(&fleet, 42, "a=status", NOW);
	assert_int_equal(fleet.backends[0]->suspicions, 1);
	expect_states(&fleet, "U U", "the same request");
	fleet_finish(&fleet);
}

/* The head of an answer is no success yet: those of others may come between it and its end. */
static void an_answer_that_is_cut_off_was_no_success(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	for (uint64_t id = 1; id <= 3; id++) {
		struct request begun = {.fleet = &fleet, .id = id + 1, .now_us = NOW};

		expect_states(&fleet, "U U", "cut off");
		request_read(&begun, "a=good");
		request_judge(&begun);
		ask(&fleet, id, "a=cut_off", NOW);
	}
	expect_states(&fleet, "S U", "cut off");
	fleet_finish(&fleet);

	/* A whole answer between them is one. */
	fleet_init(&fleet, 2, NULL);
	for (uint64_t id = 1; id <= 8; id += 2) {
		ask(&fleet, id, "a=cut_off", NOW);
		ask(&fleet, id + 1, "a=good", NOW);
	}
	expect_states(&fleet, "U U", "cut off now and then");
	fleet_finish(&fleet);
}

static void the_last_one_stays_suspected(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	fleet_switch(&fleet, 1, false);
	for (uint64_t id = 1; id <= 10; id++)
		ask(&fleet, id, "a=status", NOW);
	expect_states(&fleet, "U H", "the last one");
	fleet_switch(&fleet, 1, true);
	ask(&fleet, 11, "a=status", NOW);
	expect_states(&fleet, "S U", "no longer the last one");
	fleet_finish(&fleet);
}

/* ---- windows */

static void expect_window(const struct backend *backend, int64_t window_us, int64_t now_us)
{
	assert_int_equal(backend->state, BACKEND_DOWN);
	assert_int_equal(backend->window_us, window_us);
	assert_int_equal(backend->until_us, now_us + window_us);
	assert_int_equal(backend->since_us <= now_us, true);
}

static void probe(struct fleet *fleet, enum outcome outcome, int64_t now_us)
{
	const struct try_record result = {
	    .backend = fleet->backends[0],
	    .outcome = outcome,
	    .status = outcome == OUTCOME_STATUS ? 503 : 0,
	};

	verdict_probed(&fleet->ring, &result, now_us);
}

static void the_window_doubles_up_to_a_maximum(void **state)
{
	static const int64_t windows_s[] = {10, 20, 40, 60, 60};
	static const char *const failures[] = {"a=refused b=good", "a=status b=good", "a=status"};

	(void)state;
	for (size_t i = 0; i < COUNT(failures); i++) {
		struct fleet fleet;
		int64_t now_us = NOW;

		fleet_init(&fleet, 3, NULL);
		ask(&fleet, 1, "a=timeout b=good", now_us);
		for (size_t j = 0; j < COUNT(windows_s); j++) {
			expect_window(fleet.backends[0], windows_s[j] * S, now_us);
			now_us += windows_s[j] * S;
			probe(&fleet, OUTCOME_GOOD, now_us);
			assert_int_equal(fleet.backends[0]->state, BACKEND_TRIAL);
			ask(&fleet, j + 2, failures[i], now_us);
		}
		/* A success, and it begins anew. */
		probe(&fleet, OUTCOME_GOOD, now_us);
		ask(&fleet, 50, "a=good", now_us);
		assert_int_equal(fleet.backends[0]->state, BACKEND_UP);
		ask(&fleet, 51, "a=status b=good", now_us);
		expect_window(fleet.backends[0], 10 * S, now_us);
		fleet_finish(&fleet);
	}
}

static void a_failed_probe_doubles_the_window_too(void **state)
{
	static const int64_t windows_s[] = {10, 20, 40, 60, 60};
	struct fleet fleet;
	int64_t now_us = NOW;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	ask(&fleet, 1, "a=timeout b=good", now_us);
	for (size_t i = 0; i < COUNT(windows_s); i++) {
		expect_window(fleet.backends[0], windows_s[i] * S, now_us);
		now_us += windows_s[i] * S;
		probe(&fleet, OUTCOME_REFUSED, now_us);
		assert_int_equal(fleet.backends[0]->reason, OUTCOME_REFUSED);
	}
	/* A change of reason is no change of state. */
	assert_int_equal(fleet.backends[0]->since_us, NOW);
	fleet_finish(&fleet);
}

static void the_maximum_is_no_less_than_the_first_window(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	fleet.ring.options.retry_window_max_us = 1 * S;
	ask(&fleet, 1, "a=timeout b=good", NOW);
	probe(&fleet, OUTCOME_REFUSED, NOW);
	expect_window(fleet.backends[0], 10 * S, NOW);
	fleet_finish(&fleet);
}

static void failures_while_it_is_down_do_not_prolong_it(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	ask(&fleet, 1, "a=timeout b=good", NOW);
	ask(&fleet, 2, "a=refused b=good", NOW + 1 * S);
	ask(&fleet, 3, "a=status b=good", NOW + 2 * S);
	ask(&fleet, 4, "a=status", NOW + 3 * S);
	expect_window(fleet.backends[0], 10 * S, NOW);
	assert_int_equal(fleet.backends[0]->reason, OUTCOME_LATE);
	fleet_finish(&fleet);
}

static void a_trial_that_is_cut_off_has_failed(void **state)
{
	struct fleet fleet;

	(void)state;
	for (size_t others = 0; others < 2; others++) {
		struct request trial = {.fleet = &fleet, .id = 2, .now_us = NOW};

		fleet_init(&fleet, 1 + others, NULL);
		ask(&fleet, 1, "a=refused", NOW);
		probe(&fleet, OUTCOME_GOOD, NOW);
		request_read(&trial, "a=good");
		request_judge(&trial);
		assert_int_equal(fleet.backends[0]->state, BACKEND_UP);
		trial.tries[0].outcome = OUTCOME_CUT_OFF;
		request_judge(&trial);
		if (others > 0)
			expect_window(fleet.backends[0], 20 * S, NOW);
		else
			expect_states(&fleet, "U", "nobody else is up");
		/* Once. */
		request_judge(&trial);
		if (others > 0)
			expect_window(fleet.backends[0], 20 * S, NOW);
		fleet_finish(&fleet);
	}
}

/* It went down and came back since the request was sent there. */
static void what_began_in_an_earlier_state_is_of_no_interest(void **state)
{
	static const char *const scripts[] = {"a=status b=good", "a=refused b=good", "a=cut_off"};

	(void)state;
	for (size_t i = 0; i < COUNT(scripts); i++) {
		struct fleet fleet;
		struct request late = {.fleet = &fleet, .id = 1, .now_us = NOW};

		fleet_init(&fleet, 2, NULL);
		request_read(&late, scripts[i]);
		ask(&fleet, 2, "a=status b=good", NOW);
		probe(&fleet, OUTCOME_GOOD, NOW);
		ask(&fleet, 3, "a=good", NOW);
		request_judge(&late);
		expect_states(&fleet, "U U", scripts[i]);
		assert_int_equal(fleet.backends[0]->suspicions, 0);
		fleet_finish(&fleet);
	}
}

/* It went there because nobody was up; another brought the backend back, and it went down anew. */
static void an_old_good_answer_brings_nobody_back(void **state)
{
	struct fleet fleet;
	struct request late = {.fleet = &fleet, .id = 1, .now_us = NOW};

	(void)state;
	fleet_init(&fleet, 1, NULL);
	ask(&fleet, 2, "a=refused", NOW);
	request_read(&late, "a=good");
	ask(&fleet, 3, "a=good", NOW);
	expect_states(&fleet, "U", "asked because nobody was up");
	ask(&fleet, 4, "a=refused", NOW);
	request_judge(&late);
	expect_states(&fleet, "H", "it refused since");
	fleet_finish(&fleet);
}

/* The end of a trial that is over does not end the one under way. */
static void a_past_trial_does_not_end_the_next(void **state)
{
	struct fleet fleet;
	struct request past = {.fleet = &fleet, .id = 1, .now_us = NOW};

	(void)state;
	fleet_init(&fleet, 2, NULL);
	fleet_set(&fleet, 0, BACKEND_DOWN, OUTCOME_LATE, NOW);
	fleet_set(&fleet, 0, BACKEND_TRIAL, OUTCOME_GOOD, NOW);
	request_read(&past, "a=client");
	fleet_set(&fleet, 0, BACKEND_DOWN, OUTCOME_LATE, NOW);
	fleet_set(&fleet, 0, BACKEND_TRIAL, OUTCOME_GOOD, NOW);
	fleet.backends[0]->on_trial = true;
	request_judge(&past);
	expect_states(&fleet, "t U", "a past trial");
	fleet_finish(&fleet);
}

static void nobody_is_judged_outside_of_the_ring(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 3, NULL);
	assert_true(ring_set(&fleet.ring, &fleet.backends[1], 2));
	ask(&fleet, 1, "a=status b=good", NOW);
	ask(&fleet, 2, "a=refused b=good", NOW);
	expect_states(&fleet, "U U U", "removed");
	fleet_set(&fleet, 0, BACKEND_DOWN, OUTCOME_REFUSED, NOW);
	ask(&fleet, 3, "a=good", NOW);
	expect_states(&fleet, "H U U", "removed while it was down");
	fleet_finish(&fleet);
}

static void who_is_down_for_its_checks_waits_for_checks(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 1, NULL);
	fleet_set(&fleet, 0, BACKEND_DOWN, OUTCOME_CHECK, NOW);
	ask(&fleet, 1, "a=good", NOW);
	expect_states(&fleet, "H", "asked because nobody was up");
	fleet_finish(&fleet);
}

static void two_requests_of_one_trial_fail_it_once(void **state)
{
	struct fleet fleet;
	struct request first = {.fleet = &fleet, .id = 1, .now_us = NOW};
	struct request second = {.fleet = &fleet, .id = 2, .now_us = NOW};

	(void)state;
	fleet_init(&fleet, 1, NULL);
	ask(&fleet, 3, "a=refused", NOW);
	probe(&fleet, OUTCOME_GOOD, NOW);
	request_read(&first, "a=refused");
	request_read(&second, "a=refused");
	request_judge(&first);
	request_judge(&second);
	expect_window(fleet.backends[0], 20 * S, NOW);
	fleet_finish(&fleet);
}

static void probes_are_for_those_that_are_down(void **state)
{
	static const struct {
		const char *before;
		enum outcome outcome;
		const char *after;
	} cases[] = {
	    {"U U", OUTCOME_GOOD, "U U"},
	    {"U U", OUTCOME_REFUSED, "U U"},
	    {"T U", OUTCOME_REFUSED, "T U"},
	    {"t U", OUTCOME_GOOD, "t U"},
	    {"S U", OUTCOME_GOOD, "T U"},
	    {"H U", OUTCOME_GOOD, "T U"},
	    {"S U", OUTCOME_REFUSED, "H U"},
	    {"H U", OUTCOME_STATUS, "S U"},
	    {"H U", OUTCOME_SHORTAGE, "H U"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;

		fleet_init(&fleet, 2, NULL);
		fleet_arrange(&fleet, cases[i].before, NULL);
		probe(&fleet, cases[i].outcome, NOW);
		expect_states(&fleet, cases[i].after, cases[i].before);
		fleet_finish(&fleet);
	}
}

/* ---- checks */

static void checks_count_in_a_row(void **state)
{
	/* '+' a good check, '-' a failed one; fall 3, rise 2. */
	static const struct {
		const char *before, *checks, *after;
	} cases[] = {
	    {"U U", "--", "U U"},
	    {"U U", "---", "H U"},
	    {"U U", "--+--", "U U"},
	    {"U U", "--+---", "H U"},
	    {"U H", "---", "H H"}, /* hard: even the last */
	    {"U U", "---+", "H U"},
	    {"U U", "---++", "U U"},
	    {"U U", "---+-+", "H U"},
	    {"U U", "---+-++", "U U"},
	    {"U U", "---++--", "U U"},
	    {"H U", "++", "U U"},
	    {"S U", "++++", "S U"}, /* it passes its checks and fails its requests */
	    {"S U", "---", "S U"},
	    {"T U", "++++", "T U"}, /* down for a soft reason before */
	    {"T U", "---", "H U"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct verdict_check_rules rules = {.fall = 3, .rise = 2};
		struct fleet fleet;

		fleet_init(&fleet, 2, NULL);
		fleet_arrange(&fleet, cases[i].before, NULL);
		for (const char *check = cases[i].checks; *check; check++)
			verdict_checked(&fleet.ring, fleet.backends[0], &rules, *check == '+', NOW);
		expect_states(&fleet, cases[i].after, cases[i].checks);
		fleet_finish(&fleet);
	}
}

static void a_trial_after_a_hard_failure_may_end_by_checks(void **state)
{
	const struct verdict_check_rules rules = {.fall = 3, .rise = 2};
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	fleet_set(&fleet, 0, BACKEND_DOWN, OUTCOME_REFUSED, NOW);
	probe(&fleet, OUTCOME_GOOD, NOW);
	verdict_checked(&fleet.ring, fleet.backends[0], &rules, true, NOW);
	expect_states(&fleet, "T U", "one check");
	verdict_checked(&fleet.ring, fleet.backends[0], &rules, true, NOW);
	expect_states(&fleet, "U U", "two checks");
	fleet_finish(&fleet);
}

/* ---- a storm */

/* Poison on everything, from many clients, never empties the ring; nor does anything else soft. */
static void soft_failures_never_empty_the_ring(void **state)
{
	static const char *const outcomes[] = {
	    "status", "timeout", "reset", "bad_response", "cut_off", "stalled", "good"};
	struct fleet fleet;
	unsigned random = 1;

	(void)state;
	fleet_init(&fleet, 3, NULL);
	for (uint64_t id = 1; id < 20000; id++) {
		char script[96] = "";
		size_t len = 0;
		int64_t now_us = NOW + (int64_t)id * 100 * MS;

		for (int letter = 'a'; letter <= 'c'; letter++) {
			const char *word = outcomes[fleet_random(&random, COUNT(outcomes))];

			if (fleet.backends[letter - 'a']->state == BACKEND_DOWN)
				continue;
			len += (size_t)snprintf(script + len, sizeof(script) - len, "%s%c=%s",
			    len ? " " : "", letter, word);
			if (fleet_random(&random, 2) || strcmp(word, "good") == 0)
				break;
		}
		ask(&fleet, id, script, now_us);
		assert_true(ring_count_up(&fleet.ring) > 0);
		for (size_t i = 0; i < 3; i++) {
			const struct try_record good = {.backend = fleet.backends[i]};

			if (fleet.backends[i]->until_us <= now_us)
				verdict_probed(&fleet.ring, &good, now_us);
		}
	}
	fleet_finish(&fleet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_request_is_judged),
	    cmocka_unit_test(a_request_that_cannot_be_tried_elsewhere_is_no_proof),
	    cmocka_unit_test(the_last_one_up_is_never_taken_out_by_soft_marks),
	    cmocka_unit_test(a_request_that_was_elsewhere_too_is_no_suspicion),
	    cmocka_unit_test(only_the_trial_ends_the_trial),
	    cmocka_unit_test(three_suspicions_in_a_row_mark),
	    cmocka_unit_test(one_request_is_suspected_once),
	    cmocka_unit_test(an_answer_that_is_cut_off_was_no_success),
	    cmocka_unit_test(the_last_one_stays_suspected),
	    cmocka_unit_test(the_window_doubles_up_to_a_maximum),
	    cmocka_unit_test(a_failed_probe_doubles_the_window_too),
	    cmocka_unit_test(the_maximum_is_no_less_than_the_first_window),
	    cmocka_unit_test(failures_while_it_is_down_do_not_prolong_it),
	    cmocka_unit_test(a_trial_that_is_cut_off_has_failed),
	    cmocka_unit_test(what_began_in_an_earlier_state_is_of_no_interest),
	    cmocka_unit_test(an_old_good_answer_brings_nobody_back),
	    cmocka_unit_test(a_past_trial_does_not_end_the_next),
	    cmocka_unit_test(nobody_is_judged_outside_of_the_ring),
	    cmocka_unit_test(who_is_down_for_its_checks_waits_for_checks),
	    cmocka_unit_test(two_requests_of_one_trial_fail_it_once),
	    cmocka_unit_test(probes_are_for_those_that_are_down),
	    cmocka_unit_test(checks_count_in_a_row),
	    cmocka_unit_test(a_trial_after_a_hard_failure_may_end_by_checks),
	    cmocka_unit_test(soft_failures_never_empty_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
