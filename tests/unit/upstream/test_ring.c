#include "fleet.h"

/* ---- turns */

static void turns_interleave_by_weight(void **state)
{
	static const struct {
		size_t count;
		unsigned weights[5];
		const char *picks;
	} cases[] = {
	    {1, {1}, "aaaa"},
	    {2, {1, 1}, "abababab"},
	    {3, {1, 1, 1}, "abcabcabcabc"},
	    {3, {7, 7, 7}, "abcabcabc"},
	    {5, {2, 2, 2, 2, 2}, "abcdeabcde"},
	    {2, {3, 1}, "aabaaaba"},
	    {2, {2, 1}, "abaaba"},
	    {2, {1, 2}, "babbab"},
	    {3, {5, 1, 1}, "aabacaaaabacaa"},
	    {3, {4, 2, 1}, "abacabaabacaba"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;

		fleet_init(&fleet, cases[i].count, cases[i].weights);
		fleet_expect(&fleet, cases[i].picks, 1 * S);
		fleet_finish(&fleet);
	}
}

static void nobody_is_left_in_an_empty_ring(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 0, NULL);
	fleet_expect(&fleet, "-", 1 * S);
	assert_false(ring_is_usable(&fleet.ring));
	fleet_finish(&fleet);
}

/* Whatever goes up and down, the next one that is up comes next. */
static void equal_weights_keep_the_order_of_the_list(void **state)
{
	unsigned random = 7;

	(void)state;
	for (size_t count = 2; count <= 7; count++) {
		struct fleet fleet;
		size_t last = count - 1;

		fleet_init(&fleet, count, NULL);
		for (int i = 0; i < 3000; i++) {
			size_t flipped = fleet_random(&random, (unsigned)count);
			size_t expected = last;

			if (fleet_random(&random, 3) == 0)
				fleet_switch(
				    &fleet, flipped, fleet.backends[flipped]->state != BACKEND_UP);
			if (ring_count_up(&fleet.ring) == 0)
				fleet_switch(&fleet, flipped, true);
			do
				expected = (expected + 1) % count;
			while (fleet.backends[expected]->state != BACKEND_UP);
			assert_int_equal(fleet_pick(&fleet, 2 * S), 'a' + (int)expected);
			last = expected;
		}
		fleet_finish(&fleet);
	}
}

static void a_skipped_backend_gives_its_share_to_all(void **state)
{
	static const struct {
		unsigned weights[4];
		const char *picks; /* while b is down */
	} cases[] = {
	    {{1, 1, 1, 1}, "acdacdacd"},
	    {{1, 5, 1, 1}, "acdacdacd"},
	    {{2, 9, 1, 1}, "acdaacda"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;

		fleet_init(&fleet, 4, cases[i].weights);
		fleet_switch(&fleet, 1, false);
		fleet_expect(&fleet, cases[i].picks, 2 * S);
		fleet_finish(&fleet);
	}
}

/* In one whole round of unequal weights everybody gets exactly its share, and never waits for
 * longer than a little over its own period. */
static void shares_are_exact_and_spread(void **state)
{
	unsigned random = 7;

	(void)state;
	for (int run = 0; run < 60; run++) {
		struct fleet fleet;
		unsigned weights[8], sum = 0;
		size_t count = 2 + fleet_random(&random, 7);

		for (size_t i = 0; i < count; i++) {
			weights[i] = 1 + fleet_random(&random, run % 2 ? 9 : 100);
			sum += weights[i];
		}
		fleet_init(&fleet, count, weights);
		for (int round = 0; round < 3; round++) {
			unsigned picks[8] = {0}, waited[8] = {0};

			for (unsigned i = 0; i < sum; i++) {
				int picked = fleet_pick(&fleet, 1 * S) - 'a';

				for (size_t j = 0; j < count; j++)
					waited[j]++;
				picks[picked]++;
				waited[picked] = 0;
				for (size_t j = 0; j < count; j++)
					assert_true(waited[j] <= 2 * sum / weights[j] + 2);
			}
			for (size_t j = 0; j < count; j++)
				assert_int_equal(picks[j], weights[j]);
		}
		fleet_finish(&fleet);
	}
}

/* With backends that come and go all the time everybody gets, in the long run, its share of the
 * picks made while it was up. */
static void long_run_shares_are_fair(void **state)
{
	static const unsigned weights[][5] = {
	    {1, 1, 1, 1, 1}, {5, 1, 1, 3, 2}, {100, 1, 10, 1, 50}};
	unsigned random = 7;

	(void)state;
	for (size_t run = 0; run < COUNT(weights); run++) {
		double due[5] = {0};
		unsigned picks[5] = {0};
		struct fleet fleet;

		fleet_init(&fleet, 5, weights[run]);
		for (int i = 0; i < 200000; i++) {
			size_t flipped = fleet_random(&random, 5);
			double up = 0;

			if (fleet_random(&random, 50) == 0)
				fleet_switch(
				    &fleet, flipped, fleet.backends[flipped]->state != BACKEND_UP);
			if (ring_count_up(&fleet.ring) == 0)
				fleet_switch(&fleet, flipped, true);
			for (size_t j = 0; j < 5; j++)
				up += fleet.backends[j]->state == BACKEND_UP ? weights[run][j] : 0;
			for (size_t j = 0; j < 5; j++)
				if (fleet.backends[j]->state == BACKEND_UP)
					due[j] += weights[run][j] / up;
			picks[fleet_pick(&fleet, 2 * S) - 'a']++;
		}
		for (size_t j = 0; j < 5; j++)
			if (picks[j] < due[j] * 0.93 - 20 || picks[j] > due[j] * 1.07 + 20)
				fail_msg("run %zu: %c got %u, due %f", run, (char)('a' + j),
				    picks[j], due[j]);
		fleet_finish(&fleet);
	}
}

static void a_return_is_no_burst(void **state)
{
	static const unsigned weights[] = {3, 1, 2};
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 3, weights);
	fleet_expect(&fleet, "ac", 1 * S);
	fleet_switch(&fleet, 1, false);
	for (int i = 0; i < 1000; i++)
		fleet_pick(&fleet, 2 * S);
	fleet_switch(&fleet, 1, true);
	unsigned picks[3] = {0};
	for (int i = 0; i < 6; i++)
		picks[fleet_pick(&fleet, 3 * S) - 'a']++;
	assert_in_range(picks[1], 1, 2);
	fleet_finish(&fleet);
}

/* Beside a giant the small ones run up large accounts, which are void when it leaves. */
static void nobody_is_owed_more_than_a_round(void **state)
{
	static const unsigned weights[] = {1000, 1, 1};

	(void)state;
	for (int before = 0; before < 1100; before += 50) {
		struct fleet fleet;
		unsigned picks[3] = {0};

		fleet_init(&fleet, 3, weights);
		for (int i = 0; i < before; i++)
			fleet_pick(&fleet, 1 * S);
		fleet_switch(&fleet, 0, false);
		for (int i = 0; i < 12; i++)
			picks[fleet_pick(&fleet, 2 * S) - 'a']++;
		assert_in_range(picks[1], 4, 8);
		fleet_finish(&fleet);
	}
}

/* ---- who is passed over */

static void a_request_gets_no_backend_twice(void **state)
{
	struct fleet fleet;
	struct try_record tries[4];

	(void)state;
	fleet_init(&fleet, 3, NULL);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(
		    ring_pick(&fleet.ring,
			&(struct ring_request){
			    .tries = tries, .count = i, .now_us = 1 * S, .seen_us = 1 * S}),
		    RING_PICKED);
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(tries[i].backend, tries[j].backend);
	}
	assert_int_equal(ring_pick(&fleet.ring,
			     &(struct ring_request){
				 .tries = tries, .count = 3, .now_us = 1 * S, .seen_us = 1 * S}),
	    RING_NOBODY);
	fleet_finish(&fleet);
}

static void a_try_tells_how_its_backend_stood(void **state)
{
	static const struct {
		const char *states;
		enum standing standing;
	} cases[] = {
	    {"U", STANDING_UP},
	    {"T", STANDING_TRIAL},
	    {"t", STANDING_BUSY},
	    {"S", STANDING_SOFT},
	    {"H", STANDING_HARD},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;
		struct try_record try;

		fleet_init(&fleet, 1, NULL);
		fleet_arrange(&fleet, cases[i].states, NULL);
		assert_int_equal(
		    ring_pick(&fleet.ring,
			&(struct ring_request){.tries = &try, .now_us = 5 * S, .seen_us = 5 * S}),
		    RING_PICKED);
		assert_ptr_equal(try.backend, fleet.backends[0]);
		assert_int_equal(try.standing, cases[i].standing);
		assert_int_equal(try.epoch, fleet.backends[0]->epoch);
		fleet_finish(&fleet);
	}
}

static void who_is_asked_depends_on_state(void **state)
{
	static const struct {
		const char *states;
		const char *picks; /* of several requests, one after the other */
	} cases[] = {
	    /* those that are up, and whoever may have its trial, once */
	    {"U U U", "abcabc"},
	    {"U S H", "aaa"},
	    {"U T U", "abcaca"},
	    {"T T H", "abab"},
	    {"U t U", "acac"},
	    /* draining, unresolved: not even as a last resort */
	    {"D U N", "bbb"},
	    {"D N D", "---"},
	    {"D SN HD", "---"},
	    /* backups only when no other is left */
	    {"*U U *U", "bbb"},
	    {"*U H *U", "acac"},
	    {"*U ~U *U", "acac"},
	    {"*U #U *U", "acac"},
	    {"*U T *U", "bcaca"},
	    {"~*U U H", "bb"},
	    /* full */
	    {"#U U U", "bcbc"},
	    {"#U #U #U", "!!"},
	    {"#U S H", "bb"},
	    {"#U ~U ~U", "!"},
	    {"#U D H", "cc"},
	    {"#*U #U H", "cc"},
	    {"#U D ~H", "!"},
	    /* up, but all were tried: those that are down are left for this request */
	    {"~U S H", "bb"},
	    {"~U t H", "bb"},
	    {"~U ~S H", "c"},
	    {"~U 2S 1S", "c"},
	    {"~U #S H", "c"},
	    {"~U D ~H", "-"},
	    /* nobody is up: soft before hard, the window that ends first first */
	    {"3S 2S 1S", "cccc"},
	    {"3S 2S ~1S", "bb"},
	    {"3S 2S #1S", "bb"},
	    {"#3S #2S #1S", "!"},
	    {"1H 3S 2H", "b"},
	    {"3H 2H 4H", "b"},
	    {"3H ~2H 4H", "-"}, /* one that is down for a hard reason is asked once */
	    {"H S ~H", "b"},
	    {"H ~S ~H", "-"},
	    {"3H ^2H 4H", "a"}, /* it refused only now */
	    {"H ~S ^H", "a"},
	    {"~H ^H H", "-"},
	    {"H t H", "bb"},
	    {"H t 1S", "bb"},
	    {"H ~t 1S", "c"},
	    {"D H ~S", "b"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;
		struct try_record tries[4];
		char got[16] = {0};

		fleet_init(&fleet, 3, NULL);
		size_t count = fleet_arrange(&fleet, cases[i].states, tries);
		for (size_t j = 0; cases[i].picks[j]; j++) {
			const struct ring_request request = {
			    .tries = tries, .count = count, .now_us = 5 * S, .seen_us = 5 * S};
			enum ring_pick_result preview = ring_preview(&fleet.ring, &request);
			enum ring_pick_result result = ring_pick(&fleet.ring, &request);

			assert_int_equal(preview, result);
			got[j] = result == RING_ALL_FULL ? '!' : '-';
			if (result == RING_PICKED)
				got[j] = tries[count].backend->name[0];
		}
		if (strcmp(got, cases[i].picks) != 0)
			fail_msg("%s: %s, expected %s", cases[i].states, got, cases[i].picks);
		fleet_release(&fleet);
	}
}

static size_t count_words(const char *text)
{
	size_t count = 1;

	while ((text = strchr(text, ' ')) && *text++)
		count++;
	return count;
}

/* What one request gets that may wait: before it has waited, and after. */
static void a_request_that_may_wait_is_not_sent_where_it_can_only_fail(void **state)
{
	static const struct {
		const char *states;
		char before, after;
	} cases[] = {
	    {"U H S", 'a', 'a'},
	    {"T H S", 'a', 'a'},
	    /* a trial under way is waited for; those that are down are tried once, before the wait */
	    {"t", '-', '-'},
	    {"t S H", 'b', '-'},
	    {"t H", 'b', '-'},
	    {"t ~H", '-', '-'},
	    {"#U t", '!', '!'},
	    {"#U S", 'b', '!'},
	    {"D N", '-', '-'},
	    /* one that was tried, and has come up since */
	    {"~U", '-', '-'},
	    {"^T", '-', 'a'},
	    {"^t", '-', '-'},
	    {"^H ^S", '-', '-'},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		for (int has_waited = 0; has_waited < 2; has_waited++) {
			struct fleet fleet;
			struct try_record tries[4];
			char wanted = has_waited ? cases[i].after : cases[i].before;

			fleet_init(&fleet, count_words(cases[i].states), NULL);
			size_t count = fleet_arrange(&fleet, cases[i].states, tries);
			const struct ring_request request = {.tries = tries,
			    .count = count,
			    .may_wait = true,
			    .has_waited = has_waited,
			    .now_us = 5 * S,
			    .seen_us = 5 * S};
			enum ring_pick_result result = ring_pick(&fleet.ring, &request);
			char got = result == RING_ALL_FULL ? '!' : '-';

			if (result == RING_PICKED)
				got = tries[count].backend->name[0];
			if (got != wanted)
				fail_msg("\"%s\", %s: %c, not %c", cases[i].states,
				    has_waited ? "after" : "before", got, wanted);
			fleet_release(&fleet);
		}
	}
}

static void usable_is_who_can_be_hoped_for(void **state)
{
	static const struct {
		const char *states;
		size_t up;
		bool usable;
	} cases[] = {
	    {"U U U", 3, true},
	    {"U H H", 1, true},
	    {"*U H H", 1, true},
	    {"T H H", 0, true},
	    {"t H H", 0, true},
	    {"S H H", 0, true},
	    {"H H H", 0, false},
	    {"D DS D", 0, false},
	    {"N N H", 0, false},
	    {"#U #U #U", 3, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;

		fleet_init(&fleet, 3, NULL);
		fleet_arrange(&fleet, cases[i].states, NULL);
		assert_int_equal(ring_count_up(&fleet.ring), cases[i].up);
		assert_int_equal(ring_is_usable(&fleet.ring), cases[i].usable);
		fleet_release(&fleet);
	}
}

/* ---- effective weights */

static void slow_start_ramps_from_a_tenth(void **state)
{
	static const struct {
		int64_t since_ms, weight;
	} cases[] = {
	    {0, 400},
	    {1, 400},
	    {1000, 760},
	    {5000, 2200},
	    {9999, 3960},
	    {10000, 4000},
	    {99999, 4000},
	};
	static const unsigned weights[] = {1, 4};
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, weights);
	assert_int_equal(ring_effective_weight(&fleet.ring, fleet.backends[1], 5 * S), 4000);
	fleet.ring.options.slow_start_us = 10 * S;
	/* It was never down: a start of rondo is no return. */
	assert_int_equal(ring_effective_weight(&fleet.ring, fleet.backends[1], 5 * S), 4000);
	fleet_switch(&fleet, 1, false);
	fleet_set(&fleet, 1, BACKEND_UP, OUTCOME_GOOD, 20 * S);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t now_us = 20 * S + cases[i].since_ms * MS;

		assert_int_equal(
		    ring_effective_weight(&fleet.ring, fleet.backends[1], now_us), cases[i].weight);
	}
	fleet_finish(&fleet);
}

static void a_ramp_grows_into_the_plain_round(void **state)
{
	struct fleet fleet;
	unsigned early = 0;

	(void)state;
	fleet_init(&fleet, 3, NULL);
	fleet.ring.options.slow_start_us = 10 * S;
	fleet_switch(&fleet, 1, false);
	fleet_set(&fleet, 1, BACKEND_UP, OUTCOME_GOOD, 20 * S);
	for (int i = 0; i < 210; i++)
		early += fleet_pick(&fleet, 20 * S) == 'b';
	assert_in_range(early, 9, 11);
	char first = fleet_pick(&fleet, 30 * S);
	for (int i = 1; i < 9; i++)
		assert_int_equal(fleet_pick(&fleet, 30 * S), 'a' + (first - 'a' + i) % 3);
	fleet_finish(&fleet);
}

static void sample(struct fleet *fleet, size_t i, int64_t took_us, int64_t now_us)
{
	latency_sample(&fleet->backends[i]->latency, took_us, now_us);
}

static void expect_shares(struct fleet *fleet, const int64_t *shares, int64_t now_us)
{
	for (size_t i = 0; i < fleet->count; i++)
		assert_int_equal(
		    ring_effective_weight(&fleet->ring, fleet->backends[i], now_us), shares[i]);
}

static void adaptive_weights_follow_response_times(void **state)
{
	static const struct {
		int64_t took_ms[4]; /* 0: no samples; below 0: a failure that took so long */
		int64_t shares[4];
	} cases[] = {
	    {{0, 0, 0, 0}, {1000, 1000, 1000, 1000}}, {{50, 50, 50, 50}, {1000, 1000, 1000, 1000}},
	    {{50, 69, 60, 55}, {1000, 1000, 1000, 1000}},         /* under 20 ms */
	    {{1000, 1190, 1100, 1000}, {1000, 1000, 1000, 1000}}, /* under 20 % */
	    {{50, 100, 200, 5000}, {1000, 500, 250, 100}},
	    {{100, 0, 400, 0}, {1000, 400, 250, 400}},      /* the median is 250 */
	    {{100, -1, 400, -5000}, {1000, 400, 250, 100}}, /* a fast failure is no fast answer */
	    {{-5000, 0, 0, 0}, {1000, 1000, 1000, 1000}},   /* nothing to compare with */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;

		fleet_init(&fleet, 4, NULL);
		for (size_t j = 0; j < 4; j++) {
			int64_t took_us = cases[i].took_ms[j] * MS;

			if (took_us > 0)
				sample(&fleet, j, took_us, 9 * S);
			if (took_us < 0)
				latency_fail(&fleet.backends[j]->latency, -took_us, 9 * S);
		}
		fleet_pick(&fleet, 9 * S);
		expect_shares(&fleet, (int64_t[]){1000, 1000, 1000, 1000}, 9 * S);
		fleet.ring.options.balance = RING_ADAPTIVE;
		fleet_pick(&fleet, 9 * S);
		expect_shares(&fleet, cases[i].shares, 9 * S);
		fleet_finish(&fleet);
	}
}

static void adaptive_ties_are_plain_rotation(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 3, NULL);
	fleet.ring.options.balance = RING_ADAPTIVE;
	for (int i = 0; i < 300; i++) {
		int64_t now_us = 1 * S + (int64_t)i * 40 * MS;
		char picked = fleet_pick(&fleet, now_us);

		assert_int_equal(picked, 'a' + i % 3);
		sample(&fleet, (size_t)(picked - 'a'), (3 + i % 15) * MS, now_us);
	}
	fleet_finish(&fleet);
}

/* One of three is four times as slow: it gets about a quarter of what the others get. When it
 * recovers, so does its share, for it is asked now and then. */
static void a_slow_backend_gets_less_and_comes_back(void **state)
{
	struct fleet fleet;
	unsigned picks[3] = {0}, later[3] = {0};

	(void)state;
	fleet_init(&fleet, 3, NULL);
	fleet.ring.options.balance = RING_ADAPTIVE;
	for (int i = 0; i < 20000; i++) {
		int64_t now_us = 1 * S + (int64_t)i * 5 * MS;
		int picked = fleet_pick(&fleet, now_us) - 'a';
		bool is_slow = picked == 1 && i < 10000;

		if (i >= 2000 && i < 10000)
			picks[picked]++;
		if (i >= 16000)
			later[picked]++;
		sample(&fleet, (size_t)picked, is_slow ? 400 * MS : 100 * MS, now_us);
	}
	assert_in_range(picks[1], (picks[0] + picks[2]) / 2 / 5, (picks[0] + picks[2]) / 2 / 3);
	assert_in_range(later[1], later[0] - 200, later[0] + 200);
	fleet_finish(&fleet);
}

static void shares_are_worked_out_ten_times_a_second(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 2, NULL);
	fleet.ring.options.balance = RING_ADAPTIVE;
	fleet_pick(&fleet, 1 * S);
	sample(&fleet, 0, 100 * MS, 1 * S);
	sample(&fleet, 1, 500 * MS, 1 * S);
	fleet_pick(&fleet, 1 * S + 99 * MS);
	expect_shares(&fleet, (int64_t[]){1000, 1000}, 1 * S);
	fleet_pick(&fleet, 1 * S + 100 * MS);
	expect_shares(&fleet, (int64_t[]){1000, 200}, 1 * S);
	fleet_finish(&fleet);
}

static void backups_are_compared_among_themselves(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 4, NULL);
	fleet.ring.options.balance = RING_ADAPTIVE;
	fleet.backends[2]->options.backup = fleet.backends[3]->options.backup = true;
	sample(&fleet, 0, 1000 * MS, 1 * S);
	sample(&fleet, 1, 2000 * MS, 1 * S);
	sample(&fleet, 2, 50 * MS, 1 * S);
	sample(&fleet, 3, 200 * MS, 1 * S);
	fleet_pick(&fleet, 1 * S);
	expect_shares(&fleet, (int64_t[]){1000, 500, 1000, 250}, 1 * S);
	fleet_finish(&fleet);
}

/* ---- the list */

static void another_list_goes_on_where_the_last_was(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 5, NULL);
	struct backend **b = fleet.backends;

	fleet_expect(&fleet, "ab", 1 * S);
	/* c, whose turn it was, is gone; d is next. */
	struct backend *without[] = {b[4], b[3], b[0], b[1]};
	ring_take_list(&fleet.ring, without, 4);
	assert_int_equal(b[2]->holders, 1);
	assert_int_equal(b[3]->holders, 2);
	fleet_expect(&fleet, "dabedabe", 1 * S);
	ring_take_list(&fleet.ring, NULL, 0);
	fleet_expect(&fleet, "-", 1 * S);
	ring_take_list(&fleet.ring, b, 5);
	fleet_expect(&fleet, "abcde", 1 * S);
	fleet_finish(&fleet);
}

/* From the next pick on, without a debt from before; plain rotation when all are equal again. */
static void the_operators_weight_counts_at_once(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 3, NULL);
	fleet_expect(&fleet, "abca", 1 * S);
	ring_set_weight(&fleet.ring, fleet.backends[0], 4);
	fleet_expect(&fleet, "aabaca", 1 * S);
	ring_set_weight(&fleet.ring, fleet.backends[0], 1);
	fleet_expect(&fleet, "bcabca", 1 * S);
	ring_set_weight(&fleet.ring, fleet.backends[0], 4);
	fleet_expect(&fleet, "aabaca", 1 * S);
	assert_true(fleet.backends[0]->weight_is_override);
	/* Taken back: what its options say. */
	ring_set_weight(&fleet.ring, fleet.backends[0], 0);
	assert_false(fleet.backends[0]->weight_is_override);
	fleet_expect(&fleet, "bcabca", 1 * S);
	fleet_finish(&fleet);
}

static void backends_are_found_by_name(void **state)
{
	struct fleet fleet;

	(void)state;
	fleet_init(&fleet, 3, NULL);
	assert_ptr_equal(ring_find_name(&fleet.ring, STR("b")), fleet.backends[1]);
	assert_null(ring_find_name(&fleet.ring, STR("B")));
	assert_null(ring_find_name(&fleet.ring, STR("")));
	fleet_finish(&fleet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(turns_interleave_by_weight),
	    cmocka_unit_test(nobody_is_left_in_an_empty_ring),
	    cmocka_unit_test(equal_weights_keep_the_order_of_the_list),
	    cmocka_unit_test(a_skipped_backend_gives_its_share_to_all),
	    cmocka_unit_test(shares_are_exact_and_spread),
	    cmocka_unit_test(long_run_shares_are_fair),
	    cmocka_unit_test(a_return_is_no_burst),
	    cmocka_unit_test(nobody_is_owed_more_than_a_round),
	    cmocka_unit_test(a_request_gets_no_backend_twice),
	    cmocka_unit_test(a_try_tells_how_its_backend_stood),
	    cmocka_unit_test(who_is_asked_depends_on_state),
	    cmocka_unit_test(a_request_that_may_wait_is_not_sent_where_it_can_only_fail),
	    cmocka_unit_test(usable_is_who_can_be_hoped_for),
	    cmocka_unit_test(slow_start_ramps_from_a_tenth),
	    cmocka_unit_test(a_ramp_grows_into_the_plain_round),
	    cmocka_unit_test(adaptive_weights_follow_response_times),
	    cmocka_unit_test(adaptive_ties_are_plain_rotation),
	    cmocka_unit_test(a_slow_backend_gets_less_and_comes_back),
	    cmocka_unit_test(shares_are_worked_out_ten_times_a_second),
	    cmocka_unit_test(backups_are_compared_among_themselves),
	    cmocka_unit_test(another_list_goes_on_where_the_last_was),
	    cmocka_unit_test(the_operators_weight_counts_at_once),
	    cmocka_unit_test(backends_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
