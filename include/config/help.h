/*
 * help - the table of settings, for people: the answers of --explain.
 *
 * conf/rondo.conf and the list in conf/rondo.conf.5 are written from the same table by a test.
 */
#ifndef RONDO_CONFIG_HELP_H
#define RONDO_CONFIG_HELP_H

#include "base/str.h"

#include <stdio.h>

/*
 * Explains a setting ("retry.tries"), a member of a backend ("backends.weight"), or lists those of
 * a group ("retry") or "all", a line each. False, and nothing written, when nothing is called so.
 */
bool help_explain(const char *key, FILE *out);

/* Writes words in lines of at most `columns` characters, each behind `indent`. */
void help_write_wrapped(FILE *out, const char *indent, int columns, struct str text);

#endif
