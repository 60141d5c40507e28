/*
 * latency - a peak-sensitive, time-decayed moving average of response times, and the weight made
 * from it.
 *
 * Every sample pulls the average with a strength that grows with the time since the last one (time
 * constant 10 s); a sample above the average pulls at least half way at once, so that trouble is
 * seen quickly and forgotten slowly. Without samples the average decays, so that no backend
 * starves. Pure: now is an argument. A zeroed latency has no samples.
 */
#ifndef RONDO_UPSTREAM_LATENCY_H
#define RONDO_UPSTREAM_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct latency {
	double average_us;  /* as it stood when sampled; 0 = no sample yet */
	int64_t sampled_us; /* when */
	bool at_least; /* nothing but failures so far: an answer would take no less than this */
};

/* A time to first byte, at `now_us`. */
void latency_sample(struct latency *latency, int64_t took_us, int64_t now_us);

/* A failure: counts as no less than what it took, and never makes the average smaller, however fast
 * it was. */
void latency_fail(struct latency *latency, int64_t took_us, int64_t now_us);

/* The average as it stands at `now_us`, decayed; 0 without samples. */
double latency_average_us(const struct latency *latency, int64_t now_us);

/*
 * The factor for a weight: best/own, between 0.1 and 1. Differences under 20 ms or 20 % count as
 * none. An average of 0 (no samples) is to be replaced by the median of the others before, and one
 * that is `at_least` raised to it.
 */
double latency_factor(double own_us, double best_us);

/* The median of `count` averages above 0; 0 when there is none. Reorders `averages`. */
double latency_median(double *averages, size_t count);

#endif
