/*
 * Clients over loopback, a listener that accepts them, and sessions with a handler that does what each byte says.
 */
#include "proxy/listener.h"

#include "base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 4, PATIENCE = 20000, TURN = 2, MS = 1000, LONG_US = 60 * 1000 * MS };

/* Bytes that are requests: each is answered with itself, and then the connection goes on so. */
enum { KEEP = 'k', CLOSE = 'c', RESET = 'r', LATE_RESET = 'l', WAIT = 'w' };

struct stage {
	struct loop *loop;
	struct slab blocks;
	struct sessions sessions;
	struct listener listener;
	struct timer tick;
	int clients[CLIENTS];
	size_t count;
	char served[64]; /* the ports of clients would be long: the first is A */
	size_t served_count;
	size_t requests; /* begun and not over */
	size_t due, broken, aborted;
	bool has_no_memory, has_ended;
	int accept_error; /* of the next net_accept; 0 = none */
};

static struct stage stage;

/* ---- a shortage */

int __real_net_accept(int listener, struct net_addr *peer);
int __wrap_net_accept(int listener, struct net_addr *peer);

int __wrap_net_accept(int listener, struct net_addr *peer)
{
	int error = stage.accept_error;

	stage.accept_error = 0;
	return error ? error : __real_net_accept(listener, peer);
}

/* ---- the handler; a request is its session */

static void *begin(struct session *session)
{
	if (stage.has_no_memory)
		return NULL;
	stage.requests++;
	return session;
}

static char letter_of(const struct session *session)
{
	char letter = 'A';

	for (size_t i = 0; i < stage.count; i++) {
		struct net_addr own = {.len = sizeof(own.v4)};

		if (getsockname(stage.clients[i], &own.any, &own.len) == 0 &&
		    net_addr_port(&own) == net_addr_port(&session->from.addr))
			letter = (char)('A' + i);
	}
	return letter;
}

static enum session_next end(struct session *session, char request)
{
	struct conn *client = &session->client;

	stage.requests--;
	stage.served[stage.served_count++] = letter_of(session);
	assert_true(buf_append(&client->out, (struct str){&request, 1}));
	conn_flush(client);
	buf_consume(&client->in, 1);
	if (buf_len(&client->in) == 0)
		buf_release(&client->in);
	switch (request) {
	case CLOSE:
		return NEXT_CLOSE;
	case RESET:
		return NEXT_RESET;
	case LATE_RESET:
		return NEXT_LATE_RESET;
	default:
		return NEXT_KEEP;
	}
}

static enum session_next run(void *request)
{
	struct session *session = request;
	char wanted = buf_content(&session->client.in).data[0];

	if (wanted != WAIT || stage.due > 0 || stage.broken > 0)
		return end(session, wanted);
	conn_want(&session->client, 0);
	timer_arm(loop_timers(stage.loop), &session->timer, session->due_us);
	return NEXT_WAIT;
}

static void on_due(void *request)
{
	(void)request;
	stage.due++;
}

static void on_broken(void *request)
{
	(void)request;
	stage.broken++;
}

static void abort_request(void *request)
{
	(void)request;
	stage.requests--;
	stage.aborted++;
}

static const struct session_handler handler = {begin, run, on_due, on_broken, abort_request, TURN};

/* ---- the stage */

static void on_tick(struct timer *timer)
{
	(void)timer;
	loop_stop(stage.loop);
}

static void on_room(struct sessions *sessions)
{
	(void)sessions;
	listener_resume(&stage.listener);
}

static int set_up(void **state)
{
	const struct net_listen_options options = {.backlog = CLIENTS};
	struct net_addr addr;

	(void)state;
	stage = (struct stage){.loop = loop_create()};
	assert_non_null(stage.loop);
	log_set_level(LOG_LEVEL_ERROR);
	slab_init(&stage.blocks, 256, 2 * CLIENTS);
	timer_init(&stage.tick, on_tick);
	sessions_init(&stage.sessions, &handler, stage.loop, &stage.blocks);
	stage.sessions.slab.limit = CLIENTS;
	stage.sessions.idle_us = LONG_US;
	stage.sessions.on_room = on_room;
	assert_true(net_addr_parse(&addr, STR("127.0.0.1:0")));
	int fd = net_listen(&addr, &options);
	assert_true(fd >= 0);
	assert_int_equal(listener_open(&stage.listener, &stage.sessions, fd), 0);
	return 0;
}

static void turn(void)
{
	timer_arm(loop_timers(stage.loop), &stage.tick, loop_refresh_us(stage.loop) + MS);
	assert_int_equal(loop_run(stage.loop), 0);
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		int patience_ = PATIENCE;                                                          \
		while (!(condition)) {                                                             \
			if (patience_-- == 0)                                                      \
				fail_msg("never: %s", #condition);                                 \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < stage.count; i++)
		if (stage.clients[i] >= 0)
			close(stage.clients[i]);
	listener_close(&stage.listener);
	sessions_abort(&stage.sessions);
	turn();
	assert_int_equal(stage.requests, 0);
	assert_int_equal(stage.blocks.in_use, 0);
	timer_remove(loop_timers(stage.loop), &stage.tick);
	assert_int_equal(loop_timers(stage.loop)->count, 0);
	loop_destroy(stage.loop);
	sessions_finish(&stage.sessions);
	slab_finish(&stage.blocks);
	return 0;
}

/* The number of a client that is connected, and accepted as soon as there is room. */
static size_t join(void)
{
	bool connecting;
	int fd = net_connect(&stage.listener.addr, &connecting);

	assert_true(fd >= 0);
	stage.clients[stage.count] = fd;
	return stage.count++;
}

static void say(size_t client, const char *text)
{
	size_t len = strlen(text);

	UNTIL(send(stage.clients[client], text, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* What comes next to a client: a byte, 0 at the end, or a negative errno. */
static int hear(size_t client)
{
	unsigned char byte;
	ssize_t len;

	UNTIL((len = recv(stage.clients[client], &byte, 1, 0)) >= 0 || errno != EAGAIN);
	if (len < 0)
		return -errno;
	return len == 0 ? 0 : byte;
}

/* It is connected, and nothing has come to it. */
static bool is_open(size_t client)
{
	return net_is_quiet(stage.clients[client]);
}

/* ---- what follows a request */

static void a_connection_is_kept_for_the_next_request(void **state)
{
	size_t client = join();

	(void)state;
	for (int i = 0; i < 3; i++) {
		say(client, "k");
		assert_int_equal(hear(client), KEEP);
	}
	UNTIL(stage.blocks.in_use == 0);
	assert_int_equal(stage.sessions.slab.in_use, 1);
	assert_int_equal(stage.sessions.accepted, 1);
}

static void one_that_closes_reads_on_until_the_client_has_ended(void **state)
{
	size_t client = join();

	(void)state;
	say(client, "c");
	assert_int_equal(hear(client), CLOSE);
	assert_int_equal(hear(client), 0);
	for (int i = 0; i < 10; i++) {
		say(client, "more of it");
		turn();
		assert_int_equal(hear(client), 0);
	}
	close(stage.clients[client]);
	stage.clients[client] = -1;
	UNTIL(stage.sessions.slab.in_use == 0);
}

static void one_that_closes_waits_for_a_silent_client_only_so_long(void **state)
{
	size_t client = join();

	(void)state;
	stage.sessions.linger_us = 1;
	say(client, "c");
	assert_int_equal(hear(client), CLOSE);
	assert_int_equal(hear(client), 0);
	turn();
	say(client, "x");
	UNTIL(stage.sessions.slab.in_use == 0);
}

static void a_client_that_has_ended_its_side_is_closed_at_once(void **state)
{
	size_t client = join();

	(void)state;
	say(client, "c");
	shutdown(stage.clients[client], SHUT_WR);
	assert_int_equal(hear(client), CLOSE);
	assert_int_equal(hear(client), 0);
	UNTIL(stage.sessions.slab.in_use == 0);
}

/* More than a block is on its way: a close would answer it with a reset, behind the answer. */
static void unless_not_all_that_it_sent_is_read(void **state)
{
	size_t client = join();
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[0] = CLOSE;
	text[sizeof(text) - 1] = '\0';
	say(client, text);
	shutdown(stage.clients[client], SHUT_WR);
	assert_int_equal(hear(client), CLOSE);
	assert_int_equal(hear(client), 0);
	UNTIL(stage.sessions.slab.in_use == 0);
}

static void a_reset_is_seen(void **state)
{
	size_t client = join();

	(void)state;
	say(client, "kr");
	assert_int_equal(hear(client), KEEP);
	int next = hear(client);
	assert_int_equal(next == RESET ? hear(client) : next, -ECONNRESET);
	UNTIL(stage.sessions.slab.in_use == 0);
}

static void a_late_reset_lets_the_answer_be_read_first(void **state)
{
	size_t client = join();

	(void)state;
	say(client, "kl");
	assert_int_equal(hear(client), KEEP);
	assert_int_equal(hear(client), LATE_RESET);
	turn();
	assert_int_equal(stage.sessions.slab.in_use, 1);
	assert_true(is_open(client));
}

static void without_memory_for_a_request_the_client_is_reset(void **state)
{
	size_t client = join();

	(void)state;
	stage.has_no_memory = true;
	say(client, "k");
	assert_int_equal(hear(client), -ECONNRESET);
}

/* ---- time and turns */

static void others_have_their_turn_between_pipelined_requests(void **state)
{
	size_t many = join();
	size_t one = join();

	(void)state;
	UNTIL(stage.sessions.slab.in_use == 2);
	say(many, "kkkkkkkk");
	say(one, "k");
	UNTIL(stage.served_count == 9);
	assert_in_range(strchr(stage.served, 'B') - stage.served, 0, TURN);
}

static void an_idle_session_ends_in_time(void **state)
{
	stage.sessions.idle_us = MS;
	size_t client = join();

	(void)state;
	assert_int_equal(hear(client), 0);
	UNTIL(stage.sessions.slab.in_use == 0);
}

static void empty_lines_are_no_request(void **state)
{
	stage.sessions.idle_us = 20 * MS;
	size_t client = join();

	(void)state;
	say(client, "\r\n");
	assert_int_equal(hear(client), 0);
	assert_int_equal(stage.served_count, 0);
}

static void a_request_is_told_that_its_time_is_over(void **state)
{
	stage.sessions.idle_us = MS;
	size_t client = join();

	(void)state;
	say(client, "w");
	assert_int_equal(hear(client), WAIT);
	assert_int_equal(stage.due, 1);
}

static void a_request_is_told_that_its_client_is_gone(void **state)
{
	const struct linger reset = {1, 0};
	size_t client = join();

	(void)state;
	say(client, "w");
	UNTIL(stage.requests == 1);
	setsockopt(stage.clients[client], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(stage.clients[client]);
	stage.clients[client] = -1;
	UNTIL(stage.broken == 1 && stage.requests == 0);
}

static void a_stop_leaves_idle_clients_a_moment(void **state)
{
	size_t client = join();

	(void)state;
	UNTIL(stage.sessions.slab.in_use == 1);
	sessions_drain(&stage.sessions);
	say(client, "k");
	assert_int_equal(hear(client), KEEP);
	assert_int_equal(hear(client), 0);
}

static void what_is_served_when_all_are_ended_is_aborted(void **state)
{
	size_t idle = join();
	size_t waiting = join();

	(void)state;
	say(waiting, "w");
	UNTIL(stage.requests == 1 && stage.sessions.slab.in_use == 2);
	sessions_abort(&stage.sessions);
	assert_int_equal(stage.aborted, 1);
	assert_int_equal(hear(idle), 0);
	assert_int_equal(hear(waiting), -ECONNRESET);
}

/* ---- accepting */

static void a_full_set_lets_clients_wait(void **state)
{
	size_t first = join();

	(void)state;
	UNTIL(stage.sessions.slab.in_use == 1);
	stage.sessions.slab.limit = 1;
	size_t second = join();
	say(second, "k");
	UNTIL(stage.listener.paused);
	turn();
	assert_int_equal(stage.sessions.accepted, 1);
	assert_true(is_open(first));
	close(stage.clients[first]);
	stage.clients[first] = -1;
	assert_int_equal(hear(second), KEEP);
	assert_int_equal(stage.sessions.accept_pauses, 0);
}

static void the_oldest_idle_one_gives_way(void **state)
{
	size_t waiting = join();

	(void)state;
	stage.sessions.gives_way_us = LONG_US;
	say(waiting, "w");
	UNTIL(stage.requests == 1);
	size_t second = join();
	UNTIL(stage.sessions.slab.in_use == 2);
	size_t third = join();
	UNTIL(stage.sessions.slab.in_use == 3);
	stage.sessions.slab.limit = 3;
	size_t fourth = join();
	say(fourth, "k");
	assert_int_equal(hear(fourth), KEEP);
	assert_int_equal(hear(second), 0);
	assert_true(is_open(waiting));
	assert_true(is_open(third));
}

static void where_none_is_idle_the_oldest_gives_way_after_a_while(void **state)
{
	size_t first = join();

	(void)state;
	stage.sessions.gives_way_us = 50 * MS;
	say(first, "w");
	UNTIL(stage.requests == 1);
	stage.sessions.slab.limit = 1;
	size_t second = join();
	say(second, "k");
	UNTIL(stage.listener.paused);
	assert_int_equal(hear(second), KEEP);
	assert_int_equal(stage.aborted, 1);
	assert_false(is_open(first));
}

/* Nobody ends, but somebody becomes idle. */
static void one_that_becomes_idle_gives_way(void **state)
{
	size_t first = join();

	(void)state;
	stage.sessions.gives_way_us = LONG_US;
	stage.sessions.idle_us = LONG_US;
	say(first, "w");
	UNTIL(stage.requests == 1);
	stage.sessions.slab.limit = 1;
	size_t second = join();
	say(second, "k");
	UNTIL(stage.listener.paused);
	assert_int_equal(stage.sessions.accepted, 1);
	stage.due = 1;
	session_run(stage.sessions.first);
	assert_int_equal(hear(first), WAIT);
	assert_int_equal(hear(second), KEEP);
	assert_int_equal(hear(first), 0);
}

static void out_of_descriptors_accepting_pauses_and_goes_on(void **state)
{
	stage.accept_error = -EMFILE;
	size_t client = join();

	(void)state;
	UNTIL(stage.sessions.accept_pauses == 1);
	assert_true(stage.listener.paused);
	say(client, "k");
	assert_int_equal(hear(client), KEEP);
	assert_int_equal(stage.sessions.accept_pauses, 1);
}

static void on_end(struct listener *listener)
{
	assert_ptr_equal(listener, &stage.listener);
	stage.has_ended = true;
}

static void all_who_wait_are_accepted_before_a_listener_closes(void **state)
{
	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		say(join(), "k");
	stage.sessions.slab.limit = CLIENTS + 1;
	listener_end(&stage.listener, false, on_end);
	assert_true(listener_is_open(&stage.listener));
	UNTIL(stage.has_ended);
	assert_false(listener_is_open(&stage.listener));
	assert_int_equal(stage.sessions.accepted, CLIENTS);
	for (size_t i = 0; i < CLIENTS; i++)
		assert_int_equal(hear(i), KEEP);
}

/* ---- introduced by a proxy in front */

static const char header[] = "PROXY TCP4 192.0.2.7 203.0.113.1 4711 80\r\n";

static void expect_headers(const char *from)
{
	static struct net_block block;

	assert_true(net_block_parse(&block, str_from(from)));
	stage.listener.options = (struct listener_options){&block, 1, true};
	stage.sessions.introduce_us = LONG_US;
}

static void a_header_names_the_client_before_its_first_request(void **state)
{
	size_t client = join();
	char byte[2] = "";

	(void)state;
	expect_headers("127.0.0.1");
	for (size_t i = 0; header[i]; i++) {
		byte[0] = header[i];
		say(client, byte);
		turn();
	}
	UNTIL(stage.sessions.first && stage.sessions.first->state == SESSION_IDLE);
	const struct session_client *from = &stage.sessions.first->from;
	assert_int_equal(stage.blocks.in_use, 0);
	assert_string_equal(from->ip, "192.0.2.7");
	assert_int_equal(net_addr_port(&from->addr), 4711);
	assert_string_equal(from->peer_ip, "127.0.0.1");
	assert_true(from->is_https);
	say(client, "k");
	assert_int_equal(hear(client), KEEP);
}

static void bytes_behind_a_header_are_requests(void **state)
{
	size_t client = join();

	(void)state;
	expect_headers("127.0.0.0/8");
	say(client, "PROXY UNKNOWN\r\nkc");
	assert_int_equal(hear(client), KEEP);
	assert_int_equal(hear(client), CLOSE);
	assert_int_equal(hear(client), 0);
}

static void no_byte_of_a_request_is_served_without_a_header(void **state)
{
	size_t client = join(), other = join();

	(void)state;
	expect_headers("127.0.0.1");
	say(client, "kkkk");
	UNTIL(stage.sessions.accepted == 2 && stage.sessions.slab.in_use == 1);
	assert_int_equal(stage.served_count, 0);
	assert_true(is_open(other));
	say(other, "PROXY ");
	shutdown(stage.clients[other], SHUT_WR);
	UNTIL(stage.sessions.slab.in_use == 0);
	assert_int_equal(stage.served_count, 0);
}

static void a_header_has_its_time_from_the_accept(void **state)
{
	size_t client = join();

	(void)state;
	expect_headers("127.0.0.1");
	stage.sessions.introduce_us = 30 * MS;
	say(client, "PROXY ");
	int64_t began_us = loop_refresh_us(stage.loop);
	assert_int_equal(hear(client), 0);
	assert_true(loop_now_us(stage.loop) - began_us >= 20 * MS);
	assert_int_equal(stage.sessions.slab.in_use, 0);
}

static void no_other_peer_gets_a_session(void **state)
{
	size_t client = join();

	(void)state;
	expect_headers("192.0.2.0/24");
	int next = hear(client);
	assert_true(next == 0 || next == -ECONNRESET);
	assert_int_equal(stage.sessions.accepted, 0);
	assert_int_equal(stage.sessions.slab.in_use, 0);
}

static void draining_waits_for_no_header_longer_than_for_a_request(void **state)
{
	size_t client = join();

	(void)state;
	expect_headers("127.0.0.1");
	UNTIL(stage.sessions.slab.in_use == 1);
	sessions_drain(&stage.sessions);
	assert_true(stage.sessions.first->due_us <= loop_now_us(stage.loop) + 1000 * MS);
	say(client, header);
	say(client, "k");
	assert_int_equal(hear(client), KEEP);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_connection_is_kept_for_the_next_request),
	    TEST(a_header_names_the_client_before_its_first_request),
	    TEST(bytes_behind_a_header_are_requests),
	    TEST(no_byte_of_a_request_is_served_without_a_header),
	    TEST(a_header_has_its_time_from_the_accept),
	    TEST(no_other_peer_gets_a_session),
	    TEST(draining_waits_for_no_header_longer_than_for_a_request),
	    TEST(one_that_closes_reads_on_until_the_client_has_ended),
	    TEST(one_that_closes_waits_for_a_silent_client_only_so_long),
	    TEST(a_client_that_has_ended_its_side_is_closed_at_once),
	    TEST(unless_not_all_that_it_sent_is_read),
	    TEST(a_reset_is_seen),
	    TEST(a_late_reset_lets_the_answer_be_read_first),
	    TEST(without_memory_for_a_request_the_client_is_reset),
	    TEST(others_have_their_turn_between_pipelined_requests),
	    TEST(an_idle_session_ends_in_time),
	    TEST(empty_lines_are_no_request),
	    TEST(a_request_is_told_that_its_time_is_over),
	    TEST(a_request_is_told_that_its_client_is_gone),
	    TEST(a_stop_leaves_idle_clients_a_moment),
	    TEST(what_is_served_when_all_are_ended_is_aborted),
	    TEST(a_full_set_lets_clients_wait),
	    TEST(the_oldest_idle_one_gives_way),
	    TEST(where_none_is_idle_the_oldest_gives_way_after_a_while),
	    TEST(one_that_becomes_idle_gives_way),
	    TEST(out_of_descriptors_accepting_pauses_and_goes_on),
	    TEST(all_who_wait_are_accepted_before_a_listener_closes),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
