#include "proxy/access_line.h"

#include "base/text.h"

#include <assert.h>

enum {
	TEXT_LIMIT = 32 * 1024,
	STATUS_NO_ANSWER = 499 /* as nginx does for a client that went away */
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

/* The part of a second that milliseconds hold beside whole ones: ".021". */
static void put_fraction(struct text *line, uint64_t ms)
{
	text_put(line, STR("."));
	text_put_digits(line, ms, 3);
}

/* Microseconds as "0.021", or `none` when they are negative. */
static void put_seconds(struct text *line, int64_t us, struct str none)
{
	if (us < 0) {
		text_put(line, none);
		return;
	}
	text_put_number(line, (uint64_t)us / 1000000);
	put_fraction(line, (uint64_t)us / 1000);
}

/* Text from outside: any bytes in it stay one field of one line. */
static void put_text(struct text *line, struct str text, enum text_quoting quoting)
{
	text_put_escaped(line, text, quoting, TEXT_LIMIT);
}

static void put_text_or_dash(struct text *line, struct str text, enum text_quoting quoting)
{
	put_text(line, text.len ? text : STR("-"), quoting);
}

static void put_client(struct text *line, const struct access_record *record)
{
	char text[NET_ADDR_TEXT_SIZE];

	put_text(line, str_from(net_addr_format_ip(record->client, text)), TEXT_WORD);
}

static bool peer_differs(const struct access_record *record)
{
	char text[NET_ADDR_TEXT_SIZE];

	return record->peer.len > 0 &&
	       !str_equals(record->peer, str_from(net_addr_format_ip(record->client, text)));
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

/* The result of a try: the status if the answer decided, else a word. */
static void put_result(struct text *line, const struct try_record *try)
{
	if (try->status && (try->outcome == OUTCOME_GOOD || try->outcome == OUTCOME_STATUS))
		text_put_number(line, try->status);
	else
		text_put(line, str_from(outcome_word(try->outcome)));
}

static void put_milliseconds(struct text *line, int64_t us)
{
	text_put_number(line, us > 0 ? (uint64_t)us / 1000 : 0);
}

/* As much of it as was read. */
static void put_request_line(struct text *line, const struct http_head *request)
{
	put_text(line, request->method_text, TEXT_QUOTED);
	if (request->target.len) {
		text_put(line, STR(" "));
		put_text(line, request->target, TEXT_QUOTED);
	}
	if (request->length > 0) {
		text_put(line, STR(" "));
		text_put(line, version_of(request));
	}
}

static void compose_combined(
    struct text *line, const struct access_record *record, const struct access_time *time)
{
	put_client(line, record);
	text_put(line, STR(" - - ["));
	text_put(line, str_from(time->local));
	text_put(line, STR("] \""));
	if (has_request(record)) {
		put_request_line(line, record->request);
	} else {
		text_put(line, STR("-"));
	}
	text_put(line, STR("\" "));
	text_put_number(line, status_of(record));
	text_put(line, STR(" "));
	text_put_number(line, record->content_bytes);
	text_put(line, STR(" \""));
	put_text_or_dash(line, field_of(record, STR("Referer")), TEXT_QUOTED);
	text_put(line, STR("\" \""));
	put_text_or_dash(line, field_of(record, STR("User-Agent")), TEXT_QUOTED);
	text_put(line, STR("\""));
}

static void compose_plus(struct text *line, const struct access_record *record)
{
	text_put(line, STR(" rt="));
	put_seconds(line, record->ended_us - record->began_us, STR("0.000"));
	text_put(line, STR(" b="));
	for (size_t i = 0; i < record->try_count; i++) {
		const struct try_record *try = &record->tries[i];

		if (i > 0)
			text_put(line, STR(","));
		put_text(line, str_from(try->backend->name), TEXT_WORD);
		text_put(line, STR(":"));
		put_result(line, try);
		text_put(line, STR(":"));
		put_milliseconds(line, try->took_us);
	}
	if (record->try_count == 0)
		text_put(line, STR("-"));
	text_put(line, STR(" uct="));
	put_seconds(line, record->connect_us, STR("-"));
	text_put(line, STR(" uht="));
	put_seconds(line, record->first_byte_us, STR("-"));
	text_put(line, STR(" try="));
	text_put_number(line, record->try_count);
	if (record->queued_us > 0) {
		text_put(line, STR(" qt="));
		put_seconds(line, record->queued_us, STR("-"));
	}
	if (peer_differs(record)) {
		text_put(line, STR(" peer="));
		put_text(line, record->peer, TEXT_WORD);
	}
	text_put(line, STR(" end="));
	text_put(line, str_from(access_end_word(record->end)));
	if (record->fault != HTTP_FAULT_NONE) {
		text_put(line, STR(" rule=\""));
		text_put(line, str_from(http_fault_rule(record->fault)));
		text_put(line, STR("\""));
	}
	text_put(line, STR(" id="));
	put_text_or_dash(line, record->request_id, TEXT_WORD);
}

/* ,"key":"text", or null for a text that is not there; `key` with its quotes, colon and comma. */
static void put_member(struct text *line, struct str key, struct str text)
{
	text_put(line, key);
	if (!text.data) {
		text_put(line, STR("null"));
		return;
	}
	text_put(line, STR("\""));
	put_text(line, text, TEXT_JSON);
	text_put(line, STR("\""));
}

static void put_json_tries(struct text *line, const struct access_record *record)
{
	text_put(line, STR(",\"tries\":["));
	for (size_t i = 0; i < record->try_count; i++) {
		const struct try_record *try = &record->tries[i];

		put_member(line, i > 0 ? STR(",{\"backend\":") : STR("{\"backend\":"),
		    str_from(try->backend->name));
		text_put(line, STR(",\"result\":\""));
		put_result(line, try);
		text_put(line, STR("\",\"ms\":"));
		put_milliseconds(line, try->took_us);
		text_put(line, STR("}"));
	}
	text_put(line, STR("]"));
}

static void compose_json(
    struct text *line, const struct access_record *record, const struct access_time *time)
{
	const struct http_head *request = has_request(record) ? record->request : NULL;
	const struct str none = {NULL, 0};

	text_put(line, STR("{\"ts\":\""));
	text_put(line, str_from(time->utc));
	put_fraction(line, time->ms);
	text_put(line, STR("Z\",\"client\":\""));
	put_client(line, record);
	text_put(line, STR("\""));
	put_member(line, STR(",\"method\":"), request ? request->method_text : none);
	put_member(line, STR(",\"target\":"), request ? request->target : none);
	put_member(
	    line, STR(",\"proto\":"), request && request->length > 0 ? version_of(request) : none);
	text_put(line, STR(",\"status\":"));
	text_put_number(line, status_of(record));
	text_put(line, STR(",\"bytes\":"));
	text_put_number(line, record->content_bytes);
	put_member(line, STR(",\"referer\":"), field_of(record, STR("Referer")));
	put_member(line, STR(",\"user_agent\":"), field_of(record, STR("User-Agent")));
	text_put(line, STR(",\"rt\":"));
	put_seconds(line, record->ended_us - record->began_us, STR("0.000"));
	text_put(line, STR(",\"uct\":"));
	put_seconds(line, record->connect_us, STR("null"));
	text_put(line, STR(",\"uht\":"));
	put_seconds(line, record->first_byte_us, STR("null"));
	put_json_tries(line, record);
	if (record->queued_us > 0) {
		text_put(line, STR(",\"qt\":"));
		put_seconds(line, record->queued_us, STR("null"));
	}
	if (peer_differs(record))
		put_member(line, STR(",\"peer\":"), record->peer);
	put_member(line, STR(",\"end\":"), str_from(access_end_word(record->end)));
	if (record->fault != HTTP_FAULT_NONE)
		put_member(line, STR(",\"rule\":"), str_from(http_fault_rule(record->fault)));
	put_member(line, STR(",\"id\":"), record->request_id);
	text_put(line, STR("}"));
}

size_t access_line_compose(char *out, size_t room, enum access_format format,
    const struct access_record *record, const struct access_time *time)
{
	struct text line = text_begin(out, room);

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
	text_put(&line, STR("\n"));
	return text_is_whole(&line) ? (size_t)(line.at - out) : 0;
}
