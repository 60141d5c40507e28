/*
 * syntax - checks the syntax of a configuration and reports all mistakes.
 *
 * libconfig says only "syntax error", often with a wrong line. It also accepts some mistakes
 * silently (two strings in a row become one, numbers beyond 32 bits wrap) and leaks memory on
 * others. So every text is checked here first, against the grammar of libconfig 1.5, which newer
 * versions accept too, with clear messages. The check goes on after a fault, to find them all.
 */
#ifndef RONDO_CONFIG_SYNTAX_H
#define RONDO_CONFIG_SYNTAX_H

#include "text.h"

/* Deeper nesting than this is a fault. */
enum { CONFIG_SYNTAX_DEPTH = 16 };

/* The lines of all values of a valid text. For some values libconfig reports the line of the next
 * word. */
struct config_syntax {
	const struct config_line **lines; /* of each value, in the order in which they begin */
	size_t count;
	size_t size;
};

/* Checks the whole text. False when there are faults: they are in `errors`. The caller finishes
 * `found` in either case. */
bool config_syntax_check(
    struct config_syntax *found, const struct config_text *text, struct config_errors *errors);
void config_syntax_finish(struct config_syntax *found);

#endif
