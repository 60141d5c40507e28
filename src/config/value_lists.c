#include "value_lists.h"

#include <arpa/inet.h>

static const char out_of_memory[] = "out of memory";

struct list {
	const struct setting *setting;
	const struct config_node *items;
	size_t count;
	void *base;
	struct arena *arena;
};

const char *value_quote(const char *text, struct arena *arena)
{
	char *quoted = arena_take(arena, 2 * strlen(text) + 3);
	char *at = quoted;

	if (!quoted)
		return NULL;
	*at++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*at++ = '\\';
		*at++ = *text;
	}
	*at = '"';
	return quoted;
}

static void *place_of(const struct list *list)
{
	return (char *)list->base + list->setting->offset;
}

static void store_pointer(const struct list *list, const void *pointer)
{
	memcpy(place_of(list), &pointer, sizeof(pointer));
}

static const void *load_pointer(const struct setting *setting, const void *base)
{
	const void *pointer;

	memcpy(&pointer, (const char *)base + setting->offset, sizeof(pointer));
	return pointer;
}

static void store_count(const struct list *list, size_t count)
{
	memcpy((char *)list->base + list->setting->count_offset, &count, sizeof(count));
}

static size_t load_count(const struct setting *setting, const void *base)
{
	size_t count;

	memcpy(&count, (const char *)base + setting->count_offset, sizeof(count));
	return count;
}

/* "[ a, b ]", with these brackets. NULL when an item is. */
static const char *join(
    const char *brackets, const char *const *items, size_t count, struct arena *arena)
{
	size_t len = sizeof("[ ]");
	char *text, *at;

	for (size_t i = 0; i < count; i++) {
		if (!items[i])
			return NULL;
		len += strlen(items[i]) + sizeof(",");
	}
	at = text = arena_take(arena, len);
	if (!text)
		return NULL;
	*at++ = brackets[0];
	for (size_t i = 0; i < count; i++) {
		*at++ = ' ';
		at = stpcpy(at, items[i]);
		if (i + 1 < count)
			*at++ = ',';
	}
	*at++ = ' ';
	*at = brackets[1];
	return text;
}

/* ---- statuses */

static const char *read_statuses(const struct list *list)
{
	unsigned *statuses = place_of(list);
	uint64_t status;

	if (list->count > RETRY_STATUSES_MAX)
		return arena_printf(list->arena, "more than %d statuses", RETRY_STATUSES_MAX);
	for (size_t i = 0; i < list->count; i++) {
		const struct config_node *item = &list->items[i];

		if (item->kind == NODE_INTEGER && item->number >= 0)
			status = (uint64_t)item->number;
		else if (item->kind != NODE_STRING || !str_to_number(str_from(item->text), &status))
			return "expected a list of statuses, [ 502, 503 ]";
		if (status < (uint64_t)list->setting->min || status > (uint64_t)list->setting->max)
			return arena_printf(list->arena, "%llu is not between %d and %d",
			    (unsigned long long)status, (int)list->setting->min,
			    (int)list->setting->max);
		statuses[i] = (unsigned)status;
	}
	store_count(list, list->count);
	return NULL;
}

static const char *format_statuses(
    const struct setting *setting, const void *base, struct arena *arena)
{
	const char *place = (const char *)base + setting->offset;
	size_t count = load_count(setting, base);
	const char *text = "[ ";
	unsigned status;

	for (size_t i = 0; text && i < count; i++) {
		memcpy(&status, place + i * sizeof(status), sizeof(status));
		text = arena_printf(arena, "%s%u%s", text, status, i + 1 < count ? ", " : " ");
	}
	return text ? arena_printf(arena, "%s]", text) : NULL;
}

/* ---- ranges of statuses, in one string */

static bool parse_range(struct str text, struct check_range *range)
{
	struct str from = str_trim(str_split(&text, '-'));
	uint64_t number[2];

	if (!str_to_number(from, &number[0]))
		return false;
	number[1] = number[0];
	if (text.data && !str_to_number(str_trim(text), &number[1]))
		return false;
	if (number[0] < 100 || number[1] > 599 || number[0] > number[1])
		return false;
	*range = (struct check_range){(unsigned)number[0], (unsigned)number[1]};
	return true;
}

static const char *read_ranges(const struct list *list)
{
	struct check_range *ranges = place_of(list);
	struct str rest;
	size_t count = 0;

	if (list->count != 1 || list->items[0].kind != NODE_STRING)
		return "expected statuses in quotes, \"200-399\"";
	rest = str_from(list->items[0].text);
	while (rest.data) {
		struct str part = str_trim(str_split(&rest, ','));

		if (count == CHECK_RANGES)
			return arena_printf(list->arena, "more than %d ranges", CHECK_RANGES);
		if (!parse_range(part, &ranges[count++]))
			return arena_printf(list->arena,
			    "\"%.*s\" is not a range of statuses between 100 and 599",
			    STR_ARGS(part));
	}
	store_count(list, count);
	return NULL;
}

static const char *format_ranges(
    const struct setting *setting, const void *base, struct arena *arena)
{
	const struct check_range *ranges = (const void *)((const char *)base + setting->offset);
	size_t count = load_count(setting, base);
	const char *text = "\"";

	for (size_t i = 0; text && i < count; i++) {
		text = arena_printf(arena, "%s%s%u", text, i ? "," : "", ranges[i].from);
		if (text && ranges[i].to != ranges[i].from)
			text = arena_printf(arena, "%s-%u", text, ranges[i].to);
	}
	return text ? arena_printf(arena, "%s\"", text) : NULL;
}

/* ---- address blocks */

static const char *read_blocks(const struct list *list)
{
	struct net_block *blocks = arena_take(list->arena, list->count * sizeof(*blocks));

	if (!blocks)
		return out_of_memory;
	for (size_t i = 0; i < list->count; i++) {
		const struct config_node *item = &list->items[i];

		if (item->kind != NODE_STRING)
			return "expected a list of address blocks, [ \"10.0.0.0/8\" ]";
		if (!net_block_parse(&blocks[i], str_from(item->text)))
			return arena_printf(list->arena,
			    "\"%s\" is not an address block; write \"10.0.0.0/8\", \"::1\" or "
			    "\"unix:\"",
			    item->text);
	}
	store_pointer(list, blocks);
	store_count(list, list->count);
	return NULL;
}

static const char *format_block(const struct net_block *block, struct arena *arena)
{
	const struct in6_addr *prefix = &block->prefix;
	bool is_v4 = block->bits >= 96 && IN6_IS_ADDR_V4MAPPED(prefix);
	char ip[INET6_ADDRSTRLEN];

	if (block->is_unix)
		return "\"unix:\"";
	if (is_v4)
		inet_ntop(AF_INET, &prefix->s6_addr[12], ip, sizeof(ip));
	else
		inet_ntop(AF_INET6, prefix, ip, sizeof(ip));
	return arena_printf(arena, "\"%s/%u\"", ip, is_v4 ? block->bits - 96 : block->bits);
}

static const char *format_blocks(
    const struct setting *setting, const void *base, struct arena *arena)
{
	const struct net_block *blocks = load_pointer(setting, base);
	size_t count = load_count(setting, base);
	const char **items = arena_take(arena, count * sizeof(*items));

	for (size_t i = 0; items && i < count; i++)
		items[i] = format_block(&blocks[i], arena);
	return items ? join("[]", items, count, arena) : NULL;
}

/* ---- protocols and hosts */

static const char *check_protocol(const struct config_node *item, struct arena *arena)
{
	if (item->kind != NODE_STRING)
		return "expected a list of protocols, [ \"websocket\", \"tcp\" ]";
	struct str text = str_from(item->text);
	struct str version = text;
	if (str_equals_nocase(str_split(&version, '/'), STR("h2c")))
		return "h2c is never passed on: requests in it would not be seen";
	if (!http_upgrade_is_protocol(text))
		return arena_printf(arena,
		    "\"%s\" is not a protocol; write \"websocket\", \"SPDY/3.1\" or \"*\"",
		    item->text);
	return NULL;
}

/* The port of a Host is not compared, and a name in brackets is an address. */
static const char *check_host(const struct config_node *item, struct arena *arena)
{
	static const char bytes[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	if (item->kind != NODE_STRING)
		return "expected a list of names, [ \"rondo.example.org\" ]";
	if (!item->text[0] || item->text[strspn(item->text, bytes)])
		return arena_printf(arena,
		    "\"%s\" is not the name of a host; write \"rondo.example.org\", without a "
		    "port",
		    item->text);
	return NULL;
}

static const char *read_names(const struct list *list,
    const char *(*check)(const struct config_node *item, struct arena *arena))
{
	const char **names = arena_take(list->arena, (list->count + 1) * sizeof(*names));

	if (!names)
		return out_of_memory;
	for (size_t i = 0; i < list->count; i++) {
		const char *wrong = check(&list->items[i], list->arena);

		if (wrong)
			return wrong;
		names[i] = arena_copy(list->arena, str_from(list->items[i].text));
		if (!names[i])
			return out_of_memory;
	}
	store_pointer(list, names);
	store_count(list, list->count);
	return NULL;
}

static const char *read_protocols(const struct list *list)
{
	return read_names(list, check_protocol);
}

static const char *read_hosts(const struct list *list)
{
	return read_names(list, check_host);
}

static const char *format_names(
    const struct setting *setting, const void *base, struct arena *arena)
{
	const char *const *names = load_pointer(setting, base);
	size_t count = load_count(setting, base);
	const char **items = arena_take(arena, count * sizeof(*items));

	for (size_t i = 0; items && i < count; i++)
		items[i] = value_quote(names[i], arena);
	return items ? join("[]", items, count, arena) : NULL;
}

/* ---- addresses to listen on */

/* "*:8080" and ":8080" are all addresses of the families that the machine has; net_addr_parse reads
 * the other forms. */
static bool parse_listen(struct config_listen *listen, struct str text)
{
	struct net_authority authority;
	uint16_t port;

	listen->dual_stack = net_authority_split(&authority, text) && !authority.is_bracketed &&
			     (authority.host.len == 0 || str_equals(authority.host, STR("*")));
	if (!listen->dual_stack)
		return net_addr_parse(&listen->addr, text);
	return net_port_parse(&port, authority.port) &&
	       net_addr_from_ip(&listen->addr, net_has_ipv6() ? STR("::") : STR("0.0.0.0"), port);
}

const char *value_parse_listen(struct config_listen *listen, struct arena *arena)
{
	if (parse_listen(listen, str_from(listen->text)))
		return NULL;
	return arena_printf(arena,
	    "\"%s\" is not an address; write \"*:8080\", \"127.0.0.1:8080\", \"[::1]:8080\" or "
	    "\"unix:/path\"",
	    listen->text);
}

/* Adds ` name = value;` where there is a value. */
static const char *add_member(
    const char *text, const char *name, const char *value, struct arena *arena)
{
	return text && value ? arena_printf(arena, "%s %s = %s;", text, name, value) : text;
}

/* As a group where more than the address was written. */
static const char *format_listen_item(const struct config_listen *listen, struct arena *arena)
{
	const struct setting *blocks = settings_find(settings_of_listen(), STR("proxy_from"));
	const char *address = value_quote(listen->text, arena);
	const char *text = add_member("{", "address", address, arena);
	const char *bare = text;

	if (listen->options.proxy_from_count)
		text = add_member(text, "proxy_from", format_blocks(blocks, listen, arena), arena);
	if (listen->options.is_https)
		text = add_member(text, "scheme", "\"https\"", arena);
	if (listen->access.mode)
		text = add_member(
		    text, "mode", arena_printf(arena, "\"%04o\"", listen->access.mode), arena);
	if (listen->owner[0])
		text = add_member(text, "owner", value_quote(listen->owner, arena), arena);
	if (listen->group[0])
		text = add_member(text, "group", value_quote(listen->group, arena), arena);
	return text == bare ? address : arena_printf(arena, "%s }", text);
}

static const char *format_listen(
    const struct setting *setting, const void *base, struct arena *arena)
{
	const struct config_listen *all = load_pointer(setting, base);
	size_t count = load_count(setting, base);
	const char **items = arena_take(arena, count * sizeof(*items));

	for (size_t i = 0; items && i < count; i++)
		items[i] = format_listen_item(&all[i], arena);
	if (!items || count == 1)
		return items ? items[0] : NULL;
	return join("()", items, count, arena);
}

static const char *read_address(const struct list *list)
{
	struct config_listen *listen = NULL;
	const char *wrong;

	if (list->count != 1 || list->items[0].kind != NODE_STRING)
		return "expected one address in quotes";
	if (list->items[0].text[0]) {
		if (!(listen = arena_take(list->arena, sizeof(*listen))))
			return out_of_memory;
		listen->text = arena_copy(list->arena, str_from(list->items[0].text));
		if (!listen->text)
			return out_of_memory;
		wrong = value_parse_listen(listen, list->arena);
		if (wrong)
			return wrong;
	}
	store_pointer(list, listen);
	return NULL;
}

static const char *format_address(
    const struct setting *setting, const void *base, struct arena *arena)
{
	const struct config_listen *listen = load_pointer(setting, base);

	return value_quote(listen ? listen->text : "", arena);
}

/* ---- all of them */

struct list_type {
	const char *(*read)(const struct list *list);
	const char *(*format)(const struct setting *setting, const void *base, struct arena *arena);
};

static const struct list_type types[SETTING_TYPES] = {
    [SETTING_STATUSES] = {read_statuses, format_statuses},
    [SETTING_RANGES] = {read_ranges, format_ranges},
    [SETTING_BLOCKS] = {read_blocks, format_blocks},
    [SETTING_PROTOCOLS] = {read_protocols, format_names},
    [SETTING_HOSTS] = {read_hosts, format_names},
    [SETTING_LISTEN] = {NULL, format_listen},
    [SETTING_ADDRESS] = {read_address, format_address},
};

const char *value_list_read(
    const struct setting *setting, const struct config_node *node, void *base, struct arena *arena)
{
	struct list list = {.setting = setting, .base = base, .arena = arena};

	list.items = node->kind == NODE_LIST ? node->items : node;
	list.count = node->kind == NODE_LIST ? node->count : 1;
	return types[setting->type].read(&list);
}

const char *value_list_format(const struct setting *setting, const void *base, struct arena *arena)
{
	return types[setting->type].format(setting, base, arena);
}
