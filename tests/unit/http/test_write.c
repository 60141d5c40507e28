/*
 * Composed bytes, compared whole.
 */
#include "http/body.h"
#include "http/upgrade.h"
#include "http/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { FIELDS = 12, BLOCK_SIZE = 2048 };

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

static const char *names[] = {"websocket", "tcp", "SPDY"};
static const struct http_upgrades protocols = {names, 3};

/* A classified request; the target is "/a" and the method GET. */
static void open_request(struct sample *sample, unsigned minor, const char *lines)
{
	memset(sample, 0, sizeof(*sample));
	sample->head.fields = sample->fields;
	sample->head.field_limit = FIELDS;
	sample->head.minor = minor;
	sample->head.method = HTTP_METHOD_GET;
	sample->head.method_text = STR("GET");
	sample->head.target = STR("/a");
	add_fields(sample, lines);
	assert_int_equal(http_head_classify_request(&sample->head), HTTP_FAULT_NONE);
	http_upgrade_choose(&sample->head, &protocols);
}

/* A classified response to `request`. */
static void open_response(
    struct sample *sample, unsigned status, const char *lines, const struct http_head *request)
{
	memset(sample, 0, sizeof(*sample));
	sample->head.fields = sample->fields;
	sample->head.field_limit = FIELDS;
	sample->head.minor = 1;
	sample->head.status = status;
	add_fields(sample, lines);
	assert_int_equal(http_head_classify_response(&sample->head, request), HTTP_FAULT_NONE);
}

/* A buffer with one block of its own. */
struct output {
	struct slab blocks;
	struct buf buf;
};

static void open_output(struct output *output, size_t size)
{
	slab_init(&output->blocks, size, 1);
	buf_init(&output->buf, &output->blocks);
}

static void close_output(struct output *output)
{
	buf_release(&output->buf);
	slab_finish(&output->blocks);
}

/* The buffer holds just this. */
static void check_output(const struct output *output, const char *what, const char *expected)
{
	if (!str_equals(buf_content(&output->buf), str_from(expected)))
		fail_msg("%s:\n%.*s\nshould be:\n%s", what, STR_ARGS(buf_content(&output->buf)),
		    expected);
}

static void check_request(const struct write_request *request, const char *expected)
{
	struct output output;

	open_output(&output, BLOCK_SIZE);
	assert_true(write_request_head(&output.buf, request));
	check_output(&output, "request", expected);
	close_output(&output);
}

static void requests_are_composed_afresh(void **state)
{
	static const struct {
		unsigned minor;
		const char *fields, *expected;
	} cases[] = {
	    {1, "X: y\nHost: h:1\nx: z\nCookie: c",
		"GET /a HTTP/1.1\r\nHost: h:1\r\nX: y\r\nx: z\r\nCookie: c\r\nVia: 1.1 "
		"rondo\r\n\r\n"},
	    {1, "Host: h\nConnection: close, X\nX: y\nKeep-Alive: 5\nTE: gzip\nUpgrade: h2c",
		"GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.1 rondo\r\n\r\n"},
	    {1, "Host: h\nVia: 1.0 a\nVia: 1.1 b",
		"GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.0 a\r\nVia: 1.1 b\r\nVia: 1.1 rondo\r\n\r\n"},
	    {0, "X: y", "GET /a HTTP/1.1\r\nHost: backend:9\r\nX: y\r\nVia: 1.0 rondo\r\n\r\n"},
	    {0, "Host: h\nExpect: x", "GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.0 rondo\r\n\r\n"},
	    {1, "Host: h\nExpect: 100-continue\nExpect: 100-continue",
		"GET /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nVia: 1.1 rondo\r\n\r\n"},
	    {1, "Content-Length: 5\nHost: h\nX: y",
		"GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\nVia: 1.1 rondo\r\nContent-Length: "
		"5\r\n\r\n"},
	    {1, "Host: h\nContent-Length: 0",
		"GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.1 rondo\r\nContent-Length: 0\r\n\r\n"},
	    {1, "Host: h\ntransfer-encoding: Chunked\nTrailer: x",
		"GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.1 rondo\r\nTransfer-Encoding: "
		"chunked\r\n\r\n"},
	    {1, "Host: h\nTE: trailers, gzip\nConnection: TE",
		"GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.1 rondo\r\nConnection: TE\r\nTE: "
		"trailers\r\n\r\n"},
	    {1,
		"Host: h\nConnection: keep-alive, Upgrade\nUpgrade: h2c, "
		"WebSocket\nSec-WebSocket-Key: k",
		"GET /a HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nVia: 1.1 rondo\r\n"
		"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
	    {1,
		"Host: h\nConnection: Upgrade\nUpgrade: tcp, foo\nUpgrade: SPDY/3.1\n"
		"TE: trailers\nContent-Length: 5",
		"GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.1 rondo\r\n"
		"Connection: Upgrade\r\nUpgrade: tcp, SPDY/3.1\r\nContent-Length: 5\r\n\r\n"},
	    {1, "Host: h\nEmpty:",
		"GET /a HTTP/1.1\r\nHost: h\r\nEmpty: \r\nVia: 1.1 rondo\r\n\r\n"},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct write_request request = {.head = &sample.head,
		    .forwarded = WRITE_FORWARDED_NONE,
		    .client_ip = STR("192.0.2.1"),
		    .backend_host = STR("backend:9")};

		open_request(&sample, cases[i].minor, cases[i].fields);
		check_request(&request, cases[i].expected);
	}
}

static void targets_go_on_in_origin_form(void **state)
{
	static const struct {
		enum http_method method;
		const char *method_text, *target, *line;
	} cases[] = {
	    {HTTP_METHOD_GET, "GET", "/%0d%0a/../b?c=/",
		"GET /%0d%0a/../b?c=/ HTTP/1.1\r\nHost: h\r\n"},
	    {HTTP_METHOD_GET, "GET", "http://t:1/b", "GET /b HTTP/1.1\r\nHost: t:1\r\n"},
	    {HTTP_METHOD_GET, "GET", "http://t", "GET / HTTP/1.1\r\nHost: t\r\n"},
	    {HTTP_METHOD_GET, "GET", "http://t?q=1", "GET /?q=1 HTTP/1.1\r\nHost: t\r\n"},
	    {HTTP_METHOD_OPTIONS, "OPTIONS", "*", "OPTIONS * HTTP/1.1\r\nHost: h\r\n"},
	    {HTTP_METHOD_OPTIONS, "OPTIONS", "http://t", "OPTIONS * HTTP/1.1\r\nHost: t\r\n"},
	    {HTTP_METHOD_OPTIONS, "OPTIONS", "http://t?q", "OPTIONS /?q HTTP/1.1\r\nHost: t\r\n"},
	    {HTTP_METHOD_OTHER, "PURGE", "/", "PURGE / HTTP/1.1\r\nHost: h\r\n"},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct write_request request = {
		    .head = &sample.head, .forwarded = WRITE_FORWARDED_NONE};
		char expected[128];

		open_request(&sample, 1, "Host: h");
		sample.head.method = cases[i].method;
		sample.head.method_text = str_from(cases[i].method_text);
		sample.head.target = str_from(cases[i].target);
		assert_int_equal(http_head_classify_request(&sample.head), HTTP_FAULT_NONE);
		snprintf(expected, sizeof(expected), "%sVia: 1.1 rondo\r\n\r\n", cases[i].line);
		check_request(&request, expected);
	}
}

static void the_client_is_told_to_the_backend(void **state)
{
	static const char claims[] = "Host: h\nX-Forwarded-For: 1.1.1.1\nForwarded: for=2.2.2.2\n"
				     "X-Forwarded-Proto: https\nx-forwarded-for: 3.3.3.3\n"
				     "X-Forwarded-Host: o\nForwarded: for=4.4.4.4\n"
				     "X_Forwarded_For: 5.5.5.5\nX-Forwarded-Port: 1";
	static const struct {
		enum write_forwarded forwarded;
		bool trusted;
		const char *ip, *fields, *expected;
	} cases[] = {
	    {WRITE_FORWARDED_X, false, "192.0.2.1", "Host: h",
		"Via: 1.1 rondo\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\n"},
	    {WRITE_FORWARDED_X, true, "2001:db8::1", "Host: h",
		"Via: 1.1 rondo\r\nX-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\n"},
	    {WRITE_FORWARDED_X, false, "192.0.2.1", claims,
		"Via: 1.1 rondo\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\n"},
	    {WRITE_FORWARDED_X, true, "192.0.2.1", claims,
		"Forwarded: for=2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: o\r\n"
		"Forwarded: for=4.4.4.4\r\nX_Forwarded_For: 5.5.5.5\r\nX-Forwarded-Port: 1\r\n"
		"Via: 1.1 rondo\r\nX-Forwarded-For: 1.1.1.1, 3.3.3.3, 192.0.2.1\r\n"},
	    {WRITE_FORWARDED_X, true, "192.0.2.1", "Host: h\nX-Forwarded-For:",
		"Via: 1.1 rondo\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\n"},
	    {WRITE_FORWARDED_X, true, "", "Host: h\nX-Forwarded-For: 1.1.1.1",
		"Via: 1.1 rondo\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\n"},
	    {WRITE_FORWARDED_X, false, "", "Host: h\nX-Forwarded-For: 1.1.1.1",
		"Via: 1.1 rondo\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"},
	    /* Connection cannot take away what a trusted proxy says. */
	    {WRITE_FORWARDED_X, true, "192.0.2.1",
		"Host: h\nX-Forwarded-For: 1.1.1.1\n"
		"Connection: X-Forwarded-For, Host",
		"Via: 1.1 rondo\r\nX-Forwarded-For: 1.1.1.1, 192.0.2.1\r\nX-Forwarded-Proto: "
		"http\r\n"
		"X-Forwarded-Host: h\r\n"},
	    {WRITE_FORWARDED_RFC7239, false, "192.0.2.1", "Host: h:1",
		"Via: 1.1 rondo\r\nForwarded: for=192.0.2.1;host=\"h:1\";proto=http\r\n"},
	    {WRITE_FORWARDED_RFC7239, false, "2001:db8::1", claims,
		"Via: 1.1 rondo\r\nForwarded: for=\"[2001:db8::1]\";host=\"h\";proto=http\r\n"},
	    {WRITE_FORWARDED_RFC7239, true, "192.0.2.1", claims,
		"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nx-forwarded-for: "
		"3.3.3.3\r\n"
		"X-Forwarded-Host: o\r\nX_Forwarded_For: 5.5.5.5\r\nX-Forwarded-Port: 1\r\n"
		"Via: 1.1 rondo\r\nForwarded: for=2.2.2.2, for=4.4.4.4, "
		"for=192.0.2.1;host=\"h\";proto=http\r\n"},
	    {WRITE_FORWARDED_RFC7239, true, "", "Host: h\nForwarded: for=1.1.1.1",
		"Via: 1.1 rondo\r\nForwarded: for=1.1.1.1\r\n"},
	    {WRITE_FORWARDED_RFC7239, false, "", "Host: h",
		"Via: 1.1 rondo\r\nForwarded: for=unknown;host=\"h\";proto=http\r\n"},
	    {WRITE_FORWARDED_NONE, false, "192.0.2.1", claims, "Via: 1.1 rondo\r\n"},
	    {WRITE_FORWARDED_NONE, false, "192.0.2.1",
		"X-Forwarded-For: 1\nHost: h\nx-forwarded-: 2", "Via: 1.1 rondo\r\n"},
	    {WRITE_FORWARDED_X, true, "192.0.2.1", "X-Forwarded-For: 1\nHost: h",
		"Via: 1.1 rondo\r\nX-Forwarded-For: 1, 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\n"},
	    /* Names that only resemble them are no claims. */
	    {WRITE_FORWARDED_NONE, false, "192.0.2.1",
		"Host: h\nX-Forwarded: 1\nY-Forwarded-For: 2\nX-ForwardedXFor: 3\nForwarded-For: 4",
		"X-Forwarded: 1\r\nY-Forwarded-For: 2\r\nX-ForwardedXFor: 3\r\nForwarded-For: 4\r\n"
		"Via: 1.1 rondo\r\n"},
	    /* Whatever reads as a field that frames, routes or names the client is one to somebody. */
	    {WRITE_FORWARDED_NONE, false, "192.0.2.1",
		"Host: h\nProxy: a\nX-Real-IP: b\nX_Real_IP: c\nContent_Length: 9\nA_B: d\n"
		"Transfer_encoding: chunked\nFront-End-Https: on\nX_Forwarded-For: e\nProxy-A: f",
		"A_B: d\r\nProxy-A: f\r\nVia: 1.1 rondo\r\n"},
	    {WRITE_FORWARDED_NONE, true, "192.0.2.1",
		"Host: h\nProxy: a\nX-Real-IP: b\nContent_Length: 9\nFront-End-Https: on",
		"Proxy: a\r\nX-Real-IP: b\r\nContent_Length: 9\r\nFront-End-Https: on\r\n"
		"Via: 1.1 rondo\r\n"},
	    {WRITE_FORWARDED_NONE, true, "192.0.2.1",
		"Host: h\nX-Forwarded-For: 1\nForwarded: for=2",
		"X-Forwarded-For: 1\r\nForwarded: for=2\r\nVia: 1.1 rondo\r\n"},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct write_request request = {.head = &sample.head,
		    .forwarded = cases[i].forwarded,
		    .client_is_trusted = cases[i].trusted,
		    .client_ip = str_from(cases[i].ip)};
		char expected[512];

		open_request(&sample, 1, cases[i].fields);
		snprintf(expected, sizeof(expected), "GET /a HTTP/1.1\r\nHost: h%s\r\n%s\r\n",
		    strstr(cases[i].fields, "h:1") ? ":1" : "", cases[i].expected);
		check_request(&request, expected);
	}
}

static void a_client_without_host_has_none_to_forward(void **state)
{
	struct sample sample;
	struct write_request request = {
	    .head = &sample.head, .client_ip = STR("192.0.2.1"), .backend_host = STR("b:1")};

	(void)state;
	open_request(&sample, 0, "X: y");
	request.forwarded = WRITE_FORWARDED_X;
	check_request(&request, "GET /a HTTP/1.1\r\nHost: b:1\r\nX: y\r\nVia: 1.0 rondo\r\n"
				"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\r\n");
	request.forwarded = WRITE_FORWARDED_RFC7239;
	check_request(&request, "GET /a HTTP/1.1\r\nHost: b:1\r\nX: y\r\nVia: 1.0 rondo\r\n"
				"Forwarded: for=192.0.2.1;proto=http\r\n\r\n");
}

static void backend_and_log_know_a_request_by_one_id(void **state)
{
	static const struct {
		const char *name, *fields, *expected;
	} cases[] = {
	    {"X-Id", "Host: h", "Via: 1.1 rondo\r\nX-Id: 42\r\n"},
	    {"X-Id", "Host: h\nx-id: 42", "x-id: 42\r\nVia: 1.1 rondo\r\n"},
	    {"X-Id", "x-id: 42\nHost: h", "x-id: 42\r\nVia: 1.1 rondo\r\n"},
	    {"X-Id", "Host: h\nx-id: 42\nConnection: X-Id", "Via: 1.1 rondo\r\nX-Id: 42\r\n"},
	    /* One that is not taken over is nobody's. */
	    {"X-Id", "Host: h\nx-id: 7", "Via: 1.1 rondo\r\nX-Id: 42\r\n"},
	    {"X-Id", "Host: h\nx-id:", "Via: 1.1 rondo\r\nX-Id: 42\r\n"},
	    {"X-Id", "Host: h\nx-id: 42\nx-id: 7", "x-id: 42\r\nVia: 1.1 rondo\r\n"},
	    {"", "Host: h", "Via: 1.1 rondo\r\n"},
	    {"", "Host: h\nx-id: 7", "x-id: 7\r\nVia: 1.1 rondo\r\n"},
	};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct write_request request = {.head = &sample.head,
		    .forwarded = WRITE_FORWARDED_NONE,
		    .request_id_name = str_from(cases[i].name),
		    .request_id = STR("42")};
		char expected[256];

		open_request(&sample, 1, cases[i].fields);
		snprintf(expected, sizeof(expected), "GET /a HTTP/1.1\r\nHost: h\r\n%s\r\n",
		    cases[i].expected);
		check_request(&request, expected);
	}
}

static void an_options_has_one_hop_less(void **state)
{
	struct sample sample;
	const struct write_request request = {
	    .head = &sample.head, .forwarded = WRITE_FORWARDED_NONE};

	(void)state;
	open_request(&sample, 1, "Host: a\nmax-forwards: 010\nX: 3\nMax-Forwards: far");
	sample.head.method = HTTP_METHOD_OPTIONS;
	sample.head.method_text = STR("OPTIONS");
	check_request(&request, "OPTIONS /a HTTP/1.1\r\nHost: a\r\nmax-forwards: 9\r\nX: 3\r\n"
				"Max-Forwards: far\r\nVia: 1.1 rondo\r\n\r\n");

	/* For other methods it means nothing. */
	open_request(&sample, 1, "Host: a\nMax-Forwards: 10");
	check_request(
	    &request, "GET /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\nVia: 1.1 rondo\r\n\r\n");
}

static void responses_are_composed_afresh(void **state)
{
	static const struct {
		unsigned status;
		const char *fields;
		enum http_framing framing;
		bool keep_alive;
		const char *expected;
	} cases[] = {
	    {200, "Content-Length: 5\nX: y\nDate: d", HTTP_FRAMING_LENGTH, true,
		"HTTP/1.1 200 OK\r\nX: y\r\nDate: d\r\nContent-Length: 5\r\n\r\n"},
	    {200, "Content-Length: 0\nDate: d", HTTP_FRAMING_LENGTH, false,
		"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	    {200, "Date: d\nTransfer-Encoding: chunked\nTrailer: x", HTTP_FRAMING_CHUNKED, true,
		"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n"},
	    {200, "Date: d", HTTP_FRAMING_CLOSE, false,
		"HTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\n\r\n"},
	    {200, "Date: d", HTTP_FRAMING_CHUNKED, true,
		"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n"},
	    {200,
		"Connection: close, X\nX: y\nKeep-Alive: 5\nProxy-Connection: z\nUpgrade: "
		"h2c\nDate: d",
		HTTP_FRAMING_CHUNKED, true,
		"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n"},
	    {204, "Content-Length: 5\nDate: d", HTTP_FRAMING_NONE, true,
		"HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n"},
	    {304, "Content-Length: 5\nDate: d", HTTP_FRAMING_NONE, true,
		"HTTP/1.1 304 Not Modified\r\nDate: d\r\nContent-Length: 5\r\n\r\n"},
	    {304, "Date: d", HTTP_FRAMING_NONE, true,
		"HTTP/1.1 304 Not Modified\r\nDate: d\r\n\r\n"},
	    {200, "Content-Length: 0\nSet-Cookie: a\nset-cookie: b", HTTP_FRAMING_LENGTH, true,
		"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nDate: now\r\n"
		"Content-Length: 0\r\n\r\n"},
	    /* Connection of the backend does not take away what belongs to the answer. */
	    {200, "Content-Length: 0\nConnection: Date, Content-Length\nDate: d",
		HTTP_FRAMING_LENGTH, true,
		"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n"},
	};
	const struct http_head request = {.method = HTTP_METHOD_GET, .minor = 1};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct write_response response = {.head = &sample.head,
		    .request = &request,
		    .framing = cases[i].framing,
		    .keep_alive = cases[i].keep_alive,
		    .date = STR("now")};
		struct output output;

		open_response(&sample, cases[i].status, cases[i].fields, &request);
		open_output(&output, BLOCK_SIZE);
		assert_true(write_response_head(&output.buf, &response));
		check_output(&output, cases[i].fields, cases[i].expected);
		close_output(&output);
	}
}

/* Composes the response and compares; the request has been set by the caller. */
static void check_response(const struct write_response *response, const char *expected)
{
	struct output output;

	open_output(&output, BLOCK_SIZE);
	assert_true(write_response_head(&output.buf, response));
	check_output(&output, "response", expected);
	close_output(&output);
}

static void rondo_names_the_backend_and_the_tries(void **state)
{
	const struct http_head request = {.method = HTTP_METHOD_GET, .minor = 1};
	struct sample sample;
	struct write_response response = {.head = &sample.head,
	    .request = &request,
	    .framing = HTTP_FRAMING_LENGTH,
	    .keep_alive = true,
	    .app_url_name = STR("x-app-url"),
	    .app_url = STR("http://localhost:8001"),
	    .attempts_name = STR("x-tries"),
	    .attempts = STR("b(200,1ms)"),
	    .request_id_name = STR("X-Id"),
	    .request_id = STR("42")};

	(void)state;
	open_response(&sample, 200,
	    "X-App-Url: evil\nX-Tries: 9\nx-id: 7\nContent-Length: 0\nDate: d", &request);
	check_response(&response,
	    "HTTP/1.1 200 OK\r\nDate: d\r\nx-app-url: http://localhost:8001\r\n"
	    "x-tries: b(200,1ms)\r\nX-Id: 42\r\nContent-Length: 0\r\n\r\n");

	/* What is not configured is the backend's own business. */
	response.app_url_name = STR("");
	response.attempts_name = STR("");
	response.request_id_name = STR("");
	check_response(&response,
	    "HTTP/1.1 200 OK\r\nX-App-Url: evil\r\nX-Tries: 9\r\nx-id: 7\r\nDate: d\r\n"
	    "Content-Length: 0\r\n\r\n");
}

static void trailers_that_may_pass_are_announced(void **state)
{
	static const struct {
		const char *fields, *announced;
	} cases[] = {
	    {"X: y", ""},
	    {"Trailer: A", "Trailer: A\r\n"},
	    {"Trailer: A, ,b\nTrailer: C", "Trailer: A, b, C\r\n"},
	    {"Trailer: Content-Length, Host, x-app-url, Set-Cookie, not a name, Connection", ""},
	    {"Trailer: Host, A, x-app-url", "Trailer: A\r\n"},
	};
	const struct http_head request = {.method = HTTP_METHOD_GET, .minor = 1};
	const struct write_trailers trailers = {.app_url_name = STR("X-App-Url")};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		bool passes = i % 2;
		struct sample sample;
		const struct write_response response = {.head = &sample.head,
		    .request = &request,
		    .framing = HTTP_FRAMING_CHUNKED,
		    .keep_alive = true,
		    .trailers = passes ? &trailers : NULL};
		char expected[256];

		open_response(&sample, 200, cases[i / 2].fields, &request);
		snprintf(expected, sizeof(expected),
		    "HTTP/1.1 200 OK\r\n%s%sTransfer-Encoding: chunked\r\n\r\n",
		    i / 2 == 0 ? "X: y\r\n" : "", passes ? cases[i / 2].announced : "");
		check_response(&response, expected);
	}
}

static void answers_to_head_tell_the_length(void **state)
{
	const struct http_head request = {.method = HTTP_METHOD_HEAD, .minor = 1};
	struct sample sample;
	const struct write_response response = {.head = &sample.head,
	    .request = &request,
	    .framing = HTTP_FRAMING_NONE,
	    .keep_alive = true};

	(void)state;
	open_response(&sample, 200, "Content-Length: 10", &request);
	check_response(&response, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
	open_response(&sample, 200, "Transfer-Encoding: chunked", &request);
	check_response(&response, "HTTP/1.1 200 OK\r\n\r\n");
	open_response(&sample, 204, "Content-Length: 10", &request);
	check_response(&response, "HTTP/1.1 204 No Content\r\n\r\n");
}

static void clients_of_http_1_0_are_told_of_keep_alive(void **state)
{
	const struct http_head request = {.method = HTTP_METHOD_GET, .minor = 0};
	struct sample sample;
	struct write_response response = {.head = &sample.head,
	    .request = &request,
	    .framing = HTTP_FRAMING_LENGTH,
	    .keep_alive = true};

	(void)state;
	open_response(&sample, 200, "Content-Length: 1", &request);
	check_response(
	    &response, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
	response.keep_alive = false;
	check_response(
	    &response, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n");
}

static void a_granted_upgrade_is_passed_on(void **state)
{
	const struct http_head request = {.method = HTTP_METHOD_GET, .minor = 1};
	struct sample sample;
	const struct write_response response = {.head = &sample.head,
	    .request = &request,
	    .framing = HTTP_FRAMING_NONE,
	    .keep_alive = false};

	(void)state;
	open_response(&sample, 101,
	    "Connection: upgrade\nUpgrade: WebSocket\nSec-WebSocket-Accept: k\nContent-Length: 4",
	    &request);
	check_response(&response, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: k\r\n"
				  "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

static void reasons_are_kept_when_printable(void **state)
{
	static const struct {
		unsigned status;
		const char *reason, *line;
	} cases[] = {
	    {200, "Fine & dandy", "HTTP/1.1 200 Fine & dandy\r\n\r\n"},
	    {200, "", "HTTP/1.1 200 OK\r\n\r\n"},
	    {200, "~ OK ~", "HTTP/1.1 200 ~ OK ~\r\n\r\n"},
	    {200, "\xe9t\xe9", "HTTP/1.1 200 OK\r\n\r\n"},
	    {200, "\x7f", "HTTP/1.1 200 OK\r\n\r\n"},
	    {200, "caf\xe9", "HTTP/1.1 200 OK\r\n\r\n"},
	    {200, "a\tb", "HTTP/1.1 200 OK\r\n\r\n"},
	    {299, "", "HTTP/1.1 299 Unknown\r\n\r\n"},
	    {103, "", "HTTP/1.1 103 Early Hints\r\n\r\n"},
	};
	const struct http_head request = {.method = HTTP_METHOD_HEAD, .minor = 1};
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct write_response response = {.head = &sample.head,
		    .request = &request,
		    .framing = HTTP_FRAMING_NONE,
		    .keep_alive = true};

		open_response(&sample, cases[i].status, "", &request);
		sample.head.reason = str_from(cases[i].reason);
		check_response(&response, cases[i].line);
	}
}

static void interim_responses_are_passed_on(void **state)
{
	const struct http_head request = {.method = HTTP_METHOD_GET, .minor = 1};
	struct sample sample;
	struct output output;
	const struct write_response response = {.head = &sample.head,
	    .app_url_name = STR("x-app-url"),
	    .attempts_name = STR("x-tries"),
	    .request_id_name = STR("X-Id")};

	(void)state;
	open_response(&sample, 103,
	    "Link: </a>\nConnection: X\nX: y\nContent-Length: 5\nLink: </b>\nX-App-Url: evil\n"
	    "X-Tries: 9\nx-id: 7",
	    &request);
	open_output(&output, BLOCK_SIZE);
	assert_true(write_interim_head(&output.buf, &response));
	check_output(
	    &output, "103", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n");
	close_output(&output);
}

static void answers_of_our_own_are_problems(void **state)
{
	static const struct {
		struct write_error error;
		const char *expected;
	} cases[] = {
	    {{.status = 400, .detail = {"No.", 3}},
		"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: 52\r\nConnection: close\r\n\r\n"
		"{\"status\":400,\"title\":\"Bad Request\",\"detail\":\"No.\"}\n"},
	    {{.status = 502,
		 .detail = {"No.", 3},
		 .proxy_error = {"connection_refused", 18},
		 .keep_alive = true,
		 .date = {"now", 3},
		 .attempts_name = {"x-tries", 7},
		 .attempts = {"b(refused)", 10},
		 .request_id_name = {"X-Id", 4},
		 .request_id = {"42", 2}},
		"HTTP/1.1 502 Bad Gateway\r\nDate: now\r\nContent-Type: "
		"application/problem+json\r\n"
		"Content-Length: 52\r\nProxy-Status: rondo; error=connection_refused\r\n"
		"x-tries: b(refused)\r\nX-Id: 42\r\nConnection: keep-alive\r\n\r\n"
		"{\"status\":502,\"title\":\"Bad Gateway\",\"detail\":\"No.\"}\n"},
	    {{.status = 503, .retry_after_s = 120, .without_content = true},
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: 57\r\nRetry-After: 120\r\nConnection: close\r\n\r\n"},
	    {{.status = 200, .keep_alive = true},
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
		"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
		"Connection: keep-alive\r\n\r\n"},
	    {{.status = 405, .without_content = true, .allow = {"GET", 3}},
		"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: 56\r\nAllow: GET\r\nConnection: close\r\n\r\n"},
	    {{.status = 405, .without_content = true},
		"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: 56\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
		"Connection: close\r\n\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct output output;

		open_output(&output, BLOCK_SIZE);
		assert_true(write_error_response(&output.buf, &cases[i].error));
		check_output(&output, "error", cases[i].expected);
		close_output(&output);
	}
}

static void any_detail_makes_good_json(void **state)
{
	static const struct {
		struct str detail;
		const char *escaped;
	} cases[] = {
	    {{"a \"b\" \\ /", 9}, "a \\u0022b\\u0022 \\u005C /"},
	    {{"a\r\nb\tc\x1f\x7f\0", 9}, "a\\u000D\\u000Ab\\u0009c\\u001F\\u007F\\u0000"},
	    {{"caf\xc3\xa9", 5}, "caf\\u00C3\\u00A9"},
	    {{"\x80\xff", 2}, "\\u0080\\u00FF"},
	    {{NULL, 0}, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct write_error error = {.status = 504, .detail = cases[i].detail};
		struct output output;
		char content[128], expected[256];

		snprintf(content, sizeof(content),
		    "{\"status\":504,\"title\":\"Gateway Timeout\",\"detail\":\"%s\"}\n",
		    cases[i].escaped);
		snprintf(expected, sizeof(expected),
		    "HTTP/1.1 504 Gateway Timeout\r\nContent-Type: application/problem+json\r\n"
		    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		    strlen(content), content);
		open_output(&output, BLOCK_SIZE);
		assert_true(write_error_response(&output.buf, &error));
		check_output(&output, "error", expected);
		close_output(&output);
	}
}

static void chunked_messages_are_ended(void **state)
{
	static const struct {
		const char *section, *expected;
	} cases[] = {
	    {"", "0\r\n\r\n"},
	    {"\r\n", "0\r\n\r\n"},
	    {"A: b\r\nC:\t d \r\nE:\r\n\r\n", "0\r\nA: b\r\nC: d\r\nE: \r\n\r\n"},
	    {"Content-Length: 5\r\nA: b\r\nHost: x\r\nSet-Cookie: y\r\n\r\n", "0\r\nA: b\r\n\r\n"},
	    /* What is rondo's own, and what Connection named in the head. */
	    {"X-App-Url: c\r\nA: b\r\nx-tries: 1\r\nX-ID: 2\r\n\r\n", "0\r\nA: b\r\n\r\n"},
	    {"x-hop: c\r\nA: b\r\nX-Hop2: d\r\nY: e\r\n\r\n", "0\r\nA: b\r\nY: e\r\n\r\n"},
	};
	const struct write_trailers trailers = {
	    .head = STR("HTTP/1.1 200 Connection: a\r\nConnection: close, X-Hop\r\nX: a\r\n"
			"connection:X-Hop2\r\nNo-Connection: Y\r\n\r\n"),
	    .app_url_name = STR("x-app-url"),
	    .attempts_name = STR("x-tries"),
	    .request_id_name = STR("X-Id")};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct output output;

		open_output(&output, BLOCK_SIZE);
		assert_true(write_last_chunk(&output.buf, str_from(cases[i].section), &trailers));
		check_output(&output, cases[i].section, cases[i].expected);
		close_output(&output);
	}
}

static void reasons_are_known(void **state)
{
	/* The registry of RFC 9110, 16.2, without what is unused or experimental. */
	static const struct {
		unsigned status;
		const char *reason;
	} registered[] = {
	    {100, "Continue"},
	    {101, "Switching Protocols"},
	    {102, "Processing"},
	    {103, "Early Hints"},
	    {200, "OK"},
	    {201, "Created"},
	    {202, "Accepted"},
	    {203, "Non-Authoritative Information"},
	    {204, "No Content"},
	    {205, "Reset Content"},
	    {206, "Partial Content"},
	    {207, "Multi-Status"},
	    {208, "Already Reported"},
	    {226, "IM Used"},
	    {300, "Multiple Choices"},
	    {301, "Moved Permanently"},
	    {302, "Found"},
	    {303, "See Other"},
	    {304, "Not Modified"},
	    {305, "Use Proxy"},
	    {307, "Temporary Redirect"},
	    {308, "Permanent Redirect"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {402, "Payment Required"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {406, "Not Acceptable"},
	    {407, "Proxy Authentication Required"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {410, "Gone"},
	    {411, "Length Required"},
	    {412, "Precondition Failed"},
	    {413, "Content Too Large"},
	    {414, "URI Too Long"},
	    {415, "Unsupported Media Type"},
	    {416, "Range Not Satisfiable"},
	    {417, "Expectation Failed"},
	    {421, "Misdirected Request"},
	    {422, "Unprocessable Content"},
	    {423, "Locked"},
	    {424, "Failed Dependency"},
	    {425, "Too Early"},
	    {426, "Upgrade Required"},
	    {428, "Precondition Required"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {451, "Unavailable For Legal Reasons"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {502, "Bad Gateway"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	    {505, "HTTP Version Not Supported"},
	    {506, "Variant Also Negotiates"},
	    {507, "Insufficient Storage"},
	    {508, "Loop Detected"},
	    {510, "Not Extended"},
	    {511, "Network Authentication Required"},
	};
	size_t next = 0;

	(void)state;
	for (unsigned status = 0; status < 1000; status++) {
		const char *expected = "Unknown";

		if (next < sizeof(registered) / sizeof(*registered) &&
		    registered[next].status == status)
			expected = registered[next++].reason;
		if (!str_equals(write_reason(status), str_from(expected)))
			fail_msg("%u", status);
	}
	assert_int_equal(next, sizeof(registered) / sizeof(*registered));
}

static void dates_are_written(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
	    {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
	    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
	    {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
	    {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
	    {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
	    {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
	    {253402300800, "Fri, 31 Dec 9999 23:59:59 GMT"},
	    {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
	    {-1, "Thu, 01 Jan 1970 00:00:00 GMT"},
	};
	char text[WRITE_DATE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct str date = write_date(text, cases[i].seconds);

		assert_string_equal(text, cases[i].text);
		assert_ptr_equal(date.data, text);
		assert_int_equal(date.len, strlen(cases[i].text));
	}
}

/* Everything that composes, each with a message of its own. */
enum { COMPOSERS = 5 };

static bool compose(struct buf *out, int composer)
{
	struct sample request, response;
	struct write_request up = {.head = &request.head,
	    .client_ip = STR("192.0.2.1"),
	    .request_id_name = STR("X-Id"),
	    .request_id = STR("42")};
	struct write_response down = {.head = &response.head,
	    .request = &request.head,
	    .framing = HTTP_FRAMING_LENGTH,
	    .date = STR("now")};
	const struct write_error error = {
	    .status = 503, .detail = STR("No \"."), .retry_after_s = 1};
	const struct write_trailers trailers = {.head = {NULL, 0}};

	open_request(&request, 1, "Host: h\nX: y\nContent-Length: 3");
	open_response(
	    &response, composer == 2 ? 103 : 200, "X: y\nContent-Length: 3", &request.head);
	switch (composer) {
	case 0:
		return write_request_head(out, &up);
	case 1:
		return write_response_head(out, &down);
	case 2:
		return write_interim_head(out, &down);
	case 3:
		return write_error_response(out, &error);
	default:
		return write_last_chunk(out, STR("Trailer-Sum: b\r\n\r\n"), &trailers);
	}
}

static void what_has_no_room_leaves_the_buffer_as_it_was(void **state)
{
	(void)state;
	for (int composer = 0; composer < COMPOSERS; composer++) {
		struct output enough;
		size_t needed;

		open_output(&enough, BLOCK_SIZE);
		assert_true(compose(&enough.buf, composer));
		needed = buf_len(&enough.buf);
		for (size_t room = 0; room <= needed; room++) {
			struct output output;

			open_output(&output, BLOCK_SIZE);
			assert_true(buf_append(&output.buf, STR("abc")));
			output.buf.size = room + 3;
			assert_int_equal(compose(&output.buf, composer), room == needed);
			assert_int_equal(buf_len(&output.buf), room == needed ? needed + 3 : 3);
			assert_memory_equal(output.buf.data, "abc", 3);
			if (room == needed)
				assert_memory_equal(output.buf.data + 3, enough.buf.data, needed);
			close_output(&output);
		}
		close_output(&enough);
	}
}

static void what_has_no_room_keeps_no_storage(void **state)
{
	(void)state;
	for (int composer = 0; composer < COMPOSERS; composer++) {
		struct output output;

		open_output(&output, 8);
		assert_false(compose(&output.buf, composer));
		assert_int_equal(output.blocks.in_use, 0);
		assert_null(output.buf.data);
		close_output(&output);
	}
}

static void without_storage_nothing_is_composed(void **state)
{
	struct output output;

	(void)state;
	open_output(&output, BLOCK_SIZE);
	output.blocks.limit = 0;
	for (int composer = 0; composer < COMPOSERS; composer++)
		assert_false(compose(&output.buf, composer));
	assert_int_equal(buf_len(&output.buf), 0);
	close_output(&output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_are_composed_afresh),
	    cmocka_unit_test(targets_go_on_in_origin_form),
	    cmocka_unit_test(the_client_is_told_to_the_backend),
	    cmocka_unit_test(a_client_without_host_has_none_to_forward),
	    cmocka_unit_test(backend_and_log_know_a_request_by_one_id),
	    cmocka_unit_test(an_options_has_one_hop_less),
	    cmocka_unit_test(responses_are_composed_afresh),
	    cmocka_unit_test(rondo_names_the_backend_and_the_tries),
	    cmocka_unit_test(trailers_that_may_pass_are_announced),
	    cmocka_unit_test(answers_to_head_tell_the_length),
	    cmocka_unit_test(clients_of_http_1_0_are_told_of_keep_alive),
	    cmocka_unit_test(a_granted_upgrade_is_passed_on),
	    cmocka_unit_test(reasons_are_kept_when_printable),
	    cmocka_unit_test(interim_responses_are_passed_on),
	    cmocka_unit_test(answers_of_our_own_are_problems),
	    cmocka_unit_test(any_detail_makes_good_json),
	    cmocka_unit_test(chunked_messages_are_ended),
	    cmocka_unit_test(reasons_are_known),
	    cmocka_unit_test(dates_are_written),
	    cmocka_unit_test(what_has_no_room_leaves_the_buffer_as_it_was),
	    cmocka_unit_test(what_has_no_room_keeps_no_storage),
	    cmocka_unit_test(without_storage_nothing_is_composed),
	};

	return cmocka_run_group_tests_name("write", tests, NULL, NULL);
}
