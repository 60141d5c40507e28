/*
 * alterfailed - a backend that fails every other request.
 *
 * The first request is answered as app would, the second with 500, the third well again, and so on,
 * whichever connections they come on. A proxy should keep the 500 from its client.
 */
#include "answer.h"

static void answer(struct mock_conn *conn, void *own)
{
	bool *is_failing = own;

	if (*is_failing)
		answer_text(conn, 500, "App failure");
	else
		answer_like_app(conn);
	*is_failing = !*is_failing;
}

int main(int argc, char **argv)
{
	bool is_failing = false;
	const struct mock_behaviour behaviour = {
	    .about = "answers every other request with 500 `App failure`",
	    .own = &is_failing,
	    .on_request = answer};

	return mock_run(&behaviour, argc, argv);
}
