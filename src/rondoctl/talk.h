/*
 * talk - one command to a running rondo, one answer.
 *
 * The answer is a JSON object with `ok` and `text`, and whatever the command is about. Each call is
 * a connection of its own to the admin socket; it waits, but not for ever.
 */
#ifndef RONDOCTL_TALK_H
#define RONDOCTL_TALK_H

#include <jansson.h>

/* The caller owns the answer. NULL, and a reason in `error`, when there is none. */
enum { TALK_ERROR_SIZE = 256 };
json_t *talk(const char *socket_path, const char *command, char error[static TALK_ERROR_SIZE]);

#endif
