#include "show.h"

#include "answer.h"

#include <string.h>
#include <time.h>

const char *format_age(double seconds, char text[static SHOW_TEXT_SIZE])
{
	long whole = (long)seconds;

	if (seconds < 1)
		snprintf(text, SHOW_TEXT_SIZE, "%.0f ms", seconds * 1000);
	else if (whole < 60)
		snprintf(text, SHOW_TEXT_SIZE, "%ld s", whole);
	else if (whole < 3600)
		snprintf(text, SHOW_TEXT_SIZE, "%ld m %ld s", whole / 60, whole % 60);
	else if (whole < 86400)
		snprintf(text, SHOW_TEXT_SIZE, "%ld h %ld m", whole / 3600, whole / 60 % 60);
	else
		snprintf(text, SHOW_TEXT_SIZE, "%ld d %ld h", whole / 86400, whole / 3600 % 24);
	return text;
}

const char *format_time(double seconds, char text[static SHOW_TEXT_SIZE])
{
	if (seconds <= 0)
		snprintf(text, SHOW_TEXT_SIZE, "-");
	else if (seconds < 0.0995)
		snprintf(text, SHOW_TEXT_SIZE, "%.1f ms", seconds * 1000);
	else if (seconds < 0.9995)
		snprintf(text, SHOW_TEXT_SIZE, "%.0f ms", seconds * 1000);
	else
		snprintf(text, SHOW_TEXT_SIZE, "%.1f s", seconds);
	return text;
}

const char *format_clock(double unix_seconds, char text[static SHOW_TEXT_SIZE])
{
	time_t seconds = (time_t)unix_seconds;
	struct tm parts;

	text[0] = '\0';
	if (localtime_r(&seconds, &parts))
		strftime(text, SHOW_TEXT_SIZE, "%H:%M:%S", &parts);
	return text;
}

/* ---- text */

const char *colour_of(const char *state, bool coloured)
{
	if (!coloured)
		return "";
	if (strcmp(state, "up") == 0)
		return "\033[32m";
	if (strcmp(state, "down") == 0)
		return "\033[31m";
	return "\033[33m";
}

const char *colour_end(bool coloured)
{
	return coloured ? "\033[0m" : "";
}

void show_clean(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, out);
}

static void put_when(FILE *out, double unix_seconds)
{
	char text[SHOW_TEXT_SIZE];

	fprintf(out, "  %s  ", format_clock(unix_seconds, text));
}

/* ---- status */

/* Nothing where no request ever had to wait. */
static void show_queue(const json_t *status, FILE *out)
{
	char longest[SHOW_TEXT_SIZE], p99[SHOW_TEXT_SIZE];
	double waiting = answer_number(status, "queue.length");
	double served = answer_number(status, "queue.served");
	double in_vain =
	    answer_number(status, "queue.timeout") + answer_number(status, "queue.full");

	if (waiting > 0)
		fprintf(out, "%.0f wait for a backend, the first one for %s; ", waiting,
		    format_age(answer_number(status, "queue.longest"), longest));
	if (served + in_vain + waiting > 0)
		fprintf(out, "%.0f had to wait, 99 %% within %s; %.0f found no backend\n", served,
		    format_time(answer_number(status, "queue.waits.p99"), p99), in_vain);
}

static void show_process(const json_t *status, FILE *out)
{
	char age[SHOW_TEXT_SIZE], p50[SHOW_TEXT_SIZE], p99[SHOW_TEXT_SIZE];
	const char *refused = answer_text(status, "rondo.reload_refused");

	fprintf(out, "rondo %s, process %.0f, for %s; %s%s, %s\n",
	    answer_text(status, "rondo.version"), answer_number(status, "rondo.pid"),
	    format_age(answer_number(status, "time") - answer_number(status, "rondo.started"), age),
	    answer_text(status, "rondo.state"),
	    json_is_true(answer_at(status, "ready")) ? "" : ", not ready",
	    answer_text(status, "balance"));
	fprintf(out,
	    "%.0f client connections; %.0f requests, %.0f in flight, half within %s, 99 %% within "
	    "%s; %.0f retries\n",
	    answer_number(status, "clients.connections"), answer_number(status, "requests.total"),
	    answer_number(status, "requests.in_flight"),
	    format_time(answer_number(status, "requests.duration.p50"), p50),
	    format_time(answer_number(status, "requests.duration.p99"), p99),
	    answer_number(status, "retries.total"));
	show_queue(status, out);
	if (refused[0]) {
		fputs("the last reload was refused: ", out);
		show_clean(out, refused);
		fputc('\n', out);
	}
	if (answer_number(status, "rondo.log_lines_dropped") > 0)
		fprintf(out, "%.0f log lines could not be written\n",
		    answer_number(status, "rondo.log_lines_dropped"));
}

static int name_width(const json_t *backends)
{
	size_t longest = strlen("BACKEND");
	size_t i;
	json_t *backend;

	json_array_foreach (backends, i, backend) {
		size_t len = strlen(answer_text(backend, "name"));

		if (len > longest)
			longest = len;
	}
	return longest < 40 ? (int)longest : 40;
}

static void show_backend(const json_t *backend, int width, bool coloured, FILE *out)
{
	const char *state = answer_text(backend, "state");
	char weight[SHOW_TEXT_SIZE], age[SHOW_TEXT_SIZE], p50[SHOW_TEXT_SIZE], p99[SHOW_TEXT_SIZE];
	bool is_set =
	    answer_number(backend, "weight") != answer_number(backend, "configured_weight");

	snprintf(
	    weight, sizeof(weight), "%.0f%s", answer_number(backend, "weight"), is_set ? "*" : "");
	fprintf(out, "%-*.*s  %s%-10s%s %6s %5.0f %5.0f %9.0f %8.0f %8s %8s  ", width, width,
	    answer_text(backend, "name"), colour_of(state, coloured), state, colour_end(coloured),
	    weight, answer_number(backend, "connections.active"),
	    answer_number(backend, "connections.idle"), answer_number(backend, "requests"),
	    answer_failures(backend), format_time(answer_number(backend, "response.p50"), p50),
	    format_time(answer_number(backend, "response.p99"), p99));
	show_clean(out, answer_text(backend, "why"));
	fprintf(out, ", for %s", format_age(answer_number(backend, "for"), age));
	if (!json_is_null(answer_at(backend, "next_try_in")))
		fprintf(out, ", next try in %s",
		    format_age(answer_number(backend, "next_try_in"), age));
	fputc('\n', out);
}

void show_status(const json_t *answer, bool coloured, FILE *out)
{
	const json_t *status = answer_at(answer, "status");
	const json_t *backends = answer_at(status, "backends");
	int width = name_width(backends);
	bool changed = false;
	size_t i;
	json_t *backend;

	show_process(status, out);
	fprintf(out, "\n%-*s  %-10s %6s %5s %5s %9s %8s %8s %8s  %s\n", width, "BACKEND", "STATE",
	    "WEIGHT", "BUSY", "IDLE", "REQUESTS", "FAILURES", "P50", "P99", "WHY");
	json_array_foreach (backends, i, backend) {
		show_backend(backend, width, coloured, out);
		changed |= json_array_size(answer_at(backend, "runtime_changes")) > 0;
	}
	if (changed)
		fputs("\ndraining, and weights with *, are changes made at run time\n", out);
}

/* ---- why */

static void show_failures(const json_t *backend, FILE *out)
{
	const json_t *failures = answer_at(backend, "last_failures");
	char after[SHOW_TEXT_SIZE];
	size_t i;
	json_t *failure;

	fputs(json_array_size(failures) > 0 ? "last failures:\n" : "nothing has failed\n", out);
	json_array_foreach (failures, i, failure) {
		put_when(out, answer_number(failure, "time"));
		fprintf(out, "%s: %s, after %s\n", answer_text(failure, "by"),
		    answer_text(failure, "text"),
		    format_age(answer_number(failure, "after"), after));
	}
}

static void show_changes(const json_t *answer, const char *name, FILE *out)
{
	size_t i;
	json_t *event;
	bool first = true;

	json_array_foreach (answer_at(answer, "events"), i, event) {
		if (strcmp(answer_text(event, "backend"), name) != 0)
			continue;
		fputs(first ? "last changes:\n" : "", out);
		first = false;
		put_when(out, answer_number(event, "time"));
		fprintf(out, "%s: ", answer_text(event, "state"));
		show_clean(out, answer_text(event, "text"));
		fputc('\n', out);
	}
}

static void show_operator(const json_t *backend, FILE *out)
{
	size_t i;
	json_t *change;

	json_array_foreach (answer_at(backend, "runtime_changes"), i, change) {
		if (strcmp(json_string_value(change), "weight") == 0)
			fprintf(out, "changed at run time: weight %.0f, configured is %.0f\n",
			    answer_number(backend, "weight"),
			    answer_number(backend, "configured_weight"));
		else
			fputs("changed at run time: drained\n", out);
	}
}

static void show_record(const json_t *record, FILE *out)
{
	if (answer_number(record, "failed") > 0)
		fprintf(out,
		    "of its last %.0f answers %.0f failed where another backend could answer\n",
		    answer_number(record, "answers"), answer_number(record, "failed"));
}

void show_why(const json_t *answer, bool coloured, FILE *out)
{
	const json_t *backend = answer_at(answer, "backend");
	const char *state = answer_text(backend, "state");
	bool is_trial = strcmp(state, "trial") == 0;
	char age[SHOW_TEXT_SIZE];

	show_clean(out, answer_text(backend, "name"));
	fputs(" (", out);
	show_clean(out, answer_text(backend, "url"));
	fprintf(out, ") is %s%s%s%s: ", is_trial ? "on " : "", colour_of(state, coloured), state,
	    colour_end(coloured));
	show_clean(out, answer_text(backend, "why"));
	fprintf(out, ", for %s\n", format_age(answer_number(backend, "for"), age));
	if (!json_is_null(answer_at(backend, "next_try_in")))
		fprintf(out, "next try in %s\n",
		    format_age(answer_number(backend, "next_try_in"), age));
	if (is_trial)
		fputs("the next request decides whether it is up again\n", out);
	show_record(answer_at(backend, "record"), out);
	if (answer_number(backend, "suspicions") > 0)
		fprintf(out,
		    "%.0f failures in a row that could not be compared with another backend\n",
		    answer_number(backend, "suspicions"));
	if (answer_number(backend, "checks_failed") > 0)
		fprintf(
		    out, "%.0f failed checks in a row\n", answer_number(backend, "checks_failed"));
	show_operator(backend, out);
	show_failures(backend, out);
	show_changes(answer, answer_text(backend, "name"), out);
}
