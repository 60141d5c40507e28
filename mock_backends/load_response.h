/*
 * load_response - reads one response as its bytes come, and keeps all of it.
 *
 * Interim responses (1xx) are skipped. When the response is done, the caller checks for bytes
 * behind it, which belong to no request.
 */
#ifndef MOCK_LOAD_RESPONSE_H
#define MOCK_LOAD_RESPONSE_H

#include "message.h"

struct load_response {
	struct bytes in;    /* the caller adds what it has read */
	size_t head_length; /* 0: the head is not complete */
	int status;
	bool keep_alive; /* the server has not announced that it closes */
	bool is_counted; /* by Content-Length */
	bool is_chunked; /* if neither, the end of the stream ends it */
	size_t content_length;
	struct chunks chunks; /* of any body: where it ends, where bytes too many would begin */
};

/* Makes it ready for the next response. */
void response_start(struct load_response *response);

/* The progress with the bytes so far. `is_over`: no more will come. */
enum message_progress response_read(struct load_response *response, bool is_over);

/* For a response that is done: its content, and whether more bytes came than that. */
struct bytes response_content(const struct load_response *response);
bool response_has_extra(const struct load_response *response);

/* The head; empty while it is not complete. */
struct bytes response_head(const struct load_response *response);

#endif
