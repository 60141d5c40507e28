/* The history: what is kept, in what order, and what each says. */
#include "admin/history.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const int64_t S = 1000000;

static struct backend backend_of(enum backend_state state, enum outcome reason)
{
	static char name[] = "app2", host[] = "app.example";

	return (struct backend){
	    .name = name,
	    .host = host,
	    .state = state,
	    .reason = reason,
	    .reason_status = reason == OUTCOME_STATUS ? 503 : 0,
	    .window_us = 10 * S,
	    .left_up_us = 100 * S,
	    .returned = RETURN_BY_TRIAL,
	    .since_us = 130 * S,
	};
}

static void changes_say_why(void **state)
{
	static const struct {
		enum backend_state state;
		enum outcome reason;
		const char *word, *reason_word, *text;
	} cases[] = {
	    {BACKEND_DOWN, OUTCOME_REFUSED, "down", "refused", "connection refused (10 s)"},
	    {BACKEND_DOWN, OUTCOME_STATUS, "down", "status", "status 503 (10 s)"},
	    {BACKEND_DOWN, OUTCOME_LATE, "down", "timeout", "no answer in time (10 s)"},
	    {BACKEND_DOWN, OUTCOME_CHECK, "down", "check", "health checks failed"},
	    {BACKEND_TRIAL, OUTCOME_RESET, "trial", "reset",
		"a probe succeeded, the next request decides"},
	    {BACKEND_UP, OUTCOME_GOOD, "up", "", "trial succeeded, after 30 s"},
	};
	struct history history = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct backend backend = backend_of(cases[i].state, cases[i].reason);

		history_note_state(&history, &backend);
		const struct history_event *event = history_get(&history, 0);
		assert_int_equal(event->number, i + 1);
		assert_true(event->when_unix_us > 0);
		assert_string_equal(event->backend, "app2");
		assert_string_equal(event->state, cases[i].word);
		assert_string_equal(event->reason, cases[i].reason_word);
		assert_string_equal(event->text, cases[i].text);
	}
}

static void the_newest_are_kept(void **state)
{
	struct history history = {0};

	(void)state;
	assert_int_equal(history_count(&history), 0);
	for (int i = 1; i <= HISTORY_KEPT + 7; i++)
		history_note(&history, NULL, "change %d", i);
	assert_int_equal(history_count(&history), HISTORY_KEPT);
	assert_string_equal(history_get(&history, 0)->text, "change 107");
	assert_int_equal(history_get(&history, 0)->number, HISTORY_KEPT + 7);
	assert_string_equal(history_get(&history, HISTORY_KEPT - 1)->text, "change 8");
	assert_string_equal(history_get(&history, 0)->backend, "");
}

static void text_that_is_too_long_is_cut(void **state)
{
	static char name[2 * HISTORY_NAME_SIZE], text[2 * HISTORY_TEXT_SIZE];
	struct history history = {0};
	struct backend backend = {.name = name};

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memset(text, 't', sizeof(text) - 1);
	history_note(&history, &backend, "%s", text);
	assert_int_equal(strlen(history_get(&history, 0)->backend), HISTORY_NAME_SIZE - 1);
	assert_int_equal(strlen(history_get(&history, 0)->text), HISTORY_TEXT_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_say_why),
	    cmocka_unit_test(the_newest_are_kept),
	    cmocka_unit_test(text_that_is_too_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
