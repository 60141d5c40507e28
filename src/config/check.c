#include "check.h"

#include "listen.h"

#include <stdlib.h>

static const struct config_line *line_of(const struct config_load *load, const char *path)
{
	return load->lines[settings_row(path)];
}

/* The line for a fault of two settings: that of the one that was set, the first when both were. */
static const struct config_line *line_of_two(
    const struct config_load *load, const char *first, const char *second)
{
	const struct config_line *line = line_of(load, first);

	return line ? line : line_of(load, second);
}

static const char *format(struct config_load *load, const char *path)
{
	const struct setting *setting = settings_find(settings_all(), str_from(path));
	const char *text = value_format(setting, load->config, &load->scratch);

	return text ? text : "?";
}

/* A default is adapted to a value that was set; two values that were set must fit. */
static void check_order(struct config_load *load)
{
	struct config *config = load->config;
	struct http_limits *head = &config->rules.limits.head;

	if (head->uri_bytes > head->header_bytes && !line_of(load, "limits.uri_bytes"))
		head->uri_bytes = head->header_bytes;
	if (head->uri_bytes > head->header_bytes)
		config_errors_add(load->errors,
		    (struct config_fault){line_of(load, "limits.uri_bytes"), NULL},
		    "limits.uri_bytes: %s is more than limits.header_bytes, %s",
		    format(load, "limits.uri_bytes"), format(load, "limits.header_bytes"));
	if (config->ring.retry_window_us <= config->ring.retry_window_max_us)
		return;
	if (!line_of(load, "retry_window_max"))
		config->ring.retry_window_max_us = config->ring.retry_window_us;
	else if (!line_of(load, "retry_window"))
		config->ring.retry_window_us = config->ring.retry_window_max_us;
	else
		config_errors_add(load->errors,
		    (struct config_fault){line_of(load, "retry_window_max"), NULL},
		    "retry_window_max: %s is less than retry_window, %s",
		    format(load, "retry_window_max"), format(load, "retry_window"));
}

static void check_fields(struct config_load *load)
{
	static const char *const paths[] = {
	    "headers.app_url", "headers.attempts", "headers.request_id"};
	const struct proxy_headers_options *headers = &load->config->rules.headers;
	const char *names[] = {headers->app_url, headers->attempts, headers->request_id};

	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < i; k++)
			if (names[i][0] &&
			    str_equals_nocase(str_from(names[i]), str_from(names[k])))
				config_errors_add(load->errors,
				    (struct config_fault){
					line_of_two(load, paths[i], paths[k]), NULL},
				    "%s and %s are both \"%s\"", paths[k], paths[i], names[i]);
}

/* systemd separates several directories by colons; the first is meant. */
static const char *find_automatic_socket(struct config_load *load)
{
	struct str directories = str_from(getenv("RUNTIME_DIRECTORY"));
	size_t end = str_find(directories, ':');

	if (end == 0)
		return "";
	return arena_printf(&load->config->arena, "%.*s/admin.sock", (int)end, directories.data);
}

/* Reports it when `path` cannot be opened because clients are to use its address. */
static void check_place(
    struct config_load *load, const char *path, const struct config_listen *place)
{
	struct config *config = load->config;
	const struct config_line *line = line_of_two(load, path, "listen");

	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listen[i];

		if (!config_listen_excludes(place, listen))
			continue;
		if (net_addr_equals(&place->addr, &listen->addr))
			config_errors_add(load->errors, (struct config_fault){line, NULL},
			    "%s: \"%s\" is an address of `listen`", path, place->text);
		else if (line_of(load, "listen"))
			config_errors_add(load->errors, (struct config_fault){line, NULL},
			    "%s: \"%s\" and \"%s\" of `listen` cannot be opened both", path,
			    place->text, listen->text);
		else
			/* A socket of the supervisor may take the place of the default. */
			config->warning = arena_printf(&config->arena,
			    "%s: \"%s\" cannot be opened beside \"%s\", the default of `listen`",
			    path, place->text, listen->text);
	}
}

static void check_admin(struct config_load *load)
{
	struct config *config = load->config;
	struct config_listen socket = {0};

	if (config->admin_http)
		check_place(load, "admin.http", config->admin_http);
	config->admin_socket_path = strcmp(config->admin_socket, "auto") == 0
					? find_automatic_socket(load)
					: config->admin_socket;
	if (!config->admin_socket_path || !config->admin_socket_path[0])
		return;
	socket.text = config->admin_socket_path;
	if (!net_addr_from_path(&socket.addr, str_from(socket.text)))
		config_errors_add(load->errors,
		    (struct config_fault){line_of(load, "admin.socket"), NULL},
		    "admin.socket: \"%s\" is not an absolute path of at most 107 bytes",
		    socket.text);
	else
		check_place(load, "admin.socket", &socket);
	if (config->admin_http && net_addr_equals(&socket.addr, &config->admin_http->addr))
		config_errors_add(load->errors,
		    (struct config_fault){line_of_two(load, "admin.socket", "admin.http"), NULL},
		    "admin.socket and admin.http are both \"%s\"", socket.text);
}

static void check_backends(struct config_load *load)
{
	const struct config_line whole = {
	    .file = load->main_file ? load->main_file : "command line"};
	const struct config_line *line = line_of(load, "backends");
	const char *hint = load->main_file ? "write backends = ( \"http://localhost:8001\" );"
					   : "add --backend http://localhost:8001";

	/* Backends with faults were reported already. */
	if (load->config->backend_count == 0 && load->errors->count == 0)
		config_errors_add(
		    load->errors, (struct config_fault){line ? line : &whole, hint}, "no backends");
}

/*
 * A try that the deadline of the request ends is no evidence against its backend, so a backend that
 * hangs would never go down. The defaults leave enough time, so one of the two was set.
 */
static void check_deadline(struct config_load *load)
{
	struct config *config = load->config;
	const struct setting *delay =
	    settings_find(settings_of_backend(), STR("max_delay_response"));
	const struct config_line *line = line_of_two(load, "retry.deadline", "max_delay_response");

	for (size_t i = 0; i < config->backend_count && !config->warning; i++) {
		const struct config_backend *backend = &config->backends[i];

		if (config->rules.retry.deadline_us > backend->options.max_delay_response_us)
			continue;
		config->warning = arena_printf(&config->arena,
		    "%s: retry.deadline, %s, is not more than max_delay_response, %s%s%s: "
		    "a backend that hangs will not be detected",
		    backend->own_delay ? backend->origin : config_line_origin(line, &load->scratch),
		    format(load, "retry.deadline"),
		    value_format(delay, &backend->options, &load->scratch),
		    backend->own_delay ? " of backend " : "",
		    backend->own_delay ? backend->options.name : "");
	}
}

void config_check(struct config_load *load)
{
	if (load->scratch.failed || load->config->arena.failed)
		return;
	check_order(load);
	check_fields(load);
	check_admin(load);
	check_backends(load);
	if (load->config->access_log.path[0] == '\0')
		config_errors_add(load->errors,
		    (struct config_fault){line_of(load, "log.access"), NULL},
		    "log.access: write \"off\", \"stdout\" or a path");
	check_deadline(load);
}
