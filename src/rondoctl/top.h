/*
 * top - the state of a running rondo, live on a terminal.
 *
 * Asks once a second, and shows what changed since: rates, and response times of the last ten
 * seconds. Plain escape sequences on the alternate screen; it follows the size of the window, and
 * whatever ends it, the terminal is as before.
 */
#ifndef RONDOCTL_TOP_H
#define RONDOCTL_TOP_H

#include <stdbool.h>

/* Until q or Ctrl-C. False, and a line on stderr, when there is no terminal or no answer from the
 * start. */
bool top(const char *socket_path, bool coloured);

#endif
