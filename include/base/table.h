/*
 * table - finds things by a key.
 *
 * A key is any text, or the bytes of a pointer. Neither keys nor items are copied: both must stay
 * as long as the table. To find or to add one takes the same time however many there are.
 */
#ifndef RONDO_BASE_TABLE_H
#define RONDO_BASE_TABLE_H

#include "base/str.h"

struct table {
	struct table_entry *entries;
};

/* A table of all zeroes is empty and ready. */
void table_finish(struct table *table);

/* Adds the item, unless there is one with this key: the first one stays. False without memory. */
bool table_add(struct table *table, struct str key, const void *item);

/* Removes the item with this key, if there is one. */
void table_remove(struct table *table, struct str key);

/* The item, which the caller may change only if the caller of table_add might. NULL: there is none
 * with this key. */
void *table_find(const struct table *table, struct str key);

#endif
