/*
 * auth - authentication that holds for a connection: NTLM and Negotiate. RFC 4559, 6.
 *
 * A server that uses them takes what follows on the connection for requests of the user who was
 * authenticated on it. So a connection with such a request, or with an answer that asks for one,
 * must not carry requests of anybody else.
 */
#ifndef RONDO_HTTP_AUTH_H
#define RONDO_HTTP_AUTH_H

#include "http/head.h"

/* Does a request use one of the two? */
bool http_auth_is_used(const struct http_head *request);

/* Does a response ask for one of the two: a 401 with WWW-Authenticate, or a 407 with
 * Proxy-Authenticate? */
bool http_auth_is_offered(const struct http_head *response);

#endif
