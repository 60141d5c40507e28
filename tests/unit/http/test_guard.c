/*
 * The guard's automaton by tables, every byte of every head in every place, and every cut.
 */
#include "http/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct http_limits wide = {.header_bytes = 16384, .headers = 100, .uri_bytes = 8192};

/* What a scan came to, and the bytes as the guard left them. */
struct outcome {
	enum guard_result result;
	enum http_fault fault;
	size_t used, length, skipped, target_length, fields;
	char *bytes;
};

/* Scans `bytes` in pieces of `first` and then `step` bytes, until the guard has its result. The
 * copy is exactly as large as the bytes, so that a look beyond them is found out. */
static void scan(struct outcome *outcome, enum guard_kind kind, const struct http_limits *limits,
    struct str bytes, size_t first, size_t step)
{
	struct guard guard;
	size_t at = 0, piece = first, used;

	outcome->bytes = malloc(bytes.len ? bytes.len : 1);
	assert_non_null(outcome->bytes);
	memcpy(outcome->bytes, bytes.data, bytes.len);
	outcome->result = GUARD_MORE;
	guard_init(&guard, kind);
	while (at < bytes.len && outcome->result == GUARD_MORE) {
		if (piece > bytes.len - at)
			piece = bytes.len - at;
		outcome->result = guard_scan(&guard, limits, outcome->bytes + at, piece, &used);
		assert_true(used <= piece);
		if (outcome->result == GUARD_MORE)
			assert_int_equal(used, piece);
		at += used;
		piece = step;
	}
	outcome->used = at;
	outcome->fault = guard.fault;
	outcome->length = guard.length;
	outcome->skipped = guard.skipped;
	outcome->target_length = guard.target_length;
	outcome->fields = guard.fields;
}

static bool is_same(const struct outcome *a, const struct outcome *b, size_t len)
{
	if (a->result != b->result || a->fault != b->fault)
		return false;
	/* How far a bad head was read is nobody's business. */
	if (a->result == GUARD_BAD)
		return true;
	return a->used == b->used && a->length == b->length && a->skipped == b->skipped &&
	       a->target_length == b->target_length && a->fields == b->fields &&
	       memcmp(a->bytes, b->bytes, len) == 0;
}

/* Scans whole, in two pieces at every cut, and byte by byte. The caller frees outcome->bytes. */
static void scan_every_way(struct outcome *outcome, enum guard_kind kind,
    const struct http_limits *limits, struct str bytes)
{
	scan(outcome, kind, limits, bytes, bytes.len, bytes.len);
	for (size_t cut = 0; cut < bytes.len; cut++) {
		struct outcome pieces;

		scan(&pieces, kind, limits, bytes, cut ? cut : 1, cut ? bytes.len : 1);
		if (!is_same(outcome, &pieces, bytes.len))
			fail_msg("\"%.*s\" cut at %zu: %d/%d, whole %d/%d", STR_ARGS(bytes), cut,
			    (int)pieces.result, (int)pieces.fault, (int)outcome->result,
			    (int)outcome->fault);
		free(pieces.bytes);
	}
}

struct expectation {
	const char *what;
	enum guard_kind kind;
	struct str bytes;
	enum guard_result result;
	enum http_fault fault;
};

static void check(const struct expectation *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct outcome outcome;

		scan_every_way(&outcome, cases[i].kind, &wide, cases[i].bytes);
		if (outcome.result != cases[i].result || outcome.fault != cases[i].fault)
			fail_msg(
			    "%s: %d/%d", cases[i].what, (int)outcome.result, (int)outcome.fault);
		free(outcome.bytes);
	}
}

#define BYTES(literal)                                                                             \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}
#define MORE(what, literal)                                                                        \
	{                                                                                          \
		what, GUARD_REQUEST, BYTES(literal), GUARD_MORE, HTTP_FAULT_NONE                   \
	}
#define DONE(what, literal)                                                                        \
	{                                                                                          \
		what, GUARD_REQUEST, BYTES(literal), GUARD_DONE, HTTP_FAULT_NONE                   \
	}
#define BAD(what, literal, fault)                                                                  \
	{                                                                                          \
		what, GUARD_REQUEST, BYTES(literal), GUARD_BAD, HTTP_FAULT_##fault                 \
	}
#define TEXT_64 "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKL"

static void request_lines_are_taken_or_refused(void **state)
{
	static const struct expectation cases[] = {
	    DONE("nothing but a request line", "GET / HTTP/1.1\r\n\r\n"),
	    DONE("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"),
	    DONE("any token for a method", "a!#$%&'*+-.^_`|~Z9 / HTTP/1.1\r\n\r\n"),
	    DONE("any printable target", "GET !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ HTTP/1.1\r\n\r\n"),
	    DONE("an empty line before", "\r\nGET / HTTP/1.1\r\n\r\n"),
	    DONE("two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
	    DONE("a method of 256 bytes", TEXT_64 TEXT_64 TEXT_64 TEXT_64 " / HTTP/1.1\r\n\r\n"),
	    BAD("one byte more", TEXT_64 TEXT_64 TEXT_64 TEXT_64 "X / HTTP/1.1\r\n\r\n",
		METHOD_LENGTH),
	    DONE("HTTP/1.2", "GET / HTTP/1.2\r\n\r\n"),
	    DONE("HTTP/1.9", "GET / HTTP/1.9\r\n\r\n"),
	    MORE("nothing", ""),
	    MORE("an empty line and nothing", "\r\n"),
	    MORE("half an empty line", "\r\n\r"),
	    MORE("a method", "GET"),
	    MORE("a version", "GET / HTTP/1.1"),
	    MORE("a CR", "GET / HTTP/1.1\r"),
	    MORE("a line", "GET / HTTP/1.1\r\n"),
	    MORE("the last CR", "GET / HTTP/1.1\r\n\r"),
	    BAD("three empty lines before", "\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", EMPTY_LINES),
	    BAD("the third empty line's CR", "\r\n\r\n\r", EMPTY_LINES),
	    BAD("a LF before", "\nGET / HTTP/1.1\r\n\r\n", BARE_LF),
	    BAD("a CR before", "\rGET / HTTP/1.1\r\n\r\n", BARE_CR),
	    BAD("a NUL before", "\0GET / HTTP/1.1\r\n\r\n", NUL),
	    BAD("a control byte in the method", "G\1T / HTTP/1.1\r\n\r\n", METHOD),
	    BAD("a parenthesis in the method", "GE(T / HTTP/1.1\r\n\r\n", METHOD),
	    BAD("a control byte in the target", "GET /\1 HTTP/1.1\r\n\r\n", TARGET_CONTROL),
	    BAD("a tab in the target", "GET /\t HTTP/1.1\r\n\r\n", TARGET_CONTROL),
	    BAD("a raw byte in the target", "GET /\xc3\xa9 HTTP/1.1\r\n\r\n", TARGET_RAW),
	    BAD("a raw byte for a target", "GET \xc3 HTTP/1.1\r\n\r\n", TARGET_RAW),
	    BAD("a NUL in the target", "GET /\0 HTTP/1.1\r\n\r\n", NUL),
	    BAD("a word behind the target", "GET / b HTTP/1.1\r\n\r\n", VERSION),
	    BAD("a TLS handshake", "\x16\x03\x01\x02\0\1\0", TLS),
	    BAD("a handshake that is not of TLS", "\x16\x04", METHOD),
	    MORE("the first byte of a handshake", "\x16"),
	    BAD("PROXY, version 2", "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", PROXY_HEADER),
	    BAD("nearly PROXY, version 2", "\r\n\r\n\0\r\nQUIz\n", NUL),
	    DONE("PROXY as a method", "PROXY /a HTTP/1.1\r\n\r\n"),
	    BAD("a space before", " GET / HTTP/1.1\r\n\r\n", METHOD),
	    BAD("no method", " / HTTP/1.1\r\n\r\n", METHOD),
	    BAD("no target", "GET  HTTP/1.1\r\n\r\n", REQUEST_LINE),
	    BAD("no version", "GET /\r\n\r\n", REQUEST_LINE),
	    BAD("an empty version", "GET / \r\n\r\n", REQUEST_LINE),
	    BAD("two spaces before the version", "GET /  HTTP/1.1\r\n\r\n", REQUEST_LINE),
	    BAD("a space after the version", "GET / HTTP/1.1 \r\n\r\n", REQUEST_LINE),
	    BAD("a bare LF", "GET / HTTP/1.1\n\r\n", BARE_LF),
	    BAD("a bare CR", "GET / HTTP/1.1\rX", BARE_CR),
	    BAD("lower case", "GET / http/1.1\r\n\r\n", VERSION),
	    BAD("HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", VERSION),
	    BAD("HTTP/1.11", "GET / HTTP/1.11\r\n\r\n", VERSION),
	    BAD("HTTP/01.1", "GET / HTTP/01.1\r\n\r\n", VERSION),
	    BAD("HTTP/2", "GET / HTTP/2\r\n\r\n", VERSION),
	    BAD("HTTP/2.x", "GET / HTTP/2.x\r\n\r\n", VERSION),
	    BAD("HTTP/2:0", "GET / HTTP/2:0\r\n\r\n", VERSION),
	    BAD("HTTP/2.00", "GET / HTTP/2.00\r\n\r\n", VERSION),
	    BAD("HTTP/20.0", "GET / HTTP/20.0\r\n\r\n", VERSION),
	    MORE("2.0 and not yet a line", "GET / HTTP/2.0"),
	    BAD("2.0", "GET / HTTP/2.0\r", VERSION_AHEAD),
	    BAD("9.9", "GET / HTTP/9.9\r", VERSION_AHEAD),
	};

	(void)state;
	check(cases, sizeof(cases) / sizeof(*cases));
}

#define LINE "GET / HTTP/1.1\r\n"

static void field_lines_are_taken_or_refused(void **state)
{
	static const struct expectation cases[] = {
	    DONE("a field", LINE "A: b\r\n\r\n"),
	    DONE("no whitespace", LINE "A:b\r\n\r\n"),
	    DONE("an empty value", LINE "A:\r\nB: \t\r\n\r\n"),
	    DONE("colons in a value", LINE "A: :b:c:\r\n\r\n"),
	    DONE("bytes over 0x7f in a value", LINE "A: \x80\xff\r\n\r\n"),
	    DONE("any token for a name", LINE "a!#$%&'*+-.^_`|~Z9: b\r\n\r\n"),
	    MORE("a name", LINE "A"),
	    MORE("a colon", LINE "A:"),
	    MORE("a value", LINE "A: b"),
	    MORE("a line", LINE "A: b\r\n"),
	    DONE("control bytes in a value", LINE "A: \x01\x1b[0m\x7f\r\nB:\x02\r\n\r\n"),
	    BAD("a control byte in a name", LINE "A\1: b\r\n\r\n", NAME_CONTROL),
	    BAD("a control byte before a name", LINE "\1A: b\r\n\r\n", NAME_CONTROL),
	    BAD("a byte that is not of a token", LINE "A(: b\r\n\r\n", NAME),
	    BAD("an empty name", LINE ": b\r\n\r\n", NAME_EMPTY),
	    BAD("no colon", LINE "A\r\n\r\n", NO_COLON),
	    BAD("a space before the colon", LINE "A : b\r\n\r\n", SPACE_BEFORE_COLON),
	    BAD("a tab before the colon", LINE "A\t: b\r\n\r\n", SPACE_BEFORE_COLON),
	    BAD("a folded line", LINE "A: b\r\n c\r\n\r\n", FOLD),
	    BAD("a line folded by a tab", LINE "A: b\r\n\tc\r\n\r\n", FOLD),
	    BAD("a fold before any field", LINE " A: b\r\n\r\n", FOLD),
	    BAD("a NUL in a name", LINE "A\0: b\r\n\r\n", NUL),
	    BAD("a NUL in a value", LINE "A: b\0\r\n\r\n", NUL),
	    BAD("a LF in a value", LINE "A: b\nC: d\r\n\r\n", BARE_LF),
	    BAD("a CR in a value", LINE "A: b\rC: d\r\n\r\n", BARE_CR),
	    BAD("a CR in an empty value", LINE "A: \rC: d\r\n\r\n", BARE_CR),
	    BAD("a bare LF at the end", LINE "A: b\r\n\n", BARE_LF),
	    BAD("a bare CR at the end", LINE "A: b\r\n\rX", BARE_CR),
	};

	(void)state;
	check(cases, sizeof(cases) / sizeof(*cases));
}

#define RESPONSE(what, literal, result, fault)                                                     \
	{                                                                                          \
		what, GUARD_RESPONSE, BYTES(literal), result, fault                                \
	}
#define GOOD_RESPONSE(what, literal)       RESPONSE(what, literal, GUARD_DONE, HTTP_FAULT_NONE)
#define BAD_RESPONSE(what, literal, fault) RESPONSE(what, literal, GUARD_BAD, HTTP_FAULT_##fault)

static void status_lines_are_taken_or_refused(void **state)
{
	static const struct expectation cases[] = {
	    GOOD_RESPONSE("a status line", "HTTP/1.1 200 OK\r\n\r\n"),
	    GOOD_RESPONSE("HTTP/1.0", "HTTP/1.0 599 OK\r\n\r\n"),
	    GOOD_RESPONSE("an empty reason", "HTTP/1.1 200 \r\n\r\n"),
	    GOOD_RESPONSE("no reason", "HTTP/1.1 200\r\n\r\n"),
	    GOOD_RESPONSE("any text for a reason", "HTTP/1.1 100 a\tb :\xff\r\n\r\n"),
	    GOOD_RESPONSE("a field", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"),
	    GOOD_RESPONSE("control bytes in the reason", "HTTP/1.1 200 \1\x7f\r\n\r\n"),
	    GOOD_RESPONSE("control bytes in a value", "HTTP/1.1 200 OK\r\nA: \1b\x7f\r\n\r\n"),
	    GOOD_RESPONSE("an empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n"),
	    GOOD_RESPONSE("two empty lines before", "\r\n\nHTTP/1.1 200 OK\r\n\r\n"),
	    GOOD_RESPONSE("a status above 599", "HTTP/1.1 600 OK\r\n\r\n"),
	    GOOD_RESPONSE("the highest status", "HTTP/1.1 999 \r\n\r\n"),
	    GOOD_RESPONSE("HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"),
	    GOOD_RESPONSE("lines that end in LF", "HTTP/1.1 200 OK\nA: b\nB:\nC: \n\n"),
	    GOOD_RESPONSE("no reason, and LF", "HTTP/1.1 200\n\n"),
	    GOOD_RESPONSE("a LF among CRLFs", "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n"),
	    GOOD_RESPONSE("a last line that is a LF", "HTTP/1.1 200 OK\r\nA: b\r\n\n"),
	    BAD_RESPONSE(
		"three empty lines before", "\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", EMPTY_LINES),
	    BAD_RESPONSE("a CR before", "\rHTTP/1.1 200 OK\r\n\r\n", BARE_CR),
	    BAD_RESPONSE("a fold behind a LF", "HTTP/1.1 200 OK\nA: b\n c\n\n", FOLD),
	    BAD_RESPONSE("a bare CR", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", BARE_CR),
	    BAD_RESPONSE("a LF in a name", "HTTP/1.1 200 OK\r\nA\n\r\n", NO_COLON),
	    BAD_RESPONSE("a LF in the status", "HTTP/1.1 20\n\n", STATUS),
	    BAD_RESPONSE(
		"a space before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", SPACE_BEFORE_COLON),
	    BAD_RESPONSE("a TLS alert", "\x15\x03\x01\0\2\2\x46", TLS_ANSWER),
	    BAD_RESPONSE("a TLS handshake", "\x16\x03\x03\0\2", TLS_ANSWER),
	    BAD_RESPONSE("HTTP/0.9", "<html>", STATUS_LINE),
	    BAD_RESPONSE("a version without status", "HTTP/1.1\r\n\r\n", STATUS_LINE),
	    BAD_RESPONSE("a space before", " HTTP/1.1 200 OK\r\n\r\n", STATUS_LINE),
	    BAD_RESPONSE("a status below 100", "HTTP/1.1 099 OK\r\n\r\n", STATUS),
	    BAD_RESPONSE("two digits", "HTTP/1.1 20 OK\r\n\r\n", STATUS),
	    BAD_RESPONSE("four digits", "HTTP/1.1 2000 OK\r\n\r\n", STATUS),
	    BAD_RESPONSE("two spaces", "HTTP/1.1  200 OK\r\n\r\n", STATUS),
	    BAD_RESPONSE("a tab", "HTTP/1.1\t200 OK\r\n\r\n", STATUS_LINE),
	    BAD_RESPONSE("a tab before the reason", "HTTP/1.1 200\tOK\r\n\r\n", STATUS_LINE),
	    BAD_RESPONSE("HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", VERSION),
	    BAD_RESPONSE("a NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n", NUL),
	    BAD_RESPONSE("a request", "GET / HTTP/1.1\r\n\r\n", STATUS_LINE),
	};

	(void)state;
	check(cases, sizeof(cases) / sizeof(*cases));
}

#define TRAILERS(what, literal, result, fault)                                                     \
	{                                                                                          \
		what, GUARD_TRAILERS, BYTES(literal), result, fault                                \
	}

static void trailer_sections_are_taken_or_refused(void **state)
{
	static const struct expectation cases[] = {
	    TRAILERS("no trailer", "\r\n", GUARD_DONE, HTTP_FAULT_NONE),
	    TRAILERS("two trailers", "A: b\r\nC:\r\n\r\n", GUARD_DONE, HTTP_FAULT_NONE),
	    TRAILERS("a control byte", "A: \1\r\n\r\n", GUARD_DONE, HTTP_FAULT_NONE),
	    TRAILERS("half a section", "A: b\r\n", GUARD_MORE, HTTP_FAULT_NONE),
	    TRAILERS("a bare LF", "\n", GUARD_BAD, HTTP_FAULT_BARE_LF),
	    TRAILERS("a bare CR", "\rX", GUARD_BAD, HTTP_FAULT_BARE_CR),
	    TRAILERS("a space before", " A: b\r\n\r\n", GUARD_BAD, HTTP_FAULT_FOLD),
	};

	(void)state;
	check(cases, sizeof(cases) / sizeof(*cases));
}

static bool is_token(int byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

/* Lower-case letters of a sample head say what stands in their place. */
static bool may_stand(char place, int byte)
{
	switch (place) {
	case 'm': /* method */
	case 'n': /* name */
		return is_token(byte);
	case 't': /* target */
		return byte > ' ' && byte < 0x7f;
	default: /* value or reason */
		return byte != '\0' && byte != '\r' && byte != '\n';
	}
}

static void every_byte_is_judged_in_every_place(void **state)
{
	static const struct {
		enum guard_kind kind;
		struct str head;
	} heads[] = {
	    {GUARD_REQUEST, BYTES("mm /tttttttttt HTTP/1.1\r\nnn: vvvvvvvvvvvvvvvvvvvvv\r\n\r\n")},
	    {GUARD_REQUEST, BYTES("mm / HTTP/1.1\r\nnnnnnnnnnn:vvvvvvv\r\nn: \r\n\r\n")},
	    {GUARD_RESPONSE, BYTES("HTTP/1.1 222 rrrrrrrrrrrrrrrrrr\r\n\r\n")},
	    {GUARD_TRAILERS, BYTES("nnn: vvvvvvvvvvvvvvvv\r\n\r\n")},
	};

	(void)state;
	for (size_t h = 0; h < sizeof(heads) / sizeof(*heads); h++) {
		struct str head = heads[h].head;

		for (size_t at = 0; at < head.len; at++) {
			char place = head.data[at], bytes[128];

			memcpy(bytes, head.data, head.len);
			for (int byte = 0; byte < 256 && strchr("mntvr", place); byte++) {
				struct outcome outcome;
				bool expected = may_stand(place, byte);

				/* A colon ends a name early and is no fault by itself. */
				if (byte == ':' && place == 'n')
					expected = at && head.data[at - 1] == 'n';
				/* A reason may end in LF, and then its line. */
				if (byte == '\n' && place == 'r')
					expected = head.data[at + 1] == '\r';
				bytes[at] = (char)byte;
				scan_every_way(
				    &outcome, heads[h].kind, &wide, (struct str){bytes, head.len});
				if ((outcome.result == GUARD_DONE) != expected)
					fail_msg("head %zu, place %zu, byte %d", h, at, byte);
				free(outcome.bytes);
			}
		}
	}
}

static void the_end_of_a_head_is_found_and_what_follows_is_left(void **state)
{
	static const struct {
		enum guard_kind kind;
		struct str bytes;
		size_t skipped, length, fields, target_length;
	} cases[] = {
	    {GUARD_REQUEST, BYTES("GET /ab HTTP/1.1\r\n\r\n\r\n"), 0, 20, 0, 3},
	    {GUARD_REQUEST, BYTES("\r\n\r\nGET /ab HTTP/1.1\r\nA: b\r\n\r\nGET"), 4, 26, 1, 3},
	    {GUARD_RESPONSE, BYTES("HTTP/1.1 200\r\nA: b\r\nC: d\r\n\r\n\r\n"), 0, 28, 2, 0},
	    {GUARD_TRAILERS, BYTES("\r\n\r\n"), 0, 2, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct outcome outcome;

		scan_every_way(&outcome, cases[i].kind, &wide, cases[i].bytes);
		assert_int_equal(outcome.result, GUARD_DONE);
		assert_int_equal(outcome.skipped, cases[i].skipped);
		assert_int_equal(outcome.length, cases[i].length);
		assert_int_equal(outcome.used, cases[i].skipped + cases[i].length);
		assert_int_equal(outcome.fields, cases[i].fields);
		assert_int_equal(outcome.target_length, cases[i].target_length);
		free(outcome.bytes);
	}
}

static void tabs_at_the_ends_of_values_become_spaces(void **state)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
	    {LINE "A:\tb\t\r\n\r\n", LINE "A: b \r\n\r\n"},
	    {LINE "A:\t \tb\t \t\r\n\r\n", LINE "A:   b   \r\n\r\n"},
	    {LINE "A: b\tc\t\td\t\t\r\n\r\n", LINE "A: b\tc\t\td  \r\n\r\n"},
	    {LINE "A:\t\t\r\nB:\t\r\n\r\n", LINE "A:  \r\nB: \r\n\r\n"},
	    {LINE "A: b\t\r\nC: d\r\nE: f\t\t\r\n\r\n", LINE "A: b \r\nC: d\r\nE: f  \r\n\r\n"},
	    {"GET / HTTP/1.1\r\nA:b\r\n\r\n\t", "GET / HTTP/1.1\r\nA:b\r\n\r\n\t"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct outcome outcome;

		scan_every_way(&outcome, GUARD_REQUEST, &wide, str_from(cases[i].before));
		assert_int_equal(outcome.result, GUARD_DONE);
		assert_memory_equal(outcome.bytes, cases[i].after, strlen(cases[i].after));
		free(outcome.bytes);
	}
}

static void later_versions_of_http_1_become_1_1(void **state)
{
	static const struct {
		enum guard_kind kind;
		const char *before, *after;
	} cases[] = {
	    {GUARD_REQUEST, "GET / HTTP/1.2\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"},
	    {GUARD_REQUEST, "GET / HTTP/1.9\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"},
	    {GUARD_REQUEST, "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"},
	    {GUARD_RESPONSE, "HTTP/1.5 200\r\n\r\n", "HTTP/1.1 200\r\n\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct outcome outcome;

		scan_every_way(&outcome, cases[i].kind, &wide, str_from(cases[i].before));
		assert_int_equal(outcome.result, GUARD_DONE);
		assert_memory_equal(outcome.bytes, cases[i].after, strlen(cases[i].after));
		free(outcome.bytes);
	}
}

static void limits_are_kept_to_the_byte(void **state)
{
	static const char head[] = "\r\nGET /abc HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
	enum { BYTES_OF_HEAD = sizeof(head) - 3 };
	static const struct {
		struct http_limits limits;
		enum http_fault fault;
	} cases[] = {
	    {{BYTES_OF_HEAD, 2, 4}, HTTP_FAULT_NONE},
	    {{BYTES_OF_HEAD - 1, 2, 4}, HTTP_FAULT_HEADER_BYTES},
	    {{BYTES_OF_HEAD, 1, 4}, HTTP_FAULT_HEADERS},
	    {{BYTES_OF_HEAD, 0, 4}, HTTP_FAULT_HEADERS},
	    {{BYTES_OF_HEAD, 2, 3}, HTTP_FAULT_TARGET_LENGTH},
	    {{BYTES_OF_HEAD, 2, 0}, HTTP_FAULT_TARGET_LENGTH},
	    /* The target is told first, also where both limits are broken. */
	    {{7, 2, 3}, HTTP_FAULT_TARGET_LENGTH},
	    {{6, 2, 100}, HTTP_FAULT_TARGET_LENGTH},
	    {{2, 2, 100}, HTTP_FAULT_HEADER_BYTES},
	    {{10, 2, 100}, HTTP_FAULT_HEADER_BYTES},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct outcome outcome;

		scan_every_way(&outcome, GUARD_REQUEST, &cases[i].limits, STR(head));
		if (outcome.fault != cases[i].fault)
			fail_msg("case %zu: fault %d", i, (int)outcome.fault);
		assert_int_equal(
		    outcome.result, cases[i].fault == HTTP_FAULT_NONE ? GUARD_DONE : GUARD_BAD);
		free(outcome.bytes);
	}
}

static void a_head_that_cannot_end_in_time_is_refused_before_it_does(void **state)
{
	static const struct http_limits limits = {.header_bytes = 20, .headers = 9, .uri_bytes = 9};
	struct guard guard;
	char bytes[] = "GET / HTTP/1.1\r\nA: b";
	size_t used;

	(void)state;
	guard_init(&guard, GUARD_REQUEST);
	assert_int_equal(guard_scan(&guard, &limits, bytes, 19, &used), GUARD_MORE);
	assert_int_equal(guard_scan(&guard, &limits, bytes + 19, 1, &used), GUARD_BAD);
	assert_int_equal(guard.fault, HTTP_FAULT_HEADER_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(request_lines_are_taken_or_refused),
	    cmocka_unit_test(field_lines_are_taken_or_refused),
	    cmocka_unit_test(status_lines_are_taken_or_refused),
	    cmocka_unit_test(trailer_sections_are_taken_or_refused),
	    cmocka_unit_test(every_byte_is_judged_in_every_place),
	    cmocka_unit_test(the_end_of_a_head_is_found_and_what_follows_is_left),
	    cmocka_unit_test(tabs_at_the_ends_of_values_become_spaces),
	    cmocka_unit_test(later_versions_of_http_1_become_1_1),
	    cmocka_unit_test(limits_are_kept_to_the_byte),
	    cmocka_unit_test(a_head_that_cannot_end_in_time_is_refused_before_it_does),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
