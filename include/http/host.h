/*
 * host - is this the name of a host?
 *
 * What Host and an absolute target say is passed on and goes into logs, links and the rules of
 * backends, so it must be one thing for everybody. RFC 9110, 7.2, and RFC 3986, 3.2.
 */
#ifndef RONDO_HTTP_HOST_H
#define RONDO_HTTP_HOST_H

#include "base/str.h"

/* "host" or "host:port" and nothing else. A name has neither commas nor empty labels, and an IPv6
 * address may have a zone. */
bool http_host_is_valid(struct str text);

#endif
