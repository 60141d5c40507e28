#include "admin/metrics.h"

#include "base/log.h"
#include "http/parse.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Counting many descriptors one by one takes milliseconds. */
static const int64_t COUNT_AGE_US = 10 * 1000 * 1000;

void metrics_init(struct metrics *metrics, const struct proxy *proxy)
{
	*metrics = (struct metrics){.proxy = proxy};
	metrics->started_unix_us = metrics->loaded_unix_us = loop_unix_us();
}

void metrics_note_reload(struct metrics *metrics, const char *refusal)
{
	snprintf(metrics->refusal, sizeof(metrics->refusal), "%s", refusal ? refusal : "");
	if (!refusal)
		metrics->loaded_unix_us = loop_unix_us();
}

const char *metrics_version(void)
{
	return RONDO_VERSION;
}

uint64_t metrics_lines_dropped(const struct metrics *metrics)
{
	return access_log_dropped(metrics->proxy->access_log) + log_dropped();
}

/* ---- histograms */

struct metrics_histogram metrics_of_backend(const struct backend *backend)
{
	return (struct metrics_histogram){&backend->counters.latency, backend_latency_bounds_us};
}

struct metrics_histogram metrics_of_clients(const struct proxy *proxy)
{
	return (struct metrics_histogram){&proxy->counters.duration, proxy_duration_bounds_us};
}

struct metrics_histogram metrics_of_queue(const struct proxy *proxy)
{
	return (struct metrics_histogram){&proxy->queue.counters.waits, queue_wait_bounds_us};
}

static struct metrics_times times_of(
    const uint64_t counts[static HISTOGRAM_BUCKETS], const int64_t *bounds_us)
{
	return (struct metrics_times){
	    .count = histogram_total(counts),
	    .p50_s = histogram_quantile_s(counts, bounds_us, 0.5),
	    .p99_s = histogram_quantile_s(counts, bounds_us, 0.99),
	};
}

struct metrics_times metrics_all_times(const struct metrics_histogram *histogram)
{
	return times_of(histogram->values->counts, histogram->bounds_us);
}

struct metrics_times metrics_recent_times(const struct metrics_histogram *histogram, int64_t now_us)
{
	uint64_t counts[HISTOGRAM_BUCKETS];

	histogram_recent(histogram->values, now_us, counts);
	return times_of(counts, histogram->bounds_us);
}

/* ---- text format 0.0.4 */

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_plain(FILE *out, const char *name, const char *type, const char *help, double value)
{
	put_head(out, name, type, help);
	fprintf(out, "%s %.17g\n", name, value);
}

/* A value in quotes: backslash, quote and line feed are escaped. */
static void put_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', out);
		if (*value == '\n')
			fputs("\\n", out);
		else
			fputc(*value, out);
	}
	fputc('"', out);
}

static void put_of_backend(FILE *out, const char *name, const struct backend *backend)
{
	fprintf(out, "%s{", name);
	put_label(out, "backend", backend->name);
}

/* `backend` is NULL for a histogram without labels. */
static void put_histogram(FILE *out, const char *name, const struct backend *backend,
    const struct metrics_histogram *histogram)
{
	uint64_t total = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		total += histogram->values->counts[i];
		fprintf(out, "%s_bucket{", name);
		if (backend) {
			put_label(out, "backend", backend->name);
			fputc(',', out);
		}
		if (i + 1 < HISTOGRAM_BUCKETS)
			fprintf(out, "le=\"%g\"} %llu\n", (double)histogram->bounds_us[i] / 1e6,
			    (unsigned long long)total);
		else
			fprintf(out, "le=\"+Inf\"} %llu\n", (unsigned long long)total);
	}
	const char *parts[] = {"sum", "count"};
	double values[] = {(double)histogram->values->sum_us / 1e6, (double)total};
	for (size_t i = 0; i < 2; i++) {
		fprintf(out, "%s_%s", name, parts[i]);
		if (backend) {
			fputc('{', out);
			put_label(out, "backend", backend->name);
			fputc('}', out);
		}
		fprintf(out, " %.17g\n", values[i]);
	}
}

const enum retry_refusal metrics_retry_limits[METRICS_RETRY_LIMITS] = {
    RETRY_REFUSED_BUDGET, RETRY_REFUSED_BODY, RETRY_REFUSED_TRIES, RETRY_REFUSED_DEADLINE};

static void put_refusals(const uint64_t refused[static RETRY_REFUSALS], FILE *out)
{
	put_head(out, "rondo_retries_refused_total", "counter",
	    "Failed tries that were not followed by another, by the limit that forbade it.");
	for (size_t i = 0; i < METRICS_RETRY_LIMITS; i++)
		fprintf(out, "rondo_retries_refused_total{reason=\"%s\"} %llu\n",
		    retry_refusal_word(metrics_retry_limits[i]),
		    (unsigned long long)refused[metrics_retry_limits[i]]);
}

static void put_clients(const struct proxy *proxy, FILE *out)
{
	const struct proxy_counters *counters = &proxy->counters;
	const struct metrics_histogram duration = metrics_of_clients(proxy);

	put_plain(out, "rondo_client_connections", "gauge", "Client connections open now.",
	    (double)proxy->sessions.slab.in_use);
	put_plain(out, "rondo_client_connections_total", "counter",
	    "Client connections accepted since the start.", (double)proxy->sessions.accepted);
	put_head(out, "rondo_bytes_total", "counter",
	    "Bytes received from clients (in) and sent to them (out), heads included.");
	fprintf(out,
	    "rondo_bytes_total{direction=\"in\"} %llu\nrondo_bytes_total{direction=\"out\"} %llu\n",
	    (unsigned long long)proxy->sessions.received, (unsigned long long)proxy->sessions.sent);
	put_plain(out, "rondo_tunnels", "gauge", "Upgraded connections open now.",
	    (double)proxy->tunnels);
	put_head(out, "rondo_requests_total", "counter",
	    "Requests finished, by the status sent to the client; 0 where none could be sent.");
	for (unsigned code = 0; code < PROXY_STATUSES; code++)
		if (counters->requests[code] > 0)
			fprintf(out, "rondo_requests_total{code=\"%u\"} %llu\n", code,
			    (unsigned long long)counters->requests[code]);
	put_head(out, "rondo_request_duration_seconds", "histogram",
	    "From the first byte of a request to the last byte of its answer.");
	put_histogram(out, "rondo_request_duration_seconds", NULL, &duration);
	put_head(out, "rondo_retries_total", "counter",
	    "Second and later tries, by what had become of the one before.");
	for (enum outcome outcome = OUTCOME_GOOD + 1; outcome < OUTCOMES; outcome++)
		fprintf(out, "rondo_retries_total{reason=\"%s\"} %llu\n", outcome_word(outcome),
		    (unsigned long long)counters->retries[outcome]);
	put_refusals(counters->retries_refused, out);
	put_head(out, "rondo_rescues_total", "counter",
	    "Requests stuck on a silent backend: a second one answered (won), was asked in vain "
	    "(lost), or could not be asked (refused).");
	for (enum rescue_result result = RESCUE_WON; result < RESCUE_RESULTS; result++)
		fprintf(out, "rondo_rescues_total{result=\"%s\"} %llu\n",
		    proxy_rescue_words[result], (unsigned long long)counters->rescues[result]);
}

static void put_queue(const struct proxy *proxy, FILE *out)
{
	const struct metrics_histogram waits = metrics_of_queue(proxy);

	put_plain(out, "rondo_requests_in_flight", "gauge",
	    "Requests that have begun and not ended, those that wait for a backend included.",
	    (double)proxy->exchanges.in_use);
	put_plain(out, "rondo_queue_length", "gauge", "Requests that wait for a backend now.",
	    (double)proxy->queue.count);
	put_head(
	    out, "rondo_queue_seconds", "histogram", "How long requests waited for a backend.");
	put_histogram(out, "rondo_queue_seconds", NULL, &waits);
	put_head(out, "rondo_queue_total", "counter",
	    "Waits that are over: a backend was found (served), none in time (timeout), the client "
	    "left (left); and requests that found the queue full (full).");
	for (enum queue_result result = QUEUE_SERVED; result < QUEUE_RESULTS; result++)
		fprintf(out, "rondo_queue_total{result=\"%s\"} %llu\n", queue_result_words[result],
		    (unsigned long long)proxy->queue.counters.results[result]);
}

static void put_states(const struct ring *ring, FILE *out)
{
	put_head(out, "rondo_backend_up", "gauge", "1 while the backend gets its turns.");
	for (size_t i = 0; i < ring->count; i++) {
		put_of_backend(out, "rondo_backend_up", ring->backends[i]);
		fprintf(out, "} %d\n", strcmp(backend_state_word(ring->backends[i]), "up") == 0);
	}
	put_head(out, "rondo_backend_state", "gauge", "1 for the state the backend is in.");
	for (size_t i = 0; i < ring->count; i++) {
		const char *now = backend_state_word(ring->backends[i]);

		for (size_t k = 0; k < BACKEND_STATE_WORDS; k++) {
			const char *word = backend_state_words[k];

			put_of_backend(out, "rondo_backend_state", ring->backends[i]);
			fprintf(out, ",state=\"%s\"} %d\n", word, strcmp(now, word) == 0);
		}
	}
}

static void put_silence(const struct ring *ring, FILE *out)
{
	put_head(out, "rondo_backend_silent", "gauge",
	    "1 while the backend is quiet for longer than is normal, and others answer.");
	for (size_t i = 0; i < ring->count; i++) {
		put_of_backend(out, "rondo_backend_silent", ring->backends[i]);
		fprintf(out, "} %d\n", ring->backends[i]->silent_us > 0);
	}
}

static void put_traffic(const struct ring *ring, FILE *out)
{
	put_head(out, "rondo_backend_requests_total", "counter",
	    "Answers of the backend, by class of their status.");
	for (size_t i = 0; i < ring->count; i++) {
		for (unsigned hundreds = 1; hundreds < 6; hundreds++) {
			put_of_backend(out, "rondo_backend_requests_total", ring->backends[i]);
			fprintf(out, ",code=\"%uxx\"} %llu\n", hundreds,
			    (unsigned long long)ring->backends[i]->counters.answers[hundreds]);
		}
	}
	put_head(out, "rondo_backend_response_seconds", "histogram",
	    "From the whole request to the first byte of the answer.");
	for (size_t i = 0; i < ring->count; i++) {
		const struct metrics_histogram latency = metrics_of_backend(ring->backends[i]);

		put_histogram(out, "rondo_backend_response_seconds", ring->backends[i], &latency);
	}
	put_head(out, "rondo_backend_connections", "gauge", "Connections to the backend open now.");
	for (size_t i = 0; i < ring->count; i++) {
		put_of_backend(out, "rondo_backend_connections", ring->backends[i]);
		fprintf(out, ",state=\"active\"} %u\n", ring->backends[i]->active);
		put_of_backend(out, "rondo_backend_connections", ring->backends[i]);
		fprintf(out, ",state=\"idle\"} %u\n", backend_count_idle(ring->backends[i]));
	}
	put_head(out, "rondo_backend_failures_total", "counter",
	    "Tries, probes and checks that failed, by reason.");
	for (size_t i = 0; i < ring->count; i++) {
		const uint64_t *failures = ring->backends[i]->counters.failures;

		for (enum outcome outcome = OUTCOME_GOOD + 1; outcome < OUTCOMES; outcome++) {
			put_of_backend(out, "rondo_backend_failures_total", ring->backends[i]);
			fprintf(out, ",reason=\"%s\"} %llu\n", outcome_word(outcome),
			    (unsigned long long)failures[outcome]);
		}
	}
}

/* ---- the process */

static uint64_t count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!directory)
		return 0;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count > 3 ? count - 3 : 0; /* ".", ".." and the directory itself */
}

static uint64_t open_descriptors(struct metrics *metrics)
{
	int64_t now_us = loop_now_us(metrics->proxy->loop);
	struct stat status;

	/* Since Linux 6.2 the size of the directory is the number of descriptors. proc(5). */
	if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
		return (uint64_t)status.st_size;
	if (metrics->open_fds == 0 || now_us - metrics->open_fds_us >= COUNT_AGE_US) {
		metrics->open_fds = count_descriptors();
		metrics->open_fds_us = now_us;
	}
	return metrics->open_fds;
}

static void put_memory(FILE *out)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char line[128];
	char *rest = line;

	if (!file)
		return;
	if (fgets(line, sizeof(line), file)) {
		double page = (double)sysconf(_SC_PAGESIZE);
		double virtual_pages = strtod(rest, &rest);

		put_plain(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size.",
		    virtual_pages * page);
		put_plain(out, "process_resident_memory_bytes", "gauge", "Resident memory size.",
		    strtod(rest, NULL) * page);
	}
	fclose(file);
}

static void put_process(struct metrics *metrics, FILE *out)
{
	struct rusage usage;
	struct rlimit limit;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		put_plain(out, "process_cpu_seconds_total", "counter",
		    "User and system CPU time spent.",
		    (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	put_memory(out);
	put_plain(out, "process_open_fds", "gauge", "Open file descriptors.",
	    (double)open_descriptors(metrics));
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		put_plain(out, "process_max_fds", "gauge", "File descriptors at most.",
		    (double)limit.rlim_cur);
	put_plain(out, "process_start_time_seconds", "gauge", "Start of the process, Unix time.",
	    (double)metrics->started_unix_us / 1e6);
}

void metrics_write(struct metrics *metrics, FILE *out)
{
	const struct proxy *proxy = metrics->proxy;

	put_head(out, "rondo_build_info", "gauge", "Always 1; versions are the labels.");
	fprintf(out, "rondo_build_info{version=\"%s\",llhttp=\"%s\"} 1\n", RONDO_VERSION,
	    parse_llhttp_version());
	put_plain(out, "rondo_ready", "gauge",
	    "1 while /readyz is 200: rondo does not stop, and a backend is up or may be tried.",
	    proxy_is_ready(proxy));
	put_clients(proxy, out);
	put_queue(proxy, out);
	put_states(proxy->ring, out);
	put_silence(proxy->ring, out);
	put_traffic(proxy->ring, out);
	put_plain(out, "rondo_log_lines_dropped_total", "counter",
	    "Log lines that could not be written.", (double)metrics_lines_dropped(metrics));
	put_plain(out, "rondo_loop_lag_seconds", "gauge",
	    "The longest turn of the event loop in the last second.",
	    (double)loop_lag_us(proxy->loop) / 1e6);
	put_plain(out, "rondo_config_last_reload_successful", "gauge",
	    "1 when the last attempt to load the configuration succeeded.",
	    metrics->refusal[0] == '\0');
	put_plain(out, "rondo_config_last_reload_success_timestamp_seconds", "gauge",
	    "When the running configuration was loaded, Unix time.",
	    (double)metrics->loaded_unix_us / 1e6);
	put_process(metrics, out);
}
