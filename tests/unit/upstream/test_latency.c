#include "upstream/latency.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const int64_t MS = 1000;
static const double DOUBLE_MS = 1000;
static const int64_t S = 1000000;

enum kind { NOTHING, ANSWER, FAILURE };

struct event {
	enum kind kind;
	int at_ms;
	int took_ms;
};

struct story {
	const char *name;
	struct event events[6];
	int read_at_ms;
	double low_ms, high_ms; /* what the average must lie between */
};

static const struct story stories[] = {
    {"no sample, no average", {{NOTHING, 0, 0}}, 5000, 0, 0},
    {"the first sample is the average", {{ANSWER, 100, 50}}, 100, 50, 50},
    {"a peak pulls half way at once", {{ANSWER, 0, 100}, {ANSWER, 1, 300}}, 1, 200, 200},
    {"a second peak pulls on", {{ANSWER, 0, 100}, {ANSWER, 1, 300}, {ANSWER, 2, 300}}, 2, 250, 250},
    {"a fast answer right after hardly counts", {{ANSWER, 0, 100}, {ANSWER, 1, 10}}, 1, 99.9, 100},
    {"a fast answer after one time constant", {{ANSWER, 0, 100}, {ANSWER, 10000, 0}}, 10000, 36.7,
	36.9},
    {"after long silence the new sample is the truth", {{ANSWER, 0, 5000}, {ANSWER, 100000, 20}},
	100000, 20, 20.5},
    {"the average decays in silence", {{ANSWER, 0, 100}}, 10000, 36.7, 36.8},
    {"it does not decay before it was sampled", {{ANSWER, 1000, 100}}, 500, 100, 100},
    {"trouble is forgotten within a minute",
	{{ANSWER, 0, 5000}, {ANSWER, 20000, 10}, {ANSWER, 40000, 10}, {ANSWER, 60000, 10}}, 60000,
	10, 30},
    {"a slow failure is a peak", {{ANSWER, 0, 100}, {FAILURE, 1, 5100}}, 1, 2600, 2600},
    {"a fast failure does not make it faster", {{ANSWER, 0, 100}, {FAILURE, 5000, 1}}, 5000, 84,
	85},
    {"nor does it bring back what has decayed", {{ANSWER, 0, 2500}, {FAILURE, 60000, 1}}, 60000, 6,
	13},
    {"fast failures never make it fast",
	{{ANSWER, 0, 100}, {FAILURE, 9000, 1}, {FAILURE, 18000, 1}, {FAILURE, 27000, 1}}, 27000, 27,
	28},
    {"a failure alone is a sample", {{FAILURE, 0, 5000}}, 0, 5000, 5000},
    {"an answer in no time is an answer", {{ANSWER, 0, 0}}, 0, 0.0009, 0.0011},
};

static void the_average_follows_the_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(stories); i++) {
		const struct story *story = &stories[i];
		struct latency latency = {0};

		for (size_t j = 0; j < COUNT(story->events); j++) {
			const struct event *event = &story->events[j];
			int64_t at_us = (int64_t)event->at_ms * MS;
			int64_t took_us = (int64_t)event->took_ms * MS;

			if (event->kind == ANSWER)
				latency_sample(&latency, took_us, at_us);
			if (event->kind == FAILURE)
				latency_fail(&latency, took_us, at_us);
		}
		double average_ms =
		    latency_average_us(&latency, (int64_t)story->read_at_ms * MS) / DOUBLE_MS;
		if (average_ms < story->low_ms || average_ms > story->high_ms)
			fail_msg("%s: %f", story->name, average_ms);
	}
}

static void failures_alone_are_a_lower_bound(void **state)
{
	struct latency latency = {0};

	(void)state;
	latency_fail(&latency, 1 * MS, 1 * S);
	assert_true(latency.at_least);
	latency_fail(&latency, 5 * MS, 2 * S);
	assert_true(latency.at_least);
	latency_sample(&latency, 30 * MS, 3 * S);
	assert_false(latency.at_least);
	latency_fail(&latency, 5 * MS, 4 * S);
	assert_false(latency.at_least);
}

static void an_average_never_rises_without_samples(void **state)
{
	struct latency latency = {0};
	double last = 1e12;

	(void)state;
	latency_sample(&latency, 700 * MS, 0);
	for (int64_t now_us = 0; now_us < 100 * S; now_us += 333 * MS) {
		double average = latency_average_us(&latency, now_us);

		assert_true(average > 0 && average <= last);
		last = average;
	}
	assert_true(last < DOUBLE_MS);
}

static void the_factor_ignores_small_differences(void **state)
{
	static const struct {
		double own_ms, best_ms, factor;
	} cases[] = {
	    {100, 100, 1}, /* the best itself */
	    {19, 1, 1},    /* under 20 ms */
	    {20.9, 1, 1},
	    {1190, 1000, 1}, /* under 20 % */
	    {1199, 1000, 1},
	    {1200, 1000, 1.0 / 1.2}, /* neither */
	    {100, 50, 0.5},
	    {200, 50, 0.25},
	    {500, 50, 0.1},
	    {5000, 50, 0.1}, /* never less than a tenth */
	    {50, 100, 1},    /* faster than the best of before */
	    {0, 100, 1},
	    {100, 0, 0.1},
	    {0, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		double factor =
		    latency_factor(cases[i].own_ms * DOUBLE_MS, cases[i].best_ms * DOUBLE_MS);

		if (factor < cases[i].factor - 1e-9 || factor > cases[i].factor + 1e-9)
			fail_msg("%f of %f: %f", cases[i].own_ms, cases[i].best_ms, factor);
	}
}

static void the_median_is_in_the_middle(void **state)
{
	double many[] = {9, 1, 5, 3, 7};
	double even[] = {4, 1, 3, 2};
	double one[] = {6};

	(void)state;
	assert_true(latency_median(NULL, 0) == 0);
	assert_true(latency_median(one, 1) == 6);
	assert_true(latency_median(even, 4) == 2.5);
	assert_true(latency_median(many, 5) == 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_average_follows_the_samples),
	    cmocka_unit_test(failures_alone_are_a_lower_bound),
	    cmocka_unit_test(an_average_never_rises_without_samples),
	    cmocka_unit_test(the_factor_ignores_small_differences),
	    cmocka_unit_test(the_median_is_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
