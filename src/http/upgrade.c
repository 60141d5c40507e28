#include "http/upgrade.h"

static const char websocket[] = "websocket";

static bool is_token(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!http_is_token_byte(text.data[i]))
			return false;
	return text.len > 0;
}

bool http_upgrade_is_protocol(struct str text)
{
	struct str version = text;
	struct str name = str_split(&version, '/');

	return is_token(name) && (!version.data || is_token(version)) &&
	       !str_equals_nocase(name, STR("h2c"));
}

/* Does an entry of the allowed protocols stand for this one? The name of websocket is all of it:
 * RFC 6455, 4.1. */
static bool covers(struct str entry, struct str protocol)
{
	struct str name = {protocol.data, str_find(protocol, '/')};

	if (str_equals(entry, STR("*")) || str_equals_nocase(entry, protocol))
		return true;
	return str_equals_nocase(entry, name) && !str_equals_nocase(name, STR(websocket));
}

static bool allows(const struct http_upgrades *allowed, struct str protocol)
{
	for (size_t i = 0; i < allowed->count; i++)
		if (covers(str_from(allowed->names[i]), protocol))
			return true;
	return false;
}

static bool may_pass(
    const struct http_head *request, const struct http_upgrades *allowed, struct str protocol)
{
	bool is_bare = request->method == HTTP_METHOD_GET && request->content_length == 0;

	return http_upgrade_is_protocol(protocol) && allows(allowed, protocol) &&
	       (is_bare || !str_equals_nocase(protocol, STR(websocket)));
}

bool http_upgrade_passes(const struct http_head *request, struct str protocol)
{
	return request->upgrades && may_pass(request, request->upgrades, protocol);
}

void http_upgrade_choose(struct http_head *request, const struct http_upgrades *allowed)
{
	request->upgrades = NULL;
	for (size_t i = 0; request->offers_upgrade && i < request->field_count; i++) {
		struct str list = request->fields[i].value;
		struct str protocol;

		if (!str_equals_nocase(request->fields[i].name, STR("Upgrade")))
			continue;
		while (http_list_next(&list, &protocol))
			if (may_pass(request, allowed, protocol))
				request->upgrades = allowed;
	}
}

/* Is it one of those that went on to the backend? */
static bool was_asked_for(const struct http_head *request, struct str protocol)
{
	if (!http_upgrade_passes(request, protocol))
		return false;
	for (size_t i = 0; i < request->field_count; i++)
		if (str_equals_nocase(request->fields[i].name, STR("Upgrade")) &&
		    http_list_has(request->fields[i].value, protocol))
			return true;
	return false;
}

bool http_upgrade_is_granted(const struct http_head *response, const struct http_head *request)
{
	const struct http_field *field = http_head_find(response, STR("Upgrade"));
	struct str protocol, list;

	if (!response->offers_upgrade || !field || !request->upgrades)
		return false;
	list = field->value;
	if (!http_list_next(&list, &protocol) || !was_asked_for(request, protocol))
		return false;
	while (http_list_next(&list, &protocol))
		if (!was_asked_for(request, protocol) &&
		    !str_equals_nocase(protocol, STR("HTTP/1.1")))
			return false;
	return true;
}
