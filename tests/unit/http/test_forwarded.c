/*
 * Who the client is, by tables: what trusted proxies sent, and the address that follows from it.
 */
#include "http/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { FIELDS = 4 };

struct row {
	const char *values[FIELDS]; /* of the fields, in order */
	const char *client;         /* "": the peer itself */
};

/* Trusted: 10.0.0.0/8, fd00::/8, and peers on Unix sockets. */
static void check(const struct row *row, const char *name, bool is_rfc7239)
{
	struct net_block blocks[3];
	const struct forwarded_trust trust = {blocks, COUNT(blocks), is_rfc7239};
	struct http_field fields[FIELDS + 1] = {{.name = STR("X-Other"), .value = STR("9.9.9.9")}};
	struct http_head head = {.fields = fields, .field_count = 1};
	struct net_addr client = {0};
	char ip[NET_IP_TEXT_SIZE] = "";

	assert_true(net_block_parse(&blocks[0], STR("10.0.0.0/8")));
	assert_true(net_block_parse(&blocks[1], STR("fd00::/8")));
	assert_true(net_block_parse(&blocks[2], STR("unix:")));
	for (size_t i = 0; i < FIELDS && row->values[i]; i++)
		fields[head.field_count++] =
		    (struct http_field){.name = str_from(name), .value = str_from(row->values[i])};
	if (forwarded_client(&client, &head, &trust))
		net_addr_format_ip(&client, ip);
	if (strcmp(ip, row->client) != 0)
		print_error("%s: %s\n", name, row->values[0]);
	assert_string_equal(ip, row->client);
}

static void the_rightmost_address_that_is_not_trusted_is_the_client(void **state)
{
	static const struct row rows[] = {
	    {{NULL}, ""},
	    {{""}, ""},
	    {{" , "}, ""},
	    {{"192.0.2.1"}, "192.0.2.1"},
	    {{"198.51.100.1, 192.0.2.1"}, "192.0.2.1"},
	    {{"198.51.100.1, 192.0.2.1, 10.0.0.1"}, "192.0.2.1"},
	    {{"198.51.100.1, 192.0.2.1,10.0.0.1\t,, 10.0.0.2"}, "192.0.2.1"},
	    {{"10.0.0.3, 10.0.0.1, 10.0.0.2"}, "10.0.0.3"},
	    {{"10.0.0.9, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
	    {{"198.51.100.1", "192.0.2.1", "10.0.0.1"}, "192.0.2.1"},
	    {{"198.51.100.1, 192.0.2.1", "10.0.0.1, 10.0.0.2"}, "192.0.2.1"},
	    {{"2001:db8::7, fd00::1"}, "2001:db8::7"},
	    {{"::ffff:192.0.2.1, ::ffff:10.0.0.1"}, "192.0.2.1"},
	    {{"192.0.2.1:4711, 10.0.0.1:80"}, "192.0.2.1"},
	    {{"[2001:db8::7]:4711, [fd00::1]"}, "2001:db8::7"},
	    {{"unknown"}, ""},
	    {{"192.0.2.1, unknown"}, ""},
	    {{"192.0.2.1, unknown, 10.0.0.1, 10.0.0.2"}, "10.0.0.1"},
	    {{"192.0.2.1, unix:"}, ""},
	    {{"192.0.2.1, 300.0.0.1, 10.0.0.1"}, "10.0.0.1"},
	    {{"192.0.2.1, [10.0.0.1]"}, ""},
	    {{"192.0.2.1, 10.0.0.1:"}, ""},
	    {{"192.0.2.1, 10.0.0.1:99999"}, ""},
	    {{"192.0.2.1 10.0.0.1"}, ""},
	    {{"192.0.2.1", "x"}, ""},
	    {{"192.0.2.1", ""}, "192.0.2.1"},
	    {{"for=192.0.2.1"}, ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check(&rows[i], "x-forwarded-FOR", false);
}

static void the_same_holds_for_forwarded(void **state)
{
	static const struct row rows[] = {
	    {{NULL}, ""},
	    {{"for=192.0.2.1"}, "192.0.2.1"},
	    {{"For=192.0.2.1;Proto=https;by=10.0.0.1"}, "192.0.2.1"},
	    {{"proto=https;for=192.0.2.1"}, "192.0.2.1"},
	    {{"for=198.51.100.1, for=192.0.2.1, for=10.0.0.1;host=\"a, b;for=1.2.3.4\""},
		"192.0.2.1"},
	    {{"for=\"192.0.2.1:80\",for=\"10.0.0.1\""}, "192.0.2.1"},
	    {{"for=\"[2001:db8::7]:80\", for=\"[fd00::1]\""}, "2001:db8::7"},
	    {{"for=198.51.100.1", "for=192.0.2.1", "for=10.0.0.1"}, "192.0.2.1"},
	    {{"for=10.0.0.2, for=10.0.0.1"}, "10.0.0.2"},
	    {{"for=192.0.2.1, for=unknown"}, ""},
	    {{"for=192.0.2.1, for=_hidden, for=10.0.0.1"}, "10.0.0.1"},
	    {{"for=192.0.2.1, proto=http"}, ""},
	    {{", for=192.0.2.1,, for=10.0.0.1 ,"}, "192.0.2.1"},
	    {{"for=2001:db8::7"}, ""},
	    {{"for=192.0.2.1, for = 10.0.0.1"}, ""},
	    {{"for=192.0.2.1, for=10.0.0.1;"}, ""},
	    {{"for=192.0.2.1, for=\"10.0.0.1"}, ""},
	    {{"for=192.0.2.1, for=\"\\10.0.0.1\""}, ""},
	    {{"192.0.2.1"}, ""},
	    /* A client cannot hide what a proxy adds behind a quote of its own. */
	    {{"for=9.9.9.9;x=\", for=192.0.2.1;by=\"a\""}, ""},
	    {{"for=9.9.9.9;x=\"", "for=192.0.2.1;by=\"a\""}, "192.0.2.1"},
	    {{"for=9.9.9.9;x=\", for=\"[2001:db8::7]\""}, ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check(&rows[i], "Forwarded", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_rightmost_address_that_is_not_trusted_is_the_client),
	    cmocka_unit_test(the_same_holds_for_forwarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
