/*
 * ratio - shows that work grows with the number of things, not with its square.
 *
 * The CPU time of two sizes in the same run is compared, so that neither a slow nor a busy machine
 * matters: ten times as many take ten to thirty times as long, since they do not fit the caches,
 * where comparing each with all others would take a hundred times as long.
 */
#ifndef RONDO_TESTS_RATIO_H
#define RONDO_TESTS_RATIO_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

enum { RATIO_FEW = 1000, RATIO_MANY = 10 * RATIO_FEW, RATIO_RUNS = 4, RATIO_LIMIT = 50 };

static inline double ratio_cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The shortest of some runs, in seconds: nothing makes a run shorter than it is. */
static inline double ratio_time(void (*run)(void *), void *context)
{
	double best = 1e9;

	for (size_t i = 0; i < RATIO_RUNS; i++) {
		double began = ratio_cpu_seconds();

		run(context);
		double took = ratio_cpu_seconds() - began;
		if (took < best)
			best = took;
	}
	return best;
}

/* The seconds that RATIO_FEW and RATIO_MANY took. */
static inline void ratio_assert(const char *what, double few, double many)
{
	if (many > RATIO_LIMIT * few)
		fail_msg("%s: %d take %.4f s and %d take %.4f s", what, RATIO_FEW, few, RATIO_MANY,
		    many);
}

#endif
