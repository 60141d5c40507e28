/*
 * A request from a client: read whole and in pieces it is the same, and what goes on to the backend can be
 * read in no other way.
 */
#include "message.h"
#include "reference.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct message_rules rules = {
    .limits = {.header_bytes = 1500, .headers = 12, .uri_bytes = 200}, .max_bytes = 3000};

static const char *const methods[] = {[HTTP_METHOD_GET] = "GET",
    [HTTP_METHOD_HEAD] = "HEAD",
    [HTTP_METHOD_OPTIONS] = "OPTIONS",
    [HTTP_METHOD_TRACE] = "TRACE",
    [HTTP_METHOD_PUT] = "PUT",
    [HTTP_METHOD_DELETE] = "DELETE",
    [HTTP_METHOD_POST] = "POST",
    [HTTP_METHOD_CONNECT] = "CONNECT"};

static void assert_method(const struct message *sent, struct str got)
{
	assert(str_equals(got, str_from(sent->method)));
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		assert((methods[i] && str_equals(got, str_from(methods[i]))) ==
		       (methods[i] && i == sent->facts.method));
}

static void assert_framing(const struct message_facts *sent, const struct reference *got)
{
	enum http_framing framing = sent->framing;

	assert(got->chunked == (framing == HTTP_FRAMING_CHUNKED));
	assert(framing != HTTP_FRAMING_LENGTH || got->has_length);
	assert(framing != HTTP_FRAMING_NONE || got->content_length == 0);
	assert(got->content_length == sent->content_length);
}

/* The forwarded head as the next reader sees it. */
static void assert_forwarded(const struct message *message)
{
	static struct reference got;
	const struct message_facts *sent = &message->facts;
	const char *path = message->path, *host = sent->has_host ? message->host : "backend:8001";

	reference_read(
	    &got, HTTP_REQUEST, (struct str){message->forwarded, message->forwarded_len});
	assert(got.minor == 1 && !got.closes);
	assert_method(message, got.method);
	assert_framing(sent, &got);
	assert(reference_has_token(&got, STR("Expect"), STR("100-continue")) ==
	       sent->expects_continue);
	assert(reference_has_token(&got, STR("TE"), STR("trailers")) ==
	       (sent->accepts_trailers && !sent->upgrades));
	assert(sent->method == HTTP_METHOD_CONNECT || got.upgrades == sent->upgrades);
	assert(reference_count(&got, STR("Host")) == 1);
	assert(str_equals(reference_value(&got, STR("Host")), str_from(host)));
	/* A query goes behind a path, though it came without. */
	if (*path == '?')
		assert(got.target.len > 0 && *got.target.data++ == '/' && got.target.len--);
	assert(str_equals(got.target, str_from(path)));
	assert(reference_count(&got, STR("Connection")) <= 1);
	assert(reference_count(&got, STR("X-Forwarded-For")) <= 1);
	assert(reference_count(&got, STR("X-Forwarded-Host")) <= 1);
	assert(reference_count(&got, STR("Keep-Alive")) <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum message_pace paces[] = {MESSAGE_BYTEWISE, MESSAGE_CRUMBS, MESSAGE_LUMPS};
	static struct message whole, pieces;
	struct message_bytes bytes = {{(const char *)data, size}, MESSAGE_WHOLE};

	message_read(&whole, &rules, bytes);
	for (size_t i = 0; i < sizeof(paces) / sizeof(*paces); i++) {
		bytes.pace = paces[i];
		message_read(&pieces, &rules, bytes);
		message_assert_same(&whole, &pieces);
	}
	if (whole.result == PARSE_DONE)
		assert_forwarded(&whole);
	if (whole.result == PARSE_DONE && whole.content.result == BODY_DONE)
		message_assert_round_trip(&whole.content, &rules);
	return 0;
}
