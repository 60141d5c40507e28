#include "show.h"

#include <string.h>
#include <time.h>

/* ---- values */

json_t *at(const json_t *object, const char *path)
{
	json_t *value = NULL;

	while (*path) {
		size_t len = strcspn(path, ".");
		char name[SHOW_TEXT_SIZE];

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		value = json_object_get(object, name);
		object = value;
		path += len + (path[len] == '.');
	}
	return value;
}

double number_at(const json_t *object, const char *path)
{
	return json_number_value(at(object, path));
}

const char *text_at(const json_t *object, const char *path)
{
	const char *text = json_string_value(at(object, path));

	return text ? text : "";
}

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

double failures_of(const json_t *backend)
{
	const char *reason;
	json_t *count;
	double sum = 0;

	json_object_foreach(at(backend, "failures"), reason, count) sum += json_number_value(count);
	return sum;
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

const char *plain(bool coloured)
{
	return coloured ? "\033[0m" : "";
}

void put_clean(FILE *out, const char *text)
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

static void show_process(const json_t *status, FILE *out)
{
	char age[SHOW_TEXT_SIZE], p50[SHOW_TEXT_SIZE], p99[SHOW_TEXT_SIZE];
	const char *refused = text_at(status, "rondo.reload_refused");

	fprintf(out, "rondo %s, process %.0f, for %s; %s%s, %s\n", text_at(status, "rondo.version"),
	    number_at(status, "rondo.pid"),
	    format_age(number_at(status, "time") - number_at(status, "rondo.started"), age),
	    text_at(status, "rondo.state"), json_is_true(at(status, "ready")) ? "" : ", not ready",
	    text_at(status, "balance"));
	fprintf(out,
	    "%.0f client connections; %.0f requests, %.0f in flight, half within %s, 99 %% within "
	    "%s; %.0f retries\n",
	    number_at(status, "clients.connections"), number_at(status, "requests.total"),
	    number_at(status, "requests.in_flight"),
	    format_time(number_at(status, "requests.duration.p50"), p50),
	    format_time(number_at(status, "requests.duration.p99"), p99),
	    number_at(status, "retries.total"));
	if (refused[0]) {
		fputs("the last reload was refused: ", out);
		put_clean(out, refused);
		fputc('\n', out);
	}
	if (number_at(status, "rondo.log_lines_dropped") > 0)
		fprintf(out, "%.0f log lines could not be written\n",
		    number_at(status, "rondo.log_lines_dropped"));
}

static int name_width(const json_t *backends)
{
	size_t longest = strlen("BACKEND");
	size_t i;
	json_t *backend;

	json_array_foreach(backends, i, backend)
	{
		size_t len = strlen(text_at(backend, "name"));

		if (len > longest)
			longest = len;
	}
	return longest < 40 ? (int)longest : 40;
}

static void show_backend(const json_t *backend, int width, bool coloured, FILE *out)
{
	const char *state = text_at(backend, "state");
	char weight[SHOW_TEXT_SIZE], age[SHOW_TEXT_SIZE], p50[SHOW_TEXT_SIZE], p99[SHOW_TEXT_SIZE];
	bool is_set = number_at(backend, "weight") != number_at(backend, "configured_weight");

	snprintf(weight, sizeof(weight), "%.0f%s", number_at(backend, "weight"), is_set ? "*" : "");
	fprintf(out, "%-*.*s  %s%-10s%s %6s %5.0f %5.0f %9.0f %8.0f %8s %8s  ", width, width,
	    text_at(backend, "name"), colour_of(state, coloured), state, plain(coloured), weight,
	    number_at(backend, "connections.active"), number_at(backend, "connections.idle"),
	    number_at(backend, "requests"), failures_of(backend),
	    format_time(number_at(backend, "response.p50"), p50),
	    format_time(number_at(backend, "response.p99"), p99));
	put_clean(out, text_at(backend, "why"));
	fprintf(out, ", for %s", format_age(number_at(backend, "for"), age));
	if (!json_is_null(at(backend, "next_try_in")))
		fprintf(
		    out, ", next try in %s", format_age(number_at(backend, "next_try_in"), age));
	fputc('\n', out);
}

void show_status(const json_t *answer, bool coloured, FILE *out)
{
	const json_t *status = at(answer, "status");
	const json_t *backends = at(status, "backends");
	int width = name_width(backends);
	bool changed = false;
	size_t i;
	json_t *backend;

	show_process(status, out);
	fprintf(out, "\n%-*s  %-10s %6s %5s %5s %9s %8s %8s %8s  %s\n", width, "BACKEND", "STATE",
	    "WEIGHT", "BUSY", "IDLE", "REQUESTS", "FAILURES", "P50", "P99", "WHY");
	json_array_foreach(backends, i, backend)
	{
		show_backend(backend, width, coloured, out);
		changed |= json_array_size(at(backend, "runtime_changes")) > 0;
	}
	if (changed)
		fputs("\ndraining, and weights with *, are changes made at run time\n", out);
}

/* ---- why */

static void show_failures(const json_t *backend, FILE *out)
{
	const json_t *failures = at(backend, "last_failures");
	char after[SHOW_TEXT_SIZE];
	size_t i;
	json_t *failure;

	fputs(json_array_size(failures) > 0 ? "last failures:\n" : "nothing has failed\n", out);
	json_array_foreach(failures, i, failure)
	{
		put_when(out, number_at(failure, "time"));
		fprintf(out, "%s: %s", text_at(failure, "by"), text_at(failure, "text"));
		if (number_at(failure, "status") > 0)
			fprintf(out, " %.0f", number_at(failure, "status"));
		fprintf(out, ", after %s\n", format_age(number_at(failure, "after"), after));
	}
}

static void show_changes(const json_t *answer, const char *name, FILE *out)
{
	size_t i;
	json_t *event;
	bool first = true;

	json_array_foreach(at(answer, "events"), i, event)
	{
		if (strcmp(text_at(event, "backend"), name) != 0)
			continue;
		fputs(first ? "last changes:\n" : "", out);
		first = false;
		put_when(out, number_at(event, "time"));
		fprintf(out, "%s: ", text_at(event, "state"));
		put_clean(out, text_at(event, "text"));
		fputc('\n', out);
	}
}

static void show_operator(const json_t *backend, FILE *out)
{
	size_t i;
	json_t *change;

	json_array_foreach(at(backend, "runtime_changes"), i, change)
	{
		if (strcmp(json_string_value(change), "weight") == 0)
			fprintf(out, "changed at run time: weight %.0f, configured is %.0f\n",
			    number_at(backend, "weight"), number_at(backend, "configured_weight"));
		else
			fputs("changed at run time: drained\n", out);
	}
}

void show_why(const json_t *answer, bool coloured, FILE *out)
{
	const json_t *backend = at(answer, "backend");
	const char *state = text_at(backend, "state");
	char age[SHOW_TEXT_SIZE];

	put_clean(out, text_at(backend, "name"));
	fputs(" (", out);
	put_clean(out, text_at(backend, "url"));
	fprintf(out, ") is %s%s%s: ", colour_of(state, coloured), state, plain(coloured));
	put_clean(out, text_at(backend, "why"));
	fprintf(out, ", for %s\n", format_age(number_at(backend, "for"), age));
	if (!json_is_null(at(backend, "next_try_in")))
		fprintf(
		    out, "next try in %s\n", format_age(number_at(backend, "next_try_in"), age));
	if (number_at(backend, "suspicions") > 0)
		fprintf(out,
		    "%.0f failures in a row that could not be compared with another backend\n",
		    number_at(backend, "suspicions"));
	if (number_at(backend, "checks_failed") > 0)
		fprintf(out, "%.0f failed checks in a row\n", number_at(backend, "checks_failed"));
	show_operator(backend, out);
	show_failures(backend, out);
	show_changes(answer, text_at(backend, "name"), out);
}
