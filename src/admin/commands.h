/*
 * commands - what admin.socket answers: one line, one JSON object.
 */
#ifndef RONDO_ADMIN_COMMANDS_H
#define RONDO_ADMIN_COMMANDS_H

#include "clients.h"

/* The run_request of clients of admin.socket. */
void commands_run(struct admin_client *client);

#endif
