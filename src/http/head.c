#include "http/head.h"

#include "http/host.h"

#include <string.h>

void http_head_reset(struct http_head *head)
{
	struct http_field *fields = head->fields;
	size_t limit = head->field_limit;

	memset(head, 0, sizeof(*head));
	head->fields = fields;
	head->field_limit = limit;
}

/* A larger number of hops is reported as this one. */
enum { HOPS_MAX = 1000000 };

bool http_head_hops_left(
    const struct http_head *head, const struct http_field *field, uint64_t *hops)
{
	if (head->method != HTTP_METHOD_OPTIONS || field->value.len == 0 ||
	    !str_equals_nocase(field->name, STR("Max-Forwards")))
		return false;
	*hops = 0;
	for (size_t i = 0; i < field->value.len; i++) {
		char digit = field->value.data[i];

		if (digit < '0' || digit > '9')
			return false;
		*hops = *hops < HOPS_MAX / 10 ? *hops * 10 + (uint64_t)(digit - '0') : HOPS_MAX;
	}
	return true;
}

bool http_head_ends_here(const struct http_head *head)
{
	uint64_t hops;

	if (head->method != HTTP_METHOD_OPTIONS)
		return false;
	for (size_t i = 0; i < head->field_count; i++)
		if (http_head_hops_left(head, &head->fields[i], &hops) && hops == 0)
			return true;
	return false;
}

const struct http_field *http_head_find(const struct http_head *head, struct str name)
{
	for (size_t i = 0; i < head->field_count; i++)
		if (str_equals_nocase(head->fields[i].name, name))
			return &head->fields[i];
	return NULL;
}

bool http_next_field(struct str *lines, struct http_field *field)
{
	size_t end = str_find(*lines, '\n');
	struct str line = {lines->data, end};

	if (end == lines->len)
		return false;
	lines->data += end + 1;
	lines->len -= end + 1;
	if (end > 0 && line.data[end - 1] == '\r')
		line.len--;
	if (!line.len)
		return false;
	*field = (struct http_field){.name = str_split(&line, ':')};
	field->value = str_trim(line);
	return true;
}

bool http_list_next(struct str *list, struct str *element)
{
	while (list->data) {
		*element = str_trim(str_split(list, ','));
		if (element->len)
			return true;
	}
	return false;
}

bool http_list_has(struct str list, struct str token)
{
	struct str element;

	while (http_list_next(&list, &element))
		if (str_equals_nocase(element, token))
			return true;
	return false;
}

bool http_is_token_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

/* The fields that control a message, and those that Connection can or cannot remove. */
enum field_kind {
	FIELD_OTHER,
	FIELD_CONNECTION,
	FIELD_CONTENT_LENGTH,
	FIELD_EXPECT,
	FIELD_HOST,
	FIELD_TE,
	FIELD_TRANSFER_ENCODING,
	FIELD_UPGRADE,
	FIELD_HOP,  /* always belongs to one connection */
	FIELD_KEPT, /* Connection cannot remove it: rondo sets or extends it */
};

enum { KNOWN_LENGTH_MAX = 19 };

/* Ordered by the length of their names: most names have a length that none or only one of these
 * has. */
static const struct known_field {
	struct str name;
	enum field_kind kind;
} known_fields[KNOWN_LENGTH_MAX + 1][2] = {
    [2] = {{{"TE", 2}, FIELD_TE}},
    [3] = {{{"Via", 3}, FIELD_KEPT}},
    [4] = {{{"Host", 4}, FIELD_HOST}, {{"Date", 4}, FIELD_KEPT}},
    [6] = {{{"Expect", 6}, FIELD_EXPECT}},
    [7] = {{{"Upgrade", 7}, FIELD_UPGRADE}, {{"Trailer", 7}, FIELD_HOP}},
    [9] = {{{"Forwarded", 9}, FIELD_KEPT}},
    [10] = {{{"Connection", 10}, FIELD_CONNECTION}, {{"Keep-Alive", 10}, FIELD_HOP}},
    [14] = {{{"Content-Length", 14}, FIELD_CONTENT_LENGTH}},
    [15] = {{{"X-Forwarded-For", 15}, FIELD_KEPT}},
    [16] = {{{"Proxy-Connection", 16}, FIELD_HOP}, {{"X-Forwarded-Host", 16}, FIELD_KEPT}},
    [17] = {{{"Transfer-Encoding", 17}, FIELD_TRANSFER_ENCODING},
	{{"X-Forwarded-Proto", 17}, FIELD_KEPT}},
    [18] = {{{"Proxy-Authenticate", 18}, FIELD_HOP}},
    [19] = {{{"Proxy-Authorization", 19}, FIELD_HOP}},
};

static enum field_kind kind_of(struct str name)
{
	if (name.len > KNOWN_LENGTH_MAX)
		return FIELD_OTHER;
	for (size_t i = 0; i < 2; i++) {
		const struct known_field *known = &known_fields[name.len][i];

		if (known->name.len > 0 && str_equals_nocase(known->name, name))
			return known->kind;
	}
	return FIELD_OTHER;
}

/* The results of one pass over the fields. */
struct findings {
	unsigned hosts, lengths, codings, upgrades, options;
	struct str host, coding;
	uint64_t length;
	bool lengths_differ, length_is_no_number;
	bool closes, keeps_alive, names_upgrade;
	bool names_fields; /* Connection has other options than the usual ones */
	bool takes_trailers;
	bool expects_continue, expects_other;
};

/* What goes on to the backend is "100-continue", once. */
static void find_expectation(struct findings *found, struct http_field *field, unsigned minor)
{
	struct str list = field->value;
	struct str expectation;

	field->hop_by_hop = true;
	/* HTTP/1.0 ignores it, and the request to the backend is HTTP/1.1. RFC 9110, 10.1.1. */
	while (minor > 0 && http_list_next(&list, &expectation)) {
		if (!str_equals_nocase(expectation, STR("100-continue"))) {
			found->expects_other = true;
		} else if (!found->expects_continue) {
			found->expects_continue = true;
			field->hop_by_hop = false;
			field->value = STR("100-continue");
		}
	}
}

/* Digits in any number, up to the largest length. RFC 9110, 8.6. */
static bool read_length(struct str text, uint64_t *length)
{
	while (text.len > 1 && text.data[0] == '0') {
		text.data++;
		text.len--;
	}
	return str_to_number(text, length);
}

static void note_length(struct findings *found, uint64_t length)
{
	found->lengths_differ |= found->lengths > 0 && length != found->length;
	found->length = length;
	found->lengths++;
}

/* A list counts as often as it has elements, empty ones included. */
static void find_length(struct findings *found, struct str list)
{
	uint64_t length = 0;

	if (read_length(list, &length)) {
		note_length(found, length);
		return;
	}
	do {
		if (!read_length(str_trim(str_split(&list, ',')), &length))
			found->length_is_no_number = true;
		note_length(found, length);
	} while (list.data);
}

static void find_options(struct findings *found, struct str options)
{
	struct str option;

	while (found->options <= HTTP_OPTIONS_MAX && http_list_next(&options, &option)) {
		found->options++;
		if (str_equals_nocase(option, STR("close")))
			found->closes = true;
		else if (str_equals_nocase(option, STR("keep-alive")))
			found->keeps_alive = true;
		else if (str_equals_nocase(option, STR("upgrade")))
			found->names_upgrade = true;
		else if (!str_equals_nocase(option, STR("te")))
			found->names_fields = true;
	}
}

static void find_field(struct findings *found, struct http_field *field, unsigned minor)
{
	enum field_kind kind = kind_of(field->name);

	field->hop_by_hop = false;
	switch (kind) {
	case FIELD_OTHER:
	case FIELD_KEPT:
		return;
	case FIELD_HOST:
		found->hosts++;
		found->host = field->value;
		return;
	case FIELD_CONTENT_LENGTH:
		find_length(found, field->value);
		return;
	case FIELD_EXPECT:
		find_expectation(found, field, minor);
		return;
	case FIELD_CONNECTION:
		find_options(found, field->value);
		break;
	case FIELD_TE:
		found->takes_trailers |= http_list_has(field->value, STR("trailers"));
		break;
	case FIELD_TRANSFER_ENCODING:
		found->codings++;
		found->coding = field->value;
		break;
	case FIELD_UPGRADE:
		found->upgrades++;
		break;
	case FIELD_HOP:
		break;
	}
	field->hop_by_hop = true;
}

/* Marks the fields that Connection names, except those that it cannot remove. */
static void mark_named_fields(struct http_head *head, struct str options)
{
	struct str option;

	while (http_list_next(&options, &option)) {
		/* These options are not field names, even if a field has the same name. RFC 9112,
		 * 9.6. */
		if (str_equals_nocase(option, STR("close")) ||
		    str_equals_nocase(option, STR("keep-alive")))
			continue;
		for (size_t i = 0; i < head->field_count; i++) {
			struct http_field *field = &head->fields[i];

			if (!field->hop_by_hop && str_equals_nocase(field->name, option) &&
			    kind_of(field->name) == FIELD_OTHER)
				field->hop_by_hop = true;
		}
	}
}

/* False when there are too many options. */
static bool find_all(struct findings *found, struct http_head *head)
{
	memset(found, 0, sizeof(*found));
	for (size_t i = 0; i < head->field_count; i++)
		find_field(found, &head->fields[i], head->minor);
	head->keep_alive = !found->closes && (head->minor == 1 || found->keeps_alive);
	if (found->options > HTTP_OPTIONS_MAX)
		return false;
	for (size_t i = 0; found->names_fields && i < head->field_count; i++)
		if (str_equals_nocase(head->fields[i].name, STR("Connection")))
			mark_named_fields(head, head->fields[i].value);
	return true;
}

/* The rules for both directions: at most one of the two fields, and well-formed. RFC 9112, 6. */
static enum http_fault check_framing(const struct findings *found)
{
	if (found->codings > 1)
		return HTTP_FAULT_CODING_REPEATED;
	if (found->lengths && found->codings)
		return HTTP_FAULT_LENGTH_AND_CODING;
	if (found->length_is_no_number)
		return HTTP_FAULT_LENGTH;
	if (found->lengths_differ)
		return HTTP_FAULT_LENGTHS_DIFFER;
	return found->codings && !str_equals_nocase(found->coding, STR("chunked"))
		   ? HTTP_FAULT_CODING
		   : HTTP_FAULT_NONE;
}

/* HTTP/1.0 has no codings: others may have read a request on to the end of the stream. The lengths
 * of a request are one, since others may have taken either of two. RFC 9112, 6.1 and 6.3. */
static enum http_fault check_request_framing(const struct findings *found, unsigned minor)
{
	enum http_fault fault = check_framing(found);

	if (fault == HTTP_FAULT_NONE && found->codings && minor == 0)
		return HTTP_FAULT_CODING_OLD;
	return fault == HTTP_FAULT_NONE && found->lengths > 1 ? HTTP_FAULT_LENGTH_REPEATED : fault;
}

/* Takes the scheme off an absolute-form target; it says how the client reached whoever is in front
 * of rondo, and nothing about the backend. */
static bool skip_scheme(struct str *target)
{
	static const struct str schemes[] = {{"http://", 7}, {"https://", 8}};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t len = schemes[i].len;

		if (target->len < len ||
		    !str_equals_nocase((struct str){target->data, len}, schemes[i]))
			continue;
		target->data += len;
		target->len -= len;
		return true;
	}
	return false;
}

/* RFC 9112, 3.2.2. */
static enum http_fault split_absolute(struct http_head *head)
{
	struct str rest = head->target;
	size_t end = 0;

	if (!skip_scheme(&rest))
		return HTTP_FAULT_TARGET_FORM;
	while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?')
		end++;

	head->host = (struct str){rest.data, end};
	head->path = (struct str){rest.data + end, rest.len - end};
	if (!head->path.len) /* RFC 9112, 3.2.4 */
		head->path = head->method == HTTP_METHOD_OPTIONS ? STR("*") : STR("/");
	return http_host_is_valid(head->host) ? HTTP_FAULT_NONE : HTTP_FAULT_TARGET_AUTHORITY;
}

static enum http_fault split_target(struct http_head *head)
{
	struct str target = head->target;

	if (!target.len)
		return HTTP_FAULT_TARGET_FORM;
	if (str_find(target, '#') < target.len)
		return HTTP_FAULT_TARGET_FRAGMENT;
	if (target.data[0] != '/' && !str_equals(target, STR("*")))
		return split_absolute(head);
	head->path = target;
	return target.data[0] == '/' || head->method == HTTP_METHOD_OPTIONS
		   ? HTTP_FAULT_NONE
		   : HTTP_FAULT_TARGET_FORM;
}

/* The authority of an absolute-form target overrides Host, but Host must be valid too. An empty one
 * says that there is no name. RFC 9110, 7.2. */
static enum http_fault settle_host(struct http_head *head, const struct findings *found)
{
	enum http_fault fault;

	if (found->hosts == 0 && head->minor == 1)
		return HTTP_FAULT_HOST_MISSING;
	if (found->hosts > 1)
		return HTTP_FAULT_HOST_REPEATED;
	if (found->host.len && !http_host_is_valid(found->host))
		return HTTP_FAULT_HOST;
	head->host = found->host;
	fault = split_target(head);
	head->has_host = found->hosts > 0 || head->host.len > 0;
	return fault;
}

enum http_fault http_head_classify_request(struct http_head *head)
{
	struct findings found;
	enum http_fault fault;

	if (!find_all(&found, head))
		return HTTP_FAULT_OPTIONS;
	fault = check_request_framing(&found, head->minor);
	if (fault != HTTP_FAULT_NONE)
		return fault;
	head->has_content_length = found.lengths > 0;
	head->content_length = found.length;
	head->framing = found.codings   ? HTTP_FRAMING_CHUNKED
			: found.lengths ? HTTP_FRAMING_LENGTH
					: HTTP_FRAMING_NONE;
	/* Its target has another form. */
	if (head->method == HTTP_METHOD_CONNECT)
		return HTTP_FAULT_METHOD_FORBIDDEN;
	fault = settle_host(head, &found);
	if (fault != HTTP_FAULT_NONE)
		return fault;
	if (head->method == HTTP_METHOD_TRACE)
		return HTTP_FAULT_METHOD_FORBIDDEN;
	if (found.expects_other)
		return HTTP_FAULT_EXPECTATION;

	head->expects_continue = found.expects_continue;
	head->accepts_trailers = head->minor == 1 && found.takes_trailers;
	head->offers_upgrade =
	    head->minor == 1 && found.names_upgrade && found.upgrades > 0 && !found.codings;
	return HTTP_FAULT_NONE;
}

enum http_fault http_head_classify_response(struct http_head *head, const struct http_head *request)
{
	struct findings found;
	enum http_fault fault;

	if (!find_all(&found, head))
		return HTTP_FAULT_OPTIONS;
	fault = check_framing(&found);
	if (fault != HTTP_FAULT_NONE)
		return fault;
	head->offers_upgrade = head->minor == 1 && found.names_upgrade && found.upgrades == 1;
	/* HTTP/1.0 has no codings, so what follows the last chunk is in doubt. RFC 9112, 6.1. */
	if (found.codings && head->minor == 0)
		head->keep_alive = false;

	/* In this order: RFC 9112, 6.3. */
	if (head->status < 200 || head->status == 204) {
		head->framing = HTTP_FRAMING_NONE;
		head->may_be_followed = found.codings > 0 || found.length > 0;
		return HTTP_FAULT_NONE;
	}
	head->has_content_length = found.lengths > 0;
	head->content_length = found.length;
	if (request->method == HTTP_METHOD_HEAD || head->status == 304) {
		head->framing = HTTP_FRAMING_NONE;
		head->may_be_followed = found.codings > 0;
	} else if (found.codings) {
		head->framing = HTTP_FRAMING_CHUNKED;
	} else {
		head->framing = found.lengths ? HTTP_FRAMING_LENGTH : HTTP_FRAMING_CLOSE;
	}

	if (head->framing == HTTP_FRAMING_CLOSE)
		head->keep_alive = false;
	return HTTP_FAULT_NONE;
}

/* RFC 9110, 6.5.1: framing, routing, modifiers, authentication, response control, content
 * format. */
static const struct str barred_trailers[] = {
    {"Age", 3},
    {"Authentication-Info", 19},
    {"Authorization", 13},
    {"Cache-Control", 13},
    {"Content-Disposition", 19},
    {"Content-Encoding", 16},
    {"Content-Language", 16},
    {"Content-Location", 16},
    {"Content-Range", 13},
    {"Content-Type", 12},
    {"Cookie", 6},
    {"Expires", 7},
    {"Location", 8},
    {"Max-Forwards", 12},
    {"Pragma", 6},
    {"Proxy-Authentication-Info", 25},
    {"Proxy-Status", 12},
    {"Range", 5},
    {"Retry-After", 11},
    {"Set-Cookie", 10},
    {"Vary", 4},
    {"Warning", 7},
    {"WWW-Authenticate", 16},
};

bool http_trailer_is_allowed(struct str name)
{
	if (kind_of(name) != FIELD_OTHER)
		return false;
	for (size_t i = 0; i < sizeof(barred_trailers) / sizeof(*barred_trailers); i++)
		if (str_equals_nocase(barred_trailers[i], name))
			return false;
	return true;
}
