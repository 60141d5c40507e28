/*
 * Whole messages through guard, llhttp, classification and body, and composed again.
 *
 * Every case of the table (tests/http/cases.tsv) is read whole, then cut in two at every byte, then
 * byte by byte; the transcript of what was understood must be the same each time.
 */
#include "http/body.h"
#include "http/parse.h"
#include "http/upgrade.h"
#include "http/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BLOCK_SIZE = 20 << 10, FIELDS = 100, TRANSCRIPT_SIZE = 64 << 10 };

static const struct http_limits limits = {
    .header_bytes = 16 << 10, .headers = FIELDS, .uri_bytes = 8 << 10};

/* One connection of which everything that is read is written down. */
struct reader {
	bool is_response;
	struct http_head request; /* what responses answer */
	struct slab blocks;
	struct buf in;
	struct parse parse;
	struct http_head head;
	struct http_field fields[FIELDS];
	struct body body;
	bool in_body;
	bool over;     /* the connection is of no more use */
	size_t unread; /* bytes that came after that */
	char outcome[4096];
	char transcript[TRANSCRIPT_SIZE];
	size_t written;
};

static void say(struct reader *reader, const char *word)
{
	size_t len = strlen(reader->outcome);

	snprintf(
	    reader->outcome + len, sizeof(reader->outcome) - len, "%s%s", len ? " " : "", word);
}

__attribute__((format(printf, 2, 3))) static void note(
    struct reader *reader, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(
	    reader->transcript + reader->written, TRANSCRIPT_SIZE - reader->written, format, args);
	va_end(args);
	assert_true(len >= 0);
	reader->written += (size_t)len;
	if (reader->written >= TRANSCRIPT_SIZE)
		reader->written = TRANSCRIPT_SIZE - 1;
}

/* Content may hold any byte. */
static void note_bytes(struct reader *reader, struct str bytes)
{
	if (bytes.len > TRANSCRIPT_SIZE - 1 - reader->written)
		bytes.len = TRANSCRIPT_SIZE - 1 - reader->written;
	memcpy(reader->transcript + reader->written, bytes.data, bytes.len);
	reader->written += bytes.len;
}

static const char *names[] = {"websocket"};
static const struct http_upgrades protocols = {names, 1};

/* A request for one, or a 101. */
static bool is_upgrade(const struct http_head *head)
{
	return head->upgrades || head->status == 101;
}

static bool is_same_reading(const struct reader *a, const struct reader *b)
{
	return strcmp(a->outcome, b->outcome) == 0 && a->written == b->written &&
	       memcmp(a->transcript, b->transcript, a->written) == 0;
}

static void open_message(struct reader *reader)
{
	parse_init(&reader->parse, reader->is_response ? GUARD_RESPONSE : GUARD_REQUEST);
	reader->in_body = false;
}

static void open_reader(struct reader *reader, bool is_response, enum http_method method)
{
	memset(reader, 0, sizeof(*reader));
	reader->is_response = is_response;
	reader->request = (struct http_head){.minor = 1, .method = method};
	slab_init(&reader->blocks, BLOCK_SIZE, 1);
	buf_init(&reader->in, &reader->blocks);
	reader->head.fields = reader->fields;
	reader->head.field_limit = FIELDS;
	open_message(reader);
}

static void close_reader(struct reader *reader)
{
	buf_release(&reader->in);
	slab_finish(&reader->blocks);
}

static void note_head(struct reader *reader)
{
	const struct http_head *head = &reader->head;

	note(reader, "[%.*s|%.*s|%u|%.*s|1.%u|%zu]\n", STR_ARGS(head->method_text),
	    STR_ARGS(head->target), head->status, STR_ARGS(head->reason), head->minor,
	    head->length);
	note(reader,
	    "framing=%d length=%llu/%d keep=%d host=%.*s path=%.*s continue=%d te=%d ws=%d\n",
	    (int)head->framing, (unsigned long long)head->content_length, head->has_content_length,
	    head->keep_alive, STR_ARGS(head->host), STR_ARGS(head->path), head->expects_continue,
	    head->accepts_trailers, is_upgrade(head));
	for (size_t i = 0; i < head->field_count; i++)
		note(reader, "%.*s=%.*s%s\n", STR_ARGS(head->fields[i].name),
		    STR_ARGS(head->fields[i].value), head->fields[i].hop_by_hop ? " (hop)" : "");
}

static bool is_same(struct str a, struct str b, const char *what)
{
	if (str_equals(a, b))
		return true;
	print_error("%s: \"%.*s\" and \"%.*s\"\n", what, STR_ARGS(a), STR_ARGS(b));
	return false;
}

/* Nothing that is forwarded may be read otherwise by the next one. */
static void check_composed(struct reader *reader)
{
	static struct http_field fields[FIELDS + 16];
	const struct http_limits wider = {
	    .header_bytes = 32 << 10, .headers = FIELDS + 16, .uri_bytes = 8 << 10};
	const struct parse_response_rules rules = {wider, &reader->request};
	const struct write_request up = {
	    .head = &reader->head, .client_ip = STR("192.0.2.1"), .backend_host = STR("backend:1")};
	const struct write_response down = {.head = &reader->head,
	    .request = &reader->request,
	    .framing = reader->head.framing,
	    .keep_alive = true};
	struct http_head again = {.fields = fields, .field_limit = FIELDS + 16};
	const struct http_head *head = &reader->head;
	struct parse parse;
	struct slab blocks;
	struct buf out;

	slab_init(&blocks, 32 << 10, 1);
	buf_init(&out, &blocks);
	parse_init(&parse, reader->is_response ? GUARD_RESPONSE : GUARD_REQUEST);
	if (!reader->is_response) {
		assert_true(write_request_head(&out, &up));
		assert_int_equal(parse_request(&parse, &wider, &out, &again), PARSE_DONE);
	} else {
		assert_true(head->status >= 200 || head->status == 101
				? write_response_head(&out, &down)
				: write_interim_head(&out, &down));
		assert_int_equal(parse_response(&parse, &rules, &out, &again), PARSE_DONE);
	}
	assert_int_equal(again.length, buf_len(&out));
	http_upgrade_choose(&again, &protocols);
	assert_int_equal(again.framing, head->framing);
	assert_int_equal(again.content_length, head->content_length);
	assert_int_equal(again.status, head->status);
	assert_int_equal(is_upgrade(&again), is_upgrade(head));
	assert_int_equal(again.accepts_trailers, head->accepts_trailers && !is_upgrade(head));
	assert_true(is_same(again.method_text, head->method_text, "method"));
	if (!reader->is_response && head->host.len)
		assert_true(is_same(again.host, head->host, "host"));
	note(reader, "composed %.*s", STR_ARGS(buf_content(&out)));
	buf_release(&out);
	slab_finish(&blocks);
}

static void read_bad(struct reader *reader)
{
	char status[16];

	snprintf(status, sizeof(status), "%u",
	    reader->is_response ? 502 : http_fault_status(reader->parse.fault));
	note(reader, "fault %d\n", (int)reader->parse.fault);
	say(reader, status);
	reader->over = true;
}

/* False when more bytes are needed. */
static bool read_head(struct reader *reader)
{
	struct parse_response_rules rules = {limits, &reader->request};
	enum parse_result result =
	    reader->is_response
		? parse_response(&reader->parse, &rules, &reader->in, &reader->head)
		: parse_request(&reader->parse, &limits, &reader->in, &reader->head);

	if (result == PARSE_MORE)
		return false;
	if (result == PARSE_BAD) {
		read_bad(reader);
		return false;
	}
	if (!reader->is_response)
		http_upgrade_choose(&reader->head, &protocols);
	note_head(reader);
	check_composed(reader);
	buf_consume(&reader->in, reader->head.length);
	body_init(&reader->body, &reader->head, 0);
	reader->in_body = true;
	return true;
}

static void end_message(struct reader *reader)
{
	const struct http_head *head = &reader->head;

	note(reader, "\nend %llu\n", (unsigned long long)reader->body.received);
	if (reader->is_response && head->status < 200 && head->status != 101) {
		say(reader, "interim");
	} else if (is_upgrade(head)) {
		say(reader, "upgrade");
		reader->over = true;
	} else {
		say(reader, reader->is_response ? "relay" : "forward");
		reader->over = reader->is_response || !head->keep_alive;
		if (reader->is_response && head->keep_alive)
			note(reader, "poolable\n");
	}
	open_message(reader);
}

static bool read_body(struct reader *reader)
{
	struct body_span span;
	enum body_result result = body_decode(&reader->body, &limits,
	    reader->in.data + reader->in.begin, buf_len(&reader->in), &span);

	note_bytes(reader, (struct str){reader->in.data + reader->in.begin, span.payload});
	buf_consume(&reader->in, span.raw);
	if (result == BODY_BAD) {
		note(reader, "\nbroken\n");
		say(reader, reader->is_response ? "502" : "400");
		reader->over = true;
	} else if (result == BODY_DONE) {
		end_message(reader);
	}
	return result == BODY_DONE;
}

static void feed(struct reader *reader, struct str bytes)
{
	while (bytes.len && !reader->over) {
		struct str piece = bytes;

		buf_compact(&reader->in);
		assert_true(buf_reserve(&reader->in));
		if (piece.len > buf_room(&reader->in))
			piece.len = buf_room(&reader->in);
		assert_true(piece.len);
		assert_true(buf_append(&reader->in, piece));
		bytes.data += piece.len;
		bytes.len -= piece.len;
		while (!reader->over && (buf_len(&reader->in) || reader->in_body) &&
		       (reader->in_body ? read_body(reader) : read_head(reader)))
			continue;
	}
	reader->unread += bytes.len;
}

/* No more bytes come. Without `ended` the stream is still open. */
static void finish(struct reader *reader, bool ended)
{
	bool extra = reader->over && buf_len(&reader->in) + reader->unread > 0;

	if (extra && reader->is_response && !strstr(reader->outcome, "502") &&
	    !is_upgrade(&reader->head))
		say(reader, "extra");
	if (reader->over)
		return;
	if (reader->in_body && ended)
		body_end(&reader->body);
	if (reader->in_body && reader->body.done)
		end_message(reader);
	else if (reader->in_body || buf_len(&reader->in))
		say(reader, ended ? "cut" : "wait");
}

struct fixture {
	const char *name;
	bool is_response;
	enum http_method answers; /* of the request that a response answers */
	bool upgrades;            /* that request asked for a websocket */
	bool ends;                /* the stream ends after the bytes */
	struct str bytes;
};

/* Reads the fixture in two pieces, or byte by byte when `cut` is 0. */
static void read_fixture(struct reader *reader, const struct fixture *fixture, size_t cut)
{
	struct str bytes = fixture->bytes;

	open_reader(reader, fixture->is_response, fixture->answers);
	if (fixture->upgrades) {
		static struct http_field asked = {
		    .name = STR("Upgrade"), .value = STR("websocket")};

		reader->request.upgrades = &protocols;
		reader->request.fields = &asked;
		reader->request.field_count = 1;
	}
	if (cut) {
		feed(reader, (struct str){bytes.data, cut});
		feed(reader, (struct str){bytes.data + cut, bytes.len - cut});
	} else {
		for (size_t i = 0; i < bytes.len; i++)
			feed(reader, (struct str){bytes.data + i, 1});
	}
	finish(reader, fixture->ends);
	close_reader(reader);
}

/* Every cut of a short fixture; of a long one all near its begin and then some. */
static size_t next_cut(size_t cut, size_t len)
{
	return len < 4096 || cut < 256 ? cut + 1 : cut + len / 97;
}

static struct reader whole, pieces;

/* Reads the fixture every way there is and compares; the outcome is in whole.outcome. */
static void read_every_way(const struct fixture *fixture)
{
	size_t len = fixture->bytes.len;

	read_fixture(&whole, fixture, len);
	for (size_t cut = 0; cut < len; cut = next_cut(cut, len)) {
		read_fixture(&pieces, fixture, cut);
		if (!is_same_reading(&whole, &pieces))
			fail_msg("%s cut at %zu:\n%s\n%s\nand whole:\n%s\n%s", fixture->name, cut,
			    pieces.outcome, pieces.transcript, whole.outcome, whole.transcript);
	}
}

/* The bytes that the table's notation stands for: \r \n \t \0 \xNN \\, {{S*N}} for N times S, and
 * <FIN> at the end. */
struct notation {
	char *bytes;
	size_t len;
	bool ends;
};

enum { CASE_MAX = 512 << 10 };

static void append_byte(struct notation *notation, char byte)
{
	assert_true(notation->len < CASE_MAX);
	notation->bytes[notation->len++] = byte;
}

static const char *read_escape(struct notation *notation, const char *at)
{
	static const char letters[] = "rnt0\\", bytes[] = "\r\n\t\0\\";
	const char *letter = strchr(letters, *at);

	if (*at == 'x') {
		append_byte(notation, (char)(str_hex_digit(at[1]) * 16 + str_hex_digit(at[2])));
		return at + 3;
	}
	if (!letter || !*at)
		fail_msg("unknown escape \\%c", *at);
	append_byte(notation, bytes[letter - letters]);
	return at + 1;
}

static const char *read_piece(struct notation *notation, const char *at)
{
	if (*at == '\\')
		return read_escape(notation, at + 1);
	append_byte(notation, *at);
	return at + 1;
}

/* "{{S*N}}", of which `at` is behind the braces. */
static const char *read_repetition(struct notation *notation, const char *at)
{
	const char *end = strstr(at, "}}");
	size_t begin = notation->len, unit;

	assert_non_null(end);
	const char *star = end;

	while (*star != '*')
		star--;
	while (at < star)
		at = read_piece(notation, at);
	unit = notation->len - begin;
	for (long n = strtol(star + 1, NULL, 10); n > 1; n--)
		for (size_t i = 0; i < unit; i++)
			append_byte(notation, notation->bytes[begin + i]);
	return end + 2;
}

static void read_notation(struct notation *notation, const char *at)
{
	notation->len = 0;
	notation->ends = false;
	while (*at) {
		if (strncmp(at, "{{", 2) == 0) {
			at = read_repetition(notation, at + 2);
		} else if (strcmp(at, "<FIN>") == 0) {
			notation->ends = true;
			return;
		} else {
			at = read_piece(notation, at);
		}
	}
}

/* The columns of a line of the table. */
enum { COLUMN_ID, COLUMN_DIRECTION, COLUMN_BYTES, COLUMN_EXPECT, COLUMN_NOTE, COLUMNS };

static bool split_columns(char *line, char *columns[COLUMNS])
{
	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < COLUMNS; i++) {
		columns[i] = strsep(&line, "\t");
		if (!columns[i])
			return false;
	}
	return !line;
}

static void read_case(char *columns[COLUMNS], struct notation *notation)
{
	struct fixture fixture = {.name = columns[COLUMN_ID],
	    .is_response = strcmp(columns[COLUMN_DIRECTION], "B>P") == 0};

	read_notation(notation, columns[COLUMN_BYTES]);
	fixture.bytes = (struct str){notation->bytes, notation->len};
	fixture.ends = notation->ends;
	fixture.answers = strstr(fixture.name, ":HEAD") ? HTTP_METHOD_HEAD : HTTP_METHOD_GET;
	fixture.upgrades = strstr(fixture.name, ":WEBSOCKET");
	read_every_way(&fixture);
}

/* Is the outcome what the table expects, or one of its choices? Its notation is that of the bytes. */
static bool is_expected(const char *outcome, char *expect)
{
	static char bytes[4096];
	struct notation notation = {.bytes = bytes};
	char *choice;

	while ((choice = strsep(&expect, "|"))) {
		read_notation(&notation, choice);
		if (notation.len == strlen(outcome) && !memcmp(bytes, outcome, notation.len))
			return true;
	}
	return false;
}

static void every_case_of_the_table_comes_out_as_expected(void **state)
{
	FILE *file = fopen(RONDO_TESTS_DIR "/http/cases.tsv", "r");
	struct notation notation = {.bytes = malloc(CASE_MAX)};
	size_t size = 0, count = 0, wrong = 0;
	char *line = NULL, *columns[COLUMNS] = {NULL};

	(void)state;
	assert_non_null(file);
	assert_non_null(notation.bytes);
	while (getline(&line, &size, file) > 0) {
		if (line[0] == '#')
			continue;
		if (!split_columns(line, columns))
			fail_msg("not %d columns: %s", COLUMNS, line);
		read_case(columns, &notation);
		if (!is_expected(whole.outcome, columns[COLUMN_EXPECT])) {
			print_error("%s (%s): %s\n", columns[COLUMN_ID], columns[COLUMN_NOTE],
			    whole.outcome);
			wrong++;
		}
		count++;
	}
	assert_int_equal(wrong, 0);
	assert_true(count > 100);
	free(line);
	free(notation.bytes);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_case_of_the_table_comes_out_as_expected),
	};

	return cmocka_run_group_tests_name("cases", tests, NULL, NULL);
}
