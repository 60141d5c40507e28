/* What is said about a text that is no configuration, and on which line; the common slips are in
 * tests/config. */
#include "loading.h"
#include "syntax.h"

static void texts_with_faults(void **state)
{
	static const struct {
		const char *text, *printed;
	} cases[] = {
	    /* Brackets. */
	    {"a = {", "rondo.conf:1: this '{' is never closed\n    1 | a = {\n"},
	    {"a = (\n{\n", "rondo.conf:2: this '{' is never closed\n    2 | {\n"
			   "rondo.conf:1: this '(' is never closed\n    1 | a = (\n"},
	    {"}", "rondo.conf:1: this '}' closes nothing\n    1 | }\n"},
	    {"a = (\n\"b\" }\n);", "rondo.conf:2: this '}' closes nothing\n    2 | \"b\" }\n"
				   "        hint: open is the '(' of line 1\n"},
	    {"a = {\nb = (\n1\n};",
		"rondo.conf:4: '}', but the '(' of line 2 is still open\n    4 | };\n"
		"        hint: a ')' is missing before it\n"},
	    {"a = (((((((((((((((((1)))))))))))))))));",
		"rondo.conf:1: nested too deep\n"
		"    1 | a = (((((((((((((((((1)))))))))))))))));\n"},
	    /* Commas. */
	    {"a = (,);", "rondo.conf:1: a value is missing\n    1 | a = (,);\n"},
	    {"a = (1,,2);", "rondo.conf:1: a value is missing\n    1 | a = (1,,2);\n"},
	    {"a = (1\n\n2);",
		"rondo.conf:1: a comma is missing after this element\n    1 | a = (1\n"
		"        hint: elements of a list are separated by commas\n"},
	    {"a = (1,\n# last\n);", "rondo.conf:1: a comma before ')'\n    1 | a = (1,\n"
				    "        hint: the last element of a list has no comma\n"},
	    {"a = 1;;", "rondo.conf:1: a setting's name is expected, not ;\n    1 | a = 1;;\n"},
	    {", a = 1;", "rondo.conf:1: a setting's name is expected, not ,\n    1 | , a = 1;\n"},
	    /* Quotes. */
	    {"a = \"b", "rondo.conf:1: the second quote is missing\n    1 | a = \"b\n"},
	    {"a = \"b\\\"", "rondo.conf:1: the second quote is missing\n    1 | a = \"b\\\"\n"},
	    {"a = ( \"b, \"c\" );",
		"rondo.conf:1: a quote is missing\n    1 | a = ( \"b, \"c\" );\n"},
	    {"\"a", "rondo.conf:1: the second quote is missing\n    1 | \"a\n"},
	    /* Words without quotes. */
	    {"a = 5 s;", "rondo.conf:1: a '=' is missing after `s`\n    1 | a = 5 s;\n"
			 "        hint: write s = ...;\n"},
	    {"a = 5s;",
		"rondo.conf:1: 5s has no quotes\n    1 | a = 5s;\n        hint: write \"5s\"\n"},
	    {"a = -5s;",
		"rondo.conf:1: -5s has no quotes\n    1 | a = -5s;\n        hint: write \"-5s\"\n"},
	    {"a = 10.0.0.0/8;", "rondo.conf:1: 10.0.0.0/8 has no quotes\n    1 | a = 10.0.0.0/8;\n"
				"        hint: write \"10.0.0.0/8\"\n"},
	    {"a = [::1]:80;", "rondo.conf:1: ::1 has no quotes\n    1 | a = [::1]:80;\n"
			      "        hint: write \"::1\"\n"},
	    {"a = *:80;", "rondo.conf:1: *:80 has no quotes\n    1 | a = *:80;\n        hint: "
			  "write \"*:80\"\n"},
	    {"a = :80;",
		"rondo.conf:1: :80 has no quotes\n    1 | a = :80;\n        hint: write \":80\"\n"},
	    {"a = ( http://b:1 );",
		"rondo.conf:1: http://b:1 has no quotes\n    1 | a = ( http://b:1 );\n"
		"        hint: write \"http://b:1\"\n"},
	    {"a = yes;",
		"rondo.conf:1: yes has no quotes\n    1 | a = yes;\n        hint: write \"yes\"\n"},
	    {"a = 0x;",
		"rondo.conf:1: 0x has no quotes\n    1 | a = 0x;\n        hint: write \"0x\"\n"},
	    {"a = 1e5;",
		"rondo.conf:1: 1e5 has no quotes\n    1 | a = 1e5;\n        hint: write \"1e5\"\n"},
	    {"a = /b;",
		"rondo.conf:1: /b has no quotes\n    1 | a = /b;\n        hint: write \"/b\"\n"},
	    /* Values. */
	    {"a =\nb = 1;", "rondo.conf:1: a value is missing\n    1 | a =\n"},
	    {"a = ;", "rondo.conf:1: a value is missing\n    1 | a = ;\n"},
	    {"a = {\nb =\n}", "rondo.conf:2: a value is missing\n    2 | b =\n"},
	    {"a = = 1;", "rondo.conf:1: a value is expected, not =\n    1 | a = = 1;\n"},
	    {"a", "rondo.conf:1: a '=' is missing after `a`\n    1 | a\n        hint: write a = "
		  "...;\n"},
	    {"a = 2147483648;",
		"rondo.conf:1: the number 2147483648 is too large\n    1 | a = 2147483648;\n"},
	    {"a = 0x80000000;",
		"rondo.conf:1: the number 0x80000000 is too large\n    1 | a = 0x80000000;\n"},
	    {"a = 99999999999999999999L;",
		"rondo.conf:1: the number 99999999999999999999L is too large\n"
		"    1 | a = 99999999999999999999L;\n"},
	    {"a = [ 1, 1.5 ];",
		"rondo.conf:1: [ ] holds plain values of one type\n    1 | a = [ 1, 1.5 ];\n"
		"        hint: write ( ) for a list of anything\n"},
	    {"a = [ ( ) ];",
		"rondo.conf:1: [ ] holds plain values of one type\n    1 | a = [ ( ) ];\n"
		"        hint: write ( ) for a list of anything\n"},
	    {"a = ( 1, b.c = 2 );",
		"rondo.conf:1: a setting inside of '(' needs a group of its own\n"
		"    1 | a = ( 1, b.c = 2 );\n"
		"        hint: write { b.c = ...; }\n"},
	    /* Names. */
	    {"a = 1;\na = 2;", "rondo.conf:2: `a` is set twice\n    2 | a = 2;\n"
			       "        hint: it was set first on line 1\n"},
	    {"a.b = { c = 1; };",
		"rondo.conf:1: a name in a file has no dot: `b` belongs in the group `a`\n"
		"    1 | a.b = { c = 1; };\n"
		"        hint: write a = { b = ...; };\n"},
	    {"a-b_c = 1; 1a = 2;", "rondo.conf:1: a setting's name is expected, not 1a\n"
				   "    1 | a-b_c = 1; 1a = 2;\n"},
	    /* The rest. */
	    {"a = 1; $", "rondo.conf:1: a setting's name is expected, not $\n    1 | a = 1; $\n"},
	    {"/* open\na = 1;\n", "rondo.conf:1: this comment is never closed\n    1 | /* open\n"},
	    {"a = (\n/* b\n);", "rondo.conf:2: this comment is never closed\n    2 | /* b\n"},
	    {"a = 1;\n@include \"x\" y\n",
		"rondo.conf:2: not a valid @include\n    2 | @include \"x\" y\n"
		"        hint: write @include \"FILE\" on a line of its own\n"},
	    {"a = 1; @include \"x\"\n",
		"rondo.conf:1: not a valid @include\n    1 | a = 1; @include \"x\"\n"
		"        hint: write @include \"FILE\" on a line of its own\n"},
	    {"a = \x01;", "rondo.conf:1: a value is expected, not \x01\n    1 | a =  ;\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_errors errors = {0};
		struct config_text text;
		struct config_syntax found;
		char *printed;
		bool good;

		write_file("rondo.conf", cases[i].text, strlen(cases[i].text));
		assert_true(config_text_read(&text, "rondo.conf", &errors));
		good = config_syntax_check(&found, &text, &errors);
		printed = print_errors(&errors);
		assert_string_equal(printed, cases[i].printed);
		assert_false(good);
		free(printed);
		config_syntax_finish(&found);
		config_text_finish(&text);
		config_errors_finish(&errors);
	}
	unlink("rondo.conf");
}

static void a_flood_of_faults_ends(void **state)
{
	struct config_errors errors = {0};
	struct config_text text;
	struct config_syntax found;
	char lines[1000 * 2];

	(void)state;
	for (size_t i = 0; i < sizeof(lines); i += 2)
		memcpy(&lines[i], ";\n", 2);
	write_file("rondo.conf", lines, sizeof(lines));
	assert_true(config_text_read(&text, "rondo.conf", &errors));
	assert_false(config_syntax_check(&found, &text, &errors));
	assert_int_equal(errors.count, 20);
	config_syntax_finish(&found);
	config_text_finish(&text);
	config_errors_finish(&errors);
	unlink("rondo.conf");
}

/* libconfig gives some values the line of the word behind them. */
static void values_know_their_lines(void **state)
{
	static const char content[] = "a = 1;\n" /* 1: a */
				      "b =\n"    /* 2: b */
				      "  \"x\"\n"
				      "  \"y\"\n"
				      "c = ( \"one\"\n" /* 5: c, 5: one */
				      ",\n"
				      "{ d = true }\n" /* 7: the group, 7: d */
				      ", [\n"          /* 8: the array */
				      "3\n"            /* 9: 3 */
				      "] )\n"
				      "e = { };\n"; /* 11: e */
	static const unsigned lines[] = {1, 2, 5, 5, 7, 7, 8, 9, 11};
	struct config_errors errors = {0};
	struct config_text text;
	struct config_syntax found;

	(void)state;
	write_file("rondo.conf", content, strlen(content));
	assert_true(config_text_read(&text, "rondo.conf", &errors));
	assert_true(config_syntax_check(&found, &text, &errors));
	assert_int_equal(found.count, COUNT(lines));
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_int_equal(found.lines[i]->number, lines[i]);
	config_syntax_finish(&found);
	config_text_finish(&text);
	unlink("rondo.conf");
}

/* Each line of a text knows the file it was written in. */
static void lines_of_included_files_know_their_file(void **state)
{
	static const char main_file[] =
	    "one\n@include \"part\"\n/* @include \"none\"\n@include \"none\" */\n"
	    "\" @include \\\" \"\n  @include\t\"part\" # again\nend";
	static const struct {
		const char *file, *text;
		unsigned number;
	} expected[] = {
	    {"main", "one", 1},
	    {"part", "two", 1},
	    {"part", "three", 2},
	    {"main", "/* @include \"none\"", 3},
	    {"main", "@include \"none\" */", 4},
	    {"main", "\" @include \\\" \"", 5},
	    {"part", "two", 1},
	    {"part", "three", 2},
	    {"main", "end", 7},
	};
	struct config_errors errors = {0};
	struct config_text text;

	(void)state;
	write_file("main", main_file, strlen(main_file));
	write_file("part", "\xef\xbb\xbftwo\r\nthree", 13);
	assert_true(config_text_read(&text, "main", &errors));
	assert_int_equal(text.line_count, COUNT(expected));
	for (size_t i = 0; i < COUNT(expected); i++) {
		const struct config_line *line = config_text_line(&text, i + 1);

		assert_string_equal(line->file, expected[i].file);
		assert_int_equal(line->number, expected[i].number);
		assert_true(str_equals(line->text, str_from(expected[i].text)));
	}
	assert_ptr_equal(config_text_line(&text, 1000), config_text_line(&text, COUNT(expected)));
	config_text_finish(&text);
	unlink("main");
	unlink("part");
}

static void files_that_include_themselves(void **state)
{
	struct config_errors errors = {0};
	struct config_text text;
	char *printed;

	(void)state;
	write_file("main", "\n@include \"main\"", 16);
	assert_false(config_text_read(&text, "main", &errors));
	printed = print_errors(&errors);
	assert_string_equal(printed, "main:2: files include each other more than 10 deep\n"
				     "    2 | @include \"main\"\n");
	free(printed);
	config_text_finish(&text);
	config_errors_finish(&errors);
	unlink("main");
}

/* Ten lines that include the next file, ten times over: refused by size before it fills the memory.
 */
static void files_that_multiply(void **state)
{
	struct config_errors errors = {0};
	struct config_text text;
	char name[16];
	char content[60000] = "";

	(void)state;
	for (int i = 0; i < 9; i++) {
		content[0] = '\0';
		for (int k = 0; k < 10; k++)
			snprintf(content + strlen(content), sizeof(content) - strlen(content),
			    "@include \"part%d\"\n", i + 1);
		snprintf(name, sizeof(name), "part%d", i);
		write_file(name, content, strlen(content));
	}
	memset(content, '#', sizeof(content));
	write_file("part9", content, sizeof(content));
	assert_false(config_text_read(&text, "part0", &errors));
	assert_int_equal(errors.count, 1);
	assert_non_null(strstr(errors.items[0].message, "larger than 4 MiB"));
	config_text_finish(&text);
	config_errors_finish(&errors);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "part%d", i);
		unlink(name);
	}
}

static void names_are_relative_to_their_file(void **state)
{
	static const struct {
		const char *file, *name, *path;
	} cases[] = {
	    {"rondo.conf", "a", "a"},
	    {"/etc/rondo/rondo.conf", "conf.d/*.conf", "/etc/rondo/conf.d/*.conf"},
	    {"/etc/rondo/rondo.conf", "/a", "/a"},
	    {"../x.conf", "a", "../a"},
	    {"", "a", "a"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *path = config_text_path(cases[i].file, str_from(cases[i].name));

		assert_string_equal(path, cases[i].path);
		free(path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_with_faults),
	    cmocka_unit_test(a_flood_of_faults_ends),
	    cmocka_unit_test(values_know_their_lines),
	    cmocka_unit_test(lines_of_included_files_know_their_file),
	    cmocka_unit_test(files_that_include_themselves),
	    cmocka_unit_test(files_that_multiply),
	    cmocka_unit_test(names_are_relative_to_their_file),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
