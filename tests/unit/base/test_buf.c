#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BLOCK = 64 };

static void assert_holds(const struct buf *buf)
{
	assert_true(buf->begin <= buf->end && buf->end <= buf->size);
	if (!buf->data)
		assert_true(buf->begin == 0 && buf->end == 0 && buf->size == 0);
}

static void assert_content(const struct buf *buf, struct str wanted)
{
	assert_holds(buf);
	assert_int_equal(buf_len(buf), wanted.len);
	assert_true(str_equals(buf_content(buf), wanted));
}

static void storage_comes_with_bytes_and_goes(void **state)
{
	struct slab blocks;
	struct buf buf;

	(void)state;
	slab_init(&blocks, BLOCK, 1);
	buf_init(&buf, &blocks);
	assert_content(&buf, STR(""));
	assert_null(buf_content(&buf).data);
	assert_int_equal(buf_room(&buf), 0);
	assert_true(buf_append(&buf, (struct str){NULL, 0}));
	assert_int_equal(blocks.in_use, 0);
	assert_true(buf_reserve(&buf));
	assert_true(buf_reserve(&buf));
	assert_int_equal(blocks.in_use, 1);
	assert_int_equal(buf_room(&buf), BLOCK);
	assert_holds(&buf);
	buf_release(&buf);
	buf_release(&buf);
	assert_int_equal(blocks.in_use, 0);
	assert_content(&buf, STR(""));
	slab_finish(&blocks);
}

static void bytes_pass_through(void **state)
{
	struct slab blocks;
	struct buf buf;
	const char *where;

	(void)state;
	slab_init(&blocks, BLOCK, 1);
	buf_init(&buf, &blocks);
	assert_true(buf_append(&buf, STR("hello ")));
	assert_true(buf_append(&buf, STR("world")));
	assert_content(&buf, STR("hello world"));
	where = buf_content(&buf).data;
	buf_consume(&buf, 6);
	assert_content(&buf, STR("world"));
	assert_ptr_equal(buf_content(&buf).data, where + 6);
	assert_int_equal(buf_room(&buf), BLOCK - 11);

	buf_compact(&buf);
	assert_content(&buf, STR("world"));
	assert_ptr_equal(buf_content(&buf).data, where);
	assert_int_equal(buf_room(&buf), BLOCK - 5);
	buf_compact(&buf);
	assert_content(&buf, STR("world"));

	memcpy(buf.data + buf.end, "!!", 2);
	buf_filled(&buf, 2);
	assert_content(&buf, STR("world!!"));
	buf_consume(&buf, 7);
	assert_content(&buf, STR(""));
	assert_int_equal(buf_room(&buf), BLOCK);
	assert_int_equal(blocks.in_use, 1);
	buf_release(&buf);
	slab_finish(&blocks);
}

static void what_does_not_fit_is_refused_whole(void **state)
{
	struct slab blocks;
	struct buf buf, other;
	char many[BLOCK + 1];

	(void)state;
	memset(many, 'x', sizeof(many));
	slab_init(&blocks, BLOCK, 1);
	buf_init(&buf, &blocks);
	buf_init(&other, &blocks);
	assert_false(buf_append(&buf, (struct str){many, BLOCK + 1}));
	assert_int_equal(blocks.in_use, 0);
	assert_true(buf_append(&buf, (struct str){many, BLOCK}));
	assert_false(buf_append(&buf, STR("y")));
	assert_content(&buf, (struct str){many, BLOCK});
	buf_consume(&buf, 1);
	/* There is room in front now, but content does not move by itself. */
	assert_false(buf_append(&buf, STR("y")));
	buf_compact(&buf);
	assert_true(buf_append(&buf, STR("y")));
	assert_int_equal(buf_room(&buf), 0);

	assert_false(buf_reserve(&other));
	assert_false(buf_append(&other, STR("z")));
	assert_false(buf_printf(&other, "z"));
	assert_content(&other, STR(""));
	buf_release(&buf);
	assert_true(buf_append(&other, STR("z")));
	buf_release(&other);
	slab_finish(&blocks);
}

static void formatted_text_needs_one_byte_more(void **state)
{
	struct slab blocks;
	struct buf buf;

	(void)state;
	slab_init(&blocks, BLOCK, 1);
	buf_init(&buf, &blocks);
	assert_false(buf_printf(&buf, "%*d", BLOCK, 7));
	assert_int_equal(blocks.in_use, 0);
	assert_holds(&buf);
	assert_true(buf_printf(&buf, "%s=%d;", "a", 42));
	assert_content(&buf, STR("a=42;"));
	assert_false(buf_printf(&buf, "%*d", BLOCK - 5, 7));
	assert_content(&buf, STR("a=42;"));
	assert_true(buf_printf(&buf, "%*d", BLOCK - 6, 7));
	assert_int_equal(buf_room(&buf), 1);
	buf_release(&buf);
	slab_finish(&blocks);
}

/* Random steps beside a plain array that does the same. */
static void any_sequence_agrees_with_a_plain_array(void **state)
{
	struct slab blocks;
	struct buf buf;
	char model[BLOCK];
	size_t len = 0;
	unsigned seed = 7;
	char next = 0;

	(void)state;
	slab_init(&blocks, BLOCK, 1);
	buf_init(&buf, &blocks);
	for (int step = 0; step < 20000; step++) {
		size_t amount = (size_t)rand_r(&seed) % 24;
		char bytes[24];

		switch (rand_r(&seed) % 8) {
		case 0:
			buf_compact(&buf);
			break;
		case 1:
		case 2:
		case 3:
			if (amount > len)
				amount = len;
			buf_consume(&buf, amount);
			len -= amount;
			memmove(model, model + amount, len);
			break;
		case 4:
			if (len == 0)
				buf_release(&buf);
			break;
		default:
			for (size_t i = 0; i < amount; i++)
				bytes[i] = next++;
			if (buf_append(&buf, (struct str){bytes, amount})) {
				memcpy(model + len, bytes, amount);
				len += amount;
			}
			break;
		}
		assert_content(&buf, (struct str){model, len});
	}
	buf_release(&buf);
	slab_finish(&blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(storage_comes_with_bytes_and_goes),
	    cmocka_unit_test(bytes_pass_through),
	    cmocka_unit_test(what_does_not_fit_is_refused_whole),
	    cmocka_unit_test(formatted_text_needs_one_byte_more),
	    cmocka_unit_test(any_sequence_agrees_with_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
