/*
 * node - the content of a file, before it is interpreted.
 *
 * A tree of names and plain values, each with its line. Files, the command line and the defaults in
 * the table of settings all become nodes, so that one reader is enough for all. Nodes are taken
 * from the arena of one load.
 */
#ifndef RONDO_CONFIG_NODE_H
#define RONDO_CONFIG_NODE_H

#include "config/errors.h"

enum config_node_kind {
	NODE_STRING,
	NODE_INTEGER,
	NODE_FLOAT,
	NODE_BOOLEAN,
	NODE_LIST, /* ( ) or [ ] */
	NODE_GROUP,
	NODE_FAULTY /* a string that cannot be used; `text` is the reason */
};

struct config_node {
	const char *name; /* NULL in a list */
	enum config_node_kind kind;
	const char *text; /* NODE_STRING, with variables replaced; NODE_FAULTY */
	int64_t number;   /* NODE_INTEGER; NODE_BOOLEAN: 0 or 1 */
	struct config_node *items;
	size_t count;
	const struct config_line *line;
};

/* Reports each NODE_FAULTY in the node. True when there was one: the node must not be read then. */
bool config_node_is_faulty(const struct config_node *node, struct config_errors *errors);

/* "a string", "a list": for messages. */
const char *config_node_kind_text(enum config_node_kind kind);

#endif
