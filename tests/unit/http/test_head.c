/*
 * What is decided from the fields of a head, by tables. Whole messages are in test_parse.
 */
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { FIELDS = 12 };

/* A head and its fields, which are written as "Name: value" lines. */
struct sample {
	struct http_head head;
	struct http_field fields[FIELDS];
};

static void add_fields(struct sample *sample, const char *lines)
{
	struct str rest = str_from(lines);

	while (rest.len) {
		struct str line = str_split(&rest, '\n');
		struct http_field *field = &sample->fields[sample->head.field_count++];

		assert_true(sample->head.field_count <= FIELDS);
		*field = (struct http_field){.name = str_split(&line, ':')};
		field->value = str_trim(line);
	}
}

static void open_sample(struct sample *sample, unsigned minor, const char *lines)
{
	memset(sample, 0, sizeof(*sample));
	sample->head.fields = sample->fields;
	sample->head.field_limit = FIELDS;
	sample->head.minor = minor;
	add_fields(sample, lines);
}

static enum http_fault classify_request(
    struct sample *sample, enum http_method method, const char *target)
{
	sample->head.method = method;
	sample->head.target = str_from(target);
	return http_head_classify_request(&sample->head);
}

static void every_fault_has_a_status_and_a_rule(void **state)
{
	static const unsigned statuses[] = {
	    [HTTP_FAULT_NONE] = 200,
	    [HTTP_FAULT_TLS] = 400,
	    [HTTP_FAULT_VERSION] = 400,
	    [HTTP_FAULT_VERSION_AHEAD] = 505,
	    [HTTP_FAULT_METHOD] = 400,
	    [HTTP_FAULT_METHOD_LENGTH] = 501,
	    [HTTP_FAULT_METHOD_FORBIDDEN] = 405,
	    [HTTP_FAULT_TARGET_LENGTH] = 414,
	    [HTTP_FAULT_HEADER_BYTES] = 431,
	    [HTTP_FAULT_HEADERS] = 431,
	    [HTTP_FAULT_OPTIONS] = 431,
	    [HTTP_FAULT_CONTENT_BYTES] = 413,
	    [HTTP_FAULT_LENGTH] = 400,
	    [HTTP_FAULT_HOST] = 400,
	    [HTTP_FAULT_TARGET_FORM] = 400,
	    [HTTP_FAULT_EXPECTATION] = 417,
	    [HTTP_FAULT_DISAGREEMENT] = 400,
	    [HTTP_FAULT_CHUNK_END] = 400,
	};

	char text[HTTP_FAULT_TEXT_SIZE];

	(void)state;
	for (enum http_fault i = 0; i < HTTP_FAULTS; i++) {
		const char *rule = http_fault_rule(i);

		/* It is the end of a sentence, and part of a line of the log. */
		assert_true(strlen(rule) > 5 && rule[strlen(rule) - 1] != '.');
		assert_null(strpbrk(rule, "\"\\\n"));
		for (enum http_fault other = 0; other < i; other++)
			assert_string_not_equal(rule, http_fault_rule(other));
	}
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		if (statuses[i])
			assert_int_equal(http_fault_status((enum http_fault)i), statuses[i]);
	http_fault_describe("It is refused.", HTTP_FAULT_BARE_CR, text);
	assert_string_equal(text, "It is refused: bare CR.");
	http_fault_describe("It is refused.", HTTP_FAULT_NONE, text);
	assert_string_equal(text, "It is refused.");
}

static void reset_keeps_the_room_for_fields(void **state)
{
	struct sample sample;

	(void)state;
	open_sample(&sample, 1, "Host: a\nX: y");
	assert_int_equal(classify_request(&sample, HTTP_METHOD_GET, "/"), HTTP_FAULT_NONE);
	http_head_reset(&sample.head);
	assert_ptr_equal(sample.head.fields, sample.fields);
	assert_int_equal(sample.head.field_limit, FIELDS);
	assert_int_equal(sample.head.field_count, 0);
	assert_int_equal(sample.head.host.len, 0);
	assert_false(sample.head.keep_alive);
}

static void the_first_field_of_a_name_is_found(void **state)
{
	struct sample sample;

	(void)state;
	open_sample(&sample, 1, "A: 1\nBB: 2\nbb: 3");
	assert_ptr_equal(http_head_find(&sample.head, STR("bB")), &sample.fields[1]);
	assert_ptr_equal(http_head_find(&sample.head, STR("a")), &sample.fields[0]);
	assert_null(http_head_find(&sample.head, STR("b")));
	assert_null(http_head_find(&sample.head, STR("")));
}

static void lists_are_searched_by_element(void **state)
{
	static const struct {
		const char *list, *token;
		bool has;
	} cases[] = {
	    {"close", "close", true},
	    {"Close", "cLOSE", true},
	    {"a, close , b", "close", true},
	    {",,close,,", "close", true},
	    {"a,\tclose\t", "close", true},
	    {"closed", "close", false},
	    {"clos", "close", false},
	    {"a close", "close", false},
	    {"", "close", false},
	    {",", "close", false},
	    {"a;close", "close", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (http_list_has(str_from(cases[i].list), str_from(cases[i].token)) !=
		    cases[i].has)
			fail_msg("\"%s\" in \"%s\"", cases[i].token, cases[i].list);
	assert_false(http_list_has((struct str){NULL, 0}, STR("close")));
}

static void bytes_are_known_as_token_and_digit(void **state)
{
	static const char tokens[] = "!#$%&'*+-.^_`|~0123456789"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const char digits[] = "0123456789abcdefABCDEF";
	static const int values[] = {
	    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 10, 11, 12, 13, 14, 15};

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		const char *digit = byte ? strchr(digits, byte) : NULL;

		assert_int_equal(http_is_token_byte((char)byte), byte && strchr(tokens, byte));
		assert_int_equal(str_hex_digit((char)byte), digit ? values[digit - digits] : -1);
	}
}

static void keep_alive_follows_version_and_options(void **state)
{
	static const struct {
		const char *fields;
		unsigned minor;
		bool keep_alive;
	} cases[] = {
	    {"Host: a", 1, true},
	    {"Host: a", 0, false},
	    {"Host: a\nConnection: close", 1, false},
	    {"Host: a\nConnection: x, CLOSE", 1, false},
	    {"Host: a\nConnection: x\nConnection: close", 1, false},
	    {"Host: a\nConnection: keep-alive, close", 1, false},
	    {"Host: a\nConnection: keep-alive", 0, true},
	    {"Host: a\nConnection: Keep-Alive", 0, true},
	    {"Host: a\nConnection: keep-alive\nConnection: close", 0, false},
	    {"Host: a\nKeep-Alive: 5", 0, false},
	    {"Host: a\nProxy-Connection: close", 1, true},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_sample(&sample, cases[i].minor, cases[i].fields);
		assert_int_equal(classify_request(&sample, HTTP_METHOD_GET, "/"), HTTP_FAULT_NONE);
		if (sample.head.keep_alive != cases[i].keep_alive)
			fail_msg("case %zu", i);
	}
}

static void hop_by_hop_fields_are_marked(void **state)
{
	/* A "-" before each line of a field that must not be forwarded. */
	static const struct {
		unsigned minor;
		const char *lines[10];
	} cases[] = {
	    {1, {"+Host: a", "+X: y", "+Cookie: c", "+Accept: */*"}},
	    {1, {"+Host: a", "-Connection: close", "-Keep-Alive: 5", "-Proxy-Connection: x",
		    "-Proxy-Authenticate: x", "-Proxy-Authorization: x", "-TE: trailers",
		    "-Trailer: x", "-Upgrade: h2c"}},
	    {1, {"+Host: a", "-Transfer-Encoding: chunked"}},
	    {1, {"+Host: a", "-x: 1", "-Connection: X, y", "+z: 2", "-Y: 3", "-X: 4"}},
	    {1, {"+Host: a", "-Connection: x", "-Connection: ,y,,", "-x: 1", "-y: 2"}},
	    {1, {"-X: 1", "+Host: a", "-Connection: x"}},
	    /* Connection has no power over these. */
	    {1, {"+Host: a", "-Connection: host, content-length, via, date, expect",
		    "+Content-Length: 0", "+Via: 1.1 x", "+Date: x", "+Expect: 100-continue"}},
	    {1, {"+Host: a",
		    "-Connection: x-forwarded-for, x-forwarded-host, x-forwarded-proto, forwarded",
		    "+X-Forwarded-For: 1", "+X-Forwarded-Host: 2", "+X-Forwarded-Proto: 3",
		    "+Forwarded: 4"}},
	    /* These options are not names of fields. */
	    {1, {"+Host: a", "-Connection: close, keep-alive", "+Close: 1", "-Keep-Alive: 2"}},
	    {1, {"+Host: a", "-Connection: close, x", "+Close: 1", "-X: 2"}},
	    {0, {"+Host: a", "-Expect: 100-continue", "-Expect: x"}},
	    {1, {"+Host: a", "+Expect: 100-continue", "-Expect: 100-CONTINUE"}},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_sample(&sample, cases[i].minor, "");
		for (size_t line = 0; cases[i].lines[line]; line++)
			add_fields(&sample, cases[i].lines[line] + 1);
		assert_int_equal(classify_request(&sample, HTTP_METHOD_GET, "/"), HTTP_FAULT_NONE);
		for (size_t line = 0; cases[i].lines[line]; line++)
			if (sample.fields[line].hop_by_hop != (cases[i].lines[line][0] == '-'))
				fail_msg("case %zu: %s", i, cases[i].lines[line] + 1);
	}
}

static void options_have_a_limit(void **state)
{
	static const struct {
		size_t options, repeated;
		enum http_fault fault;
	} cases[] = {
	    {100, 1, HTTP_FAULT_NONE},
	    {101, 1, HTTP_FAULT_OPTIONS},
	    {50, 2, HTTP_FAULT_NONE},
	    {51, 2, HTTP_FAULT_OPTIONS},
	    {8000, 1, HTTP_FAULT_OPTIONS},
	};
	const struct http_head request = {.method = HTTP_METHOD_GET, .minor = 1};
	static char options[2 * 8000];
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(options); i += 2)
		memcpy(options + i, "x,", 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_sample(&sample, 1, "Host: a\nX: y\nContent-Length: 0\nConnection: ");
		if (cases[i].repeated == 2)
			add_fields(&sample, "Connection:");
		for (size_t field = 3; field < sample.head.field_count; field++)
			sample.fields[field].value = (struct str){options, cases[i].options * 2};
		assert_int_equal(classify_request(&sample, HTTP_METHOD_GET, "/"), cases[i].fault);
		if (cases[i].fault == HTTP_FAULT_NONE)
			assert_true(sample.fields[1].hop_by_hop);
		sample.head.status = 200;
		assert_int_equal(
		    http_head_classify_response(&sample.head, &request), cases[i].fault);
	}
}

static void requests_are_framed(void **state)
{
	static const struct {
		unsigned minor;
		const char *fields;
		enum http_fault fault;
		enum http_framing framing;
		uint64_t length;
	} cases[] = {
	    {1, "Host: a", HTTP_FAULT_NONE, HTTP_FRAMING_NONE, 0},
	    {1, "Host: a\nContent-Length: 0", HTTP_FAULT_NONE, HTTP_FRAMING_LENGTH, 0},
	    {1, "Host: a\nCONTENT-LENGTH: 12", HTTP_FAULT_NONE, HTTP_FRAMING_LENGTH, 12},
	    {0, "Content-Length: 12", HTTP_FAULT_NONE, HTTP_FRAMING_LENGTH, 12},
	    {1, "Host: a\nTransfer-Encoding: chunked", HTTP_FAULT_NONE, HTTP_FRAMING_CHUNKED, 0},
	    {1, "Host: a\nTransfer-Encoding: ChunkeD", HTTP_FAULT_NONE, HTTP_FRAMING_CHUNKED, 0},
	    {0, "Transfer-Encoding: chunked", HTTP_FAULT_CODING_OLD, 0, 0},
	    {1, "Host: a\nTransfer-Encoding:", HTTP_FAULT_CODING, 0, 0},
	    {1, "Host: a\nTransfer-Encoding: gzip, chunked", HTTP_FAULT_CODING, 0, 0},
	    {1, "Host: a\nTransfer-Encoding: chunked, chunked", HTTP_FAULT_CODING, 0, 0},
	    {1, "Host: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
		HTTP_FAULT_CODING_REPEATED, 0, 0},
	    {1, "Host: a\nTransfer-Encoding: chunked\nContent-Length: 1",
		HTTP_FAULT_LENGTH_AND_CODING, 0, 0},
	    {1, "Host: a\nContent-Length: 1\nTransfer-Encoding:", HTTP_FAULT_LENGTH_AND_CODING, 0,
		0},
	    {1, "Host: a\nContent-Length: 1\nContent-Length: 1", HTTP_FAULT_LENGTH_REPEATED, 0, 0},
	    {1, "Host: a\nContent-Length: 1, 1", HTTP_FAULT_LENGTH_REPEATED, 0, 0},
	    {1, "Host: a\nContent-Length: 1, 2", HTTP_FAULT_LENGTHS_DIFFER, 0, 0},
	    {1, "Host: a\nContent-Length: 1,", HTTP_FAULT_LENGTH, 0, 0},
	    {1, "Host: a\nContent-Length: 01", HTTP_FAULT_NONE, HTTP_FRAMING_LENGTH, 1},
	    {1, "Host: a\nContent-Length: 00", HTTP_FAULT_NONE, HTTP_FRAMING_LENGTH, 0},
	    {1, "Host: a\nContent-Length: 00000000000000000000010", HTTP_FAULT_NONE,
		HTTP_FRAMING_LENGTH, 10},
	    {1, "Host: a\nContent-Length: 0x1", HTTP_FAULT_LENGTH, 0, 0},
	    {1, "Host: a\nContent-Length: 1\x01", HTTP_FAULT_LENGTH, 0, 0},
	    {1, "Host: a\nContent-Length: +1", HTTP_FAULT_LENGTH, 0, 0},
	    {1, "Host: a\nTransfer-Encoding: chunked\x01", HTTP_FAULT_CODING, 0, 0},
	    {1, "Host: a\nContent-Length: -1", HTTP_FAULT_LENGTH, 0, 0},
	    {1, "Host: a\nContent-Length:", HTTP_FAULT_LENGTH, 0, 0},
	    {1, "Host: a\nContent-Length: 1234567890123456789", HTTP_FAULT_LENGTH, 0, 0},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		enum http_fault fault;

		open_sample(&sample, cases[i].minor, cases[i].fields);
		fault = classify_request(&sample, HTTP_METHOD_POST, "/");
		if (fault != cases[i].fault)
			fail_msg("case %zu: fault %d", i, (int)fault);
		if (fault != HTTP_FAULT_NONE)
			continue;
		assert_int_equal(sample.head.framing, cases[i].framing);
		assert_int_equal(sample.head.content_length, cases[i].length);
		assert_int_equal(
		    sample.head.has_content_length, cases[i].framing == HTTP_FRAMING_LENGTH);
	}
}

static void targets_and_hosts_are_settled(void **state)
{
	static const struct {
		enum http_method method;
		unsigned minor;
		const char *target, *fields;
		enum http_fault fault;
		const char *host, *path;
	} cases[] = {
	    {HTTP_METHOD_GET, 1, "/a?b", "Host: h:1", HTTP_FAULT_NONE, "h:1", "/a?b"},
	    {HTTP_METHOD_GET, 0, "/", "X: y", HTTP_FAULT_NONE, "", "/"},
	    {HTTP_METHOD_GET, 1, "http://t:2/a", "Host: h", HTTP_FAULT_NONE, "t:2", "/a"},
	    {HTTP_METHOD_GET, 0, "HtTp://t/a", "X: y", HTTP_FAULT_NONE, "t", "/a"},
	    {HTTP_METHOD_GET, 1, "http://t", "Host: h", HTTP_FAULT_NONE, "t", "/"},
	    {HTTP_METHOD_GET, 1, "http://t?q", "Host: h", HTTP_FAULT_NONE, "t", "?q"},
	    {HTTP_METHOD_GET, 1, "http://t/?q=/x:y@z", "Host: h", HTTP_FAULT_NONE, "t",
		"/?q=/x:y@z"},
	    {HTTP_METHOD_OPTIONS, 1, "*", "Host: h", HTTP_FAULT_NONE, "h", "*"},
	    {HTTP_METHOD_OPTIONS, 1, "http://t", "Host: h", HTTP_FAULT_NONE, "t", "*"},
	    {HTTP_METHOD_OPTIONS, 1, "http://t/", "Host: h", HTTP_FAULT_NONE, "t", "/"},
	    {HTTP_METHOD_GET, 1, "*", "Host: h", HTTP_FAULT_TARGET_FORM, "", ""},
	    {HTTP_METHOD_OPTIONS, 1, "*a", "Host: h", HTTP_FAULT_TARGET_FORM, "", ""},
	    {HTTP_METHOD_GET, 1, "a", "Host: h", HTTP_FAULT_TARGET_FORM, "", ""},
	    {HTTP_METHOD_GET, 1, "", "Host: h", HTTP_FAULT_TARGET_FORM, "", ""},
	    {HTTP_METHOD_GET, 1, "/#", "Host: h", HTTP_FAULT_TARGET_FRAGMENT, "", ""},
	    {HTTP_METHOD_GET, 1, "http://t/#", "Host: h", HTTP_FAULT_TARGET_FRAGMENT, "", ""},
	    {HTTP_METHOD_GET, 1, "http://", "Host: h", HTTP_FAULT_TARGET_AUTHORITY, "", ""},
	    {HTTP_METHOD_GET, 1, "http:///a", "Host: h", HTTP_FAULT_TARGET_AUTHORITY, "", ""},
	    {HTTP_METHOD_GET, 1, "http://u@t/", "Host: h", HTTP_FAULT_TARGET_AUTHORITY, "", ""},
	    {HTTP_METHOD_GET, 1, "https://t/a", "Host: h", HTTP_FAULT_NONE, "t", "/a"},
	    {HTTP_METHOD_GET, 1, "HTTPS://t:8443", "Host: h", HTTP_FAULT_NONE, "t:8443", "/"},
	    {HTTP_METHOD_GET, 1, "https:///a", "Host: h", HTTP_FAULT_TARGET_AUTHORITY, "", ""},
	    {HTTP_METHOD_GET, 1, "httpss://t/", "Host: h", HTTP_FAULT_TARGET_FORM, "", ""},
	    {HTTP_METHOD_GET, 1, "ftp://t/", "Host: h", HTTP_FAULT_TARGET_FORM, "", ""},
	    {HTTP_METHOD_GET, 1, "/", "Host:", HTTP_FAULT_NONE, "", "/"},
	    {HTTP_METHOD_GET, 1, "http://t/", "Host:", HTTP_FAULT_NONE, "t", "/"},
	    {HTTP_METHOD_GET, 1, "/", "Host:\nHost: h", HTTP_FAULT_HOST_REPEATED, "", ""},
	    {HTTP_METHOD_GET, 1, "http", "Host: h", HTTP_FAULT_TARGET_FORM, "", ""},
	    {HTTP_METHOD_GET, 1, "/", "X: y", HTTP_FAULT_HOST_MISSING, "", ""},
	    {HTTP_METHOD_GET, 1, "http://t/", "X: y", HTTP_FAULT_HOST_MISSING, "", ""},
	    {HTTP_METHOD_GET, 1, "http://t/", "Host: a b", HTTP_FAULT_HOST, "", ""},
	    {HTTP_METHOD_GET, 1, "/", "Host: h\nHost: h", HTTP_FAULT_HOST_REPEATED, "", ""},
	    {HTTP_METHOD_GET, 0, "/", "Host: h\nHost: h", HTTP_FAULT_HOST_REPEATED, "", ""},
	    {HTTP_METHOD_GET, 0, "/", "Host:", HTTP_FAULT_NONE, "", "/"},
	    {HTTP_METHOD_CONNECT, 1, "h:1", "Host: h:1", HTTP_FAULT_METHOD_FORBIDDEN, "", ""},
	    {HTTP_METHOD_TRACE, 1, "/", "X: y", HTTP_FAULT_HOST_MISSING, "", ""},
	    {HTTP_METHOD_TRACE, 1, "/", "Host: a", HTTP_FAULT_METHOD_FORBIDDEN, "a", "/"},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		enum http_fault fault;

		open_sample(&sample, cases[i].minor, cases[i].fields);
		fault = classify_request(&sample, cases[i].method, cases[i].target);
		if (fault != cases[i].fault)
			fail_msg("%s, %s: fault %d", cases[i].target, cases[i].fields, (int)fault);
		if (fault != HTTP_FAULT_NONE)
			continue;
		assert_true(str_equals(sample.head.host, str_from(cases[i].host)));
		assert_true(str_equals(sample.head.path, str_from(cases[i].path)));
	}
}

static void nothing_beyond_the_target_is_looked_at(void **state)
{
	struct sample sample;

	(void)state;
	for (size_t len = 0; len < 8; len++) {
		open_sample(&sample, 1, "Host: h");
		sample.head.method = HTTP_METHOD_GET;
		sample.head.target = (struct str){"http://a", len};
		assert_int_equal(http_head_classify_request(&sample.head),
		    len < 7 ? HTTP_FAULT_TARGET_FORM : HTTP_FAULT_TARGET_AUTHORITY);
	}
}

static void hosts_are_taken_or_refused(void **state)
{
	static const struct {
		const char *host;
		bool good;
	} cases[] = {
	    {"a", true},
	    {"A.Example.COM", true},
	    {"a.", true},
	    {"a-b_c~d", true},
	    {"a!$&'()*+;=", true},
	    {"xn--caf-dma.example", true},
	    {"a%C3%A9", true},
	    {"gzGZ", true},
	    {"[0000:0000:0000:0000:0000:ffff:255.255.255.255]", true},
	    {"a%30z", true},
	    {"Z%7e", true},
	    {"127.0.0.1", true},
	    {"127.0.0.1:8080", true},
	    {"a:", true},
	    {"a:0", true},
	    {"a:65535", true},
	    {"a:9999", true},
	    {"a:00001", true},
	    {"[::]", true},
	    {"[2001:db8::1]:80", true},
	    {"[::ffff:127.0.0.1]", true},
	    {"", true},
	    {"[fe80::1%25eth0]", true},
	    {"[fe80::1%eth0]:80", true},
	    {"[fe80::1%5]", true},
	    {":80", false},
	    {"a:65536", false},
	    {"a:000001", false},
	    {"a:b", false},
	    {"a:+1", false},
	    {"a::1", false},
	    {"a:1:2", false},
	    {"a,b", false},
	    {"a b", false},
	    {"a/", false},
	    {"a?", false},
	    {"a#", false},
	    {"u@a", false},
	    {"a\\", false},
	    {"a\"", false},
	    {"a<", false},
	    {"a[", false},
	    {"a]", false},
	    {"a^", false},
	    {"a`", false},
	    {"a{", false},
	    {"a|", false},
	    {"a\x7f", false},
	    {"caf\xc3\xa9", false},
	    {".", false},
	    {".a", false},
	    {"a..b", false},
	    {"a..", false},
	    {"a%", false},
	    {"a%4", false},
	    {"a%4g", false},
	    {"a%g4", false},
	    {"a%41,b", false},
	    {"a%1f", false},
	    {"a%0a", false},
	    {"a%20", false},
	    {"a%7f", false},
	    {"[", false},
	    {"[]", false},
	    {"[::1", false},
	    {"[::1]x", false},
	    {"[::1]:x", false},
	    {"[::1]:65536", false},
	    {"[:::1]", false},
	    {"[127.0.0.1]", false},
	    {"[::1%25lo]", true},
	    {"[fe80::1%]", false},
	    {"[fe80::1%eth0", false},
	    {"[fe80::1%eth 0]", false},
	    {"[fe80::1%eth%0]", false},
	    {"[%eth0]", false},
	    {"[127.0.0.1%eth0]", false},
	    {"fe80::1%eth0", false},
	    {"[a]", false},
	    {"[0000:0000:0000:0000:0000:ffff:255.255.255.2555]", false},
	    {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", false},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char line[128];

		snprintf(line, sizeof(line), "Host: %s", cases[i].host);
		open_sample(&sample, 1, line);
		if ((classify_request(&sample, HTTP_METHOD_GET, "/") == HTTP_FAULT_NONE) !=
		    cases[i].good)
			fail_msg("\"%s\"", cases[i].host);
	}

	open_sample(&sample, 1, "Host: ab");
	sample.fields[0].value = (struct str){"a\0b", 3};
	assert_int_equal(classify_request(&sample, HTTP_METHOD_GET, "/"), HTTP_FAULT_HOST);
	sample.fields[0].value = (struct str){"a%41", 3};
	assert_int_equal(classify_request(&sample, HTTP_METHOD_GET, "/"), HTTP_FAULT_HOST);
}

static void wishes_of_a_request_are_told(void **state)
{
	static const struct {
		enum http_method method;
		unsigned minor;
		const char *fields;
		enum http_fault fault;
		bool expects, trailers, offers;
	} cases[] = {
	    {HTTP_METHOD_GET, 1, "X: y", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_POST, 1, "Expect: 100-continue", HTTP_FAULT_NONE, true, false, false},
	    {HTTP_METHOD_POST, 1, "Expect: 100-CONTINUE\nExpect: 100-continue", HTTP_FAULT_NONE,
		true, false, false},
	    {HTTP_METHOD_POST, 1, "Expect: 100-continue, x", HTTP_FAULT_EXPECTATION, false, false,
		false},
	    {HTTP_METHOD_POST, 1, "Expect: x", HTTP_FAULT_EXPECTATION, false, false, false},
	    {HTTP_METHOD_POST, 1, "Expect:", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_POST, 1, "Expect: ,", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_POST, 1, "Expect: , 100-continue ,", HTTP_FAULT_NONE, true, false, false},
	    {HTTP_METHOD_POST, 1, "Expect:\nExpect: 100-continue, 100-Continue", HTTP_FAULT_NONE,
		true, false, false},
	    {HTTP_METHOD_POST, 1, "Expect: 100-continue\x01", HTTP_FAULT_EXPECTATION, false, false,
		false},
	    {HTTP_METHOD_POST, 0, "Expect: x", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_POST, 0, "Expect: 100-continue", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_GET, 1, "TE: trailers\nConnection: te", HTTP_FAULT_NONE, false, true,
		false},
	    {HTTP_METHOD_GET, 1, "TE: gzip;q=1, Trailers\nConnection: x, TE", HTTP_FAULT_NONE,
		false, true, false},
	    {HTTP_METHOD_GET, 1, "TE: trailers", HTTP_FAULT_NONE, false, true, false},
	    {HTTP_METHOD_GET, 0, "TE: trailers", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_GET, 1, "Connection: te, trailers", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_GET, 1, "TE: gzip\nConnection: te", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_GET, 0, "TE: trailers\nConnection: te", HTTP_FAULT_NONE, false, false,
		false},
	    {HTTP_METHOD_GET, 1, "Connection: Upgrade\nUpgrade: websocket", HTTP_FAULT_NONE, false,
		false, true},
	    {HTTP_METHOD_GET, 1, "Connection: x, upgrade\nUpgrade: h2c\nUpgrade: a, WebSocket",
		HTTP_FAULT_NONE, false, false, true},
	    {HTTP_METHOD_POST, 1, "Connection: Upgrade\nUpgrade: tcp\nContent-Length: 1",
		HTTP_FAULT_NONE, false, false, true},
	    {HTTP_METHOD_GET, 1,
		"Connection: Upgrade\nUpgrade: websocket\nTransfer-Encoding: chunked",
		HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_GET, 1, "Upgrade: websocket", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_GET, 1, "Connection: Upgrade", HTTP_FAULT_NONE, false, false, false},
	    {HTTP_METHOD_GET, 0, "Connection: Upgrade\nUpgrade: websocket", HTTP_FAULT_NONE, false,
		false, false},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_sample(&sample, cases[i].minor, "Host: a");
		add_fields(&sample, cases[i].fields);
		if (classify_request(&sample, cases[i].method, "/") != cases[i].fault)
			fail_msg("case %zu", i);
		if (sample.head.expects_continue != cases[i].expects ||
		    sample.head.accepts_trailers != cases[i].trailers ||
		    sample.head.offers_upgrade != cases[i].offers)
			fail_msg("case %zu: %d %d %d", i, sample.head.expects_continue,
			    sample.head.accepts_trailers, sample.head.offers_upgrade);
	}
}

static void responses_are_framed(void **state)
{
	static const char both[] = "Content-Length: 1\nTransfer-Encoding: chunked";
	static const struct {
		unsigned status, minor;
		const char *fields;
		enum http_method answers;
		enum http_fault fault;
		enum http_framing framing;
		bool keep_alive, has_length;
	} cases[] = {
	    {200, 1, "Content-Length: 5", HTTP_METHOD_GET, 0, HTTP_FRAMING_LENGTH, true, true},
	    {200, 0, "Content-Length: 5", HTTP_METHOD_GET, 0, HTTP_FRAMING_LENGTH, false, true},
	    {200, 0, "Content-Length: 5\nConnection: keep-alive", HTTP_METHOD_GET, 0,
		HTTP_FRAMING_LENGTH, true, true},
	    {200, 1, "Content-Length: 5\nConnection: close", HTTP_METHOD_GET, 0,
		HTTP_FRAMING_LENGTH, false, true},
	    {200, 1, "Transfer-Encoding: chunked", HTTP_METHOD_GET, 0, HTTP_FRAMING_CHUNKED, true,
		false},
	    {200, 0, "Transfer-Encoding: chunked\nConnection: keep-alive", HTTP_METHOD_GET, 0,
		HTTP_FRAMING_CHUNKED, false, false},
	    {200, 0, "Transfer-Encoding: chunked\nConnection: keep-alive", HTTP_METHOD_HEAD, 0,
		HTTP_FRAMING_NONE, false, false},
	    {304, 0, "Transfer-Encoding: chunked\nConnection: keep-alive", HTTP_METHOD_GET, 0,
		HTTP_FRAMING_NONE, false, false},
	    {200, 1, "Content-Length: 5\nX: y\ncontent-length: 05", HTTP_METHOD_GET, 0,
		HTTP_FRAMING_LENGTH, true, true},
	    {200, 1, "Content-Length: 5, 5,5", HTTP_METHOD_GET, 0, HTTP_FRAMING_LENGTH, true, true},
	    {999, 1, "Content-Length: 5", HTTP_METHOD_GET, 0, HTTP_FRAMING_LENGTH, true, true},
	    {200, 1, "Content-Length: 5, 6", HTTP_METHOD_GET, HTTP_FAULT_LENGTHS_DIFFER, 0, false,
		false},
	    {200, 1, "Content-Length: 6\nContent-Length: 5", HTTP_METHOD_GET,
		HTTP_FAULT_LENGTHS_DIFFER, 0, false, false},
	    {200, 1, "Content-Length: 5,", HTTP_METHOD_GET, HTTP_FAULT_LENGTH, 0, false, false},
	    {200, 1, "Transfer-Encoding: chunked\nTransfer-Encoding: chunked", HTTP_METHOD_GET,
		HTTP_FAULT_CODING_REPEATED, 0, false, false},
	    {200, 1, "X: y", HTTP_METHOD_GET, 0, HTTP_FRAMING_CLOSE, false, false},
	    {500, 1, "X: y", HTTP_METHOD_GET, 0, HTTP_FRAMING_CLOSE, false, false},
	    {200, 1, "Content-Length: 5", HTTP_METHOD_HEAD, 0, HTTP_FRAMING_NONE, true, true},
	    {200, 1, "Transfer-Encoding: chunked", HTTP_METHOD_HEAD, 0, HTTP_FRAMING_NONE, true,
		false},
	    {200, 1, "X: y", HTTP_METHOD_HEAD, 0, HTTP_FRAMING_NONE, true, false},
	    {304, 1, "Content-Length: 5", HTTP_METHOD_GET, 0, HTTP_FRAMING_NONE, true, true},
	    {304, 1, "X: y", HTTP_METHOD_GET, 0, HTTP_FRAMING_NONE, true, false},
	    {204, 1, "Content-Length: 5", HTTP_METHOD_GET, 0, HTTP_FRAMING_NONE, true, false},
	    {204, 1, "Transfer-Encoding: chunked", HTTP_METHOD_GET, 0, HTTP_FRAMING_NONE, true,
		false},
	    {100, 1, "Content-Length: 5", HTTP_METHOD_GET, 0, HTTP_FRAMING_NONE, true, false},
	    {103, 1, "Link: x", HTTP_METHOD_GET, 0, HTTP_FRAMING_NONE, true, false},
	    {205, 1, "Content-Length: 0", HTTP_METHOD_GET, 0, HTTP_FRAMING_LENGTH, true, true},
	    {200, 1, both, HTTP_METHOD_GET, HTTP_FAULT_LENGTH_AND_CODING, 0, false, false},
	    {200, 1, both, HTTP_METHOD_HEAD, HTTP_FAULT_LENGTH_AND_CODING, 0, false, false},
	    {204, 1, both, HTTP_METHOD_GET, HTTP_FAULT_LENGTH_AND_CODING, 0, false, false},
	    {200, 1, "Content-Length: x", HTTP_METHOD_GET, HTTP_FAULT_LENGTH, 0, false, false},
	    {200, 1, "Transfer-Encoding: gzip", HTTP_METHOD_GET, HTTP_FAULT_CODING, 0, false,
		false},
	    {200, 0, "Transfer-Encoding: gzip", HTTP_METHOD_GET, HTTP_FAULT_CODING, 0, false,
		false},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct http_head request = {.method = cases[i].answers, .minor = 1};
		enum http_fault fault;

		open_sample(&sample, cases[i].minor, cases[i].fields);
		sample.head.status = cases[i].status;
		fault = http_head_classify_response(&sample.head, &request);
		if (fault != cases[i].fault)
			fail_msg("case %zu: fault %d", i, (int)fault);
		if (fault == HTTP_FAULT_NONE &&
		    (sample.head.framing != cases[i].framing ||
			sample.head.keep_alive != cases[i].keep_alive ||
			sample.head.has_content_length != cases[i].has_length ||
			sample.head.content_length !=
			    (cases[i].has_length && cases[i].status != 205 ? 5 : 0)))
			fail_msg("case %zu: framing %d", i, (int)sample.head.framing);
	}
}

static void trailers_that_decide_something_are_barred(void **state)
{
	static const char *const barred[] = {"Content-Length", "transfer-encoding", "HOST",
	    "Connection", "TE", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Authorization",
	    "Authorization", "WWW-Authenticate", "Set-Cookie", "Cookie", "Content-Type",
	    "Content-Encoding", "Content-Range", "Cache-Control", "Expires", "Age", "Date", "Vary",
	    "Location", "Retry-After", "Via", "Forwarded", "X-Forwarded-For", "Expect",
	    "Max-Forwards", "Range"};
	static const char *const allowed[] = {"X-Sum", "Digest", "Content-MD5", "Grpc-Status",
	    "Server-Timing", "ETag", "X-Content-Length"};

	(void)state;
	for (size_t i = 0; i < sizeof(barred) / sizeof(*barred); i++)
		if (http_trailer_is_allowed(str_from(barred[i])))
			fail_msg("%s", barred[i]);
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		if (!http_trailer_is_allowed(str_from(allowed[i])))
			fail_msg("%s", allowed[i]);
}

static void hops_are_counted_for_options_alone(void **state)
{
	static const struct {
		const char *name, *value;
		enum http_method method;
		bool says;
		uint64_t hops;
	} cases[] = {
	    {"Max-Forwards", "5", HTTP_METHOD_OPTIONS, true, 5},
	    {"max-forwards", "0", HTTP_METHOD_OPTIONS, true, 0},
	    {"Max-Forwards", "007", HTTP_METHOD_OPTIONS, true, 7},
	    {"Max-Forwards", "00", HTTP_METHOD_OPTIONS, true, 0},
	    {"Max-Forwards", "18446744073709551616", HTTP_METHOD_OPTIONS, true, 1000000},
	    {"Max-Forwards", "", HTTP_METHOD_OPTIONS, false, 0},
	    {"Max-Forwards", "-1", HTTP_METHOD_OPTIONS, false, 0},
	    {"Max-Forwards", "5, 4", HTTP_METHOD_OPTIONS, false, 0},
	    {"Max-Forward", "0", HTTP_METHOD_OPTIONS, false, 0},
	    {"Max-Forwards", "0", HTTP_METHOD_GET, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_field fields[2] = {{.name = STR("X"), .value = STR("0")}};
		const struct http_head head = {
		    .method = cases[i].method, .fields = fields, .field_count = 2};
		uint64_t hops = 0;

		fields[1].name = str_from(cases[i].name);
		fields[1].value = str_from(cases[i].value);
		assert_int_equal(http_head_hops_left(&head, &fields[1], &hops), cases[i].says);
		if (cases[i].says)
			assert_int_equal(hops, cases[i].hops);
		assert_int_equal(http_head_ends_here(&head), cases[i].says && cases[i].hops == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_fault_has_a_status_and_a_rule),
	    cmocka_unit_test(reset_keeps_the_room_for_fields),
	    cmocka_unit_test(the_first_field_of_a_name_is_found),
	    cmocka_unit_test(lists_are_searched_by_element),
	    cmocka_unit_test(bytes_are_known_as_token_and_digit),
	    cmocka_unit_test(keep_alive_follows_version_and_options),
	    cmocka_unit_test(hop_by_hop_fields_are_marked),
	    cmocka_unit_test(options_have_a_limit),
	    cmocka_unit_test(requests_are_framed),
	    cmocka_unit_test(targets_and_hosts_are_settled),
	    cmocka_unit_test(nothing_beyond_the_target_is_looked_at),
	    cmocka_unit_test(hosts_are_taken_or_refused),
	    cmocka_unit_test(wishes_of_a_request_are_told),
	    cmocka_unit_test(responses_are_framed),
	    cmocka_unit_test(trailers_that_decide_something_are_barred),
	    cmocka_unit_test(hops_are_counted_for_options_alone),
	};

	return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
