/*
 * fault - the rules that a message can break, by name.
 *
 * Whatever is refused, a request of a client or the answer of a backend, is refused for one of
 * these. Logs, answers and the history of a backend tell the rule in the same words.
 */
#ifndef RONDO_HTTP_FAULT_H
#define RONDO_HTTP_FAULT_H

enum http_fault {
	HTTP_FAULT_NONE,

	/* The first bytes are those of another protocol. */
	HTTP_FAULT_TLS,
	HTTP_FAULT_TLS_ANSWER,
	HTTP_FAULT_PROXY_HEADER,

	/* The start line. */
	HTTP_FAULT_EMPTY_LINES,
	HTTP_FAULT_METHOD,
	HTTP_FAULT_METHOD_LENGTH,
	HTTP_FAULT_METHOD_FORBIDDEN,
	HTTP_FAULT_REQUEST_LINE,
	HTTP_FAULT_TARGET_CONTROL,
	HTTP_FAULT_TARGET_RAW,
	HTTP_FAULT_TARGET_LENGTH,
	HTTP_FAULT_TARGET_FRAGMENT,
	HTTP_FAULT_TARGET_AUTHORITY,
	HTTP_FAULT_TARGET_FORM,
	HTTP_FAULT_VERSION,
	HTTP_FAULT_VERSION_AHEAD,
	HTTP_FAULT_STATUS_LINE,
	HTTP_FAULT_STATUS,

	/* Lines and fields. */
	HTTP_FAULT_NUL,
	HTTP_FAULT_BARE_CR,
	HTTP_FAULT_BARE_LF,
	HTTP_FAULT_FOLD,
	HTTP_FAULT_SPACE_BEFORE_COLON,
	HTTP_FAULT_NAME_EMPTY,
	HTTP_FAULT_NAME_CONTROL,
	HTTP_FAULT_NAME,
	HTTP_FAULT_NO_COLON,
	HTTP_FAULT_HEADER_BYTES,
	HTTP_FAULT_HEADERS,
	HTTP_FAULT_OPTIONS,

	/* What the fields say. */
	HTTP_FAULT_LENGTH_REPEATED,
	HTTP_FAULT_LENGTHS_DIFFER,
	HTTP_FAULT_LENGTH,
	HTTP_FAULT_LENGTH_AND_CODING,
	HTTP_FAULT_CODING_REPEATED,
	HTTP_FAULT_CODING,
	HTTP_FAULT_CODING_OLD,
	HTTP_FAULT_HOST_MISSING,
	HTTP_FAULT_HOST_REPEATED,
	HTTP_FAULT_HOST,
	HTTP_FAULT_EXPECTATION,
	HTTP_FAULT_UPGRADE_UNASKED,
	HTTP_FAULT_UPGRADE_OTHER,
	HTTP_FAULT_UPGRADE_EARLY,
	HTTP_FAULT_INTERIMS,
	HTTP_FAULT_DISAGREEMENT, /* llhttp reads the head in another way */

	/* Content. */
	HTTP_FAULT_CONTENT_BYTES,
	HTTP_FAULT_CHUNK_SIZE,
	HTTP_FAULT_CHUNK_RANGE,
	HTTP_FAULT_CHUNK_LINE,
	HTTP_FAULT_CHUNK_EXTENSION,
	HTTP_FAULT_CHUNK_EXTENSIONS,
	HTTP_FAULT_CHUNK_END,
	HTTP_FAULT_TRAILERS,

	HTTP_FAULTS
};

/* The status of the answer to a request with this fault. */
unsigned http_fault_status(enum http_fault fault);

/* The rule, for people: "space before the colon". */
const char *http_fault_rule(enum http_fault fault);

enum { HTTP_FAULT_TEXT_SIZE = 192 };

/* The sentence `what`, of at most a hundred bytes, with the rule at its end: "It is refused: bare
 * CR." Without a fault it stays as it is. Returns `text`. */
const char *http_fault_describe(
    const char *what, enum http_fault fault, char text[static HTTP_FAULT_TEXT_SIZE]);

#endif
