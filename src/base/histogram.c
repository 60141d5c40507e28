#include "base/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Nothing that was noted before the span before this one is recent. */
static void begin_span(struct histogram *histogram, int64_t now_us)
{
	bool is_next = now_us - histogram->span_us < 2 * HISTOGRAM_SPAN_US;

	memcpy(histogram->earlier, is_next ? histogram->before : histogram->counts,
	    sizeof(histogram->earlier));
	memcpy(histogram->before, histogram->counts, sizeof(histogram->before));
	histogram->span_us = now_us;
}

void histogram_note(struct histogram *histogram,
    const int64_t bounds_us[static HISTOGRAM_BUCKETS - 1], int64_t value_us, int64_t now_us)
{
	size_t bucket = 0;

	if (now_us - histogram->span_us >= HISTOGRAM_SPAN_US)
		begin_span(histogram, now_us);
	while (bucket < HISTOGRAM_BUCKETS - 1 && value_us > bounds_us[bucket])
		bucket++;
	histogram->counts[bucket]++;
	histogram->sum_us += (uint64_t)value_us;
}

void histogram_recent(
    const struct histogram *histogram, int64_t now_us, uint64_t counts[static HISTOGRAM_BUCKETS])
{
	int64_t age_us = now_us - histogram->span_us;
	const uint64_t *from = histogram->earlier;

	/* No value came since the running span ended. */
	if (age_us >= 2 * HISTOGRAM_SPAN_US)
		from = histogram->counts;
	else if (age_us >= HISTOGRAM_SPAN_US)
		from = histogram->before;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		counts[i] = histogram->counts[i] - from[i];
}

uint64_t histogram_total(const uint64_t counts[static HISTOGRAM_BUCKETS])
{
	uint64_t total = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += counts[i];
	return total;
}

double histogram_quantile_s(const uint64_t counts[static HISTOGRAM_BUCKETS],
    const int64_t bounds_us[static HISTOGRAM_BUCKETS - 1], double fraction)
{
	double wanted = fraction * (double)histogram_total(counts);
	double before = 0;
	int64_t lower_us = 0;

	if (wanted <= 0)
		return 0;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		double here = (double)counts[i];

		if (here > 0 && before + here >= wanted) {
			double width_us = (double)(bounds_us[i] - lower_us);

			return ((double)lower_us + width_us * (wanted - before) / here) / 1e6;
		}
		before += here;
		lower_us = bounds_us[i];
	}
	return (double)lower_us / 1e6;
}
