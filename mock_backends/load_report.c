#include "load_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *outcome_name(enum outcome outcome)
{
	static const char *const names[OUTCOME_COUNT] = {[OUTCOME_GOOD] = "good",
	    [OUTCOME_STATUS] = "status",
	    [OUTCOME_REFUSED] = "refused",
	    [OUTCOME_RESET] = "reset",
	    [OUTCOME_CLOSED] = "closed",
	    [OUTCOME_TRUNCATED] = "truncated",
	    [OUTCOME_MALFORMED] = "malformed",
	    [OUTCOME_WRONG_BODY] = "wrong_body",
	    [OUTCOME_EXTRA] = "extra",
	    [OUTCOME_TIMEOUT] = "timeout"};

	return names[outcome];
}

/* The row of this name, added if it is new; when the table is full, the last row. */
static struct report_name *find_name(struct report *report, const char *name)
{
	struct report_name *row = report->names;

	if (name[0] == '\0')
		name = "(none)";
	for (size_t i = 0; i < report->name_count; i++, row++) {
		if (strncmp(row->name, name, sizeof(row->name) - 1) == 0)
			return row;
	}
	if (report->name_count == REPORT_NAMES_MAX)
		return row - 1;
	report->name_count++;
	snprintf(row->name, sizeof(row->name), "%s", name);
	return row;
}

static void add_latency(struct report *report, int64_t latency_us)
{
	if (report->latency_count == report->latency_room) {
		report->latency_room = report->latency_room > 0 ? report->latency_room * 2 : 4096;
		report->latencies_us = realloc(
		    report->latencies_us, report->latency_room * sizeof(*report->latencies_us));
		if (report->latencies_us == NULL) {
			fprintf(stderr, "out of memory\n");
			exit(1);
		}
	}
	report->latencies_us[report->latency_count++] =
	    latency_us < UINT32_MAX ? (uint32_t)latency_us : UINT32_MAX;
}

void report_add(struct report *report, const struct result *result)
{
	report->outcomes[result->outcome]++;
	if (result->outcome != OUTCOME_GOOD)
		report->interval_failures++;
	if (result->answered_by == NULL)
		return;
	if (result->status > 0 && result->status < 600)
		report->statuses[result->status]++;
	if (result->latency_us > report->interval_slowest_us)
		report->interval_slowest_us = result->latency_us;
	report->interval_answers++;
	find_name(report, result->answered_by)->interval++;
	find_name(report, result->answered_by)->total++;
	add_latency(report, result->latency_us);
}

uint64_t report_requests(const struct report *report)
{
	return report->outcomes[OUTCOME_GOOD] + report_failures(report);
}

uint64_t report_failures(const struct report *report)
{
	uint64_t count = 0;

	for (size_t i = OUTCOME_GOOD + 1; i < OUTCOME_COUNT; i++)
		count += report->outcomes[i];
	return count;
}

static double seconds(int64_t us)
{
	return (double)us / 1e6;
}

static double ms(int64_t us)
{
	return (double)us / 1e3;
}

static void print_string(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20)
			printf("\\u%04x", (unsigned)(unsigned char)*text);
		else
			putchar(*text);
	}
	putchar('"');
}

/* {"http://localhost:8001":50,...} */
static void print_names(const struct report *report, bool of_interval)
{
	putchar('{');
	for (size_t i = 0; i < report->name_count; i++) {
		const struct report_name *row = &report->names[i];

		if (i > 0)
			putchar(',');
		print_string(row->name);
		printf(":%llu", (unsigned long long)(of_interval ? row->interval : row->total));
	}
	putchar('}');
}

static void print_interval_words(const struct report *report)
{
	printf("%.2fs answers=%llu failed=%llu slowest_ms=%.1f", seconds(report->elapsed_us),
	    (unsigned long long)report->interval_answers,
	    (unsigned long long)report->interval_failures, ms(report->interval_slowest_us));
	for (size_t i = 0; i < report->name_count; i++)
		printf(" %s=%llu", report->names[i].name,
		    (unsigned long long)report->names[i].interval);
	printf("\n");
}

static void print_interval_json(const struct report *report)
{
	printf("{\"at\":%.2f,\"answers\":%llu,\"failed\":%llu,\"slowest_ms\":%.1f,"
	       "\"answered_by\":",
	    seconds(report->elapsed_us), (unsigned long long)report->interval_answers,
	    (unsigned long long)report->interval_failures, ms(report->interval_slowest_us));
	print_names(report, true);
	printf("}\n");
}

void report_print_interval(struct report *report, bool as_json)
{
	if (as_json)
		print_interval_json(report);
	else
		print_interval_words(report);
	fflush(stdout);
	for (size_t i = 0; i < report->name_count; i++)
		report->names[i].interval = 0;
	report->interval_answers = 0;
	report->interval_failures = 0;
	report->interval_slowest_us = 0;
}

static int compare_latencies(const void *a, const void *b)
{
	const uint32_t *one = a;
	const uint32_t *other = b;

	return (*one > *other) - (*one < *other);
}

/* The time within which this share of the (sorted) answers came; 0 without answers. */
static double percentile_ms(const struct report *report, double share)
{
	size_t index = (size_t)((double)report->latency_count * share);

	if (report->latency_count == 0)
		return 0;
	if (index >= report->latency_count)
		index = report->latency_count - 1;
	return ms(report->latencies_us[index]);
}

static double rate(const struct report *report)
{
	if (report->elapsed_us == 0)
		return 0;
	return (double)report_requests(report) / seconds(report->elapsed_us);
}

static void print_json(const struct report *report)
{
	const char *comma = "";

	printf("{\"requests\":%llu,\"good\":%llu,\"failed\":%llu,\"failures\":{",
	    (unsigned long long)report_requests(report),
	    (unsigned long long)report->outcomes[OUTCOME_GOOD],
	    (unsigned long long)report_failures(report));
	for (size_t i = OUTCOME_GOOD + 1; i < OUTCOME_COUNT; i++) {
		printf("%s\"%s\":%llu", comma, outcome_name((enum outcome)i),
		    (unsigned long long)report->outcomes[i]);
		comma = ",";
	}
	comma = "";
	printf("},\"statuses\":{");
	for (int i = 0; i < 600; i++) {
		if (report->statuses[i] == 0)
			continue;
		printf("%s\"%d\":%llu", comma, i, (unsigned long long)report->statuses[i]);
		comma = ",";
	}
	printf("},\"answered_by\":");
	print_names(report, false);
	printf(",\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"p99_9\":%.3f,\"max\":%.3f}",
	    percentile_ms(report, 0.5), percentile_ms(report, 0.99), percentile_ms(report, 0.999),
	    percentile_ms(report, 1));
	printf(",\"seconds\":%.3f,\"rate\":%.1f,\"idle_closes\":%llu}\n",
	    seconds(report->elapsed_us), rate(report), (unsigned long long)report->idle_closes);
}

static void print_words(const struct report *report)
{
	printf("%llu requests in %.2f s (%.0f a second): %llu good, %llu failed\n",
	    (unsigned long long)report_requests(report), seconds(report->elapsed_us), rate(report),
	    (unsigned long long)report->outcomes[OUTCOME_GOOD],
	    (unsigned long long)report_failures(report));
	for (size_t i = OUTCOME_GOOD + 1; i < OUTCOME_COUNT; i++) {
		if (report->outcomes[i] > 0)
			printf("  failed, %s: %llu\n", outcome_name((enum outcome)i),
			    (unsigned long long)report->outcomes[i]);
	}
	for (int i = 0; i < 600; i++) {
		if (report->statuses[i] > 0)
			printf("  status %d: %llu\n", i, (unsigned long long)report->statuses[i]);
	}
	for (size_t i = 0; i < report->name_count; i++)
		printf("  answered by %s: %llu\n", report->names[i].name,
		    (unsigned long long)report->names[i].total);
	if (report->idle_closes > 0)
		printf("  connections the server closed between requests: %llu\n",
		    (unsigned long long)report->idle_closes);
	printf("  latency: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms\n",
	    percentile_ms(report, 0.5), percentile_ms(report, 0.99), percentile_ms(report, 0.999),
	    percentile_ms(report, 1));
}

void report_print(struct report *report, bool as_json)
{
	if (report->latency_count > 0)
		qsort(report->latencies_us, report->latency_count, sizeof(*report->latencies_us),
		    compare_latencies);
	if (as_json)
		print_json(report);
	else
		print_words(report);
	fflush(stdout);
}

void report_free(struct report *report)
{
	free(report->latencies_us);
	report->latencies_us = NULL;
}
