/*
 * reference - a head as another reader sees it, for the fuzz targets.
 *
 * The other reader is llhttp in its strict mode, with callbacks of its own: what rondo's parse and head make of its
 * results has no say here.
 */
#ifndef RONDO_FUZZ_REFERENCE_H
#define RONDO_FUZZ_REFERENCE_H

#include "base/str.h"
#include "message.h"

#include <llhttp.h>

struct reference_field {
	struct str name, value;
};

struct reference {
	llhttp_type_t type; /* HTTP_REQUEST or HTTP_RESPONSE */
	struct str method;  /* of a request */
	unsigned status;
	struct str target;
	unsigned minor;
	bool chunked, has_length, closes, upgrades;
	uint64_t content_length;
	size_t field_count;
	struct reference_field fields[MESSAGE_FIELDS];
};

/* Reads `head`, which must be one, to its last byte and no further; asserts that. */
void reference_read(struct reference *reference, llhttp_type_t type, struct str head);

/* How many fields have that name. */
size_t reference_count(const struct reference *reference, struct str name);

/* The value of the one field of that name, which may be missing: then it is empty. */
struct str reference_value(const struct reference *reference, struct str name);

/* Is one of the elements of the list in the fields of that name `token`? */
bool reference_has_token(const struct reference *reference, struct str name, struct str token);

#endif
