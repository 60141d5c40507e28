/*
 * book - how the last sixteen answers of a server went, as the judge remembers them.
 *
 * Entries stand in the order in which they were made. Kept for each server and kind of answer, apart from rondo's own record.
 */
#ifndef RONDO_SIM_BOOK_H
#define RONDO_SIM_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BOOK_SIZE = 16 };

struct book {
	size_t count;
	struct {
		bool failed;
		int64_t us;
	} entries[BOOK_SIZE]; /* the oldest first */
	unsigned in_a_row;    /* failures, up to the last entry */
	int64_t row_us;       /* when the first of them happened */
};

struct book_count {
	unsigned good, failed;
};

void book_add(struct book *book, bool failed, int64_t now_us);

/* Of all entries that were made at `from_us` or later. */
struct book_count book_count(const struct book *book, int64_t from_us);

#endif
