#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct str NOTHING = {NULL, 0};

static void assert_str(struct str got, struct str wanted)
{
	assert_int_equal(got.len, wanted.len);
	if (wanted.len)
		assert_memory_equal(got.data, wanted.data, wanted.len);
}

static void equality_looks_at_every_byte(void **state)
{
	static const struct {
		struct str a, b;
		bool same, same_nocase;
	} cases[] = {
	    {STR(""), STR(""), true, true}, {STR("Host"), STR("Host"), true, true},
	    {STR("Host"), STR("hOST"), false, true}, {STR("Host"), STR("Hos"), false, false},
	    {STR("Host"), STR("Hosu"), false, false}, {STR("a\0b"), STR("a\0b"), true, true},
	    {STR("a\0b"), STR("a\0c"), false, false},
	    {STR("@[`{"), STR("`{@["), false, false}, /* the neighbours of the letters */
	    {STR("[z"), STR("{Z"), false, false},
	    {STR("\xc4"), STR("\xe4"), false, false}, /* only ASCII has case */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(str_equals(cases[i].a, cases[i].b), cases[i].same);
		assert_int_equal(str_equals(cases[i].b, cases[i].a), cases[i].same);
		assert_int_equal(str_equals_nocase(cases[i].a, cases[i].b), cases[i].same_nocase);
	}
	assert_true(str_equals(NOTHING, STR("")));
	assert_true(str_equals_nocase(NOTHING, NOTHING));
}

static void prefixes(void **state)
{
	(void)state;
	assert_true(str_starts_with(STR("unix:/x"), STR("unix:")));
	assert_true(str_starts_with(STR("unix:"), STR("unix:")));
	assert_true(str_starts_with(STR("x"), STR("")));
	assert_true(str_starts_with(NOTHING, STR("")));
	assert_false(str_starts_with(STR("unix"), STR("unix:")));
	assert_false(str_starts_with(STR("Unix:"), STR("unix:")));
	assert_false(str_starts_with(NOTHING, STR("u")));
}

static void trimming_takes_spaces_and_tabs_only(void **state)
{
	static const struct {
		struct str text, trimmed;
	} cases[] = {
	    {STR(""), STR("")},
	    {STR(" \t "), STR("")},
	    {STR("a"), STR("a")},
	    {STR(" \ta b\t "), STR("a b")},
	    {STR("\ra\n"), STR("\ra\n")},
	    {STR("\va\f"), STR("\va\f")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_str(str_trim(cases[i].text), cases[i].trimmed);
	assert_str(str_trim(NOTHING), NOTHING);
}

static void splitting_gives_every_part_once(void **state)
{
	static const struct {
		struct str text;
		size_t count;
		struct str parts[4];
	} cases[] = {
	    {STR("a"), 1, {STR("a")}},
	    {STR("a,b"), 2, {STR("a"), STR("b")}},
	    {STR("a, b ,,c"), 4, {STR("a"), STR(" b "), STR(""), STR("c")}},
	    {STR("a,"), 2, {STR("a"), STR("")}},
	    {STR(",a"), 2, {STR(""), STR("a")}},
	    {STR(""), 1, {STR("")}},
	    {{NULL, 0}, 0, {{NULL, 0}}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str rest = cases[i].text;
		size_t count = 0;

		while (rest.data) {
			struct str part = str_split(&rest, ',');

			assert_in_range(count, 0, cases[i].count - 1);
			assert_str(part, cases[i].parts[count++]);
		}
		assert_int_equal(count, cases[i].count);
		assert_int_equal(rest.len, 0);
	}
}

static void finding_a_byte(void **state)
{
	(void)state;
	assert_int_equal(str_find(STR("abcb"), 'b'), 1);
	assert_int_equal(str_find(STR("abc"), 'x'), 3);
	assert_int_equal(str_find(STR("ab\0c"), '\0'), 2);
	assert_int_equal(str_find(STR("abc"), '\0'), 3);
	assert_int_equal(str_find(STR("a\xff"), '\xff'), 1);
	assert_int_equal(str_find(NOTHING, 'a'), 0);
}

static void numbers_are_plain_decimal(void **state)
{
	static const struct {
		struct str text;
		bool good;
		uint64_t value;
	} cases[] = {
	    {STR("0"), true, 0},
	    {STR("7"), true, 7},
	    {STR("65536"), true, 65536},
	    {STR("999999999999999999"), true, 999999999999999999},
	    {STR("1000000000000000000"), false, 0},
	    {STR("18446744073709551617"), false, 0},
	    {STR(""), false, 0},
	    {STR("00"), false, 0},
	    {STR("01"), false, 0},
	    {STR("+1"), false, 0},
	    {STR("-1"), false, 0},
	    {STR(" 1"), false, 0},
	    {STR("1 "), false, 0},
	    {STR("1\0"), false, 0},
	    {STR("0x10"), false, 0},
	    {STR("1e3"), false, 0},
	    {STR("1,2"), false, 0},
	    {STR("/"), false, 0},
	    {STR(":"), false, 0},
	    {STR("\xb2"), false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 4711;

		assert_int_equal(str_to_number(cases[i].text, &value), cases[i].good);
		assert_int_equal(value, cases[i].good ? cases[i].value : 4711);
	}
	assert_false(str_to_number(NOTHING, &(uint64_t){0}));
}

static void str_from_takes_terminated_strings(void **state)
{
	(void)state;
	assert_str(str_from("abc"), STR("abc"));
	assert_str(str_from(""), STR(""));
	assert_null(str_from(NULL).data);
	assert_int_equal(str_from(NULL).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equality_looks_at_every_byte),
	    cmocka_unit_test(prefixes),
	    cmocka_unit_test(trimming_takes_spaces_and_tabs_only),
	    cmocka_unit_test(splitting_gives_every_part_once),
	    cmocka_unit_test(finding_a_byte),
	    cmocka_unit_test(numbers_are_plain_decimal),
	    cmocka_unit_test(str_from_takes_terminated_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
