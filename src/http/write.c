#include "http/write.h"

#include "base/text.h"
#include "http/body.h"
#include "http/claim.h"
#include "http/upgrade.h"

#include <assert.h>
#include <time.h>

/* The text takes effect only when close_text finds that all of it had room. */
static struct text open_text(struct buf *out)
{
	return buf_reserve(out) ? text_begin(out->data + out->end, buf_room(out))
				: text_begin(NULL, 0);
}

static bool close_text(struct buf *out, const struct text *text)
{
	if (text_is_whole(text))
		buf_filled(out, (size_t)(text->at - (out->data + out->end)));
	else if (buf_len(out) == 0)
		buf_release(out);
	return text_is_whole(text);
}

static void put_name(struct text *text, struct str name)
{
	text_put(text, name);
	text_put(text, STR(": "));
}

static void put_end(struct text *text)
{
	text_put(text, STR("\r\n"));
}

static void put_field(struct text *text, struct str name, struct str value)
{
	char *place = text_take(text, name.len + value.len + sizeof(": \r\n") - 1);

	if (!place)
		return;
	memcpy(place, name.data, name.len);
	memcpy(place + name.len, ": ", 2);
	if (value.len)
		memcpy(place + name.len + 2, value.data, value.len);
	memcpy(place + name.len + 2 + value.len, "\r\n", 2);
}

static void put_number_field(struct text *text, struct str name, uint64_t number)
{
	put_name(text, name);
	text_put_number(text, number);
	put_end(text);
}

/* A field that is only there when it is configured. */
static void put_optional_field(struct text *text, struct str name, struct str value)
{
	if (name.len && value.len)
		put_field(text, name, value);
}

static void put_framing(struct text *text, enum http_framing framing, uint64_t length)
{
	switch (framing) {
	case HTTP_FRAMING_LENGTH:
		put_number_field(text, STR("Content-Length"), length);
		break;
	case HTTP_FRAMING_CHUNKED:
		text_put(text, STR("Transfer-Encoding: chunked\r\n"));
		break;
	case HTTP_FRAMING_NONE:
	case HTTP_FRAMING_CLOSE:
		break;
	}
}

static bool is_named(const struct http_field *field, struct str name)
{
	return str_equals_nocase(field->name, name);
}

/* The field that rondo extends by the client it sees; the old ones of that name are put into it. */
static struct str chain_name(const struct write_request *request)
{
	switch (request->forwarded) {
	case WRITE_FORWARDED_X:
		return STR("X-Forwarded-For");
	case WRITE_FORWARDED_RFC7239:
		return STR("Forwarded");
	case WRITE_FORWARDED_NONE:
		break;
	}
	return (struct str){NULL, 0};
}

static bool passes(const struct write_request *request, const struct http_field *field)
{
	if (field->hop_by_hop || is_named(field, STR("Host")) ||
	    is_named(field, STR("Content-Length")))
		return false;
	if (is_named(field, request->request_id_name))
		return str_equals(field->value, request->request_id);
	if (!http_is_claim(field->name))
		return true;
	return request->client_is_trusted && !is_named(field, chain_name(request));
}

/* Opens the line of the chain with the values that a trusted client sent about the clients before
 * it. */
static void put_chain(struct text *text, const struct write_request *request, bool *is_empty)
{
	const struct http_head *head = request->head;
	struct str name = chain_name(request);

	*is_empty = true;
	for (size_t i = 0; request->client_is_trusted && i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (!is_named(field, name) || !field->value.len)
			continue;
		if (*is_empty)
			put_name(text, name);
		else
			text_put(text, STR(", "));
		text_put(text, field->value);
		*is_empty = false;
	}
}

static struct str scheme(const struct write_request *request)
{
	return request->is_https ? STR("https") : STR("http");
}

static void put_x_forwarded(struct text *text, const struct write_request *request)
{
	const struct http_head *head = request->head;
	bool keeps = request->client_is_trusted;
	bool is_empty;

	put_chain(text, request, &is_empty);
	if (request->client_ip.len) {
		if (is_empty)
			put_name(text, chain_name(request));
		else
			text_put(text, STR(", "));
		text_put(text, request->client_ip);
	}
	if (!is_empty || request->client_ip.len)
		put_end(text);

	if (!keeps || !http_head_find(head, STR("X-Forwarded-Proto")))
		put_field(text, STR("X-Forwarded-Proto"), scheme(request));
	if (head->host.len && (!keeps || !http_head_find(head, STR("X-Forwarded-Host"))))
		put_field(text, STR("X-Forwarded-Host"), head->host);
}

/* RFC 7239, 4: for=192.0.2.1;host="a:80";proto=http. An IPv6 address is in brackets and quotes. */
static void put_rfc7239(struct text *text, const struct write_request *request)
{
	struct str ip = request->client_ip;
	bool is_empty;

	put_chain(text, request, &is_empty);
	/* A trusted peer without an address adds nothing to what it said itself. */
	if (!is_empty && !ip.len) {
		put_end(text);
		return;
	}
	if (is_empty)
		put_name(text, STR("Forwarded"));
	else
		text_put(text, STR(", "));

	text_put(text, STR("for="));
	if (!ip.len) {
		text_put(text, STR("unknown"));
	} else if (str_find(ip, ':') < ip.len) {
		text_put(text, STR("\"["));
		text_put(text, ip);
		text_put(text, STR("]\""));
	} else {
		text_put(text, ip);
	}
	if (request->head->host.len) {
		text_put(text, STR(";host=\""));
		text_put(text, request->head->host);
		text_put(text, STR("\""));
	}
	text_put(text, STR(";proto="));
	text_put(text, scheme(request));
	put_end(text);
}

static void put_forwarded(struct text *text, const struct write_request *request)
{
	switch (request->forwarded) {
	case WRITE_FORWARDED_X:
		put_x_forwarded(text, request);
		break;
	case WRITE_FORWARDED_RFC7239:
		put_rfc7239(text, request);
		break;
	case WRITE_FORWARDED_NONE:
		break;
	}
}

static void put_request_line(struct text *text, const struct http_head *head)
{
	text_put(text, head->method_text);
	text_put(text, STR(" "));
	/* "http://a?q" has no path to take over. RFC 9112, 3.2.1. */
	if (!head->path.len || head->path.data[0] == '?')
		text_put(text, STR("/"));
	text_put(text, head->path);
	text_put(text, STR(" HTTP/1.1\r\n"));
}

/* The client's request id is passed on unchanged, unless rondo made a new one, or the client's
 * Connection field names it. */
static bool passes_request_id(const struct write_request *request)
{
	const struct http_head *head = request->head;

	for (size_t i = 0; i < head->field_count; i++)
		if (is_named(&head->fields[i], request->request_id_name) &&
		    passes(request, &head->fields[i]))
			return true;
	return false;
}

static void put_request_field(
    struct text *text, const struct http_head *head, const struct http_field *field)
{
	uint64_t hops;

	if (head->method == HTTP_METHOD_OPTIONS && http_head_hops_left(head, field, &hops) && hops)
		put_number_field(text, field->name, hops - 1);
	else
		put_field(text, field->name, field->value);
}

/* The protocols of a request that pass, or all of a 101, which was checked. */
static void put_upgrade(struct text *text, const struct http_head *head)
{
	bool is_empty = true;
	struct str protocol;

	for (size_t i = 0; i < head->field_count; i++) {
		struct str list = head->fields[i].value;

		if (!is_named(&head->fields[i], STR("Upgrade")))
			continue;
		while (http_list_next(&list, &protocol)) {
			if (head->upgrades && !http_upgrade_passes(head, protocol))
				continue;
			text_put(
			    text, is_empty ? STR("Connection: Upgrade\r\nUpgrade: ") : STR(", "));
			/* Some servers compare it letter by letter. */
			if (str_equals_nocase(protocol, STR("websocket")))
				protocol = STR("websocket");
			text_put(text, protocol);
			is_empty = false;
		}
	}
	put_end(text);
}

bool write_request_head(struct buf *out, const struct write_request *request)
{
	const struct http_head *head = request->head;
	struct text text = open_text(out);

	put_request_line(&text, head);
	put_field(&text, STR("Host"), head->has_host ? head->host : request->backend_host);
	for (size_t i = 0; i < head->field_count; i++)
		if (passes(request, &head->fields[i]))
			put_request_field(&text, head, &head->fields[i]);

	text_put(&text, head->minor ? STR("Via: 1.1 rondo\r\n") : STR("Via: 1.0 rondo\r\n"));
	put_forwarded(&text, request);
	if (!passes_request_id(request))
		put_optional_field(&text, request->request_id_name, request->request_id);

	if (head->upgrades)
		put_upgrade(&text, head);
	else if (head->accepts_trailers) /* RFC 9110, 10.1.4 */
		text_put(&text, STR("Connection: TE\r\nTE: trailers\r\n"));
	put_framing(&text, head->framing, head->content_length);
	put_end(&text);
	return close_text(out, &text);
}

static bool is_printable(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < ' ' || text.data[i] > '~')
			return false;
	return true;
}

static void put_status_line(struct text *text, unsigned status, struct str reason)
{
	text_put(text, STR("HTTP/1.1 "));
	text_put_number(text, status);
	text_put(text, STR(" "));
	text_put(text, reason.len && is_printable(reason) ? reason : write_reason(status));
	put_end(text);
}

/* Is the field of a response one that rondo writes itself? */
static bool is_replaced(const struct write_response *response, const struct http_field *field)
{
	return is_named(field, STR("Content-Length")) || is_named(field, response->app_url_name) ||
	       is_named(field, response->attempts_name) ||
	       is_named(field, response->request_id_name);
}

/* The names in the Connection fields of a head: no field with one of these names passes. */
struct connection_options {
	struct str items[HTTP_OPTIONS_MAX];
	size_t count;
};

static void collect_options(struct str lines, struct connection_options *options)
{
	struct http_field field;
	struct str option;

	options->count = 0;
	/* The status line passes for a field of another name. */
	while (http_next_field(&lines, &field)) {
		if (!is_named(&field, STR("Connection")))
			continue;
		while (options->count < HTTP_OPTIONS_MAX && http_list_next(&field.value, &option))
			options->items[options->count++] = option;
	}
}

static bool trailer_passes(const struct write_trailers *trailers,
    const struct connection_options *options, const struct http_field *trailer)
{
	if (!http_trailer_is_allowed(trailer->name) || is_named(trailer, trailers->app_url_name) ||
	    is_named(trailer, trailers->attempts_name) ||
	    is_named(trailer, trailers->request_id_name))
		return false;
	for (size_t i = 0; i < options->count; i++)
		if (is_named(trailer, options->items[i]))
			return false;
	return true;
}

static bool is_token(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!http_is_token_byte(text.data[i]))
			return false;
	return text.len > 0;
}

/* More trailers than that need not be announced: the announcement only helps the client. RFC 9110,
 * 6.6.2. */
enum { ANNOUNCED_MAX = 100 };

/* Trailer with the names that the backend announced and that may pass. */
static void put_announcement(struct text *text, const struct write_response *response)
{
	const struct http_head *head = response->head;
	struct connection_options options;
	struct http_field trailer;
	size_t seen = 0;
	bool is_empty = true;

	if (!response->trailers || !http_head_find(head, STR("Trailer")))
		return;
	collect_options(response->trailers->head, &options);
	for (size_t i = 0; i < head->field_count; i++) {
		struct str names = head->fields[i].value;

		if (!is_named(&head->fields[i], STR("Trailer")))
			continue;
		while (seen < ANNOUNCED_MAX && http_list_next(&names, &trailer.name)) {
			seen++;
			if (!is_token(trailer.name) ||
			    !trailer_passes(response->trailers, &options, &trailer))
				continue;
			text_put(text, is_empty ? STR("Trailer: ") : STR(", "));
			text_put(text, trailer.name);
			is_empty = false;
		}
	}
	if (!is_empty)
		put_end(text);
}

static void put_response_framing(struct text *text, const struct write_response *response)
{
	const struct http_head *head = response->head;

	/* A response without content may tell how long it would be. RFC 9110, 8.6. */
	if (response->framing == HTTP_FRAMING_NONE && head->has_content_length &&
	    (response->request->method == HTTP_METHOD_HEAD || head->status == 304))
		put_framing(text, HTTP_FRAMING_LENGTH, head->content_length);
	else
		put_framing(text, response->framing, head->content_length);

	if (head->status == 101)
		put_upgrade(text, head);
	else if (!response->keep_alive)
		text_put(text, STR("Connection: close\r\n"));
	else if (response->request->minor == 0)
		text_put(text, STR("Connection: keep-alive\r\n"));
}

bool write_response_head(struct buf *out, const struct write_response *response)
{
	const struct http_head *head = response->head;
	struct text text = open_text(out);

	put_status_line(&text, head->status, head->reason);
	for (size_t i = 0; i < head->field_count; i++)
		if (!head->fields[i].hop_by_hop && !is_replaced(response, &head->fields[i]))
			put_field(&text, head->fields[i].name, head->fields[i].value);
	if (!http_head_find(head, STR("Date")))
		put_optional_field(&text, STR("Date"), response->date);
	put_optional_field(&text, response->app_url_name, response->app_url);
	put_optional_field(&text, response->attempts_name, response->attempts);
	put_optional_field(&text, response->request_id_name, response->request_id);
	put_announcement(&text, response);
	put_response_framing(&text, response);
	put_end(&text);
	return close_text(out, &text);
}

bool write_interim_head(struct buf *out, const struct write_response *response)
{
	const struct http_head *head = response->head;
	struct text text = open_text(out);

	put_status_line(&text, head->status, head->reason);
	for (size_t i = 0; i < head->field_count; i++)
		if (!head->fields[i].hop_by_hop && !is_replaced(response, &head->fields[i]))
			put_field(&text, head->fields[i].name, head->fields[i].value);
	put_end(&text);
	return close_text(out, &text);
}

/* The text between the values of the problem object. */
static const char problem_status[] = "{\"status\":";
static const char problem_title[] = ",\"title\":\"";
static const char problem_detail[] = "\",\"detail\":\"";
static const char problem_end[] = "\"}\n";

/* The answer to an OPTIONS that is not forwarded reports no problem. */
static bool is_problem(const struct write_error *error)
{
	return error->status != 200;
}

static size_t problem_length(const struct write_error *error)
{
	return sizeof(problem_status) + sizeof(problem_title) + sizeof(problem_detail) +
	       sizeof(problem_end) - 4 + 3 + write_reason(error->status).len +
	       text_escaped_length(error->detail, TEXT_JSON);
}

static void put_problem(struct text *text, const struct write_error *error)
{
	text_put(text, STR(problem_status));
	text_put_number(text, error->status);
	text_put(text, STR(problem_title));
	text_put(text, write_reason(error->status));
	text_put(text, STR(problem_detail));
	text_put_escaped(text, error->detail, TEXT_JSON, SIZE_MAX);
	text_put(text, STR(problem_end));
}

bool write_error_response(struct buf *out, const struct write_error *error)
{
	struct text text = open_text(out);

	assert(!is_problem(error) || (error->status >= 400 && error->status <= 599));
	put_status_line(&text, error->status, write_reason(error->status));
	put_optional_field(&text, STR("Date"), error->date);
	if (is_problem(error))
		text_put(&text, STR("Content-Type: application/problem+json\r\n"));
	put_number_field(
	    &text, STR("Content-Length"), is_problem(error) ? problem_length(error) : 0);
	if (error->status == 405 || error->status == 200)
		put_field(&text, STR("Allow"),
		    error->allow.len ? error->allow
				     : STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
	if (error->retry_after_s)
		put_number_field(&text, STR("Retry-After"), error->retry_after_s);
	if (error->proxy_error.len) {
		text_put(&text, STR("Proxy-Status: rondo; error="));
		text_put(&text, error->proxy_error);
		put_end(&text);
	}
	put_optional_field(&text, error->attempts_name, error->attempts);
	put_optional_field(&text, error->request_id_name, error->request_id);
	/* A client of HTTP/1.0 needs keep-alive; other clients ignore it. */
	text_put(&text,
	    error->keep_alive ? STR("Connection: keep-alive\r\n") : STR("Connection: close\r\n"));
	put_end(&text);
	if (is_problem(error) && !error->without_content)
		put_problem(&text, error);
	return close_text(out, &text);
}

size_t write_error_content_length(const struct write_error *error)
{
	return is_problem(error) && !error->without_content ? problem_length(error) : 0;
}

struct str write_reason(unsigned status)
{
	static const struct {
		unsigned status;
		struct str reason;
	} reasons[] = {
	    {100, {"Continue", 8}},
	    {101, {"Switching Protocols", 19}},
	    {102, {"Processing", 10}},
	    {103, {"Early Hints", 11}},
	    {200, {"OK", 2}},
	    {201, {"Created", 7}},
	    {202, {"Accepted", 8}},
	    {203, {"Non-Authoritative Information", 29}},
	    {204, {"No Content", 10}},
	    {205, {"Reset Content", 13}},
	    {206, {"Partial Content", 15}},
	    {207, {"Multi-Status", 12}},
	    {208, {"Already Reported", 16}},
	    {226, {"IM Used", 7}},
	    {300, {"Multiple Choices", 16}},
	    {301, {"Moved Permanently", 17}},
	    {302, {"Found", 5}},
	    {303, {"See Other", 9}},
	    {304, {"Not Modified", 12}},
	    {305, {"Use Proxy", 9}},
	    {307, {"Temporary Redirect", 18}},
	    {308, {"Permanent Redirect", 18}},
	    {400, {"Bad Request", 11}},
	    {401, {"Unauthorized", 12}},
	    {402, {"Payment Required", 16}},
	    {403, {"Forbidden", 9}},
	    {404, {"Not Found", 9}},
	    {405, {"Method Not Allowed", 18}},
	    {406, {"Not Acceptable", 14}},
	    {407, {"Proxy Authentication Required", 29}},
	    {408, {"Request Timeout", 15}},
	    {409, {"Conflict", 8}},
	    {410, {"Gone", 4}},
	    {411, {"Length Required", 15}},
	    {412, {"Precondition Failed", 19}},
	    {413, {"Content Too Large", 17}},
	    {414, {"URI Too Long", 12}},
	    {415, {"Unsupported Media Type", 22}},
	    {416, {"Range Not Satisfiable", 21}},
	    {417, {"Expectation Failed", 18}},
	    {421, {"Misdirected Request", 19}},
	    {422, {"Unprocessable Content", 21}},
	    {423, {"Locked", 6}},
	    {424, {"Failed Dependency", 17}},
	    {425, {"Too Early", 9}},
	    {426, {"Upgrade Required", 16}},
	    {428, {"Precondition Required", 21}},
	    {429, {"Too Many Requests", 17}},
	    {431, {"Request Header Fields Too Large", 31}},
	    {451, {"Unavailable For Legal Reasons", 29}},
	    {500, {"Internal Server Error", 21}},
	    {501, {"Not Implemented", 15}},
	    {502, {"Bad Gateway", 11}},
	    {503, {"Service Unavailable", 19}},
	    {504, {"Gateway Timeout", 15}},
	    {505, {"HTTP Version Not Supported", 26}},
	    {506, {"Variant Also Negotiates", 23}},
	    {507, {"Insufficient Storage", 20}},
	    {508, {"Loop Detected", 13}},
	    {510, {"Not Extended", 12}},
	    {511, {"Network Authentication Required", 31}},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return STR("Unknown");
}

static void put_digits(char *text, int value, size_t digits)
{
	while (digits--) {
		text[digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

struct str write_date(char text[static WRITE_DATE_SIZE], int64_t unix_seconds)
{
	static const int64_t last = 253402300799; /* of the year 9999 */
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = unix_seconds < 0 ? 0 : unix_seconds > last ? last : unix_seconds;
	struct tm date;

	memcpy(text, "Day, 00 Mon 0000 00:00:00 GMT", WRITE_DATE_SIZE);
	if (gmtime_r(&seconds, &date)) {
		memcpy(text, days + (ptrdiff_t)date.tm_wday * 3, 3);
		put_digits(text + 5, date.tm_mday, 2);
		memcpy(text + 8, months + (ptrdiff_t)date.tm_mon * 3, 3);
		put_digits(text + 12, date.tm_year + 1900, 4);
		put_digits(text + 17, date.tm_hour, 2);
		put_digits(text + 20, date.tm_min, 2);
		put_digits(text + 23, date.tm_sec, 2);
	}
	return (struct str){text, WRITE_DATE_SIZE - 1};
}

bool write_last_chunk(struct buf *out, struct str section, const struct write_trailers *trailers)
{
	struct text text = open_text(out);
	struct connection_options options = {.count = 0};
	struct http_field trailer;

	text_put(&text, STR("0\r\n"));
	if (trailers && section.len > 0) {
		collect_options(trailers->head, &options);
		while (http_next_field(&section, &trailer))
			if (trailer_passes(trailers, &options, &trailer))
				put_field(&text, trailer.name, trailer.value);
	}
	put_end(&text);
	return close_text(out, &text);
}
