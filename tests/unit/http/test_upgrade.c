/* Which protocols a request goes on with, and what a 101 may change to. */
#include "http/upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { FIELDS = 8, NAMES = 3 };

struct sample {
	struct http_head head;
	struct http_field fields[FIELDS];
};

/* "Name: value\nName: value". */
static void open_sample(struct sample *sample, const char *lines)
{
	struct str rest = str_from(lines);

	memset(sample, 0, sizeof(*sample));
	sample->head.fields = sample->fields;
	sample->head.minor = 1;
	while (rest.data) {
		struct str value = str_split(&rest, '\n');
		struct str name = str_split(&value, ':');

		assert_true(sample->head.field_count < FIELDS);
		sample->fields[sample->head.field_count++] =
		    (struct http_field){.name = name, .value = str_trim(value)};
	}
}

static void open_request(struct sample *sample, enum http_method method, const char *lines)
{
	open_sample(sample, lines);
	sample->head.method = method;
	sample->head.path = sample->head.target = STR("/");
	assert_int_equal(http_head_classify_request(&sample->head), HTTP_FAULT_NONE);
}

/* The protocols that pass, one after the other. */
static const char *passing(const struct http_head *request)
{
	static char text[200];

	text[0] = '\0';
	for (size_t i = 0; i < request->field_count; i++) {
		struct str list = request->fields[i].value, protocol;

		while (str_equals_nocase(request->fields[i].name, STR("Upgrade")) &&
		       http_list_next(&list, &protocol))
			if (http_upgrade_passes(request, protocol)) {
				strcat(text, *text ? " " : "");
				strncat(text, protocol.data, protocol.len);
			}
	}
	return text;
}

static void what_is_allowed_passes(void **state)
{
	static const char upgrade[] = "Host: a\nConnection: Upgrade\nUpgrade: ";
	static const struct {
		const char *allowed[NAMES];
		enum http_method method;
		const char *asked, *passing;
	} cases[] = {
	    {{"websocket"}, HTTP_METHOD_GET, "websocket", "websocket"},
	    {{"websocket"}, HTTP_METHOD_GET, "WebSocket", "WebSocket"},
	    {{"websocket"}, HTTP_METHOD_GET, "websocket\nContent-Length: 0", "websocket"},
	    {{"websocket"}, HTTP_METHOD_GET, "websocket\nContent-Length: 1", ""},
	    {{"websocket"}, HTTP_METHOD_POST, "websocket", ""},
	    {{"websocket"}, HTTP_METHOD_HEAD, "websocket", ""},
	    {{"websocket"}, HTTP_METHOD_GET, "websocket/13", ""},
	    {{"websocket"}, HTTP_METHOD_GET, "foo, websocket", "websocket"},
	    {{"websocket"}, HTTP_METHOD_GET, "foo\nUpgrade: , websocket,h2c", "websocket"},
	    {{"websocket"}, HTTP_METHOD_GET, "foo, tcp", ""},
	    {{NULL}, HTTP_METHOD_GET, "websocket", ""},
	    {{"tcp", "websocket"}, HTTP_METHOD_GET, "tcp, websocket", "tcp websocket"},
	    {{"tcp", "websocket"}, HTTP_METHOD_POST, "tcp, websocket", "tcp"},
	    {{"tcp"}, HTTP_METHOD_POST, "TCP\nContent-Length: 2", "TCP"},
	    {{"tcp"}, HTTP_METHOD_POST, "tcp\nTransfer-Encoding: chunked", ""},
	    {{"tcp"}, HTTP_METHOD_POST, "tcp/2", "tcp/2"},
	    {{"SPDY/3.1"}, HTTP_METHOD_POST, "spdy/3.1", "spdy/3.1"},
	    {{"SPDY/3.1"}, HTTP_METHOD_POST, "SPDY/3", ""},
	    {{"SPDY/3.1"}, HTTP_METHOD_POST, "SPDY", ""},
	    {{"TLS"}, HTTP_METHOD_OPTIONS, "TLS/1.2,TLS/1.0, TLSX", "TLS/1.2 TLS/1.0"},
	    {{"*"}, HTTP_METHOD_DELETE, "any, thing/1", "any thing/1"},
	    {{"*"}, HTTP_METHOD_POST, "websocket", ""},
	    {{"*"}, HTTP_METHOD_GET, "h2c, H2C, h2c/2", ""},
	    {{"*"}, HTTP_METHOD_GET, "a b, \"c\", /1, d/, e/1/2, f\x01", ""},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *names[NAMES];
		char lines[200];
		struct http_upgrades allowed = {names, 0};

		while (allowed.count < NAMES && cases[i].allowed[allowed.count]) {
			names[allowed.count] = cases[i].allowed[allowed.count];
			allowed.count++;
		}
		strcat(strcpy(lines, upgrade), cases[i].asked);
		open_request(&sample, cases[i].method, lines);
		http_upgrade_choose(&sample.head, &allowed);
		if (strcmp(passing(&sample.head), cases[i].passing) != 0)
			fail_msg("case %zu: \"%s\"", i, passing(&sample.head));
		assert_int_equal(sample.head.upgrades != NULL, cases[i].passing[0] != '\0');
	}
}

/* Without the option of Connection nothing is asked for. */
static void an_upgrade_that_connection_does_not_name_is_none(void **state)
{
	const char *names[] = {"*"};
	const struct http_upgrades all = {names, 1};
	struct sample sample;

	(void)state;
	open_request(&sample, HTTP_METHOD_GET, "Host: a\nConnection: close\nUpgrade: websocket");
	http_upgrade_choose(&sample.head, &all);
	assert_null(sample.head.upgrades);
	assert_false(http_upgrade_passes(&sample.head, STR("websocket")));
}

static void only_what_was_asked_for_is_granted(void **state)
{
	static const struct {
		const char *asked;
		unsigned minor;
		const char *fields;
		bool is_granted;
	} cases[] = {
	    {"websocket", 1, "Connection: Upgrade\nUpgrade: websocket", true},
	    {"websocket", 1, "Connection: Upgrade\nTransfer-Encoding: chunked\nUpgrade: websocket",
		true},
	    {"websocket", 1, "Connection: x, upgrade\nUpgrade: WebSocket\nContent-Length: 4", true},
	    {"websocket", 0, "Connection: Upgrade\nUpgrade: websocket", false},
	    {"websocket", 1, "Upgrade: websocket", false},
	    {"websocket", 1, "Connection: Upgrade", false},
	    {"websocket", 1, "Connection: Upgrade\nUpgrade:", false},
	    {"websocket", 1, "Connection: Upgrade\nUpgrade: h2c", false},
	    {"websocket", 1, "Connection: Upgrade\nUpgrade: websocket, h2c", false},
	    {"websocket", 1, "Connection: Upgrade\nUpgrade: h2c\nUpgrade: websocket", false},
	    {"websocket", 1, "Connection: Upgrade\nUpgrade: tcp", false},
	    {"tcp", 1, "Connection: Upgrade\nUpgrade: TCP", true},
	    {"tcp", 1, "Connection: Upgrade\nUpgrade: tcp/1", false},
	    {"tcp/1", 1, "Connection: Upgrade\nUpgrade: tcp", false},
	    {"SPDY/3.1, SPDY/3", 1, "Connection: Upgrade\nUpgrade: SPDY/3", true},
	    {"SPDY/3.1, SPDY/3", 1, "Connection: Upgrade\nUpgrade: SPDY/2", false},
	    {"TLS/1.2, TLS/1.0", 1, "Connection: Upgrade\nUpgrade: TLS/1.2, HTTP/1.1", true},
	    {"TLS/1.0", 1, "Connection: Upgrade\nUpgrade: HTTP/1.1", false},
	    {"TLS/1.0", 1, "Connection: Upgrade\nUpgrade: HTTP/1.1, TLS/1.0", false},
	    {"tcp, h2c", 1, "Connection: Upgrade\nUpgrade: h2c", false},
	    {"chat", 1, "Connection: Upgrade\nUpgrade: chat", false}, /* it did not go on */
	};
	const char *names[] = {"websocket", "tcp", "SPDY", "TLS"};
	const struct http_upgrades allowed = {names, 4};
	struct sample request, response;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char lines[200] = "Host: a\nConnection: Upgrade\nUpgrade: ";

		open_request(&request, HTTP_METHOD_GET, strcat(lines, cases[i].asked));
		http_upgrade_choose(&request.head, &allowed);
		open_sample(&response, cases[i].fields);
		response.head.minor = cases[i].minor;
		response.head.status = 101;
		if (cases[i].minor == 1)
			assert_int_equal(
			    http_head_classify_response(&response.head, &request.head), 0);
		if (http_upgrade_is_granted(&response.head, &request.head) != cases[i].is_granted)
			fail_msg("case %zu", i);
	}
	open_request(&request, HTTP_METHOD_GET, "Host: a");
	http_upgrade_choose(&request.head, &allowed);
	assert_false(http_upgrade_is_granted(&response.head, &request.head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_allowed_passes),
	    cmocka_unit_test(an_upgrade_that_connection_does_not_name_is_none),
	    cmocka_unit_test(only_what_was_asked_for_is_granted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
