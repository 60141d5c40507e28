#include "fleet.h"

/* balance = "least_requests". Requests in flight are `active`; no test opens a connection. */

static void begin(struct fleet *fleet, size_t count, const unsigned *weights)
{
	fleet_init(fleet, count, weights);
	fleet->ring.options.balance = RING_LEAST_REQUESTS;
}

static void set_active(struct fleet *fleet, const unsigned *active)
{
	for (size_t i = 0; i < fleet->count; i++)
		fleet->backends[i]->active = active[i];
}

static void finish(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++)
		fleet->backends[i]->active = 0;
	fleet_finish(fleet);
}

/* Picks whose requests all end before the next one. */
static void the_fewest_requests_for_the_weight_decide(void **state)
{
	static const struct {
		size_t count;
		unsigned weights[4], active[4];
		const char *picks;
	} cases[] = {
	    /* Without load: the turns of round robin. */
	    {3, {1, 1, 1}, {0, 0, 0}, "abcabcabc"},
	    {2, {3, 1}, {0, 0}, "aabaaaba"},
	    {3, {5, 1, 1}, {0, 0, 0}, "aabacaaaabacaa"},
	    /* Equals among others. */
	    {4, {1, 1, 1, 1}, {2, 1, 1, 5}, "bcbcbc"},
	    {4, {1, 1, 1, 1}, {9, 8, 8, 8}, "bcdbcd"},
	    {4, {1, 1, 1, 1}, {1, 0, 1, 1}, "bbbb"},
	    /* For the weight. */
	    {2, {2, 1}, {2, 1}, "abaaba"},
	    {2, {2, 1}, {3, 1}, "bbbb"},
	    {2, {3, 1}, {2, 1}, "aaaa"},
	    {3, {3, 1, 1}, {3, 1, 2}, "aabaaaba"},
	    {2, {1000, 1}, {999, 1}, "aaaa"},
	    {2, {1000, 999}, {1000, 1000}, "aaaa"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fleet fleet;

		begin(&fleet, cases[i].count, cases[i].weights);
		set_active(&fleet, cases[i].active);
		fleet_expect(&fleet, cases[i].picks, 1 * S);
		finish(&fleet);
	}
}

/* Requests come and go at random: whoever is picked has no more in flight for its weight than any
 * other, and of equals with equal weights it is the next of the list. */
static void nobody_with_more_is_picked(void **state)
{
	unsigned random = 7;

	(void)state;
	for (unsigned run = 0; run < 40; run++) {
		struct fleet fleet;
		unsigned weights[8];
		size_t count = 2 + fleet_random(&random, 7), next = 0;

		for (size_t i = 0; i < count; i++)
			weights[i] = run % 2 ? 1 + fleet_random(&random, 9) : 3;
		begin(&fleet, count, weights);
		for (int i = 0; i < 1000; i++) {
			struct backend *ended =
			    fleet.backends[fleet_random(&random, (unsigned)count)];
			size_t picked = (size_t)(fleet_pick(&fleet, 1 * S) - 'a');
			unsigned own = fleet.backends[picked]->active;

			for (size_t j = 0; j < count; j++) {
				size_t position = (next + j) % count;
				unsigned other = fleet.backends[position]->active;

				assert_true(own * weights[position] <= other * weights[picked]);
				if (run % 2 == 0 && position == picked)
					break;
				assert_true(run % 2 || own < other);
			}
			next = (picked + 1) % count;
			fleet.backends[picked]->active++;
			if (ended->active > 0 && i % 9)
				ended->active--;
		}
		finish(&fleet);
	}
}

/* A busy one is owed no turns: it takes part again as one of all. */
static void the_end_of_a_load_is_no_burst(void **state)
{
	struct fleet fleet;

	(void)state;
	begin(&fleet, 3, (unsigned[]){2, 1, 1});
	set_active(&fleet, (unsigned[]){1, 0, 0});
	fleet_expect(&fleet, "bcbcbcbcbcbcbcbcbcbc", 1 * S);
	set_active(&fleet, (unsigned[]){0, 0, 0});
	fleet_expect(&fleet, "abcaabca", 1 * S);
	finish(&fleet);
}

static void backups_and_full_ones_stay_out(void **state)
{
	struct fleet fleet;

	(void)state;
	begin(&fleet, 4, NULL);
	fleet.backends[3]->options.backup = true;
	fleet.backends[0]->options.max_connections = 2;
	set_active(&fleet, (unsigned[]){2, 7, 9, 0});
	fleet_expect(&fleet, "bb", 1 * S);
	set_active(&fleet, (unsigned[]){1, 7, 9, 0});
	fleet_expect(&fleet, "aa", 1 * S);
	fleet_switch(&fleet, 0, false);
	fleet_switch(&fleet, 1, false);
	fleet_switch(&fleet, 2, false);
	fleet_expect(&fleet, "dd", 1 * S);
	finish(&fleet);
}

/* A request goes on to the next lightest. */
static void those_that_were_tried_stay_out(void **state)
{
	struct fleet fleet;
	struct try_record tries[4] = {0};
	struct ring_request request = {.tries = tries, .now_us = 1 * S, .seen_us = 1 * S};

	(void)state;
	begin(&fleet, 3, NULL);
	set_active(&fleet, (unsigned[]){3, 0, 1});
	for (; request.count < 3; request.count++)
		assert_int_equal(ring_pick(&fleet.ring, &request), RING_PICKED);
	assert_ptr_equal(tries[0].backend, fleet.backends[1]);
	assert_ptr_equal(tries[1].backend, fleet.backends[2]);
	assert_ptr_equal(tries[2].backend, fleet.backends[0]);
	assert_int_equal(ring_pick(&fleet.ring, &request), RING_NOBODY);
	finish(&fleet);
}

/* What has just come back carries a tenth of its weight. */
static void slow_start_makes_a_request_heavy(void **state)
{
	struct fleet fleet;

	(void)state;
	begin(&fleet, 2, NULL);
	fleet.ring.options.slow_start_us = 10 * S;
	fleet_switch(&fleet, 0, false);
	fleet_switch(&fleet, 0, true);
	set_active(&fleet, (unsigned[]){1, 9});
	fleet_expect(&fleet, "bb", 1 * S);
	set_active(&fleet, (unsigned[]){1, 11});
	fleet_expect(&fleet, "aa", 1 * S);
	set_active(&fleet, (unsigned[]){1, 2});
	fleet_expect(&fleet, "b", 4 * S);
	fleet_expect(&fleet, "a", 8 * S);
	finish(&fleet);
}

/* Old requests there may never end: tunnels, say. */
static void a_trial_does_not_wait_for_old_requests(void **state)
{
	struct fleet fleet;

	(void)state;
	begin(&fleet, 3, NULL);
	set_active(&fleet, (unsigned[]){0, 50, 0});
	fleet_expect(&fleet, "acac", 1 * S);
	fleet_set(&fleet, 1, BACKEND_TRIAL, OUTCOME_LATE, 1 * S);
	fleet_expect(&fleet, "abcac", 1 * S);
	finish(&fleet);
}

/* A silent one is looked at now and then, whatever it owes; if only silent ones are left, the one
 * that owes less. */
static void a_look_does_not_ask_how_much_is_owed(void **state)
{
	struct fleet fleet;
	struct try_record tries[2] = {0};
	struct ring_request request = {
	    .tries = tries, .may_move = true, .now_us = 2 * S, .seen_us = 2 * S};

	(void)state;
	begin(&fleet, 3, NULL);
	fleet.env.silence.options = (struct silence_options){50 * MS, 5};
	fleet.env.silence.answered_us = 2 * S;
	set_active(&fleet, (unsigned[]){9, 7, 0});
	for (size_t i = 0; i < 2; i++) {
		fleet.backends[i]->silence.owed_count = 7;
		fleet.backends[i]->silence.quiet_us = 1 * S;
	}
	fleet.backends[1]->silence.looked_us = 2 * S;
	fleet_expect(&fleet, "cc", 2 * S);
	assert_int_equal(ring_pick(&fleet.ring, &request), RING_PICKED);
	assert_ptr_equal(tries[0].backend, fleet.backends[0]);
	assert_int_equal(fleet.backends[0]->silence.looked_us, 2 * S);
	fleet_switch(&fleet, 2, false);
	fleet_expect(&fleet, "bb", 2 * S);
	finish(&fleet);
}

/* The rescue of a request goes to the one with the fewest. */
static void a_second_backend_is_the_lightest(void **state)
{
	struct fleet fleet;
	struct try_record tries[4] = {0};
	struct ring_request request = {.tries = tries, .now_us = 1 * S, .seen_us = 1 * S};

	(void)state;
	begin(&fleet, 4, NULL);
	set_active(&fleet, (unsigned[]){4, 3, 2, 0});
	fleet.backends[3]->options.backup = true;
	assert_true(ring_pick_second(&fleet.ring, &request, 1 * S));
	assert_ptr_equal(tries[0].backend, fleet.backends[2]);
	fleet.ring.options.balance = RING_ROUND_ROBIN;
	assert_true(ring_pick_second(&fleet.ring, &request, 1 * S));
	assert_ptr_equal(tries[0].backend, fleet.backends[0]);
	finish(&fleet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_fewest_requests_for_the_weight_decide),
	    cmocka_unit_test(nobody_with_more_is_picked),
	    cmocka_unit_test(the_end_of_a_load_is_no_burst),
	    cmocka_unit_test(backups_and_full_ones_stay_out),
	    cmocka_unit_test(those_that_were_tried_stay_out),
	    cmocka_unit_test(slow_start_makes_a_request_heavy),
	    cmocka_unit_test(a_trial_does_not_wait_for_old_requests),
	    cmocka_unit_test(a_look_does_not_ask_how_much_is_owed),
	    cmocka_unit_test(a_second_backend_is_the_lightest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
