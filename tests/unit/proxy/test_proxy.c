/*
 * What is sized by the rules.
 */
#include "proxy/proxy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { KIB = 1024, CACHE_LINE = 64 };

/* tests/conversations/test_order.py fills a block to its last byte, and knows its size from here. */
static void a_block_holds_a_head_what_is_kept_and_trailers_and_little_more(void **state)
{
	static const struct {
		size_t kept, head;
	} cases[] = {{160 * KIB, 1 * KIB}, {1024 * KIB, 16 * KIB}, {160 * KIB + 1, 8 * KIB + 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct proxy_options rules = {0};
		size_t least = cases[i].kept + 2 * cases[i].head;

		rules.retry.body_bytes = cases[i].kept;
		rules.limits.head.header_bytes = cases[i].head;
		assert_in_range(proxy_block_size(&rules), least, least + 2 * CACHE_LINE);
		assert_int_equal(proxy_block_size(&rules) % (2 * CACHE_LINE), CACHE_LINE);
	}
}

static void where_little_is_kept_a_block_still_holds_a_response(void **state)
{
	struct proxy_options rules = {0};

	(void)state;
	rules.limits.head.header_bytes = 1 * KIB;
	assert_true(proxy_block_size(&rules) >= 65 * KIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_block_holds_a_head_what_is_kept_and_trailers_and_little_more),
	    cmocka_unit_test(where_little_is_kept_a_block_still_holds_a_response),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
