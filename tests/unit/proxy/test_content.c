/*
 * One direction over two socket pairs: a sender that writes in pieces of every size, a receiver that reads in
 * pieces of every size, and between them the relay with a small block, so that it has to wait for both. Long content
 * comes and goes in long pieces, and through pipes.
 */
#include "proxy/content.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCK = 4096, LONG_BLOCK = 40000, MAX_WIRE = 512 * 1024 };

static const struct http_limits LIMITS = {1024, 10, 1024};
static const struct write_trailers TRAILERS = {.head = {NULL, 0}};

struct setting {
	uint32_t piece_max, chunk_max;
	int kernel_bytes; /* what a socket is to hold */
};

struct stage {
	struct loop *loop;
	struct slab blocks;
	struct pipes pipes;
	struct setting setting;
	struct conn from, to;
	int sender, receiver;
	struct content content;
	enum content_result result;
	struct loop_task stop;
	char got[MAX_WIRE];
	size_t got_len;
	uint32_t random;
};

static uint32_t next_random(struct stage *stage, uint32_t below)
{
	stage->random = stage->random * 1664525U + 1013904223U;
	return (stage->random >> 8) % below;
}

static void on_event(struct conn *conn, unsigned events)
{
	(void)conn;
	(void)events;
}

static void stop_loop(struct loop_task *task)
{
	loop_stop(container_of(task, struct stage, stop)->loop);
}

static void open_pair(struct stage *stage, struct conn *conn, int *other)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	for (int i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &stage->setting.kernel_bytes,
		    sizeof(stage->setting.kernel_bytes));
	conn->on_event = on_event;
	assert_int_equal(conn_open(conn, stage->loop, &stage->blocks, ends[0], LOOP_READ), 0);
	*other = ends[1];
}

static struct stage *set_up_with(uint32_t seed, const struct setting *setting, size_t block)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	assert_non_null(stage);
	stage->random = seed;
	stage->setting = *setting;
	stage->loop = loop_create();
	slab_init(&stage->blocks, block, 4);
	pipes_init(&stage->pipes);
	open_pair(stage, &stage->from, &stage->sender);
	open_pair(stage, &stage->to, &stage->receiver);
	return stage;
}

static struct stage *set_up(uint32_t seed)
{
	const struct setting setting = {.piece_max = 3000, .chunk_max = 9000, .kernel_bytes = 4096};
	return set_up_with(seed, &setting, BLOCK);
}

static struct stage *set_up_long(uint32_t seed)
{
	const struct setting setting = {
	    .piece_max = 90000, .chunk_max = 150000, .kernel_bytes = 50000};
	return set_up_with(seed, &setting, LONG_BLOCK);
}

static void tear_down(struct stage *stage)
{
	content_stop(&stage->content);
	pipes_finish(&stage->pipes);
	conn_close(&stage->from, false);
	conn_close(&stage->to, false);
	assert_int_equal(stage->blocks.in_use, 0);
	close(stage->sender);
	close(stage->receiver);
	loop_destroy(stage->loop);
	slab_finish(&stage->blocks);
	free(stage);
}

/* The sender's next piece; closes after the last one. */
static void send_piece(struct stage *stage, struct str *wire)
{
	size_t piece = 1 + next_random(stage, stage->setting.piece_max);
	if (wire->len == 0)
		return;
	ssize_t len =
	    send(stage->sender, wire->data, piece < wire->len ? piece : wire->len, MSG_NOSIGNAL);
	if (len < 0)
		return;
	wire->data += len;
	wire->len -= (size_t)len;
	if (wire->len == 0)
		shutdown(stage->sender, SHUT_WR);
}

static void receive_piece(struct stage *stage)
{
	size_t piece = 1 + next_random(stage, stage->setting.piece_max);
	size_t room = sizeof(stage->got) - stage->got_len;
	ssize_t len =
	    read(stage->receiver, stage->got + stage->got_len, piece < room ? piece : room);
	if (len > 0)
		stage->got_len += (size_t)len;
}

static void turn(struct stage *stage)
{
	stage->result = content_run(&stage->content);
	if (stage->result != CONTENT_WAITS)
		return;
	bool reads = content_wants_read(&stage->content),
	     writes = content_wants_write(&stage->content);
	assert_true(reads || writes); /* or it would wait for ever */
	conn_want(&stage->from, reads ? LOOP_READ : 0);
	conn_want(&stage->to, writes ? LOOP_WRITE : 0);
	/* One turn that waits for nobody: both peers are in this thread. */
	stage->stop.run = stop_loop;
	loop_at_end_of_turn(stage->loop, &stage->stop);
	assert_int_equal(loop_run(stage->loop), 0);
}

/* Sends `wire`, framed as `in`, through a relay to a receiver that gets it framed as `out`. */
static void run(
    struct stage *stage, struct str wire, const struct http_head *head, enum http_framing out)
{
	struct content_start start = {.from = &stage->from,
	    .head = head,
	    .limits = &LIMITS,
	    .trailers = &TRAILERS,
	    .pipes = &stage->pipes};
	content_start(&stage->content, &start);
	content_aim(&stage->content, &stage->to, out);
	stage->result = CONTENT_WAITS;
	while (stage->result == CONTENT_WAITS) {
		send_piece(stage, &wire);
		receive_piece(stage);
		turn(stage);
	}
	size_t before;
	do {
		before = stage->got_len;
		receive_piece(stage);
	} while (stage->got_len > before);
}

static char payload[200000];

static void fill_payload(void)
{
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (char)('a' + i % 23 + (i / 977) % 3);
}

/* Takes the chunks out of what was received; the length of the content, which replaces them. */
static size_t decode_chunks(struct stage *stage)
{
	static const struct http_head chunked = {.framing = HTTP_FRAMING_CHUNKED};
	struct body body;
	struct body_span span;
	body_init(&body, &chunked, 0);
	assert_int_equal(body_decode(&body, &LIMITS, stage->got, stage->got_len, &span), BODY_DONE);
	assert_int_equal(span.raw, stage->got_len);
	return span.payload;
}

static size_t encode_chunks(char *wire, size_t len, const char *end, struct stage *stage)
{
	size_t at = 0;
	for (size_t done = 0; done < len;) {
		size_t piece =
		    1 + next_random(stage, next_random(stage, 4) ? 40 : stage->setting.chunk_max);
		if (piece > len - done)
			piece = len - done;
		at += (size_t)sprintf(wire + at, "%zx;x=y\r\n", piece);
		memcpy(wire + at, payload + done, piece);
		at += piece;
		at += (size_t)sprintf(wire + at, "\r\n");
		done += piece;
	}
	return at + (size_t)sprintf(wire + at, "%s", end);
}

static void content_arrives_unchanged_whatever_the_framing_of_both_sides(void **state)
{
	static const size_t lengths[] = {0, 1, 100, 4095, 4096, 4097, 10000, 70000};
	static char wire[MAX_WIRE];
	(void)state;
	fill_payload();
	for (uint32_t seed = 0; seed < 60; seed++) {
		size_t len = lengths[seed % (sizeof(lengths) / sizeof(lengths[0]))];
		for (int in = HTTP_FRAMING_LENGTH; in <= HTTP_FRAMING_CLOSE; in++) {
			for (int out = HTTP_FRAMING_LENGTH; out <= HTTP_FRAMING_CLOSE; out++) {
				struct stage *stage = set_up(seed);
				struct http_head head = {
				    .framing = (enum http_framing)in, .content_length = len};
				size_t wire_len = len;
				if (in == HTTP_FRAMING_CHUNKED)
					wire_len = encode_chunks(wire, len, "0\r\n\r\n", stage);
				else
					memcpy(wire, payload, len);
				if (wire_len == 0)
					shutdown(stage->sender, SHUT_WR);
				run(stage, (struct str){wire, wire_len}, &head,
				    (enum http_framing)out);
				assert_int_equal(stage->result, CONTENT_DONE);
				assert_int_equal(stage->content.passed, len);
				if (out == HTTP_FRAMING_CHUNKED)
					stage->got_len = decode_chunks(stage);
				assert_int_equal(stage->got_len, len);
				assert_memory_equal(stage->got, payload, len);
				tear_down(stage);
			}
		}
	}
}

static void a_message_that_ends_early_gets_no_ending(void **state)
{
	static char wire[MAX_WIRE];
	(void)state;
	fill_payload();
	for (uint32_t seed = 0; seed < 40; seed++) {
		bool chunked = seed % 2;
		struct stage *stage = set_up(seed);
		struct http_head head = {
		    .framing = chunked ? HTTP_FRAMING_CHUNKED : HTTP_FRAMING_LENGTH,
		    .content_length = 20000};
		size_t len = 10000;
		if (chunked)
			len = encode_chunks(wire, 10000, seed % 4 == 1 ? "" : "0\r\n", stage);
		else
			memcpy(wire, payload, len);
		run(stage, (struct str){wire, len}, &head, head.framing);
		assert_int_equal(stage->result, CONTENT_ENDED);
		assert_int_equal(stage->content.passed, 10000);
		assert_false(stage->got_len >= 5 &&
			     memcmp(stage->got + stage->got_len - 5, "0\r\n\r\n", 5) == 0);
		tear_down(stage);
	}
}

static void trailers_follow_the_last_chunk(void **state)
{
	static char wire[MAX_WIRE];
	(void)state;
	fill_payload();
	for (uint32_t seed = 0; seed < 40; seed++) {
		static const struct http_head head = {.framing = HTTP_FRAMING_CHUNKED};
		struct stage *stage = set_up(seed);
		size_t len =
		    encode_chunks(wire, seed * 300, "0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n", stage);
		run(stage, (struct str){wire, len}, &head, HTTP_FRAMING_CHUNKED);
		assert_int_equal(stage->result, CONTENT_DONE);
		static const char end[] = "0\r\nX-Sum: 1\r\n\r\n";
		assert_true(stage->got_len >= sizeof(end) - 1);
		assert_memory_equal(
		    stage->got + stage->got_len - (sizeof(end) - 1), end, sizeof(end) - 1);
		tear_down(stage);
	}
}

static void kept_content_can_be_sent_again(void **state)
{
	(void)state;
	fill_payload();
	struct stage *stage = set_up(1);
	struct http_head head = {.framing = HTTP_FRAMING_LENGTH, .content_length = 3000};
	struct content_start start = {
	    .from = &stage->from, .head = &head, .limits = &LIMITS, .keep_bytes = 3000};
	content_start(&stage->content, &start);
	content_aim(&stage->content, &stage->to, HTTP_FRAMING_LENGTH);
	assert_int_equal(send(stage->sender, payload, 3000, 0), 3000);
	stage->from.readable = true;
	assert_int_equal(content_run(&stage->content), CONTENT_DONE);
	assert_true(stage->content.keeps);
	content_aim(&stage->content, &stage->to, HTTP_FRAMING_CHUNKED);
	assert_int_equal(content_run(&stage->content), CONTENT_DONE);
	while (stage->got_len < 6012) {
		size_t before = stage->got_len;
		receive_piece(stage);
		assert_true(stage->got_len > before);
	}
	assert_memory_equal(stage->got, payload, 3000);
	assert_memory_equal(stage->got + 3000, "bb8\r\n", 5);
	assert_memory_equal(stage->got + 3005, payload, 3000);
	tear_down(stage);
}

/* Into the sender's buffer, however it comes; it may be sent from there as often as is wanted. */
static void short_content_is_gathered_before_it_is_sent(void **state)
{
	static const size_t pieces[] = {1000, 999, 1, 500};
	struct http_head head = {.framing = HTTP_FRAMING_LENGTH, .content_length = 2000};
	size_t sent = 0;

	(void)state;
	fill_payload();
	struct stage *stage = set_up(1);
	struct content_start start = {.from = &stage->from, .head = &head, .limits = &LIMITS};
	content_start(&stage->content, &start);
	for (size_t i = 0; i < 4; i++) {
		bool is_whole = sent >= 2000;

		assert_int_equal(
		    content_gather(&stage->content), is_whole ? CONTENT_DONE : CONTENT_WAITS);
		assert_int_equal(content_take_in(&stage->content), is_whole);
		assert_int_equal(
		    send(stage->sender, payload + sent, pieces[i], 0), (ssize_t)pieces[i]);
		stage->from.readable = true;
		sent += pieces[i];
	}
	assert_int_equal(content_gather(&stage->content), CONTENT_DONE);
	assert_true(content_has_all(&stage->content));
	content_aim(&stage->content, &stage->to, HTTP_FRAMING_LENGTH);
	assert_int_equal(content_run(&stage->content), CONTENT_DONE);
	while (stage->got_len < 2000)
		receive_piece(stage);
	assert_memory_equal(stage->got, payload, 2000);
	tear_down(stage);
}

static void content_that_cannot_be_gathered_is_told_apart(void **state)
{
	(void)state;
	fill_payload();
	for (int i = 0; i < 3; i++) {
		struct http_head head = {.framing = HTTP_FRAMING_LENGTH, .content_length = 20000};
		struct stage *stage = set_up(1);
		struct content_start start = {.from = &stage->from,
		    .head = &head,
		    .limits = &LIMITS,
		    .max_bytes = i == 0 ? 1000 : 0};

		content_start(&stage->content, &start);
		assert_int_equal(send(stage->sender, payload, 100, 0), 100);
		if (i == 1)
			shutdown(stage->sender, SHUT_WR);
		stage->from.readable = true;
		if (i == 0)
			assert_int_equal(content_gather(&stage->content), CONTENT_TOO_LARGE);
		if (i == 1) {
			assert_int_equal(content_gather(&stage->content), CONTENT_WAITS);
			stage->from.readable = true;
			assert_int_equal(content_gather(&stage->content), CONTENT_ENDED);
		}
		/* There is no room for so much. */
		enum content_result result = CONTENT_WAITS;
		while (i == 2 && result == CONTENT_WAITS) {
			assert_true(send(stage->sender, payload, 1000, 0) > 0);
			stage->from.readable = true;
			result = content_gather(&stage->content);
		}
		if (i == 2)
			assert_int_equal(result, CONTENT_SHORTAGE);
		tear_down(stage);
	}
}

static void content_beyond_what_is_kept_streams_on(void **state)
{
	(void)state;
	fill_payload();
	struct stage *stage = set_up(3);
	struct http_head head = {.framing = HTTP_FRAMING_LENGTH, .content_length = 100000};
	struct str wire = {payload, 100000};
	struct content_start start = {
	    .from = &stage->from, .head = &head, .limits = &LIMITS, .keep_bytes = 2000};
	content_start(&stage->content, &start);
	content_aim(&stage->content, &stage->to, HTTP_FRAMING_LENGTH);
	stage->result = CONTENT_WAITS;
	while (stage->result == CONTENT_WAITS) {
		send_piece(stage, &wire);
		for (int i = 0; i < 4; i++)
			receive_piece(stage);
		turn(stage);
	}
	assert_int_equal(stage->result, CONTENT_DONE);
	assert_false(stage->content.keeps);
	while (stage->got_len < 100000)
		receive_piece(stage);
	assert_memory_equal(stage->got, payload, 100000);
	tear_down(stage);
}

static void broken_chunks_and_too_much_content_are_told_apart(void **state)
{
	static const struct http_head head = {.framing = HTTP_FRAMING_CHUNKED};
	(void)state;
	struct stage *stage = set_up(5);
	run(stage, STR("5\r\nhello\r\nZZ\r\n"), &head, HTTP_FRAMING_CHUNKED);
	assert_int_equal(stage->result, CONTENT_BAD);
	tear_down(stage);

	stage = set_up(6);
	struct content_start start = {
	    .from = &stage->from, .head = &head, .limits = &LIMITS, .max_bytes = 6};
	content_start(&stage->content, &start);
	content_aim(&stage->content, &stage->to, HTTP_FRAMING_CHUNKED);
	assert_int_equal(send(stage->sender, "5\r\nhello\r\n5\r\nworld\r\n", 20, 0), 20);
	stage->from.readable = true;
	assert_int_equal(content_run(&stage->content), CONTENT_TOO_LARGE);
	tear_down(stage);
}

/* ---- long content */

static void long_content_arrives_unchanged_through_pipes(void **state)
{
	static const size_t lengths[] = {40000, 73000, 199999};
	static char wire[MAX_WIRE];
	(void)state;
	fill_payload();
	for (uint32_t seed = 0; seed < 24; seed++) {
		size_t len = lengths[seed % 3];
		for (int in = HTTP_FRAMING_LENGTH; in <= HTTP_FRAMING_CLOSE; in++) {
			for (int out = HTTP_FRAMING_LENGTH; out <= HTTP_FRAMING_CLOSE; out++) {
				struct stage *stage = set_up_long(seed);
				struct http_head head = {
				    .framing = (enum http_framing)in, .content_length = len};
				size_t wire_len = len;
				if (in == HTTP_FRAMING_CHUNKED)
					wire_len = encode_chunks(wire, len, "0\r\n\r\n", stage);
				else
					memcpy(wire, payload, len);
				if (seed % 8 == 7)
					stage->pipes.slab.limit = 0;
				run(stage, (struct str){wire, wire_len}, &head,
				    (enum http_framing)out);
				assert_int_equal(stage->result, CONTENT_DONE);
				assert_int_equal(stage->content.passed, len);
				assert_null(stage->content.pipe);
				if (in == HTTP_FRAMING_LENGTH && seed % 8 != 7)
					assert_true(stage->pipes.slab.built > 0);
				if (out == HTTP_FRAMING_CHUNKED)
					stage->got_len = decode_chunks(stage);
				assert_int_equal(stage->got_len, len);
				assert_memory_equal(stage->got, payload, len);
				tear_down(stage);
			}
		}
	}
}

static void content_to_the_end_goes_through_pipes_once_much_of_it_comes_at_once(void **state)
{
	static const struct http_head head = {.framing = HTTP_FRAMING_CLOSE};
	(void)state;
	fill_payload();
	for (int bulk = 0; bulk < 2; bulk++) {
		struct stage *stage = set_up_long(1);
		stage->setting.piece_max = bulk ? sizeof(payload) : 3000;
		run(stage, (struct str){payload, sizeof(payload)}, &head, HTTP_FRAMING_CLOSE);
		assert_int_equal(stage->result, CONTENT_DONE);
		assert_int_equal(stage->got_len, sizeof(payload));
		assert_int_equal(stage->pipes.slab.built > 0, bulk);
		tear_down(stage);
	}
}

static void long_content_that_ends_early_is_passed_on_as_far_as_it_came(void **state)
{
	(void)state;
	fill_payload();
	for (uint32_t seed = 0; seed < 20; seed++) {
		struct stage *stage = set_up_long(seed);
		struct http_head head = {.framing = HTTP_FRAMING_LENGTH, .content_length = 300000};
		run(stage, (struct str){payload, 100000}, &head, HTTP_FRAMING_LENGTH);
		assert_int_equal(stage->result, CONTENT_ENDED);
		assert_int_equal(stage->content.passed, 100000);
		assert_int_equal(stage->got_len, 100000);
		assert_memory_equal(stage->got, payload, 100000);
		assert_true(stage->pipes.slab.built > 0);
		tear_down(stage);
	}
}

static void a_pipe_whose_receiver_is_gone_is_given_back(void **state)
{
	(void)state;
	fill_payload();
	struct stage *stage = set_up_long(1);
	struct http_head head = {.framing = HTTP_FRAMING_LENGTH, .content_length = 1000000};
	struct content_start start = {
	    .from = &stage->from, .head = &head, .limits = &LIMITS, .pipes = &stage->pipes};
	content_start(&stage->content, &start);
	content_aim(&stage->content, &stage->to, HTTP_FRAMING_LENGTH);
	/* Until the receiver's kernel is full, and the pipe holds what it did not take. */
	while (!stage->content.pipe) {
		send(stage->sender, payload, sizeof(payload), MSG_NOSIGNAL);
		turn(stage);
		assert_int_equal(stage->result, CONTENT_WAITS);
	}
	assert_false(content_wants_read(&stage->content));
	assert_true(content_wants_write(&stage->content));
	close(stage->receiver);
	stage->receiver = dup(stage->sender);
	turn(stage);
	turn(stage);
	assert_int_equal(stage->result, CONTENT_SEND_FAILED);
	content_stop(&stage->content);
	assert_null(stage->content.pipe);
	assert_int_equal(stage->pipes.slab.in_use, 0); /* with bytes in it, it is of no use */
	tear_down(stage);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the daemon does, for splice */
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(content_arrives_unchanged_whatever_the_framing_of_both_sides),
	    cmocka_unit_test(a_message_that_ends_early_gets_no_ending),
	    cmocka_unit_test(trailers_follow_the_last_chunk),
	    cmocka_unit_test(kept_content_can_be_sent_again),
	    cmocka_unit_test(short_content_is_gathered_before_it_is_sent),
	    cmocka_unit_test(content_that_cannot_be_gathered_is_told_apart),
	    cmocka_unit_test(content_beyond_what_is_kept_streams_on),
	    cmocka_unit_test(long_content_arrives_unchanged_through_pipes),
	    cmocka_unit_test(content_to_the_end_goes_through_pipes_once_much_of_it_comes_at_once),
	    cmocka_unit_test(long_content_that_ends_early_is_passed_on_as_far_as_it_came),
	    cmocka_unit_test(a_pipe_whose_receiver_is_gone_is_given_back),
	    cmocka_unit_test(broken_chunks_and_too_much_content_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
