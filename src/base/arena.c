#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the first chunk; each of the next ones is twice as large as the one before. */
enum { ARENA_CHUNK = 4096, ARENA_CHUNK_MAX = 65536 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t used;
	size_t size;
	alignas(max_align_t) char bytes[];
};

void arena_finish(struct arena *arena)
{
	struct arena_chunk *chunk = arena->chunks;

	while (chunk) {
		struct arena_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	*arena = (struct arena){0};
}

static struct arena_chunk *add_chunk(struct arena *arena, size_t size)
{
	size_t room = arena->chunks ? 2 * arena->chunks->size : ARENA_CHUNK;
	struct arena_chunk *chunk;

	if (room > ARENA_CHUNK_MAX)
		room = ARENA_CHUNK_MAX;
	if (room < size)
		room = size;
	if (room > SIZE_MAX - sizeof(*chunk) || !(chunk = calloc(1, sizeof(*chunk) + room))) {
		arena->failed = true;
		return NULL;
	}
	chunk->size = room;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *arena_take(struct arena *arena, size_t size)
{
	size_t step = alignof(max_align_t);
	struct arena_chunk *chunk = arena->chunks;
	void *piece;

	if (size > SIZE_MAX - step) {
		arena->failed = true;
		return NULL;
	}
	size = (size + step - 1) / step * step;
	if ((!chunk || chunk->size - chunk->used < size) && !(chunk = add_chunk(arena, size)))
		return NULL;
	piece = chunk->bytes + chunk->used;
	chunk->used += size;
	return piece;
}

char *arena_copy(struct arena *arena, struct str text)
{
	char *copy = arena_take(arena, text.len + 1);

	if (copy && text.len)
		memcpy(copy, text.data, text.len);
	return copy;
}

char *arena_copy_lower(struct arena *arena, struct str text)
{
	char *copy = arena_copy(arena, text);

	for (char *c = copy; c && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	struct arena_chunk *chunk = arena->chunks;
	size_t room = chunk ? chunk->size - chunk->used : 0;
	char *rest = room ? chunk->bytes + chunk->used : NULL;
	va_list args;
	char *text;
	int len;

	/* Mostly it fits behind the last piece. */
	va_start(args, format);
	len = vsnprintf(rest, room, format, args);
	va_end(args);
	text = len < 0 ? NULL : arena_take(arena, (size_t)len + 1);
	if (text && (size_t)len < room)
		return text;
	if (room)
		memset(rest, 0, room);
	if (!text)
		return NULL;
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}
