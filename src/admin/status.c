#include "status.h"

#include "base/text.h"
#include "figures.h"

#include <stdlib.h>
#include <unistd.h>

/* Takes over `value`. If it is NULL (no memory) the member is left out. */
static void put(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		json_decref(value);
}

static void put_count(json_t *object, const char *key, uint64_t count)
{
	put(object, key, json_integer((json_int_t)count));
}

json_t *status_text_json(const char *text)
{
	struct str bytes = str_from(text);
	json_t *string = json_string(text);

	if (string)
		return string;
	size_t len = text_escaped_length(bytes, TEXT_LINE);
	char *escaped = malloc(len);
	if (!escaped)
		return NULL;
	struct text out = text_begin(escaped, len);
	text_put_escaped(&out, bytes, TEXT_LINE, len);
	if (text_is_whole(&out))
		string = json_stringn(escaped, len);
	free(escaped);
	return string;
}

static void put_text(json_t *object, const char *key, const char *text)
{
	put(object, key, text && text[0] ? status_text_json(text) : json_null());
}

static void put_seconds(json_t *object, const char *key, int64_t us)
{
	put(object, key, json_real((double)us / 1e6));
}

/* Null for a negative value. */
static void put_seconds_or_null(json_t *object, const char *key, int64_t us)
{
	put(object, key, us >= 0 ? json_real((double)us / 1e6) : json_null());
}

/* ---- histograms */

static void put_times(json_t *object, const struct metrics_times *times)
{
	put_count(object, "count", times->count);
	put(object, "p50", times->count > 0 ? json_real(times->p50_s) : json_null());
	put(object, "p99", times->count > 0 ? json_real(times->p99_s) : json_null());
}

static json_t *histogram_json(const struct metrics_histogram *histogram, int64_t now_us)
{
	const struct metrics_times all = metrics_all_times(histogram);
	const struct metrics_times recent = metrics_recent_times(histogram, now_us);
	json_t *object = json_object(), *of_recent = json_object();
	json_t *buckets = json_array();

	put_times(object, &all);
	put_times(of_recent, &recent);
	put(object, "recent", of_recent);
	put(object, "average",
	    all.count > 0 ? json_real((double)histogram->values->sum_us / 1e6 / (double)all.count)
			  : json_null());
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		json_t *bucket = json_object();
		bool last = i + 1 == HISTOGRAM_BUCKETS;

		put(bucket, "le",
		    last ? json_null() : json_real((double)histogram->bounds_us[i] / 1e6));
		put_count(bucket, "count", histogram->values->counts[i]);
		json_array_append_new(buckets, bucket);
	}
	put(object, "buckets", buckets);
	return object;
}

/* The counts that are not zero, by reason. */
static json_t *outcomes_json(const uint64_t counts[static OUTCOMES])
{
	json_t *object = json_object();

	for (enum outcome outcome = OUTCOME_GOOD + 1; outcome < OUTCOMES; outcome++)
		if (counts[outcome] > 0)
			put_count(object, outcome_word(outcome), counts[outcome]);
	return object;
}

/* ---- backends */

static json_t *failure_json(const struct backend_failure *failure)
{
	static const char *const sources[] = {
	    [FAILURE_OF_REQUEST] = "request",
	    [FAILURE_OF_PROBE] = "probe",
	    [FAILURE_OF_CHECK] = "check",
	};
	json_t *object = json_object();
	char text[OUTCOME_TEXT_SIZE];

	put_seconds(object, "time", failure->when_unix_us);
	put_text(object, "by", sources[failure->source]);
	put_text(object, "reason", outcome_word(failure->outcome));
	put_text(object, "text",
	    outcome_describe(failure->outcome, failure->status, failure->fault, text));
	put(object, "status", failure->status > 0 ? json_integer(failure->status) : json_null());
	put_seconds(object, "after", failure->after_us);
	return object;
}

/* The newest first. */
static json_t *failures_json(const struct backend *backend)
{
	json_t *list = json_array();

	for (unsigned i = 1; i <= BACKEND_FAILURE_HISTORY; i++) {
		const struct backend_failure *failure =
		    &backend->failures[(backend->failure_next + BACKEND_FAILURE_HISTORY - i) %
				       BACKEND_FAILURE_HISTORY];

		if (failure->when_unix_us > 0)
			json_array_append_new(list, failure_json(failure));
	}
	return list;
}

/* The last answers that could be compared with other backends; see verdict.h for the
 * consequences. */
static json_t *record_json(const struct backend *backend)
{
	struct record_sum sum = record_sum(&backend->records[RECORD_COMPARED]);
	json_t *object = json_object();

	put_count(object, "answers", sum.good + sum.failed);
	put_count(object, "failed", sum.failed);
	return object;
}

static void put_state(json_t *object, const struct backend *backend, const struct figures *figures)
{
	bool has_status = figures->is_judged && backend->reason_status > 0;

	put_text(object, "state", figures->state);
	put_text(object, "why", figures->why);
	put(object, "silent", json_boolean(backend->silent_us > 0));
	put_seconds_or_null(object, "silent_for", figures->silent_for_us);
	put_text(object, "reason", figures->is_judged ? outcome_word(backend->reason) : NULL);
	put(object, "status", has_status ? json_integer(backend->reason_status) : json_null());
	put_seconds(object, "since", figures->since_unix_us);
	put_seconds(object, "for", figures->age_us);
	put_seconds_or_null(object, "next_try_in", figures->next_try_us);
	put_seconds_or_null(object, "window", figures->is_judged ? backend->window_us : -1);
	put_count(object, "suspicions", backend_suspicions(backend));
	put(object, "record", record_json(backend));
	put_count(object, "checks_failed", backend->checks_failed);
}

static void put_weight(
    json_t *object, const struct ring *ring, const struct backend *backend, int64_t now_us)
{
	json_t *changes = json_array();

	if (backend->draining)
		json_array_append_new(changes, json_string("drain"));
	if (backend->weight_is_override)
		json_array_append_new(changes, json_string("weight"));
	put_count(object, "weight", backend->weight);
	put_count(object, "configured_weight", backend->options.weight);
	put(object, "effective_weight",
	    json_real((double)ring_effective_weight(ring, backend, now_us) / 1000));
	put(object, "backup", json_boolean(backend->options.backup));
	put(object, "runtime_changes", changes);
}

static void put_traffic(
    json_t *object, const struct backend *backend, const struct figures *figures, int64_t now_us)
{
	static const char *const classes[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};
	const struct backend_counters *counters = &backend->counters;
	json_t *connections = json_object();
	json_t *answers = json_object();

	put_count(connections, "active", backend->active);
	put_count(connections, "idle", backend_count_idle(backend));
	put_count(connections, "opened", counters->connects);
	put(connections, "limit",
	    backend->options.max_connections > 0 ? json_integer(backend->options.max_connections)
						 : json_null());
	put(object, "connections", connections);
	put_count(object, "requests", counters->requests);
	for (size_t i = 1; i < 6; i++)
		put_count(answers, classes[i], counters->answers[i]);
	put(object, "answers", answers);
	put(object, "failures", outcomes_json(counters->failures));
	put_count(object, "retries", counters->retries);
	put_count(object, "silences", counters->silences);
	put(object, "response", histogram_json(&figures->latency, now_us));
}

json_t *status_backend_json(const struct status_source *source, const struct backend *backend)
{
	const struct proxy *proxy = source->metrics->proxy;
	int64_t now_us = loop_now_us(proxy->loop);
	char text[NET_ADDR_TEXT_SIZE];
	struct figures figures;
	json_t *object = json_object();
	json_t *addresses = json_array();

	figures_of_backend(&figures, backend, now_us);
	put_text(object, "name", backend->name);
	put_text(object, "url", backend->url);
	put_state(object, backend, &figures);
	put_weight(object, proxy->ring, backend, now_us);
	put_traffic(object, backend, &figures, now_us);
	for (size_t i = 0; i < backend->addr_count; i++)
		json_array_append_new(
		    addresses, json_string(net_addr_format(&backend->addrs[i], text)));
	put(object, "addresses", addresses);
	put(object, "last_failures", failures_json(backend));
	return object;
}

/* ---- the whole */

static json_t *requests_json(const struct proxy *proxy)
{
	const struct proxy_counters *counters = &proxy->counters;
	const struct metrics_histogram duration = metrics_of_clients(proxy);
	json_t *object = json_object();
	json_t *statuses = json_object();
	uint64_t total = 0;

	for (unsigned i = 0; i < PROXY_STATUSES; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%u", i);
		if (counters->requests[i] > 0)
			put_count(statuses, key, counters->requests[i]);
		total += counters->requests[i];
	}
	put_count(object, "total", total);
	put_count(object, "in_flight", proxy->exchanges.in_use);
	put(object, "by_status", statuses);
	put(object, "duration", histogram_json(&duration, loop_now_us(proxy->loop)));
	return object;
}

static json_t *retries_json(const struct proxy_counters *counters)
{
	json_t *object = json_object();
	json_t *refused = json_object();
	uint64_t total = 0;

	for (enum outcome outcome = OUTCOME_GOOD; outcome < OUTCOMES; outcome++)
		total += counters->retries[outcome];
	put_count(object, "total", total);
	put(object, "by_reason", outcomes_json(counters->retries));
	for (size_t i = 0; i < METRICS_RETRY_LIMITS; i++)
		put_count(refused, retry_refusal_word(metrics_retry_limits[i]),
		    counters->retries_refused[metrics_retry_limits[i]]);
	put(object, "refused", refused);
	return object;
}

static json_t *rescues_json(const struct proxy_counters *counters)
{
	json_t *object = json_object();

	for (enum rescue_result result = RESCUE_WON; result < RESCUE_RESULTS; result++)
		put_count(object, proxy_rescue_words[result], counters->rescues[result]);
	return object;
}

static json_t *queue_json(const struct proxy *proxy)
{
	const struct queue *queue = &proxy->queue;
	const struct metrics_histogram waits = metrics_of_queue(proxy);
	json_t *object = json_object();

	put_count(object, "length", queue->count);
	put_seconds(object, "longest", queue_longest_us(queue));
	for (enum queue_result result = QUEUE_SERVED; result < QUEUE_RESULTS; result++)
		put_count(object, queue_result_words[result], queue->counters.results[result]);
	put(object, "waits", histogram_json(&waits, loop_now_us(proxy->loop)));
	return object;
}

static json_t *process_json(const struct metrics *metrics)
{
	const struct proxy *proxy = metrics->proxy;
	json_t *object = json_object();

	put_text(object, "version", metrics_version());
	put(object, "pid", json_integer(getpid()));
	put_text(object, "state", proxy->draining ? "draining" : "serving");
	put_seconds(object, "started", metrics->started_unix_us);
	put_seconds(object, "loop_lag", loop_lag_us(proxy->loop));
	put_count(object, "log_lines_dropped", metrics_lines_dropped(metrics));
	put_seconds(object, "configuration_loaded", metrics->loaded_unix_us);
	put_text(object, "reload_refused", metrics->refusal);
	return object;
}

static json_t *clients_json(const struct proxy *proxy)
{
	json_t *object = json_object();

	put_count(object, "connections", proxy->sessions.slab.in_use);
	put_count(object, "limit", proxy->sessions.slab.limit);
	put_count(object, "accepted", proxy->sessions.accepted);
	put_count(object, "accept_pauses", proxy->sessions.accept_pauses);
	return object;
}

json_t *status_json(const struct status_source *source)
{
	const struct proxy *proxy = source->metrics->proxy;
	const struct ring *ring = proxy->ring;
	json_t *object = json_object();
	json_t *backends = json_array();

	put_seconds(object, "time", loop_unix_us());
	put(object, "rondo", process_json(source->metrics));
	put_text(object, "balance", ring_balance_words[ring->options.balance]);
	put(object, "ready", json_boolean(proxy_is_ready(proxy)));
	put(object, "clients", clients_json(proxy));
	put(object, "requests", requests_json(proxy));
	put(object, "retries", retries_json(&proxy->counters));
	put(object, "rescues", rescues_json(&proxy->counters));
	put(object, "queue", queue_json(proxy));
	for (size_t i = 0; i < ring->count; i++)
		json_array_append_new(backends, status_backend_json(source, ring->backends[i]));
	put(object, "backends", backends);
	return object;
}

json_t *status_events_json(const struct history *history)
{
	json_t *list = json_array();

	for (size_t i = 0; i < history_count(history); i++) {
		const struct history_event *event = history_get(history, i);
		json_t *object = json_object();

		put_count(object, "number", event->number);
		put_seconds(object, "time", event->when_unix_us);
		put_text(object, "backend", event->backend);
		put_text(object, "state", event->state);
		put_text(object, "reason", event->reason);
		put_text(object, "text", event->text);
		json_array_append_new(list, object);
	}
	return list;
}
