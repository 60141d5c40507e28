#include "http/host.h"

#include "event/net.h"

/* Up to five digits, leading zeros and none at all included. RFC 3986, 3.2.3. */
static bool is_port(struct str text)
{
	unsigned port = 0;

	if (text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text.data[i] - '0');
	}
	return port <= 65535;
}

/* "%41" and the like; a name must not decode to a control byte or a space. */
static bool is_percent_encoded(struct str s)
{
	if (s.len < 3 || str_hex_digit(s.data[1]) < 0 || str_hex_digit(s.data[2]) < 0)
		return false;

	int byte = str_hex_digit(s.data[1]) * 16 + str_hex_digit(s.data[2]);

	return byte > 0x20 && byte != 0x7f;
}

/* clang-format off */
/* The bytes of a label: unreserved and sub-delims without the comma. RFC 3986, 2. */
static const bool is_label_byte[256] = {
	['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true,
	['-'] = true, ['_'] = true, ['~'] = true,
	['!'] = true, ['$'] = true, ['&' ... '+'] = true, [';'] = true, ['='] = true,
};
/* clang-format on */

/* The number of bytes at the front that belong to a label; "%41" counts as three. */
static size_t label_length(struct str name)
{
	size_t n = 0;

	for (;;) {
		while (n < name.len && is_label_byte[(unsigned char)name.data[n]])
			n++;
		if (n == name.len || name.data[n] != '%' ||
		    !is_percent_encoded((struct str){name.data + n, name.len - n}))
			return n;
		n += 3;
	}
}

/* A name or IPv4 address as in RFC 3986, 3.2.2, but without commas and empty labels; one dot at the
 * end stands for the root of the domain names. */
static bool is_name(struct str name)
{
	do {
		size_t label = label_length(name);

		if (label == 0)
			return false;
		if (label == name.len)
			return true;
		if (name.data[label] != '.')
			return false;
		name.data += label + 1;
		name.len -= label + 1;
	} while (name.len);
	return true;
}

/* The name of an interface behind "%" or "%25", as people write it. RFC 6874, 2. */
static bool is_zone(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!is_label_byte[(unsigned char)text.data[i]] && text.data[i] != '.')
			return false;
	return text.len > 0;
}

/* An IPv6 address, maybe with a zone. */
static bool is_ipv6(struct str text)
{
	struct str zone = text;
	struct str ip = str_split(&zone, '%');
	struct net_addr addr;

	if (zone.data && !is_zone(zone))
		return false;
	return net_addr_from_ip(&addr, ip, 0) && addr.any.sa_family == AF_INET6;
}

bool http_host_is_valid(struct str text)
{
	struct net_authority authority;

	if (!net_authority_split(&authority, text) || !is_port(authority.port))
		return false;
	return authority.is_bracketed ? is_ipv6(authority.host) : is_name(authority.host);
}
