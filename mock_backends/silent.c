/*
 * silent - a backend that accepts, reads whole requests, and never answers.
 *
 * It looks like a process that hangs: the kernel accepts connections for it, and nothing follows.
 * It has no hook that answers.
 */
#include "mock.h"

int main(int argc, char **argv)
{
	const struct mock_behaviour behaviour = {.about = "reads requests and never answers"};

	return mock_run(&behaviour, argc, argv);
}
