#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool out_of_memory;
static size_t mallocs;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	mallocs++;
	return out_of_memory ? NULL : __real_malloc(size);
}

static void the_limit_holds(void **state)
{
	struct slab slab;
	void *objects[3];

	(void)state;
	slab_init(&slab, 24, 3);
	for (int i = 0; i < 3; i++) {
		objects[i] = slab_take(&slab);
		assert_non_null(objects[i]);
		assert_int_equal(slab.in_use, i + 1);
	}
	assert_null(slab_take(&slab));
	assert_int_equal(slab.in_use, 3);
	assert_int_equal(slab.built, 3);
	slab_give(&slab, objects[1]);
	assert_ptr_equal(slab_take(&slab), objects[1]);
	assert_null(slab_take(&slab));
	for (int i = 0; i < 3; i++)
		slab_give(&slab, objects[i]);
	assert_int_equal(slab.in_use, 0);
	slab_finish(&slab);
	assert_null(slab.chunks);
	assert_int_equal(slab.built, 0);
}

static void a_limit_of_nothing_gives_nothing(void **state)
{
	struct slab slab;

	(void)state;
	slab_init(&slab, 8, 0);
	mallocs = 0;
	assert_null(slab_take(&slab));
	assert_int_equal(mallocs, 0);
	slab_finish(&slab);
}

static void the_limit_may_move(void **state)
{
	struct slab slab;
	void *objects[4];

	(void)state;
	slab_init(&slab, 8, 2);
	objects[0] = slab_take(&slab);
	objects[1] = slab_take(&slab);
	assert_null(slab_take(&slab));
	slab.limit = 4;
	objects[2] = slab_take(&slab);
	objects[3] = slab_take(&slab);
	assert_non_null(objects[2]);
	assert_non_null(objects[3]);
	assert_null(slab_take(&slab));
	slab.limit = 1;
	for (int i = 3; i > 0; i--) {
		assert_null(slab_take(&slab));
		slab_give(&slab, objects[i]);
	}
	assert_null(slab_take(&slab));
	slab_give(&slab, objects[0]);
	objects[0] = slab_take(&slab);
	assert_non_null(objects[0]);
	assert_int_equal(slab.built, 4);
	slab_give(&slab, objects[0]);
	slab_finish(&slab);
}

static void last_given_is_first_taken(void **state)
{
	struct slab slab;
	void *a, *b, *c;

	(void)state;
	slab_init(&slab, 100, 10);
	a = slab_take(&slab);
	b = slab_take(&slab);
	c = slab_take(&slab);
	slab_give(&slab, a);
	slab_give(&slab, c);
	slab_give(&slab, b);
	slab_give(&slab, NULL);
	assert_ptr_equal(slab_take(&slab), b);
	assert_ptr_equal(slab_take(&slab), c);
	assert_ptr_equal(slab_take(&slab), a);
	slab_give(&slab, a);
	slab_give(&slab, b);
	slab_give(&slab, c);
	slab_finish(&slab);
}

/* Objects of every size are aligned for anything, do not overlap and can be written throughout. */
static void objects_are_aligned_and_apart(void **state)
{
	static const size_t sizes[] = {1, 7, 8, 16, 17, 200, 4096, 16384, 65535, 65536, 100000};
	enum { COUNT = 40 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct slab slab;
		unsigned char *objects[COUNT];

		slab_init(&slab, sizes[i], COUNT);
		assert_in_range(slab.object_size, sizes[i], sizes[i] + 15);
		for (unsigned n = 0; n < COUNT; n++) {
			objects[n] = slab_take(&slab);
			assert_non_null(objects[n]);
			assert_int_equal((uintptr_t)objects[n] % _Alignof(max_align_t), 0);
			memset(objects[n], (int)n, slab.object_size);
		}
		for (unsigned n = 0; n < COUNT; n++) {
			for (size_t byte = 0; byte < slab.object_size; byte++)
				assert_int_equal(objects[n][byte], n);
			slab_give(&slab, objects[n]);
		}
		slab_finish(&slab);
	}
}

static void memory_comes_in_steps_and_stays(void **state)
{
	struct slab slab;
	void *objects[1000];

	(void)state;
	slab_init(&slab, 64, 1000);
	mallocs = 0;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++)
			objects[i] = slab_take(&slab);
		for (int i = 0; i < 1000; i++)
			slab_give(&slab, objects[i]);
	}
	assert_in_range(mallocs, 1, 2);
	slab_finish(&slab);
}

static void no_memory_is_no_object_and_no_harm(void **state)
{
	struct slab slab;
	void *object;

	(void)state;
	slab_init(&slab, 40000, 3);
	out_of_memory = true;
	object = slab_take(&slab);
	out_of_memory = false;
	assert_null(object);
	assert_int_equal(slab.in_use, 0);
	assert_int_equal(slab.built, 0);
	object = slab_take(&slab);
	assert_non_null(object);
	slab_give(&slab, object);
	slab_finish(&slab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_limit_holds),
	    cmocka_unit_test(a_limit_of_nothing_gives_nothing),
	    cmocka_unit_test(the_limit_may_move),
	    cmocka_unit_test(last_given_is_first_taken),
	    cmocka_unit_test(objects_are_aligned_and_apart),
	    cmocka_unit_test(memory_comes_in_steps_and_stays),
	    cmocka_unit_test(no_memory_is_no_object_and_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
