/*
 * proxy_header - what a proxy in front says about the connection before its first byte.
 *
 * The PROXY protocol, versions 1 (a line of text) and 2 (binary, with TLVs), as HAProxy's
 * doc/proxy-protocol.txt defines it. One function reads the bytes that have come so far: it keeps
 * no state, and once it has an answer, bytes that follow do not change it. It is strict: a proxy
 * that is trusted to name clients writes the header by the book.
 */
#ifndef RONDO_HTTP_PROXY_HEADER_H
#define RONDO_HTTP_PROXY_HEADER_H

#include "event/net.h"

enum {
	PROXY_HEADER_V1_MAX = 107, /* the line, with its CRLF */
	PROXY_HEADER_V2_MAX = 536
};

enum proxy_header_result {
	PROXY_HEADER_MORE, /* it goes on */
	PROXY_HEADER_DONE,
	PROXY_HEADER_BAD /* `fault` says why */
};

struct proxy_header {
	size_t length;          /* its bytes; what follows belongs to the client */
	bool names_client;      /* else the connection is its peer's own: LOCAL, UNKNOWN, AF_UNIX */
	bool is_tls;            /* the client came to the proxy over TLS, by a TLV */
	struct net_addr client; /* where it names one */
	const char *fault;      /* a constant: "a PROXY header for datagrams" */
};

/* Reads `bytes`, from the first one of the connection. */
enum proxy_header_result proxy_header_read(struct proxy_header *header, struct str bytes);

#endif
