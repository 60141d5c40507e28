/*
 * Who the client is: whatever a client says, the address that the first trusted proxy adds behind it is the one that is
 * found, on the same line of X-Forwarded-For and on a line of its own of Forwarded; and proxies that are trusted may
 * add themselves behind that.
 */
#include "http/forwarded.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char client[] = "192.0.2.7";

static void assert_found(
    struct http_field *fields, size_t count, const struct forwarded_trust *trust)
{
	const struct http_head head = {.fields = fields, .field_count = count};
	struct net_addr found;
	char ip[NET_IP_TEXT_SIZE];

	assert(forwarded_client(&found, &head, trust));
	assert(strcmp(net_addr_format_ip(&found, ip), client) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_block block;
	struct forwarded_trust trust = {&block, 1, false};
	char *line = malloc(size + 64);
	struct http_field fields[3] = {{.name = STR("X-Forwarded-For")}};
	struct http_head head = {.fields = fields, .field_count = 1};
	struct net_addr any;

	assert(net_block_parse(&block, STR("10.0.0.0/8")));
	memcpy(line, data, size);
	int added = snprintf(line + size, 64, ", %s, 10.1.2.3", client);
	fields[0].value = (struct str){line, size + (size_t)added};
	assert_found(fields, 1, &trust);
	free(line);

	/* At the end of its own memory, so that a read beyond it is seen. */
	line = malloc(size);
	if (size > 0)
		memcpy(line, data, size);
	for (int form = 0; form < 2; form++) {
		trust.is_rfc7239 = form;
		fields[0] =
		    (struct http_field){.name = form ? STR("Forwarded") : STR("X-Forwarded-For"),
			.value = {line, size}};
		if (forwarded_client(&any, &head, &trust))
			assert(any.any.sa_family == AF_INET || any.any.sa_family == AF_INET6);
		fields[1] = fields[2] = fields[0];
		fields[1].value = form ? STR("for=192.0.2.7;proto=https") : STR("192.0.2.7");
		fields[2].value = form ? STR("for=\"10.1.2.3:80\"") : STR("10.1.2.3");
		assert_found(fields, 3, &trust);
	}
	free(line);
	return 0;
}
