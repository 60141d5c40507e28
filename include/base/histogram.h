/*
 * histogram - how many values fell into each of a few buckets, since the start and recently.
 *
 * The bounds of the buckets belong to the user, who gives them with each call; the last bucket has
 * none. Recent are the values of the running span and of the one before: of the last one to two
 * HISTOGRAM_SPAN_US. Now is an argument. A zeroed histogram is empty.
 */
#ifndef RONDO_BASE_HISTOGRAM_H
#define RONDO_BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 15 };

#define HISTOGRAM_SPAN_US INT64_C(10000000)

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS]; /* since the start */
	uint64_t sum_us;
	int64_t span_us;                     /* when the running span began */
	uint64_t before[HISTOGRAM_BUCKETS];  /* `counts` when it began */
	uint64_t earlier[HISTOGRAM_BUCKETS]; /* and when the span before it began */
};

void histogram_note(struct histogram *histogram,
    const int64_t bounds_us[static HISTOGRAM_BUCKETS - 1], int64_t value_us, int64_t now_us);

/* The recent counts. */
void histogram_recent(
    const struct histogram *histogram, int64_t now_us, uint64_t counts[static HISTOGRAM_BUCKETS]);

uint64_t histogram_total(const uint64_t counts[static HISTOGRAM_BUCKETS]);

/*
 * The value below which this fraction of all values is, in seconds, estimated as if the values of a
 * bucket were spread evenly over it; values in the last bucket count as its lower bound. 0 when all
 * buckets are empty.
 */
double histogram_quantile_s(const uint64_t counts[static HISTOGRAM_BUCKETS],
    const int64_t bounds_us[static HISTOGRAM_BUCKETS - 1], double fraction);

#endif
