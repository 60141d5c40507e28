/*
 * answer - reads members of an answer of rondo.
 *
 * A member that is missing or has another type is 0 or "": a newer rondoctl can read an older
 * rondo.
 */
#ifndef RONDOCTL_ANSWER_H
#define RONDOCTL_ANSWER_H

#include <jansson.h>

/* The member at the end of a path of names, "connections.active"; NULL when there is none. */
json_t *answer_at(const json_t *object, const char *path);

/* The value of a member, or 0 and "". */
double answer_number(const json_t *object, const char *path);
const char *answer_text(const json_t *object, const char *path);

/* All failures of a backend, whether it caused them or not. */
double answer_failures(const json_t *backend);

#endif
