/*
 * alterfailed - a backend that fails every other request.
 *
 * The first request gets the answer of app, the second 500, the third the answer of app again, and
 * so on, on any connections. A proxy should not pass the 500 to its client.
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
