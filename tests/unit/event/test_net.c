#include "event/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Errors that accept4, recv and connect answer before they do what they should. */
static struct {
	int accept_errors[100];
	int accepts;
	int interrupts;
} world;

int __real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
ssize_t __real_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);
ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int error = world.accept_errors[world.accepts++];

	if (error) {
		errno = error;
		return -1;
	}
	return __real_accept4(fd, addr, len, flags);
}

static bool is_interrupted(void)
{
	if (world.interrupts == 0)
		return false;
	world.interrupts--;
	errno = EINTR;
	return true;
}

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags)
{
	return is_interrupted() ? -1 : __real_recv(fd, data, len, flags);
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
	return is_interrupted() ? -1 : __real_send(fd, data, len, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return is_interrupted() ? -1 : __real_sendmsg(fd, message, flags);
}

static int set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	return 0;
}

/* ---- addresses */

static void addresses_are_read_and_written(void **state)
{
	static const struct {
		struct str text;
		const char *full, *ip; /* NULL where it is none */
		uint16_t port;
	} cases[] = {
	    {STR("127.0.0.1:80"), "127.0.0.1:80", "127.0.0.1", 80},
	    {STR("0.0.0.0:0"), "0.0.0.0:0", "0.0.0.0", 0},
	    {STR("255.255.255.255:65535"), "255.255.255.255:65535", "255.255.255.255", 65535},
	    {STR("[::1]:8080"), "[::1]:8080", "::1", 8080},
	    {STR("[::]:1"), "[::]:1", "::", 1},
	    {STR("[2001:DB8:0::7]:443"), "[2001:db8::7]:443", "2001:db8::7", 443},
	    {STR("[::ffff:10.1.2.3]:9"), "[::ffff:10.1.2.3]:9", "10.1.2.3", 9},
	    {STR("unix:/run/r.sock"), "unix:/run/r.sock", "unix:", 0},
	    {STR("unix:/"), "unix:/", "unix:", 0},

	    {STR(""), NULL, NULL, 0},
	    {STR(":"), NULL, NULL, 0},
	    {STR(":80"), NULL, NULL, 0},
	    {STR("127.0.0.1"), NULL, NULL, 0},
	    {STR("127.0.0.1:"), NULL, NULL, 0},
	    {STR("127.0.0.1:65536"), NULL, NULL, 0},
	    {STR("127.0.0.1:-1"), NULL, NULL, 0},
	    {STR("127.0.0.1:+1"), NULL, NULL, 0},
	    {STR("127.0.0.1: 1"), NULL, NULL, 0},
	    {STR("127.0.0.1:080"), NULL, NULL, 0},
	    {STR("127.0.0.1:80:80"), NULL, NULL, 0},
	    {STR("127.0.0.1:http"), NULL, NULL, 0},
	    {STR("127.0.0.1:80\0"), NULL, NULL, 0},
	    {STR("127.0.0.1\0:80"), NULL, NULL, 0},
	    {STR("127.0.0:80"), NULL, NULL, 0},
	    {STR("127.0.0.256:80"), NULL, NULL, 0},
	    {STR("127.0.0.01:80"), NULL, NULL, 0},
	    {STR("0x7f.0.0.1:80"), NULL, NULL, 0},
	    {STR("localhost:80"), NULL, NULL, 0},
	    {STR("::1:80"), NULL, NULL, 0},
	    {STR("[::1]"), NULL, NULL, 0},
	    {STR("[::1]80"), NULL, NULL, 0},
	    {STR("[::1]:"), NULL, NULL, 0},
	    {STR("[::1"), NULL, NULL, 0},
	    {STR("[]:80"), NULL, NULL, 0},
	    {STR("["), NULL, NULL, 0},
	    {STR("[127.0.0.1]:80"), NULL, NULL, 0},
	    {STR("[fe80::1%lo]:80"), NULL, NULL, 0},
	    {STR("[[::1]]:80"), NULL, NULL, 0},
	    {STR("[::1]:80 "), NULL, NULL, 0},
	    {STR("[1111:2222:3333:4444:5555:6666:7777:8888:9999]:80"), NULL, NULL, 0},
	    {STR("unix:"), NULL, NULL, 0},
	    {STR("unix:run/r.sock"), NULL, NULL, 0},
	    {STR("unix:/run\0/r.sock"), NULL, NULL, 0},
	    {STR("unix:\0abstract"), NULL, NULL, 0},
	    {STR("UNIX:/run/r.sock"), NULL, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_addr addr;
		char text[NET_ADDR_TEXT_SIZE];

		assert_int_equal(net_addr_parse(&addr, cases[i].text), cases[i].full != NULL);
		if (!cases[i].full)
			continue;
		assert_string_equal(net_addr_format(&addr, text), cases[i].full);
		assert_string_equal(net_addr_format_ip(&addr, text), cases[i].ip);
		assert_int_equal(net_addr_port(&addr), cases[i].port);
	}
	assert_false(net_addr_parse(&(struct net_addr){0}, (struct str){NULL, 0}));
}

static void host_and_port_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *host,
		    *port; /* host NULL: it cannot be; port NULL: there is none */
		bool is_bracketed;
	} cases[] = {
	    {"app:80", "app", "80", false},
	    {"app", "app", NULL, false},
	    {"app:", "app", "", false},
	    {":80", "", "80", false},
	    {"", "", NULL, false},
	    {"[::1]:80", "::1", "80", true},
	    {"[::1]", "::1", NULL, true},
	    {"[::1]:", "::1", "", true},
	    {"[]:80", "", "80", true},
	    {"app]:80", "app]", "80", false},
	    {"::1", NULL, NULL, false},
	    {"app:80:", NULL, NULL, false},
	    {"[::1", NULL, NULL, false},
	    {"[::1]80", NULL, NULL, false},
	    {"[::1]]:80", NULL, NULL, false},
	    {"[::1]:80:81", NULL, NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_authority authority;

		assert_int_equal(net_authority_split(&authority, str_from(cases[i].text)),
		    cases[i].host != NULL);
		if (!cases[i].host)
			continue;
		assert_true(str_equals(authority.host, str_from(cases[i].host)));
		assert_int_equal(authority.port.data != NULL, cases[i].port != NULL);
		assert_true(str_equals(authority.port, str_from(cases[i].port)));
		assert_int_equal(authority.is_bracketed, cases[i].is_bracketed);
	}
}

static void paths_may_be_as_long_as_the_kernel_takes(void **state)
{
	char text[5 + 109];
	char back[NET_ADDR_TEXT_SIZE];
	struct net_addr addr;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "unix:/", 6);
	assert_false(net_addr_parse(&addr, (struct str){text, 5 + 108}));
	assert_true(net_addr_parse(&addr, (struct str){text, 5 + 107}));
	assert_memory_equal(net_addr_format(&addr, back), text, 5 + 107);
	assert_int_equal(strlen(back), 5 + 107);
	/* The kernel may fill the path to its end without a terminator. */
	addr.path.sun_path[107] = 'x';
	addr.len = sizeof(addr.path);
	assert_int_equal(strlen(net_addr_format(&addr, back)), 5 + 108);
}

static void addresses_without_port(void **state)
{
	struct net_addr addr;
	char text[NET_ADDR_TEXT_SIZE];

	(void)state;
	assert_true(net_addr_from_ip(&addr, STR("10.0.0.1"), 70));
	assert_string_equal(net_addr_format(&addr, text), "10.0.0.1:70");
	assert_true(net_addr_from_ip(&addr, STR("fe80::1"), 0));
	assert_string_equal(net_addr_format(&addr, text), "[fe80::1]:0");
	assert_false(net_addr_from_ip(&addr, STR(""), 1));
	assert_false(net_addr_from_ip(&addr, STR("[::1]"), 1));
	assert_false(net_addr_from_ip(&addr, STR("10.0.0.1:1"), 1));
	assert_false(net_addr_from_ip(&addr, STR("localhost"), 1));
	assert_false(net_addr_from_ip(&addr, STR("10.0.0.1 "), 1));
}

static void equality_of_addresses(void **state)
{
	static const struct str distinct[] = {
	    STR("127.0.0.1:80"),
	    STR("127.0.0.1:81"),
	    STR("127.0.0.2:80"),
	    STR("[::1]:80"),
	    STR("[::1]:81"),
	    STR("[::2]:80"),
	    STR("[::ffff:127.0.0.1]:80"),
	    STR("unix:/a"),
	    STR("unix:/aa"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(distinct); i++) {
		for (size_t j = 0; j < COUNT(distinct); j++) {
			struct net_addr a, b;

			memset(&a, 0x55, sizeof(a));
			memset(&b, 0xaa, sizeof(b));
			assert_true(net_addr_parse(&a, distinct[i]));
			assert_true(net_addr_parse(&b, distinct[j]));
			assert_int_equal(net_addr_equals(&a, &b), i == j);
		}
	}
}

static void blocks_contain_their_addresses(void **state)
{
	static const struct {
		struct str block, ip;
		bool contains;
	} cases[] = {
	    {STR("10.0.0.0/8"), STR("10.255.0.1"), true},
	    {STR("10.0.0.0/8"), STR("11.0.0.0"), false},
	    {STR("10.0.0.0/8"), STR("::ffff:10.1.1.1"), true},
	    {STR("10.0.0.0/8"), STR("::10.1.1.1"), false},
	    {STR("10.1.2.3/8"), STR("10.9.9.9"), true},
	    {STR("192.168.1.128/25"), STR("192.168.1.127"), false},
	    {STR("192.168.1.128/25"), STR("192.168.1.200"), true},
	    {STR("192.168.1.2/31"), STR("192.168.1.3"), true},
	    {STR("192.168.1.2/31"), STR("192.168.1.1"), false},
	    {STR("192.168.1.1/32"), STR("192.168.1.0"), false},
	    {STR("10.0.0.0/7"), STR("11.0.0.1"), true},
	    {STR("192.168.1.1"), STR("192.168.1.1"), true},
	    {STR("192.168.1.1"), STR("192.168.1.2"), false},
	    {STR("0.0.0.0/0"), STR("255.1.2.3"), true},
	    {STR("0.0.0.0/0"), STR("::1"), false},
	    {STR("::/0"), STR("::1"), true},
	    {STR("::/0"), STR("1.2.3.4"), true},
	    {STR("::1/128"), STR("::1"), true},
	    {STR("::1"), STR("::2"), false},
	    {STR("2001:db8::/33"), STR("2001:db8:7fff::1"), true},
	    {STR("2001:db8::/33"), STR("2001:db8:8000::1"), false},
	    {STR("::ffff:10.0.0.0/104"), STR("10.2.3.4"), true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_block block;
		struct net_addr addr;

		assert_true(net_block_parse(&block, cases[i].block));
		assert_true(net_addr_from_ip(&addr, cases[i].ip, 1234));
		assert_int_equal(net_blocks_contain(&block, 1, &addr), cases[i].contains);
		assert_true(net_addr_parse(&addr, STR("unix:/x")));
		assert_false(net_blocks_contain(&block, 1, &addr));
	}
}

static void all_unix_addresses_are_one_block(void **state)
{
	struct net_block blocks[3];
	struct net_addr path, ip;

	(void)state;
	assert_true(net_block_parse(&blocks[0], STR("10.0.0.0/8")));
	assert_true(net_block_parse(&blocks[1], STR("unix:")));
	assert_true(net_block_parse(&blocks[2], STR("::/0")));
	assert_true(net_addr_parse(&path, STR("unix:/x")));
	assert_true(net_addr_from_ip(&ip, STR("192.0.2.1"), 1));
	assert_true(net_block_equals(&blocks[1], &blocks[1]));
	assert_false(net_block_equals(&blocks[1], &blocks[2]));
	assert_false(net_block_equals(&blocks[0], &blocks[2]));
	assert_true(net_blocks_contain(blocks, 3, &path));
	assert_true(net_blocks_contain(blocks, 3, &ip));
	assert_false(net_blocks_contain(blocks, 2, &ip));
	assert_false(net_blocks_contain(blocks, 1, &path));
	assert_false(net_blocks_contain(blocks, 0, &path));
	/* A peer on a Unix socket has no name of its own. */
	path = (struct net_addr){.len = sizeof(sa_family_t), .any.sa_family = AF_UNIX};
	assert_true(net_blocks_contain(blocks, 2, &path));
}

static void what_is_no_block(void **state)
{
	static const struct str cases[] = {
	    STR(""),
	    STR("/8"),
	    STR("unix"),
	    STR("unix:/x"),
	    STR("unix:/8"),
	    STR("10.0.0.0/"),
	    STR("10.0.0.0/33"),
	    STR("10.0.0.0/-1"),
	    STR("10.0.0.0/08"),
	    STR("10.0.0.0/8/8"),
	    STR("10.0.0.0/ 8"),
	    STR("10.0.0/8"),
	    STR("::/129"),
	    STR("[::]/0"),
	    STR("localhost/8"),
	    STR("unix:/x"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_block block;

		assert_false(net_block_parse(&block, cases[i]));
	}
}

/* ---- listening and connecting */

static const struct net_listen_options plain = {.backlog = 16};

static struct net_addr address(struct str text)
{
	struct net_addr addr;

	assert_true(net_addr_parse(&addr, text));
	return addr;
}

static int listen_on(
    struct str text, const struct net_listen_options *options, struct net_addr *bound)
{
	struct net_addr addr = address(text);
	int fd = net_listen(&addr, options);

	assert_true(fd >= 0);
	assert_int_equal(net_local_addr(fd, bound), 0);
	return fd;
}

static void wait_for(int fd, short events)
{
	struct pollfd one = {.fd = fd, .events = events};

	assert_int_equal(poll(&one, 1, 10000), 1);
}

static void assert_flags(int fd)
{
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

struct pair {
	int near, far;
	struct net_addr peer;
};

static struct pair pair_open(const struct net_addr *addr, int listener)
{
	struct pair pair;
	bool connecting;

	pair.near = net_connect(addr, &connecting);
	assert_true(pair.near >= 0);
	if (connecting)
		wait_for(pair.near, POLLOUT);
	assert_int_equal(net_connect_result(pair.near), 0);
	wait_for(listener, POLLIN);
	pair.far = net_accept(listener, &pair.peer);
	assert_true(pair.far >= 0);
	return pair;
}

static void pair_close(struct pair *pair)
{
	net_close(pair->near, false);
	net_close(pair->far, false);
}

static void tcp_connections_are_made(void **state)
{
	struct net_addr bound, local;
	int listener = listen_on(STR("127.0.0.1:0"), &plain, &bound);
	struct pair pair;

	(void)state;
	assert_true(net_addr_port(&bound) > 0);
	assert_flags(listener);
	assert_int_equal(net_accept(listener, &local), -EAGAIN);
	pair = pair_open(&bound, listener);
	assert_flags(pair.near);
	assert_flags(pair.far);
	assert_int_equal(option(pair.near, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(pair.far, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(net_local_addr(pair.near, &local), 0);
	assert_true(net_addr_equals(&local, &pair.peer));
	pair_close(&pair);
	close(listener);
}

/* As systemd makes them: blocking, inherited by children, and with Nagle's algorithm. */
static void an_inherited_listener_becomes_like_an_own_one(void **state)
{
	struct net_addr bound = address(STR("127.0.0.1:0"));
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct pair pair;

	(void)state;
	assert_int_equal(bind(listener, &bound.any, bound.len), 0);
	assert_int_equal(net_listen_inherited(listener), -EINVAL);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(net_listen_inherited(listener), 0);
	assert_flags(listener);
	assert_int_equal(net_local_addr(listener, &bound), 0);
	pair = pair_open(&bound, listener);
	assert_int_equal(option(pair.far, IPPROTO_TCP, TCP_NODELAY), 1);
	pair_close(&pair);
	close(listener);
}

static void ipv4_comes_in_through_a_dual_stack_listener(void **state)
{
	struct net_listen_options dual = {.backlog = 16, .dual_stack = true};
	struct net_addr bound, v4;
	char text[NET_ADDR_TEXT_SIZE];
	struct pair pair;
	int listener;

	(void)state;
	bound = address(STR("[::]:0"));
	listener = net_listen(&bound, &dual);
	if (listener < 0)
		skip(); /* no IPv6 here */
	assert_int_equal(net_local_addr(listener, &bound), 0);
	assert_true(net_addr_from_ip(&v4, STR("127.0.0.1"), net_addr_port(&bound)));
	pair = pair_open(&v4, listener);
	assert_string_equal(net_addr_format_ip(&pair.peer, text), "127.0.0.1");
	pair_close(&pair);
	close(listener);

	listener = listen_on(STR("[::]:0"), &plain, &bound);
	assert_int_equal(option(listener, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	close(listener);
}

static void a_port_is_shared_only_when_asked(void **state)
{
	struct net_listen_options shared = {.backlog = 16, .reuse_port = true};
	struct net_addr bound;
	int first, second;

	(void)state;
	first = listen_on(STR("127.0.0.1:0"), &plain, &bound);
	assert_int_equal(net_listen(&bound, &plain), -EADDRINUSE);
	assert_int_equal(net_listen(&bound, &shared), -EADDRINUSE);
	close(first);
	first = listen_on(STR("127.0.0.1:0"), &shared, &bound);
	second = net_listen(&bound, &shared);
	assert_true(second >= 0);
	close(first);
	close(second);
}

static void a_refused_connect_says_so(void **state)
{
	struct net_addr bound;
	int listener = listen_on(STR("127.0.0.1:0"), &plain, &bound);
	bool connecting;
	int fd;

	(void)state;
	close(listener);
	fd = net_connect(&bound, &connecting);
	if (fd >= 0) {
		assert_true(connecting);
		wait_for(fd, POLLOUT);
		assert_int_equal(net_connect_result(fd), -ECONNREFUSED);
		close(fd);
	} else {
		assert_int_equal(fd, -ECONNREFUSED);
	}
	assert_int_equal(net_connect_result(-1), -EBADF);
}

struct folder {
	char path[64];
	struct net_addr addr;
	char text[128];
};

static void folder_open(struct folder *folder)
{
	strcpy(folder->path, "/tmp/rondo-net-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	snprintf(folder->text, sizeof(folder->text), "unix:%s/s", folder->path);
	folder->addr = address(str_from(folder->text));
}

static void folder_close(struct folder *folder)
{
	unlink(folder->text + 5);
	assert_int_equal(rmdir(folder->path), 0);
}

static void unix_sockets_work_and_stale_ones_go(void **state)
{
	struct folder folder;
	struct net_addr local;
	char text[NET_ADDR_TEXT_SIZE];
	struct pair pair;
	int listener;

	(void)state;
	folder_open(&folder);
	listener = net_listen(&folder.addr, &plain);
	assert_true(listener >= 0);
	assert_int_equal(net_local_addr(listener, &local), 0);
	assert_true(net_addr_equals(&local, &folder.addr));
	pair = pair_open(&folder.addr, listener);
	assert_string_equal(net_addr_format(&pair.peer, text), "unix:");
	assert_string_equal(net_addr_format_ip(&pair.peer, text), "unix:");
	pair_close(&pair);

	/* Somebody listens. */
	assert_int_equal(net_listen(&folder.addr, &plain), -EADDRINUSE);
	close(listener);
	/* Nobody does. */
	listener = net_listen(&folder.addr, &plain);
	assert_true(listener >= 0);
	close(listener);
	folder_close(&folder);
}

static void what_is_no_socket_is_not_removed(void **state)
{
	struct folder folder;
	struct stat status;
	int fd;

	(void)state;
	folder_open(&folder);
	fd = creat(folder.text + 5, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(net_listen(&folder.addr, &plain), -EADDRINUSE);
	assert_int_equal(stat(folder.text + 5, &status), 0);
	folder_close(&folder);
	assert_int_equal(net_listen(&folder.addr, &plain), -ENOENT);
}

static void accept_steps_over_the_dead_only(void **state)
{
	static const int dead[] = {ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,
	    EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EINTR};
	static const int told[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EINVAL, EBADF, EAGAIN, EPERM};
	struct net_addr bound, peer;
	int listener = listen_on(STR("127.0.0.1:0"), &plain, &bound);
	struct pair pair;

	(void)state;
	memcpy(world.accept_errors, dead, sizeof(dead));
	pair = pair_open(&bound, listener);
	assert_int_equal(world.accepts, COUNT(dead) + 1);
	pair_close(&pair);
	for (size_t i = 0; i < COUNT(told); i++) {
		set_up(state);
		world.accept_errors[0] = told[i];
		assert_int_equal(net_accept(listener, &peer), -told[i]);
		assert_int_equal(world.accepts, 1);
	}
	/* Should they never end, the loop gets its turn. */
	for (size_t i = 0; i < COUNT(world.accept_errors); i++)
		world.accept_errors[i] = EPROTO;
	world.accepts = 0;
	assert_int_equal(net_accept(listener, &peer), -EAGAIN);
	close(listener);
}

/* ---- bytes */

static struct pair tcp_pair(void)
{
	struct net_addr bound;
	int listener = listen_on(STR("127.0.0.1:0"), &plain, &bound);
	struct pair pair = pair_open(&bound, listener);

	close(listener);
	return pair;
}

static struct iovec part(char *text)
{
	return (struct iovec){text, strlen(text)};
}

static void bytes_go_through(void **state)
{
	struct pair pair = tcp_pair();
	char hello[] = "hello ";
	char world_[] = "world";
	struct iovec parts[] = {part(hello), {NULL, 0}, part(world_)};
	char got[64];

	(void)state;
	assert_int_equal(net_read(pair.far, got, sizeof(got)), -EAGAIN);
	assert_true(net_is_quiet(pair.far));
	world.interrupts = 1;
	assert_int_equal(net_write(pair.near, parts, 3), 11);
	assert_int_equal(world.interrupts, 0);
	wait_for(pair.far, POLLIN);
	assert_false(net_is_quiet(pair.far));
	world.interrupts = 2;
	assert_int_equal(net_read(pair.far, got, sizeof(got)), 11);
	assert_memory_equal(got, "hello world", 11);
	world.interrupts = 1;
	assert_true(net_is_quiet(pair.far));

	net_shutdown_write(pair.near);
	wait_for(pair.far, POLLIN);
	assert_false(net_is_quiet(pair.far));
	assert_int_equal(net_read(pair.far, got, sizeof(got)), 0);
	assert_int_equal(net_write(pair.far, parts, 1), 6);
	pair_close(&pair);
}

static void parts_go_through_whatever_their_length(void **state)
{
	static char many[1500], got[sizeof(many) * 2];
	struct iovec parts[] = {{many, sizeof(many)}, {many, sizeof(many)}};
	struct pair pair = tcp_pair();
	size_t there = 0;

	(void)state;
	memset(many, 'x', sizeof(many) - 1);
	many[sizeof(many) - 1] = 'y';
	world.interrupts = 1;
	assert_int_equal(net_write(pair.near, parts, 2), sizeof(got));
	assert_int_equal(world.interrupts, 0);
	while (there < sizeof(got)) {
		wait_for(pair.far, POLLIN);
		ssize_t some = net_read(pair.far, got + there, sizeof(got) - there);
		assert_true(some > 0);
		there += (size_t)some;
	}
	assert_memory_equal(got, many, sizeof(many));
	assert_memory_equal(got + sizeof(many), many, sizeof(many));
	pair_close(&pair);
}

static void a_full_socket_takes_part_and_then_nothing(void **state)
{
	static char many[8 << 20];
	struct iovec parts[] = {{many, sizeof(many)}};
	struct pair pair = tcp_pair();
	ssize_t put = net_write(pair.near, parts, 1);

	(void)state;
	assert_in_range(put, 1, sizeof(many) - 1);
	while (put > 0)
		put = net_write(pair.near, parts, 1);
	assert_int_equal(put, -EAGAIN);
	pair_close(&pair);
}

static void a_reset_is_a_reset_and_raises_no_signal(void **state)
{
	struct pair pair = tcp_pair();
	char text[] = "x";
	struct iovec parts[] = {part(text)};
	char got[8];

	(void)state;
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	net_close(pair.far, true);
	wait_for(pair.near, POLLIN);
	assert_false(net_is_quiet(pair.near));
	/* The kernel tells an error once; then there is only the end of the stream. */
	assert_int_equal(net_read(pair.near, got, sizeof(got)), 0);
	assert_int_equal(net_write(pair.near, parts, 1), -EPIPE);
	net_close(pair.near, false);
}

static void splice_moves_bytes_through_a_pipe(void **state)
{
	struct pair in = tcp_pair();
	struct pair out = tcp_pair();
	char text[] = "through the pipe";
	struct iovec parts[] = {part(text)};
	char got[64];
	int ends[2];

	(void)state;
	assert_true(net_pipe_open(ends) >= 4096);
	assert_flags(ends[0]);
	assert_flags(ends[1]);
	assert_int_equal(net_splice(in.far, ends[1], 4096), -EAGAIN);
	assert_int_equal(net_write(in.near, parts, 1), 16);
	wait_for(in.far, POLLIN);
	assert_int_equal(net_splice(in.far, ends[1], 4096), 16);
	assert_int_equal(net_splice(ends[0], out.near, 7), 7);
	assert_int_equal(net_splice(ends[0], out.near, 4096), 9);
	assert_int_equal(net_splice(ends[0], out.near, 4096), -EAGAIN);
	wait_for(out.far, POLLIN);
	assert_int_equal(recv(out.far, got, 16, MSG_WAITALL), 16);
	assert_memory_equal(got, text, 16);
	net_shutdown_write(in.near);
	wait_for(in.far, POLLIN);
	assert_int_equal(net_splice(in.far, ends[1], 4096), 0);
	net_pipe_close(ends);
	assert_int_equal(ends[0], -1);
	assert_int_equal(ends[1], -1);
	pair_close(&in);
	pair_close(&out);
}

#define net_test(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    net_test(addresses_are_read_and_written),
	    net_test(host_and_port_are_taken_apart),
	    net_test(paths_may_be_as_long_as_the_kernel_takes),
	    net_test(addresses_without_port),
	    net_test(equality_of_addresses),
	    net_test(blocks_contain_their_addresses),
	    net_test(all_unix_addresses_are_one_block),
	    net_test(what_is_no_block),
	    net_test(tcp_connections_are_made),
	    net_test(an_inherited_listener_becomes_like_an_own_one),
	    net_test(ipv4_comes_in_through_a_dual_stack_listener),
	    net_test(a_port_is_shared_only_when_asked),
	    net_test(a_refused_connect_says_so),
	    net_test(unix_sockets_work_and_stale_ones_go),
	    net_test(what_is_no_socket_is_not_removed),
	    net_test(accept_steps_over_the_dead_only),
	    net_test(bytes_go_through),
	    net_test(parts_go_through_whatever_their_length),
	    net_test(a_full_socket_takes_part_and_then_nothing),
	    net_test(a_reset_is_a_reset_and_raises_no_signal),
	    net_test(splice_moves_bytes_through_a_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
