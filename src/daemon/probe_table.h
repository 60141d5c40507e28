/*
 * probe_table - checks every backend once and shows the results.
 *
 * For `rondo -P`: resolves each name, tries its addresses in turn, and requests health.path where
 * it is set. All backends are checked at the same time, in a loop of its own, within the limits of
 * the configuration. It accepts no clients and changes nothing.
 */
#ifndef RONDO_DAEMON_PROBE_TABLE_H
#define RONDO_DAEMON_PROBE_TABLE_H

#include "config/config.h"

#include <stdio.h>

/* Prints a line for each backend: name, url, time, status or error. True when all are healthy.
 */
bool probe_table_write(const struct config *config, FILE *out);

#endif
