/*
 * load_plan - the n-th request, and the answer that it must get.
 *
 * Every POST has unique content, so that the answer of another request cannot pass. For paths with
 * a known answer of the mock backends every byte is checked; for any other GET only the framing.
 */
#ifndef MOCK_LOAD_PLAN_H
#define MOCK_LOAD_PLAN_H

#include "message.h"

struct load_plan {
	char host[256];
	char port[8];
	char authority[300]; /* for Host: as in the URL */
	const char *path;
	const char *field;  /* one more "Name: value" of every request; NULL: none */
	int64_t post_bytes; /* -1: GET */
	bool is_chunked;    /* POST content in chunks */
	bool is_mix;     /* in turn: GET path, POST, GET /size/N, POST in chunks, GET /chunked/N */
	int64_t process; /* makes the content differ from that of another load */
};

enum load_expectation { EXPECT_FRAMING, EXPECT_MESSAGE, EXPECT_PATTERN, EXPECT_ECHO };

/* One request: the bytes to send, and what should come back. All zero to begin with. */
struct load_request {
	uint64_t number;
	bool is_post;
	char target[1024];
	struct bytes out;
	struct bytes content; /* of a POST */
	enum load_expectation expectation;
	size_t expected_length; /* of a pattern */
};

/* Splits an http URL; false if it is not one. The plan keeps pointers into it. */
bool plan_parse_url(struct load_plan *plan, const char *url);

/* Fills `request` with the request of this number. */
void plan_compose(const struct load_plan *plan, uint64_t number, struct load_request *request);

/* Is this the right content for the request? `from_mock`: the answer has X-Mock, so the content for
 * GET / is known too. */
bool plan_is_right(const struct load_request *request, const struct bytes *content, bool from_mock);

void plan_free_request(struct load_request *request);

#endif
