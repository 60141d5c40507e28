#include "proxy/access_line.h"

#include <assert.h>

enum {
	TEXT_LIMIT = 32 * 1024,
	STATUS_NO_ANSWER = 499 /* what nginx writes for a client that went away */
};

const char *access_end_word(enum access_end end)
{
	static const char *const words[ACCESS_ENDS] = {
	    [ACCESS_OK] = "ok",
	    [ACCESS_CLIENT_GONE] = "client_gone",
	    [ACCESS_NO_BACKEND] = "no_backend",
	    [ACCESS_REFUSED] = "refused",
	    [ACCESS_TIMEOUT] = "timeout",
	    [ACCESS_RESET] = "reset",
	    [ACCESS_BAD_RESPONSE] = "bad_response",
	    [ACCESS_LIMIT] = "limit",
	};

	assert(end < ACCESS_ENDS);
	return words[end];
}

/* A line being composed. Once something did not fit, the line is lost and the rest does not
 * matter. */
struct line {
	char *at;
	char *end;
	bool fits;
};

static void put(struct line *line, struct str text)
{
	if (text.len > (size_t)(line->end - line->at)) {
		line->fits = false;
		line->end = line->at;
		return;
	}
	if (text.len == 0)
		return;
	memcpy(line->at, text.data, text.len);
	line->at += text.len;
}

static void put_number(struct line *line, uint64_t number)
{
	char digits[20];
	size_t first = sizeof(digits);

	do {
		digits[--first] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	put(line, (struct str){digits + first, sizeof(digits) - first});
}

/* The part of a second that milliseconds hold beside whole ones: ".021". */
static void put_fraction(struct line *line, uint64_t ms)
{
	char text[4] = {
	    '.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10)};

	put(line, (struct str){text, sizeof(text)});
}

/* Microseconds as "0.021", or `none` when they are negative. */
static void put_seconds(struct line *line, int64_t us, struct str none)
{
	if (us < 0) {
		put(line, none);
		return;
	}
	put_number(line, (uint64_t)us / 1000000);
	put_fraction(line, (uint64_t)us / 1000);
}

enum quoting {
	IN_QUOTES,
	BARE, /* a word of its own: a space would start another one */
	IN_JSON
};

static bool is_plain(unsigned char byte, enum quoting quoting)
{
	if (byte == ' ')
		return quoting != BARE;
	return byte > ' ' && byte < 0x7f && byte != '"' && byte != '\\';
}

static void put_escape(struct line *line, unsigned char byte, enum quoting quoting)
{
	static const char hex[] = "0123456789ABCDEF";
	char digits[2] = {hex[byte >> 4], hex[byte & 15]};

	put(line, quoting == IN_JSON ? STR("\\u00") : STR("\\x"));
	put(line, (struct str){digits, sizeof(digits)});
}

/* Text that somebody else chose: whatever is in it, it stays one field of one line. */
static void put_text(struct line *line, struct str text, enum quoting quoting)
{
	const char *start = line->at;
	size_t i = 0;

	while (i < text.len && line->at - start < TEXT_LIMIT) {
		size_t limit = TEXT_LIMIT - (size_t)(line->at - start);
		size_t run = i;

		while (run < text.len && run - i < limit &&
		       is_plain((unsigned char)text.data[run], quoting))
			run++;
		put(line, (struct str){text.data + i, run - i});
		i = run;
		if (i < text.len && !is_plain((unsigned char)text.data[i], quoting))
			put_escape(line, (unsigned char)text.data[i++], quoting);
		if (!line->fits)
			return;
	}
	if (i < text.len)
		put(line, STR("..."));
}

static void put_text_or_dash(struct line *line, struct str text, enum quoting quoting)
{
	put_text(line, text.len ? text : STR("-"), quoting);
}

static void put_client(struct line *line, const struct access_record *record)
{
	char text[NET_ADDR_TEXT_SIZE];

	put_text(line, str_from(net_addr_format_ip(record->client, text)), BARE);
}

static unsigned status_of(const struct access_record *record)
{
	return record->status ? record->status : STATUS_NO_ANSWER;
}

static bool has_request(const struct access_record *record)
{
	return record->request && record->request->method_text.len > 0;
}

static struct str version_of(const struct http_head *request)
{
	return request->minor ? STR("HTTP/1.1") : STR("HTTP/1.0");
}

static struct str field_of(const struct access_record *record, struct str name)
{
	const struct http_field *field =
	    has_request(record) ? http_head_find(record->request, name) : NULL;

	return field ? field->value : (struct str){NULL, 0};
}

/* What became of a try: the status where an answer was the point, else a word. */
static void put_result(struct line *line, const struct try_record *try)
{
	if (try->status && (try->outcome == OUTCOME_GOOD || try->outcome == OUTCOME_STATUS))
		put_number(line, try->status);
	else
		put(line, str_from(outcome_word(try->outcome)));
}

static void put_milliseconds(struct line *line, int64_t us)
{
	put_number(line, us > 0 ? (uint64_t)us / 1000 : 0);
}

static void compose_combined(
    struct line *line, const struct access_record *record, const struct access_time *time)
{
	put_client(line, record);
	put(line, STR(" - - ["));
	put(line, str_from(time->local));
	put(line, STR("] \""));
	if (has_request(record)) {
		put_text(line, record->request->method_text, IN_QUOTES);
		put(line, STR(" "));
		put_text(line, record->request->target, IN_QUOTES);
		put(line, STR(" "));
		put(line, version_of(record->request));
	} else {
		put(line, STR("-"));
	}
	put(line, STR("\" "));
	put_number(line, status_of(record));
	put(line, STR(" "));
	put_number(line, record->content_bytes);
	put(line, STR(" \""));
	put_text_or_dash(line, field_of(record, STR("Referer")), IN_QUOTES);
	put(line, STR("\" \""));
	put_text_or_dash(line, field_of(record, STR("User-Agent")), IN_QUOTES);
	put(line, STR("\""));
}

static void compose_plus(struct line *line, const struct access_record *record)
{
	put(line, STR(" rt="));
	put_seconds(line, record->ended_us - record->began_us, STR("0.000"));
	put(line, STR(" b="));
	for (size_t i = 0; i < record->try_count; i++) {
		const struct try_record *try = &record->tries[i];

		if (i > 0)
			put(line, STR(","));
		put_text(line, str_from(try->backend->name), BARE);
		put(line, STR(":"));
		put_result(line, try);
		put(line, STR(":"));
		put_milliseconds(line, try->took_us);
	}
	if (record->try_count == 0)
		put(line, STR("-"));
	put(line, STR(" uct="));
	put_seconds(line, record->connect_us, STR("-"));
	put(line, STR(" uht="));
	put_seconds(line, record->first_byte_us, STR("-"));
	put(line, STR(" try="));
	put_number(line, record->try_count);
	put(line, STR(" end="));
	put(line, str_from(access_end_word(record->end)));
	put(line, STR(" id="));
	put_text_or_dash(line, record->request_id, BARE);
}

/* ,"key":"text", or null for a text that is not there; `key` with its quotes, colon and comma. */
static void put_member(struct line *line, struct str key, struct str text)
{
	put(line, key);
	if (!text.data) {
		put(line, STR("null"));
		return;
	}
	put(line, STR("\""));
	put_text(line, text, IN_JSON);
	put(line, STR("\""));
}

static void put_json_tries(struct line *line, const struct access_record *record)
{
	put(line, STR(",\"tries\":["));
	for (size_t i = 0; i < record->try_count; i++) {
		const struct try_record *try = &record->tries[i];

		put_member(line, i > 0 ? STR(",{\"backend\":") : STR("{\"backend\":"),
		    str_from(try->backend->name));
		put(line, STR(",\"result\":\""));
		put_result(line, try);
		put(line, STR("\",\"ms\":"));
		put_milliseconds(line, try->took_us);
		put(line, STR("}"));
	}
	put(line, STR("]"));
}

static void compose_json(
    struct line *line, const struct access_record *record, const struct access_time *time)
{
	const struct http_head *request = has_request(record) ? record->request : NULL;
	const struct str none = {NULL, 0};

	put(line, STR("{\"ts\":\""));
	put(line, str_from(time->utc));
	put_fraction(line, time->ms);
	put(line, STR("Z\",\"client\":\""));
	put_client(line, record);
	put(line, STR("\""));
	put_member(line, STR(",\"method\":"), request ? request->method_text : none);
	put_member(line, STR(",\"target\":"), request ? request->target : none);
	put_member(line, STR(",\"proto\":"), request ? version_of(request) : none);
	put(line, STR(",\"status\":"));
	put_number(line, status_of(record));
	put(line, STR(",\"bytes\":"));
	put_number(line, record->content_bytes);
	put_member(line, STR(",\"referer\":"), field_of(record, STR("Referer")));
	put_member(line, STR(",\"user_agent\":"), field_of(record, STR("User-Agent")));
	put(line, STR(",\"rt\":"));
	put_seconds(line, record->ended_us - record->began_us, STR("0.000"));
	put(line, STR(",\"uct\":"));
	put_seconds(line, record->connect_us, STR("null"));
	put(line, STR(",\"uht\":"));
	put_seconds(line, record->first_byte_us, STR("null"));
	put_json_tries(line, record);
	put_member(line, STR(",\"end\":"), str_from(access_end_word(record->end)));
	put_member(line, STR(",\"id\":"), record->request_id);
	put(line, STR("}"));
}

size_t access_line_compose(char *out, size_t room, enum access_format format,
    const struct access_record *record, const struct access_time *time)
{
	struct line line = {out, out + room, true};

	switch (format) {
	case ACCESS_COMBINED:
		compose_combined(&line, record, time);
		break;
	case ACCESS_COMBINED_PLUS:
		compose_combined(&line, record, time);
		compose_plus(&line, record);
		break;
	case ACCESS_JSON:
		compose_json(&line, record, time);
		break;
	}
	put(&line, STR("\n"));
	return line.fits ? (size_t)(line.at - out) : 0;
}
