/*
 * config_impl - one load of a configuration, while it lasts.
 *
 * What config_load.c, config_backends.c and config_check.c share: the configuration being filled,
 * the faults, and all that is only needed until the end: nodes, lines, messages.
 */
#ifndef RONDO_CONFIG_LOAD_IMPL_H
#define RONDO_CONFIG_LOAD_IMPL_H

#include "config/config.h"
#include "files.h"
#include "values.h"

/* A backend that was read, and where. */
struct config_listed {
	struct config_listed *next;
	struct config_backend backend;
	const struct config_line *line;
};

struct config_opened {
	struct config_opened *next;
	struct config_file file;
};

struct config_load {
	struct config *config;
	struct config_errors *errors;
	const char *main_file;            /* NULL: none */
	const struct config_line **lines; /* of each setting; NULL where it has its default */
	struct config_listed *backends;   /* in order */
	struct config_listed **backends_end;
	struct config_opened *files; /* in order */
	struct config_opened **files_end;
	struct arena scratch;
};

/* Reads a value of `backends` and appends to the list. */
void config_backends_read(struct config_load *load, const struct config_node *node);

/* The list becomes that of the configuration. */
void config_backends_store(struct config_load *load);

/* What concerns more than one setting. */
void config_check(struct config_load *load);

#endif
