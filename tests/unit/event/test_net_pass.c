#include "event/net.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const struct net_listen_options usual = {.backlog = 8};

static struct net_addr loopback(uint16_t port)
{
	struct net_addr addr;

	assert_true(net_addr_from_ip(&addr, STR("127.0.0.1"), port));
	return addr;
}

static int listen_anywhere(void)
{
	struct net_addr addr = loopback(0);
	int fd = net_listen(&addr, &usual);

	assert_true(fd >= 0);
	return fd;
}

static struct net_addr local_addr(int fd)
{
	struct net_addr addr;

	assert_int_equal(net_local_addr(fd, &addr), 0);
	return addr;
}

static void an_inherited_listener_neither_blocks_nor_is_passed_on(void **state)
{
	struct net_addr peer;
	int fd = listen_anywhere();

	(void)state;
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_RDWR), 0);
	assert_int_equal(net_listen_inherited(fd), 0);
	assert_int_equal(net_accept(fd, &peer), -EAGAIN);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void what_does_not_listen_for_streams_is_not_inherited(void **state)
{
	int pair[2], ends[2];
	int datagrams = net_datagram_open();

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(net_listen_inherited(pair[0]), -EINVAL);
	assert_int_equal(net_listen_inherited(datagrams), -EPROTOTYPE);
	assert_int_equal(net_listen_inherited(ends[0]), -ENOTSOCK);
	close(ends[0]);
	close(ends[1]);
	close(pair[0]);
	close(pair[1]);
	close(datagrams);
	assert_int_equal(net_listen_inherited(datagrams), -EBADF);
}

static void a_port_is_shared_only_by_those_who_say_so(void **state)
{
	struct net_listen_options sharing = {.backlog = 8, .reuse_port = true};
	int first = listen_anywhere();
	struct net_addr addr = local_addr(first);
	int second;

	(void)state;
	assert_int_equal(net_listen(&addr, &sharing), -EADDRINUSE);
	assert_int_equal(net_share_port(first, true), 0);
	assert_int_equal(net_listen(&addr, &usual), -EADDRINUSE);
	second = net_listen(&addr, &sharing);
	assert_true(second >= 0);
	assert_int_equal(net_share_port(first, false), 0);
	assert_int_equal(net_share_port(second, false), 0);
	assert_int_equal(net_listen(&addr, &usual), -EADDRINUSE);
	close(first);
	close(second);
	assert_true(net_share_port(first, true) < 0);
}

/* Whom it has, `before`, is a connection like any other; nobody else comes. */
static void check_last_one(int listener, int before)
{
	struct net_addr peer;
	int accepted = net_accept(listener, &peer);

	assert_true(accepted >= 0);
	assert_true(net_accept(listener, &peer) < 0);
	assert_int_equal(send(before, "x", 1, 0), 1);
	assert_false(net_is_quiet(accepted));
	close(accepted);
	close(before);
}

static void a_listener_that_ends_gives_whom_it_has_and_refuses_new_ones(void **state)
{
	int listener = listen_anywhere();
	struct net_addr addr = local_addr(listener);
	bool connecting;
	int before = net_connect(&addr, &connecting);
	int after;

	(void)state;
	assert_int_equal(net_listen_end(listener, false), 0);
	after = net_connect(&addr, &connecting);
	assert_true(
	    after < 0 ? after == -ECONNREFUSED : net_connect_result(after) == -ECONNREFUSED);
	if (after >= 0)
		close(after);
	check_last_one(listener, before);
	close(listener);
	assert_int_equal(net_listen_end(listener, false), -EBADF);
}

static void a_listener_that_ends_on_a_shared_port_ignores_new_ones(void **state)
{
	int listener = listen_anywhere();
	struct net_addr addr = local_addr(listener);
	bool connecting;
	int before = net_connect(&addr, &connecting);
	int after;

	(void)state;
	assert_int_equal(net_listen_end(listener, true), 0);
	after = net_connect(&addr, &connecting);
	assert_true(after >= 0);
	assert_true(connecting);
	check_last_one(listener, before);
	assert_int_equal(net_connect_result(after), 0);
	close(after);
	close(listener);
}

static void a_unix_listener_that_ends_leaves_its_path_to_others(void **state)
{
	char path[] = "/tmp/rondo-test-XXXXXX";
	struct net_addr addr;
	bool connecting;
	int listener, before, other;

	assert_non_null(mkdtemp(path));
	(void)state;
	char file[sizeof(path) + 2];
	snprintf(file, sizeof(file), "%s/s", path);
	assert_true(net_addr_from_path(&addr, str_from(file)));
	listener = net_listen(&addr, &usual);
	assert_true(listener >= 0);
	const struct net_file first = net_file_of(&addr);
	before = net_connect(&addr, &connecting);
	assert_int_equal(net_listen_end(listener, false), 0);
	assert_int_equal(net_connect(&addr, &connecting), -ECONNREFUSED);
	check_last_one(listener, before);
	other = net_listen(&addr, &usual);
	assert_true(other >= 0);
	const struct net_file second = net_file_of(&addr);
	net_remove_file(&addr, &first);
	close(listener);
	net_remove_file(&addr, &second);
	assert_int_equal(net_file_of(&addr).inode, second.inode);
	/* Whoever listens no more, or not yet, keeps the file as well. */
	assert_int_equal(net_listen_end(other, false), 0);
	net_remove_file(&addr, &first);
	net_remove_file(&addr, &(struct net_file){0});
	assert_int_equal(net_file_of(&addr).inode, second.inode);
	net_remove_file(&addr, &second);
	assert_int_equal(net_file_of(&addr).inode, 0);
	close(other);
	assert_int_equal(rmdir(path), 0);
}

static void a_datagram_arrives_whole_or_not_at_all(void **state)
{
	struct net_addr addr = {.len = sizeof(sa_family_t)};
	char text[16];
	int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int sender = net_datagram_open();
	int error = 0;
	size_t sent = 0;

	(void)state;
	addr.any.sa_family = AF_UNIX;
	/* An address in the abstract namespace, of the kernel's choice. unix(7), autobind. */
	assert_int_equal(bind(receiver, &addr.any, addr.len), 0);
	addr = local_addr(receiver);
	for (; !error; sent++)
		error = net_datagram_send(sender, &addr, STR("READY=1"));
	assert_int_equal(error, -EAGAIN);
	for (; sent > 1; sent--)
		assert_int_equal(recv(receiver, text, sizeof(text), 0), 7);
	assert_int_equal(recv(receiver, text, sizeof(text), 0), -1);
	close(receiver);
	assert_int_equal(net_datagram_send(sender, &addr, STR("READY=1")), -ECONNREFUSED);
	close(sender);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_inherited_listener_neither_blocks_nor_is_passed_on),
	    cmocka_unit_test(what_does_not_listen_for_streams_is_not_inherited),
	    cmocka_unit_test(a_port_is_shared_only_by_those_who_say_so),
	    cmocka_unit_test(a_listener_that_ends_gives_whom_it_has_and_refuses_new_ones),
	    cmocka_unit_test(a_listener_that_ends_on_a_shared_port_ignores_new_ones),
	    cmocka_unit_test(a_unix_listener_that_ends_leaves_its_path_to_others),
	    cmocka_unit_test(a_datagram_arrives_whole_or_not_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
