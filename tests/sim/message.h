/*
 * message - the requests that clients make up and the answers that servers make up, and what becomes of their fields.
 *
 * Among the fields are some that must pass and some that must not; a hash of the former, in their order, is what the other end is
 * held against.
 */
#ifndef RONDO_SIM_MESSAGE_H
#define RONDO_SIM_MESSAGE_H

#include "text.h"
#include "world.h"

/* What a client is going to ask, all decided; adds its bytes to `wire`. `is_last`: the connection ends with it. */
void message_compose_request(struct text *wire, struct request *request, bool is_last);

/* What a server answers in `visit`, whose status, framing, length and number of interims are decided: its bytes. */
void message_compose_answer(struct text *wire, struct visit *visit, bool closes);

#define MESSAGE_TRAILERS "X-End: of it\r\n\r\n"

/* Content under its framing, to the end of the message; chunks of sizes of chance. With `breaks` a chunk line is none. True when
 * trailers follow: MESSAGE_TRAILERS, and perhaps some that pass to nobody. */
bool message_put_content(
    struct text *wire, enum framing framing, uint32_t length, uint32_t key, bool breaks);

/* The request that a head at a server belongs to, or -1: then it is one of rondo's own probes. All of the head is held
 * against what was asked. */
int64_t message_check_request(const struct reader *reader, bool *is_probe);

/* What the client reads out of a final answer's head. */
struct message_answer {
	unsigned status;
	bool is_own;     /* rondo's, not a server's */
	int64_t request; /* by the answer's own word; -1 with rondo's */
	int64_t visit;
	enum framing framing;
	uint64_t length;
	bool closes;
};

void message_check_answer(
    const struct reader *reader, const struct request *request, struct message_answer *answer);

struct str message_method(enum method method);

#endif
