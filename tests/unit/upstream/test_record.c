#include "upstream/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* '+' a good answer, '-' a failed one, a microsecond after each other from 1 on. */
static struct record record_of(const char *entries)
{
	struct record record = {0};

	for (size_t i = 0; entries[i]; i++)
		record_add(&record, entries[i] == '-', (int64_t)i + 1);
	return record;
}

static void the_last_sixteen_count(void **state)
{
	static const struct {
		const char *entries;
		unsigned good, failed, streak;
	} cases[] = {
	    {"", 0, 0, 0},
	    {"+", 1, 0, 0},
	    {"-", 0, 1, 1},
	    {"+-", 1, 1, 1},
	    {"-+", 1, 1, 0},
	    {"--++---", 2, 5, 3},
	    {"----------------", 0, 16, 16},
	    {"--------------------", 0, 16, 20},
	    {"-++++++++++++++++", 16, 0, 0},
	    {"--+++++++++++++++", 15, 1, 0},
	    {"++++++++++++++++-", 15, 1, 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct record record = record_of(cases[i].entries);
		struct record_sum sum = record_sum(&record);

		if (sum.good != cases[i].good || sum.failed != cases[i].failed ||
		    record.streak != cases[i].streak)
			fail_msg("%s: %u good, %u failed, %u in a row", cases[i].entries, sum.good,
			    sum.failed, record.streak);
	}
}

static void entries_count_from_a_time_on(void **state)
{
	static const struct {
		const char *entries;
		int64_t from_us;
		unsigned good, failed;
	} cases[] = {
	    {"+-+-", 0, 2, 2},
	    {"+-+-", 2, 1, 2},
	    {"+-+-", 4, 0, 1},
	    {"+-+-", 5, 0, 0},
	    {"++++++++++++++++---", 1, 13, 3},
	    {"++++++++++++++++---", 16, 1, 3},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct record record = record_of(cases[i].entries);
		struct record_sum sum = record_sum_since(&record, cases[i].from_us);

		assert_int_equal(sum.good, cases[i].good);
		assert_int_equal(sum.failed, cases[i].failed);
	}
}

static void a_streak_tells_when_it_began(void **state)
{
	struct record record = record_of("+--");

	(void)state;
	assert_int_equal(record.streak_us, 2);
	record_add(&record, false, 9);
	record_add(&record, true, 10);
	assert_int_equal(record.streak, 1);
	assert_int_equal(record.streak_us, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_last_sixteen_count),
	    cmocka_unit_test(entries_count_from_a_time_on),
	    cmocka_unit_test(a_streak_tells_when_it_began),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
