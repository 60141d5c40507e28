#include "http/guard.h"

#include <assert.h>
#include <endian.h>

/*
 * Classes of bytes, in an order in which the bytes of a name, of a target and of a value are each a
 * tail of the list: one look-up and one comparison show whether a byte continues a run.
 */
enum byte_class {
	CTL, /* and DEL: nowhere */
	LF,
	CR,
	TAB,
	SP,
	OBS, /* 0x80 and up; from here to TAB only in values and reasons */
	COLON,
	PRINT, /* printable, but not allowed in a token */
	TOKEN,
	ZERO, /* 0, 6 to 9 */
	ONE,  /* 1 to 5: a status begins with it */
	CLASS_COUNT
};

/* clang-format off */
static const unsigned char class_of[256] = {
	['\n'] = LF, ['\r'] = CR, ['\t'] = TAB, [' '] = SP, [':'] = COLON,
	['!'] = TOKEN, ['"'] = PRINT, ['#' ... '\''] = TOKEN, ['(' ... ')'] = PRINT,
	['*' ... '+'] = TOKEN, [','] = PRINT, ['-' ... '.'] = TOKEN, ['/'] = PRINT,
	['0'] = ZERO, ['1' ... '5'] = ONE, ['6' ... '9'] = ZERO, [';' ... '@'] = PRINT,
	['A' ... 'Z'] = TOKEN, ['[' ... ']'] = PRINT, ['^' ... 'z'] = TOKEN,
	['{'] = PRINT, ['|'] = TOKEN, ['}'] = PRINT, ['~'] = TOKEN, [0x80 ... 0xff] = OBS,
};

enum state {
	BAD,
	START,	      /* of a request: its method, or an empty line before it */
	EMPTY_LF,
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
#define TEXT(next)    [TAB] = (next), [SP] = (next), [OBS] = (next), VISIBLE(next)

/* All other pairs lead to BAD. */
static const unsigned char next_state[STATE_COUNT][CLASS_COUNT] = {
	[START] = {[CR] = EMPTY_LF, NAMING(METHOD)},
	[EMPTY_LF] = {[LF] = START},
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
	[VALUE_START] = {[CR] = LINE_LF, [TAB] = VALUE_START, [SP] = VALUE_START,
			 [OBS] = VALUE, VISIBLE(VALUE)},
	[VALUE] = {[CR] = LINE_LF, TEXT(VALUE)},
	[LAST_LF] = {[LF] = DONE},
};

/* For each state, the lowest class of the bytes that do not change it. */
static const unsigned char run_of[STATE_COUNT] = {
	[METHOD] = TOKEN, [TARGET] = COLON, [REASON] = TAB, [NAME] = TOKEN, [VALUE] = TAB,
};
/* clang-format on */

/* No registered method is longer. RFC 9112, 3 asks for 501 for a longer one. */
enum { METHOD_MAX = 32 };

static const char version[] = "HTTP/1.";

/* What guard->matched says in VERSION once the major version turned out to be 2 or higher. */
enum { AHEAD_DOT = 16, AHEAD_MINOR };

void guard_init(struct guard *guard, enum guard_kind kind)
{
	*guard = (struct guard){.kind = kind};
	switch (kind) {
	case GUARD_REQUEST:
		guard->state = START;
		break;
	case GUARD_RESPONSE:
		guard->state = VERSION;
		break;
	case GUARD_TRAILERS:
		guard->state = FIELD;
		break;
	}
}

static unsigned char fail(struct guard *guard, enum http_fault fault)
{
	guard->fault = fault;
	return BAD;
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
		return fail(guard, byte == '\r' ? HTTP_FAULT_VERSION : HTTP_FAULT_SYNTAX);
	guard->matched++;
	return matches ? VERSION : BAD;
}

static unsigned char step_version(struct guard *guard, char byte)
{
	if (guard->matched >= AHEAD_DOT)
		return step_version_ahead(guard, byte);
	if (guard->matched == sizeof(version) - 1) {
		if (byte != '0' && byte != '1')
			return BAD;
		return guard->kind == GUARD_REQUEST ? LINE_CR : STATUS_SP;
	}
	if (byte == version[guard->matched]) {
		guard->matched++;
		return VERSION;
	}
	if (version[guard->matched] == '1' && byte >= '2' && byte <= '9' &&
	    guard->kind == GUARD_REQUEST) {
		guard->matched = AHEAD_DOT;
		return VERSION;
	}
	return BAD;
}

/* Takes one byte that may change the state. */
static unsigned char step(struct guard *guard, const struct http_limits *limits, char *byte)
{
	unsigned char from = guard->state;
	unsigned char next = from == VERSION ? step_version(guard, *byte)
					     : next_state[from][class_of[(unsigned char)*byte]];

	if (next == VALUE_START && from == next)
		*byte = ' ';
	if (from == next)
		return next;
	if (next == METHOD) {
		guard->matched = 1;
	} else if (next == VERSION) {
		guard->matched = 0;
	} else if (next == TARGET) {
		guard->target_length = 1;
	} else if (next == NAME) {
		if (++guard->fields > limits->headers)
			return fail(guard, HTTP_FAULT_HEAD_TOO_LARGE);
	} else if (next == VALUE) {
		guard->ows = 0;
	} else if (from == VALUE) {
		for (size_t i = 1; i <= guard->ows; i++)
			byte[-(ptrdiff_t)i] = ' ';
	}
	return next;
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
			guard->state = fail(guard, HTTP_FAULT_TARGET_TOO_LONG);
	} else if (guard->state == METHOD) {
		if (guard->matched + n > METHOD_MAX)
			guard->state = fail(guard, HTTP_FAULT_METHOD_UNKNOWN);
		else
			guard->matched = (unsigned char)(guard->matched + n);
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
		line = take_request_line(guard, limits, data, len);
	else if (guard->state == VERSION && guard->kind == GUARD_RESPONSE && guard->matched == 0)
		line = take_status_line(data, len);
	if (line > 0) {
		guard->state = FIELD;
		return line;
	}
	if (guard->state == VERSION)
		return take_literal(guard, data, len);
	return run_of[guard->state] ? take_class(guard, limits, data, len) : 0;
}

/* Takes the empty lines before a request line; returns their size in bytes. */
static size_t skip_empty_lines(struct guard *guard, const char *data, size_t len)
{
	size_t n = 0;

	for (; n < len; n++) {
		if (guard->state == EMPTY_LF) {
			if (data[n] != '\n')
				break;
			guard->state = START;
			guard->empty_lines++;
			guard->skipped += 2;
		} else if (guard->state == START && data[n] == '\r' && guard->empty_lines < 2) {
			guard->state = EMPTY_LF;
		} else {
			break;
		}
	}
	if (n < len && (guard->state == EMPTY_LF || data[n] == '\r'))
		guard->state = fail(guard, HTTP_FAULT_SYNTAX);
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
		guard->state = fail(guard, guard->state == TARGET ? HTTP_FAULT_TARGET_TOO_LONG
								  : HTTP_FAULT_HEAD_TOO_LARGE);
	if (guard->state == BAD && guard->fault == HTTP_FAULT_NONE)
		guard->fault = HTTP_FAULT_SYNTAX;
	return guard->state == BAD ? GUARD_BAD : GUARD_MORE;
}
