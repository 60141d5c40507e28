/*
 * PROXY headers, by a table: what each says, or what is wrong with it. Each is fed in pieces cut at
 * every byte, and followed by bytes of a request.
 */
#include "http/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xc0\x00\x02\x07\xcb\x00\x71\x01\x30\x39\x01\xbb"
#define V6                                                                                         \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"                                               \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x30\x39\x01\xbb"
#define PATHS_27 "/123456789/123456789/123456\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define PATHS    PATHS_27 PATHS_27 PATHS_27 PATHS_27
#define A_10     "aaaaaaaaaa"
#define A_80     A_10 A_10 A_10 A_10 A_10 A_10 A_10 A_10
#define ZEROES_8 "\0\0\0\0\0\0\0\0"
#define ZEROES   ZEROES_8 ZEROES_8 ZEROES_8 ZEROES_8 ZEROES_8 ZEROES_8 ZEROES_8 ZEROES_8
/* 508 bytes: with V4, the largest header. */
#define PADDING                                                                                    \
	"\x04\x01\xf9" ZEROES ZEROES ZEROES ZEROES ZEROES ZEROES ZEROES ZEROES_8 ZEROES_8 ZEROES_8 \
	    ZEROES_8 ZEROES_8 ZEROES_8 ZEROES_8 "\0"

static const char no_header[] = "no PROXY header";
static const char broken[] = "a broken PROXY header";
static const char too_long_1[] = "a PROXY header over 107 bytes";
static const char too_long_2[] = "a PROXY header over 536 bytes";
static const char datagrams[] = "a PROXY header for datagrams";
static const char family[] = "a PROXY header with an unknown family";
static const char checksum[] = "a PROXY header whose checksum does not fit";

#define BYTES(literal)                                                                             \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

struct row {
	struct str bytes;
	const char *client; /* "": it names none; NULL: it is refused */
	bool is_tls;
	const char *fault;
};

static const struct row rows[] = {
    /* version 1 */
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 12345 443\r\n"), "192.0.2.7:12345", false, NULL},
    {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535",
	false, NULL},
    {BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n"), "[2001:db8::7]:12345", false, NULL},
    {BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", false, NULL},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 0 0\r\n"), "192.0.2.7:0", false, NULL},
    {BYTES("PROXY UNKNOWN\r\n"), "", false, NULL},
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	"", false, NULL},
    {BYTES("PROXY UNKNOWN any bytes \001 at all\r\n"), "", false, NULL},
    {BYTES("PROXY UNKNOWN " A_80 "aaaaaaaaaaa\r\n"), "", false, NULL},
    {BYTES("PROXY UNKNOWN " A_80 "aaaaaaaaaaaa\r\n"), NULL, false, too_long_1},
    {BYTES("PROXY UNKNOWN " A_80 A_80 "\n"), NULL, false, too_long_1},
    {BYTES("PROXY UNKNOWNS\r\n"), NULL, false, broken},
    {BYTES("PROXY \r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP5 192.0.2.7 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY tcp4 192.0.2.7 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY  TCP4 192.0.2.7 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4  192.0.2.7 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 12345 443 \r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 12345 443 1\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 12345\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 12345 \r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 65536 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 12345 -1\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 012 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.256 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 2001:db8::7 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 2001:db8::1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP6 192.0.2.7 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP6 fe80::1%1 fe80::2 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7\0 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 12345 443\n"), NULL, false, broken},
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 12345 443\r\r\n"), NULL, false, broken},
    {BYTES("PROXY TCP4\r192.0.2.7 203.0.113.1 12345 443\r\n"), NULL, false, broken},
    {BYTES("PROXY\tTCP4 192.0.2.7 203.0.113.1 12345 443\r\n"), NULL, false, no_header},
    {BYTES("PROXY\r\n"), NULL, false, no_header},
    {BYTES("proxy TCP4 192.0.2.7 203.0.113.1 12345 443\r\n"), NULL, false, no_header},
    {BYTES("POST / HTTP/1.1\r\n"), NULL, false, no_header},
    {BYTES("GET / HTTP/1.1\r\n"), NULL, false, no_header},
    {BYTES("\r\nGET / HTTP/1.1\r\n"), NULL, false, no_header},
    {BYTES("\x16\x03\x01"), NULL, false, no_header},

    /* version 2 */
    {BYTES(SIGNATURE "\x21\x11\0\x0c" V4), "192.0.2.7:12345", false, NULL},
    {BYTES(SIGNATURE "\x21\x21\0\x24" V6), "[2001:db8::7]:12345", false, NULL},
    {BYTES(SIGNATURE "\x21\x31\0\xd8" PATHS), "", false, NULL},
    {BYTES(SIGNATURE "\x21\0\0\0"), "", false, NULL},
    {BYTES(SIGNATURE "\x20\0\0\0"), "", false, NULL},
    {BYTES(SIGNATURE "\x20\x11\0\x0c" V4), "", false, NULL},
    {BYTES(SIGNATURE "\x20\x11\0\0"), "", false, NULL},
    {BYTES(SIGNATURE "\x20\xff\0\x02zz"), "", false, NULL},
    {BYTES(SIGNATURE "\x20\x11\0\x14" V4 "\x20\0\x05\x01\0\0\0\0"), "", false, NULL},
    {BYTES(SIGNATURE "\x21\x11\0\x13" V4 "\x01\0\x04h2\0\x01"), "192.0.2.7:12345", false, NULL},
    {BYTES(SIGNATURE "\x21\x11\0\x14" V4 "\x20\0\x05\x01\0\0\0\0"), "192.0.2.7:12345", true, NULL},
    {BYTES(SIGNATURE "\x21\x11\0\x1e" V4 "\x20\0\x0f\x07\0\0\0\0\x21\0\x07TLSv1.3"),
	"192.0.2.7:12345", true, NULL},
    {BYTES(SIGNATURE "\x21\0\0\x08\x20\0\x05\x01\0\0\0\0"), "", true, NULL},
    {BYTES(SIGNATURE "\x21\x11\0\x14" V4 "\x20\0\x05\x02\0\0\0\0"), "192.0.2.7:12345", false, NULL},
    {BYTES(SIGNATURE "\x21\x11\x02\x08" V4 PADDING), "192.0.2.7:12345", false, NULL},
    {BYTES(SIGNATURE "\x21\x11\x02\x09" V4 PADDING "a"), NULL, false, too_long_2},
    {BYTES(SIGNATURE "\x20\x11\x02\x09" V4 PADDING "a"), NULL, false, too_long_2},
    {BYTES(SIGNATURE "\x21\x11\xff\xff"), NULL, false, too_long_2},
    {BYTES(SIGNATURE "\x21\x11\0\x0b" V4), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x11\0\0"), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x21\0\x0c" V4), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x31\0\x0c" V4), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x11\0\x0d" V4 "\x04"), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x11\0\x0e" V4 "\x04\0"), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x11\0\x0f" V4 "\x04\0\x01"), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x11\0\x13" V4 "\x20\0\x04\x01\0\0\0"), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x11\0\x12" V4 "\x03\0\x03\0\0\0"), NULL, false, broken},
    {BYTES(SIGNATURE "\x21\x12\0\x0c" V4), NULL, false, datagrams},
    {BYTES(SIGNATURE "\x21\x22\0\x24" V6), NULL, false, datagrams},
    {BYTES(SIGNATURE "\x21\x32\0\xd8" PATHS), NULL, false, datagrams},
    {BYTES(SIGNATURE "\x21\x10\0\x0c" V4), NULL, false, family},
    {BYTES(SIGNATURE "\x21\x01\0\x0c" V4), NULL, false, family},
    {BYTES(SIGNATURE "\x21\x41\0\x0c" V4), NULL, false, family},
    {BYTES(SIGNATURE "\x21\x13\0\x0c" V4), NULL, false, family},
    {BYTES(SIGNATURE "\x11\x11\0\x0c" V4), NULL, false, "a PROXY header of an unknown version"},
    {BYTES(SIGNATURE "\x31\x11\0\x0c" V4), NULL, false, "a PROXY header of an unknown version"},
    {BYTES(SIGNATURE "\x22\x11\0\x0c" V4), NULL, false, "a PROXY header with an unknown command"},
    {BYTES("\r\n\r\n\0\r\nQUIT\r\n"), NULL, false, no_header},
    {BYTES("\r\n\r\nGET /"), NULL, false, no_header},

    /* Checksums, as crcmod computes them (crc-32c). */
    {BYTES(SIGNATURE "\x21\x11\0\x13" V4 "\x03\0\x04\x11\x22\x33\x44"), NULL, false, checksum},
    {BYTES(SIGNATURE "\x20\0\0\x07\x03\0\x04\0\0\0\0"), NULL, false, checksum},
    {BYTES(SIGNATURE "\x21\x11\0\x1a" V4 "\x03\0\x04\0\0\0\0\x03\0\x04\0\0\0\0"), NULL, false,
	broken},
};

/* At the end of its own memory, so that a sanitizer sees a read beyond it. */
static enum proxy_header_result read_copy(struct proxy_header *header, struct str bytes)
{
	char *copy = malloc(bytes.len);

	assert_non_null(copy);
	memcpy(copy, bytes.data, bytes.len);
	enum proxy_header_result result = proxy_header_read(header, (struct str){copy, bytes.len});
	free(copy);
	return result;
}

static void check_whole(const struct row *row, const struct proxy_header *header)
{
	char text[NET_ADDR_TEXT_SIZE];

	if (!row->client) {
		assert_string_equal(header->fault, row->fault);
		return;
	}
	assert_int_equal(header->length, row->bytes.len);
	assert_int_equal(header->is_tls, row->is_tls);
	assert_int_equal(header->names_client, row->client[0] != '\0');
	if (header->names_client)
		assert_string_equal(net_addr_format(&header->client, text), row->client);
}

static void headers_are_read_whole_and_in_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		enum proxy_header_result wanted =
		    row->client ? PROXY_HEADER_DONE : PROXY_HEADER_BAD;
		enum proxy_header_result result = PROXY_HEADER_MORE;
		struct proxy_header header;
		size_t len = 0;

		while (result == PROXY_HEADER_MORE && len < row->bytes.len)
			result = read_copy(&header, (struct str){row->bytes.data, ++len});
		if (result != wanted)
			print_error("row %zu: result %d after %zu bytes\n", i, (int)result, len);
		assert_int_equal(result, wanted);
		check_whole(row, &header);
		/* The answer stays, whatever follows. */
		for (; len <= row->bytes.len; len++) {
			assert_int_equal(
			    read_copy(&header, (struct str){row->bytes.data, len}), wanted);
			check_whole(row, &header);
		}
	}
}

static void what_follows_a_header_is_not_part_of_it(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nPROXY UNKNOWN\r\n";
	char bytes[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		struct str all = {bytes, row->bytes.len + sizeof(request)};
		struct proxy_header header;

		if (!row->client)
			continue;
		memcpy(bytes, row->bytes.data, row->bytes.len);
		memcpy(bytes + row->bytes.len, request, sizeof(request));
		assert_int_equal(read_copy(&header, all), PROXY_HEADER_DONE);
		check_whole(row, &header);
	}
}

/* RFC 3720, B.4, has a few of its values; this one is of a whole header. */
static void a_checksum_has_to_fit(void **state)
{
	static const char with[] = SIGNATURE "\x21\x11\0\x13" V4 "\x03\0\x04\x00\x00\x00\x00";
	char bytes[sizeof(with) - 1];
	struct str all = {bytes, sizeof(bytes)};
	struct proxy_header header;

	(void)state;
	memcpy(bytes, with, sizeof(bytes));
	memcpy(bytes + sizeof(bytes) - 4, "\x88\x49\x55\x69", 4);
	assert_int_equal(read_copy(&header, all), PROXY_HEADER_DONE);
	for (size_t at = 16; at < sizeof(bytes); at++) {
		if (at >= 28 && at < 31) /* type and length of the TLV */
			continue;
		bytes[at] ^= 0x10;
		assert_int_equal(read_copy(&header, all), PROXY_HEADER_BAD);
		assert_string_equal(header.fault, checksum);
		bytes[at] ^= 0x10;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(headers_are_read_whole_and_in_pieces),
	    cmocka_unit_test(what_follows_a_header_is_not_part_of_it),
	    cmocka_unit_test(a_checksum_has_to_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
