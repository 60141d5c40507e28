#include "http/proxy_header.h"

/* The first bytes of the two versions differ, so no byte sequence begins both. */
static const char v1_start[] = "PROXY ";
static const unsigned char v2_start[12] = {
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static const char no_header[] = "no PROXY header";
static const char broken[] = "a broken PROXY header";

static enum proxy_header_result refuse(struct proxy_header *header, const char *fault)
{
	header->fault = fault;
	return PROXY_HEADER_BAD;
}

/* ---- version 1 */

/* The line's four words behind the protocol: two addresses of the family, two ports. */
static bool read_v1_words(struct proxy_header *header, struct str rest, int family)
{
	struct net_addr server;
	struct str client_ip = str_split(&rest, ' ');
	struct str server_ip = str_split(&rest, ' ');
	struct str client_port = str_split(&rest, ' ');
	uint16_t port;

	/* A missing word is empty, and a fifth one is in the last port. */
	if (!net_port_parse(&port, rest) || !net_addr_from_ip(&server, server_ip, port) ||
	    !net_port_parse(&port, client_port) ||
	    !net_addr_from_ip(&header->client, client_ip, port))
		return false;
	header->names_client = true;
	return header->client.any.sa_family == family && server.any.sa_family == family;
}

/* The line behind "PROXY ", without its CRLF. */
static bool read_v1_line(struct proxy_header *header, struct str line)
{
	struct str protocol = str_split(&line, ' ');

	if (str_equals(protocol, STR("TCP4")))
		return read_v1_words(header, line, AF_INET);
	if (str_equals(protocol, STR("TCP6")))
		return read_v1_words(header, line, AF_INET6);
	/* What follows is to be ignored. */
	return str_equals(protocol, STR("UNKNOWN"));
}

static enum proxy_header_result read_v1(struct proxy_header *header, struct str bytes)
{
	const size_t start = sizeof(v1_start) - 1;

	if (bytes.len > PROXY_HEADER_V1_MAX)
		bytes.len = PROXY_HEADER_V1_MAX;
	size_t feed = str_find(bytes, '\n');
	size_t carriage = str_find(bytes, '\r');
	/* A CR is only there at the end, with its LF. */
	if (feed < bytes.len ? carriage + 1 != feed : carriage + 1 < bytes.len)
		return refuse(header, broken);
	if (feed == bytes.len)
		return bytes.len < PROXY_HEADER_V1_MAX
			   ? PROXY_HEADER_MORE
			   : refuse(header, "a PROXY header over 107 bytes");
	header->length = feed + 1;
	if (read_v1_line(header, (struct str){bytes.data + start, carriage - start}))
		return PROXY_HEADER_DONE;
	return refuse(header, broken);
}

/* ---- version 2 */

/* After the signature: version and command, family and protocol, length of what follows. */
enum {
	AT_COMMAND = 12,
	AT_FAMILY = 13,
	AT_LENGTH = 14,
	AT_ADDRESSES = 16,
	VERSION_2 = 2,
	COMMAND_LOCAL = 0,
	COMMAND_PROXY = 1,
	PROTOCOL_DATAGRAM = 2
};

static const struct family {
	unsigned char byte; /* family and protocol */
	unsigned char size; /* of the addresses */
} families[] = {{0x00, 0}, {0x11, 12}, {0x21, 36}, {0x31, 216}};

/* TLVs: type, two bytes of length, value. */
enum { TLV_HEAD = 3, TLV_CRC32C = 0x03, TLV_TLS = 0x20 };

/* The value of TLV_TLS: a byte of flags, four of the verification's result, more TLVs. */
enum { TLS_SIZE = 5, CLIENT_USED_TLS = 0x01 };

enum { CRC_SIZE = 4 };

static size_t read_16(const unsigned char *at)
{
	return (size_t)at[0] << 8 | at[1];
}

/* Of the whole header, with zeroes in the place of the checksum. RFC 3720, B.4. */
static uint32_t crc32c(const unsigned char *header, size_t length, size_t place)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < length; i++) {
		crc ^= i >= place && i < place + CRC_SIZE ? 0 : header[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

static bool crc_fits(const unsigned char *header, size_t length, size_t place)
{
	const unsigned char *at = header + place;
	uint32_t written = (uint32_t)(read_16(at) << 16 | read_16(at + 2));

	return crc32c(header, length, place) == written;
}

/* What the TLVs say. */
struct tlvs {
	bool is_tls;
	size_t crc_at; /* 0: there is none */
};

/* False when they are not well formed. */
static bool read_tlvs(struct tlvs *tlvs, const unsigned char *header, size_t at, size_t end)
{
	while (at < end) {
		if (end - at < TLV_HEAD || end - at - TLV_HEAD < read_16(header + at + 1))
			return false;
		unsigned char type = header[at];
		size_t size = read_16(header + at + 1);
		at += TLV_HEAD;
		if (type == TLV_CRC32C) {
			if (size != CRC_SIZE || tlvs->crc_at)
				return false;
			tlvs->crc_at = at;
		} else if (type == TLV_TLS) {
			if (size < TLS_SIZE)
				return false;
			tlvs->is_tls |= (header[at] & CLIENT_USED_TLS) != 0;
		}
		at += size;
	}
	return true;
}

static void read_v2_client(struct proxy_header *header, const unsigned char *bytes)
{
	const unsigned char *at = bytes + AT_ADDRESSES;
	struct net_addr client = {0};

	if (bytes[AT_FAMILY] == 0x11) {
		client.len = sizeof(client.v4);
		client.v4.sin_family = AF_INET;
		memcpy(&client.v4.sin_addr, at, 4);
		memcpy(&client.v4.sin_port, at + 8, 2);
	} else if (bytes[AT_FAMILY] == 0x21) {
		client.len = sizeof(client.v6);
		client.v6.sin6_family = AF_INET6;
		memcpy(&client.v6.sin6_addr, at, 16);
		memcpy(&client.v6.sin6_port, at + 32, 2);
	} else {
		return;
	}
	header->names_client = true;
	header->client = client;
}

static const struct family *find_family(unsigned char byte)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		if (families[i].byte == byte)
			return &families[i];
	return NULL;
}

/* What is wrong with the fixed part, of which all bytes are there, or NULL. */
static const char *fault_of_v2(const unsigned char *bytes)
{
	const struct family *family = find_family(bytes[AT_FAMILY]);
	unsigned command = bytes[AT_COMMAND] & 0x0f;

	if (bytes[AT_COMMAND] >> 4 != VERSION_2)
		return "a PROXY header of an unknown version";
	if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
		return "a PROXY header with an unknown command";
	if (AT_ADDRESSES + read_16(bytes + AT_LENGTH) > PROXY_HEADER_V2_MAX)
		return "a PROXY header over 536 bytes";
	/* A proxy that speaks for itself may leave anything there. */
	if (command == COMMAND_LOCAL)
		return NULL;
	if ((bytes[AT_FAMILY] & 0x0f) == PROTOCOL_DATAGRAM)
		return "a PROXY header for datagrams";
	if (!family)
		return "a PROXY header with an unknown family";
	return read_16(bytes + AT_LENGTH) < family->size ? broken : NULL;
}

static enum proxy_header_result read_v2(struct proxy_header *header, struct str text)
{
	const unsigned char *bytes = (const unsigned char *)text.data;
	bool is_local;
	struct tlvs tlvs = {0};

	if (text.len < AT_ADDRESSES)
		return PROXY_HEADER_MORE;
	const char *fault = fault_of_v2(bytes);
	if (fault)
		return refuse(header, fault);
	header->length = AT_ADDRESSES + read_16(bytes + AT_LENGTH);
	if (text.len < header->length)
		return PROXY_HEADER_MORE;
	const struct family *family = find_family(bytes[AT_FAMILY]);
	size_t addresses = AT_ADDRESSES + (family ? family->size : 0U);
	is_local = (bytes[AT_COMMAND] & 0x0f) == COMMAND_LOCAL;
	if (!read_tlvs(&tlvs, bytes, addresses, header->length)) {
		if (!is_local)
			return refuse(header, broken);
		return PROXY_HEADER_DONE;
	}
	if (tlvs.crc_at && !crc_fits(bytes, header->length, tlvs.crc_at))
		return refuse(header, "a PROXY header whose checksum does not fit");
	if (!is_local) {
		header->is_tls = tlvs.is_tls;
		read_v2_client(header, bytes);
	}
	return PROXY_HEADER_DONE;
}

/* ---- both */

static bool agrees(struct str bytes, const void *start, size_t size)
{
	return memcmp(bytes.data, start, bytes.len < size ? bytes.len : size) == 0;
}

enum proxy_header_result proxy_header_read(struct proxy_header *header, struct str bytes)
{
	bool is_v1, is_v2;

	*header = (struct proxy_header){0};
	if (bytes.len == 0)
		return PROXY_HEADER_MORE;
	is_v1 = agrees(bytes, v1_start, sizeof(v1_start) - 1);
	is_v2 = agrees(bytes, v2_start, sizeof(v2_start));
	if (!is_v1 && !is_v2)
		return refuse(header, no_header);
	if (bytes.len < (is_v1 ? sizeof(v1_start) - 1 : sizeof(v2_start)))
		return PROXY_HEADER_MORE;
	return is_v1 ? read_v1(header, bytes) : read_v2(header, bytes);
}
