/* What each type takes, what it stores, what it says about the rest, and what it writes back. */
#include "values.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
	struct config config;
	struct arena arena;
};

static const char *read_text(struct fixture *fixture, const char *path, const char *text)
{
	const struct setting *setting = settings_find(settings_all(), str_from(path));
	struct config_node node = {0};

	assert_non_null(setting);
	assert_true(value_node(setting, str_from(text), &node, &fixture->arena));
	return value_read(setting, &node, &fixture->config, &fixture->arena);
}

static const char *written(struct fixture *fixture, const char *path)
{
	return value_format(
	    settings_find(settings_all(), str_from(path)), &fixture->config, &fixture->arena);
}

/* What is written, and how it is shown: in its shortest form. */
static void good_values(void **state)
{
	static const struct {
		const char *path, *text, *shown;
	} cases[] = {
	    {"max_delay_response", "1ms", "\"1ms\""},
	    {"max_delay_response", "250ms", "\"250ms\""},
	    {"max_delay_response", "5000ms", "\"5s\""},
	    {"max_delay_response", "1500ms", "\"1500ms\""},
	    {"max_delay_response", "60s", "\"60s\""},
	    {"max_delay_response", "1m", "\"60s\""},
	    {"max_delay_response", "75s", "\"75s\""},
	    {"max_delay_response", "120s", "\"2m\""},
	    {"max_delay_response", "24h", "\"24h\""},
	    {"health.slow_start", "0", "\"0s\""},
	    {"health.slow_start", "0ms", "\"0s\""},
	    {"health.slow_start", "0h", "\"0s\""},
	    {"timeouts.tunnel", "168h", "\"168h\""},
	    {"retry.body", "0", "0"},
	    {"retry.body", "0k", "0"},
	    {"retry.body", "512", "\"512\""},
	    {"retry.body", "1024", "\"1k\""},
	    {"retry.body", "64k", "\"64k\""},
	    {"retry.body", "16m", "\"16m\""},
	    {"limits.body_bytes", "8g", "\"8g\""},
	    {"limits.body_bytes", "1048576m", "\"1024g\""},
	    {"retry.tries", "1", "1"},
	    {"retry.tries", "16", "16"},
	    {"limits.headers", "1000", "1000"},
	    {"retry.methods", "none", "\"none\""},
	    {"balance", "adaptive", "\"adaptive\""},
	    {"balance", "least_requests", "\"least_requests\""},
	    {"silence.after", "auto", "\"auto\""},
	    {"silence.after", "off", "\"off\""},
	    {"silence.after", "25ms", "\"25ms\""},
	    {"log.level", "debug", "\"debug\""},
	    {"log.format", "combined+", "\"combined+\""},
	    {"headers.app_url", "X-App-URL", "\"X-App-URL\""},
	    {"headers.app_url", "", "\"\""},
	    {"headers.app_url", "!#$%&'*+-.^_`|~0aZ", "\"!#$%&'*+-.^_`|~0aZ\""},
	    {"health.path", "/healthz?deep=1", "\"/healthz?deep=1\""},
	    {"health.host", "[::1]:80", "\"[::1]:80\""},
	    {"health.host", "", "\"\""},
	    {"health.path", "", "\"\""},
	    {"log.access", "/var/log/a \"b\" \\c", "\"/var/log/a \\\"b\\\" \\\\c\""},
	    {"retry.statuses", "500", "[ 500 ]"},
	    {"retry.statuses", "500,502, 599", "[ 500, 502, 599 ]"},
	    {"retry.statuses", "[ 500, 502 ]", "[ 500, 502 ]"},
	    {"retry.statuses", "", "[ ]"},
	    {"retry.statuses", "[]", "[ ]"},
	    {"health.expect", "200", "\"200\""},
	    {"health.expect", "200-399", "\"200-399\""},
	    {"health.expect", " 200 , 204,300 - 399", "\"200,204,300-399\""},
	    {"health.expect", "200-200", "\"200\""},
	    {"headers.trusted_proxies", "", "[ ]"},
	    {"headers.trusted_proxies", "10.0.0.0/8", "[ \"10.0.0.0/8\" ]"},
	    {"headers.trusted_proxies", "10.1.2.3/8", "[ \"10.0.0.0/8\" ]"},
	    {"headers.trusted_proxies", "::1,fe80::/10", "[ \"::1/128\", \"fe80::/10\" ]"},
	    {"headers.trusted_proxies", "127.0.0.1", "[ \"127.0.0.1/32\" ]"},
	    {"headers.trusted_proxies", "(\"0.0.0.0/0\",\"::/0\")", "[ \"0.0.0.0/0\", \"::/0\" ]"},
	    {"admin.http", "127.0.0.1:9180", "\"127.0.0.1:9180\""},
	    {"admin.http", "*:9180", "\"*:9180\""},
	    {"admin.http", "unix:/run/r.sock", "\"unix:/run/r.sock\""},
	    {"admin.hosts", "rondo.example.org, b_1", "[ \"rondo.example.org\", \"b_1\" ]"},
	    {"admin.hosts", "", "[ ]"},
	    {"admin.http", "", "\"\""},
	};
	struct fixture fixture = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *wrong = read_text(&fixture, cases[i].path, cases[i].text);

		assert_string_equal(wrong ? wrong : "", "");
		assert_string_equal(written(&fixture, cases[i].path), cases[i].shown);
	}
	arena_finish(&fixture.arena);
}

static void bad_values(void **state)
{
	static const struct {
		const char *path, *text, *wrong;
	} cases[] = {
	    {"max_delay_response", "5", "5 has no unit; write \"5s\" or \"5ms\""},
	    {"max_delay_response", "",
		"\"\" is not a duration; write a whole number and ms, s, m or h: \"5s\""},
	    {"max_delay_response", "s",
		"\"s\" is not a duration; write a whole number and ms, s, m or h: \"5s\""},
	    {"max_delay_response", "1.5s",
		"\"1.5s\" is not a duration; write a whole number and ms, s, m or h: \"5s\""},
	    {"max_delay_response", "5 s",
		"\"5 s\" is not a duration; write a whole number and ms, s, m or h: \"5s\""},
	    {"max_delay_response", "-5s",
		"\"-5s\" is not a duration; write a whole number and ms, s, m or h: \"5s\""},
	    {"max_delay_response", "5d",
		"\"5d\" is not a duration; write a whole number and ms, s, m or h: \"5s\""},
	    {"max_delay_response", "5S",
		"\"5S\" is not a duration; write a whole number and ms, s, m or h: \"5s\""},
	    {"max_delay_response", "0", "0 is not between 1ms and 24h"},
	    {"max_delay_response", "25h", "25h is not between 1ms and 24h"},
	    {"max_delay_response", "999999999999999999h",
		"999999999999999999h is not between 1ms and 24h"},
	    {"max_delay_response", "9999999999999999999s",
		"\"9999999999999999999s\" is not a duration; write a whole number and ms, s, m or "
		"h: "
		"\"5s\""},
	    {"retry.body", "17m", "17m is not between 0 and 16m"},
	    {"retry.body", "16K",
		"\"16K\" is not a size; write a whole number, then k, m, g or nothing: \"16k\""},
	    {"retry.body", "16kb",
		"\"16kb\" is not a size; write a whole number, then k, m, g or nothing: \"16k\""},
	    {"limits.header_bytes", "1023", "1023 is not between 1k and 1m"},
	    {"limits.body_bytes", "999999999999999999g",
		"999999999999999999g is not between 0 and 1024g"},
	    {"retry.tries", "0", "0 is not between 1 and 16"},
	    {"retry.tries", "17", "17 is not between 1 and 16"},
	    {"retry.tries", "3.0", "\"3.0\" is not a whole number"},
	    {"retry.tries", "-1", "\"-1\" is not a whole number"},
	    {"retry.tries", "", "\"\" is not a whole number"},
	    {"retry.tries", "4294967299", "4294967299 is not between 1 and 16"},
	    {"silence.after", "0", "0 is not between 1ms and 24h; write that, \"auto\" or \"off\""},
	    {"silence.after", "25h",
		"25h is not between 1ms and 24h; write that, \"auto\" or \"off\""},
	    {"silence.after", "50", "50 has no unit; write \"50s\" or \"50ms\""},
	    {"silence.after", "on",
		"\"on\" is not a duration; write \"auto\" or \"off\", or a whole number and ms, s, "
		"m or "
		"h: \"5s\""},
	    {"silence.rescue", "101", "101 is not between 0 and 100"},
	    {"balance", "least",
		"\"least\" is not known; write \"round_robin\", \"adaptive\" or "
		"\"least_requests\""},
	    {"balance", "",
		"\"\" is not known; write \"round_robin\", \"adaptive\" or \"least_requests\""},
	    {"retry.methods", "GET",
		"\"GET\" is not known; write \"idempotent\", \"all\" or \"none\""},
	    {"headers.app_url", "x app", "\"x app\" is not a field name"},
	    {"headers.app_url", "x-app:", "\"x-app:\" is not a field name"},
	    {"headers.app_url", "x\r\nSet-Cookie", "the string has control bytes"},
	    {"headers.app_url", "content-length",
		"the field content-length has a meaning of its own"},
	    {"headers.request_id", "Host", "the field Host has a meaning of its own"},
	    {"admin.hosts", "a:80",
		"\"a:80\" is not the name of a host; write \"rondo.example.org\", without a port"},
	    {"admin.hosts", "*",
		"\"*\" is not the name of a host; write \"rondo.example.org\", without a port"},
	    {"health.host", "a b",
		"\"a b\" is not a host; write \"app.example.org\" or \"app.example.org:8080\""},
	    {"health.host", "a:b",
		"\"a:b\" is not a host; write \"app.example.org\" or \"app.example.org:8080\""},
	    {"health.port", "65536", "65536 is not between 0 and 65535"},
	    {"health.path", "healthz", "\"healthz\" does not begin with '/'"},
	    {"health.path", "/a b", "\"/a b\" has bytes that a request path cannot have"},
	    {"health.path", "/a#b", "\"/a#b\" has bytes that a request path cannot have"},
	    {"health.path", "/\xc3\xa9", "\"/\xc3\xa9\" has bytes that a request path cannot have"},
	    {"log.access", "a\nb", "the string has control bytes"},
	    {"retry.statuses", "200", "200 is not between 400 and 599"},
	    {"retry.statuses", "500,,502", "expected a list of statuses, [ 502, 503 ]"},
	    {"retry.statuses", "5xx", "expected a list of statuses, [ 502, 503 ]"},
	    {"health.expect", "", "\"\" is not a range of statuses between 100 and 599"},
	    {"health.expect", "200-", "\"200-\" is not a range of statuses between 100 and 599"},
	    {"health.expect", "99", "\"99\" is not a range of statuses between 100 and 599"},
	    {"health.expect", "399-200",
		"\"399-200\" is not a range of statuses between 100 and 599"},
	    {"health.expect", "200-600",
		"\"200-600\" is not a range of statuses between 100 and 599"},
	    {"health.expect", "200,", "\"\" is not a range of statuses between 100 and 599"},
	    {"health.expect", "1xx", "\"1xx\" is not a range of statuses between 100 and 599"},
	    {"health.expect", "200,201,202,203,204,205,206,207,208", "more than 8 ranges"},
	    {"headers.trusted_proxies", "10.0.0.0/33",
		"\"10.0.0.0/33\" is not an address block; write \"10.0.0.0/8\", \"::1\" or "
		"\"unix:\""},
	    {"headers.trusted_proxies", "localhost",
		"\"localhost\" is not an address block; write \"10.0.0.0/8\", \"::1\" or "
		"\"unix:\""},
	};
	struct fixture fixture = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *wrong = read_text(&fixture, cases[i].path, cases[i].text);

		assert_non_null(wrong);
		assert_string_equal(wrong, cases[i].wrong);
	}
	arena_finish(&fixture.arena);
}

/* Values of another type than the setting's, as only a file can hold them. */
static void wrong_types(void **state)
{
	static const struct config_node integer = {.kind = NODE_INTEGER, .number = 5};
	static const struct config_node zero = {.kind = NODE_INTEGER};
	static const struct config_node negative = {.kind = NODE_INTEGER, .number = -7};
	static const struct config_node real = {.kind = NODE_FLOAT};
	static const struct config_node truth = {.kind = NODE_BOOLEAN, .number = 1};
	static const struct config_node list = {.kind = NODE_LIST};
	static const struct config_node group = {.kind = NODE_GROUP};
	static const struct {
		const char *path;
		const struct config_node *node;
		const char *wrong; /* NULL: it is fine */
	} cases[] = {
	    {"max_delay_response", &integer, "5 has no unit; write \"5s\" or \"5ms\""},
	    {"max_delay_response", &zero, "0 is not between 1ms and 24h"},
	    {"max_delay_response", &real,
		"expected a duration in quotes, \"5s\", not a number with a point"},
	    {"silence.after", &zero,
		"0 is not between 1ms and 24h; write that, \"auto\" or \"off\""},
	    {"silence.after", &negative,
		"a negative duration is not between 1ms and 24h; write that, \"auto\" or \"off\""},
	    {"health.slow_start", &zero, NULL},
	    {"retry.body", &zero, NULL},
	    {"retry.body", &integer, "5 has no unit; write \"5\" for bytes; units are k, m and g"},
	    {"retry.body", &list, "expected a size in quotes, \"16k\", not a list"},
	    {"retry.tries", &integer, NULL},
	    {"retry.tries", &negative, "-7 is not between 1 and 16"},
	    {"retry.tries", &real, "expected a whole number, not a number with a point"},
	    {"retry.tries", &truth, "expected a whole number, not a boolean"},
	    {"balance", &integer, "expected a string, not a number"},
	    {"headers.app_url", &truth, "expected a string, not a boolean"},
	    {"log.access", &group, "expected a string, not a group"},
	    {"retry.statuses", &negative, "expected a list of statuses, [ 502, 503 ]"},
	    {"retry.statuses", &group, "expected a list of statuses, [ 502, 503 ]"},
	    {"retry.statuses", &list, NULL},
	    {"health.expect", &integer, "expected statuses in quotes, \"200-399\""},
	    {"health.expect", &list, "expected statuses in quotes, \"200-399\""},
	    {"headers.trusted_proxies", &integer,
		"expected a list of address blocks, [ \"10.0.0.0/8\" ]"},
	    {"admin.hosts", &integer, "expected a list of names, [ \"rondo.example.org\" ]"},
	    {"admin.http", &list, "expected one address in quotes"},
	    {"admin.http", &integer, "expected one address in quotes"},
	};
	struct fixture fixture = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *wrong =
		    value_read(settings_find(settings_all(), str_from(cases[i].path)),
			cases[i].node, &fixture.config, &fixture.arena);

		assert_string_equal(wrong ? wrong : "", cases[i].wrong ? cases[i].wrong : "");
	}
	arena_finish(&fixture.arena);
}

static void booleans(void **state)
{
	const struct setting *backup = settings_find(settings_of_backend(), STR("backup"));
	struct backend_options options = {0};
	struct arena arena = {0};
	struct config_node node = {.kind = NODE_STRING, .text = "true"};

	(void)state;
	assert_null(value_read(backup, &node, &options, &arena));
	assert_true(options.backup);
	assert_string_equal(value_format(backup, &options, &arena), "true");
	node = (struct config_node){.kind = NODE_BOOLEAN, .number = 0};
	assert_null(value_read(backup, &node, &options, &arena));
	assert_false(options.backup);
	node = (struct config_node){.kind = NODE_STRING, .text = "yes"};
	assert_string_equal(value_read(backup, &node, &options, &arena), "expected true or false");
	node = (struct config_node){.kind = NODE_INTEGER, .number = 1};
	assert_string_equal(
	    value_read(backup, &node, &options, &arena), "expected true or false, not a number");
	arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_values),
	    cmocka_unit_test(bad_values),
	    cmocka_unit_test(wrong_types),
	    cmocka_unit_test(booleans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
