/*
 * silent - a backend that accepts, reads whole requests, and never answers.
 *
 * What a process looks like that hangs: the kernel accepts for it, and then nothing. It has no hook
 * that would answer.
 */
#include "mock.h"

int main(int argc, char **argv)
{
	const struct mock_behaviour behaviour = {.about = "reads requests and never answers"};

	return mock_run(&behaviour, argc, argv);
}
