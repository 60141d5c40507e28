/*
 * A response from a backend: read whole and in pieces it is the same, and what goes on to the client can be
 * read in no other way. The first byte says what was asked for: G, H a HEAD, W an upgrade, 0 by HTTP/1.0.
 */
#include "message.h"
#include "reference.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {.header_bytes = 1500, .headers = 12, .uri_bytes = 200};
static const char *names[] = {"websocket"};
static const struct http_upgrades protocols = {names, 1};
static struct http_field asked = {.name = STR("Upgrade"), .value = STR("websocket")};

static struct http_head request_of(uint8_t kind)
{
	struct http_head request = {.method = HTTP_METHOD_GET, .minor = 1};

	if (kind == 'H')
		request.method = HTTP_METHOD_HEAD;
	if (kind == 'W') {
		request.upgrades = &protocols;
		request.fields = &asked;
		request.field_count = 1;
	}
	request.minor = kind != '0';
	return request;
}

/* The forwarded head as the next reader sees it. */
static void assert_forwarded(const struct message *message)
{
	static struct reference got;
	const struct message_facts *sent = &message->facts;
	bool is_interim = sent->status < 200;

	reference_read(
	    &got, HTTP_RESPONSE, (struct str){message->forwarded, message->forwarded_len});
	assert(got.status == sent->status && got.minor == 1 && !got.closes);
	assert(got.chunked ==
	       (sent->framing == HTTP_FRAMING_CHUNKED || sent->framing == HTTP_FRAMING_CLOSE));
	assert(sent->framing != HTTP_FRAMING_LENGTH || got.has_length);
	if (sent->framing == HTTP_FRAMING_LENGTH || sent->framing == HTTP_FRAMING_NONE)
		assert(got.content_length == sent->content_length);
	assert(got.upgrades == sent->upgrades);
	assert(!is_interim || (!got.chunked && !got.has_length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum message_pace paces[] = {MESSAGE_BYTEWISE, MESSAGE_CRUMBS, MESSAGE_LUMPS};
	static struct message whole, pieces;
	struct http_head request = request_of(size ? *data : 0);
	struct message_rules rules = {.limits = limits, .request = &request};
	struct message_bytes bytes = {{(const char *)data + 1, size - 1}, MESSAGE_WHOLE};

	if (!size)
		return 0;
	message_read(&whole, &rules, bytes);
	for (size_t i = 0; i < sizeof(paces) / sizeof(*paces); i++) {
		bytes.pace = paces[i];
		message_read(&pieces, &rules, bytes);
		message_assert_same(&whole, &pieces);
	}
	if (whole.result == PARSE_DONE)
		assert_forwarded(&whole);
	if (whole.result == PARSE_DONE && (whole.content.result == BODY_DONE || whole.content.ends))
		message_assert_round_trip(&whole.content, &rules);
	return 0;
}
