/*
 * message - one HTTP message, read as a connection reads it, for the fuzz targets.
 *
 * The bytes come whole or in pieces; what was found in them is kept as plain values, so that two
 * readings can be compared. Every piece ends where readable memory ends. A target asserts what has to
 * hold; nothing here can fail otherwise.
 */
#ifndef RONDO_FUZZ_MESSAGE_H
#define RONDO_FUZZ_MESSAGE_H

#include "http/body.h"
#include "http/parse.h"
#include "http/upgrade.h"

/* MESSAGE_ROOM: what is beyond it in an input is not looked at. */
enum { MESSAGE_ROOM = 8192, MESSAGE_FIELDS = 24 };

/* How bytes come: in pieces of up to so many. */
enum message_pace {
	MESSAGE_WHOLE = 0,
	MESSAGE_BYTEWISE = 1,
	MESSAGE_CRUMBS = 23,
	MESSAGE_LUMPS = 300
};

struct message_bytes {
	struct str all;
	enum message_pace pace;
};

/* Content as it came out of its framing. */
struct message_content {
	enum body_result result;
	bool ends; /* the end of the stream would complete it */
	size_t consumed;
	size_t payload_len, trailers_len;
	char payload[MESSAGE_ROOM];
	char trailers[MESSAGE_ROOM];
};

/* What a head said. */
struct message_facts {
	enum http_method method;
	unsigned status, minor;
	enum http_framing framing;
	uint64_t content_length;
	bool has_host, has_content_length, keep_alive;
	bool expects_continue, accepts_trailers, upgrades;
};

struct message_rules {
	struct http_limits limits;
	uint64_t max_bytes; /* of content; 0: no limit */
	const struct http_head
	    *request; /* which the response answers; NULL: the message is a request */
};

struct message {
	enum parse_result result;
	enum http_fault fault;
	size_t head_length;
	struct message_facts facts;
	char method[MESSAGE_ROOM], host[MESSAGE_ROOM], path[MESSAGE_ROOM];
	char forwarded[4 * MESSAGE_ROOM]; /* the head as it goes on; empty without one */
	size_t forwarded_len;
	struct message_content content; /* with PARSE_DONE */
};

/* Reads head and content of the first message. */
void message_read(
    struct message *message, const struct message_rules *rules, struct message_bytes bytes);

/* Reads content that is framed as `head` says. */
void message_read_content(struct message_content *content, const struct message_rules *rules,
    const struct http_head *head, struct message_bytes bytes);

/* Both readings must have found the same. */
void message_assert_same(const struct message *a, const struct message *b);
void message_assert_same_content(const struct message_content *a, const struct message_content *b);

/* What was decoded must come through being chunked and decoded again; of the trailers only those that may pass. */
void message_assert_round_trip(
    const struct message_content *content, const struct message_rules *rules);

#endif
