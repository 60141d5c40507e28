/*
 * net - addresses and sockets; only this file and loop make network system calls.
 *
 * Descriptors are non-blocking and close-on-exec, and belong to the caller. Nothing here waits,
 * logs or keeps state. Functions that can fail return a negative errno, never EINTR. Only
 * net_splice can raise SIGPIPE. The simulator in tests/sim has its own implementation of this
 * header.
 */
#ifndef RONDO_EVENT_NET_H
#define RONDO_EVENT_NET_H

#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>

/* An IPv4, IPv6 or Unix address. */
struct net_addr {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un path;
	};
};

enum { NET_ADDR_TEXT_SIZE = 128, NET_IP_TEXT_SIZE = 48 };

/* HOST or HOST:PORT, taken apart; what they are is not looked at. */
struct net_authority {
	struct str host; /* without brackets */
	struct str port; /* a null pointer: there is no colon */
	bool is_bracketed;
};

/* False when a bracket is not closed, something else than a colon follows it, or there is a second
 * colon: IPv6 stands in brackets. RFC 3986, 3.2.2. */
bool net_authority_split(struct net_authority *authority, struct str text);

/* "0" to "65535", without leading zeros. */
bool net_port_parse(uint16_t *port, struct str text);

/*
 * Reads an address without a resolver: "127.0.0.1:80", "[::1]:80", "unix:/path". False for anything
 * else (a host name, a bad port).
 */
bool net_addr_parse(struct net_addr *addr, struct str text);

/* Reads an address without a port ("127.0.0.1", "::1"); false when it is a name. */
bool net_addr_from_ip(struct net_addr *addr, struct str ip, uint16_t port);

/* A Unix address; false when the path is not absolute or too long. */
bool net_addr_from_path(struct net_addr *addr, struct str path);

/* Writes "127.0.0.1:80", "[::1]:80" or "unix:/path" (always terminated). Returns `text`. */
const char *net_addr_format(const struct net_addr *addr, char text[static NET_ADDR_TEXT_SIZE]);

/* The same without port and brackets, for logs and X-Forwarded-For; "unix:" for a Unix address. An
 * IPv4 address mapped into IPv6 is written as IPv4. */
const char *net_addr_format_ip(const struct net_addr *addr, char text[static NET_IP_TEXT_SIZE]);

bool net_addr_equals(const struct net_addr *a, const struct net_addr *b);

/* Would a socket on one of them prevent a socket on the other? */
bool net_addr_overlaps(const struct net_addr *a, const struct net_addr *b);
uint16_t net_addr_port(const struct net_addr *addr);
void net_addr_set_port(struct net_addr *addr, uint16_t port);

/* A block of addresses, "10.0.0.0/8", "::1/128", or one address; bits beyond its length do not
 * count. Or "unix:", every Unix address. */
struct net_block {
	struct in6_addr prefix; /* IPv4 as mapped */
	unsigned bits;          /* of 128 */
	bool is_unix;
};

bool net_block_parse(struct net_block *block, struct str text);
bool net_block_equals(const struct net_block *a, const struct net_block *b);

/* Is the address in one of them? */
bool net_blocks_contain(const struct net_block *blocks, size_t count, const struct net_addr *addr);

/* Who may connect to a Unix socket. */
struct net_access {
	unsigned mode; /* of its file; 0: as the umask of the process has it */
	uid_t owner;   /* -1: as it is */
	gid_t group;
};

struct net_listen_options {
	bool reuse_port; /* SO_REUSEPORT: several processes share the port */
	int backlog;
	bool dual_stack;                 /* for "::": take IPv4 as well */
	const struct net_access *access; /* of a Unix socket, before anybody can connect; or NULL */
};

/* Does the machine have IPv6? Where sockets of it cannot be made, "::" cannot be listened on. */
bool net_has_ipv6(void);

/* A listening socket. A Unix socket file on which no process listens any more is removed first. */
int net_listen(const struct net_addr *addr, const struct net_listen_options *options);

/* Sets who may connect to the Unix socket at `addr`. 0 or a negative errno. */
int net_set_access(const struct net_addr *addr, const struct net_access *access);

/* Listening sockets that are about to be closed, with their addresses. */
struct net_leaving {
	struct net_leaving_socket {
		int fd;
		struct net_addr addr;
	} * sockets;
	size_t count;
};

/*
 * net_listen for a socket that takes the place of others: where one of those prevents `addr`
 * ("*:80" becomes "127.0.0.1:80"), both have the port for a moment, and no client is refused
 * meanwhile.
 */
int net_listen_instead(const struct net_addr *addr, const struct net_listen_options *options,
    const struct net_leaving *leaving);

/*
 * Sets the options of net_listen on a listening socket that came from another process. Negative
 * errno when it is not a listening stream socket (ENOTSOCK, EPROTOTYPE, EINVAL).
 */
int net_listen_inherited(int fd);

/*
 * Lets no more connections into the queue of a listening socket, which is about to be closed for
 * good. Those in the queue can still be accepted, and TCP handshakes under way end in it. New ones
 * are refused at once. When other sockets listen on the same port (`is_shared`), they are ignored
 * instead: their clients try again after a second, and reach another socket. 0 or a negative errno.
 */
int net_listen_end(int fd, bool is_shared);

/* The file of a Unix socket, to tell it from another of the same name. Zeroes: there is none. */
struct net_file {
	dev_t device;
	ino_t inode;
};
struct net_file net_file_of(const struct net_addr *addr);

/* Removes the file of a Unix address, if it still is this one and no process listens on it. */
void net_remove_file(const struct net_addr *addr, const struct net_file *file);

/* Turns SO_REUSEPORT of a listening socket on or off: while it is on, other processes of this user
 * that set it too may bind to the same port. 0 or a negative errno. */
int net_share_port(int fd, bool on);

/* The address a socket is bound to. 0 or a negative errno. */
int net_local_addr(int fd, struct net_addr *addr);

/*
 * The next waiting connection; a TCP connection has TCP_NODELAY from its listener. -EAGAIN when
 * none waits. Connections that failed in the queue (ECONNABORTED, EPROTO and the network errors of
 * accept(2)) are skipped.
 */
int net_accept(int listener, struct net_addr *peer);

/*
 * Starts to connect. Returns a descriptor; *connecting is true when the connect still goes on
 * (LOOP_WRITE comes when it ends, and net_connect_result returns its result).
 */
int net_connect(const struct net_addr *addr, bool *connecting);
int net_connect_result(int fd);

/* recv(2): bytes read, 0 at the end of the stream, or a negative errno. */
ssize_t net_read(int fd, void *data, size_t len);

/* send(2) or sendmsg(2): bytes the kernel accepted, or a negative errno. At most IOV_MAX parts. */
ssize_t net_write(int fd, const struct iovec *parts, int count);

/* Is the connection silent and open: no byte, no end, no error waiting? One recv(MSG_PEEK). */
bool net_is_quiet(int fd);

/* Bytes that were accepted for sending and that the peer has not acknowledged; 0 where the system
 * cannot count them. */
size_t net_unsent(int fd);

/* No more bytes will be sent (shutdown(SHUT_WR)). Errors are ignored. */
void net_shutdown_write(int fd);

/* Closes; with `reset` the peer gets a RST rather than an orderly end (SO_LINGER 0). */
void net_close(int fd, bool reset);

/* A socket for datagrams to Unix addresses. A datagram is sent whole or not at all. */
int net_datagram_open(void);
int net_datagram_send(int fd, const struct net_addr *to, struct str data);

enum { NET_PIPE_BYTES = 256 * 1024 };

/* A pipe for net_splice that holds NET_PIPE_BYTES if the system allows it. Returns how many bytes
 * it can hold, or a negative errno. */
int net_pipe_open(int ends[2]);
void net_pipe_close(int ends[2]);

/* splice(2) with move and non-block: bytes moved, 0 at the end of the stream, or a negative errno.
 * One end must be a pipe. splice has no MSG_NOSIGNAL: the process must ignore SIGPIPE. */
ssize_t net_splice(int from, int to, size_t len);

#endif
