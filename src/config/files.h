/*
 * files - reads a file into a tree of nodes; the only module that knows libconfig.
 *
 * Variables in strings, ${NAME} and ${NAME:-default}, are replaced from the environment; $${ is a
 * literal ${. A string with a fault becomes a NODE_FAULTY, so that the rest can still be checked.
 */
#ifndef RONDO_CONFIG_FILES_H
#define RONDO_CONFIG_FILES_H

#include "text.h"

struct config_file {
	struct config_text text;
	struct config_node root; /* a group */
};

/* Reads `path`; nodes are taken from the arena. False when there is no tree; there may be faults in
 * either case. The caller finishes the file in either case, after the last use of its lines. */
bool config_file_read(
    struct config_file *file, const char *path, struct arena *arena, struct config_errors *errors);
void config_file_finish(struct config_file *file);

#endif
