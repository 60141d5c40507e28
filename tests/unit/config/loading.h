/* What tests of the configuration share: load a text or a command line, and compare the faults as
 * they are printed. */
#ifndef RONDO_TESTS_CONFIG_LOADING_H
#define RONDO_TESTS_CONFIG_LOADING_H

#include "config/load.h"
#include "config/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A directory of this test's own, entered; files in it are called by their bare names. */
static char directory[] = "/tmp/rondo-test-XXXXXX";

__attribute__((unused)) static int enter_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

__attribute__((unused)) static int leave_directory(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

__attribute__((unused)) static void write_file(const char *name, const char *text, size_t len)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* The faults as -t prints them; to be freed. */
__attribute__((unused)) static char *print_errors(const struct config_errors *errors)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	config_errors_write(errors, out);
	fclose(out);
	return text;
}

/* Loads, and answers what is printed about faults; "" when there are none. To be freed. */
__attribute__((unused)) static char *load_and_print(
    const struct config_source *source, struct config **config)
{
	struct config_errors errors = {0};
	char *text;

	*config = config_load(source, &errors);
	assert_int_equal(*config == NULL, errors.count > 0);
	text = print_errors(&errors);
	config_errors_finish(&errors);
	return text;
}

/* Loads what must be good. */
__attribute__((unused)) static struct config *load_good(const struct config_source *source)
{
	struct config *config;
	char *text = load_and_print(source, &config);

	assert_string_equal(text, "");
	free(text);
	return config;
}

/* A good configuration from the text of a file. */
__attribute__((unused)) static struct config *load_text(const char *text)
{
	struct config *config;

	write_file("rondo.conf", text, strlen(text));
	config = load_good(&(struct config_source){.file = "rondo.conf"});
	unlink("rondo.conf");
	return config;
}

/* The effective configuration as -T prints it, without the comments; to be freed. */
__attribute__((unused)) static char *dump_bare(const struct config *config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	char *to;

	assert_non_null(out);
	config_show(config, out);
	fclose(out);
	to = text;
	for (char *line = text; *line;) {
		size_t all = strcspn(line, "\n");
		char *comment = memmem(line, all, "  # ", 4);
		size_t kept = comment ? (size_t)(comment - line) : all;
		char *next = line + all + (line[all] == '\n');

		while (kept && line[kept - 1] == ' ')
			kept--;
		memmove(to, line, kept);
		to += kept;
		*to++ = '\n';
		line = next;
	}
	*to = '\0';
	return text;
}

#endif
