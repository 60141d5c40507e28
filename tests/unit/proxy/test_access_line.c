#include "proxy/access_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROOM = 256 * 1024 };

static const struct access_time noon = {
    .local = "22/Nov/2026:12:00:01 +0100", .utc = "2026-11-22T11:00:01", .ms = 7};

static struct net_addr address_of(const char *text)
{
	struct net_addr addr;

	assert_true(net_addr_parse(&addr, str_from(text)));
	return addr;
}

/* A request as the parser leaves it. */
struct request {
	struct http_head head;
	struct http_field fields[3];
};

static void make_request(struct request *request, const char *method, const char *target)
{
	*request = (struct request){.head = {.method_text = str_from(method),
					.target = str_from(target),
					.minor = 1,
					.length = 40,
					.field_limit = 3}};
	request->head.fields = request->fields;
}

static void add_field(struct request *request, const char *name, struct str value)
{
	struct http_field *field = &request->fields[request->head.field_count++];

	*field = (struct http_field){.name = str_from(name), .value = value};
}

static void assert_line(
    const struct access_record *record, enum access_format format, const char *wanted)
{
	char *text = malloc(ROOM);
	size_t len = access_line_compose(text, ROOM, format, record, &noon);

	assert_true(len > 0 && len < ROOM);
	assert_int_equal(text[len - 1], '\n');
	text[len - 1] = '\0';
	assert_string_equal(text, wanted);
	free(text);
}

static void a_plain_request_in_every_format(void **state)
{
	struct net_addr client = address_of("192.0.2.7:4711");
	struct backend backend = {.name = (char[]){"app1"}};
	struct try_record try = {.backend = &backend, .status = 200, .took_us = 20999};
	struct request request;
	struct access_record record = {.client = &client,
	    .request = &request.head,
	    .status = 200,
	    .content_bytes = 18446744073709551615u,
	    .began_us = 5000000,
	    .ended_us = 5021500,
	    .connect_us = 1000,
	    .first_byte_us = 20000,
	    .queued_us = 1500000,
	    .tries = &try,
	    .try_count = 1,
	    .request_id = STR("7f3c")};

	(void)state;
	make_request(&request, "GET", "/a?b=c");
	add_field(&request, "referer", STR("http://here/"));
	add_field(&request, "USER-AGENT", STR("curl/8"));
	assert_line(&record, ACCESS_COMBINED,
	    "192.0.2.7 - - [22/Nov/2026:12:00:01 +0100] \"GET /a?b=c HTTP/1.1\" 200 "
	    "18446744073709551615 \"http://here/\" \"curl/8\"");
	assert_line(&record, ACCESS_COMBINED_PLUS,
	    "192.0.2.7 - - [22/Nov/2026:12:00:01 +0100] \"GET /a?b=c HTTP/1.1\" 200 "
	    "18446744073709551615 \"http://here/\" \"curl/8\" rt=0.021 b=app1:200:20 uct=0.001 "
	    "uht=0.020 try=1 qt=1.500 end=ok id=7f3c");
	assert_line(&record, ACCESS_JSON,
	    "{\"ts\":\"2026-11-22T11:00:01.007Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\","
	    "\"target\":\"/a?b=c\",\"proto\":\"HTTP/1.1\",\"status\":200,"
	    "\"bytes\":18446744073709551615,\"referer\":\"http://here/\","
	    "\"user_agent\":\"curl/8\",\"rt\":0.021,\"uct\":0.001,\"uht\":0.020,"
	    "\"tries\":[{\"backend\":\"app1\",\"result\":\"200\",\"ms\":20}],\"qt\":1.500,"
	    "\"end\":\"ok\",\"id\":\"7f3c\"}");
}

static void a_peer_that_is_not_the_client_is_named(void **state)
{
	struct net_addr client = address_of("192.0.2.7:4711");
	struct access_record record = {
	    .client = &client, .status = 400, .end = ACCESS_LIMIT, .peer = STR("10.0.0.1")};
	char line[ROOM];

	(void)state;
	assert_line(&record, ACCESS_COMBINED,
	    "192.0.2.7 - - [22/Nov/2026:12:00:01 +0100] \"-\" 400 0 \"-\" \"-\"");
	assert_line(&record, ACCESS_COMBINED_PLUS,
	    "192.0.2.7 - - [22/Nov/2026:12:00:01 +0100] \"-\" 400 0 \"-\" \"-\" rt=0.000 b=- "
	    "uct=0.000 uht=0.000 try=0 peer=10.0.0.1 end=limit id=-");
	line[access_line_compose(line, ROOM, ACCESS_JSON, &record, &noon)] = '\0';
	assert_non_null(strstr(line, "\"peer\":\"10.0.0.1\",\"end\":\"limit\""));
	record.peer = STR("unix:");
	line[access_line_compose(line, ROOM, ACCESS_COMBINED_PLUS, &record, &noon)] = '\0';
	assert_non_null(strstr(line, " peer=unix: end="));
	record.peer = STR("192.0.2.7");
	line[access_line_compose(line, ROOM, ACCESS_JSON, &record, &noon)] = '\0';
	assert_null(strstr(line, "peer"));
}

static void what_is_not_known_has_a_mark(void **state)
{
	struct net_addr client = address_of("unix:/run/client");
	struct access_record record = {.client = &client,
	    .began_us = 10,
	    .ended_us = 10,
	    .connect_us = -1,
	    .first_byte_us = -1,
	    .end = ACCESS_CLIENT_GONE};

	(void)state;
	assert_line(&record, ACCESS_COMBINED_PLUS,
	    "unix: - - [22/Nov/2026:12:00:01 +0100] \"-\" 499 0 \"-\" \"-\" rt=0.000 b=- uct=- "
	    "uht=- try=0 end=client_gone id=-");
	assert_line(&record, ACCESS_JSON,
	    "{\"ts\":\"2026-11-22T11:00:01.007Z\",\"client\":\"unix:\",\"method\":null,"
	    "\"target\":null,\"proto\":null,\"status\":499,\"bytes\":0,\"referer\":null,"
	    "\"user_agent\":null,\"rt\":0.000,\"uct\":null,\"uht\":null,\"tries\":[],"
	    "\"end\":\"client_gone\",\"id\":null}");
}

static void a_head_that_was_not_understood_is_not_looked_into(void **state)
{
	struct net_addr client = address_of("[2001:db8::1]:80");
	struct request request;
	struct access_record record = {
	    .client = &client, .request = &request.head, .status = 400, .end = ACCESS_LIMIT};

	(void)state;
	make_request(&request, "", "");
	add_field(&request, "User-Agent", STR("left over"));
	assert_line(&record, ACCESS_COMBINED,
	    "2001:db8::1 - - [22/Nov/2026:12:00:01 +0100] \"-\" 400 0 \"-\" \"-\"");
}

/* What was read of it, and the rule that it broke. */
static void a_refused_head_is_told_as_far_as_it_was_read(void **state)
{
	struct net_addr client = address_of("192.0.2.7:80");
	struct request request;
	struct access_record record = {.client = &client,
	    .request = &request.head,
	    .status = 400,
	    .connect_us = -1,
	    .first_byte_us = -1,
	    .end = ACCESS_LIMIT,
	    .fault = HTTP_FAULT_SPACE_BEFORE_COLON};

	(void)state;
	make_request(&request, "GET", "/a");
	request.head.length = 0;
	assert_line(&record, ACCESS_COMBINED_PLUS,
	    "192.0.2.7 - - [22/Nov/2026:12:00:01 +0100] \"GET /a\" 400 0 \"-\" \"-\" rt=0.000 b=- "
	    "uct=- uht=- try=0 end=limit rule=\"space before the colon\" id=-");
	assert_line(&record, ACCESS_JSON,
	    "{\"ts\":\"2026-11-22T11:00:01.007Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\","
	    "\"target\":\"/a\",\"proto\":null,\"status\":400,\"bytes\":0,\"referer\":null,"
	    "\"user_agent\":null,\"rt\":0.000,\"uct\":null,\"uht\":null,\"tries\":[],"
	    "\"end\":\"limit\",\"rule\":\"space before the colon\",\"id\":null}");
	request.head.target = (struct str){NULL, 0};
	request.head.method_text = STR("G\"T");
	assert_line(&record, ACCESS_COMBINED,
	    "192.0.2.7 - - [22/Nov/2026:12:00:01 +0100] \"G\\x22T\" 400 0 \"-\" \"-\"");
}

static void every_try_is_told(void **state)
{
	static const struct {
		enum outcome outcome;
		unsigned status;
		const char *wanted; /* NULL: the word of the outcome */
	} table[] = {
	    {OUTCOME_GOOD, 201, "201"}, {OUTCOME_STATUS, 503, "503"}, {OUTCOME_GOOD, 0, NULL},
	    {OUTCOME_LATE, 0, NULL}, {OUTCOME_REFUSED, 0, NULL},
	    {OUTCOME_CUT_OFF, 200, NULL}, /* how it began is in the status of the line */
	};
	struct net_addr client = address_of("127.0.0.1:1");
	struct backend first = {.name = (char[]){"app2"}}, second = {.name = (char[]){"a b,\"c"}};
	struct access_record record = {.client = &client, .try_count = 2};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *result =
		    table[i].wanted ? table[i].wanted : outcome_word(table[i].outcome);
		struct try_record tries[] = {{.backend = &first,
						 .outcome = table[i].outcome,
						 .status = table[i].status,
						 .took_us = 5000123},
		    {.backend = &second, .outcome = OUTCOME_GOOD, .status = 200, .took_us = 13000}};
		char wanted[512];

		record.tries = tries;
		snprintf(wanted, sizeof(wanted),
		    "127.0.0.1 - - [22/Nov/2026:12:00:01 +0100] \"-\" 499 0 \"-\" \"-\" rt=0.000 "
		    "b=app2:%s:5000,a\\x20b,\\x22c:200:13 uct=0.000 uht=0.000 try=2 end=ok id=-",
		    result);
		assert_line(&record, ACCESS_COMBINED_PLUS, wanted);
	}
}

static void every_end_has_a_word(void **state)
{
	(void)state;
	for (enum access_end end = 0; end < ACCESS_ENDS; end++) {
		assert_non_null(access_end_word(end));
		for (enum access_end other = 0; other < end; other++)
			assert_string_not_equal(access_end_word(end), access_end_word(other));
	}
}

/* Is it one of the words behind `mark`: "\n.It Cm ok", "\n.It Cm ts , client"? */
static bool manual_has(const char *manual, const char *mark, struct str word)
{
	for (const char *item = strstr(manual, mark); item; item = strstr(item + 1, mark)) {
		struct str rest = {item + strlen(mark), strcspn(item + strlen(mark), "\n")};

		while (rest.data)
			if (str_equals(str_split(&rest, ' '), word))
				return true;
	}
	return false;
}

static void the_manual_explains_every_word(void **state)
{
	static const char item[] = "\n.It Cm ", reasons_mark[] = "\nReasons are\n";
	static const char *const fields[] = {"rt", "b", "tries", "uct", "uht", "try", "end", "id",
	    "ts", "client", "method", "target", "proto", "status", "bytes", "referer",
	    "user_agent"};
	FILE *file = fopen(RONDO_TESTS_DIR "/../conf/rondo.conf.5", "r");
	char *manual = calloc(1, 1 << 17);
	char *reasons;

	(void)state;
	assert_non_null(file);
	assert_true(fread(manual, 1, (1 << 17) - 1, file) > 0);
	fclose(file);
	for (enum access_end end = 0; end < ACCESS_ENDS; end++)
		assert_true(manual_has(manual, item, str_from(access_end_word(end))));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_true(manual_has(manual, item, str_from(fields[i])));
	assert_false(manual_has(manual, item, STR("nothing")));
	reasons = strstr(manual, reasons_mark);
	assert_non_null(reasons);
	*strstr(reasons, "\n.Sh ") = '\0';
	for (enum outcome outcome = OUTCOME_GOOD + 1; outcome < OUTCOMES; outcome++)
		assert_true(manual_has(reasons, "\n.Cm ", str_from(outcome_word(outcome))));
	free(manual);
}

static void no_client_can_forge_a_line(void **state)
{
	static const char evil[] = "\" 200 0\n127.0.0.1 - - [] \\ \t\x7f\xc3\xa9\0.";
	struct net_addr client = address_of("127.0.0.1:1");
	struct request request;
	struct access_record record = {.client = &client,
	    .request = &request.head,
	    .status = 200,
	    .connect_us = -1,
	    .first_byte_us = -1,
	    .request_id = STR("1 end=ok\n")};

	(void)state;
	make_request(&request, "GET", "/\"\\\r");
	request.head.minor = 0;
	add_field(&request, "User-Agent", (struct str){evil, sizeof(evil) - 1});
	assert_line(&record, ACCESS_COMBINED_PLUS,
	    "127.0.0.1 - - [22/Nov/2026:12:00:01 +0100] \"GET /\\x22\\x5C\\x0D HTTP/1.0\" 200 0 "
	    "\"-\" \"\\x22 200 0\\x0A127.0.0.1 - - [] \\x5C \\x09\\x7F\\xC3\\xA9\\x00.\" rt=0.000 "
	    "b=- uct=- uht=- try=0 end=ok id=1\\x20end=ok\\x0A");
	assert_line(&record, ACCESS_JSON,
	    "{\"ts\":\"2026-11-22T11:00:01.007Z\",\"client\":\"127.0.0.1\",\"method\":\"GET\","
	    "\"target\":\"/\\u0022\\u005C\\u000D\",\"proto\":\"HTTP/1.0\",\"status\":200,"
	    "\"bytes\":0,\"referer\":null,\"user_agent\":\"\\u0022 200 0\\u000A127.0.0.1 - - [] "
	    "\\u005C \\u0009\\u007F\\u00C3\\u00A9\\u0000.\",\"rt\":0.000,\"uct\":null,"
	    "\"uht\":null,\"tries\":[],\"end\":\"ok\",\"id\":\"1 end=ok\\u000A\"}");
}

/* The longest texts a client can send, in the form that grows most. */
static void a_long_text_is_cut_and_the_line_stays(void **state)
{
	enum { LONG = 1024 * 1024, KEPT = 32 * 1024 };
	static const enum access_format formats[] = {
	    ACCESS_COMBINED, ACCESS_COMBINED_PLUS, ACCESS_JSON};
	static const char bytes[] = {'a', '\n', '"'};
	struct net_addr client = address_of("127.0.0.1:1");
	struct request request;
	struct access_record record = {.client = &client, .request = &request.head, .status = 200};
	char *text = malloc(LONG);
	char *line = malloc(ROOM);

	(void)state;
	make_request(&request, "GET", "/");
	request.head.method_text = request.head.target = (struct str){text, LONG};
	record.request_id = (struct str){text, LONG};
	add_field(&request, "Referer", (struct str){text, LONG});
	add_field(&request, "User-Agent", (struct str){text, LONG});
	for (size_t i = 0; i < sizeof(bytes); i++) {
		memset(text, bytes[i], LONG);
		for (size_t j = 0; j < sizeof(formats) / sizeof(formats[0]); j++) {
			size_t len = access_line_compose(line, ROOM, formats[j], &record, &noon);

			assert_true(len > 4 * KEPT && len < 6 * KEPT);
			assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
			assert_non_null(memmem(line, len, "...", 3));
		}
	}
	free(line);
	free(text);
}

static void a_text_that_just_fits_is_not_cut(void **state)
{
	enum { KEPT = 32 * 1024 };
	struct net_addr client = address_of("127.0.0.1:1");
	struct request request;
	struct access_record record = {.client = &client, .request = &request.head, .status = 200};
	char *text = malloc(KEPT + 1);
	char *line = malloc(ROOM);

	(void)state;
	make_request(&request, "GET", "/");
	memset(text, 'a', KEPT + 1);
	for (size_t len = KEPT - 1; len <= KEPT + 1; len++) {
		size_t line_len;

		request.head.target = (struct str){text, len};
		line_len = access_line_compose(line, ROOM, ACCESS_COMBINED, &record, &noon);
		assert_int_equal(memmem(line, line_len, "a... ", 5) != NULL, len > KEPT);
	}
	free(line);
	free(text);
}

static void a_line_without_room_is_none(void **state)
{
	static const enum access_format formats[] = {
	    ACCESS_COMBINED, ACCESS_COMBINED_PLUS, ACCESS_JSON};
	struct net_addr client = address_of("127.0.0.1:1");
	struct backend backend = {.name = (char[]){"app1"}};
	struct try_record try = {.backend = &backend, .status = 200};
	struct request request;
	struct access_record record = {.client = &client,
	    .request = &request.head,
	    .tries = &try,
	    .try_count = 1,
	    .request_id = STR("1")};

	(void)state;
	make_request(&request, "GET", "/");
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		char whole[1024], cut[1024];
		size_t len = access_line_compose(whole, sizeof(whole), formats[i], &record, &noon);

		assert_true(len > 0);
		for (size_t room = 0; room < len; room++) {
			memset(cut, '#', sizeof(cut));
			assert_int_equal(
			    access_line_compose(cut, room, formats[i], &record, &noon), 0);
			assert_int_equal(cut[room], '#');
		}
		assert_int_equal(access_line_compose(cut, len, formats[i], &record, &noon), len);
		assert_memory_equal(cut, whole, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_plain_request_in_every_format),
	    cmocka_unit_test(a_peer_that_is_not_the_client_is_named),
	    cmocka_unit_test(what_is_not_known_has_a_mark),
	    cmocka_unit_test(a_head_that_was_not_understood_is_not_looked_into),
	    cmocka_unit_test(a_refused_head_is_told_as_far_as_it_was_read),
	    cmocka_unit_test(every_try_is_told),
	    cmocka_unit_test(every_end_has_a_word),
	    cmocka_unit_test(the_manual_explains_every_word),
	    cmocka_unit_test(no_client_can_forge_a_line),
	    cmocka_unit_test(a_long_text_is_cut_and_the_line_stays),
	    cmocka_unit_test(a_text_that_just_fits_is_not_cut),
	    cmocka_unit_test(a_line_without_room_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
