/*
 * arena - memory that is given back all at once.
 *
 * A configuration consists of many small pieces that are freed together: they are taken from an
 * arena, and arena_finish frees all of them. Pieces never move and are zeroed. When the system has
 * no memory, the functions return NULL and arena->failed stays set, so that a caller that takes
 * many pieces can check once at the end.
 */
#ifndef RONDO_BASE_ARENA_H
#define RONDO_BASE_ARENA_H

#include "base/str.h"

struct arena {
	struct arena_chunk *chunks; /* the newest first */
	bool failed;
};

/* An arena of all zeroes is empty and ready. */
void arena_finish(struct arena *arena);

/* `size` zeroed bytes, aligned for anything. */
void *arena_take(struct arena *arena, size_t size);

/* A terminated copy. */
char *arena_copy(struct arena *arena, struct str text);

/* A terminated copy with small letters for the capital ones of ASCII. */
char *arena_copy_lower(struct arena *arena, struct str text);

/* Formatted text. */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
