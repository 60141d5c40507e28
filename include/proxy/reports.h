/*
 * reports - how often the log says the same.
 *
 * Thousands of requests may fail in one second for one reason. The first ten lines of a reason are
 * written; of the rest, one line says how many there were when the second is over. Reasons are
 * short texts that stay in memory; beyond REPORTS_REASONS different ones in a second, they are
 * counted together. A level that is not logged costs nothing.
 */
#ifndef RONDO_PROXY_REPORTS_H
#define RONDO_PROXY_REPORTS_H

#include "base/log.h"
#include "event/loop.h"

enum { REPORTS_REASONS = 64, REPORTS_A_SECOND = 10 };

struct reports {
	struct loop *loop;
	struct timer timer; /* the end of the second, while something is left out */
	int64_t ends_us;    /* the same, whether it is armed or not */
	size_t count;
	struct reports_reason {
		const char *text;
		enum log_level level;
		unsigned said;
		uint64_t left_out;
	} reasons[REPORTS_REASONS];
};

void reports_init(struct reports *reports, struct loop *loop);

/* True: one more line of this reason may be written. Else it is counted. */
bool reports_take(struct reports *reports, enum log_level level, const char *reason);

/* Says what was left out. To be called while the loop is there. */
void reports_finish(struct reports *reports);

#endif
