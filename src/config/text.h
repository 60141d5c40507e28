/*
 * text - the lines of a configuration file, each with its origin.
 *
 * Each file is read once, as a whole. An `@include "other"` at the start of a line is replaced by
 * the lines of that file (relative to the including one), so that the parser sees one text, in
 * which every line still has its file and number. A byte order mark and carriage returns before
 * line ends are removed, and a missing last line end is added.
 */
#ifndef RONDO_CONFIG_TEXT_H
#define RONDO_CONFIG_TEXT_H

#include "node.h"

struct config_text {
	char *all; /* terminated; every line ends with '\n' */
	size_t len;
	size_t size;
	struct config_line *lines; /* line n of `all` is lines[n - 1] */
	size_t line_count;
	size_t line_size;
	char **files; /* names of all files that were read, the main file first */
	size_t file_count;
};

/* False when a file could not be read; the faults are in `errors`. The caller finishes the text in
 * either case. */
bool config_text_read(struct config_text *text, const char *file, struct config_errors *errors);
void config_text_finish(struct config_text *text);

/* The line with this number in the whole text, counted from 1; the last line when there are fewer.
 */
const struct config_line *config_text_line(const struct config_text *text, size_t number);

/* The path of `name` as written in `file`: relative to the directory of `file`. The caller frees
 * it. */
char *config_text_path(const char *file, struct str name);

#endif
