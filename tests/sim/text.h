/*
 * text - bytes that a peer is going to send, as one growing piece.
 */
#ifndef RONDO_SIM_TEXT_H
#define RONDO_SIM_TEXT_H

#include "base/str.h"

struct text {
	char *data;
	size_t len, room;
};

void text_put(struct text *text, struct str bytes);
void text_add_number(struct text *text, uint64_t number);
/* Eight digits. */
void text_put_hex(struct text *text, uint32_t number);
/* "name: value". */
void text_put_field(struct text *text, struct str name, struct str value);
/* Content from `offset` on under `key`. */
void text_put_noise(struct text *text, uint64_t offset, uint32_t key, size_t len);
/* Gives the memory back. */
void text_finish(struct text *text);

#endif
