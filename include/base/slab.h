/*
 * slab - same-size objects with a hard limit and a count in use.
 *
 * One slab for each kind of run-time object. Its limit is the admission control for that kind: when
 * it is reached, slab_take returns NULL and the caller refuses or waits. Memory is taken from the
 * system in steps when it is needed and is kept for reuse; the object given back last is taken
 * first, because it is probably still in the processor's cache. Objects are not cleared. A slab
 * must outlive its objects.
 */
#ifndef RONDO_BASE_SLAB_H
#define RONDO_BASE_SLAB_H

#include <stddef.h>

struct slab_chunk;
struct slab_free;

struct slab {
	size_t object_size;
	size_t limit;  /* objects at most; may be changed at any time */
	size_t in_use; /* objects taken and not given back */
	size_t built;  /* objects ever carved out of chunks */
	struct slab_free *free;
	struct slab_chunk *chunks;
};

/* `object_size` in bytes (rounded up to keep alignment), `limit` in objects. Takes no memory
 * yet. */
void slab_init(struct slab *slab, size_t object_size, size_t limit);

/* Gives all memory back to the system. Every object must have been given back. */
void slab_finish(struct slab *slab);

/* An object with undefined content, or NULL when the limit is reached or the system has no
 * memory. */
void *slab_take(struct slab *slab);

/* Gives back an object of slab_take; NULL is allowed and does nothing. */
void slab_give(struct slab *slab, void *object);

#endif
