/*
 * figures - the values that are shown of one backend, computed once for JSON and for the page.
 */
#ifndef RONDO_ADMIN_FIGURES_H
#define RONDO_ADMIN_FIGURES_H

#include "admin/metrics.h"

struct figures {
	const char *state; /* backend_state_word */
	char why[BACKEND_TEXT_SIZE];
	bool is_judged; /* it is down or on trial: it has a reason and a window */
	int64_t since_unix_us, age_us;
	int64_t next_try_us;   /* from now; -1: it does not wait for a time */
	int64_t silent_for_us; /* -1: it is not silent */
	uint64_t failures;
	struct metrics_histogram latency;
};

void figures_of_backend(struct figures *figures, const struct backend *backend, int64_t now_us);

#endif
