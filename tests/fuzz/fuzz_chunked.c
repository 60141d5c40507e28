/*
 * Chunked content: whole and in pieces it is the same; llhttp, which may only have objections to extensions and
 * trailers, reads the same content and the same end; decoded content comes through being chunked anew.
 */
#include "message.h"

#include <assert.h>
#include <llhttp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What llhttp makes of the same bytes. */
struct reference {
	char payload[MESSAGE_ROOM];
	size_t payload_len;
	bool complete;
};

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
	struct reference *reference = parser->data;

	assert(reference->payload_len + len <= MESSAGE_ROOM);
	memcpy(reference->payload + reference->payload_len, at, len);
	reference->payload_len += len;
	return HPE_OK;
}

static int on_complete(llhttp_t *parser)
{
	struct reference *reference = parser->data;

	reference->complete = true;
	return HPE_PAUSED;
}

/* Where it ends by the reference, or 0 when that has an objection. */
static size_t refer(struct reference *reference, struct str bytes)
{
	static const char head[] =
	    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
	const llhttp_settings_t settings = {.on_body = on_body, .on_message_complete = on_complete};
	llhttp_t parser;

	reference->payload_len = 0;
	reference->complete = false;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = reference;
	if (llhttp_execute(&parser, head, sizeof(head) - 1) != HPE_OK)
		return 0;
	if (llhttp_execute(&parser, bytes.data, bytes.len) != HPE_PAUSED || !reference->complete)
		return 0;
	return (size_t)(llhttp_get_error_pos(&parser) - bytes.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct http_head chunked = {.framing = HTTP_FRAMING_CHUNKED};
	static const struct message_rules rules = {
	    .limits = {.header_bytes = 300, .headers = 8, .uri_bytes = 1}, .max_bytes = 5000};
	static const enum message_pace paces[] = {MESSAGE_BYTEWISE, MESSAGE_CRUMBS, MESSAGE_LUMPS};
	static struct message_content whole, pieces;
	static struct reference reference;
	struct message_bytes bytes = {{(const char *)data, size}, MESSAGE_WHOLE};

	if (bytes.all.len > MESSAGE_ROOM)
		bytes.all.len = MESSAGE_ROOM;
	message_read_content(&whole, &rules, &chunked, bytes);
	for (size_t i = 0; i < sizeof(paces) / sizeof(*paces); i++) {
		bytes.pace = paces[i];
		message_read_content(&pieces, &rules, &chunked, bytes);
		message_assert_same_content(&whole, &pieces);
	}
	if (whole.result != BODY_DONE)
		return 0;

	size_t end = refer(&reference, bytes.all);

	/* Two bytes are the empty line behind no trailers. */
	assert(end || whole.trailers_len > 2 || memchr(data, ';', whole.consumed));
	if (end) {
		assert(end == whole.consumed && reference.payload_len == whole.payload_len);
		assert(memcmp(reference.payload, whole.payload, whole.payload_len) == 0);
	}
	message_assert_round_trip(&whole, &rules);
	return 0;
}
