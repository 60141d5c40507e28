#include "listen.h"

#include "value_lists.h"

#include <grp.h>
#include <pwd.h>

/* ---- faults */

static void fault(const struct config_load *load, const struct config_node *node, const char *hint,
    const char *text) __attribute__((nonnull(1, 2, 4)));
static void fault(const struct config_load *load, const struct config_node *node, const char *hint,
    const char *text)
{
	config_errors_add(
	    load->errors, (struct config_fault){node->line, hint}, "listen: %s", text);
}

static const struct config_node *find_member(const struct config_node *group, const char *name)
{
	for (size_t i = 0; i < group->count; i++)
		if (strcmp(group->items[i].name, name) == 0)
			return &group->items[i];
	return group;
}

/* ---- members */

static bool read_member(
    struct config_load *load, const struct config_node *member, struct config_listen *listen)
{
	const struct setting *setting = settings_find(settings_of_listen(), str_from(member->name));
	const char *meant;
	const char *wrong;

	if (!setting && strcmp(member->name, "tls") == 0) {
		fault(load, member,
		    "hitch, HAProxy or nginx in front can end it; see proxy_from in rondo.conf(5)",
		    "tls: this rondo has no TLS");
		return false;
	}
	if (!setting) {
		meant = settings_suggest(settings_of_listen(), member->name);
		meant = meant ? arena_printf(&load->scratch, "did you mean `%s`?", meant)
			      : "the group has address, proxy_from, scheme, mode, owner and group";
		config_errors_add(load->errors, (struct config_fault){member->line, meant},
		    "unknown setting `%s` in a group of `listen`", member->name);
		return false;
	}
	wrong = value_read(setting, member, listen, &load->config->arena);
	if (wrong)
		config_errors_add(load->errors, (struct config_fault){member->line, NULL},
		    "listen: %s: %s", setting->path, wrong);
	return !wrong;
}

/* ---- who may connect to a Unix socket */

/* A user or a group that is written as a number needs no entry in a database. */
static bool find_user(const char *name, uid_t *user)
{
	const struct passwd *entry;
	uint64_t number;

	*user = (uid_t)-1;
	if (!*name)
		return true;
	if (str_to_number(str_from(name), &number) && number < UINT32_MAX) {
		*user = (uid_t)number;
		return true;
	}
	entry = getpwnam(name);
	if (entry)
		*user = entry->pw_uid;
	return entry != NULL;
}

static bool find_group(const char *name, gid_t *group)
{
	const struct group *entry;
	uint64_t number;

	*group = (gid_t)-1;
	if (!*name)
		return true;
	if (str_to_number(str_from(name), &number) && number < UINT32_MAX) {
		*group = (gid_t)number;
		return true;
	}
	entry = getgrnam(name);
	if (entry)
		*group = entry->gr_gid;
	return entry != NULL;
}

static bool check_access(
    const struct config_load *load, const struct config_node *node, struct config_listen *listen)
{
	struct net_access *access = &listen->access;
	bool has_user = find_user(listen->owner, &access->owner);
	bool has_group = find_group(listen->group, &access->group);

	if (!has_user)
		config_errors_add(load->errors,
		    (struct config_fault){find_member(node, "owner")->line, NULL},
		    "listen: owner: there is no user \"%s\"", listen->owner);
	if (!has_group)
		config_errors_add(load->errors,
		    (struct config_fault){find_member(node, "group")->line, NULL},
		    "listen: group: there is no group \"%s\"", listen->group);
	if (listen->addr.any.sa_family == AF_UNIX || !config_listen_has_access(listen))
		return has_user && has_group;
	fault(load, node, NULL, "mode, owner and group are those of a Unix socket");
	return false;
}

/* ---- one address */

/* Could a peer of this address be in one of the blocks? */
static bool could_be_from(const struct config_listen *listen)
{
	const struct listener_options *options = &listen->options;
	bool is_unix = listen->addr.any.sa_family == AF_UNIX;

	for (size_t i = 0; i < options->proxy_from_count; i++)
		if (options->proxy_from[i].is_unix == is_unix)
			return true;
	return options->proxy_from_count == 0;
}

static bool read_group(
    struct config_load *load, const struct config_node *node, struct config_listen *listen)
{
	const char *wrong;
	bool good = true;

	for (size_t i = 0; i < node->count; i++)
		good &= read_member(load, &node->items[i], listen);
	if (!good)
		return false;
	if (!listen->text) {
		fault(load, node, "write { address = \"*:8080\"; }", "a group without address");
		return false;
	}
	wrong = value_parse_listen(listen, &load->config->arena);
	if (wrong) {
		fault(load, find_member(node, "address"), NULL, wrong);
		return false;
	}
	if (!could_be_from(listen)) {
		fault(load, find_member(node, "proxy_from"),
		    listen->addr.any.sa_family == AF_UNIX
			? "write proxy_from = [ \"unix:\" ]"
			: "\"unix:\" stands for the peers on a Unix socket",
		    "proxy_from: nobody could connect from there");
		return false;
	}
	return check_access(load, node, listen);
}

static bool read_one(
    struct config_load *load, const struct config_node *node, struct config_listen *listen)
{
	struct config_node group = {.kind = NODE_GROUP, .line = node->line, .count = 1};
	struct config_node address = *node;

	if (config_node_is_faulty(node, load->errors))
		return false;
	*listen = (struct config_listen){.owner = "", .group = ""};
	if (node->kind == NODE_GROUP)
		return read_group(load, node, listen);
	if (node->kind != NODE_STRING) {
		fault(load, node, NULL, "expected addresses in quotes, \"*:8080\"");
		return false;
	}
	address.name = "address";
	group.items = &address;
	return read_group(load, &group, listen);
}

static bool is_for_all(const struct net_addr *addr)
{
	return addr->any.sa_family == AF_INET ? addr->v4.sin_addr.s_addr == htonl(INADDR_ANY)
					      : IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr);
}

/* Would a socket on `one` take connections to `other` as well, so that both cannot be opened? */
static bool covers(const struct config_listen *one, const struct config_listen *other)
{
	return is_for_all(&one->addr) &&
	       (one->dual_stack || one->addr.any.sa_family == other->addr.any.sa_family);
}

bool config_listen_excludes(const struct config_listen *one, const struct config_listen *other)
{
	uint16_t port = net_addr_port(&one->addr);

	if (one->addr.any.sa_family == AF_UNIX)
		return net_addr_equals(&one->addr, &other->addr);
	/* Port 0 means another port each time. */
	return port && net_addr_port(&other->addr) == port &&
	       (net_addr_equals(&one->addr, &other->addr) || covers(one, other) ||
		   covers(other, one));
}

/* Reports it when the address cannot be one of them. */
static bool is_refused(struct config_load *load, const struct config_line *line,
    const struct config_listen *all, size_t count)
{
	const struct config_listen *listen = &all[count];
	const struct config_listen *other = all;

	while (other < listen && !config_listen_excludes(other, listen))
		other++;
	if (other == listen)
		return false;
	if (net_addr_equals(&other->addr, &listen->addr))
		config_errors_add(load->errors, (struct config_fault){line, NULL},
		    "listen: \"%s\" is listed twice", listen->text);
	else
		config_errors_add(load->errors, (struct config_fault){line, NULL},
		    "listen: \"%s\" and \"%s\" cannot be opened both", other->text, listen->text);
	return true;
}

/* ---- all of them */

/* Each is compared with all others. */
enum { LISTEN_MAX = 1000 };

void config_listen_read(struct config_load *load, const struct config_node *node)
{
	bool is_list = node->kind == NODE_LIST;
	const struct config_node *items = is_list ? node->items : node;
	size_t count = is_list ? node->count : 1;
	struct config_listen *all = arena_take(&load->config->arena, (count + 1) * sizeof(*all));
	size_t good = 0;

	if (!all)
		return;
	if (count == 0)
		fault(load, node, NULL, "at least one address is needed");
	if (count > LISTEN_MAX) {
		fault(load, node, NULL, "more than 1000 addresses");
		count = 0;
	}
	for (size_t i = 0; i < count && !load->errors->more; i++) {
		if (read_one(load, &items[i], &all[good]) &&
		    !is_refused(load, items[i].line, all, good))
			good++;
	}
	load->config->listen = all;
	load->config->listen_count = good;
}
