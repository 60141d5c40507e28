#include "probe_table.h"

#include "event/resolve.h"

#include <errno.h>
#include <stdlib.h>

enum { INQUIRY_RESULT = 80 };

/* One backend being asked. */
struct inquiry {
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
	char result[INQUIRY_RESULT]; /* empty until it is over */
};

struct table {
	const struct config *config;
	struct loop *loop;
	struct resolver *resolver;
	struct slab blocks;
	struct inquiry *inquiries;
	size_t open; /* that are not over */
	struct http_head response;
	struct http_field fields[PROBE_FIELDS];
};

static void try_next_address(struct inquiry *inquiry);

static void end(struct inquiry *inquiry, bool is_good, const char *result)
{
	struct table *table = inquiry->table;

	inquiry->took_us = loop_refresh_us(table->loop) - inquiry->began_us;
	inquiry->is_good = is_good;
	snprintf(inquiry->result, sizeof(inquiry->result), "%s", result);
	timer_cancel(&inquiry->timer);
	conn_close(&inquiry->conn, false);
	if (--table->open == 0)
		loop_stop(table->loop);
}

static void limit(struct inquiry *inquiry, int64_t until_us)
{
	timer_arm(loop_timers(inquiry->table->loop), &inquiry->timer, until_us);
}

/* ---- the answer to a GET */

static void judge_status(struct inquiry *inquiry, unsigned status)
{
	bool is_good = probe_expects(&inquiry->table->config->probe, status);
	char result[INQUIRY_RESULT];

	snprintf(result, sizeof(result), "%u%s", status,
	    is_good ? "" : ", which health.expect does not list");
	end(inquiry, is_good, result);
}

/* Looks at what came. False when nothing more is to be read. */
static bool parse_answer(struct inquiry *inquiry)
{
	struct http_head *response = &inquiry->table->response;

	switch (probe_answer_look(&inquiry->answer, &inquiry->conn.in, response)) {
	case PARSE_MORE:
		return true;
	case PARSE_BAD:
		end(inquiry, false, "the answer is not proper HTTP");
		break;
	case PARSE_DONE:
		judge_status(inquiry, response->status);
		break;
	}
	return false;
}

static void read_answer(struct inquiry *inquiry)
{
	enum io io;

	do {
		buf_compact(&inquiry->conn.in);
		io = conn_read(&inquiry->conn, PROBE_HEAD_BYTES);
	} while (io == IO_OK && parse_answer(inquiry));
	if (io == IO_END)
		end(inquiry, false, "closed without an answer");
	else if (io != IO_OK && io != IO_AGAIN)
		end(inquiry, false,
		    io == IO_ERROR ? strerror(inquiry->conn.error)
				   : "the head of the answer is too large");
}

static void send_request(struct inquiry *inquiry)
{
	enum io io = conn_flush(&inquiry->conn);

	if (io == IO_OK || io == IO_AGAIN)
		conn_want(&inquiry->conn, LOOP_READ | (io == IO_AGAIN ? LOOP_WRITE : 0));
	else
		end(inquiry, false, strerror(inquiry->conn.error));
}

/* ---- connecting */

static void on_connected(struct inquiry *inquiry)
{
	const struct probe_options *probe = &inquiry->table->config->probe;
	char *authority;
	bool good;

	inquiry->is_connecting = false;
	if (!probe_gets(probe)) {
		end(inquiry, true, "connected");
		return;
	}
	authority = backend_authority(inquiry->options);
	good = authority && probe_put_request(probe, authority, &inquiry->conn.out);
	free(authority);
	if (!good) {
		end(inquiry, false, strerror(ENOMEM));
		return;
	}
	probe_answer_init(&inquiry->answer);
	limit(inquiry, inquiry->limit_us);
	send_request(inquiry);
}

/* This address is no good; the last one's error is what is told. */
static void on_connect_failed(struct inquiry *inquiry, int error)
{
	conn_close(&inquiry->conn, false);
	if (inquiry->addr_next < inquiry->addr_count)
		try_next_address(inquiry);
	else
		end(inquiry, false, error == ETIMEDOUT ? "no connection in time" : strerror(error));
}

static void on_event(struct conn *conn, unsigned events)
{
	struct inquiry *inquiry = container_of(conn, struct inquiry, conn);
	int error;

	if (inquiry->is_connecting) {
		error = net_connect_result(conn->watch.fd);
		if (error)
			on_connect_failed(inquiry, -error);
		else if (events & LOOP_WRITE)
			on_connected(inquiry);
		return;
	}
	if (events & LOOP_WRITE)
		send_request(inquiry);
	if (conn_is_open(conn) && (events & (LOOP_READ | LOOP_BROKEN)))
		read_answer(inquiry);
}

static void on_late(struct timer *timer)
{
	struct inquiry *inquiry = container_of(timer, struct inquiry, timer);

	if (inquiry->is_connecting)
		on_connect_failed(inquiry, ETIMEDOUT);
	else
		end(inquiry, false, "no answer in time");
}

/* Each address has an equal part of the time that is left. */
static void try_next_address(struct inquiry *inquiry)
{
	struct table *table = inquiry->table;
	int64_t now_us = loop_now_us(table->loop);
	int64_t addrs_left = (int64_t)(inquiry->addr_count - inquiry->addr_next);
	bool connecting = false;
	int fd = net_connect(&inquiry->addrs[inquiry->addr_next++], &connecting);
	int error =
	    fd < 0 ? fd : conn_open(&inquiry->conn, table->loop, &table->blocks, fd, LOOP_READ);

	if (error < 0 && fd >= 0)
		net_close(fd, false);
	if (error < 0) {
		on_connect_failed(inquiry, -error);
		return;
	}
	inquiry->is_connecting = true;
	inquiry->conn.writable = !connecting;
	limit(inquiry, now_us + (inquiry->limit_us - now_us) / addrs_left);
	if (connecting)
		conn_want(&inquiry->conn, LOOP_WRITE);
	else
		on_connected(inquiry);
}

/* ---- one backend, and all */

static void start(struct inquiry *inquiry)
{
	struct table *table = inquiry->table;

	inquiry->limit_us = loop_refresh_us(table->loop) + probe_limit_us(&table->config->probe);
	try_next_address(inquiry);
}

static void on_resolved(struct resolve_query *query, const struct resolve_answer *answer)
{
	struct inquiry *inquiry = container_of(query, struct inquiry, query);

	if (answer->count == 0) {
		end(inquiry, false, answer->error);
		return;
	}
	memcpy(inquiry->addrs, answer->addrs, answer->count * sizeof(*answer->addrs));
	inquiry->addr_count = answer->count;
	start(inquiry);
}

static void ask(struct inquiry *inquiry)
{
	const struct backend_options *options = inquiry->options;

	inquiry->began_us = loop_refresh_us(inquiry->table->loop);
	inquiry->conn.on_event = on_event;
	timer_init(&inquiry->timer, on_late);
	resolve_init(&inquiry->query, on_resolved);
	if (options->path) {
		inquiry->addr_count = net_addr_parse(&inquiry->addrs[0], str_from(options->url));
		start(inquiry);
	} else if (!resolve_start(inquiry->table->resolver, &inquiry->query,
		       str_from(options->host), options->port)) {
		end(inquiry, false, strerror(ENOMEM));
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
	table->inquiries = calloc(config->backend_count, sizeof(*table->inquiries));
	table->loop = loop_create();
	table->resolver = table->loop ? resolver_create(table->loop, &options) : NULL;
	return table->inquiries && table->resolver &&
	       timers_reserve(loop_timers(table->loop), config->backend_count + 8);
}

static void close_table(struct table *table)
{
	for (size_t i = 0; table->inquiries && i < table->config->backend_count; i++)
		conn_close(&table->inquiries[i].conn, false);
	resolver_destroy(table->resolver);
	if (table->loop)
		loop_destroy(table->loop);
	slab_finish(&table->blocks);
	free(table->inquiries);
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
		const struct inquiry *inquiry = &table->inquiries[i];

		fprintf(out, "%-*s  %-*s  %7.1f ms  %s\n", name_width, inquiry->options->name,
		    url_width, inquiry->options->url, (double)inquiry->took_us / 1000.0,
		    inquiry->result);
		all_good &= inquiry->is_good;
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
			table->inquiries[i].table = table;
			table->inquiries[i].options = &config->backends[i].options;
		}
		for (size_t i = 0; i < config->backend_count; i++)
			ask(&table->inquiries[i]);
		good = (table->open == 0 || loop_run(table->loop) == 0) && print(table, out);
	} else {
		fprintf(stderr, "rondo: cannot probe: %s\n", strerror(errno));
	}
	if (table)
		close_table(table);
	free(table);
	return good;
}
