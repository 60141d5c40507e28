/*
 * load - a configuration from a file and the command line.
 *
 * It is read and checked as a whole: the result is a configuration without a fault, or NULL and the
 * list of all faults.
 */
#ifndef RONDO_CONFIG_LOAD_H
#define RONDO_CONFIG_LOAD_H

#include "config/config.h"
#include "config/errors.h"

/* The sources of a configuration. Later ones win: file, listens and backends, sets. */
struct config_source {
	const char *file;           /* NULL: none is read */
	const char *const *listens; /* replace those of the file */
	size_t listen_count;
	const char *const *backends; /* replace those of the file */
	size_t backend_count;
	const char *const *sets; /* "retry.tries=2" */
	size_t set_count;
};

/* Reads and checks it. NULL when there is a fault: `errors` has all of them, or is marked
 * incomplete. */
struct config *config_load(const struct config_source *source, struct config_errors *errors);

/* Gives up a reference; the same as rules_drop(&config->rules). */
void config_drop(struct config *config);

#endif
