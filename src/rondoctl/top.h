/*
 * top - the state of a running rondo, live on a terminal.
 *
 * Asks once a second, and shows what changed since: rates, and response times of the last ten
 * seconds. Plain escape sequences on the alternate screen; it follows the size of the window, and
 * always restores the terminal at the end.
 */
#ifndef RONDOCTL_TOP_H
#define RONDOCTL_TOP_H

#include <stdbool.h>

/* Runs until q or Ctrl-C. False, and a line on stderr, when there is no terminal or no first
 * answer. */
bool top(const char *socket_path, bool coloured);

#endif
