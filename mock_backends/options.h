/*
 * options - the command line of the mock backends and of load, as a table.
 *
 * A program lists what it takes; each value is stored in the variable of its row, so the default is
 * the value that the variable has before. --help is composed from the same rows. Any fault of the
 * command line ends the program with a message and status 2.
 */
#ifndef MOCK_OPTIONS_H
#define MOCK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum option_kind {
	OPTION_FLAG,     /* bool: no argument */
	OPTION_NUMBER,   /* int64_t: 0 and up; 64k, 8m and 1g are multiples of 1024 */
	OPTION_DURATION, /* int64_t, milliseconds: "500ms" "6s" "2m" "1h" or 0 */
	OPTION_TEXT,     /* const char *: points into argv */
	OPTION_CHOICE,   /* int: the index of a word in `argument`, counted from 0 */
};

struct option_row {
	const char *name;     /* without the dashes; NULL ends a table */
	const char *argument; /* for --help: "N"; of a choice its words: "head|length|chunked" */
	enum option_kind kind;
	void *value;
	const char *help;
};

struct option_tables {
	const char *about;              /* one sentence for --help */
	const struct option_row *own;   /* the program's rows, listed first; NULL: none */
	const struct option_row *extra; /* rows it shares with others; NULL: none */
};

/* Fills the variables of both tables from argv; exits for --help (0) and for mistakes (2). */
void options_parse(const struct option_tables *tables, int argc, char **argv);

#endif
