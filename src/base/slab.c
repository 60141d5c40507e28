#include "base/slab.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* AddressSanitizer reports every use of an object that was given back. */
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISON 1
#endif
#endif
#ifdef SLAB_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum { SLAB_CHUNK_BYTES = 64 * 1024 };

struct slab_chunk {
	struct slab_chunk *next;
	_Alignas(max_align_t) char objects[];
};

/* The content of an object that is not in use. */
struct slab_free {
	struct slab_free *next;
};

void slab_init(struct slab *slab, size_t object_size, size_t limit)
{
	const size_t alignment = _Alignof(max_align_t);

	assert(object_size > 0 && object_size <= SIZE_MAX / 2);
	*slab = (struct slab){
	    .object_size = (object_size + alignment - 1) / alignment * alignment,
	    .limit = limit,
	};
}

void slab_finish(struct slab *slab)
{
	assert(slab->in_use == 0);
	while (slab->chunks) {
		struct slab_chunk *chunk = slab->chunks;

		slab->chunks = chunk->next;
		free(chunk);
	}
	slab->free = NULL;
	slab->built = 0;
}

static void slab_put(struct slab *slab, void *object)
{
	struct slab_free *entry = object;

	entry->next = slab->free;
	slab->free = entry;
	ASAN_POISON_MEMORY_REGION(object, slab->object_size);
}

/* Called when every object built so far is in use. */
static bool slab_grow(struct slab *slab)
{
	size_t count = SLAB_CHUNK_BYTES / slab->object_size;
	struct slab_chunk *chunk;

	if (count > slab->limit - slab->built)
		count = slab->limit - slab->built;
	if (count == 0)
		count = 1;
	chunk = malloc(sizeof(*chunk) + count * slab->object_size);
	if (!chunk)
		return false;
	chunk->next = slab->chunks;
	slab->chunks = chunk;
	slab->built += count;
	while (count-- > 0)
		slab_put(slab, chunk->objects + count * slab->object_size);
	return true;
}

void *slab_take(struct slab *slab)
{
	struct slab_free *entry;

	if (slab->in_use >= slab->limit)
		return NULL;
	if (!slab->free && !slab_grow(slab))
		return NULL;
	entry = slab->free;
	ASAN_UNPOISON_MEMORY_REGION(entry, slab->object_size);
	slab->free = entry->next;
	slab->in_use++;
	return entry;
}

void slab_give(struct slab *slab, void *object)
{
	if (!object)
		return;
	assert(slab->in_use > 0);
	slab->in_use--;
	slab_put(slab, object);
}
