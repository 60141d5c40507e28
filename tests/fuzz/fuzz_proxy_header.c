/*
 * PROXY headers: whole and cut at every byte they say the same, no answer changes with the bytes that follow, and the
 * client that one names can be named in a line of version 1 that is read as the same client.
 */
#include "http/proxy_header.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* At the end of its own memory, so that a read beyond it is seen. */
static enum proxy_header_result read_copy(struct proxy_header *header, const void *data, size_t len)
{
	char *copy = malloc(len);

	if (len > 0)
		memcpy(copy, data, len);
	enum proxy_header_result result = proxy_header_read(header, (struct str){copy, len});
	free(copy);
	return result;
}

static void assert_same(const struct proxy_header *a, const struct proxy_header *b)
{
	assert(a->fault == b->fault && a->length == b->length && a->is_tls == b->is_tls);
	assert(a->names_client == b->names_client);
	assert(!a->names_client || net_addr_equals(&a->client, &b->client));
}

static void assert_names_again(const struct net_addr *client)
{
	struct proxy_header header;
	char ip[NET_IP_TEXT_SIZE], line[256];
	bool is_v4 = !strchr(net_addr_format_ip(client, ip), ':');
	int len = snprintf(line, sizeof(line), "PROXY TCP%d %s %s %u 0\r\n", is_v4 ? 4 : 6, ip, ip,
	    net_addr_port(client));

	assert(read_copy(&header, line, (size_t)len) == PROXY_HEADER_DONE);
	assert(header.names_client && header.length == (size_t)len);
	/* An IPv4 address mapped into IPv6 is written as IPv4. */
	assert(client->any.sa_family != header.client.any.sa_family ||
	       net_addr_equals(client, &header.client));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header whole, part;
	enum proxy_header_result result = read_copy(&whole, data, size);
	bool has_ended = false;

	for (size_t len = 0; len <= size && len <= PROXY_HEADER_V2_MAX + 1; len++) {
		enum proxy_header_result now = read_copy(&part, data, len);

		assert(!has_ended || now == result);
		has_ended = now != PROXY_HEADER_MORE;
		if (has_ended) {
			assert(now == result);
			/* The length of a refused header means nothing. */
			part.length = now == PROXY_HEADER_BAD ? whole.length : part.length;
			assert_same(&whole, &part);
		}
	}
	assert(has_ended || size <= PROXY_HEADER_V2_MAX);
	if (result != PROXY_HEADER_DONE)
		return 0;
	assert(whole.length <= size && whole.length <= PROXY_HEADER_V2_MAX);
	assert(read_copy(&part, data, whole.length) == PROXY_HEADER_DONE);
	if (whole.names_client)
		assert_names_again(&whole.client);
	return 0;
}
