/*
 * budget - how many requests may be sent a second time.
 *
 * Over the last ten seconds, retries may be a percentage of the requests, plus ten a second; that
 * stops a retry storm and never limits a proxy with few requests. Ten one-second slots; pure, now
 * is an argument. A zeroed budget is an unused one.
 */
#ifndef RONDO_UPSTREAM_BUDGET_H
#define RONDO_UPSTREAM_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum { BUDGET_SLOTS = 10, BUDGET_FREE_PER_SECOND = 10 };

struct budget {
	uint64_t requests[BUDGET_SLOTS];
	uint64_t retries[BUDGET_SLOTS];
	uint64_t request_sum;
	uint64_t retry_sum;
	int64_t second; /* of the newest slot */
};

/* Counts a request. */
void budget_request(struct budget *budget, int64_t now_us);

/* Takes a retry from the budget; false when it is used up. 100 percent = no limit. */
bool budget_take_retry(struct budget *budget, unsigned percent, int64_t now_us);

#endif
