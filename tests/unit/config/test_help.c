#include "config/help.h"
#include "config/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static char *explained(const char *key)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool known = help_explain(key, out);

	fclose(out);
	assert_int_equal(known, len > 0);
	return text;
}

static void explanations(void **state)
{
	static const struct {
		const char *key, *text;
	} cases[] = {
	    {"retry.tries", "retry.tries\n"
			    "  type     whole number, 1 to 16\n"
			    "  default  3\n"
			    "  reload   applies a change\n"
			    "\n"
			    "Backends that are tried for one request, at most.\n"},
	    {"limits.header_bytes", "limits.header_bytes\n"
				    "  type     size, 1k to 1m\n"
				    "  default  \"16k\"\n"
				    "  reload   does not apply a change: it needs a restart\n"
				    "\n"
				    "Size of a message head; beyond it the answer is 431.\n"},
	    {"balance",
		"balance\n"
		"  type     \"round_robin\", \"adaptive\" or \"least_requests\"\n"
		"  default  \"round_robin\"\n"
		"  reload   applies a change\n"
		"\n"
		"How the next backend is chosen. round_robin: smooth turns by weight. adaptive:\n"
		"the same turns, with weights that follow the response times of each backend.\n"
		"least_requests: the backend with the fewest requests in flight for its weight;\n"
		"turns among equals.\n"},
	    {"retry.statuses",
		"retry.statuses\n"
		"  type     list of statuses, 400 to 599\n"
		"  default  [ 500, 502, 503, 504 ]\n"
		"  reload   applies a change\n"
		"\n"
		"Answers that count as a failure of the backend and fall through to the next\n"
		"one.\n"},
	    {"backends.weight", "backends.weight\n"
				"  type     whole number, 1 to 1000\n"
				"  default  1\n"
				"  reload   applies a change\n"
				"\n"
				"Its share of the requests, relative to the others.\n"},
	    {"silence", "silence.after               \"auto\"\n"
			"silence.rescue              5\n"},
	    {"headers", "headers.app_url             \"x-app-url\"\n"
			"headers.attempts            \"\"\n"
			"headers.request_id          \"\"\n"
			"headers.forwarded           \"x-forwarded\"\n"
			"headers.trusted_proxies     [ ]\n"},
	    {"tries", ""},
	    {"", ""},
	    {"retry.", ""},
	    {"backends.", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = explained(cases[i].key);

		assert_string_equal(text, cases[i].text);
		free(text);
	}
}

static void everything_is_explained(void **state)
{
	char *all = explained("all");
	const char *line = all;

	(void)state;
	for (size_t i = 0; i < settings_all().count; i++) {
		const char *path = settings_all().items[i].path;
		char *text = explained(path);

		assert_int_equal(strncmp(text, path, strlen(path)), 0);
		assert_non_null(strstr(text, "  default  "));
		free(text);
		assert_int_equal(strncmp(line, path, strlen(path)), 0);
		assert_int_equal(line[strlen(path)], ' ');
		line = strchr(line, '\n') + 1;
	}
	assert_string_equal(line, "");
	free(all);
}

/* "none: nothing" */
static void every_choice_is_explained(void **state)
{
	(void)state;
	for (size_t i = 0; i < settings_all().count; i++) {
		const struct setting *setting = &settings_all().items[i];

		for (size_t k = 0; setting->words && setting->words[k]; k++) {
			char wanted[64];

			snprintf(wanted, sizeof(wanted), " %s: ", setting->words[k]);
			assert_non_null(strstr(setting->help, wanted));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(explanations),
	    cmocka_unit_test(everything_is_explained),
	    cmocka_unit_test(every_choice_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
