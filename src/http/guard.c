#include "http/guard.h"

#include <assert.h>
#include <endian.h>

/*
 * Classes of bytes, in an order in which the bytes of a name, of a target and of a value are each a
 * tail of the list: one look-up and one comparison show whether a byte continues a run.
 */
enum byte_class {
	NUL, /* nowhere */
	LF,
	CR,
	CTL, /* other control bytes, and DEL; from here to OBS only in values and reasons */
	TAB,
	SP,
	OBS, /* 0x80 and up */
	COLON,
	PRINT, /* printable, but not allowed in a token */
	TOKEN,
	ZERO,
	ONE, /* 1 to 9: a status begins with it */
	CLASS_COUNT
};

/* clang-format off */
static const unsigned char class_of[256] = {
	[1 ... 8] = CTL, [11 ... 12] = CTL, [14 ... 31] = CTL, [127] = CTL,
	['\n'] = LF, ['\r'] = CR, ['\t'] = TAB, [' '] = SP, [':'] = COLON,
	['!'] = TOKEN, ['"'] = PRINT, ['#' ... '\''] = TOKEN, ['(' ... ')'] = PRINT,
	['*' ... '+'] = TOKEN, [','] = PRINT, ['-' ... '.'] = TOKEN, ['/'] = PRINT,
	['0'] = ZERO, ['1' ... '9'] = ONE, [';' ... '@'] = PRINT,
	['A' ... 'Z'] = TOKEN, ['[' ... ']'] = PRINT, ['^' ... 'z'] = TOKEN,
	['{'] = PRINT, ['|'] = TOKEN, ['}'] = PRINT, ['~'] = TOKEN, [0x80 ... 0xff] = OBS,
};

enum state {
	BAD,
	START,	      /* the first byte of a start line, or of an empty line before it */
	EMPTY_LF,
	TLS,	      /* after the type of a TLS record */
	PROXY_V2,     /* a literal, not in the table */
	METHOD,
	TARGET_START,
	TARGET,
	VERSION,      /* a literal, not in the table */
	LINE_CR,      /* the request line is at its end */
	STATUS_SP,
	STATUS_1,
	STATUS_2,
	STATUS_3,
	STATUS_END,
	REASON,
	LINE_LF,      /* after the CR of a start line or field line */
	FIELD,	      /* the first byte of a line */
	NAME,
	VALUE_START,
	VALUE,
	LAST_LF,
	DONE,
	STATE_COUNT
};

#define NAMING(next)  [TOKEN] = (next), [ZERO] = (next), [ONE] = (next)
#define VISIBLE(next) [COLON] = (next), [PRINT] = (next), NAMING(next)
#define TEXT(next) \
	[CTL] = (next), [TAB] = (next), [SP] = (next), [OBS] = (next), VISIBLE(next)

/* All other pairs lead to BAD. */
static const unsigned char next_state[STATE_COUNT][CLASS_COUNT] = {
	[START] = {NAMING(METHOD)},
	[METHOD] = {[SP] = TARGET_START, NAMING(METHOD)},
	[TARGET_START] = {VISIBLE(TARGET)},
	[TARGET] = {[SP] = VERSION, VISIBLE(TARGET)},
	[LINE_CR] = {[CR] = LINE_LF},
	[STATUS_SP] = {[SP] = STATUS_1},
	[STATUS_1] = {[ONE] = STATUS_2},
	[STATUS_2] = {[ZERO] = STATUS_3, [ONE] = STATUS_3},
	[STATUS_3] = {[ZERO] = STATUS_END, [ONE] = STATUS_END},
	[STATUS_END] = {[CR] = LINE_LF, [SP] = REASON},
	[REASON] = {[CR] = LINE_LF, TEXT(REASON)},
	[LINE_LF] = {[LF] = FIELD},
	[FIELD] = {[CR] = LAST_LF, NAMING(NAME)},
	[NAME] = {[COLON] = VALUE_START, NAMING(NAME)},
	[VALUE_START] = {[CR] = LINE_LF, [CTL] = VALUE, [TAB] = VALUE_START,
			 [SP] = VALUE_START, [OBS] = VALUE, VISIBLE(VALUE)},
	[VALUE] = {[CR] = LINE_LF, TEXT(VALUE)},
	[LAST_LF] = {[LF] = DONE},
};

/* For each state, the lowest class of the bytes that do not change it. */
static const unsigned char run_of[STATE_COUNT] = {
	[METHOD] = TOKEN, [TARGET] = COLON, [REASON] = TAB, [NAME] = TOKEN, [VALUE] = TAB,
};
/* clang-format on */

/* No method that is in use is as long. RFC 9112, 3 asks for 501 for a longer one. */
enum { METHOD_MAX = 256 };

static const char version[] = "HTTP/1.";

/* What guard->matched says in VERSION once the major version turned out to be 2 or higher. */
enum { AHEAD_DOT = 16, AHEAD_MINOR };

/* The first bytes of TLS records, an alert and a handshake; the second one is that of any version
 * of TLS. RFC 8446, 5.1. */
enum { TLS_ALERT = 0x15, TLS_HANDSHAKE = 0x16, TLS_MAJOR = 3 };

/* How version 2 of the PROXY protocol goes on behind two empty lines. */
static const char proxy_v2[] = "\0\r\nQUIT\n";

void guard_init(struct guard *guard, enum guard_kind kind)
{
	*guard = (struct guard){.kind = kind, .state = kind == GUARD_TRAILERS ? FIELD : START};
}

static unsigned char fail(struct guard *guard, enum http_fault fault)
{
	guard->fault = fault;
	return BAD;
}

/* The rule that a byte of this class breaks in a field line. */
static enum http_fault fault_in_field(enum state state, enum byte_class class)
{
	bool is_space = class == TAB || class == SP;

	if (state == NAME && is_space)
		return HTTP_FAULT_SPACE_BEFORE_COLON;
	if (state == NAME && (class == CR || class == LF))
		return HTTP_FAULT_NO_COLON;
	if (state == FIELD && is_space)
		return HTTP_FAULT_FOLD;
	if (state == FIELD && class == COLON)
		return HTTP_FAULT_NAME_EMPTY;
	if (class == LF)
		return HTTP_FAULT_BARE_LF;
	return class == CTL ? HTTP_FAULT_NAME_CONTROL : HTTP_FAULT_NAME;
}

/* The same in a status line, from its status on. */
static enum http_fault fault_in_status(enum state state, enum byte_class class)
{
	if (class == LF && state == REASON)
		return HTTP_FAULT_BARE_LF;
	if (state == STATUS_END && class != ZERO && class != ONE)
		return HTTP_FAULT_STATUS_LINE;
	return HTTP_FAULT_STATUS;
}

/* The same in a request line. */
static enum http_fault fault_in_request(enum state state, enum byte_class class)
{
	if (class == LF)
		return HTTP_FAULT_BARE_LF;
	if (state == START || state == METHOD)
		return class == CR ? HTTP_FAULT_REQUEST_LINE : HTTP_FAULT_METHOD;
	if (state == LINE_CR)
		return class == SP ? HTTP_FAULT_REQUEST_LINE : HTTP_FAULT_VERSION;
	if (class == OBS)
		return HTTP_FAULT_TARGET_RAW;
	return class == CTL || (class == TAB && state == TARGET) ? HTTP_FAULT_TARGET_CONTROL
								 : HTTP_FAULT_REQUEST_LINE;
}

/* The rule that a byte of this class breaks where the table has no state after it. */
static enum http_fault fault_of(enum state state, enum byte_class class)
{
	if (class == NUL)
		return HTTP_FAULT_NUL;
	if (state == LINE_LF || state == LAST_LF)
		return HTTP_FAULT_BARE_CR;
	if (state == STATUS_SP)
		return class == ZERO || class == ONE ? HTTP_FAULT_VERSION : HTTP_FAULT_STATUS_LINE;
	if (state >= STATUS_1 && state <= REASON)
		return fault_in_status(state, class);
	return state >= FIELD && state <= VALUE ? fault_in_field(state, class)
						: fault_in_request(state, class);
}

/* A version from HTTP/2.0 on is well-formed: the answer is 505, not 400. */
static unsigned char step_version_ahead(struct guard *guard, char byte)
{
	bool matches;

	if (guard->matched == AHEAD_DOT)
		matches = byte == '.';
	else if (guard->matched == AHEAD_MINOR)
		matches = byte >= '0' && byte <= '9';
	else
		return fail(guard, byte == '\r' ? HTTP_FAULT_VERSION_AHEAD : HTTP_FAULT_VERSION);
	guard->matched++;
	return matches ? VERSION : fail(guard, HTTP_FAULT_VERSION);
}

static unsigned char fail_version(struct guard *guard, char byte)
{
	if (byte == '\0')
		return fail(guard, HTTP_FAULT_NUL);
	if (guard->kind == GUARD_RESPONSE)
		return fail(guard, guard->matched < sizeof("HTTP/") - 1 ? HTTP_FAULT_STATUS_LINE
									: HTTP_FAULT_VERSION);
	if (byte == '\n')
		return fail(guard, HTTP_FAULT_BARE_LF);
	return fail(guard, byte == ' ' || (byte == '\r' && guard->matched == 0)
			       ? HTTP_FAULT_REQUEST_LINE
			       : HTTP_FAULT_VERSION);
}

static unsigned char step_version(struct guard *guard, char *byte)
{
	if (guard->matched >= AHEAD_DOT)
		return step_version_ahead(guard, *byte);
	if (guard->matched == sizeof(version) - 1) {
		if (*byte < '0' || *byte > '9')
			return fail_version(guard, *byte);
		if (*byte > '1')
			*byte = '1';
		return guard->kind == GUARD_REQUEST ? LINE_CR : STATUS_SP;
	}
	if (*byte == version[guard->matched]) {
		guard->matched++;
		return VERSION;
	}
	if (version[guard->matched] == '1' && *byte >= '2' && *byte <= '9' &&
	    guard->kind == GUARD_REQUEST) {
		guard->matched = AHEAD_DOT;
		return VERSION;
	}
	return fail_version(guard, *byte);
}

static unsigned char step_proxy_v2(struct guard *guard, char byte)
{
	if (byte != proxy_v2[guard->matched])
		return fail(guard, HTTP_FAULT_NUL);
	if (++guard->matched == sizeof(proxy_v2) - 1)
		return fail(guard, HTTP_FAULT_PROXY_HEADER);
	return PROXY_V2;
}

/* The second byte of what began like a TLS record. */
static unsigned char step_tls(struct guard *guard, char byte)
{
	bool is_request = guard->kind == GUARD_REQUEST;

	if (byte != TLS_MAJOR)
		return fail(guard, is_request ? HTTP_FAULT_METHOD : HTTP_FAULT_STATUS_LINE);
	return fail(guard, is_request ? HTTP_FAULT_TLS : HTTP_FAULT_TLS_ANSWER);
}

/* The first byte of a start line. */
static unsigned char step_start(struct guard *guard, char *byte)
{
	unsigned char next = next_state[START][class_of[(unsigned char)*byte]];

	if (*byte == TLS_HANDSHAKE || (*byte == TLS_ALERT && guard->kind == GUARD_RESPONSE))
		return TLS;
	if (guard->kind == GUARD_RESPONSE)
		return step_version(guard, byte);
	if (*byte == '\0' && guard->empty_lines == 2) {
		guard->matched = 0;
		return step_proxy_v2(guard, *byte);
	}
	if (next != METHOD)
		return fail(guard, fault_of(START, class_of[(unsigned char)*byte]));
	guard->method_length = 1;
	return METHOD;
}

/* Old backends end lines in LF alone. */
static unsigned char step_bare_lf(struct guard *guard)
{
	bool ends_line = guard->state == STATUS_END || guard->state == REASON ||
			 guard->state == VALUE_START || guard->state == VALUE;

	if (guard->kind != GUARD_RESPONSE || (!ends_line && guard->state != FIELD))
		return fail(guard, fault_of(guard->state, LF));
	guard->has_bare_lf = true;
	return ends_line ? FIELD : DONE;
}

/* The value is at its end: whitespace there is made of spaces alone. */
static void tidy_value(const struct guard *guard, char *end)
{
	for (size_t i = 1; i <= guard->ows; i++)
		end[-(ptrdiff_t)i] = ' ';
}

/* The next state by the table, with what has to be noted at such a step. */
static unsigned char step_by_table(
    struct guard *guard, const struct http_limits *limits, char *byte)
{
	unsigned char from = guard->state, class = class_of[(unsigned char)*byte];
	unsigned char next = next_state[from][class];

	if (next == BAD)
		next = class == LF ? step_bare_lf(guard) : fail(guard, fault_of(from, class));
	if (class == CTL && next != BAD) {
		guard->has_controls = true;
		guard->ows = 0;
	}
	if (next == VALUE_START && from == next)
		*byte = ' ';
	if (from == next)
		return next;
	if (next == VERSION) {
		guard->matched = 0;
	} else if (next == TARGET) {
		guard->target_length = 1;
	} else if (next == NAME) {
		if (++guard->fields > limits->headers)
			return fail(guard, HTTP_FAULT_HEADERS);
	} else if (next == VALUE) {
		guard->ows = 0;
	} else if (from == VALUE) {
		tidy_value(guard, byte);
	}
	return next;
}

/* Takes one byte that may change the state. */
static unsigned char step(struct guard *guard, const struct http_limits *limits, char *byte)
{
	switch (guard->state) {
	case START:
		return step_start(guard, byte);
	case TLS:
		return step_tls(guard, *byte);
	case PROXY_V2:
		return step_proxy_v2(guard, *byte);
	case VERSION:
		return step_version(guard, byte);
	default:
		return step_by_table(guard, limits, byte);
	}
}

/* Sixteen bytes that are examined together; a marked byte has all bits set. */
typedef unsigned char block __attribute__((vector_size(16)));

/* Marks the bytes that are of a lower class, and some that may be of this one. */
static inline block mark_lower(block bytes, unsigned lowest)
{
	switch (lowest) {
	case TOKEN: /* all but letters, digits and "-" */
		return (block)(((bytes | 0x20) - 'a' >= 26) & (bytes - '0' >= 10) & (bytes != '-'));
	case COLON:
		return (block)((bytes <= ' ') | (bytes >= 0x7f));
	default:
		assert(lowest == SP || lowest == TAB);
		return (block)((bytes < ' ') | (bytes == 0x7f));
	}
}

/* The number of bytes before the first mark. */
static inline size_t find_mark(block marks)
{
	uint64_t halves[2];

	memcpy(halves, &marks, sizeof(halves));
	if (halves[0])
		return (size_t)__builtin_ctzll(le64toh(halves[0])) / 8;
	if (halves[1])
		return 8 + (size_t)__builtin_ctzll(le64toh(halves[1])) / 8;
	return sizeof(halves);
}

/* The number of bytes at the front that are of this class or a higher one. */
static inline size_t run_length(const char *data, size_t len, unsigned lowest)
{
	size_t n = 0, unmarked = sizeof(block);

	while (unmarked == sizeof(block) && len - n >= sizeof(block)) {
		block bytes;

		memcpy(&bytes, data + n, sizeof(bytes));
		unmarked = find_mark(mark_lower(bytes, lowest));
		n += unmarked;
	}
	while (n < len && class_of[(unsigned char)data[n]] >= lowest)
		n++;
	return n;
}

static bool has_at(const char *data, size_t len, size_t at, struct str wanted)
{
	return len - at >= wanted.len && memcmp(data + at, wanted.data, wanted.len) == 0;
}

/*
 * Nearly all lines are of these kinds, and are taken whole. These functions return 0 for a line
 * that is of another kind, breaks a limit or is incomplete: the table checks it byte by byte.
 */

/* A method, a target and a version, single spaces between them. */
static size_t take_request_line(
    struct guard *guard, const struct http_limits *limits, const char *data, size_t len)
{
	size_t method = run_length(data, len, TOKEN);

	if (method == 0 || method > METHOD_MAX || !has_at(data, len, method, STR(" ")))
		return 0;

	size_t target = run_length(data + method + 1, len - method - 1, COLON);
	size_t end = method + 1 + target;

	if (target == 0 || target > limits->uri_bytes)
		return 0;
	if (!has_at(data, len, end, STR(" HTTP/1.1\r\n")) &&
	    !has_at(data, len, end, STR(" HTTP/1.0\r\n")))
		return 0;
	guard->method_length = method;
	guard->target_length = target;
	return end + sizeof(" HTTP/1.1\r\n") - 1;
}

/* A version, a status and a reason of printable ASCII. */
static size_t take_status_line(const char *data, size_t len)
{
	static const char least[] = "HTTP/1.1 200 \r\n";

	if (len < sizeof(least) - 1 ||
	    (!has_at(data, len, 0, STR("HTTP/1.1 ")) && !has_at(data, len, 0, STR("HTTP/1.0 "))) ||
	    class_of[(unsigned char)data[9]] != ONE || class_of[(unsigned char)data[10]] < ZERO ||
	    class_of[(unsigned char)data[11]] < ZERO || data[12] != ' ')
		return 0;

	size_t n = 13 + run_length(data + 13, len - 13, SP);

	return has_at(data, len, n, STR("\r\n")) ? n + 2 : 0;
}

/* A name, a colon, text without tabs; or nothing, which ends the head. */
static size_t take_field_line(
    struct guard *guard, const struct http_limits *limits, const char *data, size_t len)
{
	if (has_at(data, len, 0, STR("\r\n"))) {
		guard->state = DONE;
		return 2;
	}

	size_t n = run_length(data, len, TOKEN);

	if (n == 0 || guard->fields == limits->headers || !has_at(data, len, n, STR(":")))
		return 0;
	n++;
	n += run_length(data + n, len - n, SP);
	if (!has_at(data, len, n, STR("\r\n")))
		return 0;
	guard->fields++;
	return n + 2;
}

/* Takes the bytes of "HTTP/1." that are there. */
static size_t take_literal(struct guard *guard, const char *data, size_t len)
{
	size_t n = 0;

	while (
	    n < len && guard->matched < sizeof(version) - 1 && data[n] == version[guard->matched]) {
		guard->matched++;
		n++;
	}
	return n;
}

/* Takes a run of bytes that do not change the state, and counts them where a limit needs it. */
static size_t take_class(
    struct guard *guard, const struct http_limits *limits, const char *data, size_t len)
{
	size_t n = run_length(data, len, run_of[guard->state]);

	if (guard->state == VALUE) {
		size_t ows = 0;

		while (ows < n && (data[n - 1 - ows] == ' ' || data[n - 1 - ows] == '\t'))
			ows++;
		guard->ows = ows == n ? guard->ows + n : ows;
	} else if (guard->state == TARGET) {
		guard->target_length += n;
		if (guard->target_length > limits->uri_bytes)
			guard->state = fail(guard, HTTP_FAULT_TARGET_LENGTH);
	} else if (guard->state == METHOD) {
		guard->method_length += n;
		if (guard->method_length > METHOD_MAX)
			guard->state = fail(guard, HTTP_FAULT_METHOD_LENGTH);
	}
	return n;
}

/* Takes a whole line, or all bytes that do not change the state; 0 when the table must check the
 * next byte. */
static size_t run(
    struct guard *guard, const struct http_limits *limits, const char *data, size_t len)
{
	size_t line = 0;

	if (guard->state == FIELD)
		return take_field_line(guard, limits, data, len);
	if (guard->state == START)
		line = guard->kind == GUARD_REQUEST ? take_request_line(guard, limits, data, len)
						    : take_status_line(data, len);
	if (line > 0) {
		guard->state = FIELD;
		return line;
	}
	if (guard->state == VERSION)
		return take_literal(guard, data, len);
	return run_of[guard->state] ? take_class(guard, limits, data, len) : 0;
}

/* Takes the empty lines before a start line; returns their size in bytes. */
static size_t skip_empty_lines(struct guard *guard, const char *data, size_t len)
{
	size_t n = 0;

	for (; n < len; n++) {
		bool is_lf =
		    data[n] == '\n' && (guard->state == EMPTY_LF || guard->kind == GUARD_RESPONSE);

		if (!is_lf && (guard->state == EMPTY_LF || data[n] != '\r'))
			break;
		if (guard->empty_lines == 2) {
			guard->state = fail(guard, HTTP_FAULT_EMPTY_LINES);
			return n;
		}
		if (is_lf) {
			guard->skipped += guard->state == EMPTY_LF ? 2 : 1;
			guard->empty_lines++;
		}
		guard->state = is_lf ? START : EMPTY_LF;
	}
	if (n < len && guard->state == EMPTY_LF)
		guard->state = fail(guard, HTTP_FAULT_BARE_CR);
	return n;
}

enum guard_result guard_scan(
    struct guard *guard, const struct http_limits *limits, char *data, size_t len, size_t *used)
{
	size_t at = 0;

	if (guard->state == START || guard->state == EMPTY_LF)
		at = skip_empty_lines(guard, data, len);

	size_t begin = at;
	size_t room = limits->header_bytes - guard->length;
	size_t end = len - at > room ? at + room : len;

	while (at < end && guard->state != BAD && guard->state != DONE) {
		size_t taken = run(guard, limits, data + at, end - at);

		at += taken;
		if (taken == 0)
			guard->state = step(guard, limits, data + at++);
	}
	guard->length += at - begin;
	*used = at;

	if (guard->state == DONE)
		return GUARD_DONE;
	if (guard->state != BAD && guard->length >= limits->header_bytes)
		guard->state = fail(guard,
		    guard->state == TARGET ? HTTP_FAULT_TARGET_LENGTH : HTTP_FAULT_HEADER_BYTES);
	return guard->state == BAD ? GUARD_BAD : GUARD_MORE;
}
