#include "upstream/record.h"

void record_add(struct record *record, bool failed, int64_t now_us)
{
	uint16_t bit = (uint16_t)(1U << record->next);

	if (failed)
		record->failed |= bit;
	else
		record->failed &= (uint16_t)~bit;
	record->us[record->next] = now_us;
	record->next = (uint8_t)((record->next + 1) % RECORD_SIZE);
	if (record->count < RECORD_SIZE)
		record->count++;

	if (!failed)
		record->streak = 0;
	else if (record->streak++ == 0)
		record->streak_us = now_us;
}

struct record_sum record_sum(const struct record *record)
{
	unsigned failed = (unsigned)__builtin_popcount(record->failed);

	return (struct record_sum){.good = record->count - failed, .failed = failed};
}

struct record_sum record_sum_since(const struct record *record, int64_t from_us)
{
	struct record_sum sum = {0};

	for (unsigned i = 0; i < record->count; i++) {
		if (record->us[i] < from_us)
			continue;
		if (record->failed & (1U << i))
			sum.failed++;
		else
			sum.good++;
	}
	return sum;
}
