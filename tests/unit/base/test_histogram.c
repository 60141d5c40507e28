#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const int64_t S = 1000000;

static const int64_t bounds_us[HISTOGRAM_BUCKETS - 1] = {
    1000, 2000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 20000, 30000, 40000, 50000, 60000};

static void quantiles_are_estimated_within_their_bucket(void **state)
{
	static const struct {
		uint64_t counts[HISTOGRAM_BUCKETS];
		double fraction, seconds;
	} cases[] = {
	    {{0}, 0.5, 0},
	    {{10}, 0.5, 0.0005},
	    {{10}, 1.0, 0.001},
	    {{0, 10}, 0.5, 0.0015},
	    {{5, 0, 5}, 0.5, 0.001},
	    {{5, 0, 5}, 0.99, 0.00396},
	    {{[HISTOGRAM_BUCKETS - 1] = 7}, 0.5, 0.06},
	    {{99, [HISTOGRAM_BUCKETS - 1] = 1}, 0.99, 0.001},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_float_equal(
		    histogram_quantile_s(cases[i].counts, bounds_us, cases[i].fraction),
		    cases[i].seconds, 1e-9);
}

static void values_fall_into_buckets_up_to_their_bound(void **state)
{
	static const struct {
		int64_t value_us;
		size_t bucket;
	} cases[] = {{0, 0}, {1000, 0}, {1001, 1}, {60000, HISTOGRAM_BUCKETS - 2},
	    {60001, HISTOGRAM_BUCKETS - 1}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct histogram histogram = {0};

		histogram_note(&histogram, bounds_us, cases[i].value_us, 1 * S);
		assert_int_equal(histogram.counts[cases[i].bucket], 1);
		assert_int_equal(histogram.sum_us, cases[i].value_us);
	}
}

static uint64_t recent(const struct histogram *histogram, int64_t now_us)
{
	uint64_t counts[HISTOGRAM_BUCKETS];

	histogram_recent(histogram, now_us, counts);
	return histogram_total(counts);
}

static void recent_are_the_values_of_one_to_two_spans(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	assert_int_equal(recent(&histogram, 1000 * S), 0);
	histogram_note(&histogram, bounds_us, 1, 1000 * S);
	assert_int_equal(recent(&histogram, 1009 * S), 1);
	assert_int_equal(recent(&histogram, 1011 * S), 1);
	assert_int_equal(recent(&histogram, 1020 * S), 0);
	histogram_note(&histogram, bounds_us, 1, 1011 * S);
	assert_int_equal(recent(&histogram, 1020 * S), 2);
	assert_int_equal(recent(&histogram, 1021 * S), 1);
	histogram_note(&histogram, bounds_us, 1, 1022 * S);
	assert_int_equal(recent(&histogram, 1022 * S), 2);
	histogram_note(&histogram, bounds_us, 1, 1100 * S);
	assert_int_equal(recent(&histogram, 1100 * S), 1);
	assert_int_equal(histogram_total(histogram.counts), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(quantiles_are_estimated_within_their_bucket),
	    cmocka_unit_test(values_fall_into_buckets_up_to_their_bound),
	    cmocka_unit_test(recent_are_the_values_of_one_to_two_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
