#include "event/net.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <stddef.h>

bool net_addr_from_ip(struct net_addr *addr, struct str ip, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];
	struct net_addr read = {0};

	if (ip.len == 0 || ip.len >= sizeof(text) || str_find(ip, '\0') != ip.len)
		return false;
	memcpy(text, ip.data, ip.len);
	text[ip.len] = '\0';
	if (inet_pton(AF_INET, text, &read.v4.sin_addr) == 1) {
		read.len = sizeof(read.v4);
		read.v4.sin_family = AF_INET;
		read.v4.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, text, &read.v6.sin6_addr) == 1) {
		read.len = sizeof(read.v6);
		read.v6.sin6_family = AF_INET6;
		read.v6.sin6_port = htons(port);
	} else {
		return false;
	}
	*addr = read;
	return true;
}

bool net_addr_from_path(struct net_addr *addr, struct str path)
{
	struct net_addr read = {0};

	if (!str_starts_with(path, STR("/")) || path.len >= sizeof(read.path.sun_path) ||
	    str_find(path, '\0') != path.len)
		return false;
	read.path.sun_family = AF_UNIX;
	memcpy(read.path.sun_path, path.data, path.len);
	read.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
	*addr = read;
	return true;
}

bool net_authority_split(struct net_authority *authority, struct str text)
{
	bool is_bracketed = str_starts_with(text, STR("["));
	struct str host = str_split(&text, is_bracketed ? ']' : ':');

	*authority = (struct net_authority){host, text, is_bracketed};
	if (!is_bracketed)
		return str_find(text, ':') == text.len;
	if (!text.data)
		return false;
	authority->host = (struct str){host.data + 1, host.len - 1};
	bool has_nothing_between = str_split(&text, ':').len == 0;
	authority->port = text;
	return has_nothing_between && str_find(text, ':') == text.len;
}

bool net_port_parse(uint16_t *port, struct str text)
{
	uint64_t number;

	if (!str_to_number(text, &number) || number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	return true;
}

bool net_addr_parse(struct net_addr *addr, struct str text)
{
	struct net_authority authority;
	struct net_addr read;
	struct str scheme = STR("unix:");
	uint16_t port;

	if (str_starts_with(text, scheme))
		return net_addr_from_path(
		    addr, (struct str){text.data + scheme.len, text.len - scheme.len});
	if (!net_authority_split(&authority, text) || !net_port_parse(&port, authority.port) ||
	    !net_addr_from_ip(&read, authority.host, port) ||
	    authority.is_bracketed != (read.any.sa_family == AF_INET6))
		return false;
	*addr = read;
	return true;
}

/* The path of a Unix address; empty for a socket without one. */
static struct str addr_path(const struct net_addr *addr)
{
	size_t offset = offsetof(struct sockaddr_un, sun_path);
	size_t room = addr->len > offset ? addr->len - offset : 0;

	if (room > sizeof(addr->path.sun_path))
		room = sizeof(addr->path.sun_path);
	return (struct str){addr->path.sun_path, strnlen(addr->path.sun_path, room)};
}

/* Every new client and every line of the access log has one, and inet_ntop(3) goes through
 * printf. */
static void put_v4(struct text *out, const void *address)
{
	const unsigned char *bytes = address;

	for (int i = 0; i < 4; i++) {
		if (i > 0)
			text_put(out, STR("."));
		text_put_number(out, bytes[i]);
	}
}

const char *net_addr_format(const struct net_addr *addr, char text[static NET_ADDR_TEXT_SIZE])
{
	struct text out = text_begin(text, NET_ADDR_TEXT_SIZE);
	char ip[INET6_ADDRSTRLEN];

	switch (addr->any.sa_family) {
	case AF_INET:
		put_v4(&out, &addr->v4.sin_addr);
		text_put(&out, STR(":"));
		text_put_number(&out, net_addr_port(addr));
		break;
	case AF_INET6:
		text_put(&out, STR("["));
		text_put(&out, str_from(inet_ntop(AF_INET6, &addr->v6.sin6_addr, ip, sizeof(ip))));
		text_put(&out, STR("]:"));
		text_put_number(&out, net_addr_port(addr));
		break;
	default:
		text_put(&out, STR("unix:"));
		text_put(&out, addr_path(addr));
		break;
	}
	text_put(&out, STR("\0"));
	return text;
}

const char *net_addr_format_ip(const struct net_addr *addr, char text[static NET_IP_TEXT_SIZE])
{
	struct text out = text_begin(text, NET_IP_TEXT_SIZE);
	const struct in6_addr *v6 = &addr->v6.sin6_addr;
	char ip[INET6_ADDRSTRLEN];

	if (addr->any.sa_family == AF_INET)
		put_v4(&out, &addr->v4.sin_addr);
	else if (addr->any.sa_family != AF_INET6)
		text_put(&out, STR("unix:"));
	else if (IN6_IS_ADDR_V4MAPPED(v6))
		put_v4(&out, &v6->s6_addr[12]);
	else
		text_put(&out, str_from(inet_ntop(AF_INET6, v6, ip, sizeof(ip))));
	text_put(&out, STR("\0"));
	return text;
}

bool net_addr_equals(const struct net_addr *a, const struct net_addr *b)
{
	if (a->any.sa_family != b->any.sa_family || net_addr_port(a) != net_addr_port(b))
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	if (a->any.sa_family == AF_INET6)
		return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) &&
		       a->v6.sin6_scope_id == b->v6.sin6_scope_id;
	return str_equals(addr_path(a), addr_path(b));
}

static bool is_any(const struct net_addr *addr)
{
	if (addr->any.sa_family == AF_INET)
		return addr->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return addr->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr);
}

bool net_addr_overlaps(const struct net_addr *a, const struct net_addr *b)
{
	if (net_addr_equals(a, b))
		return true;
	if (a->any.sa_family == AF_UNIX || b->any.sa_family == AF_UNIX)
		return false;
	return net_addr_port(a) == net_addr_port(b) && (is_any(a) || is_any(b));
}

uint16_t net_addr_port(const struct net_addr *addr)
{
	if (addr->any.sa_family == AF_INET)
		return ntohs(addr->v4.sin_port);
	if (addr->any.sa_family == AF_INET6)
		return ntohs(addr->v6.sin6_port);
	return 0;
}

void net_addr_set_port(struct net_addr *addr, uint16_t port)
{
	if (addr->any.sa_family == AF_INET)
		addr->v4.sin_port = htons(port);
	else if (addr->any.sa_family == AF_INET6)
		addr->v6.sin6_port = htons(port);
}

/* An IPv4 or IPv6 address as IPv6; false for a Unix address. */
static bool addr_as_v6(const struct net_addr *addr, struct in6_addr *v6)
{
	if (addr->any.sa_family == AF_INET6) {
		*v6 = addr->v6.sin6_addr;
		return true;
	}
	if (addr->any.sa_family != AF_INET)
		return false;
	*v6 = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
	memcpy(&v6->s6_addr[12], &addr->v4.sin_addr, 4);
	return true;
}

static void mask(struct in6_addr *v6, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = bits > i * 8 ? bits - i * 8 : 0;

		if (kept < 8)
			v6->s6_addr[i] &= (uint8_t)(0xff00 >> kept);
	}
}

bool net_block_parse(struct net_block *block, struct str text)
{
	struct net_addr addr;
	struct str ip = str_split(&text, '/');
	uint64_t bits;
	unsigned width;

	*block = (struct net_block){.is_unix = str_equals(ip, STR("unix:")) && !text.data};
	if (block->is_unix)
		return true;
	if (!net_addr_from_ip(&addr, ip, 0))
		return false;
	width = addr.any.sa_family == AF_INET ? 32 : 128;
	bits = width;
	if (text.data && (!str_to_number(text, &bits) || bits > width))
		return false;
	addr_as_v6(&addr, &block->prefix);
	block->bits = 128 - width + (unsigned)bits;
	mask(&block->prefix, block->bits);
	return true;
}

bool net_block_equals(const struct net_block *a, const struct net_block *b)
{
	return a->is_unix == b->is_unix && a->bits == b->bits &&
	       IN6_ARE_ADDR_EQUAL(&a->prefix, &b->prefix);
}

static bool is_in_block(const struct net_block *block, struct in6_addr v6)
{
	mask(&v6, block->bits);
	return IN6_ARE_ADDR_EQUAL(&v6, &block->prefix);
}

bool net_blocks_contain(const struct net_block *blocks, size_t count, const struct net_addr *addr)
{
	struct in6_addr v6 = {0};
	bool is_unix = !addr_as_v6(addr, &v6);

	for (size_t i = 0; i < count; i++)
		if (is_unix ? blocks[i].is_unix : !blocks[i].is_unix && is_in_block(&blocks[i], v6))
			return true;
	return false;
}
