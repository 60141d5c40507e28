#include "endpoints.h"

#include "page.h"

#include <stdlib.h>

/* An expensive answer is shared by all clients that ask within this time. */
static const int64_t FRESH_US = 100 * 1000;

/* ---- endpoints */

static bool write_json(json_t *value, FILE *out)
{
	bool good = value && json_dumpf(value, out, JSON_INDENT(1) | JSON_REAL_PRECISION(16)) == 0;

	json_decref(value);
	fputc('\n', out);
	return good;
}

static struct status_source source_of(const struct admin *admin)
{
	return (struct status_source){
	    .metrics = admin->with.metrics, .history = admin->with.history};
}

static bool write_page(struct admin *admin, FILE *out)
{
	struct status_source source = source_of(admin);

	return page_write(&source, out);
}

static bool write_status(struct admin *admin, FILE *out)
{
	struct status_source source = source_of(admin);

	return write_json(status_json(&source), out);
}

static bool write_events(struct admin *admin, FILE *out)
{
	return write_json(status_events_json(admin->with.history), out);
}

static bool write_metrics(struct admin *admin, FILE *out)
{
	metrics_write(admin->with.metrics, out);
	return true;
}

static const struct endpoint {
	const char *path, *type;
	bool (*write)(struct admin *admin, FILE *out);
	bool any_host; /* it is meant for machines, which ask by whatever name they know */
} endpoints[ADMIN_ENDPOINTS] = {
    {"/", "text/html; charset=utf-8", write_page, false},
    {"/status.json", "application/json", write_status, false},
    {"/events.json", "application/json", write_events, false},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics, true},
};

static struct admin_text *make_text(struct admin *admin, const struct endpoint *endpoint)
{
	char *data = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&data, &len);

	if (!out)
		return NULL;
	bool good = endpoint->write(admin, out) && !ferror(out);
	good = fclose(out) == 0 && good;
	if (good)
		return admin_text_create(data, len);
	free(data);
	return NULL;
}

/* The text of an endpoint, not older than FRESH_US; held for the caller. NULL without memory. */
static struct admin_text *take_text(struct admin *admin, size_t number)
{
	struct admin_text **fresh = &admin->fresh[number];
	int64_t now_us = loop_now_us(admin->loop);

	if (!*fresh || now_us - (*fresh)->made_us >= FRESH_US) {
		struct admin_text *text = make_text(admin, &endpoints[number]);

		if (!text)
			return NULL;
		text->made_us = now_us;
		admin_text_drop(*fresh);
		*fresh = text;
	}
	(*fresh)->holders++;
	return *fresh;
}

/* ---- answers */

/* An answer ends the connection when the client wants that, may still be sending, or rondo
 * stops. */
static void begin_answer(struct admin_request *request)
{
	const struct admin *admin = request->admin;
	const struct http_head *head = &admin->head;

	request->keep =
	    head->keep_alive && head->framing == HTTP_FRAMING_NONE && !admin->with.proxy->draining;
	request_enter(request, ADMIN_ANSWERING);
}

/* There is always room: `out` is empty, and a block has COMPOSED_BYTES for composed text. */
static void put_head(struct admin_request *request, unsigned status, const char *type, size_t len)
{
	const struct admin *admin = request->admin;
	struct str date = proxy_date(admin->with.proxy);
	struct str reason = write_reason(status);
	const char *connection = "Connection: close\r\n";

	if (request->keep)
		connection = admin->head.minor == 0 ? "Connection: keep-alive\r\n" : "";
	buf_printf(&request->client->out,
	    "HTTP/1.1 %u %.*s\r\nDate: %.*s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: no-referrer\r\n"
	    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
	    "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; "
	    "form-action 'none'; frame-ancestors 'none'\r\n%s\r\n",
	    status, STR_ARGS(reason), STR_ARGS(date), type, len, connection);
}

static void answer_line(struct admin_request *request, unsigned status, const char *line)
{
	put_head(request, status, "text/plain; charset=utf-8", strlen(line) + 1);
	if (request->admin->head.method != HTTP_METHOD_HEAD)
		buf_printf(&request->client->out, "%s\n", line);
}

static void answer_error(struct admin_request *request, unsigned status, const char *detail)
{
	const struct admin *admin = request->admin;
	const struct write_error error = {
	    .status = status,
	    .detail = str_from(detail),
	    .keep_alive = request->keep,
	    .without_content = admin->head.method == HTTP_METHOD_HEAD,
	    .allow = STR("GET, HEAD"),
	    .date = proxy_date(admin->with.proxy),
	};

	write_error_response(&request->client->out, &error);
}

static void answer_ready(struct admin_request *request)
{
	const struct proxy *proxy = request->admin->with.proxy;

	if (proxy_is_ready(proxy))
		answer_line(request, 200, "ready");
	else
		answer_line(request, 503, proxy->draining ? "draining" : "no backend is usable");
}

/* A foreign web site can rebind its own name to this address, but not an address, localhost, or a
 * name of the operator. The dot at the end of a name that is absolute is not compared. */
static bool is_own_name(const struct config *config, struct str host)
{
	struct net_authority authority;
	struct net_addr addr;

	if (!net_authority_split(&authority, host))
		return false;
	if (net_addr_from_ip(&addr, authority.host, 0))
		return true;
	if (authority.host.len > 1 && authority.host.data[authority.host.len - 1] == '.')
		authority.host.len--;
	for (size_t i = 0; i < config->admin_host_count; i++)
		if (str_equals_nocase(authority.host, str_from(config->admin_hosts[i])))
			return true;
	return str_equals_nocase(authority.host, STR("localhost"));
}

/* A client of HTTP/1.0 that sends no Host is not a browser. */
static bool is_readable(const struct admin_request *request)
{
	struct str host = request->admin->head.host;

	return host.len == 0 || is_own_name(request->admin->config, host);
}

static void answer_endpoint(struct admin_request *request, size_t number)
{
	struct admin *admin = request->admin;
	struct admin_text *text;

	if (!endpoints[number].any_host && !is_readable(request)) {
		answer_error(request, 421,
		    "Host must be an IP address, localhost or a name in admin.hosts.");
		return;
	}
	text = take_text(admin, number);
	if (!text) {
		answer_error(request, 503, "There is no memory for this answer.");
		return;
	}
	put_head(request, 200, endpoints[number].type, text->len);
	if (admin->head.method == HTTP_METHOD_HEAD)
		admin_text_drop(text);
	else
		request->content = text;
}

static void answer(struct admin_request *request)
{
	const struct http_head *head = &request->admin->head;
	struct str path = {head->path.data, str_find(head->path, '?')};

	if (head->method != HTTP_METHOD_GET && head->method != HTTP_METHOD_HEAD) {
		answer_error(request, 405, "Only GET and HEAD are answered here.");
		return;
	}
	if (path.len == 0)
		path = STR("/");
	for (size_t i = 0; i < ADMIN_ENDPOINTS; i++) {
		if (str_equals(path, str_from(endpoints[i].path))) {
			answer_endpoint(request, i);
			return;
		}
	}
	if (str_equals(path, STR("/healthz")))
		answer_line(request, 200, "ok");
	else if (str_equals(path, STR("/readyz")))
		answer_ready(request);
	else
		answer_error(request, 404,
		    "There are /, /status.json, /events.json, /metrics, /healthz and /readyz.");
}

static void refuse(struct admin_request *request, enum http_fault fault)
{
	char text[HTTP_FAULT_TEXT_SIZE];

	begin_answer(request);
	request->keep = false;
	answer_error(request, http_fault_status(fault),
	    http_fault_describe("The request is refused.", fault, text));
}

void endpoints_answer(struct admin_request *request)
{
	struct admin *admin = request->admin;
	const struct http_limits *limits = &admin->with.proxy->rules->limits.head;

	switch (parse_request(&request->parse, limits, &request->client->in, &admin->head)) {
	case PARSE_MORE:
		break;
	case PARSE_BAD:
		refuse(request, request->parse.fault);
		break;
	case PARSE_DONE:
		begin_answer(request);
		answer(request);
		buf_consume(&request->client->in, admin->head.length);
		break;
	}
}
