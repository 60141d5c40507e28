/* How often the log may say the same, in one second and in the next. */
#include "proxy/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct reports reports;

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	reports_init(&reports, loop_create());
	return reports.loop ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	reports_finish(&reports);
	assert_int_equal(loop_timers(reports.loop)->count, 0);
	loop_destroy(reports.loop);
	return 0;
}

static unsigned take(const char *reason, unsigned times)
{
	unsigned said = 0;

	while (times--)
		said += reports_take(&reports, LOG_LEVEL_INFO, reason);
	return said;
}

static void ten_lines_of_each_reason_are_said(void **state)
{
	(void)state;
	assert_int_equal(take("timeout", 9), 9);
	assert_int_equal(take("reset", 25), 10);
	assert_int_equal(take("timeout", 25), 1);
	assert_true(timer_is_armed(&reports.timer));
	assert_int_equal(reports.reasons[0].left_out, 24);
	assert_int_equal(reports.reasons[1].left_out, 15);
}

static void the_next_second_begins_anew(void **state)
{
	(void)state;
	take("timeout", 11);
	int64_t ends_us = reports.ends_us;
	timers_run(loop_timers(reports.loop), ends_us - 1);
	assert_int_equal(take("timeout", 1), 0);
	timers_run(loop_timers(reports.loop), ends_us);
	assert_false(timer_is_armed(&reports.timer));
	assert_int_equal(take("timeout", 11), 10);
	/* Nothing was left out, so no timer ran. */
	reports.ends_us = loop_now_us(reports.loop);
	assert_int_equal(take("timeout", 11), 10);
}

static void beyond_so_many_reasons_they_count_together(void **state)
{
	static char names[3 * REPORTS_REASONS][8];
	unsigned said = 0;

	(void)state;
	for (unsigned i = 0; i < 3 * REPORTS_REASONS; i++) {
		snprintf(names[i], sizeof(names[i]), "r%u", i);
		said += take(names[i], 1);
	}
	assert_int_equal(said, REPORTS_REASONS - 1 + REPORTS_A_SECOND);
	assert_int_equal(reports.count, REPORTS_REASONS);
	assert_string_equal(reports.reasons[REPORTS_REASONS - 1].text, "other reasons");
}

static void what_is_not_logged_is_not_counted(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(take("timeout", 100), 0);
	assert_int_equal(reports.count, 0);
	assert_false(timer_is_armed(&reports.timer));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(ten_lines_of_each_reason_are_said),
	    TEST(the_next_second_begins_anew),
	    TEST(beyond_so_many_reasons_they_count_together),
	    TEST(what_is_not_logged_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
