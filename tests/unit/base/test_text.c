#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ROOM = 64 };

static void assert_written(const char *out, const struct text *text, const char *expected)
{
	assert_true(text_is_whole(text));
	assert_int_equal(text->at - out, strlen(expected));
	assert_memory_equal(out, expected, strlen(expected));
}

static void numbers(void **state)
{
	static const struct {
		uint64_t number;
		const char *plain, *three;
	} cases[] = {
	    {0, "0", "000"},
	    {7, "7", "007"},
	    {42, "42", "042"},
	    {1234, "1234", "234"},
	    {UINT64_MAX, "18446744073709551615", "615"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[ROOM];
		struct text text = text_begin(out, ROOM);

		text_put_number(&text, cases[i].number);
		assert_written(out, &text, cases[i].plain);
		text = text_begin(out, ROOM);
		text_put_digits(&text, cases[i].number, 3);
		assert_written(out, &text, cases[i].three);
	}
}

static void what_has_no_room_loses_the_text(void **state)
{
	(void)state;
	for (size_t room = 0; room <= 8; room++) {
		char out[8];
		struct text text = text_begin(out, room);

		text_put(&text, STR("abc"));
		text_put(&text, (struct str){NULL, 0});
		text_put_number(&text, 42);
		text_put_digits(&text, 7, 2);
		text_put(&text, STR("d"));
		assert_int_equal(text_is_whole(&text), room == 8);
	}
}

static void bytes_are_escaped_for_where_they_stand(void **state)
{
	static const struct {
		enum text_quoting quoting;
		struct str bytes;
		const char *expected;
	} cases[] = {
	    {TEXT_LINE, {"a \"b\\\n\x1b\xff~", 9}, "a \"b\\\\x0A\\x1B\\xFF~"},
	    {TEXT_QUOTED, {"a \"b\\\n\x7f", 7}, "a \\x22b\\x5C\\x0A\\x7F"},
	    {TEXT_WORD, {"a \"b\\", 5}, "a\\x20\\x22b\\x5C"},
	    {TEXT_JSON, {"a \"b\\\0\xe9", 7}, "a \\u0022b\\u005C\\u0000\\u00E9"},
	    {TEXT_JSON, {"", 0}, ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[ROOM];
		struct text text = text_begin(out, ROOM);

		text_put_escaped(&text, cases[i].bytes, cases[i].quoting, SIZE_MAX);
		assert_written(out, &text, cases[i].expected);
		assert_int_equal(text_escaped_length(cases[i].bytes, cases[i].quoting),
		    strlen(cases[i].expected));
	}
}

static void what_is_long_is_cut_and_marked(void **state)
{
	static const struct {
		const char *bytes;
		size_t limit;
		const char *expected;
	} cases[] = {
	    {"abcde", 5, "abcde"},
	    {"abcdef", 5, "abcde..."},
	    {"abcd\nf", 5, "abcd\\x0A..."},
	    {"abcd\n", 5, "abcd\\x0A"},
	    {"a", 0, "..."},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[ROOM];
		struct text text = text_begin(out, ROOM);

		text_put_escaped(&text, str_from(cases[i].bytes), TEXT_LINE, cases[i].limit);
		assert_written(out, &text, cases[i].expected);
	}
}

static void durations(void **state)
{
	static const struct {
		int64_t us;
		const char *expected;
	} cases[] = {
	    {0, "0 ms"},
	    {499, "0 ms"},
	    {500, "1 ms"},
	    {250000, "250 ms"},
	    {1000000, "1 s"},
	    {1500000, "1.5 s"},
	    {12345678, "12.3 s"},
	    {119000000, "119 s"},
	    {120000000, "2 m"},
	    {150400000, "2 m 30 s"},
	    {7200000000, "2 h"},
	    {9000000000, "2 h 30 m"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[TEXT_DURATION_SIZE];

		assert_string_equal(text_of_duration(cases[i].us, out), cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(what_has_no_room_loses_the_text),
	    cmocka_unit_test(bytes_are_escaped_for_where_they_stand),
	    cmocka_unit_test(what_is_long_is_cut_and_marked),
	    cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
