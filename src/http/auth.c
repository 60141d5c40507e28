#include "http/auth.h"

static bool begins_with(struct str credentials, struct str scheme)
{
	return credentials.len >= scheme.len &&
	       str_same_letters(credentials.data, scheme.data, scheme.len) &&
	       (credentials.len == scheme.len || !http_is_token_byte(credentials.data[scheme.len]));
}

/* One of the two schemes; what follows it is for the server. */
static bool has_scheme(struct str credentials)
{
	return begins_with(credentials, STR("NTLM")) || begins_with(credentials, STR("Negotiate"));
}

bool http_auth_is_used(const struct http_head *request)
{
	for (size_t i = 0; i < request->field_count; i++)
		if (str_equals_nocase(request->fields[i].name, STR("Authorization")) &&
		    has_scheme(request->fields[i].value))
			return true;
	return false;
}

/* Challenges are a list, and so are the parameters of each: an element that is a parameter begins
 * with no scheme. RFC 9110, 11.6.1. */
static bool has_challenge(const struct http_head *response, struct str name)
{
	for (size_t i = 0; i < response->field_count; i++) {
		struct str list = response->fields[i].value;
		struct str element;

		if (!str_equals_nocase(response->fields[i].name, name))
			continue;
		while (http_list_next(&list, &element))
			if (has_scheme(element))
				return true;
	}
	return false;
}

bool http_auth_is_offered(const struct http_head *response)
{
	if (response->status == 401)
		return has_challenge(response, STR("WWW-Authenticate"));
	return response->status == 407 && has_challenge(response, STR("Proxy-Authenticate"));
}
