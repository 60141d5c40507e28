/*
 * What parse adds to guard and head: slices into the buffer, methods, and the comparison with llhttp.
 * Whole messages are in test_cases.
 */
#include "http/parse.h"

#include <llhttp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { FIELDS = 10 };

static const struct http_limits limits = {
    .header_bytes = 1024, .headers = FIELDS, .uri_bytes = 512};

struct reader {
	struct http_head request; /* what responses answer */
	struct slab blocks;
	struct buf in;
	struct parse parse;
	struct http_head head;
	struct http_field fields[FIELDS];
};

static struct reader only_reader;

/* A reader that has got these bytes and not looked at them. */
static void open_with(struct reader *reader, bool is_response, const char *text)
{
	memset(reader, 0, sizeof(*reader));
	reader->request = (struct http_head){.minor = 1, .method = HTTP_METHOD_GET};
	slab_init(&reader->blocks, 1024, 1);
	buf_init(&reader->in, &reader->blocks);
	reader->head.fields = reader->fields;
	reader->head.field_limit = FIELDS;
	parse_init(&reader->parse, is_response ? GUARD_RESPONSE : GUARD_REQUEST);
	assert_true(buf_append(&reader->in, str_from(text)));
}

static void close_reader(struct reader *reader)
{
	buf_release(&reader->in);
	slab_finish(&reader->blocks);
}

static enum parse_result read_request(struct reader *reader)
{
	return parse_request(&reader->parse, &limits, &reader->in, &reader->head);
}

static void a_head_is_told_as_slices_of_the_buffer(void **state)
{
	struct reader *reader = &only_reader;
	const struct http_head *head = &reader->head;

	(void)state;
	open_with(reader, false,
	    "\r\n\r\nPUT /a?b HTTP/1.0\r\nHost:a:1\r\nX-Y:\t z \t\r\nEmpty: \r\n\r\nrest");
	assert_int_equal(read_request(reader), PARSE_DONE);
	assert_int_equal(head->length, buf_len(&reader->in) - 4);
	assert_ptr_equal(head->method_text.data, reader->in.data + reader->in.begin);
	assert_true(str_equals(head->method_text, STR("PUT")));
	assert_int_equal(head->method, HTTP_METHOD_PUT);
	assert_true(str_equals(head->target, STR("/a?b")));
	assert_true(str_equals(head->path, STR("/a?b")));
	assert_true(str_equals(head->host, STR("a:1")));
	assert_int_equal(head->minor, 0);
	assert_int_equal(head->field_count, 3);
	assert_true(str_equals(head->fields[1].name, STR("X-Y")));
	assert_true(str_equals(head->fields[1].value, STR("z")));
	assert_true(str_equals(head->fields[2].name, STR("Empty")));
	assert_int_equal(head->fields[2].value.len, 0);
	close_reader(reader);
}

static enum parse_result read_response(struct reader *reader)
{
	const struct parse_response_rules rules = {limits, &reader->request};

	return parse_response(&reader->parse, &rules, &reader->in, &reader->head);
}

static void a_status_line_is_told_as_slices_of_the_buffer(void **state)
{
	struct reader *reader = &only_reader;
	const struct http_head *head = &reader->head;

	(void)state;
	open_with(reader, true, "HTTP/1.0 404 Not  here \r\nA: b\r\n\r\nrest");
	assert_int_equal(read_response(reader), PARSE_DONE);
	assert_int_equal(head->status, 404);
	assert_int_equal(head->minor, 0);
	assert_true(str_equals(head->reason, STR("Not  here ")));
	assert_ptr_equal(head->reason.data, reader->in.data + 13);
	assert_int_equal(head->field_count, 1);
	assert_int_equal(head->length, buf_len(&reader->in) - 4);
	close_reader(reader);

	open_with(reader, true, "HTTP/1.1 200\r\n\r\n");
	assert_int_equal(read_response(reader), PARSE_DONE);
	assert_int_equal(head->reason.len, 0);
	close_reader(reader);
}

static void whatever_is_refused_has_a_fault(void **state)
{
	static const struct {
		const char *bytes;
		enum http_fault fault;
	} cases[] = {
	    {"GET 1 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_FAULT_TARGET_FORM},
	    {"NEVER 1 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_FAULT_TARGET_FORM},
	    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", HTTP_FAULT_LENGTH},
	    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		HTTP_FAULT_LENGTH_REPEATED},
	    {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, x\r\n\r\n",
		HTTP_FAULT_CODING},
	    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		HTTP_FAULT_LENGTH_AND_CODING},
	    {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		HTTP_FAULT_LENGTH_AND_CODING},
	    {"GET / HTTP/1.1\r\nA: \x01\r\nHost: a\r\nContent-Length: x\r\n\r\n",
		HTTP_FAULT_LENGTH},
	    {"GET / HTTP/1.1\r\n\r\n", HTTP_FAULT_HOST_MISSING},
	    {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", HTTP_FAULT_PROXY_HEADER},
	    {"PROXY TCP6 ::1 ::1 1 2\r\n", HTTP_FAULT_PROXY_HEADER},
	    {"PROXY UNKNOWN\r\n", HTTP_FAULT_PROXY_HEADER},
	    {"PROXY / b\r\n", HTTP_FAULT_VERSION},
	};
	struct reader *reader = &only_reader;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_with(reader, false, cases[i].bytes);
		assert_int_equal(read_request(reader), PARSE_BAD);
		if (reader->parse.fault != cases[i].fault)
			fail_msg("%s: fault %d", cases[i].bytes, (int)reader->parse.fault);
		close_reader(reader);
	}
}

static void every_method_that_matters_has_its_number(void **state)
{
	static const struct {
		const char *request;
		enum http_method method;
		enum parse_result result;
	} cases[] = {
	    {"GET / HTTP/1.0\r\n\r\n", HTTP_METHOD_GET, PARSE_DONE},
	    {"HEAD / HTTP/1.0\r\n\r\n", HTTP_METHOD_HEAD, PARSE_DONE},
	    {"POST / HTTP/1.0\r\n\r\n", HTTP_METHOD_POST, PARSE_DONE},
	    {"PUT / HTTP/1.0\r\n\r\n", HTTP_METHOD_PUT, PARSE_DONE},
	    {"DELETE / HTTP/1.0\r\n\r\n", HTTP_METHOD_DELETE, PARSE_DONE},
	    {"OPTIONS / HTTP/1.0\r\n\r\n", HTTP_METHOD_OPTIONS, PARSE_DONE},
	    {"PATCH / HTTP/1.0\r\n\r\n", HTTP_METHOD_OTHER, PARSE_DONE},
	    {"NEVER / HTTP/1.0\r\n\r\n", HTTP_METHOD_OTHER, PARSE_DONE},
	    {"SETUP / HTTP/1.0\r\n\r\n", HTTP_METHOD_OTHER, PARSE_DONE},
	    {"SOURCE / HTTP/1.0\r\n\r\n", HTTP_METHOD_OTHER, PARSE_DONE},
	    {"PRI / HTTP/1.0\r\n\r\n", HTTP_METHOD_OTHER, PARSE_DONE},
	    {"get / HTTP/1.0\r\n\r\n", HTTP_METHOD_OTHER, PARSE_DONE},
	    {"connect /a HTTP/1.0\r\n\r\n", HTTP_METHOD_OTHER, PARSE_DONE},
	    {"GETS / HTTP/1.0\r\n\r\n", HTTP_METHOD_OTHER, PARSE_DONE},
	    {"TRACE / HTTP/1.0\r\n\r\n", HTTP_METHOD_TRACE, PARSE_BAD},
	    {"CONNECT a:1 HTTP/1.0\r\n\r\n", HTTP_METHOD_CONNECT, PARSE_BAD},
	};
	struct reader *reader = &only_reader;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_with(reader, false, cases[i].request);
		assert_int_equal(read_request(reader), cases[i].result);
		assert_int_equal(reader->head.method, cases[i].method);
		assert_true(str_starts_with(str_from(cases[i].request), reader->head.method_text));
		assert_int_equal(cases[i].request[reader->head.method_text.len], ' ');
		close_reader(reader);
	}
}

static void empty_lines_are_consumed_as_they_come(void **state)
{
	struct reader *reader = &only_reader;

	(void)state;
	open_with(reader, false, "\r\n\r");
	assert_int_equal(read_request(reader), PARSE_MORE);
	assert_int_equal(buf_len(&reader->in), 1);
	assert_int_equal(reader->parse.scanned, 1);
	assert_int_equal(read_request(reader), PARSE_MORE);
	assert_true(buf_append(&reader->in, STR("\n")));
	assert_int_equal(read_request(reader), PARSE_MORE);
	assert_int_equal(buf_len(&reader->in), 0);
	close_reader(reader);
}

static void nothing_of_the_head_before_is_left(void **state)
{
	static const struct {
		const char *bytes;
		enum parse_result result;
		size_t fields;
	} cases[] = {
	    {"GET / HT", PARSE_MORE, 0},
	    {"GET /\r\n", PARSE_BAD, 0},
	    {"NEVER # HTTP/1.1\r\n\r\n", PARSE_BAD, 0},
	    {"GET / HTTP/1.1\r\nA: b\r\n\r\n", PARSE_BAD, 1},
	};
	struct reader *reader = &only_reader;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_with(reader, false, cases[i].bytes);
		reader->head.target = STR("/before");
		reader->head.host = STR("before");
		reader->head.field_count = 2;
		assert_int_equal(read_request(reader), cases[i].result);
		assert_false(str_equals(reader->head.target, STR("/before")));
		assert_int_equal(reader->head.host.len, 0);
		assert_int_equal(reader->head.field_count, cases[i].fields);
		close_reader(reader);
	}
}

/* What llhttp does not take, or takes in one version only, is read all the same. */
static void odd_responses_are_told_like_others(void **state)
{
	static const char *const cases[] = {
	    "HTTP/1.1 299 A  b\r\nX-A: b c\r\nEmpty:\r\nContent-Length: 5\r\n\r\n",
	    "HTTP/1.1 299 A  b\nX-A:b c \nEmpty:  \nContent-Length:5\n\n",
	    "HTTP/1.1 299 A  b\r\nX-A:b c\nEmpty:\r\nContent-Length: 5\n\r\n",
	    "HTTP/1.1 299 A  b\r\nX-A: b c\r\nEmpty:\r\nContent-Length: 5\r\n\n",
	    "\r\nHTTP/1.4 299 A  b\r\nX-A: b c\r\nEmpty:\r\nContent-Length: 005\r\n\r\n",
	    "\n\nHTTP/1.1 299 A  b\r\nX-A: b c\r\nEmpty:\r\nContent-Length: 5,5\r\n\r\n",
	};
	struct reader *reader = &only_reader;
	const struct http_head *head = &reader->head;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_with(reader, true, cases[i]);
		if (read_response(reader) != PARSE_DONE)
			fail_msg("case %zu: %s", i, http_fault_rule(reader->parse.fault));
		assert_int_equal(head->status, 299);
		assert_int_equal(head->minor, 1);
		assert_true(str_equals(head->reason, STR("A  b")));
		assert_int_equal(head->length, buf_len(&reader->in));
		assert_int_equal(head->field_count, 3);
		assert_true(str_equals(head->fields[0].name, STR("X-A")));
		assert_true(str_equals(head->fields[0].value, STR("b c")));
		assert_true(str_equals(head->fields[1].name, STR("Empty")));
		assert_int_equal(head->fields[1].value.len, 0);
		assert_int_equal(head->framing, HTTP_FRAMING_LENGTH);
		assert_int_equal(head->content_length, 5);
		close_reader(reader);
	}
}

static void control_bytes_in_values_are_told_as_they_are(void **state)
{
	struct reader *reader = &only_reader;

	(void)state;
	open_with(reader, false, "GET / HTTP/1.0\r\nA: \x01 b\x7f \r\nHost: a\r\n\r\n");
	assert_int_equal(read_request(reader), PARSE_DONE);
	assert_true(str_equals(reader->head.fields[0].value, STR("\x01 b\x7f")));
	assert_true(str_equals(reader->head.host, STR("a")));
	close_reader(reader);

	open_with(reader, true, "HTTP/1.1 200 \x01\r\nA: \x1b[0m\r\n\r\n");
	assert_int_equal(read_response(reader), PARSE_DONE);
	assert_true(str_equals(reader->head.fields[0].value, STR("\x1b[0m")));
	close_reader(reader);
}

static void as_much_of_a_refused_request_line_as_was_read_is_told(void **state)
{
	static const struct {
		const char *bytes, *method, *target;
	} cases[] = {
	    {"", "", ""},
	    {"\x16\x03", "", ""},
	    {"GE", "GE", ""},
	    {"GE(", "GE", ""},
	    {"GET ", "GET", ""},
	    {"\r\nGET /a", "GET", "/a"},
	    {"GET /a\xc3", "GET", "/a"},
	    {"GET /a HTTP/3", "GET", "/a"},
	    {"GET /a HTTP/1.1\r\nA : b", "GET", "/a"},
	};
	struct reader *reader = &only_reader;
	struct http_head *head = &reader->head;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_with(reader, false, cases[i].bytes);
		assert_int_not_equal(read_request(reader), PARSE_DONE);
		parse_peek(&reader->parse, &reader->in, head);
		if (!str_equals(head->method_text, str_from(cases[i].method)) ||
		    !str_equals(head->target, str_from(cases[i].target)))
			fail_msg("case %zu: \"%.*s\" \"%.*s\"", i, STR_ARGS(head->method_text),
			    STR_ARGS(head->target));
		close_reader(reader);
	}
}

/* What llhttp is made to say instead of what it thinks, by __wrap_llhttp_execute. */
static void (*distort)(llhttp_t *parser);

/* Where its input is cut in two, so that it has to tell in pieces what lies across; 0: nowhere. */
static size_t cut;

llhttp_errno_t __real_llhttp_execute(llhttp_t *parser, const char *data, size_t len);
llhttp_errno_t __wrap_llhttp_execute(llhttp_t *parser, const char *data, size_t len);

llhttp_errno_t __wrap_llhttp_execute(llhttp_t *parser, const char *data, size_t len)
{
	size_t first = cut && cut < len ? cut : 0;
	llhttp_errno_t error = HPE_OK;

	if (first)
		error = __real_llhttp_execute(parser, data, first);
	if (error == HPE_OK)
		error = __real_llhttp_execute(parser, data + first, len - first);
	if (distort)
		distort(parser);
	return error;
}

static void what_llhttp_tells_in_pieces_is_joined(void **state)
{
	static const char request[] =
	    "OPTIONS /abc?d HTTP/1.1\r\nHost: h\r\nLong-Name: a value: b\r\nX:\r\n\r\n";
	struct reader *reader = &only_reader;
	const struct http_head *head = &reader->head;

	(void)state;
	for (cut = 0; cut < sizeof(request); cut++) {
		open_with(reader, false, request);
		assert_int_equal(read_request(reader), PARSE_DONE);
		assert_true(str_equals(head->method_text, STR("OPTIONS")));
		assert_true(str_equals(head->target, STR("/abc?d")));
		assert_int_equal(head->field_count, 3);
		assert_true(str_equals(head->fields[1].name, STR("Long-Name")));
		assert_true(str_equals(head->fields[1].value, STR("a value: b")));
		assert_true(str_equals(head->fields[2].name, STR("X")));
		assert_int_equal(head->fields[2].value.len, 0);
		close_reader(reader);
	}
	cut = 0;
}

static void distort_chunked(llhttp_t *parser)
{
	parser->flags ^= F_CHUNKED;
}

static void distort_counted(llhttp_t *parser)
{
	parser->flags ^= F_CONTENT_LENGTH;
}

static void distort_length(llhttp_t *parser)
{
	parser->content_length++;
}

static void distort_version(llhttp_t *parser)
{
	parser->http_major = 0;
}

static void distort_status(llhttp_t *parser)
{
	parser->status_code++;
}

static void distort_end(llhttp_t *parser)
{
	parser->error_pos--;
}

static void what_llhttp_sees_otherwise_is_refused(void **state)
{
	static const char counted_request[] = "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n";
	static const char plain_request[] = "GET / HTTP/1.0\r\n\r\n";
	static const char counted[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
	static const char open_end[] = "HTTP/1.1 200 OK\r\n\r\n";
	static const char not_modified[] = "HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n";
	static const char no_content[] = "HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\n";
	static const struct {
		const char *bytes;
		void (*distort)(llhttp_t *parser);
		bool is_response;
		enum http_fault fault;
	} cases[] = {
	    {counted_request, NULL, false, HTTP_FAULT_NONE},
	    {counted_request, distort_chunked, false, HTTP_FAULT_DISAGREEMENT},
	    {counted_request, distort_counted, false, HTTP_FAULT_DISAGREEMENT},
	    {counted_request, distort_length, false, HTTP_FAULT_DISAGREEMENT},
	    {counted_request, distort_version, false, HTTP_FAULT_DISAGREEMENT},
	    {counted_request, distort_end, false, HTTP_FAULT_DISAGREEMENT},
	    {plain_request, NULL, false, HTTP_FAULT_NONE},
	    {plain_request, distort_chunked, false, HTTP_FAULT_DISAGREEMENT},
	    {plain_request, distort_counted, false, HTTP_FAULT_DISAGREEMENT},
	    {counted, NULL, true, HTTP_FAULT_NONE},
	    {counted, distort_chunked, true, HTTP_FAULT_DISAGREEMENT},
	    {counted, distort_length, true, HTTP_FAULT_DISAGREEMENT},
	    {counted, distort_status, true, HTTP_FAULT_DISAGREEMENT},
	    {open_end, NULL, true, HTTP_FAULT_NONE},
	    {open_end, distort_chunked, true, HTTP_FAULT_DISAGREEMENT},
	    {open_end, distort_counted, true, HTTP_FAULT_DISAGREEMENT},
	    {not_modified, NULL, true, HTTP_FAULT_NONE},
	    {not_modified, distort_length, true, HTTP_FAULT_DISAGREEMENT},
	    {no_content, NULL, true, HTTP_FAULT_NONE},
	    {no_content, distort_chunked, true, HTTP_FAULT_NONE},
	};
	struct reader *reader = &only_reader;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_with(reader, cases[i].is_response, cases[i].bytes);
		distort = cases[i].distort;
		if (cases[i].is_response)
			read_response(reader);
		else
			read_request(reader);
		distort = NULL;
		if (reader->parse.fault != cases[i].fault)
			fail_msg("case %zu: fault %d", i, (int)reader->parse.fault);
		close_reader(reader);
	}
}

static void the_version_of_llhttp_is_told(void **state)
{
	char version[32];

	(void)state;
	snprintf(version, sizeof(version), "%d.%d.%d", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
	    LLHTTP_VERSION_PATCH);
	assert_string_equal(parse_llhttp_version(), version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_head_is_told_as_slices_of_the_buffer),
	    cmocka_unit_test(a_status_line_is_told_as_slices_of_the_buffer),
	    cmocka_unit_test(whatever_is_refused_has_a_fault),
	    cmocka_unit_test(every_method_that_matters_has_its_number),
	    cmocka_unit_test(empty_lines_are_consumed_as_they_come),
	    cmocka_unit_test(nothing_of_the_head_before_is_left),
	    cmocka_unit_test(odd_responses_are_told_like_others),
	    cmocka_unit_test(control_bytes_in_values_are_told_as_they_are),
	    cmocka_unit_test(as_much_of_a_refused_request_line_as_was_read_is_told),
	    cmocka_unit_test(what_llhttp_tells_in_pieces_is_joined),
	    cmocka_unit_test(what_llhttp_sees_otherwise_is_refused),
	    cmocka_unit_test(the_version_of_llhttp_is_told),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
