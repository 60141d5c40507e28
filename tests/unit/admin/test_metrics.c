/* What counters become: the text format, quantiles, JSON, and the page's escapes. */
#include "admin/metrics.h"
#include "page.h"
#include "status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t MS = 1000;

/* A service with one backend whose name wants to be escaped. */
struct house {
	struct proxy proxy;
	struct ring ring;
	struct backend *backends[1];
	struct backend backend;
	struct metrics metrics;
	struct history history;
};

static void house_init(struct house *house)
{
	static char name[] = "a\"<b>\\c\n", url[] = "http://h:1";
	static const struct access_log_options off = {.path = "off"};

	*house = (struct house){.backends = {&house->backend}};
	house->backend = (struct backend){.name = name, .url = url, .weight = 2};
	house->backend.options = (struct backend_options){.weight = 1, .name = name, .url = url};
	house->backend.weight_is_override = true;
	house->ring = (struct ring){.backends = house->backends, .count = 1};
	house->proxy = (struct proxy){.loop = loop_create(), .ring = &house->ring};
	assert_non_null(house->proxy.loop);
	house->proxy.access_log = access_log_create(house->proxy.loop, &off);
	assert_non_null(house->proxy.access_log);
	metrics_init(&house->metrics, &house->proxy);
}

static void house_finish(struct house *house)
{
	access_log_destroy(house->proxy.access_log);
	loop_destroy(house->proxy.loop);
}

static char *metrics_text(struct house *house)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	metrics_write(&house->metrics, out);
	fclose(out);
	return text;
}

static bool has_line(const char *text, const char *line)
{
	const char *found = text;

	while ((found = strstr(found, line))) {
		if ((found == text || found[-1] == '\n') && found[strlen(line)] == '\n')
			return true;
		found++;
	}
	return false;
}

static void every_counter_has_its_line(void **state)
{
	static const char *const lines[] = {
	    "rondo_client_connections 0",
	    "rondo_client_connections_total 12",
	    "rondo_ready 1",
	    "rondo_bytes_total{direction=\"in\"} 13",
	    "rondo_bytes_total{direction=\"out\"} 14",
	    "rondo_tunnels 15",
	    "rondo_requests_total{code=\"200\"} 3",
	    "rondo_requests_total{code=\"0\"} 1",
	    "rondo_request_duration_seconds_bucket{le=\"0.0005\"} 0",
	    "rondo_request_duration_seconds_bucket{le=\"0.001\"} 3",
	    "rondo_request_duration_seconds_bucket{le=\"10\"} 3",
	    "rondo_request_duration_seconds_bucket{le=\"+Inf\"} 4",
	    "rondo_request_duration_seconds_sum 20.5",
	    "rondo_request_duration_seconds_count 4",
	    "rondo_backend_up{backend=\"a\\\"<b>\\\\c\\n\"} 0",
	    "rondo_backend_state{backend=\"a\\\"<b>\\\\c\\n\",state=\"down\"} 1",
	    "rondo_backend_state{backend=\"a\\\"<b>\\\\c\\n\",state=\"up\"} 0",
	    "rondo_backend_requests_total{backend=\"a\\\"<b>\\\\c\\n\",code=\"2xx\"} 7",
	    "rondo_backend_response_seconds_bucket{backend=\"a\\\"<b>\\\\c\\n\",le=\"0.001\"} 5",
	    "rondo_backend_response_seconds_count{backend=\"a\\\"<b>\\\\c\\n\"} 5",
	    "rondo_backend_connections{backend=\"a\\\"<b>\\\\c\\n\",state=\"active\"} 4",
	    "rondo_backend_connections{backend=\"a\\\"<b>\\\\c\\n\",state=\"idle\"} 6",
	    "rondo_backend_failures_total{backend=\"a\\\"<b>\\\\c\\n\",reason=\"timeout\"} 9",
	    "rondo_retries_total{reason=\"timeout\"} 8",
	    "rondo_retries_refused_total{reason=\"budget\"} 1",
	    "rondo_retries_refused_total{reason=\"body\"} 2",
	    "rondo_retries_refused_total{reason=\"tries\"} 3",
	    "rondo_retries_refused_total{reason=\"deadline\"} 4",
	    "rondo_log_lines_dropped_total 0",
	    "rondo_config_last_reload_successful 0",
	};
	struct house house;

	(void)state;
	house_init(&house);
	house.proxy.sessions.accepted = 12;
	house.proxy.sessions.received = 13;
	house.proxy.sessions.sent = 14;
	house.proxy.tunnels = 15;
	house.proxy.counters.requests[200] = 3;
	house.proxy.counters.requests[0] = 1;
	house.proxy.counters.duration.counts[1] = 3;
	house.proxy.counters.duration.counts[HISTOGRAM_BUCKETS - 1] = 1;
	house.proxy.counters.duration.sum_us = 20500 * (uint64_t)MS;
	house.proxy.counters.retries[OUTCOME_LATE] = 8;
	house.proxy.counters.retries_refused[RETRY_REFUSED_BUDGET] = 1;
	house.proxy.counters.retries_refused[RETRY_REFUSED_BODY] = 2;
	house.proxy.counters.retries_refused[RETRY_REFUSED_TRIES] = 3;
	house.proxy.counters.retries_refused[RETRY_REFUSED_DEADLINE] = 4;
	house.backend.state = BACKEND_DOWN;
	house.backend.reason = OUTCOME_LATE;
	house.backend.counters.answers[2] = 7;
	house.backend.counters.latency.counts[0] = 5;
	house.backend.counters.failures[OUTCOME_LATE] = 9;
	house.backend.active = 4;
	house.backend.idle_count = 6;
	metrics_note_reload(&house.metrics, "rondo.conf:4: no");
	char *text = metrics_text(&house);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!has_line(text, lines[i]))
			fail_msg("no line %s in\n%s", lines[i], text);
	free(text);
	metrics_note_reload(&house.metrics, NULL);
	text = metrics_text(&house);
	assert_true(has_line(text, "rondo_config_last_reload_successful 1"));
	free(text);
	house.backend.counters = (struct backend_counters){0};
	house_finish(&house);
}

static void status_tells_what_the_operator_changed(void **state)
{
	struct house house;
	struct status_source source = {.metrics = &house.metrics, .history = &house.history};

	(void)state;
	house_init(&house);
	house.backend.draining = true;
	json_t *status = status_json(&source);
	json_t *backend = json_array_get(json_object_get(status, "backends"), 0);
	json_t *changes = json_object_get(backend, "runtime_changes");
	assert_string_equal(json_string_value(json_array_get(changes, 0)), "drain");
	assert_string_equal(json_string_value(json_array_get(changes, 1)), "weight");
	assert_string_equal(json_string_value(json_object_get(backend, "state")), "draining");
	assert_int_equal(json_integer_value(json_object_get(backend, "weight")), 2);
	assert_int_equal(json_integer_value(json_object_get(backend, "configured_weight")), 1);
	assert_true(json_is_null(json_object_get(backend, "next_try_in")));
	json_decref(status);
	house_finish(&house);
}

static void a_text_that_is_not_utf_8_is_escaped(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
	    {"caf\xc3\xa9.conf:4: no", "caf\xc3\xa9.conf:4: no"},
	    {"caf\xe9.conf:4: no", "caf\\xE9.conf:4: no"},
	    {"cut in a letter: \xc3", "cut in a letter: \\xC3"},
	};
	struct house house;
	struct status_source source = {.metrics = &house.metrics, .history = &house.history};

	(void)state;
	house_init(&house);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		metrics_note_reload(&house.metrics, cases[i].text);
		json_t *status = status_json(&source);
		const json_t *process = json_object_get(status, "rondo");
		const char *shown = json_string_value(json_object_get(process, "reload_refused"));

		assert_non_null(shown);
		assert_string_equal(shown, cases[i].shown);
		json_decref(status);
	}
	house_finish(&house);
}

static void nothing_on_the_page_is_markup_that_was_not_meant(void **state)
{
	struct house house;
	struct status_source source = {.metrics = &house.metrics, .history = &house.history};
	char *text = NULL;
	size_t len = 0;

	(void)state;
	house_init(&house);
	history_note(&house.history, &house.backend, "</script><!--<script>&");
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	assert_true(page_write(&source, out));
	fclose(out);
	assert_null(strstr(text, "<b>\\"));
	assert_null(strstr(text, "</script><!--"));
	assert_non_null(strstr(text, "<td>a&quot;&lt;b&gt;\\c\n</td>"));
	assert_non_null(strstr(text, "<td>&lt;/script&gt;&lt;!--&lt;script&gt;&amp;</td>"));
	assert_non_null(strstr(text, "\\u003c/script>\\u003c!--\\u003cscript>"));
	assert_null(strstr(text, "<!--TABLES-->"));
	assert_null(strstr(text, "<!--FIRST-->"));
	free(text);
	house_finish(&house);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_counter_has_its_line),
	    cmocka_unit_test(status_tells_what_the_operator_changed),
	    cmocka_unit_test(a_text_that_is_not_utf_8_is_escaped),
	    cmocka_unit_test(nothing_on_the_page_is_markup_that_was_not_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
