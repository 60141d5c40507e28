/* The pool of pipes: what is kept, what is closed, and when there is none. */
#include "event/pipes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* What the next pipe is said to hold; 0: the truth. */
static int pipe_bytes;

int __real_net_pipe_open(int ends[2]);
int __wrap_net_pipe_open(int ends[2]);
int __wrap_net_pipe_open(int ends[2])
{
	int bytes = __real_net_pipe_open(ends);

	return bytes > 0 && pipe_bytes > 0 ? pipe_bytes : bytes;
}

static void a_pipe_given_back_empty_is_the_next_one_taken(void **state)
{
	struct pipes pipes;

	(void)state;
	pipes_init(&pipes);
	struct pipe *a = pipes_take(&pipes);
	struct pipe *b = pipes_take(&pipes);

	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(write(a->ends[1], "x", 1), 1);
	char byte;
	assert_int_equal(read(a->ends[0], &byte, 1), 1);
	pipes_give(&pipes, b);
	pipes_give(&pipes, a);
	assert_ptr_equal(pipes_take(&pipes), a);
	assert_ptr_equal(pipes_take(&pipes), b);
	pipes_give(&pipes, a);
	pipes_give(&pipes, b);
	pipes_give(&pipes, NULL);
	pipes_finish(&pipes);
}

static void a_pipe_with_bytes_in_it_is_closed(void **state)
{
	struct pipes pipes;

	(void)state;
	pipes_init(&pipes);
	struct pipe *pipe = pipes_take(&pipes);

	assert_non_null(pipe);
	int end = pipe->ends[1];
	assert_int_equal(write(end, "x", 1), 1);
	pipe->held = 1;
	pipes_give(&pipes, pipe);
	assert_int_equal(write(end, "x", 1), -1);
	assert_int_equal(pipes.slab.in_use, 0);

	pipe = pipes_take(&pipes);
	assert_non_null(pipe);
	assert_int_equal(pipe->held, 0);
	pipes_give(&pipes, pipe);
	pipes_finish(&pipes);
}

static void there_is_none_beyond_the_limit(void **state)
{
	struct pipe *taken[PIPES_MAX];
	struct pipes pipes;

	(void)state;
	pipes_init(&pipes);
	for (size_t i = 0; i < PIPES_MAX; i++) {
		taken[i] = pipes_take(&pipes);
		assert_non_null(taken[i]);
	}
	assert_null(pipes_take(&pipes));
	pipes_give(&pipes, taken[0]);
	assert_ptr_equal(pipes_take(&pipes), taken[0]);
	for (size_t i = 0; i < PIPES_MAX; i++)
		pipes_give(&pipes, taken[i]);
	pipes_finish(&pipes);
}

static void there_is_none_without_descriptors(void **state)
{
	struct rlimit before, none;
	struct pipes pipes;

	(void)state;
	pipes_init(&pipes);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	assert_null(pipes_take(&pipes));
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(pipes.slab.in_use, 0);
	struct pipe *pipe = pipes_take(&pipes);
	assert_non_null(pipe);
	pipes_give(&pipes, pipe);
	pipes_finish(&pipes);
}

/* The kernel gives small pipes to a user who has much in pipes already. */
static void there_is_none_that_is_small(void **state)
{
	struct pipes pipes;

	(void)state;
	pipes_init(&pipes);
	pipe_bytes = PIPES_LEAST_BYTES - 1;
	assert_null(pipes_take(&pipes));
	assert_int_equal(pipes.slab.in_use, 0);
	pipe_bytes = PIPES_LEAST_BYTES;
	/* For a while it is not asked for more. */
	struct pipe *pipe = pipes_take(&pipes);
	assert_null(pipe);
	for (int i = 0; !pipe && i < 10000; i++)
		pipe = pipes_take(&pipes);
	assert_non_null(pipe);
	assert_int_equal(pipe->size, PIPES_LEAST_BYTES);
	pipes_give(&pipes, pipe);
	pipe_bytes = 0;
	pipes_finish(&pipes);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pipe_given_back_empty_is_the_next_one_taken),
	    cmocka_unit_test(a_pipe_with_bytes_in_it_is_closed),
	    cmocka_unit_test(there_is_none_beyond_the_limit),
	    cmocka_unit_test(there_is_none_without_descriptors),
	    cmocka_unit_test(there_is_none_that_is_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
