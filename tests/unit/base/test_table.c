#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 3000 };

static size_t allocations_left = SIZE_MAX;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	if (allocations_left == 0)
		return NULL;
	if (allocations_left != SIZE_MAX)
		allocations_left--;
	return __real_malloc(size);
}

static char keys[MANY][16];

static int write_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		snprintf(keys[i], sizeof(keys[i]), "host%zu:80", i);
	return 0;
}

static void each_is_found_by_its_key(void **state)
{
	struct table table = {0};

	(void)state;
	assert_null(table_find(&table, STR("host1:80")));
	for (size_t i = 0; i < MANY; i++)
		assert_true(table_add(&table, str_from(keys[i]), keys[i]));
	for (size_t i = 0; i < MANY; i++) {
		char copy[sizeof(keys[i])];

		memcpy(copy, keys[i], sizeof(copy));
		assert_ptr_equal(table_find(&table, str_from(copy)), keys[i]);
	}
	assert_null(table_find(&table, STR("host1:8")));
	assert_null(table_find(&table, STR("host1:800")));
	assert_null(table_find(&table, STR("")));
	table_finish(&table);
	assert_null(table_find(&table, STR("host1:80")));
}

static void the_first_of_a_key_stays(void **state)
{
	struct table table = {0};

	(void)state;
	assert_true(table_add(&table, STR("a"), keys[0]));
	assert_true(table_add(&table, STR("a"), keys[1]));
	assert_true(table_add(&table, STR(""), keys[2]));
	assert_ptr_equal(table_find(&table, STR("a")), keys[0]);
	assert_ptr_equal(table_find(&table, STR("")), keys[2]);
	table_finish(&table);
}

static void what_is_removed_is_found_no_more(void **state)
{
	struct table table = {0};

	(void)state;
	table_remove(&table, STR("none"));
	for (size_t i = 0; i < 100; i++)
		assert_true(table_add(&table, str_from(keys[i]), keys[i]));
	for (size_t i = 0; i < 100; i += 2)
		table_remove(&table, str_from(keys[i]));
	table_remove(&table, str_from(keys[0]));
	for (size_t i = 0; i < 100; i++)
		assert_ptr_equal(table_find(&table, str_from(keys[i])), i % 2 ? keys[i] : NULL);
	for (size_t i = 0; i < 100; i++)
		table_remove(&table, str_from(keys[i]));
	assert_true(table_add(&table, str_from(keys[0]), keys[1]));
	assert_ptr_equal(table_find(&table, str_from(keys[0])), keys[1]);
	table_finish(&table);
}

static void pointers_are_keys_as_well(void **state)
{
	static const char *const pointers[] = {keys[0], keys[1], keys[2]};
	struct table table = {0};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_true(table_add(&table,
		    (struct str){(const char *)&pointers[i], sizeof(pointers[i])}, keys[i]));
	for (size_t i = 0; i < 3; i++)
		assert_ptr_equal(table_find(&table,
				     (struct str){(const char *)&pointers[i], sizeof(pointers[i])}),
		    i < 2 ? keys[i] : NULL);
	table_finish(&table);
}

/* At each allocation in turn; those that were added before are still found. */
static void without_memory_an_item_is_left_out(void **state)
{
	size_t added = 0;

	(void)state;
	for (size_t allowed = 0; added < MANY; allowed++) {
		struct table table = {0};

		allocations_left = allowed;
		for (added = 0; added < MANY; added++)
			if (!table_add(&table, str_from(keys[added]), keys[added]))
				break;
		allocations_left = SIZE_MAX;
		assert_in_range(added, 0, allowed);
		assert_null(added < MANY ? table_find(&table, str_from(keys[added])) : NULL);
		if (added)
			assert_ptr_equal(
			    table_find(&table, str_from(keys[added - 1])), keys[added - 1]);
		/* Then there is memory again. */
		if (added < MANY)
			assert_true(table_add(&table, str_from(keys[added]), keys[added]));
		table_finish(&table);
		if (allowed > 100)
			allowed += 97;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_found_by_its_key),
	    cmocka_unit_test(the_first_of_a_key_stays),
	    cmocka_unit_test(what_is_removed_is_found_no_more),
	    cmocka_unit_test(pointers_are_keys_as_well),
	    cmocka_unit_test(without_memory_an_item_is_left_out),
	};

	return cmocka_run_group_tests(tests, write_keys, NULL);
}
