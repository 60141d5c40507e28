#include "probe_table.h"

#include "event/resolve.h"

#include <errno.h>
#include <stdlib.h>

enum { RESULT_SIZE = 80 };

/* One backend, while it is asked and afterwards: a line of the table. */
struct row {
	struct table *table;
	const struct backend_options *options;
	struct resolve_query query;
	struct net_addr addrs[RESOLVE_ADDRS_MAX];
	size_t addr_count;
	size_t addr_next; /* the one to try next */
	struct conn conn;
	struct timer timer;
	struct probe_answer answer;
	bool is_connecting;
	int64_t began_us, took_us;
	int64_t limit_us; /* when it has taken too long */
	bool is_good;
	char result[RESULT_SIZE]; /* empty until it is over */
};

struct table {
	const struct config *config;
	struct loop *loop;
	struct resolver *resolver;
	struct slab blocks;
	struct row *rows;
	size_t open; /* that are not over */
	struct http_head response;
	struct http_field fields[PROBE_FIELDS];
};

static void try_next_address(struct row *row);

static void end(struct row *row, bool is_good, const char *result)
{
	struct table *table = row->table;

	row->took_us = loop_refresh_us(table->loop) - row->began_us;
	row->is_good = is_good;
	snprintf(row->result, sizeof(row->result), "%s", result);
	timer_cancel(&row->timer);
	conn_close(&row->conn, false);
	if (--table->open == 0)
		loop_stop(table->loop);
}

static void limit(struct row *row, int64_t until_us)
{
	timer_arm(loop_timers(row->table->loop), &row->timer, until_us);
}

/* ---- the answer to a GET */

static void judge_status(struct row *row, unsigned status)
{
	bool is_good = probe_expects(&row->table->config->probe, status);
	char result[RESULT_SIZE];

	snprintf(result, sizeof(result), "%u%s", status,
	    is_good ? "" : ", which health.expect does not list");
	end(row, is_good, result);
}

/* Looks at what came. False when nothing more is to be read. */
static bool parse_answer(struct row *row)
{
	struct http_head *response = &row->table->response;

	switch (probe_answer_look(&row->answer, &row->conn.in, response)) {
	case PARSE_MORE:
		return true;
	case PARSE_BAD:
		end(row, false, "the answer is not proper HTTP");
		break;
	case PARSE_DONE:
		judge_status(row, response->status);
		break;
	}
	return false;
}

static void read_answer(struct row *row)
{
	enum io io;

	do {
		buf_compact(&row->conn.in);
		io = conn_read(&row->conn, PROBE_HEAD_BYTES);
	} while (io == IO_OK && parse_answer(row));
	if (io == IO_END)
		end(row, false, "closed without an answer");
	else if (io != IO_OK && io != IO_AGAIN)
		end(row, false,
		    io == IO_ERROR ? strerror(row->conn.error)
				   : "the head of the answer is too large");
}

static void send_request(struct row *row)
{
	enum io io = conn_flush(&row->conn);

	if (io == IO_OK || io == IO_AGAIN)
		conn_want(&row->conn, LOOP_READ | (io == IO_AGAIN ? LOOP_WRITE : 0));
	else
		end(row, false, strerror(row->conn.error));
}

/* ---- connecting */

static void on_connected(struct row *row)
{
	const struct probe_options *probe = &row->table->config->probe;
	char *authority;
	bool good;

	row->is_connecting = false;
	if (!probe_gets(probe)) {
		end(row, true, "connected");
		return;
	}
	authority = backend_authority(row->options);
	good = authority && probe_put_request(probe, authority, &row->conn.out);
	free(authority);
	if (!good) {
		end(row, false, strerror(ENOMEM));
		return;
	}
	probe_answer_init(&row->answer);
	limit(row, row->limit_us);
	send_request(row);
}

/* This address is no good; the last one's error is what is told. */
static void on_connect_failed(struct row *row, int error)
{
	conn_close(&row->conn, false);
	if (row->addr_next < row->addr_count)
		try_next_address(row);
	else
		end(row, false, error == ETIMEDOUT ? "no connection in time" : strerror(error));
}

static void on_event(struct conn *conn, unsigned events)
{
	struct row *row = container_of(conn, struct row, conn);
	int error;

	if (row->is_connecting) {
		error = conn_connect_result(conn);
		if (error)
			on_connect_failed(row, -error);
		else if (events & LOOP_WRITE)
			on_connected(row);
		return;
	}
	if (events & LOOP_WRITE)
		send_request(row);
	if (conn_is_open(conn) && (events & (LOOP_READ | LOOP_BROKEN)))
		read_answer(row);
}

static void on_late(struct timer *timer)
{
	struct row *row = container_of(timer, struct row, timer);

	if (row->is_connecting)
		on_connect_failed(row, ETIMEDOUT);
	else
		end(row, false, "no answer in time");
}

/* Each address has an equal part of the time that is left. */
static void try_next_address(struct row *row)
{
	struct table *table = row->table;
	int64_t now_us = loop_now_us(table->loop);
	int64_t addrs_left = (int64_t)(row->addr_count - row->addr_next);
	bool connecting = false;
	int fd = net_connect(&row->addrs[row->addr_next++], &connecting);
	int error = fd < 0 ? fd : conn_open(&row->conn, table->loop, &table->blocks, fd, LOOP_READ);

	if (error < 0 && fd >= 0)
		net_close(fd, false);
	if (error < 0) {
		on_connect_failed(row, -error);
		return;
	}
	row->is_connecting = true;
	row->conn.writable = !connecting;
	limit(row, now_us + (row->limit_us - now_us) / addrs_left);
	if (connecting)
		conn_want(&row->conn, LOOP_WRITE);
	else
		on_connected(row);
}

/* ---- one backend, and all */

static void start(struct row *row)
{
	struct table *table = row->table;

	row->limit_us = loop_refresh_us(table->loop) + probe_limit_us(&table->config->probe);
	try_next_address(row);
}

static void on_resolved(struct resolve_query *query, const struct resolve_answer *answer)
{
	struct row *row = container_of(query, struct row, query);

	if (answer->count == 0) {
		end(row, false, answer->error);
		return;
	}
	memcpy(row->addrs, answer->addrs, answer->count * sizeof(*answer->addrs));
	row->addr_count = answer->count;
	start(row);
}

static void ask(struct row *row)
{
	const struct backend_options *options = row->options;

	row->began_us = loop_refresh_us(row->table->loop);
	row->conn.on_event = on_event;
	timer_init(&row->timer, on_late);
	resolve_init(&row->query, on_resolved);
	if (options->path) {
		row->addr_count = net_addr_parse(&row->addrs[0], str_from(options->url));
		start(row);
	} else if (!resolve_start(
		       row->table->resolver, &row->query, str_from(options->host), options->port)) {
		end(row, false, strerror(ENOMEM));
	}
}

/* Makes all that is needed; false, with errno set, when something is not to be had. */
static bool open_table(struct table *table, const struct config *config)
{
	const struct resolver_options options = {0};

	table->config = config;
	table->response.fields = table->fields;
	table->response.field_limit = PROBE_FIELDS;
	slab_init(&table->blocks, PROBE_HEAD_BYTES, 2 * config->backend_count);
	table->rows = calloc(config->backend_count, sizeof(*table->rows));
	table->loop = loop_create();
	table->resolver = table->loop ? resolver_create(table->loop, &options) : NULL;
	return table->rows && table->resolver &&
	       timers_reserve(loop_timers(table->loop), config->backend_count + 8);
}

static void close_table(struct table *table)
{
	for (size_t i = 0; table->rows && i < table->config->backend_count; i++)
		conn_close(&table->rows[i].conn, false);
	resolver_destroy(table->resolver);
	if (table->loop)
		loop_destroy(table->loop);
	slab_finish(&table->blocks);
	free(table->rows);
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

		fprintf(out, "%-*s  %-*s  %7.1f ms  %s\n", name_width, row->options->name,
		    url_width, row->options->url, (double)row->took_us / 1000.0, row->result);
		all_good &= row->is_good;
	}
	return all_good;
}

bool probe_table_write(const struct config *config, FILE *out)
{
	struct table *table = calloc(1, sizeof(*table));
	bool good = false;

	if (table && open_table(table, config)) {
		table->open = config->backend_count;
		for (size_t i = 0; i < config->backend_count; i++) {
			table->rows[i].table = table;
			table->rows[i].options = &config->backends[i].options;
		}
		for (size_t i = 0; i < config->backend_count; i++)
			ask(&table->rows[i]);
		good = (table->open == 0 || loop_run(table->loop) == 0) && print(table, out);
	} else {
		fprintf(stderr, "rondo: cannot probe: %s\n", strerror(errno));
	}
	if (table)
		close_table(table);
	free(table);
	return good;
}
