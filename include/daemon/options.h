/*
 * options - parses the command line.
 *
 * Strings point into argv. The options own their lists; a process has one set of options and keeps
 * it.
 */
#ifndef RONDO_DAEMON_OPTIONS_H
#define RONDO_DAEMON_OPTIONS_H

#include "config/load.h"

enum options_mode {
	OPTIONS_RUN,
	OPTIONS_TEST,
	OPTIONS_DUMP,
	OPTIONS_PROBE,
	OPTIONS_EXPLAIN,
	OPTIONS_VERSION,
	OPTIONS_HELP
};

/* Exit statuses of rondo. */
enum exit_status {
	EXIT_CLEAN = 0,
	EXIT_CANNOT_RUN = 1, /* bind failed, out of descriptors */
	EXIT_BAD_USAGE = 2,
	EXIT_BAD_CONFIG = 78 /* EX_CONFIG */
};

struct options {
	enum options_mode mode;
	struct config_source source; /* for config_load, at start and at each reload */
	const char *explain;         /* OPTIONS_EXPLAIN: the key */
	bool quiet;                  /* no log lines below warning; -t prints nothing on success */
	char *const *argv;           /* for the successor */
	const char **lists;          /* storage of the lists in `source` */
};

/* False on bad usage, which is reported on stderr. */
bool options_parse(struct options *options, int argc, char **argv);
void options_finish(struct options *options);

#endif
