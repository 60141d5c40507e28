/*
 * record - how the last sixteen answers of one backend went.
 *
 * Each entry is good or failed, and has the time at which it was made. The record also counts how
 * many entries failed in a row at its end, and since when. Pure: now is an argument. A zeroed
 * record is empty.
 */
#ifndef RONDO_UPSTREAM_RECORD_H
#define RONDO_UPSTREAM_RECORD_H

#include <stdbool.h>
#include <stdint.h>

enum { RECORD_SIZE = 16 };

struct record {
	uint16_t failed;         /* bit i: entry i failed */
	uint8_t next;            /* the entry that is written next: the oldest of a full record */
	uint8_t count;           /* entries so far, at most RECORD_SIZE */
	unsigned streak;         /* how many failed in a row, up to the newest */
	int64_t streak_us;       /* when the first of them failed */
	int64_t us[RECORD_SIZE]; /* when each entry was made */
};

/* Entries of a record, or of several together. */
struct record_sum {
	unsigned good, failed;
};

void record_add(struct record *record, bool failed, int64_t now_us);

/* What the record says of all its entries. */
struct record_sum record_sum(const struct record *record);

/* The same for the entries that are not older than `from_us`. */
struct record_sum record_sum_since(const struct record *record, int64_t from_us);

#endif
