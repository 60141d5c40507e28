#include "load_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIX_POST_BYTES  1000
#define MIX_CONTENT_MAX 40000

enum turn { TURN_GET, TURN_POST, TURN_SIZE, TURN_POST_CHUNKED, TURN_CHUNKED, TURN_COUNT };

bool plan_parse_url(struct load_plan *plan, const char *url)
{
	static const char scheme[] = "http://";
	const char *start = url + sizeof(scheme) - 1;
	const char *slash = NULL;
	bool is_split = false;
	long port = 0;

	if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
		return false;
	slash = strchrnul(start, '/');
	plan->path = *slash == '/' ? slash : "/";
	snprintf(plan->authority, sizeof(plan->authority), "%.*s", (int)(slash - start), start);
	snprintf(plan->port, sizeof(plan->port), "80");
	if (plan->authority[0] == '[')
		is_split =
		    sscanf(plan->authority, "[%255[^]]]:%7[0-9]", plan->host, plan->port) > 0;
	else
		is_split = sscanf(plan->authority, "%255[^:]:%7[0-9]", plan->host, plan->port) > 0;
	port = strtol(plan->port, NULL, 10);
	return is_split && port > 0 && port < 65536;
}

/* "/size/10" is a pattern of 10 bytes, and so on. */
static void expect_content(struct load_request *request)
{
	static const char *const patterns[] = {"/size/", "/chunked/", "/slow/"};

	request->expectation = EXPECT_FRAMING;
	if (strcmp(request->target, "/") == 0)
		request->expectation = EXPECT_MESSAGE;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		size_t length = strlen(patterns[i]);

		if (strncmp(request->target, patterns[i], length) != 0)
			continue;
		request->expectation = EXPECT_PATTERN;
		request->expected_length = strtoul(request->target + length, NULL, 10);
	}
}

static enum turn turn_of(const struct load_plan *plan, uint64_t number)
{
	if (plan->is_mix)
		return (enum turn)(number % TURN_COUNT);
	if (plan->post_bytes < 0)
		return TURN_GET;
	return plan->is_chunked ? TURN_POST_CHUNKED : TURN_POST;
}

/* Content that begins with its request's number and goes on as a pattern with another start each
 * time. */
static void compose_content(const struct load_plan *plan, struct load_request *request)
{
	size_t length = plan->post_bytes < 0 ? MIX_POST_BYTES : (size_t)plan->post_bytes;
	struct bytes *content = &request->content;

	bytes_addf(content, "request %llu of %llu ", (unsigned long long)request->number,
	    (unsigned long long)plan->process);
	bytes_add_pattern(content, request->number % 26);
	while (content->length < length)
		bytes_add_pattern(content, length - content->length);
	content->length = length;
}

void plan_compose(const struct load_plan *plan, uint64_t number, struct load_request *request)
{
	enum turn turn = turn_of(plan, number);
	struct bytes *out = &request->out;
	size_t size = number * 7919 % MIX_CONTENT_MAX;

	request->number = number;
	request->is_post = turn == TURN_POST || turn == TURN_POST_CHUNKED;
	bytes_clear(out);
	bytes_clear(&request->content);
	if (turn == TURN_SIZE || turn == TURN_CHUNKED)
		snprintf(request->target, sizeof(request->target), "/%s/%zu",
		    turn == TURN_SIZE ? "size" : "chunked", size);
	else
		snprintf(request->target, sizeof(request->target), "%s", plan->path);
	bytes_addf(out, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\n",
	    request->is_post ? "POST" : "GET", request->target, plan->authority);
	if (plan->field != NULL)
		bytes_addf(out, "%s\r\n", plan->field);
	if (!request->is_post) {
		bytes_addf(out, "\r\n");
		expect_content(request);
		return;
	}
	compose_content(plan, request);
	request->expectation = EXPECT_ECHO;
	bytes_addf(out, "Content-Type: application/octet-stream\r\n");
	if (turn == TURN_POST_CHUNKED) {
		bytes_addf(out, "Transfer-Encoding: chunked\r\n\r\n");
		bytes_add_chunked(out, request->content.at, request->content.length);
	} else {
		bytes_addf(out, "Content-Length: %zu\r\n\r\n", request->content.length);
		bytes_add(out, request->content.at, request->content.length);
	}
}

static bool is_pattern(const struct bytes *content, size_t length)
{
	if (content->length != length)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (content->at[i] != (char)('a' + i % 26))
			return false;
	}
	return true;
}

static bool is_equal(const struct bytes *content, const char *at, size_t length)
{
	return content->length == length && (length == 0 || memcmp(content->at, at, length) == 0);
}

bool plan_is_right(const struct load_request *request, const struct bytes *content, bool from_mock)
{
	static const char message[] = "{\"message\":\"ok\"}";

	switch (request->expectation) {
	case EXPECT_FRAMING:
		return true;
	case EXPECT_MESSAGE:
		return !from_mock || is_equal(content, message, sizeof(message) - 1);
	case EXPECT_PATTERN:
		return is_pattern(content, request->expected_length);
	case EXPECT_ECHO:
		return is_equal(content, request->content.at, request->content.length);
	}
	return false;
}

void plan_free_request(struct load_request *request)
{
	bytes_free(&request->out);
	bytes_free(&request->content);
}
