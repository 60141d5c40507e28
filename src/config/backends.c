#include "backends.h"

enum { HOST_LENGTH = 253 };

/* ---- URLs */

static bool is_host_name(struct str host)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	bool numeric = true;
	struct net_addr addr;

	if (host.len == 0 || host.len > HOST_LENGTH)
		return false;
	for (size_t i = 0; i < host.len; i++) {
		if (str_find(STR(allowed), host.data[i]) == sizeof(allowed) - 1)
			return false;
		numeric &= host.data[i] == '.' || (host.data[i] >= '0' && host.data[i] <= '9');
	}
	/* A numeric name must be a valid IPv4 address: anything else is a typing mistake. */
	return !numeric || net_addr_from_ip(&addr, host, 0);
}

/* An IPv6 address stands in brackets, and nothing else does. */
static bool split_authority(struct net_authority *authority, struct str text)
{
	struct net_addr addr;

	if (!net_authority_split(authority, text))
		return false;
	return !authority->is_bracketed ||
	       (net_addr_from_ip(&addr, authority->host, 0) && addr.any.sa_family == AF_INET6);
}

/* Reads host and port of a URL without its scheme. `port` is the default port; 0: there is none.
 */
static const char *read_authority(
    struct backend_options *options, struct str text, struct arena *arena)
{
	struct net_authority authority;

	for (size_t i = 0; i < text.len; i++) {
		if (strchr("/?#", text.data[i]))
			return "a backend has no path and no query: the URL ends after the port";
		if (text.data[i] == '@')
			return "a backend URL has no user name";
	}
	if (!split_authority(&authority, text))
		return "not HOST:PORT; write an IPv6 address in brackets";
	struct str host = authority.host;
	if (!authority.is_bracketed && !is_host_name(host))
		return host.len ? arena_printf(arena, "\"%.*s\" is not a host", STR_ARGS(host))
				: "the host is missing";
	bool has_port = authority.port.data != NULL;
	if (!has_port && options->port == 0)
		return arena_printf(
		    arena, "the port is missing; write \"%.*s:80\"", STR_ARGS(text));
	if (has_port && (!net_port_parse(&options->port, authority.port) || options->port == 0))
		return arena_printf(arena, "\"%.*s\" is not a port", STR_ARGS(authority.port));
	options->name = arena_printf(
	    arena, authority.is_bracketed ? "[%.*s]:%u" : "%.*s:%u", STR_ARGS(host), options->port);
	options->host = arena_copy(arena, host);
	return NULL;
}

/* Splits the URL in options->url. NULL on success, else a message. */
static const char *read_url(struct backend_options *options, struct arena *arena)
{
	struct str text = str_from(options->url);
	struct str http = STR("http://");
	struct net_addr addr;

	if (str_starts_with(text, STR("unix:"))) {
		if (!net_addr_parse(&addr, text))
			return "a Unix socket is written unix:/path, with at most 107 bytes of "
			       "path";
		options->path = options->url + strlen("unix:");
		options->name = options->url;
		return NULL;
	}
	if (str_starts_with(text, STR("https://")))
		return "https is not supported: write http://HOST:PORT";
	if (str_starts_with(text, http)) {
		options->port = 80;
		return read_authority(
		    options, (struct str){text.data + http.len, text.len - http.len}, arena);
	}
	if (strstr(options->url, "://"))
		return "the scheme of a backend is http";
	options->url = arena_printf(arena, "http://%s", options->url);
	return read_authority(options, text, arena);
}

/* ---- one backend */

static void fault(const struct config_load *load, const struct config_node *node, const char *hint,
    const char *text) __attribute__((nonnull(1, 2, 4)));
static void fault(const struct config_load *load, const struct config_node *node, const char *hint,
    const char *text)
{
	config_errors_add(load->errors, (struct config_fault){node->line, hint}, "%s", text);
}

/* A name is typed in commands and used in metrics. */
static bool is_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '"' || *c == '\\')
			return false;
	return *name != '\0';
}

/* Reads one member of a group. False when it had a fault. */
static bool read_member(
    struct config_load *load, const struct config_node *member, struct config_listed *listed)
{
	const struct setting *setting =
	    settings_find(settings_of_backend(), str_from(member->name));
	const char *meant;
	const char *wrong;

	if (!setting) {
		meant = settings_suggest(settings_of_backend(), member->name);
		meant = meant ? arena_printf(&load->scratch, "did you mean `%s`?", meant)
			      : "a backend has url, name, weight, max_connections, "
				"max_delay_response and backup";
		config_errors_add(load->errors, (struct config_fault){member->line, meant},
		    "unknown setting `%s` in a backend", member->name);
		return false;
	}
	wrong = value_read(setting, member, &listed->backend.options, &load->config->arena);
	if (wrong)
		config_errors_add(load->errors, (struct config_fault){member->line, NULL}, "%s: %s",
		    setting->path, wrong);
	listed->backend.own_delay |= strcmp(setting->path, "max_delay_response") == 0;
	return !wrong;
}

/* The node is a URL, or a group with one. */
static bool read_options(
    struct config_load *load, const struct config_node *node, struct config_listed *listed)
{
	struct backend_options *options = &listed->backend.options;
	struct config_node url = {
	    .name = "url", .kind = NODE_STRING, .text = node->text, .line = node->line};
	const char *written;
	const char *name;
	const char *wrong;
	bool good = true;

	if (node->kind == NODE_STRING)
		good = read_member(load, &url, listed);
	for (size_t i = 0; i < node->count; i++)
		good &= read_member(load, &node->items[i], listed);
	if (!good)
		return false;
	if (!options->url) {
		fault(load, node, "write { url = \"http://HOST:PORT\"; }", "a backend without url");
		return false;
	}
	written = options->url;
	name = options->name;
	wrong = read_url(options, &load->config->arena);
	if (wrong) {
		config_errors_add(load->errors, (struct config_fault){node->line, NULL},
		    "backend \"%s\": %s", written, wrong);
		return false;
	}
	if (name)
		options->name = name;
	if (!options->name || load->config->arena.failed)
		return false;
	if (is_name(options->name))
		return true;
	config_errors_add(load->errors, (struct config_fault){node->line, NULL},
	    "\"%s\" cannot be a name; give one in ASCII, without blanks, quotes and backslashes",
	    options->name);
	return false;
}

/* What no two backends have in common; NULL without memory. */
static const char *server_key(const struct backend_options *options, struct arena *arena)
{
	const char *host;

	if (options->path)
		return options->path;
	host = arena_copy_lower(arena, str_from(options->host));
	return host ? arena_printf(arena, "%s:%u", host, options->port) : NULL;
}

/* Is the backend or its name listed already? Reports it, with the place. */
static bool is_duplicate(
    const struct config_load *load, const struct config_listed *listed, const char *server)
{
	const struct config_listed *same = table_find(&load->servers, str_from(server));
	const struct backend_options *options = &listed->backend.options;
	const struct config_listed *namesake = table_find(&load->names, str_from(options->name));
	struct config_fault at = {listed->line, NULL};

	if (same)
		config_errors_add(load->errors, at, "backend \"%s\" is listed twice, first at %s",
		    options->url, same->backend.origin);
	else if (namesake)
		config_errors_add(load->errors, at, "the name \"%s\" is taken by the backend at %s",
		    options->name, namesake->backend.origin);
	return same || namesake;
}

/* Appends the backend to the list, unless it or its name is listed already. */
static void list_backend(struct config_load *load, struct config_listed *listed)
{
	const char *server = server_key(&listed->backend.options, &load->scratch);

	if (!server || is_duplicate(load, listed, server))
		return;
	if (!table_add(&load->servers, str_from(server), listed) ||
	    !table_add(&load->names, str_from(listed->backend.options.name), listed))
		load->errors->incomplete = true;
	*load->backends_end = listed;
	load->backends_end = &listed->next;
}

static void read_backend(struct config_load *load, const struct config_node *node)
{
	struct arena *arena = &load->config->arena;
	struct config_listed *listed = arena_take(&load->scratch, sizeof(*listed));
	const char *origin = config_line_origin(node->line, arena);

	if (!listed || !origin || config_node_is_faulty(node, load->errors))
		return;
	*listed = (struct config_listed){
	    .line = node->line, .backend = {.origin = origin, .options.weight = 1}};
	if (node->kind != NODE_STRING && node->kind != NODE_GROUP) {
		fault(load, node, "write \"http://HOST:PORT\" or { url = \"http://HOST:PORT\"; }",
		    "not a backend");
		return;
	}
	if (read_options(load, node, listed))
		list_backend(load, listed);
}

/* ---- all of them */

void config_backends_read(struct config_load *load, const struct config_node *node)
{
	bool is_list = node->kind == NODE_LIST;

	for (size_t i = 0; i < (is_list ? node->count : 1) && !load->errors->more; i++)
		read_backend(load, is_list ? &node->items[i] : node);
}

void config_backends_forget(struct config_load *load)
{
	load->backends = NULL;
	load->backends_end = &load->backends;
	table_finish(&load->servers);
	table_finish(&load->names);
}

void config_backends_store(struct config_load *load)
{
	struct config *config = load->config;
	struct config_backend *all;
	size_t count = 0;

	for (const struct config_listed *listed = load->backends; listed; listed = listed->next)
		count++;
	all = arena_take(&config->arena, count * sizeof(*all));
	config->backends = all;
	for (const struct config_listed *listed = load->backends; all && listed;
	     listed = listed->next) {
		*all = listed->backend;
		if (!all->own_delay)
			all->options.max_delay_response_us = config->max_delay_response_us;
		all++;
		config->backend_count++;
	}
}
