/* Thousands of backends, and thousands of faults. */
#include "../ratio.h"
#include "config/changes.h"
#include "loading.h"

/* A text of `count` equal lines, but for their numbers, between a head and a tail. */
struct shape {
	const char *head, *line, *tail;
};

static char *write_text(const struct shape *shape, size_t count)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fputs(shape->head, out);
	for (const char *line = shape->line; count; count--, line = shape->line) {
		for (; *line; line++) {
			if (*line == '#')
				fprintf(out, "%zu", count);
			else
				fputc(*line, out);
		}
	}
	fputs(shape->tail, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void write_shape(const char *name, const struct shape *shape, size_t count)
{
	char *text = write_text(shape, count);

	write_file(name, text, strlen(text));
	free(text);
}

/* ---- configurations without faults */

static const struct shape good[] = {
    {"backends = (", "{ url = \"http://h#:80\"; name = \"app#\"; weight = 2; },",
	"\"unix:/run/last\" );"},
    {"backends = (", "\"unix:/run/rondo/app#.sock\",", "\"unix:/run/last\" );"},
    {"backends = (", "\"http://H#.example.org\",", "\"unix:/run/last\" );"},
    {"backends = \"h:1\"; headers = { trusted_proxies = [", "\"10.1.2.0/24\",", "\"::1\" ]; };"},
    {"backends = \"h:1\"; upgrades = [", "\"protocol#\",", "\"websocket\" ];"},
    {"backends = \"h:1\"; log = { access = \"/", "${RONDO_TEST_UNSET:-x}", "\"; };"},
};

static void run_load(void *context)
{
	(void)context;
	config_drop(load_good(&(struct config_source){.file = "rondo.conf"}));
}

static double time_load(const struct shape *shape, size_t count)
{
	write_shape("rondo.conf", shape, count);
	double took = ratio_time(run_load, NULL);
	unlink("rondo.conf");
	return took;
}

static void many_backends_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		ratio_assert(
		    good[i].line, time_load(&good[i], RATIO_FEW), time_load(&good[i], RATIO_MANY));
}

/* ---- what changed */

struct compared {
	struct config *old, *new;
	size_t lines;
	char last[256];
};

static void count_line(void *context, const char *line)
{
	struct compared *compared = context;

	compared->lines++;
	snprintf(compared->last, sizeof(compared->last), "%s", line);
}

static void run_compare(void *context)
{
	struct compared *compared = context;

	compared->lines = 0;
	config_describe_changes(compared->old, compared->new, count_line, compared);
}

static struct config *load_shape(const struct shape *shape, size_t count)
{
	char *text = write_text(shape, count);
	struct config *config = load_text(text);

	free(text);
	return config;
}

static double time_compare(const struct shape *old, const struct shape *new, size_t count)
{
	struct compared compared = {load_shape(old, count), load_shape(new, count), 0, ""};
	double took = ratio_time(run_compare, &compared);

	config_drop(compared.old);
	config_drop(compared.new);
	return took;
}

static void many_backends_are_compared(void **state)
{
	static const struct shape old = {"backends = (", "\"http://h#:80\",", "\"h:1\" );"};
	static const struct shape new[] = {
	    {"backends = (", "\"http://h#:80\",", "\"h:1\" );"},
	    {"backends = (", "{ url = \"http://h#:80\"; name = \"app#\"; },", "\"h:1\" );"},
	    {"backends = (", "\"http://other#:80\",", "\"h:1\" );"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(new); i++)
		ratio_assert(new[i].line, time_compare(&old, &new[i], RATIO_FEW),
		    time_compare(&old, &new[i], RATIO_MANY));
}

static void thousands_of_changes_are_counted(void **state)
{
	static const struct shape old = {"backends = (", "\"http://h#:80\",", "\"h:1\" );"};
	static const struct shape new = {
	    "retry = { tries = 2; }; backends = (", "\"http://other#:80\",", "\"h:1\" );"};
	struct compared compared = {
	    load_shape(&old, RATIO_MANY), load_shape(&new, RATIO_MANY), 0, ""};

	(void)state;
	assert_int_equal(config_describe_changes(compared.old, compared.new, count_line, &compared),
	    2 * RATIO_MANY + 1);
	/* The limit holds for backends only; each changed setting has its line. */
	assert_string_equal(compared.last, "retry.tries 3 -> 2");
	assert_in_range(compared.lines, 100, 300);
	config_drop(compared.old);
	config_drop(compared.new);
}

/* ---- configurations with faults */

static const struct {
	struct shape shape;
	size_t faults;
} bad[] = {
    {{"backends = \"h:1\";", "unknown# = 3;\n", ""}, 1},
    {{"backends = \"h:1\"; retry = {", "unknown# = 3;\n", "};"}, 1},
    {{"backends = \"h:1\"; retry = {", "tries = #;\n", "};"}, CONFIG_ERRORS_MAX},
    {{"backends = (", "{ url = \"h#:80\"; nome = \"app\"; },\n", "\"h:1\" );"}, CONFIG_ERRORS_MAX},
    {{"backends = (", "{ url = \"h#:80\"; name = \"same\"; },\n", "\"h:1\" );"}, CONFIG_ERRORS_MAX},
    {{"backends = (", "\"h:1\",\n", "\"h:1\" );"}, CONFIG_ERRORS_MAX},
    {{"backends = (", "\"h#:80/path\",\n", "\"h:1\" );"}, CONFIG_ERRORS_MAX},
    {{"backends = (", "\"${RONDO_TEST_UNSET}\",\n", "\"h:1\" );"}, CONFIG_ERRORS_MAX},
    {{"backends = (", "h#\n", "\"h:1\" );"}, CONFIG_ERRORS_MAX},
    {{"backends = (", "\"h#:80\"\n", "\"h:1\" );"}, CONFIG_ERRORS_MAX},
};

struct refused {
	size_t faults;
	char *printed;
};

static void run_refused(void *context)
{
	struct refused *refused = context;
	struct config_errors errors = {0};

	assert_null(config_load(&(struct config_source){.file = "rondo.conf"}, &errors));
	assert_false(errors.incomplete);
	refused->faults = errors.count;
	free(refused->printed);
	refused->printed = print_errors(&errors);
	config_errors_finish(&errors);
}

static double time_refused(const struct shape *shape, size_t count, size_t faults)
{
	struct refused refused = {0, NULL};

	write_shape("rondo.conf", shape, count);
	double took = ratio_time(run_refused, &refused);
	unlink("rondo.conf");
	assert_int_equal(refused.faults, faults);
	bool says_so =
	    strstr(refused.printed, "\nrondo: these are the first 20 faults; there are more\n");
	assert_int_equal(says_so, faults == CONFIG_ERRORS_MAX);
	free(refused.printed);
	return took;
}

static void twenty_faults_are_enough(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		const struct shape *shape = &bad[i].shape;

		ratio_assert(shape->line, time_refused(shape, RATIO_FEW, bad[i].faults),
		    time_refused(shape, RATIO_MANY, bad[i].faults));
	}
}

/* Each file includes the next one many times, and none has a single line of its own. */
static void files_that_include_each_other_have_an_end(void **state)
{
	static const struct {
		const char *name;
		struct shape shape;
	} files[] = {
	    {"rondo.conf", {"", "@include \"one.conf\"\n", ""}},
	    {"one.conf", {"", "@include \"two.conf\"\n", ""}},
	    {"two.conf", {"", "@include \"three.conf\"\n", ""}},
	    {"three.conf", {"", "", ""}},
	};
	struct config *config;

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++)
		write_shape(files[i].name, &files[i].shape, RATIO_FEW);
	char *printed = load_and_print(&(struct config_source){.file = "rondo.conf"}, &config);
	assert_non_null(strstr(printed, "two.conf:998: more than 1000 files are included\n"));
	assert_null(config);
	free(printed);
	for (size_t i = 0; i < COUNT(files); i++)
		unlink(files[i].name);
}

static void a_thousand_addresses_are_enough(void **state)
{
	static const struct shape shape = {
	    "backends = \"h:1\"; listen = (", "\"127.0.0.1:0\",", "\"[::1]:0\" );"};
	struct config *config;

	(void)state;
	write_shape("rondo.conf", &shape, 1000);
	char *printed = load_and_print(&(struct config_source){.file = "rondo.conf"}, &config);
	assert_null(config);
	assert_non_null(strstr(printed, "listen: more than 1000 addresses\n"));
	free(printed);
	write_shape("rondo.conf", &shape, 999);
	config_drop(load_good(&(struct config_source){.file = "rondo.conf"}));
	unlink("rondo.conf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(many_backends_are_read),
	    cmocka_unit_test(many_backends_are_compared),
	    cmocka_unit_test(thousands_of_changes_are_counted),
	    cmocka_unit_test(twenty_faults_are_enough),
	    cmocka_unit_test(files_that_include_each_other_have_an_end),
	    cmocka_unit_test(a_thousand_addresses_are_enough),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
