/*
 * answer - what stands in an answer of rondo.
 *
 * What is not there, or of another type, is 0 or "": a newer rondoctl reads an older rondo.
 */
#ifndef RONDOCTL_ANSWER_H
#define RONDOCTL_ANSWER_H

#include <jansson.h>

/* The member at the end of a path of names, "connections.active"; NULL when there is none. */
json_t *answer_at(const json_t *object, const char *path);

/* What stands there, or 0 and "". */
double answer_number(const json_t *object, const char *path);
const char *answer_text(const json_t *object, const char *path);

/* All failures of a backend, be they its own or not. */
double answer_failures(const json_t *backend);

#endif
