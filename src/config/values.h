/*
 * values - converts text into values of settings, and back.
 *
 * A value is stored in the struct `base`, at the offset of its setting; lists and strings are taken
 * from the arena. A formatted value can be read again as the same value. Backends and addresses to
 * listen on have their own readers.
 */
#ifndef RONDO_CONFIG_VALUES_H
#define RONDO_CONFIG_VALUES_H

#include "config/settings.h"
#include "node.h"

/* Reads `node` into base. NULL on success, else a message: "5 has no unit; write \"5s\"". */
const char *value_read(
    const struct setting *setting, const struct config_node *node, void *base, struct arena *arena);

/* The value in base in the syntax of a file: "\"5s\"", "3", "[ 500, 502 ]". NULL without memory. */
const char *value_format(const struct setting *setting, const void *base, struct arena *arena);

/* Is the value the same in both? Not for lists. */
bool value_is_same(const struct setting *setting, const void *base, const void *other);

/* What a command line has behind KEY=, as a node: lists are separated by commas. False without
 * memory. */
bool value_node(
    const struct setting *setting, struct str text, struct config_node *node, struct arena *arena);

/* What may be written, for people: "whole number, 1 to 16", "\"all\" or \"none\"", "boolean". NULL
 * without memory. */
const char *value_type_text(const struct setting *setting, struct arena *arena);

/* The default as a file has it. NULL when there is none, or without memory. */
const char *value_default_text(const struct setting *setting, struct arena *arena);

#endif
