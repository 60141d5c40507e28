#include "fleet.h"
#include "upstream/verdict.h"

#include <stdlib.h>

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

/* "a=timeout b=good": one request and its tries; "POST a=timeout": one that may not be repeated. Hard
 * outcomes are told when they happen; an answer that is cut off was a good one first. */
struct request {
	struct fleet *fleet;
	struct try_record tries[VERDICT_MAX_TRIES];
	size_t count;
	bool is_once;
	int64_t now_us;
};

static void request_read(struct request *request, const char *script)
{
	request->is_once = strncmp(script, "POST ", 5) == 0;
	for (const char *at = request->is_once ? script + 5 : script; *at;) {
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

static void request_judge(struct request *request)
{
	struct ring *ring = &request->fleet->ring;
	struct try_record heads[VERDICT_MAX_TRIES];
	const struct verdict_case judged = {
	    .tries = heads,
	    .count = request->count,
	    .is_repeatable = !request->is_once,
	};

	for (size_t i = 0; i < request->count; i++) {
		heads[i] = request->tries[i];
		if (heads[i].outcome == OUTCOME_CUT_OFF)
			heads[i].outcome = OUTCOME_GOOD;
		verdict_hard(ring, &request->tries[i], request->now_us);
	}
	verdict_settle(ring, &judged, request->now_us);
	for (size_t i = 0; i < request->count; i++)
		if (request->tries[i].outcome == OUTCOME_CUT_OFF)
			verdict_cut_off(
			    ring, &request->tries[i], !request->is_once, request->now_us);
}

/* A request whose answer, if it gets one, comes whole. */
static void ask(struct fleet *fleet, const char *script, int64_t now_us)
{
	struct request request = {.fleet = fleet, .now_us = now_us};

	request_read(&request, script);
	request_judge(&request);
	for (size_t i = 0; i < request.count; i++)
		if (request.tries[i].outcome == OUTCOME_GOOD)
			verdict_completed(&request.tries[i], !request.is_once, now_us);
}

/* Requests behind each other, with commas between them, "3 x a=good, a=status b=good". */
static void ask_all(struct fleet *fleet, const char *scripts, int64_t now_us)
{
	while (*scripts) {
		size_t len = strcspn(scripts, ",");
		char script[128], *request = script;
		long times = 1;

		assert_true(len < sizeof(script));
		memcpy(script, scripts, len);
		script[len] = '\0';
		if (script[0] >= '0' && script[0] <= '9') {
			times = strtol(script, &request, 10);
			assert_memory_equal(request, " x ", 3);
			request += 3;
		}
		while (times-- > 0)
			ask(fleet, request, now_us);
		scripts += len;
		scripts += strspn(scripts, ", ");
	}
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
		struct request request = {.fleet = &fleet, .now_us = NOW};

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
	    {"T H H", "a=status b=refused", "T H H"}, /* nobody could: it proved nothing */
	    {"T U U", "a=status b=status", "T U U"},
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
	    {"t S H", "a=status", "t S H"},
	    {"t S H", "POST a=status", "t S H"},
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

static void a_request_that_was_not_tried_elsewhere_is_no_proof(void **state)
{
	static const struct judgement cases[] = {
	    {"U U U", "a=status", "U U U"}, /* no budget, no time or nobody left */
	    {"U U U", "POST a=status", "U U U"},
	    {"U U U", "a=refused", "H U U"},
	    {"T U U", "a=status", "T U U"},
	    {"T U U", "POST a=status", "S U U"}, /* a trial is a trial */
	    {"T H H", "POST a=timeout", "S H H"},
	    {"T H H", "a=timeout", "T H H"},
	    {"T U U", "a=client", "T U U"},
	    {"T U U", "a=busy b=good", "T U U"},
	    {"U U U", "a=busy b=good", "U U U"},
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

/* An answer to a request from before it went down says nothing about now. */
static void only_the_trial_ends_the_trial(void **state)
{
	static const char *const words[] = {"good", "status", "timeout", "client", "stale"};

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		struct fleet fleet;
		struct request late = {.fleet = &fleet, .now_us = NOW};
		char script[32];

		fleet_init(&fleet, 2, NULL);
		snprintf(script, sizeof(script), "a=%s", words[i]);
		request_read(&late, script); /* while it is up */
		ask(&fleet, "a=status b=good", NOW);
		request_judge(&late);
		expect_states(&fleet, "S U", script);
		fleet_set(&fleet, 0, BACKEND_TRIAL, OUTCOME_GOOD, NOW);
		fleet.backends[0]->on_trial = true;
		request_judge(&late);
		expect_states(&fleet, "t U", script);
		fleet_finish(&fleet);
	}
}

/* ---- how much evidence it takes */

struct history {
	size_t backends;
	const char *requests;
	const char *after;
};

static void expect_histories(const struct history *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct fleet fleet;

		fleet_init(&fleet, cases[i].backends, NULL);
		ask_all(&fleet, cases[i].requests, NOW);
		expect_states(&fleet, cases[i].after, cases[i].requests);
		fleet_finish(&fleet);
	}
}

static void a_record_decides_how_much_a_comparison_weighs(void **state)
{
	static const struct history cases[] = {
	    /* from the start: at once */
	    {3, "a=status b=good", "S U U"},
	    {2, "a=reset b=good", "S U"},
	    /* half of the record */
	    {2, "a=good, a=status b=good", "S U"},
	    {2, "2 x a=good, a=status b=good", "U U"},
	    {2, "2 x a=good, 2 x a=status b=good", "S U"},
	    /* after a long good time: three */
	    {2, "20 x a=good, 2 x a=status b=good", "U U"},
	    {2, "20 x a=good, 3 x a=status b=good", "S U"},
	    {4, "20 x a=good, 3 x a=status b=good", "S U U U"},
	    {9, "99 x a=good, 3 x a=bad_response i=good", "S U U U U U U U U"},
	    /* three of the last sixteen, in a row or not */
	    {2,
		"20 x a=good, a=status b=good, 6 x a=good, a=status b=good, 7 x a=good, a=status "
		"b=good",
		"S U"},
	    {2,
		"20 x a=good, a=status b=good, 7 x a=good, a=status b=good, 7 x a=good, a=status "
		"b=good",
		"U U"},
	    /* one silence past max_delay_response is enough */
	    {3, "20 x a=good, a=timeout b=good", "S U U"},
	    /* but while another is down for a soft reason, half of the record */
	    {3, "a=status b=good, 20 x b=good, b=timeout c=good", "S U U"},
	    {3, "a=status b=good, 20 x b=good, 7 x b=status c=good", "S U U"},
	    {3, "a=status b=good, 20 x b=good, 8 x b=status c=good", "S S U"},
	    /* one that is down for a hard reason is no such other */
	    {3, "a=refused b=good, 20 x b=good, b=timeout c=good", "H S U"},
	    {3, "a=refused b=good, 20 x b=good, 3 x b=status c=good", "H S U"},
	    /* two that break together after a long good time: one after three, the other a little later */
	    {3, "16 x a=good, 16 x b=good, 3 x a=status b=status c=good", "S U U"},
	    {3, "16 x a=good, 16 x b=good, 8 x a=status b=status c=good", "S S U"},
	    /* all but one broken */
	    {4, "a=status b=status c=status d=good", "S S S U"},
	    /* failures that nobody bettered are in no record */
	    {3, "20 x a=status b=status c=status", "U U U"},
	    {3, "20 x a=status", "U U U"},
	    {3, "20 x a=good, 9 x a=status, 2 x a=status b=good", "U U U"},
	    /* nor is what is nobody's fault */
	    {2, "2 x a=good, a=stale a=good, 5 x a=client, 5 x a=impatient b=good, a=status b=good",
		"U U"},
	};

	(void)state;
	expect_histories(cases, COUNT(cases));
}

static void coming_up_clears_the_record(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	ask_all(&fleet, "20 x a=good, 3 x a=status b=good", NOW);
	expect_states(&fleet, "S U", "three of sixteen");
	fleet_set(&fleet, 0, BACKEND_TRIAL, OUTCOME_GOOD, NOW);
	ask_all(&fleet, "3 x a=good, a=status b=good", NOW);
	expect_states(&fleet, "U U", "one of four");
	fleet_finish(&fleet);
}

static void what_is_sent_once_is_compared_by_the_ring(void **state)
{
	static const struct history cases[] = {
	    /* poison: nobody can */
	    {3, "3 x POST a=status, 3 x POST b=status, 3 x POST c=status", "U U U"},
	    {2, "99 x POST a=status", "U U"},
	    /* three in a row, and three others well since the first */
	    {3, "POST a=status, 3 x POST b=good, 2 x POST a=status", "S U U"},
	    {3, "POST a=status, POST b=good, POST a=status, 2 x POST c=good, POST a=timeout",
		"S U U"},
	    {3, "3 x POST a=status, 2 x POST b=good, POST a=status", "U U U"},
	    {3, "3 x POST a=status, 3 x POST b=good, POST a=status", "S U U"},
	    {3, "POST a=status, 9 x POST b=good, POST a=status", "U U U"},
	    /* a success of such a request between them */
	    {2, "2 x POST a=status, 9 x POST b=good, POST a=good, 2 x POST a=status", "U U"},
	    /* a success of another kind is none */
	    {2, "2 x POST a=status, 9 x POST b=good, 9 x a=good, POST a=status", "S U"},
	    {2, "3 x POST a=status, 9 x b=good, POST a=status", "U U"},
	    /* what means nothing neither counts nor clears */
	    {2, "2 x POST a=status, 3 x POST b=good, POST a=client, a=status, POST a=status",
		"S U"},
	    /* the others fail too: one in ten is not too much */
	    {3, "POST a=status, 9 x POST b=good, POST b=status, 2 x POST a=status", "S U U"},
	    {3, "POST a=status, 8 x POST b=good, POST b=status, 2 x POST a=status", "U U U"},
	    {3,
		"2 x POST b=status, 9 x POST b=good, POST a=status, 3 x POST c=good, 2 x POST "
		"a=status",
		"U U U"},
	    {3,
		"2 x POST b=status, 16 x POST b=good, POST a=status, 3 x POST c=good, 2 x POST "
		"a=status",
		"S U U"},
	    /* one that is down says nothing */
	    {3, "9 x POST b=status, b=refused, POST a=status, 3 x POST c=good, 2 x POST a=status",
		"S H U"},
	    {3, "POST a=status, 3 x POST b=good, b=refused, 2 x POST a=status", "U H U"},
	    /* its own record of such requests counts while another is down for a soft reason */
	    {3,
		"b=status c=good, 16 x POST a=good, POST a=status, 3 x POST c=good, 6 x POST "
		"a=status",
		"U S U"},
	    {3,
		"b=status c=good, 16 x POST a=good, POST a=status, 3 x POST c=good, 7 x POST "
		"a=status",
		"S S U"},
	    /* one that could not be repeated when another had bettered it counts among these */
	    {3, "20 x POST a=good, 2 x POST a=status b=good", "U U U"},
	    {3, "20 x POST a=good, 3 x POST a=status b=good", "S U U"},
	    {3, "9 x a=status b=status, 20 x a=good, POST a=status b=good", "S U U"},
	    /* two backends were sent it, and nobody knows whose fault it is */
	    {3, "9 x POST b=good, 9 x POST a=status b=status", "U U U"},
	};

	(void)state;
	expect_histories(cases, COUNT(cases));
}

static void content_that_is_cut_off_is_compared_by_the_ring(void **state)
{
	static const struct history cases[] = {
	    {2, "3 x a=cut_off", "U U"},
	    {2, "a=cut_off, 3 x b=good, 2 x a=cut_off", "S U"},
	    {2, "a=cut_off, 3 x b=good, a=cut_off, a=good, a=cut_off", "U U"},
	    {2, "3 x a=cut_off, 3 x b=cut_off, 3 x a=cut_off", "U U"},
	    /* of a request that may not be repeated it is one of those */
	    {2, "POST a=cut_off, 3 x POST b=good, POST a=status, POST a=cut_off", "S U"},
	    {2, "a=cut_off, 3 x POST b=good, 2 x a=cut_off", "U U"},
	};

	(void)state;
	expect_histories(cases, COUNT(cases));
}

/* The head of an answer is no success yet: those of others may come between it and its end. */
static void an_answer_that_is_cut_off_was_no_success(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	ask_all(&fleet, "3 x b=good", NOW);
	for (int i = 1; i <= 3; i++) {
		struct request begun = {.fleet = &fleet, .now_us = NOW};

		expect_states(&fleet, "U U", "cut off");
		request_read(&begun, "a=good");
		request_judge(&begun);
		ask(&fleet, "a=cut_off", NOW);
	}
	expect_states(&fleet, "S U", "cut off");
	fleet_finish(&fleet);
}

/* Only what the others did since the first failure counts. */
static void the_others_are_compared_since_the_first_failure(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	ask_all(&fleet, "9 x POST b=good", NOW);
	ask_all(&fleet, "3 x POST a=status, 2 x POST b=good, POST a=status", NOW + 1);
	expect_states(&fleet, "U U", "two since");
	ask_all(&fleet, "POST b=good, POST a=status", NOW + 2);
	expect_states(&fleet, "S U", "three since");
	fleet_finish(&fleet);
}

static void the_last_one_stays(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 3, NULL);
	fleet_switch(&fleet, 1, false);
	fleet.backends[2]->draining = true;
	ask_all(&fleet, "9 x a=status c=good", NOW);
	expect_states(&fleet, "U H U", "the last one");
	fleet_switch(&fleet, 1, true);
	ask(&fleet, "a=status b=good", NOW);
	expect_states(&fleet, "S U U", "no longer the last one");
	fleet_finish(&fleet);
}

/* It waits for its client: the next request is the trial, and either may decide it. */
static void a_trial_can_be_passed_on(void **state)
{
	static const struct {
		const char *first, *second; /* what becomes of them, in this order */
		const char *after;
	} cases[] = {
	    {"a=client", "", "t U"},
	    {"POST a=status", "", "t U"},
	    {"a=status b=good", "", "S U"},
	    {"a=good", "", "U U"},
	    {"a=client", "a=client", "T U"},
	    {"a=client", "a=good", "U U"},
	    {"a=client", "a=status b=good", "S U"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;
		struct request first = {.fleet = &fleet, .now_us = NOW};
		struct request second = {.fleet = &fleet, .now_us = NOW};

		fleet_init(&fleet, 2, NULL);
		fleet_arrange(&fleet, "T U", NULL);
		request_read(&first, cases[i].first);
		expect_states(&fleet, "t U", "the first one");
		verdict_pass_trial_on(&fleet.ring, &first.tries[0]);
		expect_states(&fleet, "T U", "passed on");
		request_read(&second, cases[i].second[0] ? cases[i].second : "a=good");
		expect_states(&fleet, "t U", "the second one");
		verdict_pass_trial_on(&fleet.ring, &first.tries[0]);
		expect_states(&fleet, "t U", "passed on once");
		request_judge(&first);
		if (cases[i].second[0])
			request_judge(&second);
		expect_states(&fleet, cases[i].after, cases[i].first);
		fleet_finish(&fleet);
	}
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
	static const char *const failures[] = {
	    "a=refused b=good", "a=status b=good", "POST a=status"};

	(void)state;
	for (size_t i = 0; i < COUNT(failures); i++) {
		struct fleet fleet;
		int64_t now_us = NOW;

		fleet_init(&fleet, 3, NULL);
		ask(&fleet, "a=timeout b=good", now_us);
		for (size_t j = 0; j < COUNT(windows_s); j++) {
			expect_window(fleet.backends[0], windows_s[j] * S, now_us);
			now_us += windows_s[j] * S;
			probe(&fleet, OUTCOME_GOOD, now_us);
			assert_int_equal(fleet.backends[0]->state, BACKEND_TRIAL);
			ask(&fleet, failures[i], now_us);
		}
		/* A success, and it begins anew. */
		probe(&fleet, OUTCOME_GOOD, now_us);
		ask(&fleet, "a=good", now_us);
		assert_int_equal(fleet.backends[0]->state, BACKEND_UP);
		ask(&fleet, "a=status b=good", now_us);
		expect_window(fleet.backends[0], 10 * S, now_us);
		fleet_finish(&fleet);
	}
}

/* rondo's own connect costs nobody anything: it is made again soon, and only trials double. */
static void a_failed_probe_is_made_again_soon_and_the_window_stays(void **state)
{
	static const struct {
		int64_t window_us, pause_us;
	} cases[] = {{10000, 1000}, {1000, 1000}, {300, 300}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;
		int64_t window_us = cases[i].window_us * MS, now_us = NOW + window_us;

		fleet_init(&fleet, 2, NULL);
		fleet.ring.options.retry_window_us = window_us;
		ask(&fleet, "a=timeout b=good", NOW);
		for (int j = 0; j < 5; j++) {
			probe(&fleet, OUTCOME_REFUSED, now_us);
			assert_int_equal(fleet.backends[0]->reason, OUTCOME_REFUSED);
			assert_int_equal(fleet.backends[0]->window_us, window_us);
			assert_int_equal(
			    fleet.backends[0]->until_us, now_us + cases[i].pause_us * MS);
			now_us = fleet.backends[0]->until_us;
		}
		/* A change of reason is no change of state. */
		assert_int_equal(fleet.backends[0]->since_us, NOW);
		probe(&fleet, OUTCOME_GOOD, now_us);
		ask(&fleet, "a=status b=good", now_us);
		expect_window(fleet.backends[0], 2 * window_us, now_us);
		fleet_finish(&fleet);
	}
}

static void the_maximum_is_no_less_than_the_first_window(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	fleet.ring.options.retry_window_max_us = 1 * S;
	ask(&fleet, "a=timeout b=good", NOW);
	probe(&fleet, OUTCOME_GOOD, NOW);
	ask(&fleet, "a=refused b=good", NOW);
	expect_window(fleet.backends[0], 10 * S, NOW);
	fleet_finish(&fleet);
}

static void failures_while_it_is_down_do_not_prolong_it(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	ask(&fleet, "a=timeout b=good", NOW);
	ask(&fleet, "a=refused b=good", NOW + 1 * S);
	ask(&fleet, "a=status b=good", NOW + 2 * S);
	ask(&fleet, "a=status", NOW + 3 * S);
	expect_window(fleet.backends[0], 10 * S, NOW);
	assert_int_equal(fleet.backends[0]->reason, OUTCOME_LATE);
	fleet_finish(&fleet);
}

static void a_trial_that_is_cut_off_has_failed(void **state)
{
	struct fleet fleet;

	(void)state;
	for (size_t others = 0; others < 2; others++) {
		struct request trial = {.fleet = &fleet, .now_us = NOW};

		fleet_init(&fleet, 1 + others, NULL);
		ask(&fleet, "a=refused", NOW);
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
		struct request late = {.fleet = &fleet, .now_us = NOW};

		fleet_init(&fleet, 2, NULL);
		request_read(&late, scripts[i]);
		ask(&fleet, "a=status b=good", NOW);
		probe(&fleet, OUTCOME_GOOD, NOW);
		ask(&fleet, "a=good", NOW);
		request_judge(&late);
		expect_states(&fleet, "U U", scripts[i]);
		assert_int_equal(backend_suspicions(fleet.backends[0]), 0);
		fleet_finish(&fleet);
	}
}

/* It went there because nobody was up; another brought the backend back, and it went down anew. */
static void an_old_good_answer_brings_nobody_back(void **state)
{
	struct fleet fleet;
	struct request late = {.fleet = &fleet, .now_us = NOW};

	(void)state;
	fleet_init(&fleet, 1, NULL);
	ask(&fleet, "a=refused", NOW);
	request_read(&late, "a=good");
	ask(&fleet, "a=good", NOW);
	expect_states(&fleet, "U", "asked because nobody was up");
	ask(&fleet, "a=refused", NOW);
	request_judge(&late);
	expect_states(&fleet, "H", "it refused since");
	fleet_finish(&fleet);
}

/* It went there as a last resort, and rondo's own connect was sooner. */
static void a_good_answer_brings_back_one_that_is_on_trial_since(void **state)
{
	struct fleet fleet;
	struct request late = {.fleet = &fleet, .now_us = NOW};

	(void)state;
	fleet_init(&fleet, 1, NULL);
	fleet_set(&fleet, 0, BACKEND_DOWN, OUTCOME_LATE, NOW);
	request_read(&late, "a=good");
	probe(&fleet, OUTCOME_GOOD, NOW);
	expect_states(&fleet, "T", "its window is over");
	request_judge(&late);
	expect_states(&fleet, "U", "it answered");
	fleet_finish(&fleet);
}

/* The end of a trial that is over does not end the one under way. */
static void a_past_trial_does_not_end_the_next(void **state)
{
	struct fleet fleet;
	struct request past = {.fleet = &fleet, .now_us = NOW};

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
	ring_take_list(&fleet.ring, &fleet.backends[1], 2);
	ask(&fleet, "a=status b=good", NOW);
	ask(&fleet, "a=refused b=good", NOW);
	expect_states(&fleet, "U U U", "removed");
	fleet_set(&fleet, 0, BACKEND_DOWN, OUTCOME_REFUSED, NOW);
	ask(&fleet, "a=good", NOW);
	expect_states(&fleet, "H U U", "removed while it was down");
	fleet_finish(&fleet);
}

static void a_good_answer_brings_back_one_that_is_down_for_its_checks(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 1, NULL);
	fleet_set(&fleet, 0, BACKEND_DOWN, OUTCOME_CHECK, NOW);
	ask(&fleet, "a=good", NOW);
	expect_states(&fleet, "U", "asked because no other was left");
	fleet_finish(&fleet);
}

static void two_requests_of_one_trial_fail_it_once(void **state)
{
	struct fleet fleet;
	struct request first = {.fleet = &fleet, .now_us = NOW};
	struct request second = {.fleet = &fleet, .now_us = NOW};

	(void)state;
	fleet_init(&fleet, 1, NULL);
	ask(&fleet, "a=refused", NOW);
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
	    {"S U", OUTCOME_BUSY, "S U"},
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
	for (int i = 1; i < 20000; i++) {
		char script[96] = "";
		size_t len = 0;
		int64_t now_us = NOW + (int64_t)i * 100 * MS;

		for (int letter = 'a'; letter <= 'c'; letter++) {
			const char *word = outcomes[fleet_random(&random, COUNT(outcomes))];

			if (fleet.backends[letter - 'a']->state == BACKEND_DOWN)
				continue;
			if (len == 0 && fleet_random(&random, 3) == 0)
				len = (size_t)snprintf(script, sizeof(script), "POST");
			len += (size_t)snprintf(script + len, sizeof(script) - len, "%s%c=%s",
			    len ? " " : "", letter, word);
			if (fleet_random(&random, 2) || strcmp(word, "good") == 0)
				break;
		}
		ask(&fleet, script, now_us);
		assert_true(ring_count_up(&fleet.ring) > 0);
		for (size_t j = 0; j < 3; j++) {
			const struct try_record good = {.backend = fleet.backends[j]};

			if (fleet.backends[j]->until_us <= now_us)
				verdict_probed(&fleet.ring, &good, now_us);
		}
	}
	fleet_finish(&fleet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_request_is_judged),
	    cmocka_unit_test(a_request_that_was_not_tried_elsewhere_is_no_proof),
	    cmocka_unit_test(the_last_one_up_is_never_taken_out_by_soft_marks),
	    cmocka_unit_test(only_the_trial_ends_the_trial),
	    cmocka_unit_test(a_record_decides_how_much_a_comparison_weighs),
	    cmocka_unit_test(coming_up_clears_the_record),
	    cmocka_unit_test(what_is_sent_once_is_compared_by_the_ring),
	    cmocka_unit_test(content_that_is_cut_off_is_compared_by_the_ring),
	    cmocka_unit_test(an_answer_that_is_cut_off_was_no_success),
	    cmocka_unit_test(the_others_are_compared_since_the_first_failure),
	    cmocka_unit_test(the_last_one_stays),
	    cmocka_unit_test(a_trial_can_be_passed_on),
	    cmocka_unit_test(the_window_doubles_up_to_a_maximum),
	    cmocka_unit_test(a_failed_probe_is_made_again_soon_and_the_window_stays),
	    cmocka_unit_test(the_maximum_is_no_less_than_the_first_window),
	    cmocka_unit_test(failures_while_it_is_down_do_not_prolong_it),
	    cmocka_unit_test(a_trial_that_is_cut_off_has_failed),
	    cmocka_unit_test(what_began_in_an_earlier_state_is_of_no_interest),
	    cmocka_unit_test(an_old_good_answer_brings_nobody_back),
	    cmocka_unit_test(a_good_answer_brings_back_one_that_is_on_trial_since),
	    cmocka_unit_test(a_past_trial_does_not_end_the_next),
	    cmocka_unit_test(nobody_is_judged_outside_of_the_ring),
	    cmocka_unit_test(a_good_answer_brings_back_one_that_is_down_for_its_checks),
	    cmocka_unit_test(two_requests_of_one_trial_fail_it_once),
	    cmocka_unit_test(probes_are_for_those_that_are_down),
	    cmocka_unit_test(checks_count_in_a_row),
	    cmocka_unit_test(a_trial_after_a_hard_failure_may_end_by_checks),
	    cmocka_unit_test(soft_failures_never_empty_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
