#include "http/fault.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The members of a row: the status for a client, the rule. */
static const struct {
	unsigned status;
	const char *rule;
} faults[HTTP_FAULTS] = {
    [HTTP_FAULT_NONE] = {200, "nothing is wrong"},

    [HTTP_FAULT_TLS] = {400, "a TLS handshake on a plain port"},
    [HTTP_FAULT_TLS_ANSWER] = {400, "an answer in TLS to a plain request"},
    [HTTP_FAULT_PROXY_HEADER] = {400, "a PROXY header that nobody expects"},

    [HTTP_FAULT_EMPTY_LINES] = {400, "more than two empty lines before the head"},
    [HTTP_FAULT_METHOD] = {400, "a method that is not a token"},
    [HTTP_FAULT_METHOD_LENGTH] = {501, "a method over 256 bytes"},
    [HTTP_FAULT_METHOD_FORBIDDEN] = {405, "CONNECT and TRACE are not passed on"},
    [HTTP_FAULT_REQUEST_LINE] = {400,
	"a request line that is not a method, a target and a version"},
    [HTTP_FAULT_TARGET_CONTROL] = {400, "control byte in the target"},
    [HTTP_FAULT_TARGET_RAW] = {400, "raw bytes above 0x7f in the target"},
    [HTTP_FAULT_TARGET_LENGTH] = {414, "target over limits.uri_bytes"},
    [HTTP_FAULT_TARGET_FRAGMENT] = {400, "a fragment in the target"},
    [HTTP_FAULT_TARGET_AUTHORITY] = {400, "a host in the target that is not a host"},
    [HTTP_FAULT_TARGET_FORM] = {400, "a target of a form that the method does not allow"},
    [HTTP_FAULT_VERSION] = {400, "a version that is not HTTP/1"},
    [HTTP_FAULT_VERSION_AHEAD] = {505, "a version that is not HTTP/1: HTTP/2.0 or above"},
    [HTTP_FAULT_STATUS_LINE] = {400, "no status line of HTTP"},
    [HTTP_FAULT_STATUS] = {400, "a status that is not a number from 100 to 999"},

    [HTTP_FAULT_NUL] = {400, "NUL byte"},
    [HTTP_FAULT_BARE_CR] = {400, "bare CR"},
    [HTTP_FAULT_BARE_LF] = {400, "bare LF"},
    [HTTP_FAULT_FOLD] = {400, "a folded line (obs-fold)"},
    [HTTP_FAULT_SPACE_BEFORE_COLON] = {400, "space before the colon"},
    [HTTP_FAULT_NAME_EMPTY] = {400, "empty field name"},
    [HTTP_FAULT_NAME_CONTROL] = {400, "control byte in a field name"},
    [HTTP_FAULT_NAME] = {400, "a field name that is not a token"},
    [HTTP_FAULT_NO_COLON] = {400, "a field line without a colon"},
    [HTTP_FAULT_HEADER_BYTES] = {431, "head over limits.header_bytes"},
    [HTTP_FAULT_HEADERS] = {431, "more fields than limits.headers"},
    [HTTP_FAULT_OPTIONS] = {431, "more than 100 options in Connection"},

    [HTTP_FAULT_LENGTH_REPEATED] = {400, "more than one Content-Length"},
    [HTTP_FAULT_LENGTHS_DIFFER] = {400, "more than one Content-Length, and they differ"},
    [HTTP_FAULT_LENGTH] = {400, "a Content-Length that is not a number"},
    [HTTP_FAULT_LENGTH_AND_CODING] = {400, "Content-Length with Transfer-Encoding"},
    [HTTP_FAULT_CODING_REPEATED] = {400, "more than one Transfer-Encoding"},
    [HTTP_FAULT_CODING] = {400, "a Transfer-Encoding other than chunked"},
    [HTTP_FAULT_CODING_OLD] = {400, "Transfer-Encoding in HTTP/1.0"},
    [HTTP_FAULT_HOST_MISSING] = {400, "no Host"},
    [HTTP_FAULT_HOST_REPEATED] = {400, "more than one Host"},
    [HTTP_FAULT_HOST] = {400, "a Host that is not a host"},
    [HTTP_FAULT_EXPECTATION] = {417, "an expectation other than 100-continue"},
    [HTTP_FAULT_UPGRADE_UNASKED] = {400, "a 101 that nobody asked for"},
    [HTTP_FAULT_UPGRADE_OTHER] = {400, "a 101 that does not name the protocol asked for"},
    [HTTP_FAULT_UPGRADE_EARLY] = {400, "a 101 before the whole request"},
    [HTTP_FAULT_INTERIMS] = {400, "more than 100 interim answers"},
    [HTTP_FAULT_DISAGREEMENT] = {400, "a head that can be read in more than one way"},

    [HTTP_FAULT_CONTENT_BYTES] = {413, "content over limits.body_bytes"},
    [HTTP_FAULT_CHUNK_SIZE] = {400, "a chunk size that is not a hexadecimal number"},
    [HTTP_FAULT_CHUNK_RANGE] = {400, "a chunk size over 2^63"},
    [HTTP_FAULT_CHUNK_LINE] = {400, "a chunk line over 256 bytes"},
    [HTTP_FAULT_CHUNK_EXTENSION] = {400, "a broken chunk extension"},
    [HTTP_FAULT_CHUNK_EXTENSIONS] = {400, "chunk extensions over 16 KiB"},
    [HTTP_FAULT_CHUNK_END] = {400, "a chunk that does not end in CRLF"},
    [HTTP_FAULT_TRAILERS] = {400, "a trailer section over limits.header_bytes or limits.headers"},
};

unsigned http_fault_status(enum http_fault fault)
{
	assert(fault < HTTP_FAULTS);
	return faults[fault].status;
}

const char *http_fault_rule(enum http_fault fault)
{
	assert(fault < HTTP_FAULTS);
	return faults[fault].rule;
}

const char *http_fault_describe(
    const char *what, enum http_fault fault, char text[static HTTP_FAULT_TEXT_SIZE])
{
	int len = (int)strlen(what);

	if (fault == HTTP_FAULT_NONE)
		snprintf(text, HTTP_FAULT_TEXT_SIZE, "%s", what);
	else
		snprintf(text, HTTP_FAULT_TEXT_SIZE, "%.*s: %s.",
		    len > 0 && what[len - 1] == '.' ? len - 1 : len, what, http_fault_rule(fault));
	return text;
}
