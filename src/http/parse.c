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

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
	return join(&recorder_of(parser)->head->method_text, at, len);
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
    .on_method = on_method,
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
	return bad(parse, parse->guard.fault);
}

/* The fault for an error of llhttp in a head that the guard accepted. */
static enum http_fault fault_of(llhttp_errno_t error)
{
	/* Not all versions have the same errors. */
	if (error == HPE_INVALID_METHOD)
		return HTTP_FAULT_METHOD_UNKNOWN;
	if (error == HPE_INVALID_CONSTANT) /* a method of another protocol */
		return HTTP_FAULT_METHOD_UNKNOWN;
	if (error == HPE_INVALID_URL)
		return HTTP_FAULT_TARGET;
	if (error == HPE_INVALID_CONTENT_LENGTH || error == HPE_UNEXPECTED_CONTENT_LENGTH ||
	    error == HPE_INVALID_TRANSFER_ENCODING)
		return HTTP_FAULT_FRAMING;
	return HTTP_FAULT_SYNTAX;
}

/* Runs llhttp over the head at the front of `in`. */
static enum http_fault record(
    const struct parse *parse, llhttp_t *parser, const struct buf *in, struct http_head *head)
{
	struct recorder recorder = {.head = head};
	struct str bytes = {in->data + in->begin, parse->guard.length};
	llhttp_errno_t error;

	llhttp_init(
	    parser, parse->guard.kind == GUARD_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	parser->data = &recorder;
	error = llhttp_execute(parser, bytes.data, bytes.len);
	parser->data = NULL; /* it outlives the recorder */
	if (!recorder.complete)
		return error == HPE_OK ? HTTP_FAULT_DISAGREEMENT : fault_of(error);

	for (size_t i = 0; i < head->field_count; i++)
		head->fields[i].value = str_trim(head->fields[i].value);
	head->minor = parser->http_minor;
	head->length = bytes.len;

	/* Both must have seen the same bytes as start line and fields. */
	if (error != HPE_PAUSED || llhttp_get_error_pos(parser) != bytes.data + bytes.len ||
	    parser->http_major != 1 || head->field_count != parse->guard.fields ||
	    head->target.len != parse->guard.target_length)
		return HTTP_FAULT_DISAGREEMENT;
	return HTTP_FAULT_NONE;
}

static enum http_method method_of(const llhttp_t *parser)
{
	static const struct {
		unsigned char theirs;
		enum http_method ours;
	} methods[] = {
	    {HTTP_GET, HTTP_METHOD_GET},
	    {HTTP_HEAD, HTTP_METHOD_HEAD},
	    {HTTP_OPTIONS, HTTP_METHOD_OPTIONS},
	    {HTTP_TRACE, HTTP_METHOD_TRACE},
	    {HTTP_PUT, HTTP_METHOD_PUT},
	    {HTTP_DELETE, HTTP_METHOD_DELETE},
	    {HTTP_POST, HTTP_METHOD_POST},
	    {HTTP_CONNECT, HTTP_METHOD_CONNECT},
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (methods[i].theirs == parser->method)
			return methods[i].ours;
	return HTTP_METHOD_OTHER;
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
	llhttp_t parser;

	assert(parse->guard.kind == GUARD_REQUEST && head->field_limit >= limits->headers);
	http_head_reset(head);
	result = scan(parse, limits, in);
	if (result != PARSE_DONE)
		return result;

	fault = record(parse, &parser, in, head);
	if (fault == HTTP_FAULT_NONE) {
		head->method = method_of(&parser);
		fault = http_head_classify_request(head);
	}
	if (is_framed(fault, head) && !agrees(&parser, head))
		fault = HTTP_FAULT_DISAGREEMENT;
	return fault == HTTP_FAULT_NONE ? PARSE_DONE : bad(parse, fault);
}

/* The three digits behind "HTTP/1.1 ", which the guard has seen to be digits. */
static unsigned status_of(const char *line)
{
	return (unsigned)(line[9] - '0') * 100 + (unsigned)(line[10] - '0') * 10 +
	       (unsigned)(line[11] - '0');
}

enum parse_result parse_response(struct parse *parse, const struct parse_response_rules *rules,
    struct buf *in, struct http_head *head)
{
	enum parse_result result;
	enum http_fault fault;
	llhttp_t parser;

	assert(parse->guard.kind == GUARD_RESPONSE && head->field_limit >= rules->limits.headers);
	http_head_reset(head);
	result = scan(parse, &rules->limits, in);
	if (result != PARSE_DONE)
		return result;

	fault = record(parse, &parser, in, head);
	if (fault == HTTP_FAULT_NONE) {
		head->status = status_of(in->data + in->begin);
		fault = http_head_classify_response(head, rules->request);
	}
	if (fault == HTTP_FAULT_NONE && head->status == 101 &&
	    !http_upgrade_is_granted(head, rules->request))
		fault = HTTP_FAULT_SYNTAX;
	if (fault == HTTP_FAULT_NONE &&
	    (parser.status_code != head->status || !agrees(&parser, head)))
		fault = HTTP_FAULT_DISAGREEMENT;
	return fault == HTTP_FAULT_NONE ? PARSE_DONE : bad(parse, fault);
}

const char *parse_llhttp_version(void)
{
	return VERSION(LLHTTP_VERSION_MAJOR) "." VERSION(LLHTTP_VERSION_MINOR) "." VERSION(
	    LLHTTP_VERSION_PATCH);
}
