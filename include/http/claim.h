/*
 * claim - fields by which a client could deceive a backend.
 *
 * They say who the client is, or what the message is, in words that only those in front of a
 * backend should use. Applications that get their fields as environment variables cannot tell "_"
 * from "-": to them "Content_Length" is Content-Length, and "Proxy" is where they send their own
 * requests.
 */
#ifndef RONDO_HTTP_CLAIM_H
#define RONDO_HTTP_CLAIM_H

#include "base/str.h"

/* Is this the name of one, with "_" for "-" or not? Content-Length, Transfer-Encoding, Connection,
 * Forwarded, X-Forwarded-*, X-Real-IP, Proxy, Front-End-Https. */
bool http_claim_is_named(struct str name);

/* The same for a name that is not empty. Most begin with another letter. */
static inline bool http_is_claim(struct str name)
{
	switch (name.data[0] | 0x20) {
	case 'c':
	case 'f':
	case 'p':
	case 't':
	case 'x':
		return http_claim_is_named(name);
	default:
		return false;
	}
}

#endif
