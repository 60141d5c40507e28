#include "http/body.h"

#include <assert.h>

enum {
	LINE_MAX_BYTES = 256,
	EXTENSIONS_MAX_BYTES = 16 * 1024,
	DIGITS_MAX = 16,
};

/* The states of the decoder in a chunked message. The states up to LINE_LF are those of a chunk
 * line. */
enum state {
	BROKEN,
	SIZE_START, /* no digit yet */
	SIZE,
	EXTENSION, /* after ";" */
	NAME,
	NAME_END,    /* spaces that must lead to "=" or ";" */
	VALUE_START, /* after "=" */
	VALUE,
	QUOTED,
	QUOTED_PAIR,
	QUOTED_END,
	LINE_END, /* spaces that must lead to ";" */
	LINE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILERS,
	STATE_COUNT
};

/* Classes of bytes in the grammar of a chunk line. RFC 9112, 7.1 and 7.1.1. */
enum byte_class {
	CTL,
	LF,
	CR,
	SPACE,
	DIGIT,
	TOKEN,
	SEMICOLON,
	EQUALS,
	QUOTE,
	BACKSLASH,
	TEXT,
	CLASS_COUNT
};

/* clang-format off */
#define NAMING(next) [DIGIT] = (next), [TOKEN] = (next)
#define QUOTING(next) \
	[SPACE] = (next), NAMING(next), [SEMICOLON] = (next), [EQUALS] = (next), [TEXT] = (next)

/* All other pairs lead to BROKEN. */
static const unsigned char next_state[LINE_LF][CLASS_COUNT] = {
	[SIZE_START] = {[DIGIT] = SIZE},
	[SIZE] = {[CR] = LINE_LF, [SPACE] = LINE_END, [DIGIT] = SIZE, [SEMICOLON] = EXTENSION},
	[EXTENSION] = {[SPACE] = EXTENSION, NAMING(NAME)},
	[NAME] = {[CR] = LINE_LF, [SPACE] = NAME_END, NAMING(NAME),
		  [SEMICOLON] = EXTENSION, [EQUALS] = VALUE_START},
	[NAME_END] = {[SPACE] = NAME_END, [SEMICOLON] = EXTENSION, [EQUALS] = VALUE_START},
	[VALUE_START] = {[SPACE] = VALUE_START, NAMING(VALUE), [QUOTE] = QUOTED},
	[VALUE] = {[CR] = LINE_LF, [SPACE] = LINE_END, NAMING(VALUE), [SEMICOLON] = EXTENSION},
	[QUOTED] = {QUOTING(QUOTED), [QUOTE] = QUOTED_END, [BACKSLASH] = QUOTED_PAIR},
	[QUOTED_PAIR] = {QUOTING(QUOTED), [QUOTE] = QUOTED, [BACKSLASH] = QUOTED},
	[QUOTED_END] = {[CR] = LINE_LF, [SPACE] = LINE_END, [SEMICOLON] = EXTENSION},
	[LINE_END] = {[SPACE] = LINE_END, [SEMICOLON] = EXTENSION},
};
/* clang-format on */

static enum byte_class class_of(char byte)
{
	switch (byte) {
	case '\n':
		return LF;
	case '\r':
		return CR;
	case ' ':
	case '\t':
		return SPACE;
	case ';':
		return SEMICOLON;
	case '=':
		return EQUALS;
	case '"':
		return QUOTE;
	case '\\':
		return BACKSLASH;
	default:
		break;
	}
	if (str_hex_digit(byte) >= 0)
		return DIGIT;
	if (http_is_token_byte(byte))
		return TOKEN;
	return (unsigned char)byte > ' ' && byte != 0x7f ? TEXT : CTL;
}

static void open_line(struct body *body)
{
	body->state = SIZE_START;
	body->line = 0;
	body->digits = 0;
}

void body_init(struct body *body, const struct http_head *head, uint64_t max_bytes)
{
	*body = (struct body){
	    .framing = head->framing, .max_bytes = max_bytes, .may_pad = head->status > 0};
	switch (head->framing) {
	case HTTP_FRAMING_NONE:
		body->done = true;
		break;
	case HTTP_FRAMING_LENGTH:
		body->left = head->content_length;
		body->done = body->left == 0;
		break;
	case HTTP_FRAMING_CHUNKED:
		open_line(body);
		break;
	case HTTP_FRAMING_CLOSE:
		break;
	}
}

/* Would `more` bytes of payload break the limit? */
static bool exceeds(const struct body *body, uint64_t more)
{
	return body->max_bytes &&
	       (body->received > body->max_bytes || more > body->max_bytes - body->received);
}

static bool take_digit(struct body *body, char byte)
{
	int digit = str_hex_digit(byte);

	if (digit == 0 && body->digits == 0)
		return true;
	if (++body->digits > DIGITS_MAX)
		return false;
	body->left = body->left << 4 | (uint64_t)digit;
	return true;
}

static enum body_result bad(struct body *body, enum http_fault fault)
{
	body->fault = fault;
	return BODY_BAD;
}

/* The chunk line is complete: body->left is the size of the chunk, or 0 before the trailers. */
static enum body_result close_line(struct body *body)
{
	if (body->left > INT64_MAX - body->received)
		return bad(body, HTTP_FAULT_CHUNK_RANGE);
	if (exceeds(body, body->left))
		return BODY_TOO_LARGE;
	body->state = body->left ? DATA : TRAILERS;
	if (!body->left)
		guard_init(&body->trailers, GUARD_TRAILERS);
	return BODY_MORE;
}

/* Padding belongs to no extension; the limit of the line bounds it. */
static enum body_result count_in_line(struct body *body, char byte)
{
	bool is_padding = body->may_pad && body->state == LINE_END;

	if (++body->line > LINE_MAX_BYTES)
		return bad(body, HTTP_FAULT_CHUNK_LINE);
	if (body->state == SIZE)
		return take_digit(body, byte) ? BODY_MORE : bad(body, HTTP_FAULT_CHUNK_RANGE);
	if (!is_padding && ++body->extensions > EXTENSIONS_MAX_BYTES)
		return bad(body, HTTP_FAULT_CHUNK_EXTENSIONS);
	return BODY_MORE;
}

/* Takes one byte of a chunk line. */
static enum body_result take_in_line(struct body *body, char byte)
{
	unsigned char from = body->state;

	body->state = next_state[from][class_of(byte)];
	if (from == LINE_END && byte == '\r' && body->may_pad)
		body->state = LINE_LF;
	if (body->state == LINE_LF)
		return BODY_MORE;
	if (body->state != BROKEN)
		return count_in_line(body, byte);
	return bad(body, from == SIZE_START || from == SIZE || from == LINE_END
			     ? HTTP_FAULT_CHUNK_SIZE
			     : HTTP_FAULT_CHUNK_EXTENSION);
}

/* Takes one byte of framing: of a chunk line, or of the CRLF behind a chunk. */
static enum body_result take_framing(struct body *body, char byte)
{
	switch (body->state) {
	case DATA_CR:
		body->state = DATA_LF;
		return byte == '\r' ? BODY_MORE : bad(body, HTTP_FAULT_CHUNK_END);
	case DATA_LF:
		open_line(body);
		return byte == '\n' ? BODY_MORE : bad(body, HTTP_FAULT_CHUNK_END);
	case LINE_LF:
		return byte == '\n' ? close_line(body) : bad(body, HTTP_FAULT_BARE_CR);
	default:
		return take_in_line(body, byte);
	}
}

/* Moves payload that begins at `from` to the end of the payload before it. */
static void take_payload(struct body *body, char *data, struct body_span *span, size_t from)
{
	size_t n = span->raw - from;

	if (from != span->payload)
		memmove(data + span->payload, data + from, n);
	span->payload += n;
	body->received += n;
	body->left -= n;
	if (!body->left)
		body->state = DATA_CR;
}

/* `section` holds all trailer bytes so far; the guard has seen the first of them before. */
static enum body_result take_trailers(
    struct body *body, const struct http_limits *limits, char *section, size_t len)
{
	size_t seen = body->trailers.length;
	size_t used;

	assert(len >= seen);
	switch (guard_scan(&body->trailers, limits, section + seen, len - seen, &used)) {
	case GUARD_MORE:
		return BODY_MORE;
	case GUARD_DONE:
		body->trailer_bytes = body->trailers.length;
		body->done = true;
		return BODY_DONE;
	case GUARD_BAD:
		break;
	}
	return bad(body, http_fault_status(body->trailers.fault) == 431 ? HTTP_FAULT_TRAILERS
									: body->trailers.fault);
}

static enum body_result decode_chunked(struct body *body, const struct http_limits *limits,
    char *data, size_t len, struct body_span *span)
{
	enum body_result result = BODY_MORE;

	while (span->raw < len && result == BODY_MORE) {
		size_t from = span->raw;

		if (body->state == TRAILERS) {
			result = take_trailers(body, limits, data + from, len - from);
			span->raw += body->trailer_bytes;
			return result;
		}
		if (body->state == DATA) {
			span->raw += body->left < len - from ? (size_t)body->left : len - from;
			take_payload(body, data, span, from);
		} else {
			result = take_framing(body, data[span->raw++]);
		}
	}
	return result;
}

/* Content without chunks: the bytes are the payload. */
static enum body_result decode_plain(struct body *body, size_t len, struct body_span *span)
{
	bool counted = body->framing == HTTP_FRAMING_LENGTH;
	size_t n = counted && body->left < len ? (size_t)body->left : len;

	if (exceeds(body, counted ? body->left : n))
		return BODY_TOO_LARGE;
	span->payload = n;
	span->raw = n;
	body_skip(body, n);
	return body->done ? BODY_DONE : BODY_MORE;
}

enum body_result body_decode(struct body *body, const struct http_limits *limits, char *data,
    size_t len, struct body_span *span)
{
	enum body_result result;

	*span = (struct body_span){.payload = 0};
	if (body->done)
		return BODY_DONE;
	if (body->framing != HTTP_FRAMING_CHUNKED)
		return decode_plain(body, len, span);

	result = decode_chunked(body, limits, data, len, span);
	if (result == BODY_BAD)
		body->state = BROKEN;
	return result;
}

bool body_end(struct body *body)
{
	if (body->framing == HTTP_FRAMING_CLOSE)
		body->done = true;
	return body->done;
}

uint64_t body_spliceable(const struct body *body)
{
	if (body->done)
		return 0;
	if (body->framing == HTTP_FRAMING_LENGTH)
		return exceeds(body, body->left) ? 0 : body->left;
	if (body->framing == HTTP_FRAMING_CHUNKED)
		return body->state == DATA ? body->left : 0;
	return body->framing == HTTP_FRAMING_CLOSE && !body->max_bytes ? UINT64_MAX : 0;
}

void body_skip(struct body *body, uint64_t len)
{
	body->received += len;
	if (body->framing == HTTP_FRAMING_CLOSE)
		return;
	assert(len <= body->left);
	body->left -= len;
	if (body->left > 0)
		return;
	if (body->framing == HTTP_FRAMING_CHUNKED)
		body->state = DATA_CR;
	else
		body->done = true;
}

size_t body_chunk_head(char text[static BODY_CHUNK_HEAD_SIZE], uint64_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;
	unsigned shift = 60;

	assert(len > 0);
	while (!(len >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		text[used++] = digits[len >> shift & 15];
		if (!shift)
			break;
	}
	text[used++] = '\r';
	text[used++] = '\n';
	return used;
}
