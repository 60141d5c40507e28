/*
 * value_lists - the types whose values are lists: statuses, ranges, address blocks, names,
 * addresses to listen on.
 *
 * A part of values, with the same rules. A single value is read as a list with one element.
 */
#ifndef RONDO_CONFIG_VALUE_LISTS_H
#define RONDO_CONFIG_VALUE_LISTS_H

#include "config/settings.h"
#include "node.h"

/* Stores the value of `node` in base. NULL on success, else a message. */
const char *value_list_read(
    const struct setting *setting, const struct config_node *node, void *base, struct arena *arena);

/* The value in the syntax of a file. NULL without memory. */
const char *value_list_format(const struct setting *setting, const void *base, struct arena *arena);

/* Reads listen->text, an address to listen on. NULL on success, else a message. */
const char *value_parse_listen(struct config_listen *listen, struct arena *arena);

/* A string in the syntax of a file, in quotes. */
const char *value_quote(const char *text, struct arena *arena);

#endif
