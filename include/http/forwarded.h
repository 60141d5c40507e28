/*
 * forwarded - who the client is, as the proxies in front say.
 *
 * Each proxy adds the address of its own peer at the end of X-Forwarded-For, or of Forwarded
 * (RFC 7239). What stands left of an address that is not trusted may be invented, so the client is
 * the rightmost such address. An element that is no address ("unknown", a hidden name, a broken
 * one) ends what is known: then the client is the address right of it. The functions depend on
 * their arguments only.
 */
#ifndef RONDO_HTTP_FORWARDED_H
#define RONDO_HTTP_FORWARDED_H

#include "event/net.h"
#include "http/head.h"

/* Whose word counts. */
struct forwarded_trust {
	const struct net_block *blocks;
	size_t count;
	bool is_rfc7239; /* the field is Forwarded, else X-Forwarded-For */
};

/*
 * The client of a request that a trusted peer sent. False, and *client untouched, when the head
 * names none: then it is the peer itself. Ports are left out.
 */
bool forwarded_client(
    struct net_addr *client, const struct http_head *head, const struct forwarded_trust *trust);

#endif
