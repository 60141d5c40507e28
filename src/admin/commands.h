/*
 * commands - answers a line on admin.socket with a JSON object.
 */
#ifndef RONDO_ADMIN_COMMANDS_H
#define RONDO_ADMIN_COMMANDS_H

#include "request.h"

/* The `answer` of clients of admin.socket. */
void commands_answer(struct admin_request *request);

#endif
