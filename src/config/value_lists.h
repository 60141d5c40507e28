/*
 * value_lists - the types whose values are lists: statuses, ranges, address blocks, addresses to
 * listen on.
 *
 * The part of values for them; the same rules hold. A single value stands for a list of one.
 */
#ifndef RONDO_CONFIG_VALUE_LISTS_H
#define RONDO_CONFIG_VALUE_LISTS_H

#include "config/settings.h"
#include "node.h"

/* NULL when the value of `node` went into base, else what is wrong. */
const char *value_list_read(
    const struct setting *setting, const struct config_node *node, void *base, struct arena *arena);

/* The value as a file has it. NULL without memory. */
const char *value_list_format(const struct setting *setting, const void *base, struct arena *arena);

/* A string as a file has it, in quotes. */
const char *value_quote(const char *text, struct arena *arena);

#endif
