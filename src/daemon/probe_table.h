/*
 * probe_table - checks every backend once and shows what came of it.
 *
 * For `rondo -P`: each name is resolved, its addresses are tried in turn, and where health.path is
 * set it is asked for. All of them at once, in a loop of its own, each within the limits of the
 * configuration. Serves nobody and changes nothing.
 */
#ifndef RONDO_DAEMON_PROBE_TABLE_H
#define RONDO_DAEMON_PROBE_TABLE_H

#include "config/config.h"

#include <stdio.h>

/* Prints a line for each backend: name, url, time, status or error. True when all of them are well.
 */
bool probe_table_write(const struct config *config, FILE *out);

#endif
