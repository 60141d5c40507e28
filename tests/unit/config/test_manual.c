/*
 * The example file and the manual say what the table of settings says. Called with "write" this
 * program writes them anew: the whole of conf/rondo.conf, and the list of settings in
 * conf/rondo.conf.5 between its two marks.
 */
#include "config/help.h"
#include "values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLE RONDO_TESTS_DIR "/../conf/rondo.conf"
#define MANUAL  RONDO_TESTS_DIR "/../conf/rondo.conf.5"

enum { COLUMNS = 96 };

static const char begin_mark[] = ".\\\" BEGIN SETTINGS\n";
static const char end_mark[] = ".\\\" END SETTINGS\n";

/* ---- the example file */

static const char example_head[] =
    "# rondo.conf - every value shown is the default, except for `backends`, which must be given.\n"
    "#\n"
    "#   rondo -t                 check this file\n"
    "#   rondo -T                 show the value of every setting and where it comes from\n"
    "#   rondo -E retry.tries     explain a setting\n"
    "#   systemctl reload rondo   apply it; a bad file is refused and the old one stays\n"
    "#\n"
    "# Durations and sizes are in quotes and have a unit: \"250ms\" \"5s\" \"2m\" \"1h\", \"512\" "
    "\"16k\" \"8m\" \"1g\".\n"
    "# Strings may hold variables of the environment: \"${NAME}\" or \"${NAME:-default}\".\n"
    "# After the last element of a list there is no comma.\n";

static const char example_backends[] = "backends = (\n"
				       "    \"http://localhost:8001\",\n"
				       "    \"http://localhost:8002\",\n"
				       "    \"http://localhost:8003\"\n"
				       ");\n";

static void write_example_setting(const struct setting *setting, const char *indent, FILE *out)
{
	struct arena arena = {0};
	const char *comment = arena_printf(&arena, "%s# ", indent);
	const char *type = value_type_text(setting, &arena);

	help_write_wrapped(out, comment, COLUMNS, str_from(setting->help));
	/* The default shows that it is a boolean; it does not show a range or the other choices. */
	if (strcmp(type, setting_type_text(setting->type)) != 0)
		fprintf(out, "%s(%s%s)\n", comment, type,
		    setting->needs_restart ? "; a change needs a restart" : "");
	if (setting->type == SETTING_BACKENDS)
		fputs(example_backends, out);
	else
		fprintf(out, "%s%s = %s;\n", indent, setting_name(setting),
		    value_default_text(setting, &arena));
	arena_finish(&arena);
}

static void write_example(FILE *out)
{
	struct settings all = settings_all();
	struct str group = {NULL, 0};

	fputs(example_head, out);
	for (size_t i = 0; i < all.count; i++) {
		struct str own = setting_group(&all.items[i]);

		if (!str_equals(own, group))
			fprintf(out, "%s\n%.*s = {\n", group.len ? "};\n" : "", STR_ARGS(own));
		else
			fputc('\n', out);
		group = own;
		write_example_setting(&all.items[i], own.len ? "    " : "", out);
	}
	fputs("};\n", out);
}

/* ---- the list in the manual */

/* Cuts the first sentence off, with its point. */
static struct str take_sentence(struct str *text)
{
	struct str sentence = *text;

	for (size_t i = 0; i + 1 < sentence.len; i++)
		if (sentence.data[i] == '.' && sentence.data[i + 1] == ' ') {
			sentence.len = i + 1;
			break;
		}
	*text = sentence.len < text->len
		    ? (struct str){text->data + sentence.len + 1, text->len - sentence.len - 1}
		    : (struct str){NULL, 0};
	return sentence;
}

static void write_manual_item(const struct setting *setting, FILE *out)
{
	struct arena arena = {0};
	const char *fallback = value_default_text(setting, &arena);
	struct str text = str_from(setting->help);

	fprintf(out, ".It Cm %s\n", setting->path);
	/* mdoc wants each sentence to begin a line. */
	while (text.data)
		help_write_wrapped(out, "", COLUMNS, take_sentence(&text));
	fprintf(out, ".br\nType: %s", value_type_text(setting, &arena));
	if (fallback)
		fprintf(out, "; default: %s", fallback);
	fprintf(out, "%s.\n", setting->needs_restart ? "; a change needs a restart" : "");
	arena_finish(&arena);
}

static void write_manual_list(FILE *out)
{
	struct settings all = settings_all();
	struct settings members = settings_of_backend();
	struct settings listens = settings_of_listen();
	struct str group = {NULL, 0};

	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < all.count; i++) {
		struct str own = setting_group(&all.items[i]);

		if (!str_equals(own, group))
			fprintf(out, ".El\n.Ss Group %.*s\n.Bl -tag -width Ds\n", STR_ARGS(own));
		group = own;
		write_manual_item(&all.items[i], out);
	}
	fputs(".El\n.Ss Members of a backend\n.Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < members.count; i++)
		write_manual_item(&members.items[i], out);
	fputs(".El\n.Ss Members of an address to listen on\n.Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < listens.count; i++)
		write_manual_item(&listens.items[i], out);
	fputs(".El\n", out);
}

/* ---- the files */

static char *read_file(const char *name)
{
	FILE *file = fopen(name, "r");
	char *text = calloc(1, 1 << 17);

	assert_non_null(file);
	assert_true(fread(text, 1, (1 << 17) - 1, file) > 0);
	fclose(file);
	return text;
}

static char *write_text(void (*write)(FILE *out))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	write(out);
	fclose(out);
	return text;
}

/* Cuts the manual into what stands before, between and behind the marks. */
static void cut_manual(char *manual, char **list, char **rest)
{
	*list = strstr(manual, begin_mark);
	*rest = strstr(manual, end_mark);
	assert_non_null(*list);
	assert_non_null(*rest);
	*list += strlen(begin_mark);
}

static void the_example_is_that_of_the_table(void **state)
{
	char *written = write_text(write_example);
	char *file = read_file(EXAMPLE);

	(void)state;
	assert_string_equal(file, written);
	free(file);
	free(written);
}

static void the_manual_is_that_of_the_table(void **state)
{
	char *written = write_text(write_manual_list);
	char *file = read_file(MANUAL);
	char *list;
	char *rest;

	(void)state;
	cut_manual(file, &list, &rest);
	*rest = '\0';
	assert_string_equal(list, written);
	free(file);
	free(written);
}

/* Dq encloses the rest of its line; a quotation that ends before that is Do ... Dc. */
static void a_quotation_encloses_no_other_text(void **state)
{
	char *file = read_file(MANUAL);
	char *save = NULL;

	(void)state;
	for (char *line = strtok_r(file, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *quoted = line[0] == '.' ? strstr(line, "Dq ") : NULL;

		if (quoted && (strstr(quoted + 1, "Dq ") || strstr(quoted, " No ")))
			fail_msg("%s", line);
	}
	free(file);
}

static int write_both(void)
{
	char *manual = read_file(MANUAL);
	char *list;
	char *rest;
	FILE *out = fopen(EXAMPLE, "w");

	if (!out)
		return EXIT_FAILURE;
	write_example(out);
	fclose(out);
	cut_manual(manual, &list, &rest);
	out = fopen(MANUAL, "w");
	if (!out)
		return EXIT_FAILURE;
	fwrite(manual, 1, (size_t)(list - manual), out);
	write_manual_list(out);
	fputs(rest, out);
	fclose(out);
	free(manual);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_example_is_that_of_the_table),
	    cmocka_unit_test(the_manual_is_that_of_the_table),
	    cmocka_unit_test(a_quotation_encloses_no_other_text),
	};

	if (argc > 1 && strcmp(argv[1], "write") == 0)
		return write_both();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
