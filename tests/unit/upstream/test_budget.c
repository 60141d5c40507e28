#include "upstream/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const int64_t SECOND_US = 1000000;

static unsigned take_all(struct budget *budget, unsigned percent, int64_t now_us)
{
	unsigned taken = 0;

	while (taken < 100000 && budget_take_retry(budget, percent, now_us))
		taken++;
	return taken;
}

static void send_requests(struct budget *budget, unsigned count, int64_t now_us)
{
	for (unsigned i = 0; i < count; i++)
		budget_request(budget, now_us);
}

static void retries_are_a_share_of_the_requests(void **state)
{
	static const struct {
		unsigned requests, percent, retries;
	} cases[] = {
	    {0, 20, 100}, /* ten a second are free */
	    {0, 0, 100}, {1000, 0, 100}, {1000, 20, 300}, {1000, 99, 1090}, {4, 20, 100},
	    {5, 20, 101}, {1000, 100, 100000}, /* no limit */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct budget budget = {0};

		send_requests(&budget, cases[i].requests, 77 * SECOND_US);
		assert_int_equal(
		    take_all(&budget, cases[i].percent, 77 * SECOND_US), cases[i].retries);
	}
}

static void what_is_ten_seconds_ago_is_forgotten(void **state)
{
	struct budget budget = {0};

	(void)state;
	send_requests(&budget, 1000, 100 * SECOND_US);
	assert_int_equal(take_all(&budget, 20, 100 * SECOND_US), 300);
	/* The requests still count, and so do the retries. */
	assert_int_equal(take_all(&budget, 20, 110 * SECOND_US - 1), 0);
	assert_int_equal(take_all(&budget, 20, 110 * SECOND_US), 100);
	assert_int_equal(budget.request_sum, 0);
	assert_int_equal(budget.retry_sum, 100);
}

static void a_long_silence_clears_everything(void **state)
{
	struct budget budget = {0};

	(void)state;
	send_requests(&budget, 10, 3 * SECOND_US);
	send_requests(&budget, 10, 9 * SECOND_US);
	assert_int_equal(take_all(&budget, 20, 9 * SECOND_US), 104);
	assert_int_equal(take_all(&budget, 20, 4000 * SECOND_US), 100);
	assert_int_equal(budget.request_sum, 0);
}

static void the_sums_are_those_of_the_slots(void **state)
{
	struct budget budget = {0};
	int64_t now_us = 0;

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		uint64_t requests = 0, retries = 0;

		now_us += (int64_t)i * 7919 % (3 * SECOND_US);
		send_requests(&budget, i % 13, now_us);
		budget_take_retry(&budget, 20, now_us);
		for (size_t j = 0; j < BUDGET_SLOTS; j++) {
			requests += budget.requests[j];
			retries += budget.retries[j];
		}
		assert_int_equal(requests, budget.request_sum);
		assert_int_equal(retries, budget.retry_sum);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(retries_are_a_share_of_the_requests),
	    cmocka_unit_test(what_is_ten_seconds_ago_is_forgotten),
	    cmocka_unit_test(a_long_silence_clears_everything),
	    cmocka_unit_test(the_sums_are_those_of_the_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
