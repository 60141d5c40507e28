#include "reference.h"

#include <assert.h>

struct reading {
	struct reference *reference;
	bool complete;
	bool in_name;
};

/* A token that is told in pieces, which are neighbours. */
static void join(struct str *piece, const char *at, size_t len)
{
	assert(!piece->data || piece->data + piece->len == at);
	if (!piece->data)
		piece->data = at;
	piece->len += len;
}

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
	const struct reading *reading = parser->data;

	join(&reading->reference->target, at, len);
	return HPE_OK;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
	struct reading *reading = parser->data;
	struct reference *reference = reading->reference;

	if (!reading->in_name) {
		assert(reference->field_count < MESSAGE_FIELDS);
		reference->fields[reference->field_count++] = (struct reference_field){0};
	}
	reading->in_name = true;
	join(&reference->fields[reference->field_count - 1].name, at, len);
	return HPE_OK;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
	struct reading *reading = parser->data;
	struct reference *reference = reading->reference;

	reading->in_name = false;
	join(&reference->fields[reference->field_count - 1].value, at, len);
	return HPE_OK;
}

static int on_head(llhttp_t *parser)
{
	struct reading *reading = parser->data;
	struct reference *reference = reading->reference;

	assert(parser->http_major == 1);
	reference->minor = parser->http_minor;
	reference->status = parser->status_code;
	reference->chunked = parser->flags & F_CHUNKED;
	reference->has_length = parser->flags & F_CONTENT_LENGTH;
	reference->content_length = reference->has_length ? parser->content_length : 0;
	reference->closes = parser->flags & F_CONNECTION_CLOSE;
	reference->upgrades = parser->upgrade;
	reading->complete = true;
	return HPE_OK;
}

/* Takes the method off a request line, and gives llhttp one that all of its versions know. CONNECT has a form of its
 * own. */
static struct str take_method(llhttp_t *parser, struct str *head)
{
	struct str method = str_split(head, ' ');
	llhttp_errno_t error;

	assert(method.len > 0);
	for (size_t i = 0; i < method.len; i++)
		assert(http_is_token_byte(method.data[i]));
	if (str_equals(method, STR("CONNECT")))
		error = llhttp_execute(parser, "CONNECT ", 8);
	else
		error = llhttp_execute(parser, "POST ", 5);
	assert(error == HPE_OK);
	return method;
}

void reference_read(struct reference *reference, llhttp_type_t type, struct str head)
{
	const llhttp_settings_t settings = {.on_url = on_target,
	    .on_header_field = on_name,
	    .on_header_value = on_value,
	    .on_headers_complete = on_head};
	struct reading reading = {.reference = reference};
	llhttp_t parser;
	llhttp_errno_t error;

	*reference = (struct reference){.type = type};
	llhttp_init(&parser, type, &settings);
	/* Control bytes may stand in values. RFC 9110, 5.5. */
	llhttp_set_lenient_headers(&parser, 1);
	parser.data = &reading;
	assert(head.len > 0 && !memchr(head.data, '\0', head.len));
	if (type == HTTP_REQUEST)
		reference->method = take_method(&parser, &head);
	error = llhttp_execute(&parser, head.data, head.len - 1);
	assert(error == HPE_OK && !reading.complete);
	error = llhttp_execute(&parser, head.data + head.len - 1, 1);
	assert((error == HPE_OK || error == HPE_PAUSED_UPGRADE) && reading.complete);
	assert(!reference->chunked || !reference->has_length);
}

size_t reference_count(const struct reference *reference, struct str name)
{
	size_t count = 0;

	for (size_t i = 0; i < reference->field_count; i++)
		count += str_equals_nocase(reference->fields[i].name, name);
	return count;
}

struct str reference_value(const struct reference *reference, struct str name)
{
	for (size_t i = 0; i < reference->field_count; i++)
		if (str_equals_nocase(reference->fields[i].name, name))
			return reference->fields[i].value;
	return (struct str){NULL, 0};
}

bool reference_has_token(const struct reference *reference, struct str name, struct str token)
{
	for (size_t i = 0; i < reference->field_count; i++) {
		struct str list = reference->fields[i].value;

		if (!str_equals_nocase(reference->fields[i].name, name))
			continue;
		while (list.data)
			if (str_equals_nocase(str_trim(str_split(&list, ',')), token))
				return true;
	}
	return false;
}
