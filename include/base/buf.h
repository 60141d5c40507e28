/*
 * buf - bytes that were received or composed and are not sent yet.
 *
 *        storage           begin                 end              size
 *           |  already gone  |   the content      |   room          |
 *
 * Storage is taken from a slab of blocks when the first byte is about to arrive (buf_reserve) and
 * given back when the content is gone (buf_release), so that a silent connection holds none. The
 * content never moves by itself: only buf_compact moves it.
 *
 * Invariant: begin <= end <= size, and all are 0 without storage.
 */
#ifndef RONDO_BASE_BUF_H
#define RONDO_BASE_BUF_H

#include "base/slab.h"
#include "base/str.h"

struct buf {
	char *data; /* NULL without storage */
	size_t begin;
	size_t end;
	size_t size;
	struct slab *blocks; /* whose object_size is the size of every block */
};

/* Empty, without storage. `blocks` must outlive the buf. */
void buf_init(struct buf *buf, struct slab *blocks);

/* Drops the content and gives the storage back. The buf is as after buf_init. */
void buf_release(struct buf *buf);

/* Makes sure there is storage; false when the slab has none left. */
bool buf_reserve(struct buf *buf);

/* Moves the content to the front of the storage; slices into it are invalid afterwards. */
void buf_compact(struct buf *buf);

static inline size_t buf_len(const struct buf *buf)
{
	return buf->end - buf->begin;
}

/* Bytes that can still be appended without moving anything; 0 without storage. */
static inline size_t buf_room(const struct buf *buf)
{
	return buf->size - buf->end;
}

static inline struct str buf_content(const struct buf *buf)
{
	return (struct str){buf->data ? buf->data + buf->begin : NULL, buf_len(buf)};
}

/* Adds `len` bytes, which the caller has written behind the content, to the content. */
void buf_filled(struct buf *buf, size_t len);

/* Drops `len` bytes from the front. Storage stays; when the content is gone it starts at 0
 * again. */
void buf_consume(struct buf *buf, size_t len);

/* Appends a copy of `bytes`, taking storage if there is none. False, and nothing appended, when it
 * does not fit behind the content or no storage is left. */
bool buf_append(struct buf *buf, struct str bytes);

/* Appends formatted text under the same conditions; there must be room for one byte more than the
 * text, because printf writes a terminator. */
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
