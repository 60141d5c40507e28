/*
 * Every tests/config/x.conf is loaded, and what is printed must be the content of x.errors; without
 * such a file it must be good. Called with "write" this program writes the .errors files anew, to
 * be read before they are believed.
 */
#include "loading.h"

#include <dirent.h>

static bool writes;

/* The content of a file; "" when there is none. To be freed. */
static char *read_file(const char *name)
{
	FILE *file = fopen(name, "r");
	char *text = calloc(1, 1 << 16);

	assert_non_null(text);
	if (file) {
		assert_true(fread(text, 1, (1 << 16) - 1, file) < (1 << 16) - 1);
		fclose(file);
	}
	return text;
}

static void check(const char *name)
{
	struct config_source source = {.file = name};
	struct config *config;
	char *printed = load_and_print(&source, &config);
	char expected_name[NAME_MAX + 16];
	char *expected;

	snprintf(expected_name, sizeof(expected_name), "%.*s.errors",
	    (int)(strlen(name) - strlen(".conf")), name);
	if (writes && *printed)
		write_file(expected_name, printed, strlen(printed));
	expected = read_file(expected_name);
	if (strcmp(printed, expected) != 0)
		print_message("%s\n", name);
	assert_string_equal(printed, expected);
	assert_int_equal(strncmp(name, "good", 4) == 0, config != NULL);
	if (config)
		config_drop(config);
	free(expected);
	free(printed);
}

static void every_file_has_its_faults(void **state)
{
	struct dirent **entries;
	int count;
	int checked = 0;

	(void)state;
	unsetenv("RONDO_TEST_UNSET");
	assert_int_equal(chdir(RONDO_TESTS_DIR "/config"), 0);
	count = scandir(".", &entries, NULL, alphasort);
	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		const char *end = strrchr(entries[i]->d_name, '.');

		if (end && strcmp(end, ".conf") == 0) {
			check(entries[i]->d_name);
			checked++;
		}
		free(entries[i]);
	}
	free(entries);
	assert_true(checked > 20);
}

static void examples_are_good(void **state)
{
	static const char *const files[] = {
	    RONDO_TESTS_DIR "/../conf/rondo.conf", RONDO_TESTS_DIR "/../conf/demo.conf"};

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++)
		config_drop(load_good(&(struct config_source){.file = files[i]}));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_file_has_its_faults),
	    cmocka_unit_test(examples_are_good),
	};

	writes = argc > 1 && strcmp(argv[1], "write") == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
