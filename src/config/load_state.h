/*
 * load_state - the state of loading one configuration.
 *
 * load, backends and check share it. It has the configuration that is being filled, the faults, and
 * all data that is needed only during the load: nodes, lines, messages.
 */
#ifndef RONDO_CONFIG_LOAD_STATE_H
#define RONDO_CONFIG_LOAD_STATE_H

#include "base/table.h"
#include "config/config.h"
#include "files.h"
#include "values.h"

/* A backend that was read, and its line. */
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
	struct table servers, names; /* of these */
	struct config_opened *files; /* in order */
	struct config_opened **files_end;
	struct arena scratch;
};

#endif
