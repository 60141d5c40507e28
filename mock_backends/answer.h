/*
 * answer - composes the answers of a correct application; a mock backend sends them, or breaks them
 * first.
 *
 * Every function adds one whole response to mock_out(), with X-Mock if the mock has a name, and
 * `Connection: close` if the client asked for it. The answer to HEAD is only the head.
 */
#ifndef MOCK_ANSWER_H
#define MOCK_ANSWER_H

#include "mock.h"

/*
 * The answer of `app` to a request:
 *   POST PUT PATCH        its own body and content type back
 *   GET /                 {"message":"ok"}, and the same to any path not named here
 *   GET /size/N           N bytes: a b c ... z a b ...
 *   GET /chunked/N        the same in chunks
 *   GET /slow/N?ms=M      the same, one byte every M milliseconds
 *   GET /head             the request head as it arrived here
 *   any /status/N         that status, 200 to 599
 *   any /delay/MS         what / says, so much later
 */
void answer_like_app(struct mock_conn *conn);

void answer_text(struct mock_conn *conn, int status, const char *text);

/* 200 with a chunked body; for HTTP/1.0 the end of the connection ends the body. */
void answer_chunked(struct mock_conn *conn, const struct bytes *body);

/* The length of the (first) head in the composed bytes. */
size_t answer_head_length(struct mock_conn *conn);

#endif
