/*
 * commands - what admin.socket answers: one line, one JSON object.
 */
#ifndef RONDO_ADMIN_COMMANDS_H
#define RONDO_ADMIN_COMMANDS_H

#include "request.h"

/* The `answer` of clients of admin.socket. */
void commands_answer(struct admin_request *request);

#endif
