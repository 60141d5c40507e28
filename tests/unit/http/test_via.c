/* Who counts as a proxy on the way of a message, and who does not. */
#include "http/via.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FIELDS = 4 };

static size_t count_in(const char *const values[FIELDS])
{
	struct http_field fields[FIELDS + 1] = {{.name = STR("Host"), .value = STR("1.1 rondo")}};
	struct http_head head = {.fields = fields, .field_count = 1};

	for (size_t i = 0; i < FIELDS && values[i]; i++)
		fields[head.field_count++] =
		    (struct http_field){.name = STR("vIA"), .value = str_from(values[i])};
	return http_via_count(&head, STR("rondo"));
}

static void each_element_with_the_name_counts(void **state)
{
	static const struct {
		const char *values[FIELDS];
		size_t count;
	} cases[] = {
	    {{NULL}, 0},
	    {{""}, 0},
	    {{"1.1 rondo"}, 1},
	    {{"1.0 rondo"}, 1},
	    {{"HTTP/1.1 rondo"}, 1},
	    {{"1.1 RONDO"}, 1},
	    {{"1.1\trondo"}, 1},
	    {{"1.1   rondo (first)"}, 1},
	    {{"1.1 rondo(first)"}, 1},
	    {{"1.1 rondo, 1.1 rondo,1.1 rondo"}, 3},
	    {{" ,1.1 rondo,, ,1.1 rondo,"}, 2},
	    {{"1.1 rondo", "1.1 other", "1.1 rondo, 1.0 other, 1.1 rondo"}, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (count_in(cases[i].values) != cases[i].count)
			fail_msg("case %zu: %zu", i, count_in(cases[i].values));
}

static void nothing_else_counts(void **state)
{
	static const char *const others[] = {"rondo", "rondo 1.1", "1.1 rondo.example.com",
	    "1.1 rondo:8080", "1.1 rondoo", "1.1 rond", "1.1 other rondo", "1.1 other (1.1 rondo)",
	    "1.1 other (a, 1.1 rondo, b)", "1.1 other (a (b), 1.1 rondo)",
	    "1.1 other (a\\), 1.1 rondo)", "1.1 other (never closed, 1.1 rondo",
	    "1.1 other (at the end\\"};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		const char *values[FIELDS] = {others[i]};

		if (count_in(values) != 0)
			fail_msg("\"%s\"", others[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_element_with_the_name_counts),
	    cmocka_unit_test(nothing_else_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
