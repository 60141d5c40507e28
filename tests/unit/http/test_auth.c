/* Which requests and responses are part of an authentication that holds for a connection. */
#include "http/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A head with two fields: this one, behind another one. */
static struct http_head head_with(
    struct http_field fields[static 2], const char *name, const char *value)
{
	fields[0] = (struct http_field){.name = STR("X-Scheme"), .value = STR("NTLM")};
	fields[1] = (struct http_field){.name = str_from(name), .value = str_from(value)};
	return (struct http_head){.fields = fields, .field_count = 2};
}

static void a_request_uses_it_by_its_scheme(void **state)
{
	static const struct {
		const char *name, *value;
		bool is_used;
	} cases[] = {
	    {"Authorization", "NTLM TlRMTVNTUAAB", true},
	    {"authorization", "ntlm TlRMTVNTUAAB", true},
	    {"Authorization", "Negotiate YIIB", true},
	    {"Authorization", "NEGOTIATE\tYIIB", true},
	    {"Authorization", "Negotiate", true},
	    {"Authorization", "Negotiate, a=b", true},
	    {"Authorization", "Basic TlRMTQ==", false},
	    {"Authorization", "Bearer NTLM", false},
	    {"Authorization", "NTLMv2 x", false},
	    {"Authorization", "Negotiate2 x", false},
	    {"Authorization", "", false},
	    {"X-Authorization", "NTLM x", false},
	    /* It is for rondo, and goes no further. */
	    {"Proxy-Authorization", "NTLM x", false},
	};
	struct http_field fields[2];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_head request = head_with(fields, cases[i].name, cases[i].value);

		if (http_auth_is_used(&request) != cases[i].is_used)
			fail_msg("case %zu", i);
	}
}

static void a_response_offers_it_in_any_of_its_challenges(void **state)
{
	static const struct {
		unsigned status;
		const char *name, *value;
		bool is_offered;
	} cases[] = {
	    {401, "WWW-Authenticate", "NTLM", true},
	    {401, "www-authenticate", "negotiate", true},
	    {401, "WWW-Authenticate", "NTLM TlRMTVNTUAAC", true},
	    {401, "WWW-Authenticate", "Basic realm=\"a\", Negotiate", true},
	    {401, "WWW-Authenticate", "Basic realm=\"a, b\", charset=\"UTF-8\",NTLM", true},
	    {407, "Proxy-Authenticate", "Negotiate", true},
	    {401, "WWW-Authenticate", "Basic realm=\"NTLM\"", false},
	    {401, "WWW-Authenticate", "Digest NTLM=1, nonce=\"x\"", false},
	    {401, "WWW-Authenticate", "", false},
	    {401, "Proxy-Authenticate", "NTLM", false},
	    {407, "WWW-Authenticate", "NTLM", false},
	    {200, "WWW-Authenticate", "Negotiate oYGg", false},
	    {403, "WWW-Authenticate", "NTLM", false},
	};
	struct http_field fields[2];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_head response = head_with(fields, cases[i].name, cases[i].value);

		response.status = cases[i].status;
		if (http_auth_is_offered(&response) != cases[i].is_offered)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_uses_it_by_its_scheme),
	    cmocka_unit_test(a_response_offers_it_in_any_of_its_challenges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
