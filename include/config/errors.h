/*
 * errors - the faults of a configuration, each with its line.
 *
 * The list grows while a configuration is read, and is printed at the end. When memory runs out
 * some faults are missing, and the list says so.
 */
#ifndef RONDO_CONFIG_ERRORS_H
#define RONDO_CONFIG_ERRORS_H

#include "base/arena.h"

#include <stdio.h>

/* A line of a file, to be named in messages. */
struct config_line {
	const char *file; /* or "--set retry.tries=2" */
	unsigned number;  /* 0: no line of a file */
	struct str text;
};

/* More faults than this say nothing new. */
enum { CONFIG_ERRORS_MAX = 20 };

/* One fault. */
struct config_error {
	char *message; /* "rondo.conf:31: unknown setting `wieght`" */
	char *source;  /* the line of the file, or NULL */
	char *hint;    /* how to correct it, or NULL */
};

struct config_errors {
	struct config_error *items;
	size_t count;
	size_t capacity;
	bool more; /* than CONFIG_ERRORS_MAX: the rest was left out, and need not be looked for */
	bool incomplete; /* out of memory: some are missing */
};

/* Frees the list; it is empty afterwards. A list of all zeroes is empty. */
void config_errors_finish(struct config_errors *errors);

/* Prints every fault: message, source line, hint. */
void config_errors_write(const struct config_errors *errors, FILE *out);

/* Adds a fault on `line`, unless there are CONFIG_ERRORS_MAX; `hint` may be NULL. */
struct config_fault {
	const struct config_line *line;
	const char *hint;
};
void config_errors_add(struct config_errors *errors, struct config_fault fault, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* Why a configuration without faults cannot take effect. */
struct config_refusal {
	char text[512];
};

/* Writes the reason, as much as fits, and returns false. */
bool config_refuse(struct config_refusal *refusal, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "FILE:LINE", or "command line". */
const char *config_line_origin(const struct config_line *line, struct arena *arena);

#endif
