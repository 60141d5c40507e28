/*
 * load_response - one response, read as its bytes come, kept whole.
 *
 * Interim responses (1xx) are read over. Once it is done, bytes behind it are for the caller to
 * notice: nobody asked for them.
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
	bool is_chunked; /* with neither, the end of the stream ends it */
	size_t content_length;
	struct chunks chunks; /* of any body: where it ends, where bytes too many would begin */
};

/* Makes it ready for the next response. */
void response_start(struct load_response *response);

/* What the bytes so far amount to. `is_over`: no more will come. */
enum message_progress response_read(struct load_response *response, bool is_over);

/* Of a response that is done: its content, and whether more came than that. */
struct bytes response_content(const struct load_response *response);
bool response_has_extra(const struct load_response *response);

/* The head; empty while it is not complete. */
struct bytes response_head(const struct load_response *response);

#endif
