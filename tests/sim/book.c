#include "book.h"

#include <string.h>

void book_add(struct book *book, bool failed, int64_t now_us)
{
	if (book->count == BOOK_SIZE)
		memmove(book->entries, book->entries + 1, --book->count * sizeof(*book->entries));
	book->entries[book->count].failed = failed;
	book->entries[book->count++].us = now_us;
	if (failed && book->in_a_row == 0)
		book->row_us = now_us;
	book->in_a_row = failed ? book->in_a_row + 1 : 0;
}

struct book_count book_count(const struct book *book, int64_t from_us)
{
	struct book_count count = {0, 0};

	for (size_t i = 0; i < book->count; i++) {
		if (book->entries[i].us < from_us)
			continue;
		count.failed += book->entries[i].failed;
		count.good += !book->entries[i].failed;
	}
	return count;
}
