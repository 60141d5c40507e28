/*
 * load_report - counts the outcomes of requests, their times, and prints them.
 */
#ifndef MOCK_LOAD_REPORT_H
#define MOCK_LOAD_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_NAMES_MAX 64

enum outcome {
	OUTCOME_GOOD,
	OUTCOME_STATUS,     /* complete, but 4xx or 5xx (or not the status that was expected) */
	OUTCOME_REFUSED,    /* no connection */
	OUTCOME_RESET,      /* connection reset while the answer was awaited or coming */
	OUTCOME_CLOSED,     /* closed before the first byte of the answer */
	OUTCOME_TRUNCATED,  /* closed within the answer */
	OUTCOME_MALFORMED,  /* not HTTP */
	OUTCOME_WRONG_BODY, /* complete, but not the right content */
	OUTCOME_EXTRA,      /* more bytes than the answer has */
	OUTCOME_TIMEOUT,
	OUTCOME_COUNT
};

struct result {
	enum outcome outcome;
	int status;              /* 0: no complete head */
	const char *answered_by; /* NULL: no answer; "": the answer has no such field */
	int64_t latency_us;
};

struct report_name {
	char name[128];
	uint64_t total;
	uint64_t interval; /* since the last line of the timeline */
};

/* All zero to begin with. */
struct report {
	uint64_t outcomes[OUTCOME_COUNT];
	uint64_t statuses[600];
	struct report_name names[REPORT_NAMES_MAX];
	size_t name_count;
	uint32_t *latencies_us;
	size_t latency_count;
	size_t latency_room;
	int64_t elapsed_us;   /* set by the caller before printing */
	uint64_t idle_closes; /* the server closed a connection between two requests */
	uint64_t interval_answers;
	uint64_t interval_failures;
	int64_t interval_slowest_us;
};

const char *outcome_name(enum outcome outcome);

void report_add(struct report *report, const struct result *result);

uint64_t report_requests(const struct report *report);
uint64_t report_failures(const struct report *report);

/* One line for the time since the last such line. */
void report_print_interval(struct report *report, bool as_json);

/* Prints the whole report, in words or as one line of JSON. */
void report_print(struct report *report, bool as_json);

void report_free(struct report *report);

#endif
