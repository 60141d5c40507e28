#include "upstream/budget.h"

static const int64_t SECOND_US = 1000000;
static const unsigned NO_LIMIT_PERCENT = 100;

/* Forgets the seconds that are more than ten ago. */
static unsigned budget_slot(struct budget *budget, int64_t now_us)
{
	int64_t second = now_us / SECOND_US;
	int64_t passed = second - budget->second;

	for (int64_t i = 1; i <= passed && i <= BUDGET_SLOTS; i++) {
		unsigned slot = (unsigned)((budget->second + i) % BUDGET_SLOTS);

		budget->request_sum -= budget->requests[slot];
		budget->retry_sum -= budget->retries[slot];
		budget->requests[slot] = 0;
		budget->retries[slot] = 0;
	}
	if (passed > 0)
		budget->second = second;
	return (unsigned)(budget->second % BUDGET_SLOTS);
}

void budget_request(struct budget *budget, int64_t now_us)
{
	budget->requests[budget_slot(budget, now_us)]++;
	budget->request_sum++;
}

bool budget_take_retry(struct budget *budget, unsigned percent, int64_t now_us)
{
	unsigned slot = budget_slot(budget, now_us);
	uint64_t allowed =
	    budget->request_sum * percent / 100 + (uint64_t)BUDGET_FREE_PER_SECOND * BUDGET_SLOTS;

	if (percent < NO_LIMIT_PERCENT && budget->retry_sum >= allowed)
		return false;
	budget->retries[slot]++;
	budget->retry_sum++;
	return true;
}
