#include "event/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Dead connections that one net_accept steps over; the loop comes back for more. */
enum { NET_ACCEPT_SKIPS = 64 };

/* ---- addresses */

bool net_addr_from_ip(struct net_addr *addr, struct str ip, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];
	struct net_addr read = {0};

	if (ip.len == 0 || ip.len >= sizeof(text) || str_find(ip, '\0') != ip.len)
		return false;
	memcpy(text, ip.data, ip.len);
	text[ip.len] = '\0';
	if (inet_pton(AF_INET, text, &read.v4.sin_addr) == 1) {
		read.len = sizeof(read.v4);
		read.v4.sin_family = AF_INET;
		read.v4.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, text, &read.v6.sin6_addr) == 1) {
		read.len = sizeof(read.v6);
		read.v6.sin6_family = AF_INET6;
		read.v6.sin6_port = htons(port);
	} else {
		return false;
	}
	*addr = read;
	return true;
}

static bool parse_path(struct net_addr *addr, struct str path)
{
	struct net_addr read = {0};

	if (!str_starts_with(path, STR("/")) || path.len >= sizeof(read.path.sun_path) ||
	    str_find(path, '\0') != path.len)
		return false;
	read.path.sun_family = AF_UNIX;
	memcpy(read.path.sun_path, path.data, path.len);
	read.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
	*addr = read;
	return true;
}

bool net_addr_parse(struct net_addr *addr, struct str text)
{
	struct str ip, port;
	struct str scheme = STR("unix:");
	uint64_t number;
	bool bracketed;

	if (str_starts_with(text, scheme))
		return parse_path(
		    addr, (struct str){text.data + scheme.len, text.len - scheme.len});
	bracketed = str_starts_with(text, STR("["));
	ip = str_split(&text, bracketed ? ']' : ':');
	if (bracketed) {
		ip = (struct str){ip.data + 1, ip.len - 1};
		if (!str_starts_with(text, STR(":")))
			return false;
		str_split(&text, ':');
	}
	port = text;
	/* Brackets are for IPv6 and IPv6 is in brackets. RFC 3986, 3.2.2. */
	if (bracketed != (str_find(ip, ':') != ip.len))
		return false;
	if (!str_to_number(port, &number) || number > UINT16_MAX)
		return false;
	return net_addr_from_ip(addr, ip, (uint16_t)number);
}

/* The path of a Unix address; empty for a socket without one. */
static struct str addr_path(const struct net_addr *addr)
{
	size_t offset = offsetof(struct sockaddr_un, sun_path);
	size_t room = addr->len > offset ? addr->len - offset : 0;

	if (room > sizeof(addr->path.sun_path))
		room = sizeof(addr->path.sun_path);
	return (struct str){addr->path.sun_path, strnlen(addr->path.sun_path, room)};
}

const char *net_addr_format(const struct net_addr *addr, char text[static NET_ADDR_TEXT_SIZE])
{
	char ip[INET6_ADDRSTRLEN];
	struct str path;

	switch (addr->any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &addr->v4.sin_addr, ip, sizeof(ip));
		snprintf(text, NET_ADDR_TEXT_SIZE, "%s:%u", ip, net_addr_port(addr));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &addr->v6.sin6_addr, ip, sizeof(ip));
		snprintf(text, NET_ADDR_TEXT_SIZE, "[%s]:%u", ip, net_addr_port(addr));
		break;
	default:
		path = addr_path(addr);
		snprintf(text, NET_ADDR_TEXT_SIZE, "unix:%.*s", STR_ARGS(path));
		break;
	}
	return text;
}

const char *net_addr_format_ip(const struct net_addr *addr, char text[static NET_ADDR_TEXT_SIZE])
{
	const struct in6_addr *v6 = &addr->v6.sin6_addr;

	if (addr->any.sa_family == AF_INET)
		inet_ntop(AF_INET, &addr->v4.sin_addr, text, NET_ADDR_TEXT_SIZE);
	else if (addr->any.sa_family != AF_INET6)
		snprintf(text, NET_ADDR_TEXT_SIZE, "unix:");
	else if (IN6_IS_ADDR_V4MAPPED(v6))
		inet_ntop(AF_INET, &v6->s6_addr[12], text, NET_ADDR_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, v6, text, NET_ADDR_TEXT_SIZE);
	return text;
}

bool net_addr_equals(const struct net_addr *a, const struct net_addr *b)
{
	if (a->any.sa_family != b->any.sa_family || net_addr_port(a) != net_addr_port(b))
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	if (a->any.sa_family == AF_INET6)
		return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) &&
		       a->v6.sin6_scope_id == b->v6.sin6_scope_id;
	return str_equals(addr_path(a), addr_path(b));
}

uint16_t net_addr_port(const struct net_addr *addr)
{
	if (addr->any.sa_family == AF_INET)
		return ntohs(addr->v4.sin_port);
	if (addr->any.sa_family == AF_INET6)
		return ntohs(addr->v6.sin6_port);
	return 0;
}

/* An IPv4 or IPv6 address as IPv6; false for a Unix address. */
static bool addr_as_v6(const struct net_addr *addr, struct in6_addr *v6)
{
	if (addr->any.sa_family == AF_INET6) {
		*v6 = addr->v6.sin6_addr;
		return true;
	}
	if (addr->any.sa_family != AF_INET)
		return false;
	*v6 = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
	memcpy(&v6->s6_addr[12], &addr->v4.sin_addr, 4);
	return true;
}

static void mask(struct in6_addr *v6, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = bits > i * 8 ? bits - i * 8 : 0;

		if (kept < 8)
			v6->s6_addr[i] &= (uint8_t)(0xff00 >> kept);
	}
}

bool net_block_parse(struct net_block *block, struct str text)
{
	struct net_addr addr;
	struct str ip = str_split(&text, '/');
	uint64_t bits;
	unsigned width;

	if (!net_addr_from_ip(&addr, ip, 0))
		return false;
	width = addr.any.sa_family == AF_INET ? 32 : 128;
	bits = width;
	if (text.data && (!str_to_number(text, &bits) || bits > width))
		return false;
	addr_as_v6(&addr, &block->prefix);
	block->bits = 128 - width + (unsigned)bits;
	mask(&block->prefix, block->bits);
	return true;
}

bool net_block_contains(const struct net_block *block, const struct net_addr *addr)
{
	struct in6_addr v6;

	if (!addr_as_v6(addr, &v6))
		return false;
	mask(&v6, block->bits);
	return IN6_ARE_ADDR_EQUAL(&v6, &block->prefix);
}

/* ---- listening */

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

static int set_listener_options(int fd, int family, const struct net_listen_options *options)
{
	int error = 0;

	if (family == AF_UNIX)
		return 0;
	error = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!error && options->reuse_port)
		error = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!error && family == AF_INET6)
		error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !options->dual_stack);
	return error;
}

/* Removes a Unix socket nobody listens on; anything else of that name is left alone. */
static bool remove_stale(const struct net_addr *addr)
{
	struct stat status;
	bool connecting;
	int fd;

	/* Connecting to a plain file is refused like connecting to a stale socket. */
	if (lstat(addr->path.sun_path, &status) || !S_ISSOCK(status.st_mode))
		return false;
	fd = net_connect(addr, &connecting);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED && unlink(addr->path.sun_path) == 0;
}

static int bind_addr(int fd, const struct net_addr *addr)
{
	if (bind(fd, &addr->any, addr->len) == 0)
		return 0;
	if (errno == EADDRINUSE && addr->any.sa_family == AF_UNIX) {
		if (remove_stale(addr) && bind(fd, &addr->any, addr->len) == 0)
			return 0;
		return -EADDRINUSE;
	}
	return -errno;
}

int net_listen(const struct net_addr *addr, const struct net_listen_options *options)
{
	int family = addr->any.sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	error = set_listener_options(fd, family, options);
	if (!error)
		error = bind_addr(fd, addr);
	if (!error && listen(fd, options->backlog))
		error = -errno;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

static int get_option(int fd, int level, int option, int *value)
{
	socklen_t len = sizeof(*value);

	return getsockopt(fd, level, option, value, &len) ? -errno : 0;
}

int net_listen_inherited(int fd)
{
	int type = 0;
	int listens = 0;
	int error = get_option(fd, SOL_SOCKET, SO_TYPE, &type);

	if (!error && type != SOCK_STREAM)
		error = -EPROTOTYPE;
	if (!error)
		error = get_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
	if (error || !listens)
		return error ? error : -EINVAL;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK))
		return -errno;
	return 0;
}

int net_share_port(int fd, bool on)
{
	return set_option(fd, SOL_SOCKET, SO_REUSEPORT, on);
}

int net_local_addr(int fd, struct net_addr *addr)
{
	*addr = (struct net_addr){0};
	addr->len = sizeof(*addr) - offsetof(struct net_addr, any);
	return getsockname(fd, &addr->any, &addr->len) ? -errno : 0;
}

/* Did only the connection at the head of the queue fail? accept(2), "Error handling". */
static bool is_dead_in_queue(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EINTR:
		return true;
	default:
		return false;
	}
}

int net_accept(int listener, struct net_addr *peer)
{
	for (int i = 0; i < NET_ACCEPT_SKIPS; i++) {
		int fd;

		*peer = (struct net_addr){0};
		peer->len = sizeof(*peer) - offsetof(struct net_addr, any);
		fd = accept4(listener, &peer->any, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			if (peer->any.sa_family != AF_UNIX)
				set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
			return fd;
		}
		if (!is_dead_in_queue(errno))
			return -errno;
	}
	return -EAGAIN;
}

/* ---- connecting */

int net_connect(const struct net_addr *addr, bool *connecting)
{
	int family = addr->any.sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (family != AF_UNIX)
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	*connecting = false;
	if (connect(fd, &addr->any, addr->len) == 0)
		return fd;
	error = errno;
	/* An interrupted connect goes on by itself. */
	if (error == EINPROGRESS || error == EINTR) {
		*connecting = true;
		return fd;
	}
	close(fd);
	return -error;
}

int net_connect_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -errno;
	return -error;
}

/* ---- bytes */

ssize_t net_read(int fd, void *data, size_t len)
{
	ssize_t got;

	do
		got = recv(fd, data, len, 0);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

ssize_t net_write(int fd, const struct iovec *parts, int count)
{
	/* sendmsg does not write to the parts, only its interface does not say so. */
	const union {
		const struct iovec *given;
		struct iovec *wanted;
	} same = {parts};
	struct msghdr message = {.msg_iov = same.wanted, .msg_iovlen = (size_t)count};
	ssize_t put;

	do
		put = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

bool net_is_quiet(int fd)
{
	char byte;
	ssize_t got;

	do
		got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got < 0 && errno == EAGAIN;
}

void net_shutdown_write(int fd)
{
	shutdown(fd, SHUT_WR);
}

void net_close(int fd, bool reset)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

int net_datagram_open(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int net_datagram_send(int fd, const struct net_addr *to, struct str data)
{
	ssize_t put;

	do
		put = sendto(fd, data.data, data.len, MSG_NOSIGNAL, &to->any, to->len);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : 0;
}

/* ---- pipes */

int net_pipe_open(int ends[2])
{
	return pipe2(ends, O_NONBLOCK | O_CLOEXEC) ? -errno : 0;
}

void net_pipe_close(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
	ends[0] = ends[1] = -1;
}

ssize_t net_splice(int from, int to, size_t len)
{
	ssize_t moved;

	do
		moved = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (moved < 0 && errno == EINTR);
	return moved < 0 ? -errno : moved;
}
