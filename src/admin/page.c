#include "page.h"

#include "figures.h"
#include "page_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- text */

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

static void put_cell(FILE *out, const char *text)
{
	fputs("<td>", out);
	put_escaped(out, text);
	fputs("</td>", out);
}

static void put_time(FILE *out, int64_t unix_us)
{
	time_t seconds = (time_t)(unix_us / 1000000);
	char text[32] = "";
	struct tm parts;

	if (gmtime_r(&seconds, &parts))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
	put_cell(out, text);
}

static void put_milliseconds(FILE *out, double seconds)
{
	fprintf(out, "<td>%.1f ms</td>", seconds * 1000);
}

/* ---- without a script */

static void put_backend(const struct proxy *proxy, const struct backend *backend, FILE *out)
{
	struct figures figures;

	figures_of_backend(&figures, backend, loop_now_us(proxy->loop));
	fputs("<tr>", out);
	put_cell(out, backend->name);
	put_cell(out, figures.state);
	put_cell(out, figures.why);
	put_time(out, figures.since_unix_us);
	if (figures.next_try_us >= 0)
		fprintf(out, "<td>in %.0f s</td>", ceil((double)figures.next_try_us / 1e6));
	else
		fputs("<td></td>", out);
	fprintf(out, "<td>%u</td><td>%u + %u</td><td>%llu</td><td>%llu</td>", backend->weight,
	    backend->active, backend_count_idle(backend),
	    (unsigned long long)backend->counters.requests, (unsigned long long)figures.failures);
	const struct metrics_times times = metrics_all_times(&figures.latency);
	put_milliseconds(out, times.p50_s);
	put_milliseconds(out, times.p99_s);
	fputs("</tr>\n", out);
}

static void put_failures(const struct ring *ring, FILE *out)
{
	fputs("<h2>Failures</h2><table><tr><th>backend<th>reason<th>times</tr>\n", out);
	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *backend = ring->backends[i];

		for (enum outcome outcome = OUTCOME_GOOD + 1; outcome < OUTCOMES; outcome++) {
			if (backend->counters.failures[outcome] == 0)
				continue;
			fputs("<tr>", out);
			put_cell(out, backend->name);
			put_cell(out, outcome_text(outcome));
			fprintf(out, "<td>%llu</td></tr>\n",
			    (unsigned long long)backend->counters.failures[outcome]);
		}
	}
	fputs("</table>\n", out);
}

static void put_events(const struct history *history, FILE *out)
{
	size_t count = history_count(history);

	fputs("<h2>Events</h2><table>", out);
	for (size_t i = 0; i < count && i < 30; i++) {
		const struct history_event *event = history_get(history, i);

		fputs("<tr>", out);
		put_time(out, event->when_unix_us);
		put_cell(out, event->backend);
		put_cell(out, event->state);
		put_cell(out, event->text);
		fputs("</tr>\n", out);
	}
	fputs("</table>\n", out);
}

static void put_tables(const struct status_source *source, FILE *out)
{
	const struct proxy *proxy = source->metrics->proxy;
	const struct metrics_histogram duration = metrics_of_clients(proxy);
	const struct metrics_times times = metrics_all_times(&duration);

	fprintf(out,
	    "<p>%zu of %zu backends up, %zu client connections, %llu requests since the start; "
	    "half of them within %.1f ms, 99 %% within %.1f ms.</p>\n"
	    "<table><tr><th>backend<th>state<th>why<th>since<th>next try<th>weight"
	    "<th>connections<th>requests<th>failures<th>p50<th>p99</tr>\n",
	    ring_count_up(proxy->ring), proxy->ring->count, proxy->sessions.slab.in_use,
	    (unsigned long long)times.count, times.p50_s * 1000, times.p99_s * 1000);
	for (size_t i = 0; i < proxy->ring->count; i++)
		put_backend(proxy, proxy->ring->backends[i], out);
	fputs("</table>\n", out);
	put_failures(proxy->ring, out);
	put_events(source->history, out);
}

/* ---- with one */

/* Inside a script element no text may look like a tag. */
static bool put_json(json_t *value, FILE *out)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

	json_decref(value);
	if (!text)
		return false;
	for (const char *at = text; *at; at++) {
		if (*at == '<')
			fputs("\\u003c", out);
		else
			fputc(*at, out);
	}
	free(text);
	return true;
}

static bool put_first(const struct status_source *source, FILE *out)
{
	fputs("{\"status\":", out);
	bool good = put_json(status_json(source), out);
	fputs(",\"events\":", out);
	good = put_json(status_events_json(source->history), out) && good;
	fputc('}', out);
	return good;
}

bool page_write(const struct status_source *source, FILE *out)
{
	static const char tables_mark[] = "<!--TABLES-->", first_mark[] = "<!--FIRST-->";
	const char *tables = strstr(page_text, tables_mark);
	const char *first = tables ? strstr(tables, first_mark) : NULL;

	if (!first)
		return false;
	fwrite(page_text, 1, (size_t)(tables - page_text), out);
	put_tables(source, out);
	tables += sizeof(tables_mark) - 1;
	fwrite(tables, 1, (size_t)(first - tables), out);
	bool good = put_first(source, out);
	fputs(first + sizeof(first_mark) - 1, out);
	return good;
}
