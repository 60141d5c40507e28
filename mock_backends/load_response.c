#include "load_response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX (1 << 20)

void response_start(struct load_response *response)
{
	struct bytes in = response->in;

	bytes_clear(&in);
	*response = (struct load_response){.in = in};
}

struct bytes response_head(const struct load_response *response)
{
	return (struct bytes){.at = response->in.at, .length = response->head_length};
}

struct bytes response_content(const struct load_response *response)
{
	return (struct bytes){.at = response->in.at + response->head_length,
	    .length = response->chunks.body_end - response->head_length};
}

bool response_has_extra(const struct load_response *response)
{
	return response->in.length > response->chunks.next;
}

static bool parse_head(struct load_response *response)
{
	struct bytes head = response_head(response);
	char line[16];
	char value[64];
	char *end = NULL;
	char minor[2] = "";
	char space = 0;
	char status[4] = "";

	snprintf(line, sizeof(line), "%.13s", head.at);
	if (sscanf(line, "HTTP/1.%1[01]%c%3[0-9]", minor, &space, status) != 3 || space != ' ')
		return false;
	response->status = (int)strtol(status, NULL, 10);
	if (response->status < 100)
		return false;
	response->keep_alive = minor[0] == '0' ? head_has_word(&head, "Connection", "keep-alive")
					       : !head_has_word(&head, "Connection", "close");
	response->is_chunked = head_find_field(&head, "Transfer-Encoding", value, sizeof(value));
	if (response->is_chunked && strcasecmp(value, "chunked") != 0)
		return false;
	response->is_counted = head_find_field(&head, "Content-Length", value, sizeof(value));
	if (response->is_counted) {
		response->content_length = strtoul(value, &end, 10);
		if (value[0] < '0' || value[0] > '9' || *end != '\0' || response->is_chunked)
			return false;
	}
	if (response->status == 204 || response->status == 304) {
		response->is_counted = true;
		response->is_chunked = false;
		response->content_length = 0;
	}
	return true;
}

/* Can the bytes so far be the beginning of a status line? */
static bool starts_like_http(const struct bytes *in)
{
	static const char version[] = "HTTP/1.";
	size_t known = in->length < sizeof(version) - 1 ? in->length : sizeof(version) - 1;

	return known == 0 || memcmp(in->at, version, known) == 0;
}

/* Reads heads until one is final; MESSAGE_DONE then. */
static enum message_progress read_head(struct load_response *response)
{
	while (response->head_length == 0) {
		size_t length = bytes_find_end(&response->in, "\r\n\r\n");

		if (!starts_like_http(&response->in))
			return MESSAGE_BROKEN;
		if (length == 0)
			return response->in.length > HEAD_MAX ? MESSAGE_BROKEN : MESSAGE_MORE;
		response->head_length = length;
		if (!parse_head(response) || response->status == 101)
			return MESSAGE_BROKEN;
		response->chunks = (struct chunks){.body_end = length, .next = length};
		if (response->status < 200) {
			bytes_drop(&response->in, length);
			response->head_length = 0;
		}
	}
	return MESSAGE_DONE;
}

enum message_progress response_read(struct load_response *response, bool is_over)
{
	enum message_progress progress = read_head(response);
	size_t end = 0;

	if (progress != MESSAGE_DONE)
		return progress;
	if (response->is_chunked)
		return chunks_undo(&response->chunks, &response->in);
	end = response->is_counted ? response->head_length + response->content_length
				   : response->in.length;
	if (response->in.length < end || (!response->is_counted && !is_over))
		return MESSAGE_MORE;
	response->keep_alive = response->keep_alive && response->is_counted;
	response->chunks = (struct chunks){.body_end = end, .next = end};
	return MESSAGE_DONE;
}
