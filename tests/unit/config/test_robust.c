/* Texts cut off, texts with a wrong byte, and no memory: nothing upsets a load. */
#include "loading.h"

#include <sys/mman.h>

/* ---- memory that is not there: the allocation with this number fails, and all after it */

static size_t allocations_left = SIZE_MAX;

static bool may_allocate(void)
{
	return allocations_left == SIZE_MAX || (allocations_left && allocations_left--);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *memory, size_t size)
{
	return may_allocate() ? __real_realloc(memory, size) : NULL;
}

/* ---- texts */

static char *read_example(size_t *len)
{
	FILE *file = fopen(RONDO_TESTS_DIR "/../conf/rondo.conf", "r");
	char *text = malloc(1 << 16);

	assert_non_null(file);
	*len = fread(text, 1, 1 << 16, file);
	fclose(file);
	assert_true(*len > 1000 && *len < 1 << 16);
	return text;
}

/* A file without a disk, for thousands of loads. */
static int memory_file = -1;
static char memory_name[32];

/* Whatever is read, there is a configuration or a fault with a message. */
static void load_anything(const char *text, size_t len)
{
	struct config_errors errors = {0};
	struct config *config;

	if (memory_file < 0) {
		memory_file = memfd_create("rondo.conf", MFD_CLOEXEC);
		snprintf(memory_name, sizeof(memory_name), "/proc/self/fd/%d", memory_file);
	}
	assert_int_equal(ftruncate(memory_file, 0), 0);
	assert_int_equal(pwrite(memory_file, text, len, 0), len);
	config = config_load(&(struct config_source){.file = memory_name}, &errors);
	assert_int_equal(config == NULL, errors.count > 0);
	assert_false(errors.incomplete);
	for (size_t i = 0; i < errors.count; i++)
		assert_true(strlen(errors.items[i].message) > 0);
	if (config)
		config_drop(config);
	config_errors_finish(&errors);
}

static void a_file_cut_off_anywhere(void **state)
{
	size_t len;
	char *text = read_example(&len);

	(void)state;
	for (size_t cut = 0; cut <= len; cut++)
		load_anything(text, cut);
	free(text);
}

static void a_file_with_any_byte_replaced(void **state)
{
	static const char bytes[] = "\"(){}[],;=:#/*\\\n $@-5x\xc3";
	char text[] =
	    "listen = ( \":8080\", \"[::1]:80\" ); // x\n"
	    "backends = ( \"h:1\", { url = \"http://[::1]:2\"; weight = 3; backup = true; } );\n"
	    "retry = { tries = 0x3; statuses = [ 500, 502 ]; /* y */ body = \"${X:-64k}\"; };\n";

	(void)state;
	for (size_t i = 0; i < strlen(text); i++) {
		char kept = text[i];

		for (size_t k = 0; k < COUNT(bytes); k++) {
			text[i] = bytes[k]; /* the last of them is NUL */
			load_anything(text, sizeof(text) - 1);
		}
		text[i] = kept;
	}
}

static void without_memory_nothing_is_loaded_and_nothing_is_lost(void **state)
{
	static const char *const sets[] = {"retry.statuses=500,502"};
	const struct config_source source = {
	    .file = RONDO_TESTS_DIR "/config/good_include.conf", .sets = sets, .set_count = 1};
	struct config *config = NULL;
	size_t allowed = 0;

	(void)state;
	while (!config) {
		struct config_errors errors = {0};

		allocations_left = allowed++;
		config = config_load(&source, &errors);
		allocations_left = SIZE_MAX;
		assert_true(config || errors.incomplete || errors.count);
		config_errors_finish(&errors);
	}
	assert_true(allowed > 10);
	assert_int_equal(config->backend_count, 3);
	config_drop(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_cut_off_anywhere),
	    cmocka_unit_test(a_file_with_any_byte_replaced),
	    cmocka_unit_test(without_memory_nothing_is_loaded_and_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
