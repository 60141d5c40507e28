#include "base/table.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
/* Its usual function falls through cases in a way that clang warns of. */
#define HASH_FUNCTION(data, len, hash) HASH_OAT(data, len, hash)
#include <uthash.h>

struct table_entry {
	struct str key;
	const void *item;
	UT_hash_handle hh;
};

void table_finish(struct table *table)
{
	struct table_entry *entry = table->entries;

	HASH_CLEAR(hh, table->entries);
	while (entry) {
		struct table_entry *next = entry->hh.next;

		free(entry);
		entry = next;
	}
}

static struct table_entry *find(const struct table *table, struct str key)
{
	struct table_entry *found;

	HASH_FIND(hh, table->entries, key.data, key.len, found);
	return found;
}

bool table_add(struct table *table, struct str key, const void *item)
{
	struct table_entry *entry;

	if (find(table, key))
		return true;
	entry = malloc(sizeof(*entry));
	if (!entry)
		return false;
	*entry = (struct table_entry){.key = key, .item = item};
	HASH_ADD_KEYPTR(hh, table->entries, entry->key.data, entry->key.len, entry);
	/* Without memory for its buckets, uthash leaves the entry out. */
	if (entry->hh.tbl)
		return true;
	free(entry);
	return false;
}

void table_remove(struct table *table, struct str key)
{
	struct table_entry *entry = find(table, key);

	if (!entry)
		return;
	HASH_DEL(table->entries, entry);
	free(entry);
}

void *table_find(const struct table *table, struct str key)
{
	const struct table_entry *found = find(table, key);

	return found ? (void *)(uintptr_t)found->item : NULL;
}
