/*
 * help - the table of settings, for people.
 *
 * The answers of --explain, the example file and the list in the manual are all written from the
 * table, so that none of them can say something else than the program does. A test compares the two
 * files with what is written here.
 */
#ifndef RONDO_CONFIG_HELP_H
#define RONDO_CONFIG_HELP_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Explains a setting ("retry.tries"), a member of a backend ("backends.weight"), or lists those of
 * a group ("retry") or "all", a line each. False, and nothing written, when nothing is called so.
 */
bool help_explain(const char *key, FILE *out);

/* The whole of conf/rondo.conf. */
void help_write_example(FILE *out);

/* The list of settings in conf/rondo.conf.5, in mdoc. */
void help_write_manual(FILE *out);

#endif
