#include "http/parse.h"

#include "http/upgrade.h"

#include <assert.h>
#include <llhttp.h>

/* In loose mode llhttp 8.x ends lines at a bare CR (CVE-2023-30589). */
#if LLHTTP_VERSION_MAJOR < 9
#if !LLHTTP_STRICT_MODE
#error "llhttp 8 must be compiled, and included, with -DLLHTTP_STRICT_MODE=1"
#endif
#endif

#define TEXT(x)    #x
#define VERSION(x) TEXT(x)

/* The state that the callbacks of one llhttp run share. */
struct recorder {
	struct http_head *head;
	bool in_name;  /* the last field's name is not complete */
	bool complete; /* llhttp has seen the end of the head */
};

/* llhttp may report a token in several pieces, which are adjacent in memory. */
static int join(struct str *piece, const char *at, size_t len)
{
	if (!piece->data)
		piece->data = at;
	else if (piece->data + piece->len != at)
		return HPE_USER;
	piece->len += len;
	return HPE_OK;
}

static struct recorder *recorder_of(llhttp_t *parser)
{
	return parser->data;
}

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
	return join(&recorder_of(parser)->head->target, at, len);
}

static int on_reason(llhttp_t *parser, const char *at, size_t len)
{
	return join(&recorder_of(parser)->head->reason, at, len);
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
	struct recorder *recorder = recorder_of(parser);
	struct http_head *head = recorder->head;

	if (!recorder->in_name) {
		if (head->field_count == head->field_limit)
			return HPE_USER;
		head->fields[head->field_count++] = (struct http_field){.hop_by_hop = false};
		recorder->in_name = true;
	}
	return join(&head->fields[head->field_count - 1].name, at, len);
}

static int on_name_complete(llhttp_t *parser)
{
	recorder_of(parser)->in_name = false;
	return HPE_OK;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
	struct http_head *head = recorder_of(parser)->head;

	return join(&head->fields[head->field_count - 1].value, at, len);
}

/* Stop llhttp here: it never reads content. */
static int on_head_complete(llhttp_t *parser)
{
	recorder_of(parser)->complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_target,
    .on_status = on_reason,
    .on_header_field = on_name,
    .on_header_field_complete = on_name_complete,
    .on_header_value = on_value,
    .on_headers_complete = on_head_complete,
};

void parse_init(struct parse *parse, enum guard_kind kind)
{
	guard_init(&parse->guard, kind);
	parse->scanned = 0;
	parse->fault = HTTP_FAULT_NONE;
}

static enum parse_result bad(struct parse *parse, enum http_fault fault)
{
	parse->fault = fault;
	return PARSE_BAD;
}

/* Version 1 of the PROXY protocol looks like a request line until the version is missing. */
static bool is_proxy_header(const struct guard *guard, struct str bytes)
{
	static const struct str begins[] = {
	    {"PROXY TCP4 ", 11}, {"PROXY TCP6 ", 11}, {"PROXY UNKNOWN", 13}};

	if (guard->kind != GUARD_REQUEST)
		return false;
	for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++)
		if (str_starts_with(bytes, begins[i]))
			return true;
	return false;
}

/* Passes new bytes to the guard, and drops empty lines before the head. */
static enum parse_result scan(struct parse *parse, const struct http_limits *limits, struct buf *in)
{
	size_t skipped = parse->guard.skipped;
	size_t used;

	if (buf_len(in) <= parse->scanned)
		return PARSE_MORE;

	enum guard_result result = guard_scan(&parse->guard, limits,
	    in->data + in->begin + parse->scanned, buf_len(in) - parse->scanned, &used);

	skipped = parse->guard.skipped - skipped;
	buf_consume(in, skipped);
	parse->scanned += used - skipped;
	switch (result) {
	case GUARD_MORE:
		return PARSE_MORE;
	case GUARD_DONE:
		return PARSE_DONE;
	case GUARD_BAD:
		break;
	}
	return bad(parse, is_proxy_header(&parse->guard, buf_content(in)) ? HTTP_FAULT_PROXY_HEADER
									  : parse->guard.fault);
}

static enum http_method method_of(struct str text)
{
	static const struct {
		struct str text;
		enum http_method method;
	} methods[] = {
	    {{"GET", 3}, HTTP_METHOD_GET},
	    {{"POST", 4}, HTTP_METHOD_POST},
	    {{"HEAD", 4}, HTTP_METHOD_HEAD},
	    {{"PUT", 3}, HTTP_METHOD_PUT},
	    {{"DELETE", 6}, HTTP_METHOD_DELETE},
	    {{"OPTIONS", 7}, HTTP_METHOD_OPTIONS},
	    {{"CONNECT", 7}, HTTP_METHOD_CONNECT},
	    {{"TRACE", 5}, HTTP_METHOD_TRACE},
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (str_equals(methods[i].text, text))
			return methods[i].method;
	return HTTP_METHOD_OTHER;
}

static struct str head_bytes(const struct parse *parse, const struct buf *in)
{
	return (struct str){in->data + in->begin, parse->guard.length};
}

/* Splits the head without llhttp. The guard has checked every byte. */
static void split(const struct parse *parse, const struct buf *in, struct http_head *head)
{
	const struct guard *guard = &parse->guard;
	struct str bytes = head_bytes(parse, in);
	struct str line = str_split(&bytes, '\n');

	if (line.data[line.len - 1] == '\r')
		line.len--;
	http_head_reset(head);
	head->length = guard->length;
	if (guard->kind == GUARD_REQUEST) {
		head->method_text = (struct str){line.data, guard->method_length};
		head->target =
		    (struct str){line.data + guard->method_length + 1, guard->target_length};
		head->minor = (unsigned)(line.data[line.len - 1] - '0');
	} else {
		head->minor = (unsigned)(line.data[7] - '0');
		str_split(&line, ' ');
		str_split(&line, ' ');
		head->reason = line;
	}
	while (http_next_field(&bytes, &head->fields[head->field_count]))
		head->field_count++;
}

/* The methods that llhttp knows depend on its version. Any other one is replaced for it: rondo has
 * no special rule for them. */
static llhttp_errno_t execute(llhttp_t *parser, const struct http_head *head, struct str bytes)
{
	static const struct str known = {"POST ", 5};
	llhttp_errno_t error = HPE_OK;

	if (parser->type == HTTP_REQUEST && head->method == HTTP_METHOD_OTHER) {
		error = llhttp_execute(parser, known.data, known.len);
		bytes.data += head->method_text.len + 1;
		bytes.len -= head->method_text.len + 1;
	}
	return error == HPE_OK ? llhttp_execute(parser, bytes.data, bytes.len) : error;
}

/* What llhttp says of the head at the front of `in`; HPE_OK: it found the same lines as the
 * guard. */
static llhttp_errno_t record(
    const struct parse *parse, llhttp_t *parser, const struct buf *in, struct http_head *head)
{
	const struct guard *guard = &parse->guard;
	struct recorder recorder = {.head = head};
	struct str bytes = head_bytes(parse, in);
	llhttp_errno_t error;

	if (guard->kind == GUARD_REQUEST) {
		head->method_text = (struct str){bytes.data, guard->method_length};
		head->method = method_of(head->method_text);
	}
	llhttp_init(parser, guard->kind == GUARD_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	if (guard->has_controls)
		llhttp_set_lenient_headers(parser, 1);
	parser->data = &recorder;
	error = execute(parser, head, bytes);
	parser->data = NULL; /* it outlives the recorder */
	if (!recorder.complete)
		return error == HPE_OK ? HPE_INTERNAL : error;

	for (size_t i = 0; i < head->field_count; i++)
		head->fields[i].value = str_trim(head->fields[i].value);
	head->minor = parser->http_minor;
	head->length = bytes.len;

	/* Both must have seen the same bytes as start line and fields. */
	if (error != HPE_PAUSED || llhttp_get_error_pos(parser) != bytes.data + bytes.len ||
	    parser->http_major != 1 || head->field_count != guard->fields ||
	    head->target.len != guard->target_length)
		return HPE_INTERNAL;
	return HPE_OK;
}

/* Does llhttp find the same framing? Without content there is nothing to compare. */
static bool agrees(const llhttp_t *parser, const struct http_head *head)
{
	bool chunked = parser->flags & F_CHUNKED;
	bool counted = parser->flags & F_CONTENT_LENGTH;

	if (head->framing != HTTP_FRAMING_NONE || parser->type == HTTP_REQUEST)
		if (chunked != (head->framing == HTTP_FRAMING_CHUNKED) ||
		    counted != head->has_content_length)
			return false;
	return !head->has_content_length ||
	       (counted && parser->content_length == head->content_length);
}

/* May bytes behind this request be taken for the next one, although it is refused? */
static bool is_framed(enum http_fault fault, const struct http_head *head)
{
	return fault == HTTP_FAULT_NONE || fault == HTTP_FAULT_EXPECTATION ||
	       (fault == HTTP_FAULT_METHOD_FORBIDDEN && head->method != HTTP_METHOD_CONNECT);
}

enum parse_result parse_request(
    struct parse *parse, const struct http_limits *limits, struct buf *in, struct http_head *head)
{
	enum parse_result result;
	enum http_fault fault;
	llhttp_errno_t error;
	llhttp_t parser;

	assert(parse->guard.kind == GUARD_REQUEST && head->field_limit >= limits->headers);
	http_head_reset(head);
	result = scan(parse, limits, in);
	if (result != PARSE_DONE)
		return result;

	error = record(parse, &parser, in, head);
	if (error != HPE_OK) {
		split(parse, in, head);
		head->method = method_of(head->method_text);
	}
	fault = http_head_classify_request(head);
	if (!is_framed(fault, head))
		return bad(parse, fault);
	if (error == HPE_INVALID_URL)
		return bad(parse, HTTP_FAULT_TARGET_FORM);
	if (error != HPE_OK || !agrees(&parser, head))
		return bad(parse, HTTP_FAULT_DISAGREEMENT);
	return fault == HTTP_FAULT_NONE ? PARSE_DONE : bad(parse, fault);
}

/* The three digits behind "HTTP/1.1 ", which the guard has seen to be digits. */
static unsigned status_of(const char *line)
{
	return (unsigned)(line[9] - '0') * 100 + (unsigned)(line[10] - '0') * 10 +
	       (unsigned)(line[11] - '0');
}

/* llhttp is not asked about lines that end in LF, of which its versions think differently. It
 * refuses a length that is there twice, which is sound where both are the same. */
static enum http_fault read_response(const struct parse *parse, const struct buf *in,
    const struct http_head *request, struct http_head *head)
{
	bool is_asked = !parse->guard.has_bare_lf;
	llhttp_errno_t error = HPE_OK;
	enum http_fault fault;
	llhttp_t parser;

	if (is_asked)
		error = record(parse, &parser, in, head);
	if (!is_asked || error != HPE_OK)
		split(parse, in, head);
	head->status = status_of(in->data + in->begin);
	fault = http_head_classify_response(head, request);
	if (fault != HTTP_FAULT_NONE || !is_asked || error == HPE_INVALID_CONTENT_LENGTH ||
	    error == HPE_UNEXPECTED_CONTENT_LENGTH)
		return fault;
	return error == HPE_OK && parser.status_code == head->status && agrees(&parser, head)
		   ? HTTP_FAULT_NONE
		   : HTTP_FAULT_DISAGREEMENT;
}

enum parse_result parse_response(struct parse *parse, const struct parse_response_rules *rules,
    struct buf *in, struct http_head *head)
{
	enum parse_result result;
	enum http_fault fault;

	assert(parse->guard.kind == GUARD_RESPONSE && head->field_limit >= rules->limits.headers);
	http_head_reset(head);
	result = scan(parse, &rules->limits, in);
	if (result != PARSE_DONE)
		return result;
	fault = read_response(parse, in, rules->request, head);
	if (fault == HTTP_FAULT_NONE && head->status == 101 &&
	    !http_upgrade_is_granted(head, rules->request))
		fault = rules->request->upgrades ? HTTP_FAULT_UPGRADE_OTHER
						 : HTTP_FAULT_UPGRADE_UNASKED;
	return fault == HTTP_FAULT_NONE ? PARSE_DONE : bad(parse, fault);
}

void parse_peek(const struct parse *parse, const struct buf *in, struct http_head *head)
{
	const struct guard *guard = &parse->guard;
	const char *line;

	if (!in->data || guard->kind != GUARD_REQUEST)
		return;
	line = in->data + in->begin;
	head->method_text = (struct str){line, guard->method_length};
	if (guard->target_length > 0)
		head->target = (struct str){line + guard->method_length + 1, guard->target_length};
}

const char *parse_llhttp_version(void)
{
	return VERSION(LLHTTP_VERSION_MAJOR) "." VERSION(LLHTTP_VERSION_MINOR) "." VERSION(
	    LLHTTP_VERSION_PATCH);
}
