/*
 * metrics - reads the counters of all modules and writes them as metrics.
 *
 * The modules below count in their own structs and do not know this module, which reads them on
 * request. The output is the text format 0.0.4 of Prometheus. Only the time of the start, the
 * result of the last reload and the number of open descriptors are kept here; counting descriptors
 * is expensive on older kernels.
 */
#ifndef RONDO_ADMIN_METRICS_H
#define RONDO_ADMIN_METRICS_H

#include "proxy/proxy.h"

#include <stdio.h>

enum { METRICS_REFUSAL_SIZE = 400 };

struct metrics {
	const struct proxy *proxy;
	int64_t started_unix_us;
	int64_t loaded_unix_us;             /* when the running configuration took effect */
	char refusal[METRICS_REFUSAL_SIZE]; /* why the last reload failed; "": it succeeded */
	uint64_t open_fds;
	int64_t open_fds_us; /* when open_fds was counted, loop clock */
};

/* The process starts, with a valid configuration. `proxy` must outlive the metrics. */
void metrics_init(struct metrics *metrics, const struct proxy *proxy);

/* A reload ended; `refusal` is NULL when it took effect. */
void metrics_note_reload(struct metrics *metrics, const char *refusal);

/* Writes the text format 0.0.4. */
void metrics_write(struct metrics *metrics, FILE *out);

/* A histogram with its bounds. */
struct metrics_histogram {
	const struct histogram *values;
	const int64_t *bounds_us;
};

struct metrics_histogram metrics_of_backend(const struct backend *backend);
struct metrics_histogram metrics_of_clients(const struct proxy *proxy);
struct metrics_histogram metrics_of_queue(const struct proxy *proxy);

/* What people are told of it: of all values, or of the recent ones. */
struct metrics_times {
	uint64_t count;
	double p50_s, p99_s; /* 0 when there are none */
};
struct metrics_times metrics_all_times(const struct metrics_histogram *histogram);
struct metrics_times metrics_recent_times(
    const struct metrics_histogram *histogram, int64_t now_us);

/* The limits that can forbid a retry. A request that may not be repeated, or for which no backend
 * is left, meets none of them. */
enum { METRICS_RETRY_LIMITS = 4 };
extern const enum retry_refusal metrics_retry_limits[METRICS_RETRY_LIMITS];

/* Lines of the access log and of the log that could not be written. */
uint64_t metrics_lines_dropped(const struct metrics *metrics);

/* "0.1.0" */
const char *metrics_version(void);

#endif
