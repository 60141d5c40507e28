/*
 * text - the lines of a configuration file, each with the place it comes from.
 *
 * A file is read whole, once. An `@include "other"` at the start of a line is replaced by the lines
 * of that file (relative to the including one), so that whoever parses the text sees no files, and
 * every line still knows its own. Byte order mark, carriage returns before line ends and a missing
 * last line end are put right.
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
	char **files; /* names of those that were read, the first is the file itself */
	size_t file_count;
};

/* False when anything could not be read; the faults are in `errors`. The text is to be finished
 * either way. */
bool config_text_read(struct config_text *text, const char *file, struct config_errors *errors);
void config_text_finish(struct config_text *text);

/* The line number `number` of the whole, counted from 1; the last one when there are not so many.
 */
const struct config_line *config_text_line(const struct config_text *text, size_t number);

/* The path `name` has when it is written in `file`: relative to the directory of `file`. To be
 * freed. */
char *config_text_path(const char *file, struct str name);

#endif
