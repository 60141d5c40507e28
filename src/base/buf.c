#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *buf, struct slab *blocks)
{
	*buf = (struct buf){.blocks = blocks};
}

void buf_release(struct buf *buf)
{
	slab_give(buf->blocks, buf->data);
	buf_init(buf, buf->blocks);
}

bool buf_reserve(struct buf *buf)
{
	if (buf->data)
		return true;
	buf->data = slab_take(buf->blocks);
	if (!buf->data)
		return false;
	buf->size = buf->blocks->object_size;
	return true;
}

void buf_compact(struct buf *buf)
{
	size_t len = buf_len(buf);

	if (buf->begin == 0)
		return;
	memmove(buf->data, buf->data + buf->begin, len);
	buf->begin = 0;
	buf->end = len;
}

void buf_filled(struct buf *buf, size_t len)
{
	assert(len <= buf_room(buf));
	buf->end += len;
}

void buf_consume(struct buf *buf, size_t len)
{
	assert(len <= buf_len(buf));
	buf->begin += len;
	if (buf->begin == buf->end)
		buf->begin = buf->end = 0;
}

bool buf_append(struct buf *buf, struct str bytes)
{
	if (bytes.len == 0)
		return true;
	/* Take no storage for bytes that cannot fit. */
	if (bytes.len > buf->blocks->object_size || !buf_reserve(buf) || bytes.len > buf_room(buf))
		return false;
	memcpy(buf->data + buf->end, bytes.data, bytes.len);
	buf->end += bytes.len;
	return true;
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
	bool had_storage = buf->data != NULL;
	va_list args;
	int len;

	if (!buf_reserve(buf))
		return false;
	va_start(args, format);
	len = vsnprintf(buf->data + buf->end, buf_room(buf), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= buf_room(buf)) {
		if (!had_storage)
			buf_release(buf);
		return false;
	}
	buf->end += (size_t)len;
	return true;
}
