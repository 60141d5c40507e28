#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdalign.h>

#include <cmocka.h>

static bool out_of_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return out_of_memory ? NULL : __real_calloc(count, size);
}

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 8, 16, 17, 4095, 4096, 4097, 100000, 3};
	struct arena arena = {0};

	(void)state;
	for (size_t round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned char *piece = arena_take(&arena, sizes[i]);

			assert_non_null(piece);
			assert_int_equal((uintptr_t)piece % alignof(max_align_t), 0);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(piece[k], 0);
			memset(piece, 0xff, sizes[i]);
		}
	}
	assert_false(arena.failed);
	arena_finish(&arena);
	assert_null(arena.chunks);
}

static void text_is_copied_and_formatted(void **state)
{
	struct arena arena = {0};
	char source[] = "rondo";
	char *copy = arena_copy(&arena, (struct str){source, 3});

	(void)state;
	source[0] = 'x';
	assert_string_equal(copy, "ron");
	assert_string_equal(arena_copy(&arena, (struct str){NULL, 0}), "");
	assert_string_equal(
	    arena_copy_lower(&arena, STR("[A-Z] @`{ \xc3\x84")), "[a-z] @`{ \xc3\x84");
	assert_string_equal(arena_printf(&arena, "%s-%d", copy, 7), "ron-7");
	assert_string_equal(arena_printf(&arena, "%s", ""), "");
	/* Whatever room is left in the last chunk. */
	for (int width = 0; width < 9000; width += 7) {
		char *text = arena_printf(&arena, "%*d", width, 5);

		assert_int_equal(strlen(text), width ? width : 1);
		assert_int_equal(text[strlen(text) - 1], '5');
		assert_int_equal(*(char *)arena_take(&arena, 1), 0);
	}
	arena_finish(&arena);
}

static void without_memory_it_fails_and_remembers(void **state)
{
	struct arena arena = {0};
	char *before = arena_copy(&arena, STR("before"));

	(void)state;
	out_of_memory = true;
	assert_null(arena_take(&arena, 1 << 20));
	assert_null(arena_take(&arena, SIZE_MAX));
	assert_null(arena_take(&arena, SIZE_MAX - 64));
	assert_null(arena_printf(&arena, "%*s", 100000, "x"));
	out_of_memory = false;
	assert_true(arena.failed);
	assert_string_equal(before, "before");
	arena_finish(&arena);
	assert_false(arena.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
	    cmocka_unit_test(text_is_copied_and_formatted),
	    cmocka_unit_test(without_memory_it_fails_and_remembers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
