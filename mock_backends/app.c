/*
 * app - a backend that does everything right; the others differ from it in one way each.
 *
 * answer.h lists its answer to each path.
 */
#include "answer.h"

static void answer(struct mock_conn *conn, void *own)
{
	(void)own;
	answer_like_app(conn);
}

int main(int argc, char **argv)
{
	const struct mock_behaviour behaviour = {
	    .about = "a backend that does everything right", .on_request = answer};

	return mock_run(&behaviour, argc, argv);
}
