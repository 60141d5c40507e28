/* Command lines, and what is answered at once. */
#include "daemon/modes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ARGS = 12, CAPTURED = 8192 };

/* What was written to a stream, while it was a file. */
struct capture {
	FILE *stream;
	int kept;
	FILE *file;
};

static void capture_begin(struct capture *capture, FILE *stream)
{
	fflush(stream);
	capture->stream = stream;
	capture->kept = dup(fileno(stream));
	capture->file = tmpfile();
	assert_non_null(capture->file);
	assert_true(dup2(fileno(capture->file), fileno(stream)) >= 0);
}

static void capture_end(struct capture *capture, char text[static CAPTURED])
{
	ssize_t len;

	fflush(capture->stream);
	assert_true(dup2(capture->kept, fileno(capture->stream)) >= 0);
	close(capture->kept);
	len = pread(fileno(capture->file), text, CAPTURED - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
	fclose(capture->file);
}

/* Parses a command line; what went to stderr goes into `complaint`. */
static bool parse(struct options *options, const char *const *args, char complaint[static CAPTURED])
{
	static char storage[ARGS][256];
	static char *argv[ARGS + 2];
	struct capture capture;
	int argc = 1;
	bool good;

	argv[0] = storage[0];
	strcpy(storage[0], "rondo");
	for (; args[argc - 1]; argc++) {
		snprintf(storage[argc], sizeof(storage[argc]), "%s", args[argc - 1]);
		argv[argc] = storage[argc];
	}
	argv[argc] = NULL;
	capture_begin(&capture, stderr);
	good = options_parse(options, argc, argv);
	capture_end(&capture, complaint);
	return good;
}

static void modes(void **state)
{
	static const struct {
		const char *args[ARGS];
		enum options_mode mode;
	} cases[] = {
	    {{NULL}, OPTIONS_RUN},
	    {{"-t"}, OPTIONS_TEST},
	    {{"--test"}, OPTIONS_TEST},
	    {{"-t", "-t"}, OPTIONS_TEST},
	    {{"-T"}, OPTIONS_DUMP},
	    {{"--dump"}, OPTIONS_DUMP},
	    {{"-P"}, OPTIONS_PROBE},
	    {{"--probe"}, OPTIONS_PROBE},
	    {{"-E", "x"}, OPTIONS_EXPLAIN},
	    {{"--explain=x"}, OPTIONS_EXPLAIN},
	    {{"-V"}, OPTIONS_VERSION},
	    {{"--version"}, OPTIONS_VERSION},
	    {{"-h"}, OPTIONS_HELP},
	    {{"--help"}, OPTIONS_HELP},
	    {{"-t", "-h"}, OPTIONS_HELP},
	    {{"-h", "-t"}, OPTIONS_HELP},
	    {{"-qt"}, OPTIONS_TEST},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct options options;
		char complaint[CAPTURED];

		assert_true(parse(&options, cases[i].args, complaint));
		assert_string_equal(complaint, "");
		assert_int_equal(options.mode, cases[i].mode);
		options_finish(&options);
	}
}

static void sources(void **state)
{
	static const char *const args[] = {"-q", "--listen", ":1", "--backend=h:1", "--set", "a=b",
	    "--listen", "unix:/x", "--set=c=d", "--backend", "h:2", NULL};
	static const char *const with_file[] = {
	    "-c", "first", "--config=second", "--backend", "h:1", NULL};
	static const char *const only_listen[] = {"--listen", ":1", NULL};
	struct options options;
	char complaint[CAPTURED];

	(void)state;
	assert_true(parse(&options, args, complaint));
	assert_true(options.quiet);
	assert_null(options.source.file);
	assert_int_equal(options.source.listen_count, 2);
	assert_string_equal(options.source.listens[1], "unix:/x");
	assert_int_equal(options.source.backend_count, 2);
	assert_string_equal(options.source.backends[0], "h:1");
	assert_string_equal(options.source.backends[1], "h:2");
	assert_int_equal(options.source.set_count, 2);
	assert_string_equal(options.source.sets[1], "c=d");
	assert_string_equal(options.argv[0], "rondo");
	options_finish(&options);

	assert_true(parse(&options, with_file, complaint));
	assert_string_equal(options.source.file, "second");
	assert_int_equal(options.source.backend_count, 1);
	assert_false(options.quiet);
	options_finish(&options);

	assert_true(parse(&options, only_listen, complaint));
	assert_non_null(strstr(options.source.file, "/rondo/rondo.conf"));
	options_finish(&options);
}

static void bad_usage_is_one_line(void **state)
{
	static const struct {
		const char *args[ARGS];
		const char *complaint;
	} cases[] = {
	    {{"--nothing"}, "rondo: unknown option --nothing; try 'rondo --help'\n"},
	    {{"-t", "--nothing"}, "rondo: unknown option --nothing; try 'rondo --help'\n"},
	    {{"-x"}, "rondo: unknown option -x; try 'rondo --help'\n"},
	    {{"--test", "-qx"}, "rondo: unknown option -x; try 'rondo --help'\n"},
	    {{"-c"}, "rondo: a value is missing after -c; try 'rondo --help'\n"},
	    {{"--set"}, "rondo: a value is missing after --set; try 'rondo --help'\n"},
	    {{"--test=yes"}, "rondo: no value is allowed in --test=yes; try 'rondo --help'\n"},
	    {{"rondo.conf"}, "rondo: unknown argument rondo.conf; try 'rondo --help'\n"},
	    {{"--", "-t"}, "rondo: unknown argument -t; try 'rondo --help'\n"},
	    {{"-t", "-T"}, "rondo: only one of -t, -T, -P and -E is allowed; try 'rondo --help'\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct options options;
		char complaint[CAPTURED];

		assert_false(parse(&options, cases[i].args, complaint));
		assert_string_equal(complaint, cases[i].complaint);
	}
}

/* Does what the arguments ask for; the exit status. */
static int answer(const char *const *args, char out[static CAPTURED], char err[static CAPTURED])
{
	struct options options;
	struct capture to_out;
	struct capture to_err;
	int status;

	assert_true(parse(&options, args, err));
	capture_begin(&to_out, stdout);
	capture_begin(&to_err, stderr);
	status = modes_run(&options);
	capture_end(&to_err, err);
	capture_end(&to_out, out);
	options_finish(&options);
	return status;
}

static void help_fits_a_screen(void **state)
{
	static const char *const args[] = {"-h", NULL};
	char out[CAPTURED];
	char err[CAPTURED];
	size_t lines = 0;

	(void)state;
	assert_int_equal(answer(args, out, err), 0);
	assert_string_equal(err, "");
	for (char *line = out; *line; lines++) {
		size_t len = strcspn(line, "\n");

		assert_true(len <= 100);
		line += len + 1;
	}
	assert_true(lines > 10 && lines <= 24);
	assert_int_equal(strncmp(out, "Usage: rondo ", 13), 0);
}

static void versions(void **state)
{
	static const char *const args[] = {"-V", NULL};
	static const char *const words[] = {
	    "rondo ", "llhttp ", "libconfig 1.", "c-ares ", "jansson ", "built with "};
	char out[CAPTURED];
	char err[CAPTURED];

	(void)state;
	assert_int_equal(answer(args, out, err), 0);
	for (size_t i = 0; i < COUNT(words); i++)
		assert_non_null(strstr(out, words[i]));
}

/* Nothing at all, or a text that begins so. */
static void expect_begin(char *text, const char *expected)
{
	if (*expected)
		text[strlen(expected)] = '\0';
	assert_string_equal(text, expected);
}

/* No server can be asked for it: a label has 63 bytes at most. */
#define NO_NAME "app.a23456789b23456789c23456789d23456789e23456789f23456789g2345.test"

static void answers(void **state)
{
	static const struct {
		const char *args[ARGS];
		int status;
		const char *out, *err; /* what it begins with */
	} cases[] = {
	    {{"-t", "--backend", "localhost:1"}, 0, "command line: good, 1 backend\n", ""},
	    {{"-t", "--backend", "localhost:1", "--set", "retry.deadline=5s"}, 0,
		"command line: good, 1 backend\n",
		"command line: retry.deadline, \"5s\", is not more than max_delay_response, "
		"\"5s\": a backend that hangs will not be detected\n"},
	    {{"-t", "--backend", "localhost:1", "--backend", "127.0.0.1:2"}, 0,
		"command line: good, 2 backends\n", ""},
	    {{"-tq", "--backend", "localhost:1"}, 0, "", ""},
	    {{"-tq", "--backend", NO_NAME ":1", "--backend", "localhost:1"}, 0, "",
		"command line: warning: backend " NO_NAME ":1 is unresolved: " NO_NAME ": "},
	    {{"-t", "--backend", "h"}, 78, "",
		"--backend h: backend \"h\": the port is missing; write \"h:80\"\n"},
	    {{"-tq", "-c", "/nothing"}, 78, "",
		"/nothing: cannot be read: No such file or directory\n"},
	    {{"-T", "--backend", "h:1"}, 0,
		"listen = \"*:8080\";                              # default\n", ""},
	    {{"-T", "-c", "/nothing"}, 78, "", "/nothing: cannot be read"},
	    {{"-E", "retry.tries"}, 0, "retry.tries\n  type     whole number, 1 to 16\n", ""},
	    {{"-E", "tries"}, 2, "",
		"rondo: unknown setting `tries`; did you mean `retry.tries`?\n"},
	    {{"-E", "x"}, 2, "", "rondo: unknown setting `x`; rondo -E all lists them\n"},
	    {{"-P", "-c", "/nothing"}, 78, "", "/nothing: cannot be read"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[CAPTURED];
		char err[CAPTURED];

		assert_int_equal(answer(cases[i].args, out, err), cases[i].status);
		expect_begin(out, cases[i].out);
		expect_begin(err, cases[i].err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(modes),
	    cmocka_unit_test(sources),
	    cmocka_unit_test(bad_usage_is_one_line),
	    cmocka_unit_test(help_fits_a_screen),
	    cmocka_unit_test(versions),
	    cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
