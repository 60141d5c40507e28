/*
 * sim - rondo in simulated worlds, one for each seed.
 *
 *	sim --requests N [--from S]   worlds of fresh seeds, or from S on, until N requests were made
 *	sim --seeds N [--from S]      the worlds of N seeds, from 1 or S on
 *	sim --seed S                  one world, with everything that happens in it
 *
 * Exit status 0 and "every property held" in the last line; or 1 with the first seed in which one did not, how to replay it, and
 * the last lines of its trace. The same seed is always the same world: now and then one is run twice to see that.
 */
#include "trace.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* A world takes milliseconds; one that takes this long never ends. One in so many is run twice. */
enum { PATIENCE_S = 30, TWICE = 200 };

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of twelve digits at most: somebody may have to type it. */
static uint64_t fresh_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint64_t)time(NULL) * 1000000;
	return seed % 1000000000000;
}

static void report(double began)
{
	double took = seconds() - began;

	printf("%llu worlds, %llu requests in %.1f s (%.0f a second): %llu visits to servers, %llu "
	       "answers (%llu of rondo's own), %llu without, %llu marks; every property held\n",
	    (unsigned long long)totals.worlds, (unsigned long long)totals.requests, took,
	    (double)totals.requests / took, (unsigned long long)totals.visits,
	    (unsigned long long)totals.answered, (unsigned long long)totals.own_answers,
	    (unsigned long long)totals.cut, (unsigned long long)totals.marks);
}

static uint64_t run_one(uint64_t seed)
{
	alarm(PATIENCE_S);
	return world_run(seed);
}

static void run_until(uint64_t first, uint64_t worlds, uint64_t requests)
{
	double began = seconds();
	uint64_t seed = first;

	printf("seeds from %llu on\n", (unsigned long long)first);
	fflush(stdout);
	while (totals.worlds < worlds && totals.requests < requests) {
		uint64_t outcome = run_one(seed);

		if (seed % TWICE == 0)
			check("the same seed is the same world", run_one(seed) == outcome,
			    "it went another way");
		seed++;
	}
	report(began);
}

static void run_shown(uint64_t seed)
{
	uint64_t outcome = run_one(seed);

	printf("world %016llx, trace %016llx: every property held\n", (unsigned long long)outcome,
	    (unsigned long long)trace_hash());
}

static int usage(void)
{
	fputs("usage: sim --requests N [--from S] | --seeds N [--from S] | --seed S\n", stderr);
	return 2;
}

static bool read_number(const char *text, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0';
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	bool has_from = argc == 5 && strcmp(argv[3], "--from") == 0;
	uint64_t number, from = 1;

	if ((argc != 3 && !has_from) || !read_number(argv[2], &number) ||
	    (has_from && !read_number(argv[4], &from)))
		return usage();
	trace_open(argv[0], strcmp(mode, "--seed") == 0   ? TRACE_ALL
			    : strcmp(mode, "--tail") == 0 ? TRACE_TAIL
							  : TRACE_SILENT);
	if (strcmp(mode, "--seeds") == 0)
		run_until(from, number, UINT64_MAX);
	else if (strcmp(mode, "--requests") == 0)
		run_until(has_from ? from : fresh_seed(), UINT64_MAX, number);
	else if (strcmp(mode, "--seed") == 0 || strcmp(mode, "--tail") == 0)
		run_shown(number);
	else
		return usage();
	return 0;
}
