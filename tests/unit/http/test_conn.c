#include "http/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCK = 64, PATIENCE_US = 20 * 1000 * 1000 };

/* A conn, and the other end of its connection. */
struct pair {
	struct loop *loop;
	struct slab blocks;
	struct conn conn;
	int peer;
	unsigned events; /* that came since the last wait */
	struct timer patience;
};

static void on_event(struct conn *conn, unsigned events)
{
	struct pair *pair = container_of(conn, struct pair, conn);

	pair->events |= events;
	loop_stop(pair->loop);
}

static void on_patience_lost(struct timer *timer)
{
	(void)timer;
	fail_msg("no event came");
}

static void pair_init(struct pair *pair, const int ends[2])
{
	*pair = (struct pair){.loop = loop_create(), .peer = ends[1]};
	assert_non_null(pair->loop);
	slab_init(&pair->blocks, BLOCK, 4);
	timer_init(&pair->patience, on_patience_lost);
	pair->conn.on_event = on_event;
	assert_false(conn_is_open(&pair->conn));
	assert_int_equal(conn_open(&pair->conn, pair->loop, &pair->blocks, ends[0], LOOP_READ), 0);
	assert_true(conn_is_open(&pair->conn));
}

static void pair_open(struct pair *pair)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	pair_init(pair, ends);
}

/* The same over TCP, where a connection can be reset. */
static void pair_open_tcp(struct pair *pair)
{
	const struct net_listen_options options = {.backlog = 1};
	struct net_addr addr, from;
	bool connecting;
	int ends[2];

	assert_true(net_addr_parse(&addr, STR("127.0.0.1:0")));
	int listener = net_listen(&addr, &options);
	assert_true(listener >= 0);
	assert_int_equal(net_local_addr(listener, &addr), 0);
	ends[0] = net_connect(&addr, &connecting);
	assert_true(ends[0] >= 0);
	do
		ends[1] = net_accept(listener, &from);
	while (ends[1] == -EAGAIN);
	assert_true(ends[1] >= 0);
	close(listener);
	pair_init(pair, ends);
}

static void pair_close(struct pair *pair)
{
	conn_close(&pair->conn, false);
	assert_int_equal(pair->blocks.in_use, 0);
	if (pair->peer >= 0)
		close(pair->peer);
	timer_remove(loop_timers(pair->loop), &pair->patience);
	loop_destroy(pair->loop);
	slab_finish(&pair->blocks);
}

/* Turns the loop until the conn has an event. */
static unsigned pair_wait(struct pair *pair)
{
	pair->events = 0;
	timer_arm(
	    loop_timers(pair->loop), &pair->patience, loop_refresh_us(pair->loop) + PATIENCE_US);
	assert_int_equal(loop_run(pair->loop), 0);
	timer_cancel(&pair->patience);
	return pair->events;
}

static void peer_says(struct pair *pair, const char *text)
{
	assert_int_equal(write(pair->peer, text, strlen(text)), strlen(text));
}

static void peer_hangs_up(struct pair *pair)
{
	close(pair->peer);
	pair->peer = -1;
}

static void expect_content(const struct buf *buf, const char *expected)
{
	struct str content = buf_content(buf);

	assert_int_equal(content.len, strlen(expected));
	assert_memory_equal(content.data, expected, content.len);
}

/* ---- reading */

static void a_silent_connection_holds_no_block(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	assert_int_equal(pair.conn.watch.wanted, LOOP_READ);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_AGAIN);
	assert_int_equal(pair.blocks.in_use, 0);
	/* An event and nothing to read: the block goes back. */
	pair.conn.readable = true;
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_AGAIN);
	assert_int_equal(pair.blocks.in_use, 0);
	assert_int_equal(pair.conn.error, 0);
	pair_close(&pair);
}

/* It is known before all that came before it was read, and is told once. */
static void a_peer_that_has_ended_its_side_is_noticed_without_reading(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	conn_want(&pair.conn, LOOP_END);
	peer_says(&pair, "GET");
	shutdown(pair.peer, SHUT_WR);
	assert_int_equal(pair_wait(&pair), LOOP_END);
	assert_true(pair.conn.finished);
	assert_false(pair.conn.ended);
	conn_want(&pair.conn, LOOP_READ | LOOP_END);
	assert_int_equal(pair.conn.watch.wanted, LOOP_READ);
	assert_int_equal(pair_wait(&pair), LOOP_READ);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_OK);
	expect_content(&pair.conn.in, "GET");
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_END);
	pair_close(&pair);
}

static void bytes_are_read_behind_those_that_are_there(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	peer_says(&pair, "GET ");
	assert_int_equal(pair_wait(&pair), LOOP_READ);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_OK);
	assert_int_equal(pair.blocks.in_use, 1);
	const char *where = pair.conn.in.data;

	/* All was read; that there is no more need not be asked. */
	assert_false(pair.conn.readable);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_AGAIN);
	peer_says(&pair, "/path");
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_AGAIN);
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_OK);
	expect_content(&pair.conn.in, "GET /path");
	assert_ptr_equal(pair.conn.in.data, where);
	assert_int_equal(pair.conn.received, 9);
	pair_close(&pair);
}

static void no_more_is_read_than_the_limit(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	peer_says(&pair, "abcdefgh");
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, 3), IO_OK);
	expect_content(&pair.conn.in, "abc");
	assert_true(pair.conn.readable);
	assert_int_equal(conn_read(&pair.conn, 5), IO_OK);
	expect_content(&pair.conn.in, "abcdefgh");
	pair_close(&pair);
}

static void a_full_block_waits_for_room(void **state)
{
	struct pair pair;
	char text[BLOCK + 11];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	pair_open(&pair);
	peer_says(&pair, text);
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, 1000), IO_OK);
	assert_int_equal(buf_len(&pair.conn.in), BLOCK);
	assert_int_equal(conn_read(&pair.conn, 1000), IO_FULL);
	buf_consume(&pair.conn.in, 20);
	assert_int_equal(conn_read(&pair.conn, 1000), IO_FULL);
	buf_compact(&pair.conn.in);
	assert_int_equal(conn_read(&pair.conn, 1000), IO_OK);
	assert_int_equal(buf_len(&pair.conn.in), BLOCK - 20 + 10);
	pair_close(&pair);
}

static void without_a_block_nothing_is_lost(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	pair.blocks.limit = 0;
	peer_says(&pair, "hello");
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_SHORTAGE);
	pair.blocks.limit = 1;
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_OK);
	expect_content(&pair.conn.in, "hello");
	pair_close(&pair);
}

static void the_end_is_the_end(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	peer_says(&pair, "bye");
	peer_hangs_up(&pair);
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_OK);
	buf_consume(&pair.conn.in, 3);
	assert_false(pair.conn.ended);
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_END);
	assert_true(pair.conn.ended);
	assert_int_equal(pair.blocks.in_use, 0);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_END);
	assert_int_equal(pair.conn.error, 0);
	pair_close(&pair);
}

static void what_came_before_a_reset_may_be_lost_but_not_the_reset(void **state)
{
	struct pair pair;
	enum io result;

	(void)state;
	pair_open_tcp(&pair);
	net_close(pair.peer, true);
	pair.peer = -1;
	assert_true(pair_wait(&pair) & LOOP_BROKEN);
	result = conn_read(&pair.conn, BLOCK);
	assert_int_equal(result, IO_ERROR);
	assert_int_equal(pair.conn.error, ECONNRESET);
	assert_int_equal(pair.blocks.in_use, 0);
	pair_close(&pair);
}

static void only_what_is_wanted_comes(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	peer_says(&pair, "hello");
	conn_want(&pair.conn, LOOP_WRITE);
	assert_int_equal(pair_wait(&pair), LOOP_WRITE);
	assert_false(pair.conn.readable);
	conn_want(&pair.conn, LOOP_READ);
	assert_int_equal(pair_wait(&pair), LOOP_READ);
	assert_true(pair.conn.readable);
	pair_close(&pair);
}

/* ---- sending */

static void the_composed_goes_before_the_pieces(void **state)
{
	const struct str pieces[2] = {STR("chunk size "), STR("payload")};
	struct pair pair;
	char got[64];
	size_t taken;

	(void)state;
	pair_open(&pair);
	assert_true(buf_append(&pair.conn.out, STR("head ")));
	assert_int_equal(conn_send(&pair.conn, pieces, &taken), IO_OK);
	assert_int_equal(taken, pieces[0].len + pieces[1].len);
	assert_int_equal(pair.conn.sent, 23);
	assert_int_equal(pair.blocks.in_use, 0);
	assert_int_equal(read(pair.peer, got, sizeof(got)), 23);
	assert_memory_equal(got, "head chunk size payload", 23);
	pair_close(&pair);
}

static void each_part_may_be_missing(void **state)
{
	static const struct {
		const char *out, *first, *second;
	} cases[] = {
	    {"", "", ""},
	    {"a", "", ""},
	    {"", "b", ""},
	    {"", "", "c"},
	    {"a", "", "c"},
	    {"a", "b", ""},
	    {"", "b", "c"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct str pieces[2] = {str_from(cases[i].first), str_from(cases[i].second)};
		struct pair pair;
		char expected[8], got[8];
		size_t taken = 99;

		pair_open(&pair);
		/* Storage without content, as when something was composed and taken back. */
		assert_true(buf_reserve(&pair.conn.out));
		assert_true(buf_append(&pair.conn.out, str_from(cases[i].out)));
		assert_int_equal(conn_send(&pair.conn, pieces, &taken), IO_OK);
		assert_int_equal(taken, pieces[0].len + pieces[1].len);
		assert_int_equal(pair.blocks.in_use, 0);
		int len = snprintf(expected, sizeof(expected), "%s%s%s", cases[i].out,
		    cases[i].first, cases[i].second);
		assert_int_equal(read(pair.peer, got, sizeof(got)), len > 0 ? len : -1);
		assert_memory_equal(got, expected, (size_t)len);
		pair_close(&pair);
	}
}

/* Byte number n of what is sent; 251 is prime, so that a shift shows. */
static char byte_of(size_t n)
{
	return (char)(n % 251);
}

/* Takes all that has arrived, which must go on at byte number `next`. */
static size_t peer_takes(struct pair *pair, size_t next)
{
	static char got[100000];
	ssize_t len;

	while ((len = read(pair->peer, got, sizeof(got))) > 0) {
		for (ssize_t i = 0; i < len; i++)
			assert_int_equal(got[i], byte_of(next++));
	}
	return next;
}

/* Whatever the kernel accepts at a time, the peer gets every byte once and in order. */
static void partial_sends_lose_nothing(void **state)
{
	enum { TOTAL = 3 * 1000 * 1000, PIECE = 70000 };
	static char piece[PIECE];
	struct pair pair;
	size_t given = 0, received = 0, refusals = 0;

	(void)state;
	pair_open(&pair);
	conn_want(&pair.conn, LOOP_WRITE);
	while (received < TOTAL) {
		while (buf_len(&pair.conn.out) < 10 && given < TOTAL) {
			const char byte = byte_of(given++);

			assert_true(buf_append(&pair.conn.out, (struct str){&byte, 1}));
		}
		size_t len = TOTAL - given < PIECE ? TOTAL - given : PIECE, taken;
		for (size_t i = 0; i < len; i++)
			piece[i] = byte_of(given + i);
		const struct str pieces[2] = {
		    {piece, len / 3},
		    {piece + len / 3, len - len / 3},
		};

		enum io result = conn_send(&pair.conn, pieces, &taken);
		given += taken;
		if (result == IO_AGAIN || given == TOTAL)
			received = peer_takes(&pair, received);
		if (result == IO_AGAIN) {
			assert_int_equal(taken, 0);
			assert_false(pair.conn.writable);
			refusals++;
			pair_wait(&pair);
		}
	}
	assert_true(refusals > 0);
	assert_int_equal(received, TOTAL);
	assert_int_equal(pair.conn.sent, TOTAL);
	pair_close(&pair);
}

static void flush_empties_the_buffer(void **state)
{
	struct pair pair;
	char got[8];

	(void)state;
	pair_open(&pair);
	assert_int_equal(conn_flush(&pair.conn), IO_OK);
	assert_true(buf_append(&pair.conn.out, STR("reply")));
	assert_int_equal(conn_flush(&pair.conn), IO_OK);
	assert_int_equal(pair.blocks.in_use, 0);
	assert_int_equal(read(pair.peer, got, sizeof(got)), 5);
	/* A kernel that is full keeps the content here. */
	static char much[4 * 1000 * 1000];
	const struct str pieces[2] = {{much, sizeof(much)}, {NULL, 0}};
	size_t taken;
	assert_int_equal(conn_send(&pair.conn, pieces, &taken), IO_OK);
	assert_true(taken < sizeof(much));
	assert_true(buf_append(&pair.conn.out, STR("more")));
	assert_int_equal(conn_flush(&pair.conn), IO_AGAIN);
	pair.conn.writable = true;
	assert_int_equal(conn_flush(&pair.conn), IO_AGAIN);
	expect_content(&pair.conn.out, "more");
	assert_int_equal(pair.blocks.in_use, 1);
	pair_close(&pair);
}

/* The answer may have come before the peer stopped reading. */
static void a_send_error_leaves_the_rest_readable(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair);
	peer_says(&pair, "413");
	peer_hangs_up(&pair);
	assert_true(buf_append(&pair.conn.out, STR("upload")));
	assert_int_equal(conn_flush(&pair.conn), IO_ERROR);
	assert_int_equal(pair.conn.error, EPIPE);
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_OK);
	expect_content(&pair.conn.in, "413");
	pair_close(&pair);
}

/* ---- opening and closing */

/* As with an answer that ends with its connection, and a backend that resets while it is still sent to. */
static void an_end_behind_a_failed_send_is_no_end(void **state)
{
	struct pair pair;
	struct str pieces[2] = {STR("more"), {NULL, 0}};
	size_t taken;
	enum io result;

	(void)state;
	pair_open_tcp(&pair);
	net_close(pair.peer, true);
	pair.peer = -1;
	assert_true(pair_wait(&pair) & LOOP_BROKEN);
	assert_int_equal(conn_send(&pair.conn, pieces, &taken), IO_ERROR);
	assert_int_equal(pair.conn.error, ECONNRESET);
	do
		result = conn_read(&pair.conn, BLOCK);
	while (result == IO_OK);
	assert_int_equal(result, IO_ERROR);
	pair_close(&pair);
}

static void a_reset_that_was_read_is_read_again(void **state)
{
	struct pair pair;

	(void)state;
	pair_open_tcp(&pair);
	pair.conn.error = ENOBUFS; /* a shortage of earlier, which had passed */
	net_close(pair.peer, true);
	pair.peer = -1;
	assert_true(pair_wait(&pair) & LOOP_BROKEN);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_ERROR);
	pair.conn.readable = true;
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_ERROR);
	assert_int_equal(pair.conn.error, ECONNRESET);
	pair_close(&pair);
}

static void what_cannot_be_watched_stays_with_the_caller(void **state)
{
	struct pair pair;
	struct conn refused = {.on_event = on_event};
	/* Regular files are always ready; epoll refuses them. */
	int regular = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	pair_open(&pair);
	assert_true(regular >= 0);
	assert_int_equal(conn_open(&refused, pair.loop, &pair.blocks, regular, LOOP_READ), -EPERM);
	assert_false(conn_is_open(&refused));
	conn_close(&refused, false);
	assert_int_equal(close(regular), 0);
	pair_close(&pair);
}

static void closing_gives_everything_back(void **state)
{
	struct pair pair;
	char byte;

	(void)state;
	pair_open(&pair);
	peer_says(&pair, "hello");
	pair_wait(&pair);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_OK);
	assert_true(buf_append(&pair.conn.out, STR("unsent")));
	assert_int_equal(pair.blocks.in_use, 2);
	conn_close(&pair.conn, false);
	assert_int_equal(pair.blocks.in_use, 0);
	assert_false(conn_is_open(&pair.conn));
	assert_int_equal(read(pair.peer, &byte, 1), 0);
	conn_close(&pair.conn, true);
	pair_close(&pair);
}

static void a_reset_is_seen_by_the_peer(void **state)
{
	struct pair pair;
	char byte;
	ssize_t got;

	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		pair_open_tcp(&pair);
		conn_close(&pair.conn, reset);
		do
			got = net_read(pair.peer, &byte, 1);
		while (got == -EAGAIN);
		assert_int_equal(got, reset ? -ECONNRESET : 0);
		pair_close(&pair);
	}
}

static void a_closed_conn_may_be_opened_again(void **state)
{
	struct pair pair;
	int ends[2];

	(void)state;
	pair_open(&pair);
	peer_says(&pair, "old");
	pair_wait(&pair);
	conn_read(&pair.conn, BLOCK);
	peer_hangs_up(&pair);
	conn_close(&pair.conn, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	pair.peer = ends[1];
	assert_int_equal(conn_open(&pair.conn, pair.loop, &pair.blocks, ends[0], LOOP_READ), 0);
	assert_int_equal(pair.conn.received, 0);
	assert_false(pair.conn.ended);
	peer_says(&pair, "new");
	assert_int_equal(pair_wait(&pair), LOOP_READ);
	assert_int_equal(conn_read(&pair.conn, BLOCK), IO_OK);
	expect_content(&pair.conn.in, "new");
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_silent_connection_holds_no_block),
	    cmocka_unit_test(a_peer_that_has_ended_its_side_is_noticed_without_reading),
	    cmocka_unit_test(bytes_are_read_behind_those_that_are_there),
	    cmocka_unit_test(no_more_is_read_than_the_limit),
	    cmocka_unit_test(a_full_block_waits_for_room),
	    cmocka_unit_test(without_a_block_nothing_is_lost),
	    cmocka_unit_test(the_end_is_the_end),
	    cmocka_unit_test(what_came_before_a_reset_may_be_lost_but_not_the_reset),
	    cmocka_unit_test(only_what_is_wanted_comes),
	    cmocka_unit_test(the_composed_goes_before_the_pieces),
	    cmocka_unit_test(each_part_may_be_missing),
	    cmocka_unit_test(partial_sends_lose_nothing),
	    cmocka_unit_test(flush_empties_the_buffer),
	    cmocka_unit_test(a_send_error_leaves_the_rest_readable),
	    cmocka_unit_test(an_end_behind_a_failed_send_is_no_end),
	    cmocka_unit_test(a_reset_that_was_read_is_read_again),
	    cmocka_unit_test(what_cannot_be_watched_stays_with_the_caller),
	    cmocka_unit_test(closing_gives_everything_back),
	    cmocka_unit_test(a_reset_is_seen_by_the_peer),
	    cmocka_unit_test(a_closed_conn_may_be_opened_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
