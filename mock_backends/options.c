#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 32

/* Splits a number from its unit; false unless the text begins with a digit and the number fits. */
static bool split_number(const char *text, int64_t *number, const char **unit)
{
	char *end = NULL;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*number = strtoll(text, &end, 10);
	*unit = end;
	return errno == 0;
}

static bool scale(int64_t *number, int64_t factor)
{
	return !__builtin_mul_overflow(*number, factor, number);
}

static bool parse_duration(const char *text, int64_t *ms)
{
	const char *unit = NULL;

	if (!split_number(text, ms, &unit))
		return false;
	if (strcmp(unit, "ms") == 0 || (*ms == 0 && *unit == '\0'))
		return true;
	if (strcmp(unit, "s") == 0)
		return scale(ms, 1000);
	if (strcmp(unit, "m") == 0)
		return scale(ms, INT64_C(60) * 1000);
	if (strcmp(unit, "h") == 0)
		return scale(ms, INT64_C(3600) * 1000);
	return false;
}

static bool parse_number(const char *text, int64_t *number)
{
	const char *unit = NULL;

	if (!split_number(text, number, &unit))
		return false;
	if (*unit == '\0')
		return true;
	if (unit[1] != '\0')
		return false;
	switch (*unit) {
	case 'k':
		return scale(number, INT64_C(1) << 10);
	case 'm':
		return scale(number, INT64_C(1) << 20);
	case 'g':
		return scale(number, INT64_C(1) << 30);
	default:
		return false;
	}
}

static bool parse_choice(const char *text, const char *words, int *choice)
{
	size_t length = strlen(text);
	int count = 0;

	while (words != NULL) {
		const char *bar = strchr(words, '|');
		size_t word_length = bar != NULL ? (size_t)(bar - words) : strlen(words);

		if (word_length == length && memcmp(words, text, length) == 0) {
			*choice = count;
			return true;
		}
		words = bar != NULL ? bar + 1 : NULL;
		count++;
	}
	return false;
}

static bool parse_value(const struct option_row *row, const char *text)
{
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)row->value = true;
		return true;
	case OPTION_NUMBER:
		return parse_number(text, row->value);
	case OPTION_DURATION:
		return parse_duration(text, row->value);
	case OPTION_TEXT:
		*(const char **)row->value = text;
		return true;
	case OPTION_CHOICE:
		return parse_choice(text, row->argument, row->value);
	}
	return false;
}

static const char *kind_hint(enum option_kind kind)
{
	switch (kind) {
	case OPTION_FLAG:
	case OPTION_TEXT:
		break;
	case OPTION_NUMBER:
		return "a number such as 10, 64k or 8m";
	case OPTION_DURATION:
		return "a duration with its unit such as 500ms, 6s or 2m";
	case OPTION_CHOICE:
		return "one of the words in --help";
	}
	return "a value";
}

static void print_help(const struct option_tables *tables, const char *program)
{
	const struct option_row *both[] = {tables->own, tables->extra};

	printf("%s: %s\n\noptions:\n", program, tables->about);
	for (size_t i = 0; i < 2; i++) {
		for (const struct option_row *row = both[i]; row != NULL && row->name != NULL;
		     row++) {
			char left[80];

			snprintf(left, sizeof(left), "--%s %s", row->name,
			    row->argument != NULL ? row->argument : "");
			printf("  %-24s  %s\n", left, row->help);
		}
	}
	printf("  %-24s  %s\n", "--help", "this text");
}

static size_t add_rows(const struct option_row *table, const struct option_row **rows, size_t count)
{
	for (; table != NULL && table->name != NULL && count < ROWS_MAX; table++)
		rows[count++] = table;
	return count;
}

void options_parse(const struct option_tables *tables, int argc, char **argv)
{
	const struct option_row *rows[ROWS_MAX];
	struct option longs[ROWS_MAX + 2] = {{.name = "help", .val = 'h'}};
	const char *slash = strrchr(argv[0], '/');
	const char *program = slash != NULL ? slash + 1 : argv[0];
	size_t count = add_rows(tables->own, rows, 0);
	int found = 0;
	int at = 0;

	count = add_rows(tables->extra, rows, count);
	for (size_t i = 0; i < count; i++) {
		bool takes_value = rows[i]->kind != OPTION_FLAG;

		longs[i + 1].name = rows[i]->name;
		longs[i + 1].has_arg = takes_value ? required_argument : no_argument;
	}
	while ((found = getopt_long(argc, argv, "h", longs, &at)) != -1) {
		if (found == 'h') {
			print_help(tables, program);
			exit(0);
		}
		if (found != 0)
			exit(2);
		if (!parse_value(rows[at - 1], optarg)) {
			fprintf(stderr, "%s: --%s %s: not %s\n", program, rows[at - 1]->name,
			    optarg, kind_hint(rows[at - 1]->kind));
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unexpected argument: %s\n", program, argv[optind]);
		exit(2);
	}
}
