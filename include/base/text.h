/*
 * text - bounded writing: numbers, durations, escapes.
 *
 * A text is composed into room that somebody else owns. Once something has no room nothing more is
 * written, so that it is enough to ask text_is_whole at the end. Nothing is terminated.
 */
#ifndef RONDO_BASE_TEXT_H
#define RONDO_BASE_TEXT_H

#include "base/str.h"

struct text {
	char *at; /* where the next byte goes; NULL once something had no room */
	size_t room;
};

static inline struct text text_begin(char *out, size_t room)
{
	return (struct text){out, room};
}

static inline bool text_is_whole(const struct text *text)
{
	return text->at != NULL;
}

/* The place of the next `len` bytes, for the caller to fill, or NULL when they have no room. */
static inline char *text_take(struct text *text, size_t len)
{
	char *place = text->at;

	if (!place || len > text->room) {
		text->at = NULL;
		return NULL;
	}
	text->at += len;
	text->room -= len;
	return place;
}

/* Inlined, so that what is known when this is compiled is copied without a call. */
__attribute__((always_inline)) static inline void text_put(struct text *text, struct str bytes)
{
	char *place = text_take(text, bytes.len);

	if (place && bytes.len)
		memcpy(place, bytes.data, bytes.len);
}

void text_put_number(struct text *text, uint64_t number);

/* The last `digits` digits of a number, with zeros in front: "007". */
void text_put_digits(struct text *text, uint64_t number, size_t digits);

enum text_quoting {
	TEXT_LINE,   /* bytes that are not printable ASCII: "\x1B" */
	TEXT_QUOTED, /* these, the quote and the backslash */
	TEXT_WORD,   /* these and the space, which would begin another word */
	TEXT_JSON    /* as TEXT_QUOTED, but "\u001B" */
};

/* Bytes that somebody else chose, escaped. What is longer than `limit`, when written, is cut, and
 * "..." follows; the last escape may exceed it. */
void text_put_escaped(struct text *text, struct str bytes, enum text_quoting quoting, size_t limit);

/* How many bytes text_put_escaped writes when nothing is cut. */
size_t text_escaped_length(struct str bytes, enum text_quoting quoting);

enum { TEXT_DURATION_SIZE = 48 };

/* "250 ms", "1.5 s", "10 s", "2 m 30 s", "3 h": three digits, or two units. Terminated; returns
 * `out`. */
const char *text_of_duration(int64_t duration_us, char out[static TEXT_DURATION_SIZE]);

#endif
