/*
 * A response from a backend: read whole and in pieces it is the same, and what goes on to the client can be
 * read in no other way. The first byte says what was asked for: G, H a HEAD, W an upgrade, 0 by HTTP/1.0.
 */
#include "message.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {.header_bytes = 1500, .headers = 12, .uri_bytes = 200};
static const struct http_limits wide = {
    .header_bytes = 4 * 1500, .headers = MESSAGE_FIELDS, .uri_bytes = 201};

static struct http_head request_of(uint8_t kind)
{
	struct http_head request = {.method = HTTP_METHOD_GET, .minor = 1};

	if (kind == 'H')
		request.method = HTTP_METHOD_HEAD;
	request.upgrades_websocket = kind == 'W';
	request.minor = kind != '0';
	return request;
}

static void assert_forwarded(const struct message *message, const struct http_head *request)
{
	static struct message other;
	struct message_rules rules = {.limits = wide, .request = request};
	const struct message_facts *sent = &message->facts, *got = &other.facts;
	struct str head = {message->forwarded, message->forwarded_len};
	bool is_interim = sent->status < 200;

	message_read(&other, &rules, (struct message_bytes){head, MESSAGE_LUMPS});
	assert(other.result == PARSE_DONE && other.head_length == message->forwarded_len);
	assert(got->status == sent->status && got->minor == 1);
	assert(got->framing ==
	       (sent->framing == HTTP_FRAMING_CLOSE ? HTTP_FRAMING_CHUNKED : sent->framing));
	if (sent->framing == HTTP_FRAMING_LENGTH || sent->framing == HTTP_FRAMING_NONE)
		assert(got->content_length == sent->content_length);
	assert(got->keep_alive);
	assert(got->upgrades_websocket == sent->upgrades_websocket);
	assert(!is_interim || sent->framing == HTTP_FRAMING_NONE);
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
		assert_forwarded(&whole, &request);
	if (whole.result == PARSE_DONE && (whole.content.result == BODY_DONE || whole.content.ends))
		message_assert_round_trip(&whole.content, &rules);
	return 0;
}
