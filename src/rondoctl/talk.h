/*
 * talk - sends one command to a running rondo and reads the answer.
 *
 * The answer is a JSON object with `ok`, `text` and members that depend on the command. Each call
 * opens a connection to the admin socket and waits for a limited time.
 */
#ifndef RONDOCTL_TALK_H
#define RONDOCTL_TALK_H

#include <jansson.h>

/* The caller owns the answer. NULL when there is none, with the reason in `error`. */
enum { TALK_ERROR_SIZE = 256 };
json_t *talk(const char *socket_path, const char *command, char error[static TALK_ERROR_SIZE]);

#endif
