/*
 * Content through body_decode, in a buffer used as a connection uses one.
 */
#include "http/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct http_limits limits = {.header_bytes = 1024, .headers = 10, .uri_bytes = 1024};

/* The largest fixture, and what it decodes to. */
enum { ROOM = 96 << 10 };

struct outcome {
	enum body_result result;
	char payload[ROOM];
	size_t payload_len;
	size_t consumed; /* bytes that were part of the message */
	char trailers[ROOM];
	size_t trailers_len;
	uint64_t received;
};

/*
 * Decodes `bytes`, given in pieces of `first` and then `step` bytes. What stays raw is given again
 * with the next piece, and every piece lies in memory of its own size, so that a look beyond it is
 * found out.
 */
static void decode(
    struct outcome *outcome, struct body *body, struct str bytes, size_t first, size_t step)
{
	static char stream[ROOM];
	size_t begin = 0, end = 0, piece = first;

	memcpy(stream, bytes.data, bytes.len);
	memset(outcome, 0, sizeof(*outcome));
	outcome->result = BODY_MORE;
	while (end < bytes.len && outcome->result == BODY_MORE) {
		struct body_span span;
		char *memory;

		end += piece < bytes.len - end ? piece : bytes.len - end;
		piece = step;
		memory = malloc(end - begin);
		assert_non_null(memory);
		memcpy(memory, stream + begin, end - begin);
		outcome->result = body_decode(body, &limits, memory, end - begin, &span);
		assert_true(span.payload <= span.raw && span.raw <= end - begin);
		memcpy(outcome->payload + outcome->payload_len, memory, span.payload);
		outcome->payload_len += span.payload;
		if (outcome->result == BODY_DONE && body->trailer_bytes) {
			assert_true(body->trailer_bytes <= span.raw);
			memcpy(outcome->trailers, memory + span.raw - body->trailer_bytes,
			    body->trailer_bytes);
			outcome->trailers_len = body->trailer_bytes;
		}
		begin += span.raw;
		memcpy(stream + begin, memory + span.raw, end - begin);
		free(memory);
	}
	outcome->consumed = begin;
	outcome->received = body->received;
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
	if (a->result != b->result || a->payload_len != b->payload_len ||
	    memcmp(a->payload, b->payload, a->payload_len) != 0)
		return false;
	return a->result == BODY_BAD || a->result == BODY_TOO_LARGE ||
	       (a->consumed == b->consumed && a->received == b->received &&
		   a->trailers_len == b->trailers_len &&
		   memcmp(a->trailers, b->trailers, a->trailers_len) == 0);
}

struct content {
	enum http_framing framing;
	uint64_t length; /* with HTTP_FRAMING_LENGTH */
	uint64_t max_bytes;
	struct str bytes;
};

static void open_body(struct body *body, const struct content *content)
{
	struct http_head head = {.framing = content->framing, .content_length = content->length};

	body_init(body, &head, content->max_bytes);
}

static struct outcome whole, pieces;

/* Whole, in two pieces at every cut, and byte by byte; the outcome is in `whole`. */
static void decode_every_way(const struct content *content)
{
	size_t len = content->bytes.len;
	struct body body;

	open_body(&body, content);
	decode(&whole, &body, content->bytes, len, len);
	for (size_t cut = 0; cut < len; cut += len < 2048 ? 1 : len / 67) {
		open_body(&body, content);
		decode(&pieces, &body, content->bytes, cut ? cut : 1, cut ? len : 1);
		if (!is_same(&whole, &pieces))
			fail_msg("\"%.*s\" cut at %zu: %d, whole %d", STR_ARGS(content->bytes), cut,
			    (int)pieces.result, (int)whole.result);
	}
}

#define BYTES(literal)                                                                             \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

static void chunks_are_decoded_or_refused(void **state)
{
	static const struct {
		struct str bytes;
		enum body_result result;
		const char *payload;
	} cases[] = {
	    {BYTES("0\r\n\r\n"), BODY_DONE, ""},
	    {BYTES("5\r\nhello\r\n0\r\n\r\n"), BODY_DONE, "hello"},
	    {BYTES("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), BODY_DONE, "hello world"},
	    {BYTES("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"), BODY_DONE, "abc"},
	    {BYTES("00b\r\nhello world\r\n000\r\n\r\n"), BODY_DONE, "hello world"},
	    {BYTES("B\r\nhello world\r\n0\r\n\r\n"), BODY_DONE, "hello world"},
	    {BYTES("4\r\n\r\n0\n\r\n0\r\n\r\n"), BODY_DONE, "\r\n0\n"},
	    {BYTES("1;a\r\nx\r\n0;b=c\r\n\r\n"), BODY_DONE, "x"},
	    {BYTES("1;xyz!=-Q9~;zz\r\nx\r\n0\r\n\r\n"), BODY_DONE, "x"},
	    {BYTES("1 ; a = b ;c\t=\t\"d\\\"e\" ; f\r\nx\r\n0\r\n\r\n"), BODY_DONE, "x"},
	    {BYTES("5\r\nhello\r\n0\r\n\r\nGET"), BODY_DONE, "hello"},
	    {BYTES("5\r\nhel"), BODY_MORE, "hel"},
	    {BYTES("5\r\nhello"), BODY_MORE, "hello"},
	    {BYTES("5\r\nhello\r"), BODY_MORE, "hello"},
	    {BYTES("5\r\nhello\r\n"), BODY_MORE, "hello"},
	    {BYTES("5\r\nhello\r\n0\r\n"), BODY_MORE, "hello"},
	    {BYTES("5\r\nhello\r\n0\r\n\r"), BODY_MORE, "hello"},
	    {BYTES("5\r\nhello\r\n0\r\nA: b\r\n"), BODY_MORE, "hello"},
	    {BYTES("7fffffffffffffff\r\nx"), BODY_MORE, "x"},
	    {BYTES("8000000000000000\r\nx"), BODY_BAD, ""},
	    {BYTES("ffffffffffffffff\r\nx"), BODY_BAD, ""},
	    {BYTES("fffffffffffffffff\r\nx"), BODY_BAD, ""},
	    {BYTES("10000000000000000\r\nx"), BODY_BAD, ""},
	    {BYTES("1\r\nx\r\n7fffffffffffffff\r\n"), BODY_BAD, "x"},
	    {BYTES("\r\n"), BODY_BAD, ""},
	    {BYTES(";a\r\n"), BODY_BAD, ""},
	    {BYTES(" 5\r\n"), BODY_BAD, ""},
	    {BYTES("5 \r\n"), BODY_BAD, ""},
	    {BYTES("5\t\r\n"), BODY_BAD, ""},
	    {BYTES("5;\r\n"), BODY_BAD, ""},
	    {BYTES("5; \r\n"), BODY_BAD, ""},
	    {BYTES("5;a \r\n"), BODY_BAD, ""},
	    {BYTES("5;a=\r\n"), BODY_BAD, ""},
	    {BYTES("5;a=b \r\n"), BODY_BAD, ""},
	    {BYTES("5;a=b c\r\n"), BODY_BAD, ""},
	    {BYTES("5;a=\"b\" \r\n"), BODY_BAD, ""},
	    {BYTES("5;a=\"b\"c\r\n"), BODY_BAD, ""},
	    {BYTES("5;a=\"b\r\n"), BODY_BAD, ""},
	    {BYTES("5;a=\"\x7f\"\r\n"), BODY_BAD, ""},
	    {BYTES("5;a=\"\\\n\"\r\n"), BODY_BAD, ""},
	    {BYTES("5;a=\xff\r\n"), BODY_BAD, ""},
	    {BYTES("5\n"), BODY_BAD, ""},
	    {BYTES("5\rX"), BODY_BAD, ""},
	    {BYTES("5\0\r\n"), BODY_BAD, ""},
	    {BYTES("0x5\r\n"), BODY_BAD, ""},
	    {BYTES("-5\r\n"), BODY_BAD, ""},
	    {BYTES("+5\r\n"), BODY_BAD, ""},
	    {BYTES("5_\r\n"), BODY_BAD, ""},
	    {BYTES("5\r\nhelloX\n"), BODY_BAD, "hello"},
	    {BYTES("5\r\nhello\rX"), BODY_BAD, "hello"},
	    {BYTES("5\r\nhello\n"), BODY_BAD, "hello"},
	    {BYTES("5\r\nhello\r\n\r\n0"), BODY_BAD, "hello"},
	    {BYTES("5\r\nhello\r\n0\r\n\n"), BODY_BAD, "hello"},
	    {BYTES("5\r\nhello\r\n0\r\n\rX"), BODY_BAD, "hello"},
	    {BYTES("5\r\nhello\r\n0\r\n A: b\r\n\r\n"), BODY_BAD, "hello"},
	    {BYTES("0\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\nA: 6\r\nA: 7\r\nA: 8\r\nA: 9\r\n"
		   "A: 10\r\nA: 11\r\n\r\n"),
		BODY_BAD, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct content content = {HTTP_FRAMING_CHUNKED, 0, 0, cases[i].bytes};

		decode_every_way(&content);
		if (whole.result != cases[i].result ||
		    whole.payload_len != strlen(cases[i].payload) ||
		    memcmp(whole.payload, cases[i].payload, whole.payload_len) != 0)
			fail_msg("\"%.*s\": %d, \"%.*s\"", STR_ARGS(cases[i].bytes),
			    (int)whole.result, (int)whole.payload_len, whole.payload);
	}
}

static void append(char *text, size_t *len, struct str bytes)
{
	memcpy(text + *len, bytes.data, bytes.len);
	*len += bytes.len;
}

/* A chunked message of `count` chunks of one byte, each with `extension` bytes of extension. */
static size_t compose_extensions(char *text, size_t count, size_t extension)
{
	size_t len = 0;

	while (count--) {
		text[len++] = '1';
		text[len] = ';';
		memset(text + len + 1, 'a', extension - 1);
		len += extension;
		append(text, &len, STR("\r\nx\r\n"));
	}
	append(text, &len, STR("0\r\n\r\n"));
	return len;
}

static void lines_and_extensions_have_limits(void **state)
{
	static const struct {
		size_t count, extension;
		enum body_result result;
	} cases[] = {
	    {1, 255, BODY_DONE},   /* with the digit 256 bytes a line */
	    {1, 256, BODY_BAD},    /* one more */
	    {128, 128, BODY_DONE}, /* 16 KiB a message */
	    {129, 128, BODY_BAD},
	    {8192, 2, BODY_DONE}, /* however small each is */
	    {8193, 2, BODY_BAD},
	};
	static char text[ROOM];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct content content = {HTTP_FRAMING_CHUNKED, 0, 0,
		    {text, compose_extensions(text, cases[i].count, cases[i].extension)}};

		decode_every_way(&content);
		assert_int_equal(whole.result, cases[i].result);
	}
}

static void zeros_before_a_size_count_as_line(void **state)
{
	char text[300];

	(void)state;
	for (size_t zeros = 240; zeros < 270; zeros++) {
		struct content content = {.framing = HTTP_FRAMING_CHUNKED};
		size_t len = zeros;

		memset(text, '0', zeros);
		append(text, &len, STR("1\r\nx\r\n0\r\n\r\n"));
		content.bytes = (struct str){text, len};
		decode_every_way(&content);
		assert_int_equal(whole.result, zeros + 1 <= 256 ? BODY_DONE : BODY_BAD);
	}
}

static void what_follows_the_message_is_left(void **state)
{
	static const struct {
		struct content content;
		size_t consumed;
	} cases[] = {
	    {{HTTP_FRAMING_CHUNKED, 0, 0, BYTES("1\r\nx\r\n0\r\n\r\nGET")}, 11},
	    {{HTTP_FRAMING_CHUNKED, 0, 0, BYTES("0\r\nA: b\r\n\r\n\r\n")}, 11},
	    {{HTTP_FRAMING_LENGTH, 3, 0, BYTES("abcdef")}, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		decode_every_way(&cases[i].content);
		assert_int_equal(whole.result, BODY_DONE);
		assert_int_equal(whole.consumed, cases[i].consumed);
	}
}

static void broken_content_stays_broken(void **state)
{
	struct content content = {.framing = HTTP_FRAMING_CHUNKED};
	char broken[] = "1\r\nxX", more[] = "\n1\r\ny\r\n0\r\n\r\n";
	struct body_span span;
	struct body body;

	(void)state;
	open_body(&body, &content);
	assert_int_equal(body_decode(&body, &limits, broken, strlen(broken), &span), BODY_BAD);
	assert_int_equal(body_decode(&body, &limits, more, strlen(more), &span), BODY_BAD);
	assert_int_equal(span.payload, 0);
	assert_false(body_end(&body));
}

static void counted_content_ends_at_its_length(void **state)
{
	struct content content = {HTTP_FRAMING_LENGTH, 5, 0, BYTES("hello")};

	(void)state;
	decode_every_way(&content);
	assert_int_equal(whole.result, BODY_DONE);
	assert_int_equal(whole.received, 5);
	assert_memory_equal(whole.payload, "hello", 5);

	content.length = 6;
	decode_every_way(&content);
	assert_int_equal(whole.result, BODY_MORE);
	assert_int_equal(whole.payload_len, 5);
}

static void no_content_is_done_at_once(void **state)
{
	static const struct content contents[] = {
	    {.framing = HTTP_FRAMING_NONE, .length = 5}, {.framing = HTTP_FRAMING_LENGTH}};
	char next[] = "GET";
	struct body_span span;
	struct body body;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		open_body(&body, &contents[i]);
		assert_true(body.done);
		assert_int_equal(body_decode(&body, &limits, next, 3, &span), BODY_DONE);
		assert_int_equal(span.payload, 0);
		assert_int_equal(span.raw, 0);
		assert_int_equal(body_spliceable(&body), 0);
	}
}

static void the_limit_holds_as_soon_as_the_size_is_known(void **state)
{
	static const struct {
		struct content content;
		enum body_result result;
		size_t payload;
	} cases[] = {
	    {{HTTP_FRAMING_LENGTH, 5, 5, BYTES("h")}, BODY_MORE, 1},
	    {{HTTP_FRAMING_LENGTH, 6, 5, BYTES("h")}, BODY_TOO_LARGE, 0},
	    {{HTTP_FRAMING_CHUNKED, 0, 5, BYTES("5\r\nhello\r\n0\r\n\r\n")}, BODY_DONE, 5},
	    {{HTTP_FRAMING_CHUNKED, 0, 5, BYTES("6\r\n")}, BODY_TOO_LARGE, 0},
	    {{HTTP_FRAMING_CHUNKED, 0, 5, BYTES("3\r\nabc\r\n3\r\n")}, BODY_TOO_LARGE, 3},
	    {{HTTP_FRAMING_CHUNKED, 0, 5, BYTES("7fffffffffffffff\r\n")}, BODY_TOO_LARGE, 0},
	    {{HTTP_FRAMING_CLOSE, 0, 5, BYTES("hello")}, BODY_MORE, 5},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		decode_every_way(&cases[i].content);
		assert_int_equal(whole.result, cases[i].result);
		assert_int_equal(whole.payload_len, cases[i].payload);
	}
}

static void content_to_the_end_of_the_stream_is_limited_too(void **state)
{
	struct content content = {.framing = HTTP_FRAMING_CLOSE, .max_bytes = 5};
	char text[] = "hello!";
	struct body_span span;
	struct body body;

	(void)state;
	open_body(&body, &content);
	assert_int_equal(body_decode(&body, &limits, text, 6, &span), BODY_TOO_LARGE);
	assert_int_equal(span.payload, 0);
}

static void the_end_of_the_stream_completes_only_what_it_frames(void **state)
{
	static const struct {
		struct content content;
		bool complete;
	} cases[] = {
	    {{HTTP_FRAMING_NONE, 0, 0, BYTES("")}, true},
	    {{HTTP_FRAMING_CLOSE, 0, 0, BYTES("")}, true},
	    {{HTTP_FRAMING_CLOSE, 0, 0, BYTES("hello")}, true},
	    {{HTTP_FRAMING_LENGTH, 5, 0, BYTES("hello")}, true},
	    {{HTTP_FRAMING_LENGTH, 6, 0, BYTES("hello")}, false},
	    {{HTTP_FRAMING_CHUNKED, 0, 0, BYTES("0\r\n\r\n")}, true},
	    {{HTTP_FRAMING_CHUNKED, 0, 0, BYTES("0\r\n\r")}, false},
	    {{HTTP_FRAMING_CHUNKED, 0, 0, BYTES("")}, false},
	};
	struct body body;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_body(&body, &cases[i].content);
		decode(&whole, &body, cases[i].content.bytes, 100, 100);
		assert_int_equal(body_end(&body), cases[i].complete);
		assert_int_equal(body.done, cases[i].complete);
	}
}

static void spliced_bytes_count_as_decoded(void **state)
{
	struct content counted = {.framing = HTTP_FRAMING_LENGTH, .length = 10};
	struct content open_end = {.framing = HTTP_FRAMING_CLOSE};
	struct content chunked = {.framing = HTTP_FRAMING_CHUNKED};
	char text[] = "abcd";
	char chunk[] = "a\r\nab";
	char rest[] = "\r\n0\r\n\r\n";
	struct body_span span;
	struct body body;

	(void)state;
	open_body(&body, &counted);
	assert_int_equal(body_decode(&body, &limits, text, 4, &span), BODY_MORE);
	assert_int_equal(body_spliceable(&body), 6);
	body_skip(&body, 5);
	assert_int_equal(body_spliceable(&body), 1);
	assert_false(body.done);
	body_skip(&body, 1);
	assert_true(body.done);
	assert_int_equal(body.received, 10);

	open_body(&body, &open_end);
	assert_true(body_spliceable(&body) == UINT64_MAX);
	body_skip(&body, 7);
	assert_int_equal(body.received, 7);
	assert_true(body_end(&body));
	assert_int_equal(body_spliceable(&body), 0);

	open_body(&body, &chunked);
	assert_int_equal(body_spliceable(&body), 0);
	assert_int_equal(body_decode(&body, &limits, chunk, 5, &span), BODY_MORE);
	assert_int_equal(body_spliceable(&body), 8);
	body_skip(&body, 8);
	assert_int_equal(body.received, 10);
	assert_int_equal(body_spliceable(&body), 0);
	assert_int_equal(body_decode(&body, &limits, rest, 7, &span), BODY_DONE);

	counted.max_bytes = 5;
	open_end.max_bytes = 5;
	open_body(&body, &counted);
	assert_int_equal(body_spliceable(&body), 0);
	open_body(&body, &open_end);
	assert_int_equal(body_spliceable(&body), 0);
}

static void trailers_are_walked_in_order(void **state)
{
	static const struct content content = {
	    HTTP_FRAMING_CHUNKED, 0, 0, BYTES("0\r\nA: 1\r\nB:\r\nC:\t2:3 \r\n\r\nnext")};
	static const char *const expected[][2] = {{"A", "1"}, {"B", ""}, {"C", "2:3"}};
	struct str section;
	struct http_field field;
	size_t count = 0;

	(void)state;
	decode_every_way(&content);
	section = (struct str){whole.trailers, whole.trailers_len};
	assert_int_equal(section.len, 21);
	for (; count < 3 && http_next_field(&section, &field); count++) {
		assert_true(str_equals(field.name, str_from(expected[count][0])));
		assert_true(str_equals(field.value, str_from(expected[count][1])));
		assert_false(field.hop_by_hop);
	}
	assert_int_equal(count, 3);
	assert_false(http_next_field(&section, &field));

	section = STR("\r\n");
	assert_false(http_next_field(&section, &field));

	/* Nothing beyond the section is looked at. */
	section = (struct str){"A: 1\r\nB: 2\r\n\r\n", 6};
	assert_true(http_next_field(&section, &field));
	assert_false(http_next_field(&section, &field));
	section = (struct str){"A: 1\r\n", 5};
	assert_false(http_next_field(&section, &field));
	section = (struct str){NULL, 0};
	assert_false(http_next_field(&section, &field));
}

static void chunk_heads_are_composed(void **state)
{
	static const struct {
		uint64_t len;
		const char *text;
	} cases[] = {
	    {1, "1\r\n"},
	    {15, "f\r\n"},
	    {16, "10\r\n"},
	    {0x1000, "1000\r\n"},
	    {0xabcdef, "abcdef\r\n"},
	    {UINT64_MAX, "ffffffffffffffff\r\n"},
	};
	char text[BODY_CHUNK_HEAD_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(body_chunk_head(text, cases[i].len), strlen(cases[i].text));
		assert_memory_equal(text, cases[i].text, strlen(cases[i].text));
	}
}

/* A small generator of its own: the same numbers on every machine. */
static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void what_is_chunked_is_decoded_again(void **state)
{
	static char plain[8192], coded[ROOM];
	uint32_t seed = 2463534242;

	(void)state;
	for (int round = 0; round < 50; round++) {
		size_t len = 0, coded_len = 0;
		struct content content = {.framing = HTTP_FRAMING_CHUNKED};
		struct body body;

		while (len < 4096) {
			size_t n = 1 + next_random(&seed) % (round % 2 ? 8 : 900);

			for (size_t i = 0; i < n; i++)
				plain[len + i] = (char)next_random(&seed);
			coded_len += body_chunk_head(coded + coded_len, n);
			append(coded, &coded_len, (struct str){plain + len, n});
			append(coded, &coded_len, STR("\r\n"));
			len += n;
		}
		append(coded, &coded_len, STR("0\r\n\r\n"));
		content.bytes = (struct str){coded, coded_len};
		open_body(&body, &content);
		decode(&whole, &body, content.bytes, 1 + next_random(&seed) % 300,
		    1 + next_random(&seed) % 300);
		assert_int_equal(whole.result, BODY_DONE);
		assert_int_equal(whole.payload_len, len);
		assert_memory_equal(whole.payload, plain, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chunks_are_decoded_or_refused),
	    cmocka_unit_test(lines_and_extensions_have_limits),
	    cmocka_unit_test(zeros_before_a_size_count_as_line),
	    cmocka_unit_test(what_follows_the_message_is_left),
	    cmocka_unit_test(broken_content_stays_broken),
	    cmocka_unit_test(counted_content_ends_at_its_length),
	    cmocka_unit_test(no_content_is_done_at_once),
	    cmocka_unit_test(the_limit_holds_as_soon_as_the_size_is_known),
	    cmocka_unit_test(content_to_the_end_of_the_stream_is_limited_too),
	    cmocka_unit_test(the_end_of_the_stream_completes_only_what_it_frames),
	    cmocka_unit_test(spliced_bytes_count_as_decoded),
	    cmocka_unit_test(trailers_are_walked_in_order),
	    cmocka_unit_test(chunk_heads_are_composed),
	    cmocka_unit_test(what_is_chunked_is_decoded_again),
	};

	return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
