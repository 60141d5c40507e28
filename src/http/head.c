#include "http/head.h"

#include "event/net.h"

#include <string.h>

unsigned http_fault_status(enum http_fault fault)
{
	switch (fault) {
	case HTTP_FAULT_NONE:
		return 200;
	case HTTP_FAULT_VERSION:
		return 505;
	case HTTP_FAULT_METHOD_UNKNOWN:
		return 501;
	case HTTP_FAULT_METHOD_FORBIDDEN:
		return 405;
	case HTTP_FAULT_TARGET_TOO_LONG:
		return 414;
	case HTTP_FAULT_HEAD_TOO_LARGE:
		return 431;
	case HTTP_FAULT_CONTENT_TOO_LARGE:
		return 413;
	case HTTP_FAULT_EXPECTATION:
		return 417;
	case HTTP_FAULT_SYNTAX:
	case HTTP_FAULT_FRAMING:
	case HTTP_FAULT_HOST:
	case HTTP_FAULT_TARGET:
	case HTTP_FAULT_DISAGREEMENT:
		return 400;
	}
	return 400;
}

const char *http_fault_text(enum http_fault fault)
{
	switch (fault) {
	case HTTP_FAULT_NONE:
		return "Nothing is wrong with it.";
	case HTTP_FAULT_SYNTAX:
		return "The message head is not valid HTTP/1.1.";
	case HTTP_FAULT_VERSION:
		return "Only HTTP/1.0 and HTTP/1.1 are supported.";
	case HTTP_FAULT_METHOD_UNKNOWN:
		return "The request method is not supported.";
	case HTTP_FAULT_METHOD_FORBIDDEN:
		return "The request method is not allowed.";
	case HTTP_FAULT_TARGET_TOO_LONG:
		return "The request target is longer than allowed.";
	case HTTP_FAULT_HEAD_TOO_LARGE:
		return "The header fields are too large or too many.";
	case HTTP_FAULT_CONTENT_TOO_LARGE:
		return "The content is larger than allowed.";
	case HTTP_FAULT_FRAMING:
		return "Content-Length and Transfer-Encoding do not define the end of the message.";
	case HTTP_FAULT_HOST:
		return "The Host field is missing, repeated or not valid.";
	case HTTP_FAULT_TARGET:
		return "The request target has a form that the method does not allow.";
	case HTTP_FAULT_EXPECTATION:
		return "The only supported expectation is 100-continue.";
	case HTTP_FAULT_DISAGREEMENT:
		return "The message head can be read in more than one way.";
	}
	return "The message head is not valid HTTP/1.1.";
}

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

int http_hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
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
	struct str host, length, coding;
	bool closes, keeps_alive, names_upgrade;
	bool names_fields; /* Connection has other options than the usual ones */
	bool takes_trailers;
	bool expects_continue, expects_other;
};

static void find_expectation(struct findings *found, struct http_field *field, unsigned minor)
{
	if (minor == 0) {
		/* HTTP/1.0 ignores it, and the request to the backend is HTTP/1.1. RFC 9110,
		 * 10.1.1. */
		field->hop_by_hop = true;
	} else if (!str_equals_nocase(field->value, STR("100-continue"))) {
		found->expects_other = true;
	} else {
		field->hop_by_hop = found->expects_continue;
		found->expects_continue = true;
	}
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
		found->lengths++;
		found->length = field->value;
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

/* The rules for both directions: at most one of the two fields, once, and well-formed. HTTP/1.0 has
 * no codings: other recipients may have read on to the end of the stream. RFC 9112, 6 and 6.1. */
static bool framing_is_sound(const struct findings *found, unsigned minor, uint64_t *length)
{
	if (found->lengths + found->codings > 1 || (found->codings && minor == 0))
		return false;
	if (found->lengths)
		return str_to_number(found->length, length);
	return !found->codings || str_equals_nocase(found->coding, STR("chunked"));
}

/* Up to five digits, leading zeros and none at all included. RFC 3986, 3.2.3. */
static bool is_port(struct str text)
{
	unsigned port = 0;

	if (text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text.data[i] - '0');
	}
	return port <= 65535;
}

/* "%41" and the like; a name must not decode to a control byte or a space. */
static bool is_percent_encoded(struct str s)
{
	if (s.len < 3 || http_hex_digit(s.data[1]) < 0 || http_hex_digit(s.data[2]) < 0)
		return false;

	int byte = http_hex_digit(s.data[1]) * 16 + http_hex_digit(s.data[2]);

	return byte > 0x20 && byte != 0x7f;
}

/* clang-format off */
/* The bytes of a label: unreserved and sub-delims without the comma. RFC 3986, 2. */
static const bool is_label_byte[256] = {
	['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true,
	['-'] = true, ['_'] = true, ['~'] = true,
	['!'] = true, ['$'] = true, ['&' ... '+'] = true, [';'] = true, ['='] = true,
};
/* clang-format on */

/* The number of bytes at the front that belong to a label; "%41" counts as three. */
static size_t label_length(struct str name)
{
	size_t n = 0;

	for (;;) {
		while (n < name.len && is_label_byte[(unsigned char)name.data[n]])
			n++;
		if (n == name.len || name.data[n] != '%' ||
		    !is_percent_encoded((struct str){name.data + n, name.len - n}))
			return n;
		n += 3;
	}
}

/* A name or IPv4 address as in RFC 3986, 3.2.2, but without commas and empty labels; one dot at the
 * end stands for the root of the domain names. */
static bool is_name(struct str name)
{
	do {
		size_t label = label_length(name);

		if (label == 0)
			return false;
		if (label == name.len)
			return true;
		if (name.data[label] != '.')
			return false;
		name.data += label + 1;
		name.len -= label + 1;
	} while (name.len);
	return true;
}

/* "host" or "host:port" and nothing else. RFC 9110, 7.2. */
static bool is_authority(struct str text)
{
	struct net_authority authority;
	struct net_addr addr;

	if (!net_authority_split(&authority, text) || !is_port(authority.port))
		return false;
	if (!authority.is_bracketed)
		return is_name(authority.host);
	return net_addr_from_ip(&addr, authority.host, 0) && addr.any.sa_family == AF_INET6;
}

/* Splits an absolute-form target. RFC 9112, 3.2.2. */
static bool split_absolute(struct http_head *head)
{
	static const char scheme[] = "http://";
	struct str rest = head->target;
	size_t end = 0;

	if (rest.len < sizeof(scheme) - 1 ||
	    !str_equals_nocase((struct str){rest.data, sizeof(scheme) - 1}, STR(scheme)))
		return false;
	rest.data += sizeof(scheme) - 1;
	rest.len -= sizeof(scheme) - 1;
	while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?')
		end++;

	head->host = (struct str){rest.data, end};
	head->path = (struct str){rest.data + end, rest.len - end};
	if (!head->path.len) /* RFC 9112, 3.2.4 */
		head->path = head->method == HTTP_METHOD_OPTIONS ? STR("*") : STR("/");
	return is_authority(head->host);
}

static bool split_target(struct http_head *head)
{
	struct str target = head->target;

	if (!target.len || str_find(target, '#') < target.len)
		return false;
	if (target.data[0] != '/' && !str_equals(target, STR("*")))
		return split_absolute(head);
	head->path = target;
	return target.data[0] == '/' || head->method == HTTP_METHOD_OPTIONS;
}

/* The authority of an absolute-form target overrides Host, but Host must be valid too. */
static enum http_fault settle_host(struct http_head *head, const struct findings *found)
{
	if (found->hosts > 1 || (found->hosts == 0 && head->minor == 1))
		return HTTP_FAULT_HOST;
	if (found->hosts && !is_authority(found->host))
		return HTTP_FAULT_HOST;
	head->host = found->host;
	return split_target(head) ? HTTP_FAULT_NONE : HTTP_FAULT_TARGET;
}

enum http_fault http_head_classify_request(struct http_head *head)
{
	struct findings found;

	if (!find_all(&found, head))
		return HTTP_FAULT_HEAD_TOO_LARGE;
	if (!framing_is_sound(&found, head->minor, &head->content_length))
		return HTTP_FAULT_FRAMING;
	head->has_content_length = found.lengths > 0;
	head->framing = found.codings   ? HTTP_FRAMING_CHUNKED
			: found.lengths ? HTTP_FRAMING_LENGTH
					: HTTP_FRAMING_NONE;
	/* Its target has another form. */
	if (head->method == HTTP_METHOD_CONNECT)
		return HTTP_FAULT_METHOD_FORBIDDEN;

	enum http_fault fault = settle_host(head, &found);

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
	uint64_t length = 0;

	if (!find_all(&found, head))
		return HTTP_FAULT_HEAD_TOO_LARGE;
	if (!framing_is_sound(&found, head->minor, &length))
		return HTTP_FAULT_FRAMING;
	head->offers_upgrade = head->minor == 1 && found.names_upgrade && found.upgrades == 1;

	/* In this order: RFC 9112, 6.3. */
	if (head->status < 200 || head->status == 204) {
		head->framing = HTTP_FRAMING_NONE;
		head->may_be_followed = found.codings > 0 || length > 0;
		return HTTP_FAULT_NONE;
	}
	head->has_content_length = found.lengths > 0;
	head->content_length = length;
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
