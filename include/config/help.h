/*
 * help - the table of settings, for people: the answers of --explain.
 *
 * The answers of --explain, the example file and the list in the manual are all written from the
 * table, so that none of them can differ from the program. A test compares the two files with the
 * output of these functions.
 */
#ifndef RONDO_CONFIG_HELP_H
#define RONDO_CONFIG_HELP_H

#include "base/str.h"

#include <stdio.h>

/*
 * Explains a setting ("retry.tries"), a member of a backend ("backends.weight"), or lists those of
 * a group ("retry") or "all", a line each. False, and nothing written, when there is no such
 * setting or group.
 */
bool help_explain(const char *key, FILE *out);

/* Writes words in lines of at most `columns` characters, each behind `indent`. */
void help_write_wrapped(FILE *out, const char *indent, int columns, struct str text);

#endif
