/*
 * A request from a client: read whole and in pieces it is the same, and what goes on to the backend can be
 * read in no other way.
 */
#include "message.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct message_rules rules = {
    .limits = {.header_bytes = 1500, .headers = 12, .uri_bytes = 200}, .max_bytes = 3000};

/* What the backend reads: longer by what rondo adds. */
static const struct message_rules backend_rules = {
    .limits = {.header_bytes = 4 * 1500, .headers = MESSAGE_FIELDS, .uri_bytes = 201}};

static bool field_is_repeated(struct str head, struct str name)
{
	unsigned count = 0;

	while (head.data) {
		struct str line = str_split(&head, '\n');

		count += str_equals_nocase(str_split(&line, ':'), name);
	}
	return count > 1;
}

/* The forwarded head as the next reader sees it. */
static void assert_forwarded(const struct message *message)
{
	static struct message other;
	const struct message_facts *sent = &message->facts, *got = &other.facts;
	struct str head = {message->forwarded, message->forwarded_len};
	const char *path = message->path;

	message_read(&other, &backend_rules, (struct message_bytes){head, MESSAGE_LUMPS});
	assert(other.result == PARSE_DONE && other.head_length == message->forwarded_len);
	assert(got->minor == 1 && got->method == sent->method && got->keep_alive);
	/* An upgrade goes without content, even where the client said that there is none. */
	assert(got->framing == (sent->upgrades_websocket ? HTTP_FRAMING_NONE : sent->framing));
	assert(got->content_length == sent->content_length);
	assert(got->expects_continue == sent->expects_continue);
	assert(got->accepts_trailers == (sent->accepts_trailers && !sent->upgrades_websocket));
	assert(got->upgrades_websocket == sent->upgrades_websocket);
	assert(strcmp(other.host, *message->host ? message->host : "backend:8001") == 0);
	assert(strcmp(other.path + (*path == '?'), path) == 0);
	assert(!field_is_repeated(head, STR("Connection")));
	assert(!field_is_repeated(head, STR("X-Forwarded-For")));
	assert(!field_is_repeated(head, STR("X-Forwarded-Host")));
	assert(!field_is_repeated(head, STR("Keep-Alive")));
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
