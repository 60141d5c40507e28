/*
 * upgrade - which protocols a request may ask to change to, and whether a 101 changes to one of
 * them. RFC 9110, 7.8.
 *
 * A protocol is a name, or a name and a version: "websocket", "SPDY/3.1"; case does not matter. Of
 * what a client asks for, only the allowed protocols pass: websocket with a GET without content,
 * others with any method and with content whose length is known. "h2c" never passes: HTTP/2 behind
 * rondo would carry requests that rondo has not seen.
 */
#ifndef RONDO_HTTP_UPGRADE_H
#define RONDO_HTTP_UPGRADE_H

#include "http/head.h"

/* The allowed protocols. A name without a version stands for all of its versions, "*" for all
 * protocols. */
struct http_upgrades {
	const char **names;
	size_t count;
};

/* Is it a name, or a name and a version, and not h2c? */
bool http_upgrade_is_protocol(struct str text);

/* Sets request->upgrades if the classified request asks for one of these protocols. */
void http_upgrade_choose(struct http_head *request, const struct http_upgrades *allowed);

/* May the request ask for this protocol, an element of its Upgrade fields? */
bool http_upgrade_passes(const struct http_head *request, struct str protocol);

/* Does the response, a 101, change to protocols that the request asked for? Where it names several
 * layers, HTTP/1.1 may follow the first. RFC 2817, 3.3. */
bool http_upgrade_is_granted(const struct http_head *response, const struct http_head *request);

#endif
