#include "http/forwarded.h"

/* What is known after the elements so far. */
struct chain {
	const struct forwarded_trust *trust;
	struct net_addr client;
	bool is_known;
};

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]" or "[2001:db8::1]:80". */
static bool read_node(struct net_addr *addr, struct str text)
{
	struct net_authority authority;
	uint16_t port;

	if (net_addr_from_ip(addr, text, 0))
		return true;
	if (!net_authority_split(&authority, text) || !net_addr_from_ip(addr, authority.host, 0))
		return false;
	if (authority.port.data && !net_port_parse(&port, authority.port))
		return false;
	return authority.is_bracketed == (addr->any.sa_family == AF_INET6);
}

/* The next address to the right; an element that is no address has the length 0. */
static void extend(struct chain *chain, struct str node)
{
	const struct forwarded_trust *trust = chain->trust;
	struct net_addr addr;

	if (!read_node(&addr, node)) {
		chain->is_known = false;
		return;
	}
	if (chain->is_known && net_blocks_contain(trust->blocks, trust->count, &addr))
		return;
	chain->client = addr;
	chain->is_known = true;
}

static void extend_by_list(struct chain *chain, struct str value)
{
	while (value.data) {
		struct str node = str_trim(str_split(&value, ','));

		if (node.len > 0)
			extend(chain, node);
	}
}

/* ---- Forwarded */

static void skip_blanks(struct str *rest)
{
	while (rest->len > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
		*rest = (struct str){rest->data + 1, rest->len - 1};
}

static struct str take(struct str *rest, size_t len)
{
	struct str taken = {rest->data, len};

	*rest = (struct str){rest->data + len, rest->len - len};
	return taken;
}

static bool take_byte(struct str *rest, char byte)
{
	if (rest->len == 0 || rest->data[0] != byte)
		return false;
	take(rest, 1);
	return true;
}

static struct str take_token(struct str *rest)
{
	size_t len = 0;

	while (len < rest->len && http_is_token_byte(rest->data[len]))
		len++;
	return take(rest, len);
}

/* A token, or what is between quotes; no address needs a backslash. */
static bool take_value(struct str *rest, struct str *value)
{
	if (!take_byte(rest, '"')) {
		*value = take_token(rest);
		return value->len > 0;
	}
	size_t len = str_find(*rest, '"');
	if (str_find(*rest, '\\') < len || len == rest->len)
		return false;
	*value = take(rest, len);
	return take_byte(rest, '"');
}

/* One element, up to its comma or the end. False when it is not well formed. RFC 7239, 4. */
static bool take_element(struct str *rest, struct str *node)
{
	*node = (struct str){NULL, 0};
	do {
		struct str value;
		struct str name = take_token(rest);

		if (name.len == 0 || !take_byte(rest, '=') || !take_value(rest, &value))
			return false;
		if (str_equals_nocase(name, STR("for")))
			*node = value;
	} while (take_byte(rest, ';'));
	skip_blanks(rest);
	return rest->len == 0 || rest->data[0] == ',';
}

/* A broken line is not read on: where its elements begin is anybody's guess. */
static void extend_by_elements(struct chain *chain, struct str value)
{
	struct str node;

	do {
		skip_blanks(&value);
		if (value.len == 0 || value.data[0] == ',')
			continue;
		if (!take_element(&value, &node)) {
			chain->is_known = false;
			return;
		}
		extend(chain, node);
	} while (take_byte(&value, ','));
}

bool forwarded_client(
    struct net_addr *client, const struct http_head *head, const struct forwarded_trust *trust)
{
	struct str name = trust->is_rfc7239 ? STR("Forwarded") : STR("X-Forwarded-For");
	struct chain chain = {.trust = trust};

	for (size_t i = 0; i < head->field_count; i++) {
		if (!str_equals_nocase(head->fields[i].name, name))
			continue;
		if (trust->is_rfc7239)
			extend_by_elements(&chain, head->fields[i].value);
		else
			extend_by_list(&chain, head->fields[i].value);
	}
	if (chain.is_known)
		*client = chain.client;
	return chain.is_known;
}
