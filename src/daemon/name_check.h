/*
 * name_check - which backends have a name without an address.
 *
 * For `rondo -t`: looks every name up once, in a loop of its own, for NAME_CHECK_MS at the longest.
 * An address that cannot be found now is a warning, no fault: a running rondo goes on asking.
 */
#ifndef RONDO_DAEMON_NAME_CHECK_H
#define RONDO_DAEMON_NAME_CHECK_H

#include "config/config.h"

#include <stdio.h>

enum { NAME_CHECK_MS = 2000, NAME_CHECK_LINES = 20 };

/* Prints a line for each of these backends, NAME_CHECK_LINES at most, and then how many more. */
void name_check_write(const struct config *config, FILE *out);

#endif
