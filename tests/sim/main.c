/*
 * sim - rondo in simulated worlds, one for each seed.
 *
 *	sim --seeds N [--from S]   the worlds of N seeds, from S on
 *	sim --requests N           worlds of fresh seeds until N requests were made
 *	sim --seed S               one world, with everything that happens in it
 *
 * The first broken property ends it with exit status 1, the seed, and the last lines of its trace. The same seed always has the
 * same trace; its hash is printed.
 */
#include "trace.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A world takes milliseconds; one that takes this long never ends. */
enum { PATIENCE_S = 60 };

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t fresh_seed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void report(double began)
{
	double took = seconds() - began;

	printf("%llu worlds, %llu requests in %.1f s (%.0f a second): %llu visits to servers, %llu "
	       "answers (%llu of rondo's own), "
	       "%llu without, %llu marks; every property held\n",
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

	printf("seeds from %llu\n", (unsigned long long)first);
	fflush(stdout);
	while (totals.worlds < worlds && totals.requests < requests)
		run_one(seed++);
	report(began);
}

static int usage(void)
{
	fputs("usage: sim --seeds N [--from S] | --requests N | --seed S\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	uint64_t number = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t from =
	    argc == 5 && strcmp(argv[3], "--from") == 0 ? strtoull(argv[4], NULL, 10) : 1;

	trace_open("/proc/self/exe", strcmp(mode, "--seed") == 0   ? TRACE_ALL
				     : strcmp(mode, "--tail") == 0 ? TRACE_TAIL
								   : TRACE_SILENT);
	if (strcmp(mode, "--seeds") == 0)
		run_until(from, number, UINT64_MAX);
	else if (strcmp(mode, "--requests") == 0)
		run_until(fresh_seed(), UINT64_MAX, number);
	else if (strcmp(mode, "--seed") == 0 || strcmp(mode, "--tail") == 0)
		printf("trace %016llx\n", (unsigned long long)run_one(number));
	else
		return usage();
	return 0;
}
