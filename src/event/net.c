#include "event/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Failed connections that one net_accept skips; the loop calls it again for the next ones. */
enum { NET_ACCEPT_SKIPS = 64 };

/* Up to this size, joining the parts is faster than passing a list of parts to the kernel. */
enum { JOINED_BYTES = 2048 };

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
	if (!error)
		error = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return error;
}

struct net_file net_file_of(const struct net_addr *addr)
{
	struct stat status;

	if (addr->any.sa_family != AF_UNIX || lstat(addr->path.sun_path, &status) ||
	    !S_ISSOCK(status.st_mode))
		return (struct net_file){0};
	return (struct net_file){status.st_dev, status.st_ino};
}

/* False when some process listens, or the file is no socket and cannot be removed. */
static bool remove_stale(const struct net_addr *addr)
{
	bool connecting;
	int fd;

	/* Connecting to a plain file is refused like connecting to a stale socket. */
	if (net_file_of(addr).inode == 0)
		return false;
	fd = net_connect(addr, &connecting);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED && unlink(addr->path.sun_path) == 0;
}

void net_remove_file(const struct net_addr *addr, const struct net_file *file)
{
	struct net_file found = net_file_of(addr);

	if (found.inode != 0 && found.inode == file->inode && found.device == file->device)
		remove_stale(addr);
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

int net_set_access(const struct net_addr *addr, const struct net_access *access)
{
	mode_t mask = umask(0);
	const char *path = addr->path.sun_path;

	umask(mask);
	if ((access->owner != (uid_t)-1 || access->group != (gid_t)-1) &&
	    lchown(path, access->owner, access->group))
		return -errno;
	return chmod(path, access->mode ? access->mode : 0777 & ~mask) ? -errno : 0;
}

static int bind_with_access(int fd, const struct net_addr *addr, const struct net_access *access)
{
	mode_t mask = umask(0177);
	int error = bind_addr(fd, addr);

	umask(mask);
	if (error)
		return error;
	error = net_set_access(addr, access);
	if (error)
		unlink(addr->path.sun_path);
	return error;
}

bool net_has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno != EAFNOSUPPORT;
	close(fd);
	return true;
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
		error = options->access && family == AF_UNIX
			    ? bind_with_access(fd, addr, options->access)
			    : bind_addr(fd, addr);
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
	/* Unix sockets do not have this option and do not need it: ignore the error. */
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return 0;
}

/* Ignores whoever wants to connect, but not the last packet of a handshake under way. */
static int ignore_new(int fd)
{
	/* Drops packets with the flag SYN, in byte 13 of the TCP header. */
	struct sock_filter steps[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
	    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x02, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog filter = {.len = sizeof(steps) / sizeof(*steps), .filter = steps};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ? -errno : 0;
}

/* No packet comes from this interface: for new clients there is no listening socket any more. */
static int refuse_new(int fd)
{
	return set_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, INT_MAX);
}

int net_listen_end(int fd, bool is_shared)
{
	int family;
	int error = get_option(fd, SOL_SOCKET, SO_DOMAIN, &family);

	if (error)
		return error;
	if (family == AF_UNIX)
		return shutdown(fd, SHUT_RD) ? -errno : 0;
	/* The kernel would choose a socket of a shared port whatever its interface is. Before Linux
	 * 5.7 the interface cannot be set without privileges. */
	if (is_shared || refuse_new(fd) < 0)
		return ignore_new(fd);
	return 0;
}

int net_share_port(int fd, bool on)
{
	return set_option(fd, SOL_SOCKET, SO_REUSEPORT, on);
}

/* Turns the option on or off at those that prevent `addr`; returns how many these are. */
static size_t share_overlapping(
    const struct net_leaving *leaving, const struct net_addr *addr, bool on)
{
	size_t overlapping = 0;

	for (size_t i = 0; i < leaving->count; i++) {
		if (!net_addr_overlaps(&leaving->sockets[i].addr, addr))
			continue;
		net_share_port(leaving->sockets[i].fd, on);
		overlapping++;
	}
	return overlapping;
}

int net_listen_instead(const struct net_addr *addr, const struct net_listen_options *options,
    const struct net_leaving *leaving)
{
	struct net_listen_options sharing = *options;
	int fd = net_listen(addr, options);

	if (fd != -EADDRINUSE || options->reuse_port || addr->any.sa_family == AF_UNIX ||
	    share_overlapping(leaving, addr, true) == 0)
		return fd;
	sharing.reuse_port = true;
	fd = net_listen(addr, &sharing);
	share_overlapping(leaving, addr, false);
	if (fd >= 0)
		net_share_port(fd, false);
	return fd;
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
		if (fd >= 0)
			return fd;
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
	int result = 0;
	int error = get_option(fd, SOL_SOCKET, SO_ERROR, &result);

	return error ? error : -result;
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

static ssize_t write_part(int fd, const void *data, size_t len)
{
	ssize_t put;

	do
		put = send(fd, data, len, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

static ssize_t write_parts(int fd, const struct iovec *parts, int count)
{
	/* sendmsg does not write to the parts, but its interface has no const. */
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

static bool are_short(const struct iovec *parts, int count)
{
	size_t room = JOINED_BYTES;

	for (int i = 0; i < count; i++) {
		if (parts[i].iov_len > room)
			return false;
		room -= parts[i].iov_len;
	}
	return true;
}

ssize_t net_write(int fd, const struct iovec *parts, int count)
{
	char joined[JOINED_BYTES];
	size_t len = 0;

	if (count == 1)
		return write_part(fd, parts->iov_base, parts->iov_len);
	if (!are_short(parts, count))
		return write_parts(fd, parts, count);
	for (int i = 0; i < count; i++) {
		if (parts[i].iov_len > 0)
			memcpy(joined + len, parts[i].iov_base, parts[i].iov_len);
		len += parts[i].iov_len;
	}
	return write_part(fd, joined, len);
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

size_t net_unsent(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
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
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	fcntl(ends[0], F_SETPIPE_SZ, NET_PIPE_BYTES);
	int bytes = fcntl(ends[0], F_GETPIPE_SZ);
	if (bytes >= 0)
		return bytes;
	int error = -errno;
	net_pipe_close(ends);
	return error;
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
