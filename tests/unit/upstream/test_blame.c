/*
 * Whole situations in virtual time: requests arrive at random, backends fail by a rule, ring, verdict and budget decide as
 * they do at work. Each row bounds what clients and backends may notice of it. Answers take no time, so what is tested is the
 * rule alone.
 */
#include "fleet.h"
#include "upstream/verdict.h"

#include <math.h>

enum { TRIES = 3, BUDGET_PERCENT = 20 };

/* What a backend knows of a request when it decides to fail it. */
struct hit {
	int64_t at_us; /* since the begin */
	size_t backend;
	uint64_t count;    /* of requests to this backend so far, this one included */
	bool is_once;      /* a POST */
	double of_request; /* 0 to 1, the same for all tries of a request */
	double of_try;     /* 0 to 1, another one for each try */
};

struct situation {
	const char *name;
	size_t backends;
	unsigned per_second, seconds;
	double once; /* share of POSTs */
	bool (*fails)(const struct hit *hit);
	/* At most so many errors of a thousand requests, and no backend with more of the good answers
	 * than this share; on average at least so many up. */
	double errors, busiest, up;
	double to_first; /* at most this share of the requests is sent to the first backend */
};

struct outcome_of_run {
	uint64_t requests, errors, good[FLEET_LIMIT], hits[FLEET_LIMIT], all_good;
	double up;
};

struct run {
	const struct situation *situation;
	struct fleet fleet;
	unsigned random;
	int64_t now_us;
	struct outcome_of_run result;
};

static double draw(struct run *run)
{
	return (fleet_random(&run->random, 1U << 20) + 0.5) / (double)(1U << 20);
}

/* rondo's own connects always work here. */
static void probe_all(struct run *run)
{
	for (size_t i = 0; i < run->fleet.count; i++) {
		const struct try_record good = {.backend = run->fleet.backends[i]};

		if (good.backend->state == BACKEND_DOWN && good.backend->until_us <= run->now_us)
			verdict_probed(&run->fleet.ring, &good, run->now_us);
	}
}

static bool send_to(struct run *run, struct try_record *try, const struct hit *of_request)
{
	struct hit hit = *of_request;

	hit.backend = (size_t)(try->backend->name[0] - 'a');
	hit.count = ++run->result.hits[hit.backend];
	hit.of_try = draw(run);
	bool fails = run->situation->fails(&hit);
	try->outcome = fails ? OUTCOME_STATUS : OUTCOME_GOOD;
	try->status = fails ? 500 : 200;
	run->result.good[hit.backend] += !fails;
	run->result.all_good += !fails;
	return !fails;
}

static bool may_go_on(struct run *run, struct try_record *tries, size_t count, bool is_once)
{
	struct ring *ring = &run->fleet.ring;
	const struct ring_request request = {
	    .tries = tries, .count = count, .now_us = run->now_us, .seen_us = run->now_us};

	return !is_once && count < TRIES && ring_preview(ring, &request) == RING_PICKED &&
	       budget_take_retry(&ring->budget, BUDGET_PERCENT, run->now_us);
}

static void one_request(struct run *run, int64_t began_us)
{
	struct ring *ring = &run->fleet.ring;
	struct try_record tries[TRIES];
	struct verdict_case judged = {.tries = tries};
	struct hit hit = {.at_us = run->now_us - began_us, .of_request = draw(run)};
	bool is_good = false;

	hit.is_once = draw(run) < run->situation->once;
	judged.is_repeatable = !hit.is_once;
	budget_request(&ring->budget, run->now_us);
	run->result.requests++;
	run->result.up += (double)ring_count_up(ring);
	do {
		const struct ring_request request = {.tries = tries,
		    .count = judged.count,
		    .now_us = run->now_us,
		    .seen_us = run->now_us};

		if (ring_pick(ring, &request) != RING_PICKED)
			break;
		is_good = send_to(run, &tries[judged.count++], &hit);
	} while (!is_good && may_go_on(run, tries, judged.count, hit.is_once));
	verdict_settle(ring, &judged, run->now_us);
	if (is_good)
		verdict_completed(&tries[judged.count - 1], !hit.is_once, run->now_us);
	run->result.errors += !is_good;
}

static struct outcome_of_run run_through(const struct situation *situation)
{
	struct run run = {.situation = situation, .random = 1, .now_us = 1000 * S};
	int64_t began_us = run.now_us;

	fleet_init(&run.fleet, situation->backends, NULL);
	while (run.now_us < began_us + situation->seconds * S) {
		run.now_us += (int64_t)(-log(draw(&run)) / situation->per_second * 1e6) + 1;
		probe_all(&run);
		one_request(&run, began_us);
	}
	fleet_finish(&run.fleet);
	return run.result;
}

/* ---- rules by which backends fail */

static bool is_first_after_20_s(const struct hit *hit)
{
	return hit->backend == 0 && hit->at_us > 20 * S;
}

static bool one_percent(const struct hit *hit)
{
	return hit->of_try < .01;
}

static bool a_tenth_percent(const struct hit *hit)
{
	return hit->of_try < .001;
}

static bool five_percent(const struct hit *hit)
{
	return hit->of_try < .05;
}

static bool twenty_percent(const struct hit *hit)
{
	return hit->of_try < .2;
}

static bool two_break(const struct hit *hit)
{
	return hit->backend < 2 && hit->at_us > 20 * S;
}

static bool three_break_and_one_flakes(const struct hit *hit)
{
	return (hit->backend < 3 && hit->at_us > 20 * S) || one_percent(hit);
}

static bool one_breaks_and_all_flake(const struct hit *hit)
{
	return is_first_after_20_s(hit) || one_percent(hit);
}

static bool one_alternates(const struct hit *hit)
{
	return hit->backend == 0 && hit->count % 2 == 1;
}

static bool all_alternate(const struct hit *hit)
{
	return hit->count % 2 == 1;
}

static bool most_requests_are_poison(const struct hit *hit)
{
	return hit->of_request < .6;
}

static bool some_posts_are_poison(const struct hit *hit)
{
	return hit->is_once && hit->of_request < .3;
}

static bool all_fail_for_3_s(const struct hit *hit)
{
	return hit->at_us > 3 * S && hit->at_us < 6 * S;
}

static bool first_fails_posts(const struct hit *hit)
{
	return hit->is_once && hit->backend == 0;
}

static bool first_fails_all(const struct hit *hit)
{
	return hit->backend == 0;
}

static const struct situation situations[] = {
    {"1 % random failures, four backends", 4, 200, 60, 0, one_percent, 0, .28, 3.8, 1},
    {"0.1 % random failures", 4, 200, 60, 0, a_tenth_percent, 0, .27, 4, 1},
    {"5 % random failures", 4, 200, 60, 0, five_percent, 1, .35, 3, 1},
    {"20 % random failures, three backends", 3, 200, 60, 0, twenty_percent, 15, .5, 2, 1},
    {"1 % random failures, two backends", 2, 200, 60, 0, one_percent, 1, .55, 1.9, 1},
    {"1 % random failures, nine backends", 9, 200, 60, 0, one_percent, 0, .13, 8.4, 1},
    {"one of four breaks after a good time", 4, 200, 60, 0, is_first_after_20_s, 0, .35, 3.3, .09},
    {"two of three break", 3, 200, 60, 0, two_break, 0, .8, 1.6, .12},
    {"three of four break, the last flakes", 4, 200, 60, 0, three_break_and_one_flakes, 40, .8, 1.9,
	.1},
    {"one of four breaks, all flake", 4, 200, 60, 0, one_breaks_and_all_flake, 0, .36, 3.2, .1},
    {"one of three alternates", 3, 50, 60, 0, one_alternates, 0, .55, 1.9, .02},
    {"all of four alternate", 4, 200, 60, 0, all_alternate, 400, 1, 1, 1},
    {"60 % of GETs are poison", 4, 200, 30, 0, most_requests_are_poison, 625, .27, 4, 1},
    {"60 % of POSTs are poison", 4, 200, 30, 1, most_requests_are_poison, 625, .27, 4, 1},
    {"30 % of POSTs among GETs are poison", 4, 200, 60, .5, some_posts_are_poison, 160, .27, 4, 1},
    {"everything fails for 3 s", 4, 200, 10, 0, all_fail_for_3_s, 330, .27, 4, 1},
    {"everything fails for 3 s, POSTs as well", 4, 200, 10, .5, all_fail_for_3_s, 330, .27, 4, 1},
    {"one of four is broken for POSTs", 4, 200, 60, .5, first_fails_posts, 2, .36, 2.9, .02},
    {"one of four is broken, POSTs only", 4, 200, 60, 1, first_fails_all, 2, .36, 2.9, .01},
    {"two of nine break", 9, 200, 60, 0, two_break, 0, .15, 7.4, .05},
    {"quiet, one of three breaks after a while", 3, 1, 300, .3, is_first_after_20_s, 60, .6, 1.5,
	.15},
};

static void every_situation_keeps_within_its_bounds(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(situations); i++) {
		const struct situation *situation = &situations[i];
		struct outcome_of_run run = run_through(situation);
		double requests = (double)run.requests, up = run.up / requests, busiest = 0;

		for (size_t j = 0; j < situation->backends; j++)
			busiest = fmax(busiest, (double)run.good[j] / (double)(run.all_good + 1));
		double errors = 1000 * (double)run.errors / requests;
		double to_first = (double)run.hits[0] / requests;
		bool is_within = errors <= situation->errors && busiest <= situation->busiest &&
				 up >= situation->up && to_first <= situation->to_first;

		failures += !is_within;
		print_message(
		    "%s%s: %.2f errors of 1000, busiest %.3f, %.2f up, %.3f to the first\n",
		    is_within ? "" : "OUT OF BOUNDS: ", situation->name, errors, busiest, up,
		    to_first);
	}
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_situation_keeps_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
