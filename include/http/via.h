/*
 * via - how often a message has passed a proxy. RFC 9110, 7.6.3.
 *
 * Via has an element for each proxy on the way: a protocol, the name of the proxy, and perhaps a
 * comment. Nothing can fail: what is no element counts for nothing.
 */
#ifndef RONDO_HTTP_VIA_H
#define RONDO_HTTP_VIA_H

#include "http/head.h"

/* How many elements of all Via fields have this name; case does not matter. */
size_t http_via_count(const struct http_head *head, struct str name);

#endif
