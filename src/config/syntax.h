/*
 * syntax - what is wrong with a text that is no configuration.
 *
 * libconfig says "syntax error" and a line that is often the wrong one; it also takes some mistakes
 * silently (two strings in a row become one, numbers beyond 32 bits wrap) and leaks memory on
 * others. So every text is walked through here first: the grammar of libconfig 1.5, which newer
 * versions accept too, with messages for people. It goes on after a fault, to find them all.
 */
#ifndef RONDO_CONFIG_SYNTAX_H
#define RONDO_CONFIG_SYNTAX_H

#include "text.h"

/* Deeper nesting than this is a fault. */
enum { CONFIG_SYNTAX_DEPTH = 16 };

/* Where the values of a good text stand: libconfig's own lines are those of the next word, for some
 * of them. */
struct config_syntax {
	const struct config_line **lines; /* of each value, in the order in which they begin */
	size_t count;
	size_t size;
};

/* Checks the whole text. False when there are faults: they are in `errors`. To be finished either
 * way. */
bool config_syntax_check(
    struct config_syntax *found, const struct config_text *text, struct config_errors *errors);
void config_syntax_finish(struct config_syntax *found);

#endif
