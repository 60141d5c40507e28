/*
 * metrics - reads everyone's counters and says them in numbers.
 *
 * The modules below count in their own structs and know nothing of this; here they are looked at
 * when somebody asks. Prometheus gets the text format 0.0.4. Nothing is kept but the time of the
 * start, how the last reload ended, and the number of open descriptors, which is dear to find out
 * on older kernels.
 */
#ifndef RONDO_ADMIN_METRICS_H
#define RONDO_ADMIN_METRICS_H

#include "proxy/service.h"

#include <stdio.h>

enum { METRICS_REFUSAL_SIZE = 400 };

struct metrics {
	const struct service *service;
	int64_t started_unix_us;
	int64_t loaded_unix_us;             /* when the running configuration was taken over */
	char refusal[METRICS_REFUSAL_SIZE]; /* why the last reload failed; "": it did not */
	uint64_t open_fds;
	int64_t open_fds_us; /* when they were counted, loop clock */
};

/* The process starts, with a good configuration. `service` must outlive it. */
void metrics_init(struct metrics *metrics, const struct service *service);

/* A reload ended; `refusal` is NULL when it took effect. */
void metrics_note_reload(struct metrics *metrics, const char *refusal);

/* Text format 0.0.4. */
void metrics_write(struct metrics *metrics, FILE *out);

/* A histogram: counts of each bucket alone, and upper bounds for all but the last. */
struct metrics_histogram {
	const uint64_t *buckets;
	const int64_t *bounds_us;
	size_t count;
	uint64_t sum_us;
};

struct metrics_histogram metrics_of_backend(const struct backend *backend);
struct metrics_histogram metrics_of_clients(const struct service *service);

/* How many were counted in all. */
uint64_t metrics_total(const struct metrics_histogram *histogram);

/*
 * The time that a fraction of all were within, estimated as if those in a bucket were spread evenly
 * over it; those in the last one count as its lower bound. 0 when nothing was counted.
 */
double metrics_quantile_s(const struct metrics_histogram *histogram, double fraction);

/* Lines of the access log and of the log that could not be written. */
uint64_t metrics_lines_dropped(const struct metrics *metrics);

/* "0.1.0" */
const char *metrics_version(void);

#endif
