#include "probe_table.h"

#include "event/resolve.h"
#include "upstream/check.h"

#include <errno.h>
#include <stdlib.h>

enum { RESULT_SIZE = 200 };

/* One backend, while it is checked and afterwards: a line of the table. */
struct row {
	struct table *table;
	struct backend *backend;
	struct resolve_query query;
	struct check check;
	int64_t began_us, took_us;
	bool is_good;
	char result[RESULT_SIZE];
};

struct table {
	const struct config *config;
	struct loop *loop;
	struct resolver *resolver;
	struct slab blocks;
	struct backend_env env;
	struct row *rows;
	size_t open; /* that are not over */
};

/* ---- one row */

static void note_result(struct row *row, bool is_good, const char *result)
{
	row->took_us = loop_now_us(row->table->loop) - row->began_us;
	row->is_good = is_good;
	snprintf(row->result, sizeof(row->result), "%s", result);
}

static void close_row(struct row *row)
{
	if (--row->table->open == 0)
		loop_stop(row->table->loop);
}

/* What connect(2) says, where that is more than the outcome tells. */
static const char *find_detail(const struct check_result *result)
{
	bool is_told = result->error == ECONNREFUSED || result->error == ETIMEDOUT;

	return result->error && !is_told ? strerror(result->error) : NULL;
}

static void describe_fault(const struct check_result *result, char text[static RESULT_SIZE])
{
	char what[OUTCOME_TEXT_SIZE];
	const char *detail = find_detail(result);

	outcome_describe(result->outcome, result->status, result->fault, what);
	if (result->outcome == OUTCOME_STATUS)
		snprintf(text, RESULT_SIZE, "%s, which health.expect does not list", what);
	else
		snprintf(
		    text, RESULT_SIZE, "%s%s%s", what, detail ? ": " : "", detail ? detail : "");
}

static void on_result(struct check *check, const struct check_result *result)
{
	struct row *row = container_of(check, struct row, check);
	bool is_good = result->outcome == OUTCOME_GOOD;
	char text[RESULT_SIZE];

	if (!is_good)
		describe_fault(result, text);
	else if (result->status)
		snprintf(text, sizeof(text), "%u", result->status);
	else
		snprintf(text, sizeof(text), "connected");
	note_result(row, is_good, text);
}

static void on_over(struct check *check)
{
	close_row(container_of(check, struct row, check));
}

static void on_resolved(struct resolve_query *query, const struct resolve_answer *answer)
{
	struct row *row = container_of(query, struct row, query);

	if (answer->count > 0 && backend_set_addrs(row->backend, answer->addrs, answer->count)) {
		check_begin(&row->check);
		return;
	}
	note_result(row, false, answer->count > 0 ? strerror(ENOMEM) : answer->error);
	close_row(row);
}

static void begin(struct row *row)
{
	const struct backend *backend = row->backend;

	row->began_us = loop_refresh_us(row->table->loop);
	if (!backend->unresolved) {
		check_begin(&row->check);
		return;
	}
	resolve_init(&row->query, on_resolved);
	if (!resolve_start(
		row->table->resolver, &row->query, str_from(backend->host), backend->port)) {
		note_result(row, false, strerror(ENOMEM));
		close_row(row);
	}
}

/* ---- all of them */

static bool open_row(struct table *table, struct row *row, const struct backend_options *options)
{
	const struct check_start start = {
	    .loop = table->loop,
	    .blocks = &table->blocks,
	    .backend = backend_create(&table->env, options),
	    .options = &table->config->check,
	    .on_result = on_result,
	    .on_over = on_over,
	};

	row->table = table;
	row->backend = start.backend;
	check_init(&row->check, &start);
	return row->backend != NULL;
}

/* Makes all that is needed; false, with errno set, when something is not to be had. */
static bool open_table(struct table *table, const struct config *config)
{
	size_t count = config->backend_count;
	bool is_good;

	table->config = config;
	table->open = count;
	slab_init(&table->blocks, CHECK_HEAD_BYTES, 2 * count);
	table->rows = calloc(count, sizeof(*table->rows));
	table->loop = loop_create();
	table->resolver =
	    table->loop ? resolver_create(table->loop, &(struct resolver_options){0}) : NULL;
	is_good =
	    table->rows && table->resolver && timers_reserve(loop_timers(table->loop), count + 8);
	for (size_t i = 0; is_good && i < count; i++)
		is_good = open_row(table, &table->rows[i], &config->backends[i].options);
	return is_good;
}

static void close_table(struct table *table)
{
	for (size_t i = 0; table->rows && i < table->config->backend_count; i++) {
		if (!table->rows[i].backend)
			continue;
		check_stop(&table->rows[i].check);
		backend_drop(table->rows[i].backend);
	}
	resolver_destroy(table->resolver);
	if (table->loop)
		loop_destroy(table->loop);
	slab_finish(&table->blocks);
	free(table->rows);
}

static bool run(struct table *table)
{
	for (size_t i = 0; i < table->config->backend_count; i++)
		begin(&table->rows[i]);
	return table->open == 0 || loop_run(table->loop) == 0;
}

static bool print(const struct table *table, FILE *out)
{
	const struct config *config = table->config;
	int name_width = (int)strlen("NAME");
	int url_width = (int)strlen("URL");
	bool all_good = true;

	for (size_t i = 0; i < config->backend_count; i++) {
		int name = (int)strlen(config->backends[i].options.name);
		int url = (int)strlen(config->backends[i].options.url);

		name_width = name > name_width ? name : name_width;
		url_width = url > url_width ? url : url_width;
	}
	fprintf(out, "%-*s  %-*s  %10s  RESULT\n", name_width, "NAME", url_width, "URL", "TIME");
	for (size_t i = 0; i < config->backend_count; i++) {
		const struct row *row = &table->rows[i];

		fprintf(out, "%-*s  %-*s  %7.1f ms  %s\n", name_width, row->backend->name,
		    url_width, row->backend->url, (double)row->took_us / 1000.0, row->result);
		all_good &= row->is_good;
	}
	return all_good;
}

bool probe_table_write(const struct config *config, FILE *out)
{
	struct table *table = calloc(1, sizeof(*table));
	bool good = false;

	if (table && open_table(table, config))
		good = run(table) && print(table, out);
	else
		fprintf(stderr, "rondo: cannot probe: %s\n", strerror(errno));
	if (table)
		close_table(table);
	free(table);
	return good;
}
