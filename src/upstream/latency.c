#include "upstream/latency.h"

#include <math.h>
#include <stdlib.h>

static const double TIME_CONSTANT_US = 10e6;
static const double PEAK_PULL = 0.5;
static const double SAME_US = 20e3;
static const double SAME_SHARE = 0.2;
static const double FACTOR_MIN = 0.1;

/* The part of an average that is left after the time since its last sample. */
static double latency_remains(const struct latency *latency, int64_t now_us)
{
	int64_t silent_us = now_us - latency->sampled_us;

	return silent_us > 0 ? exp((double)-silent_us / TIME_CONSTANT_US) : 1.0;
}

static bool latency_is_sampled(const struct latency *latency)
{
	return latency->average_us > 0;
}

static void latency_pull(struct latency *latency, double took_us, int64_t now_us)
{
	double pull = 1.0 - latency_remains(latency, now_us);

	if (took_us > latency->average_us && pull < PEAK_PULL)
		pull = PEAK_PULL;
	latency->average_us += (took_us - latency->average_us) * pull;
	latency->sampled_us = now_us;
}

void latency_sample(struct latency *latency, int64_t took_us, int64_t now_us)
{
	/* The clock stands still for a turn: an answer in no time is still an answer. */
	double took = took_us > 0 ? (double)took_us : 1.0;

	if (!latency_is_sampled(latency)) {
		latency->average_us = took;
		latency->sampled_us = now_us;
	} else {
		latency_pull(latency, took, now_us);
	}
	latency->at_least = false;
}

void latency_fail(struct latency *latency, int64_t took_us, int64_t now_us)
{
	double took = took_us > 0 ? (double)took_us : 1.0;

	if (!latency_is_sampled(latency)) {
		latency->average_us = took;
		latency->sampled_us = now_us;
		latency->at_least = true;
	} else {
		/* A fast one counts as the average that is left: it must not bring back what has
		 * decayed. */
		latency_pull(latency, fmax(took, latency_average_us(latency, now_us)), now_us);
	}
}

double latency_average_us(const struct latency *latency, int64_t now_us)
{
	if (!latency_is_sampled(latency))
		return 0;
	return latency->average_us * latency_remains(latency, now_us);
}

double latency_factor(double own_us, double best_us)
{
	double difference = own_us - best_us;

	if (difference < SAME_US || difference < best_us * SAME_SHARE)
		return 1.0;
	return fmax(best_us / own_us, FACTOR_MIN);
}

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;

	return (a > b) - (a < b);
}

double latency_median(double *averages, size_t count)
{
	if (count == 0)
		return 0;
	qsort(averages, count, sizeof(*averages), compare_doubles);
	if (count % 2 == 1)
		return averages[count / 2];
	return (averages[count / 2 - 1] + averages[count / 2]) / 2;
}
