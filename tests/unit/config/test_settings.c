#include "config/settings.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void rows_are_complete_and_groups_stand_together(void **state)
{
	struct settings all = settings_all();
	struct str group = {NULL, 0};

	(void)state;
	for (size_t i = 0; i < all.count; i++) {
		const struct setting *row = &all.items[i];
		struct str own = setting_group(row);

		assert_ptr_equal(settings_find(all, str_from(row->path)), row);
		assert_true(row->min <= row->max);
		assert_true(strlen(row->help) > 10);
		assert_int_equal(row->help[strlen(row->help) - 1], '.');
		assert_true(row->words || row->type != SETTING_CHOICE);
		assert_true(
		    !row->words || row->type == SETTING_CHOICE || row->type == SETTING_DURATION);
		assert_int_equal(row->type == SETTING_BACKENDS, row->fallback == NULL);
		assert_int_equal(settings_has_group(all, own), own.len > 0);
		if (str_equals(own, group))
			continue;
		for (size_t k = 0; k < i; k++)
			assert_false(str_equals(setting_group(&all.items[k]), own));
		group = own;
	}
}

static void what_buffers_are_sized_from_needs_a_restart(void **state)
{
	static const char *const paths[] = {"retry.body", "limits.header_bytes", "limits.headers"};
	struct settings all = settings_all();
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < all.count; i++)
		count += all.items[i].needs_restart;
	assert_int_equal(count, COUNT(paths));
	for (size_t i = 0; i < COUNT(paths); i++)
		assert_true(settings_find(all, str_from(paths[i]))->needs_restart);
}

static void distance_counts_edits_and_swaps(void **state)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} cases[] = {
	    {"", "", 0},
	    {"a", "", 1},
	    {"", "abc", 3},
	    {"tries", "tries", 0},
	    {"tries", "trise", 1},
	    {"tries", "tires", 1},
	    {"tries", "trie", 1},
	    {"tries", "triess", 1},
	    {"tries", "trxes", 1},
	    {"weight", "wieght", 1},
	    {"weight", "hgiewt", 4},
	    {"ab", "ba", 1},
	    {"abcd", "badc", 2},
	    {"0123456789012345678901234567890123456789x", "x", SIZE_MAX},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str a = str_from(cases[i].a);
		struct str b = str_from(cases[i].b);

		assert_int_equal(settings_distance(a, b), cases[i].distance);
		assert_int_equal(settings_distance(b, a), cases[i].distance);
	}
}

static void suggestions(void **state)
{
	static const struct {
		const char *written, *meant;
	} cases[] = {
	    {"lisen", "listen"},
	    {"retry.tires", "retry.tries"},
	    {"retry.try", NULL},
	    {"tries", "retry.tries"},
	    {"tires", "retry.tries"},
	    {"retri.tries", "retry.tries"},
	    {"limits.tries", "retry.tries"},
	    {"timeouts.conect", "timeouts.connect"},
	    {"limits.header_size", NULL},
	    {"limits.headers_bytes", "limits.header_bytes"},
	    {"timeout", "health.timeout"},
	    {"max_response_delay", NULL},
	    {"trusted_proxies", "headers.trusted_proxies"},
	    {"healt.path", "health.path"},
	    {"path", "health.path"},
	    {"retry_windwo", "retry_window"},
	    {"x", NULL},
	    {"", NULL},
	    {".", NULL},
	    {"retry.", NULL},
	    {"completely_different", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *meant = settings_suggest(settings_all(), cases[i].written);

		if (cases[i].meant)
			assert_non_null(meant);
		assert_string_equal(
		    meant ? meant : "none", cases[i].meant ? cases[i].meant : "none");
	}
	assert_string_equal(settings_suggest(settings_of_backend(), "wieght"), "weight");
	assert_string_equal(
	    settings_suggest(settings_of_backend(), "max_conections"), "max_connections");
	assert_null(settings_suggest(settings_of_backend(), "address"));
}

static void suggestions_of_groups(void **state)
{
	struct settings all = settings_all();

	(void)state;
	assert_true(str_equals(settings_suggest_group(all, "timeout"), STR("timeouts")));
	assert_true(str_equals(settings_suggest_group(all, "rerty"), STR("retry")));
	assert_true(str_equals(settings_suggest_group(all, "header"), STR("headers")));
	assert_int_equal(settings_suggest_group(all, "tls").len, 0);
	assert_int_equal(settings_suggest_group(all, "").len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_complete_and_groups_stand_together),
	    cmocka_unit_test(what_buffers_are_sized_from_needs_a_restart),
	    cmocka_unit_test(distance_counts_edits_and_swaps),
	    cmocka_unit_test(suggestions),
	    cmocka_unit_test(suggestions_of_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
